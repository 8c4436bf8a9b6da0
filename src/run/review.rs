//! `nightclerk review`: a reviewed workbook read back into the log, whole or not at all. It is read like every
//! document: in a process of its own, and what that answers is checked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::Broken;
use super::proof::begun;
use super::read::Readers;
use crate::assemble::Record;
use crate::audit::{Event, Judged, Ledger, Log, Review};
use crate::base::{Clock, Digest, Disk, Limits, replace_file};
use crate::isolate::Parsed;
use crate::jobs::Plan;
use crate::output::{AnsweredRow, AnsweredRows, Mark, Reviewed, read_review, record_paths};

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

/// A reviewer's workbook, opened before this process is isolated.
pub struct ReviewedBook {
    path: PathBuf,
    file: File,
    sha256: Digest,
}

impl ReviewedBook {
    /// Opens and fingerprints it; it is not understood here.
    ///
    /// # Errors
    /// `Disk` where it cannot be read.
    pub fn open(path: &Path) -> Result<ReviewedBook, Broken> {
        let unread = |error| Broken::disk(path, &error);
        let mut file = File::open(path).map_err(unread)?;
        let (sha256, _) = Digest::of_reader(&mut file).map_err(unread)?;
        file.rewind().map_err(unread)?;
        Ok(ReviewedBook { path: path.into(), file, sha256 })
    }

    /// The judged rows, read by a child of `server`.
    fn rows(self, server: &mut Readers, limits: &Limits) -> Result<Vec<Reviewed>, Vec<String>> {
        let request = serde_json::to_vec(limits).expect("limits have only string keys");
        let answer = match server.server.parse(self.file, &request, limits) {
            Parsed::Ok(bytes) => bytes,
            other => return Err(other.why(limits).into_iter().collect()),
        };
        let unsound = |error| vec![format!("the reader's answer cannot be understood: {error}")];
        let (sha256, rows): (Digest, Result<Vec<Reviewed>, Vec<String>>) =
            serde_json::from_slice(&answer).map_err(unsound)?;
        match sha256 == self.sha256 {
            true => rows,
            false => Err(vec!["it was changed while it was read; save it and try again".into()]),
        }
    }
}

/// Puts up the first walls and starts the parse server whose children read workbooks.
pub fn start() -> io::Result<Readers> {
    Readers::of(answer)
}

/// The child's side: the digest of what it read, and the rows or what is wrong with them.
fn answer(input: &mut File, request: &[u8], output: &mut dyn Write) -> io::Result<()> {
    let limits: Limits = serde_json::from_slice(request)?;
    let mut bytes = Vec::new();
    input.take(limits.input_bytes_max + 1).read_to_end(&mut bytes)?;
    let rows = match bytes.len() as u64 > limits.input_bytes_max {
        true => Err(vec![format!("larger than {} MiB", limits.input_bytes_max >> 20)]),
        false => read_review(&bytes),
    };
    serde_json::to_writer(output, &(Digest::of(&bytes), rows)).map_err(io::Error::from)
}

/// Reads a workbook back: every judgement becomes an entry of the log. `reviewer` is whose they are where
/// the workbook's own column does not say.
///
/// # Errors
/// `Usage` with every row that cannot be taken; then nothing is written. `Log` where another run is at
/// work.
pub fn review(
    plan: &Plan,
    workbook: ReviewedBook,
    server: &mut Readers,
    reviewer: &str,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
) -> Result<ReviewSheet, Broken> {
    let (path, workbook_sha256) = (workbook.path.clone(), workbook.sha256);
    let refused = |problems: &[String]| {
        let more = problems.len().saturating_sub(NAMED_MAX);
        let mut text = format!("{}: nothing was taken over", path.display());
        problems.iter().take(NAMED_MAX).for_each(|problem| text += &format!("\n  {problem}"));
        if more > 0 {
            text += &format!("\n  and {more} more");
        }
        Broken::Usage(text)
    };
    let rows = workbook.rows(server, &plan.limits);
    let judged = rows.map_err(|problems| refused(&problems))?;
    let state = begun(plan)?;
    let audit = &plan.audit;
    let mut log = Log::open(disk.clone(), &state, &audit.key_dir, &audit.origin, clock)?;
    let mut records =
        Records { plan, ledger: log.ledger(), read: BTreeMap::new(), rows: BTreeMap::new() };
    let (mut entries, mut problems) = (Vec::new(), Vec::new());
    let mut sheet = ReviewSheet::default();
    records.read_rows(&judged)?;
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

/// Makes a person's words durable before an entry names them.
fn keep(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), Broken> {
    let folder = path.parent().unwrap_or(path);
    let kept = disk.create_folder(folder).and_then(|()| replace_file(disk, path, bytes));
    kept.map_err(|error| Broken::disk(path, &error))
}

/// The records that the log vouches for, read once each.
struct Records<'a> {
    plan: &'a Plan,
    ledger: &'a Ledger,
    read: BTreeMap<String, (Digest, Record)>,
    /// Of tables whose rows are documents of their own, by place: the fields, and the rows that were judged.
    rows: BTreeMap<String, (Vec<String>, BTreeMap<u64, AnsweredRow>)>,
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
            if self.ledger.output(&json) != Some(digest) {
                return Err(format!("{json} is not as the log has it: nightclerk verify"));
            }
            let record = serde_json::from_slice(&bytes).map_err(|e| format!("{json}: {e}"))?;
            self.read.insert(place.to_owned(), (digest, record));
        }
        Ok(&self.read[place])
    }

    /// Reads the rows that `judged` names, each table once, where it is as the log has it.
    fn read_rows(&mut self, judged: &[Reviewed]) -> Result<(), Broken> {
        let mut wanted: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
        let ledger = self.ledger;
        for row in judged {
            if let (Some(number), Some(doc)) = (row.row(), ledger.doc(&row.doc)) {
                wanted.entry(doc.path.clone()).or_default().insert(number);
            }
        }
        for (place, numbers) in wanted {
            // What is wrong with a record is said of each of its rows.
            let Ok((_, record)) = self.get(&place) else { continue };
            let Some(table) = record.rows.as_ref().map(|rows| rows.table.clone()) else { continue };
            let path = self.plan.output.join(&table);
            let unread = |error| Broken::disk(&path, &error);
            let mut file = File::open(&path).map_err(unread)?;
            if ledger.output(&table) != Some(Digest::of_reader(&mut file).map_err(unread)?.0) {
                continue;
            }
            let answered = AnsweredRows::open(&path)?;
            let fields = answered.fields();
            let mut rows = BTreeMap::new();
            for row in answered {
                let row = row?;
                if numbers.contains(&row.number) {
                    rows.insert(row.number, row);
                }
            }
            self.rows.insert(place, (fields, rows));
        }
        Ok(())
    }

    /// What was changed of what a person was given to judge.
    fn tampered(&self, place: &str, row: &Reviewed) -> Option<String> {
        let Some(number) = row.row() else { return row.tampered(&self.read[place].1) };
        let Some((fields, rows)) = self.rows.get(place) else {
            return Some(
                "its table of rows is not as the log has it: nightclerk verify".to_owned(),
            );
        };
        match rows.get(&number) {
            Some(answered) => row.row_tampered(answered, fields),
            None => Some(format!("its table has no row {number}")),
        }
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
    let (digest, _) = records.get(&doc.path)?;
    if *digest != row.record {
        return Err(format!(
            "{} was answered anew since this workbook was written; judge the new table",
            doc.path
        ));
    }
    if let Some(tampered) = records.tampered(&doc.path, row) {
        return Err(format!("{}: {tampered}", doc.path));
    }
    let reviewer = if row.reviewer.is_empty() { reviewer } else { &row.reviewer };
    if reviewer.is_empty() {
        return Err("no reviewer: fill in the column, or name one with --reviewer".to_owned());
    }
    let verdict = match row.verdict {
        Mark::SignedOff => Judged::SignedOff,
        Mark::Corrected => Judged::Corrected,
        Mark::Rejected => Judged::Rejected,
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
