//! Giving up a document's outputs: `nightclerk erase`, and what a job keeps only for a time.
//!
//! The log says it first, then the files go. The other way round a power cut between the two would leave
//! files missing that the log vouches for, which looks like tampering, and the next run would make them
//! anew. So it leaves files that nothing vouches for, and whoever opens the log next removes them.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::proof::{begun, unknown};
use super::{Broken, STATE_FOLDER, review};
use crate::audit::{DocState, Erase, Event, Ledger, Log};
use crate::base::{Clock, Disk, DocId};
use crate::jobs::{Job, Keep, Plan};
use crate::output::Writer;

/// What was erased.
#[derive(Clone, Debug, Serialize)]
pub struct Erasure {
    /// Job, root and path.
    pub path: String,
    pub reason: String,
    /// Below the output folder: the document's files, and the tables that held a row of it.
    pub files: Vec<String>,
}

/// Erases the outputs of the documents called so: by job, root and path, or by the end of that.
///
/// # Errors
/// `Usage` where a name is that of no document with outputs, or of several: then nothing is erased.
/// `Broken` where log or disk fail; what the log names as erased then goes at the next start.
pub fn erase(
    plan: &Plan,
    names: &[String],
    disk: &Arc<dyn Disk>,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<Erasure>, Broken> {
    let state = begun(plan)?;
    let audit = &plan.audit;
    let mut log = Log::open(disk.clone(), &state, &audit.key_dir, &audit.origin, clock.clone())?;
    let writer = Writer::new(disk.clone(), &plan.output);
    finish(log.ledger(), &writer)?;
    let mut docs =
        names.iter().map(|name| named(log.ledger(), name)).collect::<Result<Vec<_>, _>>()?;
    docs.sort_unstable();
    docs.dedup();
    let mut erased = Vec::new();
    for doc in docs {
        erased.extend(give_up(&mut log, &doc, "asked for by a person")?);
    }
    log.sign_rest()?;
    finish(log.ledger(), &writer)?;
    Ok(erased)
}

/// Erases what its job has kept long enough.
pub(super) fn expire(
    plan: &Plan,
    log: &mut Log,
    writer: &Writer,
    clock: &dyn Clock,
) -> Result<Vec<Erasure>, Broken> {
    finish(log.ledger(), writer)?;
    let now = clock.now();
    let over: Vec<(DocId, String)> = log
        .ledger()
        .docs()
        .filter_map(|(doc, state)| {
            let job = plan.jobs.iter().find(|job| job_of(&state.path) == job.name)?;
            Some((doc, expired(job, &state, now, &TimeZone::system())?))
        })
        .collect();
    let mut erased = Vec::new();
    for (doc, reason) in over {
        erased.extend(give_up(log, &doc, &reason)?);
    }
    finish(log.ledger(), writer)?;
    Ok(erased)
}

/// Why the document's outputs are to go; none where they are to stay or there are none.
fn expired(job: &Job, state: &DocState, now: Timestamp, zone: &TimeZone) -> Option<String> {
    let since: Timestamp = state.files_at.parse().ok()?;
    match job.keep {
        Keep::Always => None,
        Keep::For(time) => {
            let age = std::time::Duration::try_from(now.duration_since(since)).ok()?;
            let days = time.as_secs_f64() / 86_400.0;
            (age >= time).then(|| format!("kept for {days} days, as its job says"))
        }
        Keep::Until(date) => {
            let today = zone.to_datetime(now).date();
            (today > date).then(|| format!("kept until {date}, as its job says"))
        }
    }
}

/// The job of a document by its path in the log.
pub(super) fn job_of(path: &str) -> &str {
    path.split('/').next().unwrap_or(path)
}

/// Logs that the document's files and its job's tables are given up; none where it has no files.
fn give_up(log: &mut Log, doc: &DocId, reason: &str) -> Result<Option<Erasure>, Broken> {
    let Some(path) = log.ledger().doc(doc).map(|state| state.path.clone()) else { return Ok(None) };
    let job = job_of(&path).to_owned();
    let (outputs, tables) = log.ledger().files_with(doc, &job);
    if outputs.is_empty() {
        return Ok(None);
    }
    let files = outputs.iter().chain(&tables).map(|file| file.path.clone()).collect();
    let reason = reason.to_owned();
    log.append(&Event::Erase(Erase {
        doc: *doc,
        path: path.clone(),
        job,
        reason: reason.clone(),
        outputs,
        tables,
    }))?;
    Ok(Some(Erasure { path, reason, files }))
}

/// Removes what the log names as erased and is still there, with what reviewers wrote about it, tables of rows
/// that nothing goes on with, and the report, which shows all documents.
fn finish(ledger: &Ledger, writer: &Writer) -> Result<(), Broken> {
    let words = ledger
        .erased_words()
        .map(|words| (format!("{STATE_FOLDER}/{}/{words}.json", review::FOLDER), words));
    writer.erase(ledger.erased_files().chain(words))?;
    Ok(writer.sweep_parts(&|doc| ledger.doc(doc).is_some_and(|doc| doc.has_part()))?)
}

/// The one document with outputs that is called so.
fn named(ledger: &Ledger, name: &str) -> Result<DocId, Broken> {
    let found: Vec<(DocId, Cow<'_, DocState>)> = ledger.named(name).collect();
    match found.as_slice() {
        [] => Err(Broken::Usage(unknown(name))),
        [(_, state)] if !state.has_files() => {
            Err(Broken::Usage(format!("{} has no outputs", state.path)))
        }
        [(doc, _)] => Ok(*doc),
        several => {
            let paths: Vec<&str> = several.iter().map(|(_, state)| state.path.as_str()).collect();
            Err(Broken::Usage(format!(
                "{name:?} is the name of {} documents: {}",
                several.len(),
                paths.join(", ")
            )))
        }
    }
}
