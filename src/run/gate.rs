//! `[job.gate]`: before a night, its golden set is answered by the same model and tasks and scored against
//! a person's labels. Below the bar the night does not begin. What was scored stands in the audit log, and
//! is not scored again while model, tasks and golden set are the same.

use std::fmt::Write as _;
use std::time::Duration;

use globset::GlobSet;

use super::admission::Admission;
use super::night::Tools;
use super::pipeline::{self, Due, Settled, Step};
use super::score::{ScoreSheet, labels_of};
use super::signal::StopFlag;
use super::{Broken, model, read, shape};
use crate::assemble::{MadeWith, Record, Score, score};
use crate::audit::{Event, FieldCount, Log, VerifyResult};
use crate::base::Digest;
use crate::intake::{Source, SourceState};
use crate::jobs::{Gate, Job, Plan, Root};

/// The word of the log for what was verified.
const WHAT: &str = "gate";

/// Lets `job` pass if its golden set scores at least its bar; a job without a gate passes.
///
/// # Errors
/// `Gate` with the score of each field where it does not; `Broken` where the golden set cannot be scored.
pub(super) fn check(
    plan: &Plan,
    job: &Job,
    log: &mut Log,
    tools: &mut Tools,
) -> Result<(), Broken> {
    let Some(gate) = &job.gate else { return Ok(()) };
    let golden = golden_job(job, gate);
    let sources = read::sources(plan, &golden, &mut tools.server, tools.clock.as_ref())?;
    let sha256 = digest(plan, &golden, gate, &sources)?;
    let known = log.ledger().verified(WHAT, &job.name).filter(|known| known.sha256 == sha256);
    let (result, is_new) = match known.cloned() {
        Some(known) => (known, false),
        None => {
            tools.progress.say(&format!("{}: answering the golden set", job.name));
            let records = answer(plan, &golden, &sources, tools)?;
            (scored(job, gate, &records, sha256)?, true)
        }
    };
    if is_new {
        log.append(&Event::VerifyResult(result.clone()))?;
        log.sign_rest()?;
    }
    let said = format!(
        "{}: the golden set scores {} micro-F1, the bar is {}",
        job.name,
        milli(result.f1_milli),
        milli(gate.f1_min_milli)
    );
    if result.f1_milli >= gate.f1_min_milli {
        tools.progress.say(&said);
        return Ok(());
    }
    let mut message = format!("{said}; the night does not begin\n\n");
    // Writing to a string cannot fail.
    let _ = write!(message, "{}", sheet(&result).table());
    let _ = write!(
        message,
        "\nchange the model or the task, or lower f1_min in [job.gate] if this is good enough"
    );
    Err(Broken::Gate(message))
}

/// The job as it stands to its golden set: the same tasks, other documents.
fn golden_job(job: &Job, gate: &Gate) -> Job {
    let root = Root { name: WHAT.to_owned(), folder: gate.documents.clone() };
    Job {
        roots: vec![root],
        include: gate.include.clone(),
        exclude: GlobSet::empty(),
        settle: Duration::ZERO,
        ..job.clone()
    }
}

/// Of everything that the score depends on.
fn digest(plan: &Plan, golden: &Job, gate: &Gate, sources: &[Source]) -> Result<Digest, Broken> {
    let labels = std::fs::read(&gate.labels).map_err(|e| Broken::disk(&gate.labels, &e))?;
    let mut parts = vec![b"nightclerk/gate/1".to_vec(), Digest::of(&labels).0.to_vec()];
    parts.push(gate.fields.join("\n").into_bytes());
    for source in sources {
        let made_with = shape::made_with(plan, golden, source.format);
        parts.push(source.path.clone().into_bytes());
        parts.push(source.digest.0.to_vec());
        parts.push(shape::digest(plan, &made_with).0.to_vec());
    }
    Ok(Digest::of_parts(parts.iter().map(Vec::as_slice)))
}

/// The records of the golden documents; nothing of them is written.
fn answer(
    plan: &Plan,
    golden: &Job,
    sources: &[Source],
    tools: &mut Tools,
) -> Result<Vec<Record>, Broken> {
    let cannot = |source: &Source, why: &str| {
        let file = golden.roots[0].folder.join(&source.path);
        Broken::Usage(format!("the golden set of job {}: {}: {why}", golden.name, file.display()))
    };
    for source in sources {
        if let SourceState::Refused(why) | SourceState::Deferred(why) = &source.state {
            return Err(cannot(source, why));
        }
    }
    let (path, _) = model::checked(plan, &tools.progress)?;
    let settings = super::settings(&plan.engine);
    let mut engine = model::load(&path, &settings, &tools.progress)?;
    let (tokenizer, template) = (engine.facts().tokenizer_digest, engine.facts().template_digest);
    let due: Vec<Due<'_>> = sources
        .iter()
        .map(|source| {
            let made_with = shape::made_with(plan, golden, source.format);
            let made_with = MadeWith { tokenizer, template, ..made_with };
            Due { source, job: golden, made_with, recognize: true, rows: None }
        })
        .collect();
    let alone = Admission::new(StopFlag::default(), None, tools.clock.clone(), None);
    let mut records = Vec::new();
    let (server, progress) = (&mut tools.server, &tools.progress);
    let engine = (&mut engine, None, plan.engine.slots);
    pipeline::work_off(&due, &plan.limits, server, engine, progress, &alone, &mut |at, step| {
        match step {
            Step::Ended(Settled::Answered { record, .. }) => records.push(*record),
            Step::Ended(
                Settled::Refused(why)
                | Settled::Deferred(why)
                | Settled::Failed { message: why, .. },
            ) => return Err(cannot(&sources[at], &why)),
            _ => {}
        }
        Ok(())
    })?;
    Ok(records)
}

/// The log's word on the golden set.
fn scored(
    job: &Job,
    gate: &Gate,
    records: &[Record],
    sha256: Digest,
) -> Result<VerifyResult, Broken> {
    let labels = labels_of(&gate.labels)?.only(&gate.fields);
    let unusable = |why: String| {
        Broken::Usage(format!(
            "the golden set of job {}: {}: {why}",
            job.name,
            gate.labels.display()
        ))
    };
    if labels.has_rows() {
        return Err(unusable(
            "a golden set is made of documents, not of rows of tables".to_owned(),
        ));
    }
    let (mut scores, missing) = score(records, &labels);
    if !missing.is_empty() {
        return Err(unusable(format!(
            "no document below {} is called {}",
            gate.documents.display(),
            missing.join(", ")
        )));
    }
    let all = scores.pop().filter(|_| !scores.is_empty());
    let all = all.ok_or_else(|| unusable("it labels none of the fields".to_owned()))?;
    let counts = scores.into_iter().map(|score| FieldCount {
        name: score.field,
        found: score.found.into(),
        wrong: score.wrong.into(),
        missed: score.missed.into(),
    });
    Ok(VerifyResult {
        what: WHAT.to_owned(),
        job: job.name.clone(),
        sha256,
        documents: labels.documents() as u64,
        f1_milli: (all.f1 * 1000.0).round() as u64,
        f1_min_milli: gate.f1_min_milli,
        fields: counts.collect(),
    })
}

/// The score of each field as it was logged.
fn sheet(result: &VerifyResult) -> ScoreSheet {
    let count = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    let of = |field: &FieldCount| {
        Score::of(&field.name, count(field.found), count(field.wrong), count(field.missed))
    };
    let mut scores: Vec<Score> = result.fields.iter().map(of).collect();
    let sum = |of: fn(&Score) -> u32| scores.iter().map(of).sum();
    let all = Score::of("all", sum(|one| one.found), sum(|one| one.wrong), sum(|one| one.missed));
    scores.push(all);
    ScoreSheet { documents: result.documents as usize, rows: 0, scores, missing: Vec::new() }
}

fn milli(thousandths: u64) -> String {
    format!("{}.{:03}", thousandths / 1000, thousandths % 1000)
}
