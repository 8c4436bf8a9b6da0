//! The night's three threads: one reads documents, one owns the model, and the caller's own assembles
//! and commits. A row of a table that is a document of its own goes the same way as any. All queues between
//! them are bounded; no thread waits for two others at once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, Select, Sender, bounded};

use super::admission::Admission;
use super::progress::Progress;
use super::read::{self, Pictures, Readers, Reading};
use super::rows::RowEnd;
use super::shape;
use super::transcript::Transcript;
use crate::assemble::{MadeWith, Record, Work, WorkSource};
use crate::base::limits::{
    QUESTIONS_PER_SLOT, QUEUE_ANSWERS_MAX, QUEUE_DOCUMENTS_MAX, ROWS_OPEN_MAX,
};
use crate::base::{Completion, Digest, Limits, TokenCounter, Warned, Warning};
use crate::engine::{Engine, Request};
use crate::extract::{self, Document, Mark, Row, Survey};
use crate::intake::{self, Source};
use crate::jobs::Job;

/// A document that is to be read and asked this run.
pub(super) struct Due<'a> {
    pub(super) source: &'a Source,
    pub(super) job: &'a Job,
    /// Without `ocr`.
    pub(super) made_with: MadeWith,
    /// Whether pages that are only pictures are recognized, if anything can.
    pub(super) recognize: bool,
    /// Of a table whose rows are documents: how many of them were answered before.
    pub(super) rows: Option<u64>,
}

/// What happened to a due document.
pub(super) enum Step {
    /// It was read, or the attempt was made; whether text recognition was asked about any page.
    Begun {
        recognized: bool,
    },
    /// It is a table that looks like this; its rows follow.
    Table(Box<Warned<Survey>>),
    /// The next row of a table, in the table's order.
    Row(RowEnd),
    Ended(Settled),
}

/// Told of each step, in order for each document; an error stops the run.
pub(super) type OnStep<'a, E> = dyn FnMut(usize, Step) -> Result<(), E> + 'a;

/// How a due document ended.
pub(super) enum Settled {
    Answered {
        record: Box<Record>,
        /// Of both layers of every page.
        text: Digest,
    },
    /// A table: every row was a step.
    Rows,
    /// Not readable as it is; no attempt is counted.
    Refused(String),
    /// Broken on the way; counts as an attempt.
    Failed { class: &'static str, message: String },
    /// Not finished before the run was asked to stop.
    Deferred(String),
}

/// What the reading thread hands on.
enum FromReader {
    Opened {
        index: usize,
        open: Box<Open>,
        requests: Vec<Request>,
    },
    Table {
        index: usize,
        survey: Box<Warned<Survey>>,
    },
    /// A row, counted from 0 over its table.
    Row {
        key: Key,
        open: Box<Open>,
        requests: Vec<Request>,
    },
    /// No more rows of this table follow; how it ends.
    RowsEnded {
        index: usize,
        settled: Settled,
    },
    Ended {
        index: usize,
        settled: Settled,
    },
    /// Not taken in: it would not be finished in time; why.
    Passed {
        index: usize,
        reason: String,
    },
}

/// A document by its index in `due`, and of a table the row, counted from 0; of others 0.
type Key = (usize, u64);

/// A document whose questions are with the engine.
struct Open {
    work: Work,
    text: Digest,
    /// The row that it is.
    row: Option<Row>,
}

/// What the inference thread hands on.
enum FromEngine {
    Completed(Completion),
    /// Never begun: the run stops.
    Dropped(u64),
    /// The engine can never take this request; why.
    Unfit(u64, String),
}

/// Works off `due` in order of reading and tells `on` of each begin and each end, once. Stops early when
/// `on` fails, or when the night is over: then what is nearly done is finished, and the rest is deferred.
pub(super) fn work_off<E>(
    due: &[Due<'_>],
    limits: &Limits,
    server: &mut Readers,
    (engine, transcript, slots): (&mut Engine, Option<&mut Transcript>, usize),
    progress: &Progress,
    admission: &Admission,
    on: &mut OnStep<'_, E>,
) -> Result<(), E> {
    let counter = engine.counter();
    let ids = AtomicU64::new(0);
    let (documents_in, documents) = bounded(2);
    let (requests, requests_out) = bounded(QUEUE_DOCUMENTS_MAX);
    let (answers_in, answers) = bounded(QUEUE_ANSWERS_MAX);
    thread::scope(|scope| {
        let counter = counter.as_ref();
        let ids = &ids;
        scope.spawn(move || {
            Reader { limits, server, counter, ids, admission, documents: documents_in }.read(due)
        });
        scope.spawn(move || {
            infer(engine, transcript, progress, admission, &requests_out, &answers_in)
        });
        // Its ends of the queues go with it, so that the threads end whenever it does.
        Collector {
            counter,
            ids,
            admission,
            documents: Some(documents),
            requests,
            answers,
            open: BTreeMap::new(),
            tables: BTreeMap::new(),
            asked: BTreeMap::new(),
            questions_enough: QUESTIONS_PER_SLOT * slots,
            backlog: VecDeque::new(),
            settled: vec![false; due.len()],
        }
        .collect(on)
    })
}

/// The reading thread: one document after the other, each in a child of its own.
struct Reader<'a> {
    limits: &'a Limits,
    server: &'a mut Readers,
    counter: &'a dyn TokenCounter,
    ids: &'a AtomicU64,
    admission: &'a Admission,
    documents: Sender<FromReader>,
}

/// The collector gave up; it says why.
struct Unheard;

impl Reader<'_> {
    fn read(mut self, due: &[Due<'_>]) {
        for (index, due) in due.iter().enumerate() {
            if self.admission.over().is_some() {
                return;
            }
            let heard = match due.rows {
                None => self.document(index, due),
                Some(from) => self.table(index, due, from),
            };
            if heard.is_err() {
                return;
            }
        }
    }

    fn send(&self, message: FromReader) -> Result<(), Unheard> {
        self.documents.send(message).map_err(|_| Unheard)
    }

    fn document(&mut self, index: usize, due: &Due<'_>) -> Result<(), Unheard> {
        let message = match self.read_one(due) {
            Ok((open, requests)) => match self.admission.take(&requests, self.counter) {
                Ok(()) => FromReader::Opened { index, open: Box::new(open), requests },
                Err(reason) => FromReader::Passed { index, reason },
            },
            Err(settled) => FromReader::Ended { index, settled },
        };
        self.send(message)
    }

    fn read_one(&mut self, due: &Due<'_>) -> Result<(Open, Vec<Request>), Settled> {
        let source = due.source;
        let over = || self.admission.over().is_some();
        let pictures = if due.recognize { Pictures::Recognize(&over) } else { Pictures::Leave };
        let read = read::of_source(self.server, due.job, source, self.limits, pictures);
        let mut document = understood(read.map_err(unopened)?)?;
        intake::unchanged(source).map_err(Settled::Refused)?;
        if !source.note.is_empty() {
            document.warnings.insert(0, Warning::document(source.note.clone()));
        }
        Ok(self.open(due, document, None))
    }

    fn open(
        &self,
        due: &Due<'_>,
        document: Warned<Document>,
        row: Option<Row>,
    ) -> (Open, Vec<Request>) {
        let text = read::text_digest(&document.output);
        let mut made_with = due.made_with.clone();
        if let Some(ocr) = self.server.ocr().filter(|_| document.output.was_recognized()) {
            made_with = shape::with_ocr(&made_with, ocr);
        }
        let (work, requests) = Work::new(
            due.job,
            work_source(due.source),
            document,
            made_with,
            self.counter,
            &mut || self.ids.fetch_add(1, Ordering::Relaxed),
        );
        (Open { work, text, row }, requests)
    }

    /// A table, whose rows from the `from`-th on are handed on one by one.
    fn table(&mut self, index: usize, due: &Due<'_>, from: u64) -> Result<(), Unheard> {
        let survey = match self.survey(due) {
            Ok(survey) => survey,
            Err(settled) => return self.send(FromReader::Ended { index, settled }),
        };
        let table = survey.output.clone();
        self.send(FromReader::Table { index, survey: Box::new(survey) })?;
        let settled = self.rows(index, due, &table, from)?;
        self.send(FromReader::RowsEnded { index, settled })
    }

    fn survey(&mut self, due: &Due<'_>) -> Result<Warned<Survey>, Settled> {
        let read = read::survey(self.server, due.source, self.limits).map_err(unopened)?;
        let mut survey = understood(read)?;
        if !due.source.note.is_empty() {
            survey.warnings.insert(0, Warning::document(due.source.note.clone()));
        }
        Ok(survey)
    }

    /// Hands on the rows of `table` from the `from`-th on, and says how the table ends.
    fn rows(
        &mut self,
        index: usize,
        due: &Due<'_>,
        table: &Survey,
        from: u64,
    ) -> Result<Settled, Unheard> {
        let format = due.source.format;
        let mut next = Mark { rows: from, start: None };
        while next.rows < table.rows() {
            let piece = read::rows(self.server, due.source, (table, next), self.limits);
            let piece = match piece.map_err(unopened).and_then(understood) {
                Ok(piece) => piece,
                Err(settled) => return Ok(settled),
            };
            for (at, row) in (next.rows..).zip(piece.rows) {
                if let Some(why) = self.admission.over() {
                    return Ok(Settled::Deferred(format!("{why} before it was finished")));
                }
                let sheet = &table.sheets[row.sheet];
                let document = extract::row_document(format, sheet, &row, self.limits);
                let (open, requests) = self.open(due, document, Some(row));
                if let Err(reason) = self.admission.take(&requests, self.counter) {
                    return Ok(Settled::Deferred(format!("from row {} on: {reason}", at + 1)));
                }
                let open = Box::new(open);
                self.send(FromReader::Row { key: (index, at), open, requests })?;
            }
            next = piece.next;
        }
        Ok(intake::unchanged(due.source).map_or_else(Settled::Refused, |()| Settled::Rows))
    }
}

fn unopened(message: String) -> Settled {
    Settled::Failed { class: "io", message }
}

fn understood<T>(reading: Reading<T>) -> Result<T, Settled> {
    match reading {
        Reading::Read(read) => Ok(read),
        Reading::Refused(refusal) => Err(Settled::Refused(refusal.message)),
        Reading::Failed { class, message } => Err(Settled::Failed { class, message }),
        Reading::Stopped => {
            Err(Settled::Deferred("the run ended before its pictures were recognized".to_owned()))
        }
    }
}

/// What `assemble` needs to know of a source.
pub(super) fn work_source(source: &Source) -> WorkSource {
    WorkSource {
        job: source.job.clone(),
        root: source.root.clone(),
        path: source.path.clone(),
        sha256: source.digest,
        bytes: source.bytes,
        format: source.format,
    }
}

/// The inference thread: the only one that touches the model.
fn infer(
    engine: &mut Engine,
    mut transcript: Option<&mut Transcript>,
    progress: &Progress,
    admission: &Admission,
    requests: &Receiver<Vec<Request>>,
    answers: &Sender<FromEngine>,
) {
    let mut emptied = false;
    loop {
        if engine.idle() {
            let Ok(asked) = requests.recv() else { return };
            if submit(engine, asked, transcript.as_deref_mut(), admission, answers).is_err() {
                return;
            }
        }
        while let Ok(asked) = requests.try_recv() {
            if submit(engine, asked, transcript.as_deref_mut(), admission, answers).is_err() {
                return;
            }
        }
        let mut out = Vec::new();
        if !emptied && admission.over().is_some() {
            emptied = true;
            out.extend(engine.cancel_waiting().into_iter().map(FromEngine::Dropped));
        }
        let (before, began) = (engine.progress(), admission.now());
        let completed = engine.step();
        let now = engine.progress();
        let prompt_tokens = now.prompt_tokens_done - before.prompt_tokens_done;
        let answer_tokens = now.answer_tokens - before.answer_tokens;
        admission.stepped(prompt_tokens, answer_tokens, admission.now().saturating_sub(began));
        let questions = completed.len() as u64;
        for completion in &completed {
            admission.answered(completion);
            transcript.iter_mut().for_each(|transcript| transcript.answered(completion));
        }
        out.extend(completed.into_iter().map(FromEngine::Completed));
        progress.update(|standing| {
            standing.prompt_tokens = now.prompt_tokens_done;
            standing.answer_tokens = now.answer_tokens;
            standing.questions_done += questions;
            standing.running = now.running;
            standing.waiting = now.waiting;
        });
        for answer in out {
            if answers.send(answer).is_err() {
                return;
            }
        }
    }
}

/// Submits what is asked of one document before any of it is begun: what all of it begins with is then
/// seen to be of use, and is computed once. An error: nobody hears the answers any more.
fn submit(
    engine: &mut Engine,
    asked: Vec<Request>,
    mut transcript: Option<&mut Transcript>,
    admission: &Admission,
    answers: &Sender<FromEngine>,
) -> Result<(), ()> {
    for request in asked {
        admission.asked(&request);
        transcript.iter_mut().for_each(|transcript| transcript.asked(&request));
        let id = request.id;
        if let Err(error) = engine.submit(request) {
            answers.send(FromEngine::Unfit(id, error.to_string())).map_err(|_| ())?;
        }
    }
    Ok(())
}

/// The caller's thread between the two others.
struct Collector<'a> {
    counter: &'a dyn TokenCounter,
    ids: &'a AtomicU64,
    admission: &'a Admission,
    /// None once the reader has ended.
    documents: Option<Receiver<FromReader>>,
    requests: Sender<Vec<Request>>,
    answers: Receiver<FromEngine>,
    open: BTreeMap<Key, Box<Open>>,
    /// By index in `due`.
    tables: BTreeMap<usize, Table>,
    /// Request id → document.
    asked: BTreeMap<u64, Key>,
    /// With so many questions open no further document is taken in: those that are in get finished,
    /// and a kill costs little.
    questions_enough: usize,
    /// Not yet taken by the inference thread, by document.
    backlog: VecDeque<Vec<Request>>,
    settled: Vec<bool>,
}

/// A table whose rows are on their way.
struct Table {
    /// The row that is handed on next.
    next: u64,
    /// Answered, and waiting for an earlier row.
    waiting: BTreeMap<u64, RowEnd>,
    /// Rows with the engine.
    open: usize,
    /// A row was given up: those after it are not handed on.
    given_up: Option<Settled>,
    /// No further row comes.
    end: Option<Settled>,
}

impl Table {
    fn beginning(next: u64) -> Table {
        Table { next, waiting: BTreeMap::new(), open: 0, given_up: None, end: None }
    }
}

impl Collector<'_> {
    /// Whether there is room for a document, or another row.
    fn wants_document(&self) -> bool {
        let open: usize = self.tables.values().map(|table| table.open).sum();
        let waiting: usize = self.tables.values().map(|table| table.waiting.len()).sum();
        self.open.len() - open < QUEUE_DOCUMENTS_MAX
            && open + waiting < ROWS_OPEN_MAX
            && self.asked.len() < self.questions_enough
    }

    fn collect<E>(mut self, on: &mut OnStep<'_, E>) -> Result<(), E> {
        while self.documents.is_some() || !self.open.is_empty() {
            let wants_document = self.wants_document();
            let documents = self.documents.clone().filter(|_| wants_document);
            let mut select = Select::new();
            let from_engine = select.recv(&self.answers);
            let from_reader = documents.as_ref().map(|documents| select.recv(documents));
            let to_engine = (!self.backlog.is_empty()).then(|| select.send(&self.requests));
            let ready = select.select();
            match ready.index() {
                index if Some(index) == to_engine => {
                    let asked = self.backlog.pop_front().expect("the backlog is not empty");
                    // Fails only when the inference thread has panicked; its panic is passed on by
                    // the scope, and `answers` will say that it is gone.
                    let _ = ready.send(&self.requests, asked);
                }
                index if index == from_engine => match ready.recv(&self.answers) {
                    Ok(answer) => self.answer(answer, on)?,
                    Err(_) => return Ok(()), // As above: the scope passes the panic on.
                },
                index => {
                    debug_assert_eq!(Some(index), from_reader);
                    let documents = documents.as_ref().expect("it was selected");
                    match ready.recv(documents) {
                        Ok(message) => self.document(message, on)?,
                        Err(_) => self.documents = None,
                    }
                }
            }
        }
        let left: Vec<usize> = self
            .settled
            .iter()
            .enumerate()
            .filter(|(_, settled)| !**settled)
            .map(|(i, _)| i)
            .collect();
        for index in left {
            let reason = format!("{} before it was read", self.why_over());
            on(index, Step::Ended(Settled::Deferred(reason)))?;
        }
        Ok(())
    }

    fn why_over(&self) -> &'static str {
        self.admission.over().unwrap_or("the run ended")
    }

    fn document<E>(&mut self, message: FromReader, on: &mut OnStep<'_, E>) -> Result<(), E> {
        match message {
            FromReader::Passed { index, reason } => self.end(index, Settled::Deferred(reason), on),
            FromReader::Ended { index, settled } => {
                on(index, Step::Begun { recognized: false })?;
                self.end(index, settled, on)
            }
            FromReader::Opened { index, open, requests } => {
                on(index, Step::Begun { recognized: open.work.was_recognized() })?;
                let key = (index, 0);
                self.open.insert(key, open);
                self.ask(key, requests);
                self.close_if_finished(key, on)
            }
            FromReader::Table { index, survey } => {
                on(index, Step::Begun { recognized: false })?;
                on(index, Step::Table(survey))?;
                Ok(())
            }
            FromReader::Row { key, open, requests } => {
                self.tables.entry(key.0).or_insert_with(|| Table::beginning(key.1)).open += 1;
                self.open.insert(key, open);
                self.ask(key, requests);
                self.close_if_finished(key, on)
            }
            FromReader::RowsEnded { index, settled } => match self.tables.get_mut(&index) {
                Some(table) => {
                    table.end = Some(settled);
                    self.close_table(index, on)
                }
                None => self.end(index, settled, on),
            },
        }
    }

    fn answer<E>(&mut self, answer: FromEngine, on: &mut OnStep<'_, E>) -> Result<(), E> {
        let (id, end) = match answer {
            FromEngine::Completed(completion) => {
                let Some(key) = self.asked.remove(&completion.id) else { return Ok(()) };
                let Some(open) = self.open.get_mut(&key) else { return Ok(()) };
                let ids = &mut || self.ids.fetch_add(1, Ordering::Relaxed);
                let more = open.work.accept(completion, self.counter, ids);
                self.ask(key, more);
                return self.close_if_finished(key, on);
            }
            FromEngine::Dropped(id) => {
                let reason = format!("{} before it was finished", self.why_over());
                (id, Settled::Deferred(reason))
            }
            FromEngine::Unfit(id, message) => {
                (id, Settled::Failed { class: "context_overflow", message })
            }
        };
        let Some(key) = self.asked.remove(&id) else { return Ok(()) };
        let Some(open) = self.open.remove(&key) else { return Ok(()) };
        let of_others = |asked: &Vec<Request>| {
            asked.iter().all(|request| self.asked.get(&request.id) != Some(&key))
        };
        self.backlog.retain(of_others);
        match (open.row, end) {
            (None, end) => self.end(key.0, end, on),
            (Some(row), Settled::Failed { message, .. }) => {
                self.row(key, RowEnd { row, answer: Err(message), text: open.text }, on)
            }
            (Some(_), end) => {
                if let Some(table) = self.tables.get_mut(&key.0) {
                    table.open -= 1;
                    table.given_up.get_or_insert(end);
                }
                self.close_table(key.0, on)
            }
        }
    }

    fn ask(&mut self, key: Key, requests: Vec<Request>) {
        self.asked.extend(requests.iter().map(|request| (request.id, key)));
        if !requests.is_empty() {
            self.backlog.push_back(requests);
        }
    }

    fn close_if_finished<E>(&mut self, key: Key, on: &mut OnStep<'_, E>) -> Result<(), E> {
        if !self.open.get(&key).is_some_and(|open| open.work.finished()) {
            return Ok(());
        }
        let Some(open) = self.open.remove(&key) else { return Ok(()) };
        let (record, text) = (Box::new(open.work.record()), open.text);
        match open.row {
            None => self.end(key.0, Settled::Answered { record, text }, on),
            Some(row) => self.row(key, RowEnd { row, answer: Ok(record), text }, on),
        }
    }

    /// A row has ended: it is handed on as soon as all before it are.
    fn row<E>(&mut self, key: Key, end: RowEnd, on: &mut OnStep<'_, E>) -> Result<(), E> {
        let Some(table) = self.tables.get_mut(&key.0) else { return Ok(()) };
        table.open -= 1;
        table.waiting.insert(key.1, end);
        while let Some(end) = table.waiting.remove(&table.next) {
            table.next += 1;
            on(key.0, Step::Row(end))?;
        }
        self.close_table(key.0, on)
    }

    /// Ends a table of which no row is open and none comes any more.
    fn close_table<E>(&mut self, index: usize, on: &mut OnStep<'_, E>) -> Result<(), E> {
        let is_over = |table: &Table| table.open == 0 && table.end.is_some();
        if !self.tables.get(&index).is_some_and(is_over) {
            return Ok(());
        }
        let Some(table) = self.tables.remove(&index) else { return Ok(()) };
        let settled = table.given_up.or(table.end).expect("it is over");
        self.end(index, settled, on)
    }

    fn end<E>(&mut self, index: usize, settled: Settled, on: &mut OnStep<'_, E>) -> Result<(), E> {
        self.open.remove(&(index, 0));
        self.settled[index] = true;
        on(index, Step::Ended(settled))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::Clock;
    use crate::engine::{Part, Sampling, Settings, tiny};
    use crate::run::StopFlag;

    #[test]
    fn what_is_asked_of_one_document_is_known_before_any_of_it_is_begun() {
        let name = format!("nightclerk-asked-{}.gguf", std::process::id());
        let path = std::env::temp_dir().join(name);
        tiny::write(&path, tiny::Family::Qwen2, 1).unwrap();
        let settings = Settings { slots: 1, ..Settings::new(1 << 30, crate::jobs::DATE_DEFAULT) };
        let mut engine = Engine::load(&path, &settings, &mut |_, _| {}).unwrap();
        std::fs::remove_file(path).unwrap();
        let request = |id| Request {
            id,
            system: "You read.".into(),
            document: "the agreement of the parties ".repeat(9).into(),
            task: format!("Is {id} in it?").into(),
            form: vec![Part::Choice { options: vec!["yes".into(), "no".into()], ends: None }],
            answer_tokens_max: 8,
            sampling: Sampling::Greedy,
        };
        let (answers_in, answers) = bounded(3);
        let (requests, requests_out) = bounded(1);
        requests.send((0..3).map(request).collect::<Vec<_>>()).unwrap();
        drop(requests);
        let clock: Arc<dyn Clock> = Arc::new(crate::base::SystemClock::new());
        let progress = Progress::new(clock.clone(), true);
        let admission = Admission::new(StopFlag::default(), None, clock, None);
        infer(&mut engine, None, &progress, &admission, &requests_out, &answers_in);
        let completed: Vec<Completion> = answers
            .try_iter()
            .map(|answer| match answer {
                FromEngine::Completed(completion) => completion,
                FromEngine::Dropped(id) | FromEngine::Unfit(id, _) => panic!("{id} has no answer"),
            })
            .collect();
        assert_eq!(completed.len(), 3);
        let prompts: u32 = completed.iter().map(|completion| completion.prompt_tokens).sum();
        let shared = engine.progress().shared_tokens;
        assert!(shared > u64::from(prompts) / 2, "two of three prompts are mostly shared");
    }
}
