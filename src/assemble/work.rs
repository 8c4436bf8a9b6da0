//! One document on its way through the engine: what was asked, what came back, what is still open.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::candidates::{Candidate, candidates};
use super::clauses::Clauses;
use super::coverage::{coverage, no_text, several, unread_pages};
use super::extraction::{self, Ground};
use super::normal::day_order;
use super::record::{Coverage, HiddenText, MadeWith, Ranked, Record, RecordSource, Remark, Tokens};
use super::summary::{Draft, Heading, Line};
use crate::base::{Completion, Digest, Format, Outcome, Stop, TokenCounter, Warned, Warning};
use crate::chunk::{Chunked, split};
use crate::extract::Document;
use crate::jobs::{DayOrder, Field, Job, Read, Task, TaskKind};
use crate::prompt::{self, CheckReply, Passage, Request};

mod summarize;

/// Which file the document came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkSource {
    pub job: String,
    pub root: String,
    /// Below the root, with `/`.
    pub path: String,
    pub sha256: Digest,
    pub bytes: u64,
    pub format: Format,
}

/// A document whose questions are being answered.
pub struct Work {
    source: WorkSource,
    document: Document,
    warnings: Vec<Warning>,
    made_with: MadeWith,
    /// Those of the job's tasks that apply to the document's format.
    tasks: Vec<Arc<Task>>,
    chunked: Chunked,
    /// One for each chunk.
    passages: Vec<Passage>,
    /// Tokens of one chunk: the least that any of `tasks` asks for.
    budget: usize,
    open: BTreeMap<u64, Ask>,
    answers: BTreeMap<Ask, Completion>,
    /// The summary, by index of its task.
    drafts: BTreeMap<usize, Draft>,
    /// The document's own, for the parts of a summary.
    headings: Vec<Heading>,
    /// The candidates of each field of the tasks that read what is relevant, by index of task and field.
    ranked: BTreeMap<(usize, usize), Vec<Candidate>>,
    /// Clauses that they were ranked among.
    clauses: usize,
    /// How the document's own numeric dates are written.
    day_order: Option<DayOrder>,
}

/// Candidates of a field that are asked about together; more follow only while none of them is taken.
const CANDIDATES_AT_ONCE: usize = 2;

/// One question: the task's index, what of it, and whether it is asked once more because its first answer
/// was not borne out. Their order is the order of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ask {
    task: usize,
    step: Step,
    again: bool,
}

impl Ask {
    fn first(task: usize, step: Step) -> Ask {
        Ask { task, step, again: false }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// A field (index) of a chunk (index).
    Field { chunk: usize, field: usize },
    /// A candidate (by rank) of a field (index).
    Check { field: usize, candidate: usize },
    /// A line of a summary.
    Line(Line),
}

impl Work {
    /// Whether text recognition was asked about any page of the document.
    pub fn was_recognized(&self) -> bool {
        self.made_with.ocr.is_some()
    }

    /// Cuts the document, and asks every applicable task of `job` about every chunk. `ids` gives an
    /// unused request id at each call. No requests: the work is finished, and its record says why.
    ///
    /// All tasks see the same chunks, cut to the least `chunk_tokens` among them, so that a chunk is
    /// prefilled once however much is asked of it.
    pub fn new(
        job: &Job,
        source: WorkSource,
        document: Warned<Document>,
        shape: MadeWith,
        counter: &dyn TokenCounter,
        ids: &mut dyn FnMut() -> u64,
    ) -> (Work, Vec<Request>) {
        let Warned { output: document, mut warnings } = document;
        let format = source.format;
        let mut tasks: Vec<Arc<Task>> = job.tasks_for(format).cloned().collect();
        let mut summaries = 0;
        tasks.retain(|task| {
            let summary = matches!(task.kind, TaskKind::Summarize { .. });
            summaries += usize::from(summary);
            let second = summary && summaries > 1;
            if second {
                let message = format!("task {}: a record has one summary; not asked", task.name);
                warnings.push(Warning::document(message));
            }
            !second
        });
        let budget = tasks.iter().map(|task| task.chunk_tokens).min().unwrap_or(0);
        let mut chunked = Chunked::default();
        if !tasks.is_empty() {
            chunked = split(&document, budget, counter);
        }
        if chunked.chunks.iter().all(|chunk| chunk.text.trim().is_empty()) {
            chunked.chunks.clear();
        }
        let count = chunked.chunks.len();
        let passages = chunked.chunks.iter().map(|chunk| Passage::new(chunk, count)).collect();
        let mut work = Work {
            source,
            document,
            warnings,
            made_with: shape,
            tasks,
            chunked,
            passages,
            budget,
            open: BTreeMap::new(),
            answers: BTreeMap::new(),
            drafts: BTreeMap::new(),
            headings: Vec::new(),
            ranked: BTreeMap::new(),
            clauses: 0,
            day_order: None,
        };
        let pages = work.document.pages.iter();
        work.day_order = day_order(pages.map(|page| page.model.as_str()));
        let ranks = |task: &Arc<Task>| {
            task.read == Read::Relevant || matches!(task.kind, TaskKind::Summarize { .. })
        };
        // A row of a table, and a task that asks every chunk, have no use for them.
        let ranked = work.tasks.iter().any(ranks);
        let clauses = Clauses::new(if ranked { &work.chunked.chunks } else { &[] });
        work.clauses = clauses.len();
        let mut requests = work.first_requests(ids);
        requests.extend(work.first_checks(&clauses, ids));
        requests.extend(work.first_lines(&clauses, counter, ids));
        (work, requests)
    }

    /// Takes the answer to one request of this document and gives the requests that follow from it.
    /// An answer to what this document did not ask is dropped.
    pub fn accept(
        &mut self,
        completion: Completion,
        counter: &dyn TokenCounter,
        ids: &mut dyn FnMut() -> u64,
    ) -> Vec<Request> {
        let Some(ask) = self.open.remove(&completion.id) else { return Vec::new() };
        self.answers.insert(ask, completion);
        match ask.step {
            Step::Field { .. } => Vec::new(),
            Step::Check { field, .. } => self.check_on(ask.task, field, ids),
            Step::Line(line) => self.line_on(ask, line, counter, ids),
        }
    }

    /// Whether nothing is open any more.
    pub fn finished(&self) -> bool {
        self.open.is_empty()
    }

    /// All questions on fields of the chunks, chunk by chunk.
    fn first_requests(&mut self, ids: &mut dyn FnMut() -> u64) -> Vec<Request> {
        let mut requests = Vec::new();
        for (chunk, passage) in self.passages.iter().enumerate() {
            for (index, task) in self.tasks.iter().enumerate() {
                let TaskKind::Extract { fields } = &task.kind else { continue };
                if task.read == Read::Relevant {
                    continue;
                }
                for (field, what) in fields.iter().enumerate() {
                    let request = prompt::ask_field(ids(), task, what, passage);
                    self.open.insert(request.id, Ask::first(index, Step::Field { chunk, field }));
                    requests.push(request);
                }
            }
        }
        requests
    }

    /// Ranks the candidates of every field that reads what is relevant, and asks about the first of them.
    fn first_checks(&mut self, clauses: &Clauses, ids: &mut dyn FnMut() -> u64) -> Vec<Request> {
        let relevant = |task: &Arc<Task>| task.read == Read::Relevant;
        for (index, task) in self.tasks.iter().enumerate().filter(|(_, task)| relevant(task)) {
            let TaskKind::Extract { fields } = &task.kind else { continue };
            let order = task.day_order.or(self.day_order);
            for (field, what) in fields.iter().enumerate() {
                let ground = (&self.document, self.chunked.chunks.as_slice());
                let found = candidates(what, ground, clauses, order);
                self.ranked.insert((index, field), found);
            }
        }
        let fields: Vec<(usize, usize)> = self.ranked.keys().copied().collect();
        fields.into_iter().flat_map(|(task, field)| self.check_on(task, field, ids)).collect()
    }

    /// Asks about the next candidates of a field, once those before are answered and none was taken.
    fn check_on(
        &mut self,
        task: usize,
        field: usize,
        ids: &mut dyn FnMut() -> u64,
    ) -> Vec<Request> {
        let asked = |ask: &Ask| {
            ask.task == task && matches!(ask.step, Step::Check { field: of, .. } if of == field)
        };
        let TaskKind::Extract { fields } = &self.tasks[task].kind else { return Vec::new() };
        let what = &fields[field];
        let replies = self.checked(task, field, what);
        let taken = |reply: &CheckReply| reply.margin >= what.margin_min;
        if self.open.values().any(asked) || replies.iter().flatten().any(taken) {
            return Vec::new();
        }
        let Some(candidates) = self.ranked.get(&(task, field)) else { return Vec::new() };
        // A party is one of several: all that may be one are asked about.
        let at_once = if what.many { candidates.len() } else { CANDIDATES_AT_ONCE };
        let next = candidates.iter().enumerate().skip(replies.len()).take(at_once);
        let mut requests = Vec::new();
        for (candidate, possible) in next {
            let quote = &self.chunked.chunks[possible.chunk].text[possible.quote.clone()];
            let shown = prompt::shown(&possible.shown);
            let request = prompt::ask_check(ids(), &self.tasks[task], what, &shown, quote);
            let step = Step::Check { field, candidate };
            self.open.insert(request.id, Ask::first(task, step));
            requests.push(request);
        }
        requests
    }

    /// What was said of the candidates of a field that were asked about, in their order.
    fn checked(&self, task: usize, field: usize, what: &Field) -> Vec<Option<CheckReply>> {
        let candidates = self.ranked.get(&(task, field)).map_or(0, Vec::len);
        let answers = (0..candidates).map_while(|candidate| {
            self.answers.get(&Ask::first(task, Step::Check { field, candidate }))
        });
        answers.map(|done| prompt::read_check(what, done)).collect()
    }

    /// The record of what came back. Call it when `finished`; what is open is missing from it, and
    /// then the outcome is partial and says so.
    pub fn record(&self) -> Record {
        let mut warnings = self.warnings.clone();
        let mut problems = self.problems();
        let mut fields = serde_json::Map::new();
        let mut summary = None;
        for (index, task) in self.tasks.iter().enumerate() {
            match &task.kind {
                TaskKind::Summarize { aspects, .. } => {
                    let done = self.drafts.get(&index).filter(|draft| draft.finished);
                    let Some(draft) = done else { continue };
                    let ground = (self.chunked.chunks.as_slice(), self.headings.as_slice());
                    let said = draft.finish(aspects, &self.document, ground, &mut warnings);
                    let is_empty = said.text.is_empty() && said.points.is_empty();
                    summary = Some(said).filter(|said| !is_empty || !said.tables.is_empty());
                    if draft.shortened {
                        problems.push(format!("{}: notes were shortened to fit", task.name));
                    }
                }
                TaskKind::Extract { fields: asked } if !self.passages.is_empty() => {
                    for (field, what) in asked.iter().enumerate() {
                        let answer = self.field_answer(index, field, what);
                        // Two tasks may ask for the same field; both answers are kept.
                        let taken = fields.contains_key(&what.name);
                        let key = if taken {
                            format!("{}.{}", task.name, what.name)
                        } else {
                            what.name.clone()
                        };
                        fields.insert(key, answer);
                    }
                }
                TaskKind::Extract { .. } => {}
            }
        }
        let (outcome, reason) = self.outcome(problems);
        Record {
            source: record_source(&self.source, self.document.pages.len() as u32),
            outcome,
            reason,
            coverage: Coverage {
                ranked: self.coverage_ranked(),
                ..coverage(&self.document, &self.chunked, &self.sent())
            },
            summary,
            rows: None,
            fields,
            warnings,
            hidden: self.hidden(),
            remarks: self.remarks(),
            made_with: MadeWith { transcript: self.transcript(), ..self.made_with.clone() },
            tokens: Tokens {
                prompt: self.answers.values().map(|done| u64::from(done.prompt_tokens)).sum(),
                answer: self.answers.values().map(|done| u64::from(done.answer_tokens)).sum(),
            },
        }
    }

    fn coverage_ranked(&self) -> Vec<Ranked> {
        let mut ranked: BTreeMap<usize, Ranked> = BTreeMap::new();
        for task in self.ranked.keys().map(|(task, _)| *task) {
            let checks = |ask: &&Ask| ask.task == task && matches!(ask.step, Step::Check { .. });
            ranked.entry(task).or_insert_with(|| Ranked {
                task: self.tasks[task].name.clone(),
                clauses: self.clauses as u32,
                asked: self.answers.keys().filter(checks).count() as u32,
            });
        }
        ranked.into_values().collect()
    }

    fn field_answer(&self, task: usize, field: usize, what: &Field) -> serde_json::Value {
        let order = self.tasks[task].day_order.or(self.day_order);
        let ground = Ground { document: &self.document, chunks: &self.chunked.chunks, order };
        if let Some(candidates) = self.ranked.get(&(task, field)) {
            let asked: Vec<_> = candidates.iter().zip(self.checked(task, field, what)).collect();
            let answer = extraction::settle(what, ground, &asked);
            return serde_json::to_value(answer).expect("an answer has only strings as keys");
        }
        let reply = |(chunk, passage): (usize, &Passage)| {
            let ask = Ask::first(task, Step::Field { chunk, field });
            prompt::read_field(what, passage, self.answers.get(&ask)?)
        };
        let replies: Vec<_> = self.passages.iter().enumerate().map(reply).collect();
        let answer = extraction::merge(what, ground, &replies);
        serde_json::to_value(answer).expect("an answer has only strings as keys")
    }

    /// How the document left, and why it is not `done`.
    fn outcome(&self, problems: Vec<String>) -> (Outcome, String) {
        if self.tasks.is_empty() {
            let (job, format) = (&self.source.job, self.source.format);
            let reason = format!(
                "no task of job {job} applies to {format} files; name it in a task's formats, or \
                 exclude such files"
            );
            return (Outcome::Refused, reason);
        }
        if self.chunked.chunks.is_empty() {
            return (Outcome::Refused, no_text(&self.document));
        }
        let answered = |done: &Completion| matches!(done.stop, Stop::End | Stop::Length);
        let none = !self.answers.values().any(answered);
        let mut reasons = unread_pages(&self.document);
        reasons.extend(problems);
        match reasons.is_empty() {
            true => (Outcome::Done, String::new()),
            false if none => (Outcome::Failed, several(&reasons)),
            false => (Outcome::Partial, several(&reasons)),
        }
    }

    /// Every question without a whole answer, in words.
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (ask, done) in &self.answers {
            let task = &self.tasks[ask.task];
            let unread = || match (ask.step, &task.kind) {
                (Step::Field { chunk, field }, TaskKind::Extract { fields }) => {
                    prompt::read_field(&fields[field], &self.passages[chunk], done).is_none()
                }
                (Step::Check { field, .. }, TaskKind::Extract { fields }) => {
                    prompt::read_check(&fields[field], done).is_none()
                }
                _ => prompt::read_line(done).is_none(),
            };
            let why = match done.stop {
                Stop::Length => format!(
                    "the answer reached its limit of {} tokens (answer_tokens_max)",
                    task.answer_tokens_max
                ),
                Stop::DeadEnd => "no token could continue the answer's form".to_owned(),
                Stop::Fault => "the engine could not go on with it".to_owned(),
                Stop::End if unread() => "the answer is not in the form asked for".to_owned(),
                Stop::End => continue,
            };
            problems.push(format!("{}: {}: {why}", task.name, self.place(*ask)));
        }
        if !self.open.is_empty() {
            problems.push(format!("{} question(s) were not answered", self.open.len()));
        }
        problems
    }

    /// A question in words: "governing_law on chunk 2 of 5".
    fn place(&self, ask: Ask) -> String {
        let of = self.chunked.chunks.len();
        match (ask.step, &self.tasks[ask.task].kind) {
            (Step::Field { chunk, field }, TaskKind::Extract { fields }) => {
                let name = fields.get(field).map_or("", |field| field.name.as_str());
                format!("{name} on chunk {} of {of}", chunk + 1)
            }
            (Step::Check { field, candidate }, TaskKind::Extract { fields }) => {
                let name = fields.get(field).map_or("", |field| field.name.as_str());
                format!("{name} on candidate {}", candidate + 1)
            }
            (Step::Check { candidate, .. }, _) => format!("candidate {}", candidate + 1),
            (Step::Line(line), TaskKind::Summarize { aspects, .. }) => match line {
                Line::Aspect { aspect } => aspects[aspect].field.name.clone(),
                Line::Table => "the table".to_owned(),
                Line::Note { chunk } => format!("chunk {} of {of}", chunk + 1),
                Line::Reduce { level, group } => format!("reduce step {level}.{}", group + 1),
            },
            (Step::Line(_), _) => "a line".to_owned(),
            (Step::Field { chunk, .. }, _) => format!("chunk {} of {of}", chunk + 1),
        }
    }

    /// Of each chunk, whether every question on it reached the model.
    fn sent(&self) -> Vec<bool> {
        // A table's rows are in its facts; the model sees the first of them.
        let facts_only =
            |task: usize| self.drafts.get(&task).is_some_and(|one| one.table.is_some());
        let whole =
            |(index, task): (usize, &Arc<Task>)| task.read == Read::All && !facts_only(index);
        let whole = self.tasks.iter().enumerate().any(whole);
        let mut sent = vec![whole; self.chunked.chunks.len()];
        let faults = self.answers.iter().filter(|(_, done)| done.stop == Stop::Fault);
        for ask in faults.map(|(ask, _)| ask).chain(self.open.values()) {
            if let Step::Field { chunk, .. } | Step::Line(Line::Note { chunk }) = ask.step {
                sent[chunk] = false;
            }
        }
        sent
    }

    fn hidden(&self) -> Vec<HiddenText> {
        let mut hidden = Vec::new();
        for page in &self.document.pages {
            for text in &page.hidden {
                let (why, text) = (text.why.clone(), text.text.clone());
                hidden.push(HiddenText { page: page.number, why, text });
            }
        }
        hidden
    }

    fn remarks(&self) -> Vec<Remark> {
        let remarks = self.document.remarks.iter();
        remarks.filter(|remark| remark.kind.is_review()).cloned().collect()
    }

    fn transcript(&self) -> Option<Digest> {
        let digests =
            self.answers.values().flat_map(|done| [done.prompt_digest, done.answer_digest]);
        let digests: Vec<Digest> = digests.collect();
        let parts = digests.iter().map(|digest| digest.0.as_slice());
        (!digests.is_empty()).then(|| Digest::of_parts(parts))
    }
}

pub(super) fn record_source(source: &WorkSource, pages: u32) -> RecordSource {
    RecordSource {
        job: source.job.clone(),
        root: source.root.clone(),
        path: source.path.clone(),
        sha256: source.sha256,
        bytes: source.bytes,
        format: source.format,
        pages,
    }
}

/// The record of a document that was never read: refused, failed or deferred before any question.
pub fn unread(source: WorkSource, outcome: Outcome, reason: String, shape: MadeWith) -> Record {
    Record {
        source: record_source(&source, 0),
        outcome,
        reason,
        coverage: Coverage {
            pages: Vec::new(),
            chunks: 0,
            tokens_read: 0,
            tokens_sent: 0,
            ranked: Vec::new(),
            left_out: Vec::new(),
        },
        summary: None,
        rows: None,
        fields: serde_json::Map::new(),
        warnings: Vec::new(),
        hidden: Vec::new(),
        remarks: Vec::new(),
        made_with: shape,
        tokens: Tokens::default(),
    }
}
