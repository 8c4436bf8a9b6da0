//! Every limit on one page, each with its reason. Rooms read these; none has a limit of its own.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Tokens in one block of the KV cache. Attention reduces over such blocks in order, so this number is
/// part of what shapes an answer's bits.
pub const KV_BLOCK_TOKENS: usize = 32;

/// Rows (tokens of any sequences) in one forward step: enough to fill the matrix kernels, few enough
/// that a decoding sequence never waits long.
pub const STEP_ROWS_MAX: usize = 256;

/// Rows up to which a decode step is filled with tokens that are only proposed. A step reads all weights
/// whatever its rows, and each further row adds about a tenth of that time (1.5B Q4_K_M, AVX-512-VNNI: 8
/// rows take 1.5 times as long as one, 16 take 2.4 times); proposals of several tokens come from places
/// that are being copied, and most of them are kept.
pub const PROPOSAL_ROWS: usize = 16;

/// Formulas of a sheet, unrounded numbers of a sheet and comments on a sheet that are kept as facts.
pub const SHEET_FACTS_MAX: usize = 10_000;

/// Bytes of all formulas of a sheet: few bytes of file can share a long one among many cells.
pub const SHEET_FORMULA_BYTES_MAX: usize = 16 << 20;

/// Bytes of a formula in words. Excel's own limit is 8,192 characters.
pub const FORMULA_BYTES_MAX: usize = 32 << 10;

/// Expressions within expressions of a formula: each is copied once for every one that it stands in.
pub const FORMULA_NESTING_MAX: usize = 256;

/// Sequences that may be open at once whatever `slots` says.
pub const SLOTS_MAX: usize = 1024;

/// Answers that wait to be assembled.
pub const QUEUE_ANSWERS_MAX: usize = 4096;

/// Questions that wait for each slot before another document is read: enough to fill every step, few
/// enough that documents end one after the other.
pub const QUESTIONS_PER_SLOT: usize = 4;

/// A line of a batch: a request with its text.
pub const BATCH_LINE_BYTES_MAX: usize = 16 << 20;

/// Documents that are open (extracted and not yet committed) at once.
pub const QUEUE_DOCUMENTS_MAX: usize = 64;

/// Rows of a table that come from the parse child at once, and about how many bytes of cells: few enough
/// that a long table needs no more memory than a short one, many enough that skipping to them is cheap.
pub const ROWS_PIECE_MAX: usize = 16_384;
pub const ROWS_PIECE_BYTES: usize = 8 << 20;

/// A record of a CSV file: longer ones are a quote that nobody closed.
pub const ROW_BYTES_MAX: usize = 1 << 20;

/// Rows of one table that are asked about or wait for an earlier one, at once.
pub const ROWS_OPEN_MAX: usize = 1024;

/// Rows after which a table's part file is made durable and the log says so: as many are asked again
/// after a kill, and a table of a million rows takes some four thousand entries.
pub const ROWS_BLOCK: u64 = 256;

/// By so much longer than measured a document is taken to need when a deadline is near: the last answers of a
/// night have little company, and each takes longer then.
pub const FINISH_MARGIN_PERCENT: u32 = 20;

/// Runs in which a document may fail before it is quarantined.
pub const ATTEMPTS_MAX_DEFAULT: u32 = 3;

/// A log line longer than this is damage (research/audit-and-isolation.md 3.2).
pub const LOG_LINE_BYTES_MAX: usize = 32 * 1024;

/// A log segment is followed by the next one past this size.
pub const LOG_SEGMENT_BYTES_MAX: u64 = 64 << 20;

/// Bytes of the log that are parsed at once when it is read: enough work for every core.
pub const LOG_READ_BYTES: usize = 2 << 20;

/// Rows, or characters, that a reader may tell of one sheet: more than any file holds, and sums of them fit.
pub const SURVEYED_MAX: u64 = 1 << 40;

/// Entries of each map that `verify` holds in memory, the rest in temporary files: some 50 MB, whatever the
/// size of the log. Few offices have as many documents.
pub const VERIFY_ENTRIES_MAX: usize = 1 << 15;

/// Entries and time after which the log is signed again, so that little of a night stands unsigned if
/// the machine dies; each costs two small files made durable.
pub const CHECKPOINT_ENTRIES: u64 = 1000;
pub const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(600);

/// So far the wall clock may go on otherwise than the steady one between two entries of a run before the log
/// says that it was set: correcting a clock slowly (500 millionths) takes more than five hours for it.
pub const CLOCK_STEP_MIN: Duration = Duration::from_secs(10);

/// Steps of the clock that `verify` names one by one.
pub const CLOCK_STEPS_NAMED_MAX: usize = 1000;

/// A signed note: three lines, the log's two or three signatures, and room for a hundred witnesses.
pub const NOTE_BYTES_MAX: usize = 16 * 1024;

/// Entries of an exported checkpoint whose leaves are read, to name the first that differs: half a gigabyte.
pub const LEAVES_MAX: u64 = 1 << 24;

/// A file of a stick that is read whole: consistency proofs from 50,000 checkpoints.
pub const BROUGHT_BYTES_MAX: u64 = 64 << 20;

/// jobs.toml and task files: a person writes them.
pub const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// Sequences in a step where `[engine] slots` is not given: decode gains little beyond (DESIGN.md 8).
pub const SLOTS_DEFAULT: usize = 64;

/// `[engine] memory` where it is not given: a laptop of 8 GiB keeps 2 for everything else.
pub const MEMORY_BYTES_DEFAULT: u64 = 6 << 30;

/// Less than this holds no model with its buffers.
pub const MEMORY_BYTES_MIN: u64 = 128 << 20;

/// `[engine] context_tokens` where it is not given, and the least that makes sense.
pub const CONTEXT_TOKENS_DEFAULT: usize = 8192;
pub const CONTEXT_TOKENS_MIN: usize = 512;

/// `chunk_tokens` of a task that does not say: small models lose the thread in longer texts, and a
/// page or five still go in whole.
pub const CHUNK_TOKENS_DEFAULT: usize = 3072;
pub const CHUNK_TOKENS_MIN: usize = 64;

/// `answer_tokens_max` of a task that does not say.
pub const ANSWER_TOKENS_DEFAULT: u32 = 512;

/// Words of a summary: a page at most where the task does not say.
pub const SUMMARY_WORDS_DEFAULT: usize = 400;
pub const SUMMARY_WORDS_MIN: usize = 30;
pub const SUMMARY_WORDS_MAX: usize = 5000;

/// Answers to a table's rows that a workbook gives a person to judge, of each table: more than anyone reads. The
/// table has them all.
pub const REVIEW_ROWS_MAX: usize = 10_000;

/// Words of an evidence quote: a long sentence of a contract; a clause at most.
pub const QUOTE_WORDS_DEFAULT: usize = 40;
pub const QUOTE_WORDS_MAX: usize = 200;

/// Bytes of a file's beginning that are kept to name its format by content.
pub const SNIFF_BYTES: usize = 64 * 1024;

/// Bytes of a ZIP's or OLE2 container's directory that are looked at to name its format.
pub const SNIFF_DIRECTORY_BYTES: usize = 1 << 20;

/// Dots an inch of the picture of a page that text recognition gets: what tesseract is trained on.
pub const OCR_DOTS_PER_INCH: f32 = 300.0;

/// Pixels of such a picture; a larger page (A3 has 17 million) is drawn coarser.
pub const OCR_PIXELS_MAX: f32 = 24e6;

/// Pixels along a side of it: strips and drawings.
pub const OCR_SIDE_MAX: f32 = 20_000.0;

/// Mean confidence, in hundredths, under which recognized text is flagged. Clean scans give 90 and more;
/// what a person still reads with ease on a bad copy about 75.
pub const OCR_CONFIDENCE_LOW: u8 = 75;

/// Recognized text that a run keeps, so that its report need not recognize it again.
pub const OCR_KEPT_BYTES_MAX: usize = 64 << 20;

/// Text that tesseract may answer with for one page, words with their places.
pub const OCR_ANSWER_BYTES_MAX: u64 = 8 << 20;

/// What reading one document may cost. Passed to the child that parses it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// A larger input is refused unread.
    pub input_bytes_max: u64,
    /// Address space of the parsing child: bombs end here.
    pub memory_bytes_max: u64,
    /// Processor time of the parsing child.
    pub cpu_max: Duration,
    /// Wall clock of the parsing child.
    pub wall_max: Duration,
    /// What the child may send back; also the most text a document may have.
    pub output_bytes_max: u64,
    /// Stack of the parsing child.
    pub stack_bytes_max: u64,
    pub pages_max: usize,
    /// Text of one page.
    pub page_bytes_max: usize,
    /// Entries of a ZIP container (DOCX, XLSX, ODT and the like).
    pub zip_entries_max: usize,
    /// One inflated ZIP entry.
    pub zip_entry_bytes_max: u64,
    /// All entries of one ZIP container together, inflated.
    pub zip_total_bytes_max: u64,
    /// Inflated over deflated size, where more than `zip_ratio_bytes_min` come out: nothing that a
    /// person wrote is that repetitive.
    pub zip_ratio_max: u64,
    pub zip_ratio_bytes_min: u64,
    /// Depth of nested XML elements.
    pub xml_depth_max: usize,
    /// Cells of one sheet, and of one document: a 2 KB file can name 2^34 of them.
    pub sheet_cells_max: usize,
    pub document_cells_max: usize,
    /// Depth of nested HTML elements: browsers stop at about as many.
    pub html_depth_max: usize,
    /// Elements and texts of one HTML page: unclosed ones multiply.
    pub html_nodes_max: usize,
    /// Messages and attachments in one another.
    pub attachment_depth_max: usize,
    /// Attachments of one document, over all depths.
    pub attachments_max: usize,
    /// Archives in one another, where archives are opened.
    pub archive_depth_max: usize,
    /// Members of one archive, over all depths: each becomes a document.
    pub archive_members_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            input_bytes_max: 256 << 20,
            memory_bytes_max: 2 << 30,
            cpu_max: Duration::from_secs(60),
            wall_max: Duration::from_secs(120),
            output_bytes_max: 256 << 20,
            stack_bytes_max: 64 << 20,
            pages_max: 20_000,
            page_bytes_max: 2 << 20,
            zip_entries_max: 10_000,
            zip_entry_bytes_max: 256 << 20,
            zip_total_bytes_max: 1 << 30,
            zip_ratio_max: 200,
            zip_ratio_bytes_min: 50 << 20,
            xml_depth_max: 256,
            sheet_cells_max: 2_000_000,
            document_cells_max: 16_000_000,
            html_depth_max: 512,
            html_nodes_max: 3_000_000,
            attachment_depth_max: 3,
            attachments_max: 1000,
            archive_depth_max: 3,
            archive_members_max: 10_000,
        }
    }
}
