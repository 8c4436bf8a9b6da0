//! `verify --replay`: recorded documents read, asked and rendered again, each alone, and compared with
//! the log's digests. Writes nothing; what a difference means is for a person to say.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::admission::Admission;
use super::pipeline::{self, Due, Settled, Step};
use super::progress::Progress;
use super::read::Readers;
use super::rows::Lines;
use super::signal::StopFlag;
use super::{Broken, look, model, night, read, shape};
use crate::assemble::{MadeWith, OcrFacts, Record, RowsTally};
use crate::audit::{DocState, Done, Ledger};
use crate::base::{Clock, Digest, DigestWriter, DocId, Outcome};
use crate::engine::{Engine, Settings};
use crate::intake::{Source, SourceState};
use crate::jobs::{Job, Plan, Unit};
use crate::output;

/// Which documents, and under which conditions.
#[derive(Clone, Debug)]
pub struct ReplayOptions {
    pub wanted: Wanted,
    /// Of the choice; none: made from the log's root, so that the same log gives the same choice.
    pub seed: Option<u64>,
    /// As `engine::Settings`; none: as in the jobs file, and the best tier here.
    pub threads: Option<usize>,
    pub tier: Option<String>,
}

#[derive(Clone, Debug)]
pub enum Wanted {
    /// So many of those that can be replayed.
    Count(usize),
    /// By job, root and path, or by the end of that.
    Named(Vec<String>),
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct ReplaySheet {
    pub verdict: ReplayVerdict,
    /// None where documents were named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Documents that could have been replayed.
    pub replayable: usize,
    /// How it was computed; empty where nothing was.
    pub threads: usize,
    pub tier: String,
    pub replayed: Vec<Replayed>,
    pub not_replayable: Vec<NotReplayable>,
}

/// What the whole of it proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayVerdict {
    /// What was asked for was replayed, every bit as logged.
    Identical,
    /// The same, but some of the documents that were named cannot be replayed.
    InPart,
    /// A bit is not as logged.
    Otherwise,
    /// None could be replayed.
    Nothing,
}

impl ReplaySheet {
    fn judged(&self) -> ReplayVerdict {
        let left_out = self.seed.is_none() && !self.not_replayable.is_empty();
        match () {
            () if self.replayed.is_empty() => ReplayVerdict::Nothing,
            () if self.replayed.iter().any(|one| !one.differences.is_empty()) => {
                ReplayVerdict::Otherwise
            }
            () if left_out => ReplayVerdict::InPart,
            () => ReplayVerdict::Identical,
        }
    }
}

#[derive(Debug, Serialize)]
pub struct Replayed {
    /// Job, root and path.
    pub path: String,
    /// Empty: every bit is as logged.
    pub differences: Vec<Difference>,
}

/// One digest that is not as logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `text`, `transcript`, the path of an output file, or `outcome`.
    pub what: String,
    pub logged: String,
    pub found: String,
    /// Where the record on disk first differs from the new one, as a JSON pointer (RFC 6901); empty
    /// where that does not show.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub first: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct NotReplayable {
    pub path: String,
    pub reason: String,
}

/// A recorded document whose answer still stands and whose input and questions are what they were.
struct Candidate<'a> {
    path: &'a str,
    done: &'a Done,
    job: &'a Job,
    source: &'a Source,
    made_with: MadeWith,
}

/// Replays documents that the log of `plan` records.
///
/// # Errors
/// `Broken` where log, inputs or model cannot be read, or a name is none of a recorded document. What
/// is not as logged is in the sheet.
pub fn replay(
    plan: &Plan,
    options: &ReplayOptions,
    server: &mut Readers,
    clock: &Arc<dyn Clock>,
    progress: &Progress,
) -> Result<ReplaySheet, Broken> {
    let ledger = look::ledger(plan)?;
    let sources = sources(plan, server, &**clock)?;
    let mut candidates = Vec::new();
    let mut not_replayable = Vec::new();
    let recorded = recorded(&ledger, &options.wanted)?;
    for (doc, state) in &recorded {
        match candidate(plan, state, sources.get(doc), server.ocr()) {
            Ok(candidate) => candidates.push((*doc, candidate)),
            Err(reason) => not_replayable.push(NotReplayable { path: state.path.clone(), reason }),
        }
    }
    let replayable = candidates.len();
    let mut seed = None;
    if let Wanted::Count(count) = options.wanted {
        let drawn = options.seed.unwrap_or_else(|| seed_of(plan, &ledger));
        draw(&mut candidates, count, drawn);
        seed = Some(drawn);
    }
    let mut sheet = ReplaySheet {
        verdict: ReplayVerdict::Nothing,
        seed,
        replayable,
        threads: 0,
        tier: String::new(),
        replayed: Vec::new(),
        not_replayable,
    };
    if candidates.is_empty() {
        return Ok(sheet);
    }
    let (path, _) = model::checked(plan, progress)?;
    let mut settings = super::settings(&plan.engine);
    settings.threads = options.threads.unwrap_or(settings.threads);
    settings.tier = options.tier.clone().or(settings.tier);
    let mut engine = model::load(&path, &settings, progress)?;
    (sheet.threads, sheet.tier) = (engine.threads(), engine.tier().to_owned());
    let of = candidates.len();
    progress.update(|standing| (standing.documents, standing.slots) = (of, settings.slots));
    for (nth, (_, candidate)) in candidates.iter().enumerate() {
        progress.say(&format!("replaying {} of {of}: {}", nth + 1, candidate.path));
        let alone = Admission::new(StopFlag::default(), None, clock.clone(), None);
        let answered = again(plan, candidate, &settings, server, &mut engine, (&alone, progress))?;
        let differences = differences(plan, candidate, answered);
        sheet.replayed.push(Replayed { path: candidate.path.to_owned(), differences });
        progress.update(|standing| standing.documents_done = nth + 1);
    }
    progress.finish();
    sheet.verdict = sheet.judged();
    Ok(sheet)
}

/// Every input that is there now, with its job.
fn sources<'a>(
    plan: &'a Plan,
    server: &mut Readers,
    clock: &dyn Clock,
) -> Result<BTreeMap<DocId, (&'a Job, Source)>, Broken> {
    let mut sources = BTreeMap::new();
    for job in night::chosen(plan, &[])? {
        let found = read::sources(plan, job, server, clock)?.into_iter();
        sources.extend(found.map(|source| (source.id, (job, source))));
    }
    Ok(sources)
}

/// The documents that ever had an answer: all, or those that are named.
fn recorded<'a>(
    ledger: &'a Ledger,
    wanted: &'a Wanted,
) -> Result<Vec<(DocId, Cow<'a, DocState>)>, Broken> {
    let Wanted::Named(names) = wanted else {
        return Ok(ledger.docs().filter(|(_, state)| state.done_seq > 0).collect());
    };
    let mut found = Vec::new();
    for name in names {
        let before = found.len();
        found.extend(ledger.named(name).filter(|(_, state)| state.done_seq > 0));
        if found.len() == before {
            return Err(Broken::Usage(format!(
                "the log has no answer for a document called {name:?}; `nightclerk status` and the \
                 tables name them as job/root/path"
            )));
        }
    }
    // Two names may be one document's.
    found.sort_unstable_by_key(|(doc, _)| *doc);
    found.dedup_by_key(|(doc, _)| *doc);
    Ok(found)
}

/// What is needed to ask again, or why that would prove nothing.
fn candidate<'a>(
    plan: &Plan,
    state: &'a DocState,
    source: Option<&'a (&'a Job, Source)>,
    ocr: Option<&OcrFacts>,
) -> Result<Candidate<'a>, String> {
    let Some(done) = &state.done else {
        return Err("superseded: its answer no longer stands".to_owned());
    };
    if done.outcome != Outcome::Done {
        return Err(format!("its answer is {}", done.outcome));
    }
    let Some((job, source)) = source else {
        return Err("vanished: it is not among the inputs any more".to_owned());
    };
    match &source.state {
        SourceState::Refused(reason) => return Err(format!("refused now: {reason}")),
        SourceState::Ready | SourceState::Deferred(_) => {}
    }
    if source.digest != done.input {
        return Err("changed: its bytes are others now".to_owned());
    }
    let plain = shape::made_with(plan, job, source.format);
    let with_ocr = ocr.map(|ocr| shape::with_ocr(&plain, ocr));
    let mut shapes = std::iter::once(plain).chain(with_ocr);
    let made_with = shapes.find(|made_with| shape::digest(plan, made_with) == done.shape);
    let Some(made_with) = made_with else {
        return Err(match look::written(plan, done).and_then(|record| ocr_change(&record, ocr)) {
            Some(change) => format!("recognized differently: {change}"),
            None => "asked differently: model, tasks or rules are others now".to_owned(),
        });
    };
    Ok(Candidate { path: &state.path, done, job, source, made_with })
}

fn seed_of(plan: &Plan, ledger: &Ledger) -> u64 {
    let run = ledger.last_run().map_or("", |run| run.run.as_str());
    let digest = Digest::of_parts([plan.audit.origin.as_bytes(), run.as_bytes()]);
    u64::from(u32::from_le_bytes([digest.0[0], digest.0[1], digest.0[2], digest.0[3]]))
}

/// How pages that are only pictures were recognized for `record`, where that is not how it is done now.
fn ocr_change(record: &Value, ocr: Option<&OcrFacts>) -> Option<String> {
    let then: OcrFacts = serde_json::from_value(record["made_with"]["ocr"].clone()).ok()?;
    let told = |facts: &OcrFacts| {
        let data = facts.data.to_string();
        format!("{} {} (data {}…)", facts.program, facts.languages, &data[..8])
    };
    match ocr {
        None => Some(format!("by {}, and now by nothing", told(&then))),
        Some(now) => {
            (*now != then).then(|| format!("by {}, and now by {}", told(&then), told(now)))
        }
    }
}

/// Keeps `count` of them: those whose digests together with the seed are the least.
fn draw(candidates: &mut Vec<(DocId, Candidate<'_>)>, count: usize, seed: u64) {
    let seed = seed.to_string();
    let lot = |doc: &DocId| Digest::of_parts([seed.as_bytes(), doc.to_string().as_bytes()]);
    candidates.sort_by_cached_key(|(doc, _)| lot(doc));
    candidates.truncate(count);
}

/// What a document is answered with when it is asked again.
struct Again {
    record: Record,
    text: Digest,
    /// Below the output folder, with the digest of the bytes that would be written.
    files: BTreeMap<String, Digest>,
}

/// A table of rows that is hashed and not written.
struct Unwritten {
    lines: Lines,
    digest: DigestWriter,
}

/// Reads it and asks everything again, with nothing beside it; the error says why it was not answered.
fn again(
    plan: &Plan,
    candidate: &Candidate<'_>,
    settings: &Settings,
    server: &mut Readers,
    engine: &mut Engine,
    (alone, progress): (&Admission, &Progress),
) -> Result<Result<Again, String>, Broken> {
    let (tokenizer, template) = (engine.facts().tokenizer_digest, engine.facts().template_digest);
    let recognize = candidate.made_with.ocr.is_some();
    let made_with = MadeWith { tokenizer, template, ocr: None, ..candidate.made_with.clone() };
    let (source, job) = (candidate.source, candidate.job);
    let rows = (job.unit_for(source.format) == Unit::Row).then_some(0);
    let due = [Due { source, job, made_with: made_with.clone(), recognize, rows }];
    let (mut end, mut table) = (None, None);
    let engine = (engine, None, settings.slots);
    pipeline::work_off(&due, &plan.limits, server, engine, progress, alone, &mut |_, step| {
        match step {
            Step::Begun { .. } => {}
            Step::Table(survey) => {
                let lines = Lines::new(job, source, *survey, RowsTally::default())?;
                table = Some(Unwritten { lines, digest: DigestWriter::new() });
            }
            Step::Row(row) => {
                let table = table.as_mut().expect("a table comes before its rows");
                let lines = table.lines.take(&row);
                table.digest.write_all(&lines).expect("a digest takes any bytes");
            }
            Step::Ended(settled) => end = Some(settled),
        }
        Ok::<(), Broken>(())
    })?;
    let (record, text, written) = match (end, table) {
        (Some(Settled::Answered { record, text }), _) => (*record, text, None),
        (Some(Settled::Rows), Some(Unwritten { lines, digest })) => {
            let record = lines.record(source, made_with);
            let path = record.rows.as_ref().map(|rows| rows.table.clone());
            (record, lines.text(), path.map(|path| (path, digest.finish())))
        }
        (
            Some(
                Settled::Refused(why)
                | Settled::Deferred(why)
                | Settled::Failed { message: why, .. },
            ),
            _,
        ) => return Ok(Err(why)),
        _ => return Ok(Err("it was given up".to_owned())),
    };
    let rendered = output::rendered(&record)?.into_iter();
    let files = rendered.map(|(path, bytes)| (path, Digest::of(&bytes))).chain(written).collect();
    Ok(Ok(Again { record, text, files }))
}

/// What of the answer is not as logged.
fn differences(
    plan: &Plan,
    candidate: &Candidate<'_>,
    again: Result<Again, String>,
) -> Vec<Difference> {
    let Again { record, text, files } = match again {
        Ok(again) => again,
        Err(why) => return vec![not_answered(&why)],
    };
    let done = candidate.done;
    let first = first_difference(plan, done, &record);
    let mut found = Vec::new();
    let mut compare = |what: &str, logged: Digest, now: Digest| {
        if logged != now {
            let (logged, found_now) = (logged.to_string(), now.to_string());
            let what = what.to_owned();
            found.push(Difference { what, logged, found: found_now, first: first.clone() });
        }
    };
    compare("text", done.text, text);
    let transcript = record.made_with.transcript.unwrap_or_else(|| Digest::of(b""));
    compare("transcript", done.transcript, transcript);
    for file in &done.outputs {
        let now = files.get(&file.path).copied().unwrap_or_else(|| Digest::of(b""));
        compare(&file.path, file.sha256, now);
    }
    found
}

fn not_answered(why: &str) -> Difference {
    let logged = Outcome::Done.word().to_owned();
    Difference { what: "outcome".into(), logged, found: why.into(), first: String::new() }
}

/// Where the record on disk and the new one part, if the one on disk can be read.
fn first_difference(plan: &Plan, done: &Done, record: &Record) -> String {
    match (look::written(plan, done), serde_json::to_value(record)) {
        (Some(written), Ok(now)) => parting(&written, &now).unwrap_or_default(),
        _ => String::new(),
    }
}

/// A JSON pointer to the first value in which two values differ; none where they are equal.
fn parting(a: &Value, b: &Value) -> Option<String> {
    match (a, b) {
        (Value::Object(one), Value::Object(other)) => {
            let keys = one.keys().chain(other.keys().filter(|key| !one.contains_key(*key)));
            keys.filter_map(|key| {
                let below = match (one.get(key), other.get(key)) {
                    (Some(a), Some(b)) => parting(a, b)?,
                    _ => String::new(),
                };
                Some(format!("/{}{below}", key.replace('~', "~0").replace('/', "~1")))
            })
            .next()
        }
        (Value::Array(one), Value::Array(other)) => {
            let pairs = one.iter().zip(other).enumerate();
            let inside = pairs.filter_map(|(i, (a, b))| Some(format!("/{i}{}", parting(a, b)?)));
            let shorter = one.len().min(other.len());
            let beyond = (one.len() != other.len()).then(|| format!("/{shorter}"));
            inside.chain(beyond).next()
        }
        (a, b) => (a != b).then(String::new),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_difference_is_named_by_a_json_pointer() {
        let one = json!({ "a": { "b": [1, 2, { "c/d": 3 }] }, "e": 4 });
        let with = |pointer: &str, value: Value| {
            let mut other = one.clone();
            *other.pointer_mut(pointer).unwrap() = value;
            parting(&one, &other)
        };
        assert_eq!(parting(&one, &one), None);
        assert_eq!(with("/a/b/2/c~1d", json!(5)).as_deref(), Some("/a/b/2/c~1d"));
        assert_eq!(with("/a/b", json!([1, 2])).as_deref(), Some("/a/b/2"));
        assert_eq!(with("/a", json!({})).as_deref(), Some("/a/b"));
        assert_eq!(with("/e", json!("4")).as_deref(), Some("/e"));
    }
}
