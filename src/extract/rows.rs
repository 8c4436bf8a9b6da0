//! Tables whose rows are documents of their own: what a table looks like, its rows in bounded pieces, and
//! one row as a `Document`. CSV and TSV files are read as a stream, so that a long one needs no more memory
//! than a short one, and a piece of one in UTF-8 is read from where the last one ended; workbooks are read
//! whole, within their limits, and given out in pieces.

use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::ops::ControlFlow;

use encoding_rs::Decoder;
use serde::{Deserialize, Serialize};

use super::document::{Document, Hidden, Role};
use super::pages::Pages;
use super::{Refusal, RefusalKind, csv, encoding, sheet, table};
use crate::base::limits::{ROW_BYTES_MAX, ROWS_PIECE_BYTES, ROWS_PIECE_MAX, SURVEYED_MAX};
use crate::base::{Format, Limits, Warned, Warning};

/// Rows of a table that are looked at to find the one that names the columns.
const HEAD_ROWS: usize = 100;

/// Bytes of a file that are looked at to tell its encoding and delimiter.
const SNIFF_BYTES: u64 = 1 << 20;

/// One read of text that is decoded on the way.
const DECODE_BYTES: usize = 64 << 10;

/// Of UTF-8, at the beginning of a file.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// What a table looks like: all of it was read, none of it kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survey {
    /// Those with rows, in the file's order.
    pub sheets: Vec<SheetSurvey>,
    /// Of the file, or a comma where the format has none.
    pub delimiter: char,
    /// Sheets that could not be read: name and why.
    pub unread: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SheetSurvey {
    /// Empty for a file that is one table.
    pub name: String,
    /// Names of all columns that any row has a cell in; "column 3" where the table does not say.
    pub columns: Vec<String>,
    /// Below the row that names the columns.
    pub rows: u64,
    /// Of the cells of those rows.
    pub characters: u64,
    /// Text of the sheet that its reader does not see.
    pub hidden: Vec<Hidden>,
}

impl Survey {
    /// Rows of all sheets.
    pub fn rows(&self) -> u64 {
        self.sheets.iter().map(|sheet| sheet.rows).sum()
    }

    /// What is wrong with a survey that another process made, or nothing. What passes can be added up.
    pub fn unsound(&self, limits: &Limits) -> Option<String> {
        let is_sound = |sheet: &SheetSurvey| sheet.rows.max(sheet.characters) <= SURVEYED_MAX;
        if self.sheets.len() > limits.pages_max || !self.sheets.iter().all(is_sound) {
            return Some("a table larger than any".to_owned());
        }
        let readable = self.rows() > 0 && self.delimiter.is_ascii();
        (!readable).then(|| "a table without rows".to_owned())
    }
}

/// A row below the one that names its columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Index of its sheet in the survey.
    pub sheet: usize,
    /// As a person counts the rows of a sheet or the records of a file, from 1.
    pub number: u64,
    pub cells: Vec<String>,
}

/// Where a piece of a table begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Rows before it, over all sheets.
    pub rows: u64,
    /// Its record in the file; none where only whoever reads from the beginning can tell.
    pub start: Option<RecordStart>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordStart {
    /// Bytes of the file before it.
    pub byte: u64,
    /// Records of the file before it.
    pub records: u64,
}

/// Rows that follow one another, and where the next ones begin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    pub rows: Vec<Row>,
    pub next: Mark,
}

/// What can be read from any place on: a file, or bytes in memory.
pub trait Seekable: Read + Seek {}

impl<T: Read + Seek> Seekable for T {}

/// Reads a whole table once, to say what it looks like.
///
/// # Errors
/// A `Refusal` where it is no table that can be read, or has no rows.
pub fn survey(
    input: &mut dyn Seekable,
    format: Format,
    limits: &Limits,
) -> Result<Warned<Survey>, Refusal> {
    let mut warnings = Vec::new();
    let tables = Tables::open(input, format, None, limits, &mut warnings)?;
    let heads = tables.heads();
    let mut survey =
        Survey { delimiter: tables.delimiter(), unread: tables.unread(), ..Survey::default() };
    let mut widths = vec![0; heads.len()];
    let mut counts = vec![(0, 0); heads.len()];
    let mut lost = 0;
    let mut hidden = tables.hidden();
    tables.each_from(&heads, Mark::default(), &mut |row| {
        widths[row.sheet] = row.cells.len().max(widths[row.sheet]);
        let (rows, characters) = &mut counts[row.sheet];
        *rows += 1;
        for cell in &row.cells {
            *characters += cell.chars().count() as u64;
            lost += cell.matches('\u{FFFD}').count();
        }
        ControlFlow::Continue(())
    })?;
    if lost > 0 {
        let message = format!("{lost} characters are not valid in the encoding of the rest");
        warnings.push(Warning::document(message));
    }
    for ((head, width), (rows, characters)) in heads.iter().zip(widths).zip(counts) {
        let named = head.columns.len().max(width);
        let columns = (0..named).map(|at| match head.columns.get(at).map(|name| name.trim()) {
            None | Some("") => format!("column {}", at + 1),
            Some(name) => name.to_owned(),
        });
        if head.above > 0 {
            let place = if head.name.is_empty() { "the table" } else { &head.name };
            let message = format!(
                "{} row(s) above the one that names the columns of {place} are no rows of it",
                head.above
            );
            warnings.push(Warning::document(message));
        }
        survey.sheets.push(SheetSurvey {
            name: head.name.clone(),
            columns: columns.collect(),
            rows,
            characters,
            hidden: hidden.next().unwrap_or_default(),
        });
    }
    match survey.rows() {
        0 => Err(Refusal::new(RefusalKind::Empty, "the table has no rows")),
        _ => Ok(Warned { output: survey, warnings }),
    }
}

/// The rows from `from` on: some of them, and at least one.
///
/// # Errors
/// As `survey`; none is left beyond the end.
pub fn piece(
    input: &mut dyn Seekable,
    format: Format,
    from: Mark,
    limits: &Limits,
) -> Result<Piece, Refusal> {
    piece_of(input, format, from, ROWS_PIECE_MAX, limits)
}

fn piece_of(
    input: &mut dyn Seekable,
    format: Format,
    from: Mark,
    rows_max: usize,
    limits: &Limits,
) -> Result<Piece, Refusal> {
    let tables = Tables::open(input, format, from.start, limits, &mut Vec::new())?;
    let heads = tables.heads();
    let mut bytes = 0;
    let mut rows: Vec<Row> = Vec::new();
    let start = tables.each_from(&heads, from, &mut |row| {
        bytes += row.cells.iter().map(String::len).sum::<usize>();
        rows.push(row);
        let full = rows.len() >= rows_max || bytes >= ROWS_PIECE_BYTES;
        if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    let next = Mark { rows: from.rows + rows.len() as u64, start };
    match rows.is_empty() {
        true => Err(Refusal::damaged(format!("the table ends before its row {}", from.rows + 1))),
        false => Ok(Piece { rows, next }),
    }
}

/// One row as a document: a line for each cell with something in it, `column: cell`.
pub fn row_document(
    format: Format,
    sheet: &SheetSurvey,
    row: &Row,
    limits: &Limits,
) -> Warned<Document> {
    let mut warnings = Vec::new();
    let label = match sheet.name.as_str() {
        "" => format!("row {}", row.number),
        name => format!("{name}, row {}", row.number),
    };
    let mut pages = Pages::new(1, label, limits.page_bytes_max, limits);
    for (name, cell) in sheet.columns.iter().zip(&row.cells) {
        let cell = cell.trim();
        if !cell.is_empty() {
            let cell = cell.replace("\r\n", "\n").replace('\r', "\n");
            pages.block(Role::Paragraph, &format!("{name}: {cell}"), None);
        }
    }
    let pages = pages.finish(&mut warnings);
    let document = Document { format, pages, properties: Default::default(), remarks: Vec::new() };
    Warned { output: document, warnings }
}

/// How a table begins.
struct Head {
    name: String,
    /// Cells of the row that names the columns; empty where none does.
    columns: Vec<String>,
    /// Rows before the first that counts, the one that names the columns included.
    skipped: usize,
    /// Of those, rows above the one that names the columns.
    above: usize,
}

impl Head {
    fn of(name: String, rows: &[Vec<String>]) -> Head {
        match table::header_row(rows) {
            Some(at) => Head { name, columns: rows[at].clone(), skipped: at + 1, above: at },
            None => Head { name, columns: Vec::new(), skipped: 0, above: 0 },
        }
    }
}

/// The tables of an open file.
enum Tables<'a> {
    Stream {
        /// The file's beginning, decoded, and its end where that is not all.
        start: String,
        is_whole: bool,
        dialect: csv::Dialect,
        /// The first record only states the delimiter.
        states: bool,
        text: Decoding<Box<dyn Read + 'a>>,
        /// Bytes of the file before the first of `text`; none where the bytes of the text are not the file's.
        before: Option<i64>,
    },
    Sheets(Vec<sheet::Table>),
}

impl<'a> Tables<'a> {
    fn open(
        input: &'a mut dyn Seekable,
        format: Format,
        from: Option<RecordStart>,
        limits: &Limits,
        warnings: &mut Vec<Warning>,
    ) -> Result<Tables<'a>, Refusal> {
        let cannot = |error: io::Error| Refusal::damaged(format!("it cannot be read: {error}"));
        let mut start = Vec::new();
        if !matches!(format, Format::Csv | Format::Tsv) {
            Read::take(&mut *input, limits.input_bytes_max)
                .read_to_end(&mut start)
                .map_err(cannot)?;
            return sheet::tables(&start, format, limits, warnings).map(Tables::Sheets);
        }
        Read::take(&mut *input, SNIFF_BYTES).read_to_end(&mut start).map_err(cannot)?;
        let is_whole = (start.len() as u64) < SNIFF_BYTES;
        // Not in the middle of a character.
        let end = start.iter().rposition(|byte| *byte == b'\n').map_or(start.len(), |at| at + 1);
        let decoded = encoding::decode(if is_whole { &start } else { &start[..end] })?;
        warnings.extend(decoded.warning);
        let (dialect, rest) = csv::dialect_of(&decoded.text, format);
        let (states, rest) = (rest.len() < decoded.text.len(), rest.to_owned());
        let is_utf8 = decoded.encoding == encoding_rs::UTF_8;
        let (bytes, before): (Box<dyn Read + 'a>, i64) = match from {
            Some(from) => {
                input.seek(SeekFrom::Start(from.byte)).map_err(cannot)?;
                // The reader of records drops a byte order mark where it begins to read. Inside a file that is
                // part of a cell; after an empty line, which is no record, it is let be.
                (Box::new(Cursor::new(b"\n").chain(input)), from.byte as i64 - 1)
            }
            None => {
                let mark =
                    if start.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
                (Box::new(Cursor::new(start).chain(input)), mark as i64)
            }
        };
        let text = Decoding::new(bytes, decoded.encoding.new_decoder_with_bom_removal());
        let before = Some(before).filter(|_| is_utf8);
        Ok(Tables::Stream { start: rest, is_whole, dialect, states, text, before })
    }

    fn heads(&self) -> Vec<Head> {
        match self {
            Tables::Stream { start, is_whole, dialect, .. } => {
                let records = csv::reader(start.as_bytes(), *dialect).into_records().flatten();
                let mut rows: Vec<Vec<String>> = records
                    .take(HEAD_ROWS)
                    .map(|record| record.iter().map(str::to_owned).collect())
                    .collect();
                if !is_whole && rows.len() < HEAD_ROWS {
                    rows.pop(); // Cut off, perhaps.
                }
                vec![Head::of(String::new(), &rows)]
            }
            Tables::Sheets(sheets) => sheets
                .iter()
                .filter_map(|sheet| {
                    let rows = sheet.rows.as_ref().ok().filter(|rows| !rows.is_empty())?;
                    let rows = rows.iter().take(HEAD_ROWS);
                    let rows: Vec<Vec<String>> = rows.map(|(_, cells)| cells.clone()).collect();
                    Some(Head::of(sheet.name.clone(), &rows))
                })
                .collect(),
        }
    }

    fn delimiter(&self) -> char {
        match self {
            Tables::Stream { dialect, .. } => char::from(dialect.delimiter),
            Tables::Sheets(_) => ',',
        }
    }

    fn unread(&self) -> Vec<(String, String)> {
        let Tables::Sheets(sheets) = self else { return Vec::new() };
        let why = |sheet: &sheet::Table| Some((sheet.name.clone(), sheet.rows.clone().err()?));
        sheets.iter().filter_map(why).collect()
    }

    /// The hidden text of the sheets with rows.
    fn hidden(&self) -> std::vec::IntoIter<Vec<Hidden>> {
        let Tables::Sheets(sheets) = self else { return Vec::new().into_iter() };
        let with_rows = |sheet: &&sheet::Table| sheet.rows.as_ref().is_ok_and(|r| !r.is_empty());
        let hidden: Vec<_> =
            sheets.iter().filter(with_rows).map(|sheet| sheet.hidden.clone()).collect();
        hidden.into_iter()
    }

    /// Visits the rows from `from` on, until `visit` has enough; where the record after them begins. It was
    /// opened where `from` says.
    fn each_from(
        self,
        heads: &[Head],
        from: Mark,
        visit: &mut dyn FnMut(Row) -> ControlFlow<()>,
    ) -> Result<Option<RecordStart>, Refusal> {
        let mut at = from.start.map_or(0, |_| from.rows);
        let mut counts = |sheet: usize, index: usize| {
            let counts = index >= heads[sheet].skipped;
            at += u64::from(counts);
            counts && at > from.rows
        };
        match self {
            Tables::Stream { dialect, states, text, before, .. } => {
                let mut reader = csv::reader(text, dialect);
                let mut record = ::csv::StringRecord::new();
                let records = from.start.map_or(0, |start| start.records);
                for number in records + 1.. {
                    let more = reader.read_record(&mut record).map_err(|error| {
                        Refusal::damaged(format!("record {number} cannot be read: {error}"))
                    })?;
                    if !more {
                        break;
                    }
                    check_length(record.as_slice().len(), number)?;
                    let Some(index) = (number as usize - 1).checked_sub(usize::from(states)) else {
                        continue;
                    };
                    if counts(0, index) {
                        let cells = record.iter().map(str::to_owned).collect();
                        if visit(Row { sheet: 0, number, cells }).is_break() {
                            // What is not valid is longer or shorter as text than in the file.
                            let before = before.filter(|_| reader.get_ref().is_valid);
                            let byte = |before| reader.position().byte().checked_add_signed(before);
                            let byte = before.and_then(byte);
                            return Ok(byte.map(|byte| RecordStart { byte, records: number }));
                        }
                    }
                }
            }
            Tables::Sheets(sheets) => {
                let rows = sheets.into_iter().filter_map(|sheet| sheet.rows.ok());
                let rows = rows.filter(|rows| !rows.is_empty());
                for (sheet, rows) in rows.enumerate() {
                    for (index, (number, cells)) in rows.into_iter().enumerate() {
                        let row = Row { sheet, number: number.into(), cells };
                        check_length(row.cells.iter().map(String::len).sum(), row.number)?;
                        if counts(sheet, index) && visit(row).is_break() {
                            return Ok(None);
                        }
                    }
                }
            }
        }
        Ok(None)
    }
}

fn check_length(bytes: usize, number: u64) -> Result<(), Refusal> {
    match bytes > ROW_BYTES_MAX {
        false => Ok(()),
        true => Err(Refusal::limit(format!(
            "row {number} has more than {} KiB; is a quote missing before it?",
            ROW_BYTES_MAX >> 10
        ))),
    }
}

/// UTF-8 of what `input` holds in another encoding.
struct Decoding<R> {
    input: R,
    decoder: Decoder,
    raw: Vec<u8>,
    /// Bytes of `raw` that are not decoded yet.
    left: std::ops::Range<usize>,
    text: String,
    /// Bytes of `text` that were given out.
    given: usize,
    ended: bool,
    /// Nothing so far had to be replaced.
    is_valid: bool,
}

impl<R: Read> Decoding<R> {
    fn new(input: R, decoder: Decoder) -> Decoding<R> {
        let text = String::with_capacity(3 * DECODE_BYTES + 16);
        let raw = vec![0; DECODE_BYTES];
        Decoding { input, decoder, raw, left: 0..0, text, given: 0, ended: false, is_valid: true }
    }
}

impl<R: Read> Read for Decoding<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.text.len() && !self.ended {
            self.text.clear();
            self.given = 0;
            let mut last = false;
            if self.left.is_empty() {
                let read = self.input.read(&mut self.raw)?;
                self.left = 0..read;
                last = read == 0;
            }
            let raw = &self.raw[self.left.clone()];
            let (result, read, replaced) = self.decoder.decode_to_string(raw, &mut self.text, last);
            self.is_valid &= !replaced;
            self.left.start += read;
            self.ended = last && result == encoding_rs::CoderResult::InputEmpty;
        }
        let rest = &self.text.as_bytes()[self.given..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.given += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn surveyed(bytes: &[u8]) -> Warned<Survey> {
        survey(&mut Cursor::new(bytes), Format::Csv, &Limits::default()).expect("a table")
    }

    /// The rows from the `rows`-th on, by whoever reads from the beginning.
    fn from(bytes: &[u8], rows: u64) -> Result<Piece, Refusal> {
        let from = Mark { rows, start: None };
        piece(&mut Cursor::new(bytes), Format::Csv, from, &Limits::default())
    }

    /// All rows in pieces of `rows_max`, each begun where the last one ended, and whether each knew where.
    fn in_pieces(bytes: &[u8], rows_max: usize) -> (Vec<Row>, bool) {
        let count = surveyed(bytes).output.rows();
        let (mut all, mut next, mut known) = (Vec::new(), Mark::default(), true);
        while next.rows < count {
            let input = &mut Cursor::new(bytes);
            let read = piece_of(input, Format::Csv, next, rows_max, &Limits::default());
            let read = read.expect("rows");
            known &= read.next.start.is_some() || read.rows.len() < rows_max;
            all.extend(read.rows);
            next = read.next;
        }
        (all, known)
    }

    #[test]
    fn a_piece_begins_where_the_last_one_ended() {
        let text = "Liste\r\n\r\nName;Betrag\r\n\"Weiß\nEva\";1\r\n\r\n\u{FEFF}x;2\r\nHans;\"3\"\nGrüße;4;5\n\r\rZ;6";
        let stated = format!("sep=;\n{text}");
        let marked = format!("\u{FEFF}{text}");
        for text in [text, &stated, &marked] {
            let all = from(text.as_bytes(), 0).expect("rows").rows;
            assert_eq!(all[1].cells[0], "\u{FEFF}x");
            for rows_max in 1..=all.len() {
                assert_eq!(in_pieces(text.as_bytes(), rows_max), (all.clone(), true), "{text}");
            }
        }
        // Bytes of a text in another encoding, or with what is no text, are not those of its file.
        let others =
            [encoding_rs::WINDOWS_1252.encode(&text.replace('\u{FEFF}', "")).0.into_owned(), {
                let mut broken = text.as_bytes().to_vec();
                broken.extend(b"\nG\xFFr;7");
                broken
            }];
        for bytes in others {
            let all = from(&bytes, 0).expect("rows").rows;
            assert_eq!(in_pieces(&bytes, 2), (all, false));
        }
    }

    proptest! {
        #[test]
        fn rows_are_the_same_in_pieces_of_any_size(
            cells in prop::collection::vec("[a-zé\",;\r\n ]{0,6}", 4..60),
            end in prop::sample::select(&["\n", "\r\n", "\r"][..]),
            rows_max in 1usize..9,
        ) {
            let mut text = format!("name,number{end}");
            for (number, cell) in cells.iter().enumerate() {
                text += &format!("\"{}\",{number}{end}", cell.replace('"', "\"\""));
            }
            let all = from(text.as_bytes(), 0).expect("rows").rows;
            prop_assert_eq!(in_pieces(text.as_bytes(), rows_max), (all, true));
        }
    }

    #[test]
    fn what_a_hostile_reader_says_of_a_table_can_be_added_up() {
        let limits = Limits::default();
        let sheet = |rows, characters| SheetSurvey {
            name: String::new(),
            columns: Vec::new(),
            rows,
            characters,
            hidden: Vec::new(),
        };
        let told = |sheets| Survey { sheets, delimiter: ',', unread: Vec::new() }.unsound(&limits);
        assert_eq!(told(vec![sheet(2, 9)]), None);
        assert!(told(vec![sheet(0, 0)]).is_some());
        assert!(told(vec![sheet(1 << 63, 9), sheet((1 << 63) + 1, 9)]).is_some());
        assert!(told(vec![sheet(1, u64::MAX), sheet(1, 9)]).is_some());
        let most = vec![sheet(SURVEYED_MAX, SURVEYED_MAX); limits.pages_max];
        assert_eq!(told(most.clone()), None);
        assert!(told([most, vec![sheet(1, 1)]].concat()).is_some());
    }

    #[test]
    fn a_table_is_surveyed_and_read_in_pieces_whatever_its_encoding() {
        let text = "Name;Betrag\r\n\"Weiß; Eva\";12,50\r\n\"Müller \"\"Hans\"\"\nGrüße aus Köln\";3;mehr\r\n";
        let windows = encoding_rs::WINDOWS_1252.encode(text).0.into_owned();
        let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for bytes in [text.as_bytes().to_vec(), windows, [b"\xFF\xFE".to_vec(), utf16].concat()] {
            let found = surveyed(&bytes).output;
            assert_eq!((found.delimiter, found.rows()), (';', 2));
            assert_eq!(found.sheets[0].columns, ["Name", "Betrag", "column 3"]);
            let rows = |at| from(&bytes, at).map(|piece| piece.rows);
            let all = rows(0).expect("rows");
            assert_eq!(all[0].cells, ["Weiß; Eva", "12,50"]);
            assert_eq!(all[1].cells[0], "Müller \"Hans\"\nGrüße aus Köln");
            assert_eq!(all[1].number, 3);
            assert_eq!(rows(1).expect("rows"), all[1..]);
            assert!(rows(2).is_err(), "there is no third");
        }
    }

    #[test]
    fn a_record_without_end_is_refused_with_its_place() {
        let text = format!("a,b\n1,2\n3,\"{}\n", "x".repeat(ROW_BYTES_MAX + 1));
        let refusal = survey(&mut Cursor::new(text), Format::Csv, &Limits::default());
        let message = refusal.expect_err("too long").message;
        assert!(message.contains("row 3") && message.contains("quote"), "{message}");
    }

    #[test]
    fn long_tables_come_in_bounded_pieces_that_leave_nothing_out() {
        let rows = ROWS_PIECE_MAX + 10;
        let text: String = std::iter::once("n,word\n".to_owned())
            .chain((0..rows).map(|n| format!("{n},x\n")))
            .collect();
        assert_eq!(surveyed(text.as_bytes()).output.rows(), rows as u64);
        let first = from(text.as_bytes(), 0).expect("rows");
        let second = piece(&mut Cursor::new(&text), Format::Csv, first.next, &Limits::default());
        let (first, second) = (first.rows, second.expect("rows").rows);
        assert_eq!((first.len(), second.len()), (ROWS_PIECE_MAX, 10));
        assert_eq!(second[0].cells[0], ROWS_PIECE_MAX.to_string());
    }

    #[test]
    fn a_row_is_a_document_of_its_named_cells() {
        let bytes = b"id,text,note\n7,\"Screen is broken\",\n";
        let found = surveyed(bytes).output;
        let rows = from(bytes, 0).expect("rows").rows;
        let limits = Limits::default();
        let document = row_document(Format::Csv, &found.sheets[0], &rows[0], &limits).output;
        assert_eq!(document.pages[0].label, "row 2");
        assert_eq!(document.pages[0].model, "id: 7\n\ntext: Screen is broken");
        assert_eq!(document.unsound(&limits), None);
    }
}
