//! The night's three threads: one reads documents, one owns the model, and the caller's own assembles
//! and commits. All queues between them are bounded; no thread waits for two others at once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, Select, Sender, bounded};

use super::admission::Admission;
use super::progress::Progress;
use super::read::{self, Reading};
use super::transcript::Transcript;
use crate::assemble::{MadeWith, Record, Work, WorkSource};
use crate::base::limits::{QUESTIONS_PER_SLOT, QUEUE_ANSWERS_MAX, QUEUE_DOCUMENTS_MAX};
use crate::base::{Completion, Digest, Limits, TokenCounter, Warning};
use crate::engine::{Engine, Request};
use crate::intake::{self, Source};
use crate::isolate::ParseServer;
use crate::jobs::Job;

/// A document that is to be read and asked this run.
pub(super) struct Due<'a> {
    pub(super) source: &'a Source,
    pub(super) job: &'a Job,
    pub(super) made_with: MadeWith,
}

/// What happened to a due document.
pub(super) enum Step {
    /// It was read, or the attempt was made.
    Begun,
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

/// A document whose questions are with the engine.
struct Open {
    work: Work,
    text: Digest,
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
    server: &mut ParseServer,
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
        scope.spawn(move || read_all(due, limits, server, counter, ids, admission, &documents_in));
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
            asked: BTreeMap::new(),
            questions_enough: QUESTIONS_PER_SLOT * slots,
            backlog: VecDeque::new(),
            settled: vec![false; due.len()],
        }
        .collect(on)
    })
}

/// The reading thread: one document after the other, each in a child of its own.
fn read_all(
    due: &[Due<'_>],
    limits: &Limits,
    server: &mut ParseServer,
    counter: &dyn TokenCounter,
    ids: &AtomicU64,
    admission: &Admission,
    documents: &Sender<FromReader>,
) {
    for (index, due) in due.iter().enumerate() {
        if admission.over().is_some() {
            return;
        }
        let message = match read_one(due, limits, server, counter, ids) {
            Ok((open, requests)) => match admission.take(&requests, counter) {
                Ok(()) => FromReader::Opened { index, open: Box::new(open), requests },
                Err(reason) => FromReader::Passed { index, reason },
            },
            Err(settled) => FromReader::Ended { index, settled },
        };
        if documents.send(message).is_err() {
            return; // The collector gave up; it says why.
        }
    }
}

fn read_one(
    due: &Due<'_>,
    limits: &Limits,
    server: &mut ParseServer,
    counter: &dyn TokenCounter,
    ids: &AtomicU64,
) -> Result<(Open, Vec<Request>), Settled> {
    let source = due.source;
    let broken = |class, message| Settled::Failed { class, message };
    let read = read::of_source(server, due.job, source, limits);
    let mut document = match read.map_err(|error| broken("io", error))? {
        Reading::Read(document) => document,
        Reading::Refused(refusal) => return Err(Settled::Refused(refusal.message)),
        Reading::Failed { class, message } => return Err(broken(class, message)),
    };
    intake::unchanged(source).map_err(Settled::Refused)?;
    if !source.note.is_empty() {
        document.warnings.insert(0, Warning::document(source.note.clone()));
    }
    let text = read::text_digest(&document.output);
    let (work, requests) = Work::new(
        due.job,
        work_source(source),
        document,
        due.made_with.clone(),
        counter,
        &mut || ids.fetch_add(1, Ordering::Relaxed),
    );
    Ok((Open { work, text }, requests))
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
    /// By index in `due`.
    open: BTreeMap<usize, Box<Open>>,
    /// Request id → document.
    asked: BTreeMap<u64, usize>,
    /// With so many questions open no further document is taken in: those that are in get finished,
    /// and a kill costs little.
    questions_enough: usize,
    /// Not yet taken by the inference thread, by document.
    backlog: VecDeque<Vec<Request>>,
    settled: Vec<bool>,
}

impl Collector<'_> {
    fn collect<E>(mut self, on: &mut OnStep<'_, E>) -> Result<(), E> {
        while self.documents.is_some() || !self.open.is_empty() {
            let wants_document =
                self.open.len() < QUEUE_DOCUMENTS_MAX && self.asked.len() < self.questions_enough;
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
                on(index, Step::Begun)?;
                self.end(index, settled, on)
            }
            FromReader::Opened { index, open, requests } => {
                on(index, Step::Begun)?;
                self.open.insert(index, open);
                self.ask(index, requests);
                self.close_if_finished(index, on)
            }
        }
    }

    fn answer<E>(&mut self, answer: FromEngine, on: &mut OnStep<'_, E>) -> Result<(), E> {
        let (id, end) = match answer {
            FromEngine::Completed(completion) => {
                let Some(index) = self.asked.remove(&completion.id) else { return Ok(()) };
                let Some(open) = self.open.get_mut(&index) else { return Ok(()) };
                let ids = &mut || self.ids.fetch_add(1, Ordering::Relaxed);
                let more = open.work.accept(completion, self.counter, ids);
                self.ask(index, more);
                return self.close_if_finished(index, on);
            }
            FromEngine::Dropped(id) => {
                let reason = format!("{} before it was finished", self.why_over());
                (id, Settled::Deferred(reason))
            }
            FromEngine::Unfit(id, message) => {
                (id, Settled::Failed { class: "context_overflow", message })
            }
        };
        match self.asked.remove(&id) {
            Some(index) if self.open.contains_key(&index) => {
                let of_others = |asked: &Vec<Request>| {
                    asked.iter().all(|request| self.asked.get(&request.id) != Some(&index))
                };
                self.backlog.retain(of_others);
                self.end(index, end, on)
            }
            _ => Ok(()),
        }
    }

    fn ask(&mut self, index: usize, requests: Vec<Request>) {
        self.asked.extend(requests.iter().map(|request| (request.id, index)));
        if !requests.is_empty() {
            self.backlog.push_back(requests);
        }
    }

    fn close_if_finished<E>(&mut self, index: usize, on: &mut OnStep<'_, E>) -> Result<(), E> {
        match self.open.get(&index) {
            Some(open) if open.work.finished() => {
                let (record, text) = (Box::new(open.work.record()), open.text);
                self.end(index, Settled::Answered { record, text }, on)
            }
            _ => Ok(()),
        }
    }

    fn end<E>(&mut self, index: usize, settled: Settled, on: &mut OnStep<'_, E>) -> Result<(), E> {
        self.open.remove(&index);
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
