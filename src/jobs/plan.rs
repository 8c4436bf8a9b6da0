//! The understood form of `jobs.toml` and its task files. No option means "default" here, no string
//! means a choice; whoever holds a `Plan` need not ask again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use globset::GlobSet;

use crate::base::limits::QUOTE_WORDS_DEFAULT;
use crate::base::{Digest, Format, Limits};

/// Everything that `jobs.toml` says, resolved and checked.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The file it came from, absolute.
    pub file: PathBuf,
    /// Of the bytes of that file.
    pub digest: Digest,
    /// Absolute.
    pub output: PathBuf,
    pub model: Model,
    pub engine: Engine,
    pub audit: Audit,
    pub isolation: Require,
    /// How pages that are only pictures are read; none: not at all.
    pub ocr: Option<Ocr>,
    pub limits: Limits,
    /// In the order written; names are unique.
    pub jobs: Vec<Job>,
}

/// Which model answers.
#[derive(Clone, Debug)]
pub struct Model {
    /// Absolute: the first of `sought` that was there when the plan was made, else the first of them.
    /// Whoever opens it goes through `locate`.
    pub path: PathBuf,
    /// Where it may lie, in order: beside `jobs.toml`, then in the user's cache. Absolute.
    pub sought: Vec<PathBuf>,
    /// Refused on mismatch.
    pub sha256: Digest,
}

#[derive(Clone, Debug)]
pub struct Engine {
    /// At least 1.
    pub threads: usize,
    /// Sequences in a step, 1 to `limits::SLOTS_MAX`.
    pub slots: usize,
    /// Bytes for weights, KV and buffers.
    pub memory_bytes: u64,
    /// The longest prompt with its answer, in tokens; capped by the model's own context.
    pub context_tokens: usize,
    /// For chat templates that ask for the date (DESIGN.md section 5): as written, e.g. "2026-01-31".
    pub date: String,
}

#[derive(Clone, Debug)]
pub struct Audit {
    /// Names the log, schema-less: "example.com/contracts".
    pub origin: String,
    /// Absolute; never under `Plan::output`.
    pub key_dir: PathBuf,
    /// C2SP verifier keys of the witnesses whose signatures count; not yet parsed.
    pub witnesses: Vec<String>,
}

/// Which ways out of the program must be closed before a document is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Require {
    /// Those to the network.
    #[default]
    Network,
    /// Every one, those to files too.
    All,
    /// None: what the machine gives is taken, and logged.
    None,
}

impl Require {
    /// As written in `jobs.toml`.
    pub fn word(self) -> &'static str {
        match self {
            Require::Network => "network",
            Require::All => "all",
            Require::None => "none",
        }
    }
}

/// Text recognition by a program that may or may not be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ocr {
    /// An absolute path, or a name to be sought where programs lie.
    pub program: PathBuf,
    /// As tesseract names its data ("eng", "deu"), in order of weight; never empty.
    pub languages: Vec<String>,
}

impl Ocr {
    /// Tesseract, for these languages; none where one of them cannot be the name of one, or there are none.
    pub fn tesseract(languages: Vec<String>) -> Option<Ocr> {
        let is_name = |name: &String| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/');
            name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(allowed)
        };
        let named = !languages.is_empty() && languages.iter().all(is_name);
        named.then(|| Ocr { program: PathBuf::from("tesseract"), languages })
    }
}

#[derive(Clone, Debug)]
pub struct Job {
    /// Also the name of its folder under the output: letters, digits, `-`, `_`, `.`.
    pub name: String,
    /// Sorted by name; names are unique within the job.
    pub roots: Vec<Root>,
    pub include: GlobSet,
    pub exclude: GlobSet,
    pub tasks: Vec<Arc<Task>>,
    /// Younger files wait for the next run.
    pub settle: Duration,
    /// Failed runs after which a document is quarantined.
    pub attempts_max: u32,
    /// Tried on encrypted documents after the empty one.
    pub password: Option<String>,
    /// Whether the members of ZIP archives are read, each as a document.
    pub archives: bool,
    /// How long outputs stay.
    pub keep: Keep,
    /// Whether the files of an answer are kept beside the log when another takes their place.
    pub keep_superseded: bool,
    /// What must be right before a night begins.
    pub gate: Option<Gate>,
}

/// A golden set and its bar: documents whose answers a person knows.
#[derive(Clone, Debug)]
pub struct Gate {
    /// A CSV file with the columns document, field and value; absolute.
    pub labels: PathBuf,
    /// Absolute; only ever read.
    pub documents: PathBuf,
    /// Files of it that are taken: all.
    pub include: GlobSet,
    /// Least micro-F1 over `fields`, in thousandths.
    pub f1_min_milli: u64,
    /// Fields that count; all that are labelled where there are none.
    pub fields: Vec<String>,
}

/// When a document's outputs are erased; at the start of the next run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    Always,
    /// So long after they were written.
    For(Duration),
    /// Through this day, local time.
    Until(jiff::civil::Date),
}

/// A folder whose documents are read; only ever read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Also the name of its folder under the job's.
    pub name: String,
    /// Absolute.
    pub folder: PathBuf,
}

/// A task file, understood.
#[derive(Clone, Debug)]
pub struct Task {
    /// The file's stem; unique within a job.
    pub name: String,
    /// Of the bytes of the task file and of the files that it names.
    pub digest: Digest,
    pub kind: TaskKind,
    /// Formats that it applies to; never empty.
    pub formats: Vec<Format>,
    pub unit: Unit,
    /// What the model is told to be; the same text in all tasks lets them share a prefix.
    pub system: Arc<str>,
    /// What is asked.
    pub instruction: Arc<str>,
    /// Tokens of one chunk of the document.
    pub chunk_tokens: usize,
    /// Tokens of one answer.
    pub answer_tokens_max: u32,
    /// How an extraction goes through a document.
    pub read: Read,
    /// How 03/04/2019 is read; none where the task does not say.
    pub day_order: Option<DayOrder>,
}

/// How much of a document each field's question is asked of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// Every chunk.
    All,
    /// Passages that code ranks by the field's question and key phrases, best first, until the
    /// evidence suffices.
    Relevant,
}

/// Which of two numbers of a date comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayOrder {
    DayFirst,
    MonthFirst,
}

#[derive(Clone, Debug)]
pub enum TaskKind {
    Summarize {
        /// Most words of the summary, text and points together.
        length: usize,
        /// What is asked of an aspect's passages, before its question.
        aspect_instruction: Arc<str>,
        /// What is asked of the notes on adjoining parts where there are more than the length takes.
        reduce_instruction: Arc<str>,
        /// What is asked of the facts and first rows of a table.
        table_instruction: Arc<str>,
        /// In the order written.
        aspects: Vec<Aspect>,
    },
    Extract {
        /// In the order written; names are unique.
        fields: Vec<Field>,
    },
}

/// One thing that a summary says of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aspect {
    /// Title (`name`), question, phrases, type and position, as those of a field. Asked of the opening, it
    /// is what the summary begins with.
    pub field: Field,
    /// Its passages stand for themselves; the model is not asked.
    pub verbatim: bool,
    /// Words of the opening of documents that are expected to speak of it.
    pub expected_in: Vec<String>,
}

/// What one answer is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Document,
    /// Each row of a table is a document of its own.
    Row,
}

/// One thing to find in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Key of the record and column of the table.
    pub name: String,
    pub question: String,
    pub value: FieldType,
    /// Most words of the quote.
    pub quote_words_max: usize,
    /// More than one value may stand in the document (parties).
    pub many: bool,
    /// What may be answered; for `FieldType::Choice`, and then never empty.
    pub options: Vec<String>,
    /// Words that a passage which states it is likely to hold; a `*` ends a word that may go on.
    pub phrases: Vec<String>,
    /// Words of which the passage or its heading must hold one besides; empty: no more is needed.
    pub needs: Vec<String>,
    /// Words with one of which a passage that holds a phrase says something else.
    pub unless: Vec<String>,
    /// The yes-or-no question about one passage; `{quote}` in it stands for the quote. None: made of
    /// `question`.
    pub check: Option<String>,
    /// Whether a quote is the passage's sentence or the value in it.
    pub quote: QuoteForm,
    /// Where in the document to look first.
    pub position: Position,
    /// Least difference of the logits of yes and no, in thousandths, at which a passage is taken.
    pub margin_min: i64,
}

impl Job {
    /// Those of its tasks that apply to documents of `format`. What they are about is the same for all.
    pub fn tasks_for(&self, format: Format) -> impl Iterator<Item = &Arc<Task>> {
        self.tasks.iter().filter(move |task| task.formats.contains(&format))
    }

    /// Whether the patterns take a file at `path` below a root.
    pub fn takes(&self, path: &Path) -> bool {
        self.include.is_match(path) && !self.exclude.is_match(path)
    }

    /// What one answer is about in documents of `format`.
    pub fn unit_for(&self, format: Format) -> Unit {
        self.tasks_for(format).next().map_or(Unit::Document, |task| task.unit)
    }
}

impl Field {
    /// A field that says no more than it must.
    pub fn new(name: &str, question: &str, value: FieldType) -> Field {
        let by_value = matches!(value, FieldType::Party | FieldType::Date | FieldType::Title);
        Field {
            name: name.to_owned(),
            question: question.to_owned(),
            value,
            quote_words_max: QUOTE_WORDS_DEFAULT,
            many: false,
            options: Vec::new(),
            phrases: Vec::new(),
            needs: Vec::new(),
            unless: Vec::new(),
            check: None,
            quote: if by_value { QuoteForm::Value } else { QuoteForm::Sentence },
            position: Position::Anywhere,
            margin_min: 0,
        }
    }
}

/// What a quote is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuoteForm {
    Sentence,
    /// The date, the name, the line itself.
    Value,
}

/// Where a field's passages stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    Anywhere,
    /// Where the document opens, or where it is signed.
    Opening,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    Text,
    Party,
    Date,
    Duration,
    Money,
    /// A state, country or city.
    Place,
    YesNo,
    /// One of the field's `options`.
    Choice,
    /// The document's own title.
    Title,
    /// A table of the document, with its header and rows; only where `read` is what is relevant.
    Table,
}
