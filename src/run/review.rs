//! `nightclerk review`: a reviewed workbook read back into the log, whole or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::{Broken, STATE_FOLDER};
use crate::assemble::Record;
use crate::audit::{Event, Judged, Ledger, Log, LogError, Review};
use crate::base::{Clock, Digest, Disk, Limits};
use crate::jobs::Plan;
use crate::output::{Reviewed, read_review, record_paths};

/// What reviewers wrote, below the state folder.
pub(super) const FOLDER: &str = "reviews";

/// Problems named up to this many.
const NAMED_MAX: usize = 20;

/// What was written into the log.
#[derive(Debug, Default, Serialize)]
pub struct ReviewSheet {
    pub signed_off: u64,
    pub corrected: u64,
    pub rejected: u64,
    /// Judgements that the log already has, word for word.
    pub known: u64,
}

/// Reads `workbook` back: every judgement becomes an entry of the log. `reviewer` is whose they are where
/// the workbook's own column does not say.
///
/// # Errors
/// `Usage` with every row that cannot be taken; then nothing is written. `Log` where another run is at
/// work.
pub fn review(
    plan: &Plan,
    workbook: &Path,
    reviewer: &str,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
) -> Result<ReviewSheet, Broken> {
    let bytes = read(workbook)?;
    let refused = |problems: &[String]| {
        let more = problems.len().saturating_sub(NAMED_MAX);
        let mut text = format!("{}: nothing was taken over", workbook.display());
        problems.iter().take(NAMED_MAX).for_each(|problem| text += &format!("\n  {problem}"));
        if more > 0 {
            text += &format!("\n  and {more} more");
        }
        Broken::Usage(text)
    };
    let judged = read_review(&bytes).map_err(|problems| refused(&problems))?;
    let state = plan.output.join(STATE_FOLDER);
    if !state.is_dir() {
        return Err(LogError::Missing { folder: state }.into());
    }
    let audit = &plan.audit;
    let mut log = Log::open(disk.clone(), &state, &audit.key_dir, &audit.origin, clock)?;
    let workbook_sha256 = Digest::of(&bytes);
    let mut records = Records { plan, ledger: log.ledger(), read: BTreeMap::new() };
    let (mut entries, mut problems) = (Vec::new(), Vec::new());
    let mut sheet = ReviewSheet::default();
    for row in &judged {
        match entry(row, reviewer, workbook_sha256, &mut records) {
            Ok(Some(entry)) => entries.push(entry),
            Ok(None) => sheet.known += 1,
            Err(problem) => problems.push(format!("row {}: {problem}", row.line)),
        }
    }
    if !problems.is_empty() {
        return Err(refused(&problems));
    }
    for (entry, words) in entries {
        keep(
            disk.as_ref(),
            &state.join(FOLDER).join(format!("{}.json", entry.words_sha256)),
            &words,
        )?;
        *match entry.verdict {
            Judged::SignedOff => &mut sheet.signed_off,
            Judged::Corrected => &mut sheet.corrected,
            Judged::Rejected => &mut sheet.rejected,
        } += 1;
        log.append(&Event::Review(entry))?;
    }
    log.sign_rest()?;
    Ok(sheet)
}

fn read(workbook: &Path) -> Result<Vec<u8>, Broken> {
    let most = Limits::default().input_bytes_max;
    let mut bytes = Vec::new();
    let file = fs::File::open(workbook).map_err(|error| Broken::disk(workbook, &error))?;
    let read = file.take(most + 1).read_to_end(&mut bytes);
    read.map_err(|error| Broken::disk(workbook, &error))?;
    if bytes.len() as u64 > most {
        let limit = most >> 20;
        return Err(Broken::Usage(format!("{}: larger than {limit} MiB", workbook.display())));
    }
    Ok(bytes)
}

/// Makes a person's words durable before an entry names them.
fn keep(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), Broken> {
    let folder = path.parent().unwrap_or(path);
    let kept = disk
        .create_folder(folder)
        .and_then(|()| disk.write(path, bytes))
        .and_then(|()| disk.sync_file(path))
        .and_then(|()| disk.sync_folder(folder));
    kept.map_err(|error| Broken::disk(path, &error))
}

/// The records that the log vouches for, read once each.
struct Records<'a> {
    plan: &'a Plan,
    ledger: &'a Ledger,
    read: BTreeMap<String, (Digest, Record)>,
}

impl Records<'_> {
    /// The record whose job, root and path `place` names, and its digest.
    fn get(&mut self, place: &str) -> Result<&(Digest, Record), String> {
        if !self.read.contains_key(place) {
            let mut parts = place.splitn(3, '/');
            let mut part = || parts.next().unwrap_or_default();
            let [json, _] =
                record_paths(part(), part(), part()).map_err(|error| error.to_string())?;
            let bytes =
                fs::read(self.plan.output.join(&json)).map_err(|e| format!("{json}: {e}"))?;
            let digest = Digest::of(&bytes);
            if self.ledger.outputs().get(&json) != Some(&digest) {
                return Err(format!("{json} is not as the log has it: nightclerk verify"));
            }
            let record = serde_json::from_slice(&bytes).map_err(|e| format!("{json}: {e}"))?;
            self.read.insert(place.to_owned(), (digest, record));
        }
        Ok(&self.read[place])
    }
}

/// The row as an entry, and the words that it names; none where the log has the same already.
fn entry(
    row: &Reviewed,
    reviewer: &str,
    workbook_sha256: Digest,
    records: &mut Records<'_>,
) -> Result<Option<(Review, Vec<u8>)>, String> {
    let ledger = records.ledger;
    let doc = ledger.doc(&row.doc).ok_or("the log has no such document")?;
    let (digest, record) = records.get(&doc.path)?;
    if *digest != row.record {
        return Err(format!(
            "{} was answered anew since this workbook was written; judge the new table",
            doc.path
        ));
    }
    if let Some(tampered) = row.tampered(record) {
        return Err(format!("{}: {tampered}", doc.path));
    }
    let reviewer = if row.reviewer.is_empty() { reviewer } else { &row.reviewer };
    if reviewer.is_empty() {
        return Err("no reviewer: fill in the column, or name one with --reviewer".to_owned());
    }
    let verdict = match row.verdict {
        "signed-off" => Judged::SignedOff,
        "corrected" => Judged::Corrected,
        _ => Judged::Rejected,
    };
    let words = row.words(reviewer).to_string().into_bytes();
    let words_sha256 = Digest::of(&words);
    let before = ledger.judgements(row.doc).find(|(field, _)| *field == row.field());
    if before.is_some_and(|(_, before)| before.words == words_sha256) {
        return Ok(None);
    }
    let review = Review {
        doc: row.doc,
        path: doc.path.clone(),
        record_sha256: row.record,
        field: row.field().to_owned(),
        verdict,
        reviewer: reviewer.to_owned(),
        workbook_sha256,
        words_sha256,
    };
    Ok(Some((review, words)))
}
