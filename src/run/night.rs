//! `nightclerk run`: what is due, the order of commitment, and one outcome for every input.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::admission::Admission;
use super::deadline::Deadline;
use super::erase::{self, Erasure};
use super::gate;
use super::pace::{self, Measured, Pace};
use super::pipeline::{self, Due, Settled, Step};
use super::progress::Progress;
use super::read::{self, Readers};
use super::report;
use super::rows::{self, OpenTable};
use super::shape;
use super::signal::StopFlag;
use super::transcript::Transcript;
use super::{Broken, closing, look, model};
use crate::assemble::{self, MadeWith, OcrFacts, Record};
use crate::audit::{
    self, Actor, Binary, Counts, DocDone, DocFail, DocSkip, DocStart, Done, EngineFacts, Event,
    Host, Inventory, Ledger, Log, ModelFile, OutputFile, Part, RunStart, Shape, Tables,
};
use crate::base::{Clock, Digest, Disk, DocId, Outcome};
use crate::engine;
use crate::intake::{Source, SourceState};
use crate::jobs::{Job, Plan, TaskKind, Unit};
use crate::output::{Row, TableFiles, Writer, WrittenFile};

pub use closing::{Closing, DocumentEnd, Estimate};

/// What a person chose beside the plan.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Only these jobs; empty for all.
    pub only: Vec<String>,
    /// At most so many documents.
    pub limit: Option<usize>,
    pub redo: Redo,
    /// Only what is predicted to be finished by then.
    pub deadline: Option<Deadline>,
}

/// Which documents are taken again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redo {
    /// Those whose content, task or model changed, and failed ones with attempts left.
    #[default]
    Changed,
    /// Failed and quarantined ones as well.
    Failed,
    All,
}

/// What the night works with; made by the caller, so that tests choose clock and disk.
pub struct Tools {
    pub server: Readers,
    pub disk: Arc<dyn Disk>,
    pub clock: Arc<dyn Clock>,
    pub progress: Progress,
    pub stop: StopFlag,
    /// Who started this, asked before the process had a namespace of its own.
    pub actor: Actor,
    /// What shuts it in.
    pub isolation: audit::Isolation,
    /// Where every question and answer is also written, if anywhere.
    pub transcript: Option<Transcript>,
}

/// Where a source stands before the work begins.
pub(super) enum Stand {
    Due(MadeWith, Digest),
    Skip { outcome: Outcome, reason: String, rests_on: u64 },
}

/// Runs the night that `plan` describes.
///
/// # Errors
/// `Broken` where the run could not start or go on. Everything committed until then is kept.
pub fn run(plan: &Plan, choice: &Choice, tools: &mut Tools) -> Result<Closing, Broken> {
    let jobs = chosen(plan, &choice.only)?;
    let state = plan.output.join(super::STATE_FOLDER);
    tools.disk.create_folder(&state).map_err(|error| Broken::disk(&state, &error))?;
    let (disk, clock) = (tools.disk.clone(), tools.clock.clone());
    let mut log = Log::open(disk, &state, &plan.audit.key_dir, &plan.audit.origin, clock)?;
    let writer = Writer::new(tools.disk.clone(), &plan.output);
    writer.sweep()?;
    let erased = erase::expire(plan, &mut log, &writer, tools.clock.as_ref())?;
    for Erasure { path, reason, .. } in &erased {
        tools.progress.say(&format!("erased: {path}: {reason}"));
    }

    tools.progress.say("looking through the input folders");
    let mut sources = Vec::new();
    for job in &jobs {
        let found = read::sources(plan, job, &mut tools.server, tools.clock.as_ref())?;
        sources.extend(found.into_iter().map(|source| (*job, source)));
    }
    if let Some(why) = tools.server.no_ocr() {
        tools.progress.say(&format!("pages that are only pictures are not recognized: {why}"));
    }
    let ocr = tools.server.ocr().cloned();
    let mut stands: Vec<Stand> = sources
        .iter()
        .map(|(job, source)| stand(plan, job, source, choice, log.ledger(), ocr.as_ref()))
        .collect();
    defer_beyond(choice.limit, &mut stands);
    sweep_parts(&jobs, &sources, log.ledger(), &writer)?;
    for job in &jobs {
        let mut own = sources.iter().zip(&stands).filter(|((of, _), _)| of.name == job.name);
        if own.any(|(_, stand)| matches!(stand, Stand::Due(..))) {
            gate::check(plan, job, &mut log, tools)?;
        }
    }

    let night = Night {
        plan,
        ocr,
        sources: &sources,
        started: tools.clock.elapsed(),
        started_at: tools.clock.now(),
        tools,
        writer,
        log,
        deadline: choice.deadline,
        erased,
        ends: Vec::new(),
        begun_at: vec![Duration::ZERO; sources.len()],
    };
    night.work(&jobs, stands)
}

/// Removes unfinished tables of rows whose inputs are no longer what they were.
fn sweep_parts(
    jobs: &[&Job],
    sources: &[(&Job, Source)],
    ledger: &Ledger,
    writer: &Writer,
) -> Result<(), Broken> {
    let is_chosen = |path: &str| jobs.iter().any(|job| erase::job_of(path) == job.name);
    let goes_on = |id: &DocId| match sources.iter().find(|(_, source)| source.id == *id) {
        Some((_, source)) => ledger.has_part(id, &source.digest),
        None => ledger.doc(id).is_some_and(|doc| !is_chosen(&doc.path)),
    };
    Ok(writer.sweep_parts(&goes_on)?)
}

/// The jobs that were asked for.
pub(super) fn chosen<'a>(plan: &'a Plan, only: &[String]) -> Result<Vec<&'a Job>, Broken> {
    if let Some(name) = only.iter().find(|name| !plan.jobs.iter().any(|job| job.name == **name)) {
        let known: Vec<&str> = plan.jobs.iter().map(|job| job.name.as_str()).collect();
        return Err(Broken::Usage(format!(
            "{}: there is no job named {name:?}; its jobs are {}",
            plan.file.display(),
            known.join(", ")
        )));
    }
    let wanted = |job: &&Job| only.is_empty() || only.contains(&job.name);
    Ok(plan.jobs.iter().filter(wanted).collect())
}

/// Whether `source` is due, by the log and what it vouches for. With `ocr` a document is, besides, that has
/// pages which nothing recognized yet.
pub(super) fn stand(
    plan: &Plan,
    job: &Job,
    source: &Source,
    choice: &Choice,
    ledger: &Ledger,
    ocr: Option<&OcrFacts>,
) -> Stand {
    let skip =
        |outcome, reason: &str, rests_on| Stand::Skip { outcome, reason: reason.into(), rests_on };
    match &source.state {
        SourceState::Refused(reason) => return skip(Outcome::Refused, reason, 0),
        SourceState::Deferred(reason) => return skip(Outcome::Deferred, reason, 0),
        SourceState::Ready => {}
    }
    let made_with = shape::made_with(plan, job, source.format);
    let shape = shape::digest(plan, &made_with);
    let with_ocr = ocr.map(|ocr| shape::digest(plan, &shape::with_ocr(&made_with, ocr)));
    if choice.redo != Redo::All {
        if let Some(erased) = ledger.erased(&source.id, &source.digest) {
            let reason = "erased; taken again when its bytes change, or by run --redo all";
            return skip(Outcome::Unchanged, reason, erased);
        }
        let unchanged = |shape: &Digest| ledger.unchanged(&source.id, &source.digest, shape);
        let plain = unchanged(&shape).filter(|done| ocr.is_none() || !has_pictures(plan, done));
        match plain.or_else(|| with_ocr.as_ref().and_then(unchanged)) {
            Some(done) if done.is_intact(&plan.output) => {
                let reason = match done.outcome {
                    Outcome::Partial => "partial, and nothing has changed since",
                    _ => "",
                };
                return skip(Outcome::Unchanged, reason, done.seq);
            }
            _ => {}
        }
    }
    let attempts_as = |shape: &Digest| ledger.attempts(&source.id, &source.digest, shape);
    let attempts = attempts_as(&shape) + with_ocr.as_ref().map_or(0, attempts_as);
    if choice.redo == Redo::Changed && attempts >= u64::from(job.attempts_max) {
        let doc = ledger.doc(&source.id);
        let last = doc.as_ref().and_then(|doc| doc.last.as_ref());
        let why = last.map_or("", |last| last.reason.as_str());
        let reason = format!(
            "failed {attempts} times ({why}); run --redo failed takes it again once the cause is gone"
        );
        return skip(Outcome::Quarantined, &reason, doc.map_or(0, |doc| doc.failed_seq));
    }
    Stand::Due(made_with, shape)
}

/// Whether the record of `done` tells of pages that are only pictures and were not recognized.
fn has_pictures(plan: &Plan, done: &Done) -> bool {
    let record = look::written(plan, done).unwrap_or_default();
    let mut pages = record["coverage"]["pages"].as_array().into_iter().flatten();
    pages.any(|page| page["unread_picture"] == true)
}

fn defer_beyond(limit: Option<usize>, stands: &mut [Stand]) {
    let due = stands.iter_mut().filter(|stand| matches!(stand, Stand::Due(..)));
    for stand in due.skip(limit.unwrap_or(usize::MAX)) {
        let reason = "beyond --limit".to_owned();
        *stand = Stand::Skip { outcome: Outcome::Deferred, reason, rests_on: 0 };
    }
}

/// What the engine did in a run.
#[derive(Default)]
struct Worked {
    speed: closing::Speed,
    estimate: Option<Estimate>,
    pace: Option<Pace>,
}

/// A run under way.
struct Night<'a> {
    plan: &'a Plan,
    ocr: Option<OcrFacts>,
    sources: &'a [(&'a Job, Source)],
    tools: &'a mut Tools,
    writer: Writer,
    log: Log,
    deadline: Option<Deadline>,
    erased: Vec<Erasure>,
    /// By index in `sources`, in the order of ending.
    ends: Vec<(usize, DocumentEnd)>,
    started: Duration,
    started_at: Timestamp,
    begun_at: Vec<Duration>,
}

impl Night<'_> {
    fn work(mut self, jobs: &[&Job], stands: Vec<Stand>) -> Result<Closing, Broken> {
        let mut due = Vec::new();
        let mut skips = Vec::new();
        for (index, stand) in stands.into_iter().enumerate() {
            match stand {
                Stand::Due(made_with, shape) => due.push((index, made_with, shape)),
                Stand::Skip { outcome, reason, rests_on } => {
                    skips.push((index, outcome, reason, rests_on))
                }
            }
        }
        // What was left for another night comes first, so that nothing is left for ever.
        due.sort_by_key(|(index, _, _)| {
            let doc = self.log.ledger().doc(&self.sources[*index].1.id);
            std::cmp::Reverse(doc.map_or(0, |doc| doc.deferred))
        });
        let model = match due.is_empty() {
            true => None,
            false => Some(model::checked(self.plan, &self.tools.progress)?),
        };
        self.log.append(&self.run_start(model.as_ref()))?;
        for (index, outcome, reason, rests_on) in skips {
            self.skip(index, outcome, reason, rests_on)?;
        }
        let known = self.known_pace();
        let mut worked = Worked { pace: known, ..Worked::default() };
        if let Some((path, _)) = model {
            worked = self.night_shift(&path, due, known)?;
        }
        self.close(jobs, worked)
    }

    fn run_start(&self, model: Option<&(PathBuf, u64)>) -> Event {
        let inputs =
            self.sources.iter().map(|(_, source)| (source.id, source.digest, source.bytes));
        let path = model.map_or(self.plan.model.path.as_path(), |(path, _)| path);
        let ready = self.sources.iter().filter(|(_, source)| source.state == SourceState::Ready);
        let mut shapes: Vec<Shape> = ready
            .flat_map(|(job, source)| {
                let made_with = shape::made_with(self.plan, job, source.format);
                let sha256 = shape::digest(self.plan, &made_with);
                let plain = Shape { name: format!("{}/{}", job.name, source.format), sha256 };
                let with_ocr = self.ocr.as_ref().map(|ocr| Shape {
                    name: format!("{}/{}+ocr", job.name, source.format),
                    sha256: shape::digest(self.plan, &shape::with_ocr(&made_with, ocr)),
                });
                std::iter::once(plain).chain(with_ocr)
            })
            .collect();
        shapes.sort_by(|a, b| a.name.cmp(&b.name));
        shapes.dedup();
        let engine = &self.plan.engine;
        Event::RunStart(Box::new(RunStart {
            inventory: Inventory::of(inputs),
            binary: Binary::of_process(),
            model: ModelFile {
                file: file_name(path),
                sha256: self.plan.model.sha256,
                bytes: model.map_or(0, |(_, bytes)| *bytes),
            },
            jobs_sha256: self.plan.digest,
            shapes,
            engine: EngineFacts {
                threads: engine.threads as u64,
                slots: engine.slots as u64,
                memory_bytes: engine.memory_bytes,
                isa: engine::tiers().last().copied().unwrap_or_default().to_owned(),
                number_rules: u64::from(engine::NUMBER_RULES),
            },
            host: Host::of_machine(),
            actor: self.tools.actor.clone(),
            isolation: self.tools.isolation.clone(),
            pid: u64::from(std::process::id()),
            tz: jiff::tz::TimeZone::system().iana_name().unwrap_or("").to_owned(),
            run_vkey: String::new(),
            prev_checkpoint: String::new(),
        }))
    }

    fn known_pace(&self) -> Option<Pace> {
        pace::last(&self.plan.output, self.plan.model.sha256, self.plan.engine.threads)
    }

    /// Loads the model and works off what is due; `known` is its pace as an earlier run left it.
    fn night_shift(
        &mut self,
        model: &Path,
        due: Vec<(usize, MadeWith, Digest)>,
        known: Option<Pace>,
    ) -> Result<Worked, Broken> {
        let before = self.tools.clock.elapsed();
        let settings = super::settings(&self.plan.engine);
        let progress = &self.tools.progress;
        let mut engine = model::load(model, &settings, progress)?;
        let slots = self.plan.engine.slots;
        let known = match (known, self.deadline) {
            (None, Some(_)) => pace::first(&mut engine, slots),
            (known, _) => known,
        };
        let loaded = self.tools.clock.elapsed();
        progress.say("reading and answering");
        let facts = engine.facts();
        let (tokenizer, template) = (facts.tokenizer_digest, facts.template_digest);
        let mut work: Vec<Due<'_>> = Vec::with_capacity(due.len());
        let mut parts: BTreeMap<usize, Part> = BTreeMap::new();
        for (at, (index, made_with, shape)) in due.iter().enumerate() {
            let (job, source) = &self.sources[*index];
            let made_with = MadeWith { tokenizer, template, ..made_with.clone() };
            let known = rows::known_part(&self.writer, self.log.ledger(), (job, source), shape)?;
            let rows = known.map(|part| part.map_or(0, |part| part.rows));
            parts.extend(known.flatten().map(|part| (at, part)));
            work.push(Due { source, job, made_with, recognize: true, rows });
        }
        let bytes = work.iter().map(|due| due.source.bytes).sum();
        progress.update(|standing| {
            (standing.documents, standing.bytes, standing.slots) = (work.len(), bytes, slots);
        });

        let Tools { server, clock, progress, stop, transcript, .. } = &mut *self.tools;
        let admission = Admission::new(stop.clone(), self.deadline, clock.clone(), known);
        let mut books = Books {
            plan: self.plan,
            ocr: self.ocr.as_ref(),
            shapes: due.iter().map(|(_, _, shape)| *shape).collect(),
            sources: self.sources,
            due: &due,
            work: &work,
            parts,
            tables: BTreeMap::new(),
            writer: &self.writer,
            log: &mut self.log,
            ends: &mut self.ends,
            begun_at: &mut self.begun_at,
            clock: clock.as_ref(),
            progress,
        };
        pipeline::work_off(
            &work,
            &self.plan.limits,
            server,
            (&mut engine, transcript.as_mut(), slots),
            progress,
            &admission,
            &mut |at, step| books.enter(at, step),
        )?;
        let progressed = engine.progress();
        let (effort, pace) = admission.account();
        let work = self.tools.clock.elapsed() - loaded;
        // A stopped night says nothing about the estimate of the whole one.
        let whole = admission.over().is_none();
        let estimate = known
            .filter(|_| whole)
            .map(|known| Estimate { expected: known.time(effort), took: work });
        let speed = closing::Speed {
            load: loaded - before,
            work,
            prompt_tokens: progressed.prompt_tokens_done,
            shared_tokens: progressed.shared_tokens,
            answer_tokens: progressed.answer_tokens,
            steps: progressed.steps,
            rows: progressed.rows,
        };
        Ok(Worked { speed, estimate, pace })
    }

    fn skip(
        &mut self,
        index: usize,
        outcome: Outcome,
        reason: String,
        rests_on: u64,
    ) -> Result<(), Broken> {
        let (job, source) = &self.sources[index];
        let outputs = if outcome == Outcome::Refused {
            let made_with = shape::made_with(self.plan, job, source.format);
            let record =
                assemble::unread(pipeline::work_source(source), outcome, reason.clone(), made_with);
            write_record(&self.writer, self.log.ledger(), (job, source), &record)?
        } else {
            Vec::new()
        };
        let skip = doc_skip(source, outcome, &reason, rests_on, outputs);
        self.log.append(&Event::DocSkip(skip))?;
        let end = DocumentEnd::of(source, outcome, reason);
        self.tools.progress.document(&end);
        self.ends.push((index, end));
        Ok(())
    }

    /// Tables, the log's last entry, and the facts for whoever watches.
    fn close(mut self, jobs: &[&Job], worked: Worked) -> Result<Closing, Broken> {
        self.tools.progress.say("writing the tables");
        self.ends.sort_by_key(|(index, _)| *index);
        let (mut tables, mut kept) = (Vec::new(), Vec::new());
        for job in jobs {
            let written = self.tables(job)?;
            tables.extend(written.written.iter().map(|file| file.path.clone()));
            kept.extend(written.kept.iter().map(|file| file.path.clone()));
            let (outputs, kept) = (files(written.written), files(written.kept));
            self.log.append(&Event::Tables(Tables { job: job.name.clone(), outputs, kept }))?;
        }
        let mut counts = Counts::default();
        for (_, end) in &self.ends {
            *counts.of_mut(end.outcome) += 1;
        }
        let took = self.tools.clock.elapsed() - self.started;
        let closing = Closing {
            output: self.plan.output.clone(),
            documents: self.ends.into_iter().map(|(_, end)| end).collect(),
            counts,
            tables,
            kept,
            took,
            speed: worked.speed,
            estimate: worked.estimate,
            erased: self.erased,
            pace: worked
                .pace
                .map(|pace| Measured::here(pace, self.plan.model.sha256, self.plan.engine.threads)),
            run: self.log.run().to_string(),
            origin: self.plan.audit.origin.clone(),
            started: self.started_at,
            ended: self.tools.clock.now(),
            log_size: self.log.size() + 1,
        };
        self.log.end_run(took.as_secs(), u64::from(closing.exit_code()))?;
        self.writer.last_run(&closing.facts())?;
        let gathering = report::Gathering {
            plan: self.plan,
            ledger: self.log.ledger(),
            sources: self.sources,
            writer: &self.writer,
        };
        gathering.write(&mut self.tools.server, &self.tools.progress)?;
        self.tools.progress.ended(closing.exit_code());
        Ok(closing)
    }

    /// The job's tables: a row for every input of this run, from the records on disk.
    fn tables(&self, job: &Job) -> Result<TableFiles, Broken> {
        let mut rows = Vec::new();
        for (index, end) in &self.ends {
            let (of, source) = &self.sources[*index];
            if of.name != job.name {
                continue;
            }
            let answered =
                matches!(end.outcome, Outcome::Done | Outcome::Partial | Outcome::Unchanged);
            let record = match answered {
                true => self.writer.read(&source.job, &source.root, &source.path)?,
                false => None,
            };
            rows.push(Row {
                root: source.root.clone(),
                path: source.path.clone(),
                outcome: record.as_ref().map_or(end.outcome, |record| record.outcome),
                reason: record.as_ref().map_or(&end.reason, |record| &record.reason).clone(),
                record,
            });
        }
        let mut fields: Vec<String> = Vec::new();
        // The fields of rows stand in tables of their own.
        for task in job.tasks.iter().filter(|task| task.unit == Unit::Document) {
            if let TaskKind::Extract { fields: of_task } = &task.kind {
                fields.extend(of_task.iter().map(|field| field.name.clone()));
            }
        }
        let ledger = self.log.ledger();
        Ok(self.writer.tables(&job.name, &fields, rows, |path| ledger.output(path))?)
    }
}

/// What is written while the engine works: files first, then the entry that proves them.
struct Books<'a> {
    plan: &'a Plan,
    ocr: Option<&'a OcrFacts>,
    /// Of each due document, once it has begun.
    shapes: Vec<Digest>,
    sources: &'a [(&'a Job, Source)],
    due: &'a [(usize, MadeWith, Digest)],
    work: &'a [Due<'a>],
    /// What earlier runs left of tables whose rows are documents, by index in `due`.
    parts: BTreeMap<usize, Part>,
    tables: BTreeMap<usize, OpenTable>,
    writer: &'a Writer,
    log: &'a mut Log,
    ends: &'a mut Vec<(usize, DocumentEnd)>,
    begun_at: &'a mut [Duration],
    clock: &'a dyn Clock,
    progress: &'a Progress,
}

impl Books<'_> {
    /// Enters a step of the due document `at`.
    fn enter(&mut self, at: usize, step: Step) -> Result<(), Broken> {
        let (index, made_with, _) = &self.due[at];
        let index = *index;
        if let (Step::Begun { recognized: true }, Some(ocr)) = (&step, self.ocr) {
            self.shapes[at] = shape::digest(self.plan, &shape::with_ocr(made_with, ocr));
        }
        let shape = self.shapes[at];
        let source = &self.sources[index].1;
        let settled = match step {
            Step::Begun { .. } => {
                self.begun_at[index] = self.clock.elapsed();
                self.progress.update(|standing| standing.bytes_read += source.bytes);
                return self.log_start(at, None);
            }
            Step::Table(survey) => {
                let (job, known) = (self.sources[index].0, self.parts.remove(&at));
                let table = OpenTable::open(self.writer, job, source, *survey, known)?;
                self.tables.insert(at, table);
                return Ok(());
            }
            Step::Row(end) => {
                let table = self.tables.get_mut(&at).expect("a table comes before its rows");
                return match table.take(&end)? {
                    Some(part) => self.log_start(at, Some(part)),
                    None => Ok(()),
                };
            }
            Step::Ended(settled) => settled,
        };
        let table = self.tables.remove(&at);
        let table = table.map(|table| self.close_table(at, table)).transpose()?;
        let (outcome, reason, pages) = match settled {
            Settled::Answered { record, text } => {
                self.answered(index, (&record, text), Vec::new(), shape)?
            }
            Settled::Rows => self.rows_answered(at, table.expect("it was opened"), shape)?,
            Settled::Refused(reason) => {
                let outputs = self.unread(at, Outcome::Refused, &reason)?;
                let skip = doc_skip(source, Outcome::Refused, &reason, 0, outputs);
                self.log.append(&Event::DocSkip(skip))?;
                (Outcome::Refused, reason, 0)
            }
            Settled::Deferred(reason) => {
                let skip = doc_skip(source, Outcome::Deferred, &reason, 0, Vec::new());
                self.log.append(&Event::DocSkip(skip))?;
                (Outcome::Deferred, reason, 0)
            }
            Settled::Failed { class, message } => {
                self.failed(at, source, shape, class, &message)?;
                (Outcome::Failed, message, 0)
            }
        };
        let end = DocumentEnd::of(source, outcome, reason);
        self.progress.document(&end);
        self.progress.update(|standing| {
            standing.documents_done += 1;
            standing.pages_done += u64::from(pages);
        });
        self.ends.push((index, end));
        Ok(())
    }

    /// Logs that work on the due document `at` begins, or how far it has come.
    fn log_start(&mut self, at: usize, part: Option<Part>) -> Result<(), Broken> {
        let (index, shape) = (self.due[at].0, self.shapes[at]);
        let source = &self.sources[index].1;
        let start = DocStart {
            doc: source.id,
            path: log_path(source),
            input_sha256: source.digest,
            bytes: source.bytes,
            shape,
            attempt: self.log.ledger().attempts(&source.id, &source.digest, &shape) + 1,
            part,
        };
        self.log.append(&Event::DocStart(start))?;
        Ok(())
    }

    /// Makes what a table has durable and known to the next run.
    fn close_table(&mut self, at: usize, mut table: OpenTable) -> Result<OpenTable, Broken> {
        if let Some(part) = table.sync()? {
            self.log_start(at, Some(part))?;
        }
        Ok(table)
    }

    /// A table all of whose rows are durable: its file first, then its record.
    fn rows_answered(
        &mut self,
        at: usize,
        table: OpenTable,
        shape: Digest,
    ) -> Result<(Outcome, String, u32), Broken> {
        let (index, due) = (self.due[at].0, &self.work[at]);
        let record = table.lines.record(due.source, due.made_with.clone());
        let text = table.lines.text();
        keep_superseded(self.writer, self.log.ledger(), (due.job, due.source), &record)?;
        let file = table.finish(self.writer, due.source)?;
        self.answered(index, (&record, text), vec![file], shape)
    }

    /// `more`: files beside the record that are durable already.
    fn answered(
        &mut self,
        index: usize,
        (record, text_sha256): (&Record, Digest),
        more: Vec<WrittenFile>,
        shape: Digest,
    ) -> Result<(Outcome, String, u32), Broken> {
        let (job, source) = &self.sources[index];
        let mut outputs = write_record(self.writer, self.log.ledger(), (job, source), record)?;
        outputs.extend(files(more));
        let (outcome, reason, pages) = (record.outcome, record.reason.clone(), record.source.pages);
        if !matches!(outcome, Outcome::Done | Outcome::Partial) {
            let skip = doc_skip(source, outcome, &reason, 0, outputs);
            self.log.append(&Event::DocSkip(skip))?;
            return Ok((outcome, reason, pages));
        }
        let took = self.clock.elapsed().saturating_sub(self.begun_at[index]);
        let done = DocDone {
            doc: source.id,
            path: log_path(source),
            input_sha256: source.digest,
            bytes: source.bytes,
            shape,
            outcome,
            outputs,
            text_sha256,
            transcript_sha256: record.made_with.transcript.unwrap_or_else(|| Digest::of(b"")),
            pages: u64::from(pages),
            prompt_tokens: record.tokens.prompt,
            answer_tokens: record.tokens.answer,
            warnings: record.warnings.len() as u64,
            supersedes: self.log.ledger().supersedes(&source.id),
            ms: took.as_millis() as u64,
        };
        self.log.append(&Event::DocDone(done))?;
        Ok((outcome, reason, pages))
    }

    fn failed(
        &mut self,
        at: usize,
        source: &Source,
        shape: Digest,
        class: &str,
        message: &str,
    ) -> Result<(), Broken> {
        let attempts = self.log.ledger().attempts(&source.id, &source.digest, &shape) + 1;
        let outputs = self.unread(at, Outcome::Failed, message)?;
        let fail = DocFail {
            doc: source.id,
            path: log_path(source),
            input_sha256: source.digest,
            bytes: source.bytes,
            shape,
            class: class.to_owned(),
            detail: message.to_owned(),
            attempts,
            outputs,
        };
        self.log.append(&Event::DocFail(fail))?;
        Ok(())
    }

    /// Writes the record of a document that was not answered.
    fn unread(&self, at: usize, outcome: Outcome, reason: &str) -> Result<Vec<OutputFile>, Broken> {
        let due = &self.work[at];
        let source = pipeline::work_source(due.source);
        let record = assemble::unread(source, outcome, reason.to_owned(), due.made_with.clone());
        write_record(self.writer, self.log.ledger(), (due.job, due.source), &record)
    }
}

/// Writes the record of `source`, and first keeps the answer that it takes the place of, if its job says so.
fn write_record(
    writer: &Writer,
    ledger: &Ledger,
    (job, source): (&Job, &Source),
    record: &Record,
) -> Result<Vec<OutputFile>, Broken> {
    keep_superseded(writer, ledger, (job, source), record)?;
    Ok(files(writer.record(record)?))
}

/// Puts the files of an earlier answer aside before `record` takes their place, where the job keeps them.
fn keep_superseded(
    writer: &Writer,
    ledger: &Ledger,
    (job, source): (&Job, &Source),
    record: &Record,
) -> Result<(), Broken> {
    let before = ledger.doc(&source.id).filter(|_| job.keep_superseded);
    if let Some(done) = before.as_ref().and_then(|doc| doc.done.as_ref()) {
        let files = done.outputs.iter().map(|file| (file.path.clone(), file.sha256));
        writer.keep_superseded(done.seq, files, record)?;
    }
    Ok(())
}

fn files(written: Vec<WrittenFile>) -> Vec<OutputFile> {
    written.into_iter().map(|file| OutputFile { path: file.path, sha256: file.digest }).collect()
}

fn doc_skip(
    source: &Source,
    outcome: Outcome,
    reason: &str,
    rests_on: u64,
    outputs: Vec<OutputFile>,
) -> DocSkip {
    DocSkip {
        doc: source.id,
        path: log_path(source),
        input_sha256: source.digest,
        bytes: source.bytes,
        outcome,
        reason: reason.to_owned(),
        rests_on,
        outputs,
    }
}

fn log_path(source: &Source) -> String {
    format!("{}/{}/{}", source.job, source.root, source.path)
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned())
}
