//! The command line as written; clap's types and the words of `--help`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum, value_parser};
use jiff::civil::Time;

use crate::base::limits::SLOTS_MAX;
use crate::base::{Clock, Digest};
use crate::jobs;
use crate::run::Deadline;

/// The overnight clerk for documents that may not leave the building.
#[derive(Debug, Parser)]
#[command(name = "nightclerk", about, max_term_width = 100, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 all done; 1 could not start or go on; 2 the audit chain does not \
verify; 3 finished, some documents partial, refused, failed or quarantined, or replayed otherwise or \
not at all; 75 work is left, run again"
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    /// Print the version
    #[arg(short = 'V', long)]
    pub(super) version: bool,
    /// With --version: also the commit, the rules and what this processor runs
    #[arg(long, requires = "version")]
    pub(super) verbose: bool,
    /// How facts are printed
    #[arg(long, global = true, value_enum, default_value_t = Style::Text)]
    pub(super) format: Style,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Style {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a folder to begin with: jobs.toml, prompts and an inbox; nothing is overwritten
    Init(InitArgs),
    /// Read, ask and record every document that is due
    Run(RunArgs),
    /// Show what run would do: every file with its state, pages, chunks and tokens
    Plan(PlanArgs),
    /// Ask one question on one document, now, and see the words that it rests on; nothing is recorded
    Ask(AskArgs),
    /// Print the text of a document as it is read
    Text(TextArgs),
    /// Check the audit log: chain, signatures, completeness and the digests of all files
    Verify(VerifyArgs),
    /// Carry a checkpoint of the log out of the building, or take a witness's signature in
    #[command(subcommand)]
    Checkpoint(CheckpointCommand),
    /// Be the witness of another machine's log
    #[command(subcommand)]
    Witness(WitnessCommand),
    /// Write a folder that proves one document's record and shows no other
    Prove(ProveArgs),
    /// Write the HTML page over all records: out/report.html, with the page texts in out/report/
    Report(JobsFile),
    /// Compare the records of two output folders, field by field, and their tables of answered rows, row by row
    Diff(DiffArgs),
    /// Read a reviewed workbook back into the log: signed-off, corrected or rejected, field by field
    Review(ReviewArgs),
    /// Delete the outputs of documents, and say so in the log, which still verifies
    Erase(EraseArgs),
    /// Show the last run, what waits and what is quarantined
    Status(JobsFile),
    /// Score the records against a person's labels: precision and recall of each field
    Score(ScoreArgs),
    /// Show what is in a GGUF and whether it fits, or measure its speed here
    Model(ModelArgs),
    /// Print the completions of a shell
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder
    Man {
        /// The folder, which must be there
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("print").args(["systemd", "cron", "schema"]))]
pub(super) struct InitArgs {
    /// The folder
    #[arg(value_name = "DIR", default_value = ".")]
    pub(super) folder: PathBuf,
    /// Print the systemd units instead: nightclerk.service, then nightclerk.timer
    #[arg(long)]
    pub(super) systemd: bool,
    /// Print the line for cron instead
    #[arg(long)]
    pub(super) cron: bool,
    /// Print the JSON Schema of jobs.toml instead, for editors
    #[arg(long)]
    pub(super) schema: bool,
}

#[derive(Debug, Args)]
pub(super) struct JobsFile {
    /// The jobs file
    #[arg(short = 'c', long = "config", default_value = "jobs.toml")]
    pub(super) config: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    pub(super) jobs: JobsFile,
    /// The log's verifier key, or a file with it: log.vkey of an exported checkpoint; without it, the key
    /// that key_dir of this machine has
    #[arg(long, value_name = "VKEY|FILE")]
    pub(super) key: Option<String>,
    /// A checkpoint that was kept elsewhere: its note, or the folder that was exported
    #[arg(long, value_name = "NOTE")]
    pub(super) known: Vec<PathBuf>,
    /// Name the nights on which no run began, for one in so much time (24h)
    #[arg(long, value_name = "TIME", value_parser = length_above_zero, allow_hyphen_values = true)]
    pub(super) expect_every: Option<Duration>,
    /// Then read and ask N documents again, or those that are named, each alone, and compare text, prompts,
    /// answers and files with the log; a difference gives exit code 3, and so does a named document that
    /// cannot be replayed
    #[arg(long, value_name = "N|DOC", num_args = 1..)]
    pub(super) replay: Vec<String>,
    /// Choose the N documents by this number (default: by the last run's, which is printed)
    #[arg(long, value_name = "N", requires = "replay")]
    pub(super) seed: Option<u64>,
    /// Replay with so many threads; 0: one per core
    #[arg(long, value_name = "N", requires = "replay")]
    pub(super) threads: Option<usize>,
    /// Replay with these instructions of the CPU only
    #[arg(long, value_name = "NAME", requires = "replay")]
    pub(super) tier: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum CheckpointCommand {
    /// Write the last checkpoint for another place: note, key, fingerprint, proofs and leaves
    Export(ExportArgs),
    /// Put the signatures of `[audit] witnesses` that a folder brings back under the log's note
    Import(ExportArgs),
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// The folder, on a stick for instance
    pub(super) folder: PathBuf,
    #[command(flatten)]
    pub(super) jobs: JobsFile,
}

#[derive(Debug, Subcommand)]
pub(super) enum WitnessCommand {
    /// Make the witness's key
    Init {
        /// Names the witness for good: a domain of your own
        name: String,
        #[command(flatten)]
        folder: WitnessFolder,
    },
    /// Sign an exported checkpoint, if it is consistent with what was signed before
    Sign {
        /// The exported folder; the signature goes into it
        bundle: PathBuf,
        #[command(flatten)]
        folder: WitnessFolder,
    },
}

#[derive(Debug, Args)]
pub(super) struct WitnessFolder {
    /// Where the witness keeps its key and what it has signed
    #[arg(long = "dir", value_name = "DIR")]
    pub(super) path: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct ProveArgs {
    /// The document's path in the log (job/root/path), or the end of it
    pub(super) document: String,
    /// The folder to write
    #[arg(long, value_name = "DIR", default_value = "proof")]
    pub(super) out: PathBuf,
    #[command(flatten)]
    pub(super) jobs: JobsFile,
}

#[derive(Debug, Args)]
pub(super) struct ScoreArgs {
    #[command(flatten)]
    pub(super) jobs: JobsFile,
    /// A CSV file with the columns document, field and value: one row for each passage that is right, an
    /// empty value where the document does not state the field. Of a table answered row by row, a column row
    /// says which: its number in the answered table, or a cell of it, as id=A-7
    #[arg(long, value_name = "FILE")]
    pub(super) labels: PathBuf,
    /// Only these jobs
    #[arg(value_name = "JOB")]
    pub(super) only: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct ModelChoice {
    /// Use this model instead of the one in the jobs file
    #[arg(long, requires = "sha256")]
    pub(super) model: Option<PathBuf>,
    /// The SHA-256 of that model; refused on mismatch
    #[arg(long, requires = "model")]
    pub(super) sha256: Option<Digest>,
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) jobs: JobsFile,
    #[command(flatten)]
    pub(super) model: ModelChoice,
    /// Only these jobs
    #[arg(value_name = "JOB")]
    pub(super) only: Vec<String>,
    /// Take at most so many documents
    #[arg(long, value_name = "N")]
    pub(super) limit: Option<usize>,
    /// Take documents again: those that failed or are quarantined, or all
    #[arg(long, value_enum)]
    pub(super) redo: Option<Redo>,
    #[command(flatten)]
    pub(super) deadline: DeadlineArgs,
    /// Also write every question, word for word, and its answer to this new file, as JSON lines
    #[arg(long, value_name = "FILE")]
    pub(super) transcript: Option<PathBuf>,
    /// Keep this file up to date with the run's figures, for Prometheus (node_exporter's textfile collector)
    #[arg(long, value_name = "FILE")]
    pub(super) metrics: Option<PathBuf>,
    /// Answer the requests of this file instead, lines in the format of OpenAI's Batch API
    #[arg(long, value_name = "FILE", requires = "output")]
    #[arg(conflicts_with_all = ["only", "limit", "redo", "until", "length", "transcript"])]
    pub(super) batch: Option<PathBuf>,
    /// With --batch: where the results go, one line for each request, in their order
    #[arg(long, value_name = "FILE", requires = "batch")]
    pub(super) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct EraseArgs {
    #[command(flatten)]
    pub(super) jobs: JobsFile,
    /// The documents: job/root/path, or the end of that
    #[arg(required = true, value_name = "DOC")]
    pub(super) documents: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct DeadlineArgs {
    /// Begin only what is predicted to be finished by this local time, and leave the rest to the next run
    #[arg(long, value_name = "HH:MM", conflicts_with = "length", value_parser = time_of_day)]
    until: Option<Time>,
    /// Likewise, so long from now, for instance 6h
    #[arg(long = "for", id = "length", value_name = "TIME", value_parser = length_above_zero)]
    #[arg(allow_hyphen_values = true)]
    length: Option<Duration>,
}

impl DeadlineArgs {
    pub(super) fn deadline(&self, clock: &dyn Clock) -> Option<Deadline> {
        match (self.until, self.length) {
            (Some(time), _) => Some(Deadline::until(time, clock)),
            (None, length) => length.map(|length| Deadline::after(length, clock)),
        }
    }
}

fn length_above_zero(text: &str) -> Result<Duration, &'static str> {
    let length = jobs::parse_duration(text).filter(|length| !length.is_zero());
    length.ok_or("a length of time like 6h, 90m or 30s is meant")
}

fn time_of_day(text: &str) -> Result<Time, &'static str> {
    // Whoever writes 6:00 means 06:00.
    let text = if text.find(':') == Some(1) { format!("0{text}") } else { text.to_owned() };
    let time = text.parse().ok().filter(|_| text.contains(':'));
    time.ok_or("a time of day from 00:00 to 23:59 is meant, like 06:00")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Redo {
    /// Failed and quarantined documents
    Failed,
    /// Every document whose content or question changed (the default)
    Changed,
    /// Every document
    All,
}

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    pub(super) jobs: JobsFile,
    #[command(flatten)]
    pub(super) model: ModelChoice,
    #[command(flatten)]
    pub(super) deadline: DeadlineArgs,
}

#[derive(Debug, Args)]
pub(super) struct ReviewArgs {
    #[command(flatten)]
    pub(super) jobs: JobsFile,
    /// A workbook of `tables/` in which the column `review` was filled in
    pub(super) workbook: PathBuf,
    /// Who reviewed, where the workbook's column does not say
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub(super) reviewer: String,
}

#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// An output folder, or a record
    pub(super) a: PathBuf,
    /// Another one: of another night, or another model's. Without it each answer is compared with the one that it
    /// took the place of, where the job keeps these (keep_superseded = true)
    pub(super) b: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct AskArgs {
    /// The document
    pub(super) file: PathBuf,
    /// The question
    #[arg(long, value_name = "QUESTION")]
    pub(super) prompt: String,
    #[command(flatten)]
    pub(super) jobs: JobsFile,
    /// Ask this model, as it is, instead of the one in the jobs file, which then need not be there
    #[arg(long)]
    pub(super) model: Option<PathBuf>,
    /// Tried on an encrypted document after the empty password
    #[arg(long)]
    pub(super) password: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct TextArgs {
    /// The document
    pub(super) file: PathBuf,
    /// Which text: as printed, or as the model reads it
    #[arg(long, value_enum, default_value_t = Layer::Verbatim)]
    pub(super) layer: Layer,
    /// Tracked changes taken as accepted, as rejected, or shown: {++inserted++}{>>author, date<<},
    /// {--deleted--}{>>author, date<<}
    #[arg(long, value_enum, default_value_t = ViewArg::Accepted)]
    pub(super) view: ViewArg,
    /// Head each page with its number, state and label
    #[arg(long)]
    pub(super) pages: bool,
    /// Tried on an encrypted document after the empty password
    #[arg(long)]
    pub(super) password: Option<String>,
    /// Have tesseract read pages that are only pictures, in these languages, for instance eng,deu
    #[arg(long, value_name = "LANGUAGES", value_delimiter = ',')]
    pub(super) ocr: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Layer {
    Verbatim,
    Model,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ViewArg {
    Accepted,
    Original,
    Redline,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("measuring").args(["bench", "perplexity"]))]
pub(super) struct ModelArgs {
    /// The GGUF file
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(super) jobs: JobsFile,
    /// Memory that it must fit in, for instance 6GiB
    #[arg(long, default_value = "6GiB")]
    pub(super) memory: String,
    /// Load it and measure its speed; prints the columns of llama.cpp's llama-batched-bench
    #[arg(long)]
    pub(super) bench: bool,
    /// Load it and print its perplexity over these texts, counted as llama.cpp's llama-perplexity does
    #[arg(long, value_name = "TEXT", num_args = 1.., conflicts_with = "bench")]
    pub(super) perplexity: Vec<PathBuf>,
    /// Tokens of each chunk of a text; the second half is scored
    #[arg(long, value_name = "TOKENS", default_value_t = 512, requires = "perplexity")]
    #[arg(value_parser = value_parser!(u32).range(4..))]
    pub(super) context: u32,
    #[command(flatten)]
    pub(super) measured: MeasuredArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "With --bench (threads and tier: with --perplexity too)")]
pub(super) struct MeasuredArgs {
    /// Tokens of each prompt; prompts are random and share no beginning
    #[arg(long, value_name = "TOKENS", default_value_t = 256, requires = "bench")]
    #[arg(value_parser = value_parser!(u32).range(1..))]
    pub(super) pp: u32,
    /// Tokens of each answer
    #[arg(long, value_name = "TOKENS", default_value_t = 16, requires = "bench")]
    #[arg(value_parser = value_parser!(u32).range(1..))]
    pub(super) tg: u32,
    /// Sequences at once; a row is measured for each number
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "1,8,16")]
    #[arg(value_parser = value_parser!(u32).range(1..=SLOTS_MAX as i64), requires = "bench")]
    pub(super) batch: Vec<u32>,
    /// Threads that compute; 0: one per core
    #[arg(long, value_name = "N", default_value_t = 0, requires = "measuring")]
    pub(super) threads: usize,
    /// Only these instructions of the CPU (the slower tiers are there for comparison)
    #[arg(long, value_name = "NAME", requires = "measuring")]
    pub(super) tier: Option<String>,
    /// Print what each operation took
    #[arg(long, requires = "bench")]
    pub(super) timing: bool,
}
