//! The commands that look and change nothing: plan, text, status, model.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::admission::{effort, with_margin};
use super::closing::NOTHING_FOUND;
use super::deadline::Deadline;
use super::erase;
use super::fit::{self, Fit};
use super::night::{Choice, Stand, chosen, stand};
use super::pace::{self, Effort, Pace};
use super::progress::Progress;
use super::read::{self, Pictures, Readers, Reading};
use super::{Broken, STATE_FOLDER, model, pipeline};
use crate::assemble::{MadeWith, Work};
use crate::audit::{Done, Ledger, LogError, RunFacts};
use crate::base::limits::ATTEMPTS_MAX_DEFAULT;
use crate::base::{
    Clock, Limits, Outcome, TokenCounter, Warned, Warning, counted, duration, one_line, read_file,
};
use crate::chunk;
use crate::engine::{self, ModelFacts};
use crate::extract::{self, Document, Layer, Mark, Options, Page, PageState, View};
use crate::intake::{self, Source};
use crate::jobs::{self, Job, Plan, Unit};

/// What a person may say about one document.
#[derive(Clone, Debug, Default)]
pub struct TextOptions {
    /// Tried after the empty password.
    pub password: Option<String>,
    /// How tracked changes are taken.
    pub view: View,
}

/// A document's text, and what was wrong with the document.
#[derive(Debug)]
pub struct Text {
    pub(super) document: Document,
    pub warnings: Vec<Warning>,
}

/// Reads one file, wherever it lies.
///
/// # Errors
/// `Usage` where it cannot be opened, is refused, or breaks its reader.
pub fn text_of(
    server: &mut Readers,
    file: &Path,
    options: &TextOptions,
    limits: &Limits,
) -> Result<Text, Broken> {
    let unusable = |why: String| Broken::Usage(format!("{}: {why}", file.display()));
    let (input, format, note) = intake::open_named(file).map_err(unusable)?;
    let options =
        Options { password: options.password.clone(), view: options.view, ..Options::default() };
    match read::read(server, input, format, &options, limits, Pictures::Recognize(&|| false)) {
        Reading::Read(Warned { output, mut warnings }) => {
            if !note.is_empty() {
                warnings.insert(0, Warning::document(note));
            }
            Ok(Text { document: output, warnings })
        }
        Reading::Refused(refusal) => Err(unusable(refusal.message)),
        Reading::Failed { message, .. } => Err(unusable(message)),
        Reading::Stopped => Err(unusable("its pictures were not all recognized".to_owned())),
    }
}

impl Text {
    /// The text of one layer; `paged` heads each page with its number, label and state.
    pub fn print(&self, model_layer: bool, paged: bool) -> String {
        let layer = if model_layer { Layer::Model } else { Layer::Verbatim };
        match paged {
            true => self.document.paged_text(layer),
            false => self.document.text(layer),
        }
    }

    /// Everything that is known of the document.
    pub fn json(&self) -> serde_json::Value {
        self.document.to_json()
    }

    /// Every page was read or is empty.
    pub fn is_whole(&self) -> bool {
        let whole = |page: &Page| matches!(page.state, PageState::Read | PageState::Empty);
        self.document.pages.iter().all(whole)
    }
}

/// What `run` would do.
#[derive(Debug, Default, Serialize)]
pub struct PlanSheet {
    pub documents: Vec<PlannedDocument>,
    pub due: usize,
    pub pages: u64,
    /// Of the documents that are due; none without the model's file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunks: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Where the model was sought in vain; empty where it is there.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub model_missing: String,
    /// By what the time is foretold: measured in the last run, or just now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pace: Option<Pace>,
    /// Of what is due and in time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// Documents that are due and would be left to another night.
    pub late: usize,
}

#[derive(Debug, Default, Serialize)]
pub struct PlannedDocument {
    pub job: String,
    pub root: String,
    pub path: String,
    /// new, changed, or an outcome of the log.
    pub state: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    pub pages: u64,
    /// None where it is not due or there is no model to count with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunks: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Pages that are only pictures; what text recognition will find in them is not counted.
    #[serde(skip_serializing_if = "is_zero")]
    pub pictures: u64,
    /// By the plan's pace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// It would not be finished by the deadline.
    pub late: bool,
    #[serde(skip)]
    effort: Effort,
    /// Times in a row that it was left to another night.
    #[serde(skip)]
    deferred: u64,
}

/// Reads every document that is due, counts, and asks the model nothing about them.
///
/// # Errors
/// `Broken` where inputs, log or model cannot be read, or the model is another file than the one that is named.
pub fn plan_sheet(
    plan: &Plan,
    server: &mut Readers,
    clock: &dyn Clock,
    progress: &Progress,
    deadline: Option<Deadline>,
) -> Result<PlanSheet, Broken> {
    let ledger = ledger(plan)?;
    let mut sheet = PlanSheet::default();
    let model = match plan.model.locate() {
        Ok(_) => Some(model::checked(plan, progress)?.0),
        Err(missing) => {
            sheet.model_missing = missing.to_string();
            None
        }
    };
    let counter = model.as_deref().map(engine::open_counter).transpose();
    let counter = counter.map_err(|error| Broken::model(&error))?;
    let mut questions = BTreeMap::new();
    for job in chosen(plan, &[])? {
        for source in read::sources(plan, job, server, clock)? {
            let mut document = PlannedDocument {
                job: source.job.clone(),
                root: source.root.clone(),
                path: source.path.clone(),
                deferred: ledger.doc(&source.id).map_or(0, |doc| doc.deferred),
                ..PlannedDocument::default()
            };
            match stand(plan, job, &source, &Choice::default(), &ledger, server.ocr()) {
                Stand::Skip { outcome, reason, .. } => {
                    document.state = outcome.word().to_owned();
                    document.reason = reason;
                }
                Stand::Due(made_with, _) => {
                    progress.say(&format!("reading {}", source.path));
                    let known = ledger.doc(&source.id).is_some_and(|doc| doc.last.is_some());
                    document.state = if known { "changed" } else { "new" }.to_owned();
                    let rows = job.unit_for(source.format) == Unit::Row;
                    let by = if rows { count_rows } else { count_document };
                    let counting = Counting {
                        plan,
                        job,
                        source: &source,
                        made_with,
                        counter: counter.as_deref(),
                    };
                    match by(counting, server, &mut questions, &mut document) {
                        Ok(()) => {}
                        Err(Uncounted::Refused(reason)) => {
                            document.state = Outcome::Refused.word().to_owned();
                            document.reason = reason;
                        }
                        Err(Uncounted::Failed(reason)) => document.reason = reason,
                    }
                    sheet.due += usize::from(document.state != Outcome::Refused.word());
                }
            }
            sheet.documents.push(document);
        }
    }
    progress.finish();
    sheet.pages = sheet.documents.iter().map(|document| document.pages).sum();
    if let Some(model) = model {
        let documents = || sheet.documents.iter();
        sheet.chunks = Some(documents().filter_map(|document| document.chunks).sum());
        sheet.tokens = Some(documents().filter_map(|document| document.tokens).sum());
        if sheet.due > 0 {
            sheet.pace = pace_of(plan, &model, progress)?;
        }
    }
    sheet.foretell(deadline.map(|deadline| deadline.left(clock)));
    Ok(sheet)
}

/// The pace of the last run, or one that is measured now.
fn pace_of(plan: &Plan, path: &Path, progress: &Progress) -> Result<Option<Pace>, Broken> {
    let engine = &plan.engine;
    if let Some(pace) = pace::last(&plan.output, plan.model.sha256, engine.threads) {
        return Ok(Some(pace));
    }
    let mut loaded = model::load(path, &super::settings(engine), progress)?;
    Ok(pace::first(&mut loaded, engine.slots))
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A document that is due and to be counted.
struct Counting<'a> {
    plan: &'a Plan,
    job: &'a Job,
    source: &'a Source,
    made_with: MadeWith,
    counter: Option<&'a dyn TokenCounter>,
}

/// Why a document could not be counted.
enum Uncounted {
    Refused(String),
    Failed(String),
}

/// Tokens of the questions that are known.
type Questions = BTreeMap<Arc<str>, u64>;

fn read_of<T>(reading: Reading<T>) -> Result<T, Uncounted> {
    match reading {
        Reading::Read(read) => Ok(read),
        Reading::Refused(refusal) => Err(Uncounted::Refused(refusal.message)),
        Reading::Failed { message, .. } => Err(Uncounted::Failed(message)),
        Reading::Stopped => Err(Uncounted::Failed("it was not read to its end".to_owned())),
    }
}

fn count_document(
    Counting { plan, job, source, made_with, counter }: Counting<'_>,
    server: &mut Readers,
    questions: &mut Questions,
    planned: &mut PlannedDocument,
) -> Result<(), Uncounted> {
    let read = read::of_source(server, job, source, &plan.limits, Pictures::Leave);
    let read = read_of(read.map_err(Uncounted::Failed)?)?;
    let pages = &read.output.pages;
    planned.pages = pages.len() as u64;
    planned.pictures = pages.iter().filter(|page| page.facts.unread_picture).count() as u64;
    let Some(counter) = counter else { return Ok(()) };
    let budget = job.tasks.iter().map(|task| task.chunk_tokens).min().unwrap_or(1);
    let chunks = chunk::split(&read.output, budget, counter).chunks;
    planned.chunks = Some(chunks.len() as u64);
    planned.tokens = Some(chunks.iter().map(|chunk| chunk.tokens as u64).sum());
    let source = pipeline::work_source(source);
    let (_, requests) = Work::new(job, source, read, made_with, counter, &mut || 0);
    planned.effort = effort(&requests, counter, questions);
    Ok(())
}

/// Rows of a table whose questions are counted; the others are taken to be like them.
const ROWS_COUNTED: usize = 256;

/// Counts a table whose rows are documents: each is a chunk, and the first stand for all.
fn count_rows(
    Counting { plan, job, source, made_with, counter }: Counting<'_>,
    server: &mut Readers,
    questions: &mut Questions,
    planned: &mut PlannedDocument,
) -> Result<(), Uncounted> {
    let (format, limits) = (source.format, &plan.limits);
    let table = read::survey(server, source, limits).map_err(Uncounted::Failed)?;
    let table = read_of(table)?.output;
    (planned.pages, planned.chunks) = (table.sheets.len() as u64, Some(table.rows()));
    let Some(counter) = counter else { return Ok(()) };
    let first = read::rows(server, source, (&table, Mark::default()), limits);
    let rows = read_of(first.map_err(Uncounted::Failed)?)?.rows;
    let mut sample = Effort::default();
    let (mut tokens, mut count) = (0, 0);
    for row in rows.iter().take(ROWS_COUNTED) {
        let document = extract::row_document(format, &table.sheets[row.sheet], row, limits);
        let pages = document.output.pages.iter();
        tokens += pages.map(|page| counter.count(&page.model) as u64).sum::<u64>();
        let source = pipeline::work_source(source);
        let (_, requests) = Work::new(job, source, document, made_with.clone(), counter, &mut || 0);
        sample = sample.plus(effort(&requests, counter, questions));
        count += 1;
    }
    let scaled = |of_sample: u64| of_sample * table.rows() / count;
    planned.tokens = Some(scaled(tokens));
    planned.effort = Effort {
        prompt_tokens: scaled(sample.prompt_tokens),
        answer_tokens_max: scaled(sample.answer_tokens_max),
    };
    Ok(())
}

impl PlanSheet {
    /// Says of every document how long it takes and whether it is in time, as `run` would take them in.
    fn foretell(&mut self, left: Option<Duration>) {
        let Some(pace) = self.pace else { return };
        let mut order: Vec<&mut PlannedDocument> =
            self.documents.iter_mut().filter(|document| document.tokens.is_some()).collect();
        order.sort_by_key(|document| Reverse(document.deferred));
        let mut taken = Effort::default();
        for document in order {
            document.seconds = Some(pace.time(document.effort).as_secs());
            let with_it = taken.plus(document.effort);
            document.late = left.is_some_and(|left| with_margin(pace.time(with_it)) > left);
            match document.late {
                true => self.late += 1,
                false => taken = with_it,
            }
        }
        self.seconds = Some(pace.time(taken).as_secs());
    }

    /// For a person.
    pub fn table(&self) -> String {
        let mut text = String::new();
        for document in &self.documents {
            let PlannedDocument { job, root, path, state, reason, pages, .. } = document;
            let _ = write!(text, "{state:<12}{job}/{root}/{}", one_line(path));
            let _ = match (reason.as_str(), *pages) {
                ("", 0) => writeln!(text),
                ("", _) => {
                    let time = document.seconds.map_or(String::new(), |seconds| {
                        format!(", about {}", duration(seconds as f64))
                    });
                    let late = if document.late { "; not in time" } else { "" };
                    let pictures = match document.pictures {
                        0 => String::new(),
                        count => format!(", {count} of them only pictures"),
                    };
                    let counts = read_through(document.chunks, document.tokens);
                    writeln!(text, ": {}{pictures}{counts}{time}{late}", counted(*pages, "page"))
                }
                (reason, _) => writeln!(text, ": {}", one_line(reason)),
            };
        }
        if self.documents.is_empty() {
            return format!("{NOTHING_FOUND}\n");
        }
        let _ = writeln!(
            text,
            "\n{}, {} of them due: {}{}",
            counted(self.documents.len() as u64, "document"),
            self.due,
            counted(self.pages, "page"),
            read_through(self.chunks, self.tokens)
        );
        if !self.model_missing.is_empty() {
            let _ = writeln!(text, "tokens and time are not known: {}", self.model_missing);
        }
        if let (Some(seconds), Some(pace)) = (self.seconds, self.pace) {
            let _ = writeln!(
                text,
                "about {} of work, at {:.0} prompt and {:.0} answer tokens a second",
                duration(seconds as f64),
                pace.prompt_tokens_per_second,
                pace.answer_tokens_per_second
            );
        }
        if self.late > 0 {
            let _ = writeln!(text, "{} would be left to another night", self.late);
        }
        text
    }
}

/// What the model is to read, as far as it is known, behind a count of pages.
fn read_through(chunks: Option<u64>, tokens: Option<u64>) -> String {
    let chunks = chunks.map(|chunks| format!(", {}", counted(chunks, "chunk")));
    let tokens = tokens.map(|tokens| format!(", {}", counted(tokens, "token")));
    chunks.unwrap_or_default() + &tokens.unwrap_or_default()
}

/// The last run and what waits.
#[derive(Debug, Serialize)]
pub struct StatusSheet {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run: Option<RunFacts>,
    /// Every document that the log knows, by its last outcome, or as erased.
    pub documents: BTreeMap<&'static str, u64>,
    /// Documents that are not done, with reasons.
    pub waiting: Vec<Waiting>,
}

#[derive(Debug, Serialize)]
pub struct Waiting {
    pub path: String,
    pub outcome: Outcome,
    pub reason: String,
    /// Runs in which it failed as it is now, and how many are made before it is left alone; of a document
    /// that fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<Attempts>,
}

#[derive(Debug, Serialize)]
pub struct Attempts {
    pub made: u64,
    pub max: u32,
}

/// Reads the log, nothing else.
///
/// # Errors
/// `Broken` where the log cannot be read or does not hold.
pub fn status_sheet(plan: &Plan) -> Result<StatusSheet, Broken> {
    let ledger = ledger(plan)?;
    let mut documents = BTreeMap::new();
    let mut waiting = Vec::new();
    for (_, doc) in ledger.docs() {
        let Some(last) = &doc.last else { continue };
        let word = if doc.erased.is_some() { "erased" } else { last.outcome.word() };
        *documents.entry(word).or_default() += 1;
        if doc.erased.is_none() && !matches!(last.outcome, Outcome::Done | Outcome::Unchanged) {
            let fails = matches!(last.outcome, Outcome::Failed | Outcome::Quarantined);
            let job = plan.jobs.iter().find(|job| erase::job_of(&doc.path) == job.name);
            let max = job.map_or(ATTEMPTS_MAX_DEFAULT, |job| job.attempts_max);
            waiting.push(Waiting {
                path: doc.path.clone(),
                outcome: last.outcome,
                reason: last.reason.clone(),
                attempts: fails.then_some(Attempts { made: doc.attempts, max }),
            });
        }
    }
    waiting.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(StatusSheet { last_run: ledger.last_run().cloned(), documents, waiting })
}

impl StatusSheet {
    /// For a person.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let _ = match &self.last_run {
            None => writeln!(text, "no run yet"),
            Some(run) => {
                let ended = run.ended.as_deref().unwrap_or("not yet, or it was cut off");
                writeln!(
                    text,
                    "last run: started {}, ended {ended}, model {}",
                    run.started, run.model
                )
            }
        };
        for (outcome, count) in &self.documents {
            let _ = writeln!(text, "{count:>6} {outcome}");
        }
        for Waiting { path, outcome, reason, attempts } in &self.waiting {
            let _ = writeln!(text, "{outcome:<12}{}: {}", one_line(path), one_line(reason));
            let _ = match attempts {
                Some(Attempts { made, max }) if *made < u64::from(*max) => {
                    writeln!(
                        text,
                        "            attempt {made} of {max}; the next run tries it again"
                    )
                }
                // Quarantined, the reason says so already.
                Some(Attempts { made, max }) if *outcome == Outcome::Failed => writeln!(
                    text,
                    "            attempt {made} of {max}; now left alone, until: nightclerk run --redo failed"
                ),
                _ => Ok(()),
            };
        }
        text
    }
}

/// The ledger of the plan's output; an empty one before the first run.
pub(super) fn ledger(plan: &Plan) -> Result<Ledger, Broken> {
    match Ledger::read(&plan.output.join(STATE_FOLDER)) {
        Err(LogError::Missing { .. }) => Ok(Ledger::default()),
        other => Ok(other?),
    }
}

/// The record on disk, if it can be read.
pub(super) fn written(plan: &Plan, done: &Done) -> Option<serde_json::Value> {
    let file = done.outputs.iter().find(|file| file.path.ends_with(".json"))?;
    let bytes = read_file(&plan.output.join(&file.path)).ok()??;
    serde_json::from_slice(&bytes).ok()
}

/// A model's facts, and whether it fits.
#[derive(Debug, Serialize)]
pub struct ModelSheet {
    pub facts: ModelFacts,
    pub fit: Fit,
    /// Bytes that a run with these settings takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Why it does not fit, and what would; empty where it fits.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub refused: String,
}

/// Opens a GGUF's header and plans its memory as a run with the default settings would in
/// `memory_bytes`; loads no weights.
///
/// # Errors
/// `Model` where the file is no model that can be run.
pub fn model_sheet(file: &Path, memory_bytes: u64) -> Result<ModelSheet, Broken> {
    let settings = engine::Settings::new(memory_bytes, jobs::DATE_DEFAULT);
    let (facts, fits) = engine::inspect(file, &settings).map_err(|error| Broken::model(&error))?;
    let fit = fit::fit(&facts);
    Ok(match fits {
        Ok(bytes) => ModelSheet { facts, fit, memory_bytes: Some(bytes), refused: String::new() },
        Err(error) => ModelSheet { facts, fit, memory_bytes: None, refused: error.to_string() },
    })
}
