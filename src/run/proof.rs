//! The commands that show what was done: verify, checkpoint, witness, prove.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{Broken, STATE_FOLDER};
use crate::audit::{
    self, Cosigned, Expectations, Exported, Imported, Known, Ledger, Log, LogError, Pin, Proof,
    Report, Vkey, Witness,
};
use crate::base::{Clock, DocId, RealDisk};
use crate::jobs::Plan;

/// What a person knows of the log beside the plan.
#[derive(Clone, Debug, Default)]
pub struct Knowledge {
    /// The log's verifier key, or a file that holds it.
    pub key: Option<String>,
    /// Notes, or folders that `export` wrote.
    pub known: Vec<PathBuf>,
    /// How often a run has to begin.
    pub every: Option<Duration>,
}

/// Verifies the plan's log and output.
///
/// # Errors
/// `Broken` where there is no log or it cannot be read, or what is known cannot; what does not hold is in
/// the report.
pub fn verify(plan: &Plan, knowledge: &Knowledge, clock: &dyn Clock) -> Result<Report, Broken> {
    let state = plan.output.join(STATE_FOLDER);
    let (key_dir, origin) = (&plan.audit.key_dir, plan.audit.origin.clone());
    let pin = match &knowledge.key {
        Some(text) => Some(read_pin(text)?),
        None => Pin::of_key_dir(key_dir, &origin),
    };
    let mut known = Vec::new();
    for path in &knowledge.known {
        let unusable = |why| Broken::Usage(format!("--known {why}"));
        known.push(Known::read(path).map_err(unusable)?);
    }
    known.extend(Known::of_key_dir(key_dir, &origin, &state)?);
    let expectations = Expectations {
        origin: Some(origin),
        pin,
        known,
        witnesses: witnesses(plan)?,
        every: knowledge.every.map(|every| (every, clock.now())),
    };
    Ok(audit::verify(&state, &plan.output, &expectations)?)
}

fn read_pin(text: &str) -> Result<Pin, Broken> {
    let (from, read) = match std::fs::read_to_string(text) {
        Ok(read) => (text.to_owned(), read),
        Err(_) => ("--key".to_owned(), text.to_owned()),
    };
    match read.parse::<Pin>() {
        Ok(pin) => Ok(Pin { from, ..pin }),
        Err(error) => {
            Err(Broken::Usage(format!("--key {text}: {error}, or a file that holds one")))
        }
    }
}

fn witnesses(plan: &Plan) -> Result<Vec<Vkey>, Broken> {
    let parse = |text: &String| {
        text.parse().map_err(|error| {
            let file = plan.file.display();
            Broken::Usage(format!("{file}: [audit] witnesses: {text:?}: {error}"))
        })
    };
    plan.audit.witnesses.iter().map(parse).collect()
}

/// The state folder of a plan that has run.
pub(super) fn begun(plan: &Plan) -> Result<PathBuf, LogError> {
    let folder = plan.output.join(STATE_FOLDER);
    if folder.is_dir() { Ok(folder) } else { Err(LogError::Missing { folder }) }
}

fn open_log(plan: &Plan, clock: Arc<dyn Clock>) -> Result<Log, Broken> {
    let state = begun(plan)?;
    let audit = &plan.audit;
    Ok(Log::open_bounded(Arc::new(RealDisk), &state, &audit.key_dir, &audit.origin, clock)?)
}

/// Writes the log's last checkpoint for another place into `folder`.
///
/// # Errors
/// `Broken` where the log cannot be opened, or the folder not be written.
pub fn export(plan: &Plan, folder: &Path, clock: Arc<dyn Clock>) -> Result<Exported, Broken> {
    Ok(audit::export(&mut open_log(plan, clock)?, folder)?)
}

/// Takes in the witnesses' signatures that `folder` brings.
///
/// # Errors
/// `Broken` where the log cannot be opened, or none of the signatures holds.
pub fn import(plan: &Plan, folder: &Path, clock: Arc<dyn Clock>) -> Result<Vec<Imported>, Broken> {
    let witnesses = witnesses(plan)?;
    Ok(audit::import(&open_log(plan, clock)?, folder, &witnesses)?)
}

/// Makes a witness in `folder`.
///
/// # Errors
/// `Broken` where there is one, or the folder cannot be written.
pub fn make_witness(folder: &Path, name: &str) -> Result<Vkey, Broken> {
    Ok(Witness::init(Arc::new(RealDisk), folder, name)?)
}

/// Has the witness of `folder` sign what `bundle` brings.
///
/// # Errors
/// `Broken` with the reason why it is not signed.
pub fn cosign(folder: &Path, bundle: &Path, clock: &dyn Clock) -> Result<Cosigned, Broken> {
    Ok(Witness::open(Arc::new(RealDisk), folder)?.sign(bundle, clock)?)
}

/// Writes the proof of one document's record into `folder`. `name` is its path in the log
/// (`job/root/path`), or the end of it where only one document ends so.
///
/// # Errors
/// `Usage` where no document or more than one is named so; `Broken` where the log does not hold.
pub fn prove(plan: &Plan, name: &str, folder: &Path) -> Result<Proof, Broken> {
    let state = begun(plan)?;
    let which = |ledger: &Ledger| named(ledger, name).map_err(Broken::Usage);
    audit::prove(&RealDisk, &state, &plan.output, which, folder)
}

/// Said where no document of the log is named so.
pub(super) fn unknown(name: &str) -> String {
    format!(
        "the log knows no document {name:?}; its path is meant, as `nightclerk status` and the tables \
         have it, or the end of that: contracts/inbox/lease.pdf, lease.pdf"
    )
}

/// The one document that is named so.
fn named(ledger: &Ledger, name: &str) -> Result<DocId, String> {
    let found: Vec<_> = ledger.named(name).collect();
    match &found[..] {
        [(id, _)] => Ok(*id),
        [] => Err(unknown(name)),
        _ => match found.iter().find(|(_, doc)| doc.path == name) {
            Some((id, _)) => Ok(*id),
            None => {
                let paths: Vec<&str> = found.iter().map(|(_, doc)| doc.path.as_str()).collect();
                Err(format!("{name:?} may be any of {}", paths.join(", ")))
            }
        },
    }
}
