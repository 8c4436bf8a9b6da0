//! Walks a log and the files that it vouches for, and says what holds. Reads only; takes no lock.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::Serialize;
use walkdir::WalkDir;

use super::error::{BadEntry, LogError};
use super::ledger::Ledger;
use super::segments::{self, LOG_FOLDER};
use crate::base::Digest;

/// What the verifier knows from elsewhere. Keys, notes and intervals join with the signatures.
#[derive(Clone, Debug, Default)]
pub struct Expectations {
    /// The log's name; a log of another name is broken at its first entry.
    pub origin: Option<String>,
}

/// What holds, and the first thing that does not.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub verdict: Verdict,
    pub origin: String,
    /// Entries that hold, from the first on.
    pub entries: u64,
    /// RFC 6962 root over them.
    pub root: Digest,
    /// Runs begun, and those of them that a later run found cut off.
    pub runs: u64,
    pub cut_off: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_bad: Option<BadEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub torn: Option<TornTail>,
    /// The last run, if it has not ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_run: Option<String>,
    /// How far each range can be trusted.
    pub ranges: Vec<Range>,
    pub files: FileFindings,
}

impl Report {
    /// Chain whole, last run ended, every file as logged and no other.
    pub fn is_sound(&self) -> bool {
        self.verdict == Verdict::Ok && self.files.is_sound()
    }
}

/// The chain in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every entry holds and every run has ended.
    Ok,
    /// Every entry holds, but the end is open: a run is at work or was cut off, and the next run will
    /// put it right.
    Unfinished,
    /// An entry does not hold.
    Broken,
}

/// How far a range of entries can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Standing {
    /// Chained only: whoever could write the log could have written another.
    Unsigned,
}

/// Entries `from` to `to`, both included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Range {
    pub from: u64,
    pub to: u64,
    pub standing: Standing,
}

/// Bytes after the last entry that are no entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TornTail {
    pub file: String,
    pub offset: u64,
    pub bytes: u64,
}

/// The output folder against the log; paths below the output folder, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FileFindings {
    /// Files with the digest that the log has.
    pub equal: u64,
    pub missing: Vec<String>,
    pub changed: Vec<String>,
    /// Files that no entry names.
    pub orphans: Vec<String>,
    /// Tables that people have edited, known as such to the log.
    pub kept: Vec<String>,
}

impl FileFindings {
    pub fn is_sound(&self) -> bool {
        self.missing.is_empty() && self.changed.is_empty() && self.orphans.is_empty()
    }
}

/// Verifies the log under `state` and the files under `output`.
///
/// # Errors
/// `Missing` where there is no log, `Io` where something cannot be read; whatever is wrong with the
/// log or the files is in the report.
pub fn verify(
    state: &Path,
    output: &Path,
    expectations: &Expectations,
) -> Result<Report, LogError> {
    let folder = state.join(LOG_FOLDER);
    if !folder.is_dir() {
        return Err(LogError::Missing { folder });
    }
    let mut walk = segments::walk(state)?;
    let chain = &walk.chain;
    let expected = expectations.origin.as_deref();
    if chain.size() > 0 && expected.is_some_and(|origin| origin != chain.origin()) {
        walk.bad = Some(BadEntry {
            seq: 0,
            file: segments::segment_name(1),
            line: 1,
            rule: "origin".into(),
            message: format!("the log is that of {:?}", chain.origin()),
        });
    }
    let unfinished = walk.torn.is_some() || chain.open_run().is_some() || chain.size() == 0;
    let verdict = match (&walk.bad, unfinished) {
        (Some(_), _) => Verdict::Broken,
        (None, true) => Verdict::Unfinished,
        (None, false) => Verdict::Ok,
    };
    let ranges = match chain.size() {
        0 => Vec::new(),
        size => vec![Range { from: 0, to: size - 1, standing: Standing::Unsigned }],
    };
    Ok(Report {
        verdict,
        origin: chain.origin().into(),
        entries: chain.size(),
        root: chain.root(),
        runs: chain.runs(),
        cut_off: chain.cut_off(),
        torn: walk.torn.as_ref().map(|torn| TornTail {
            file: torn.file.clone(),
            offset: torn.offset,
            bytes: torn.bytes.len() as u64,
        }),
        open_run: chain.open_run().map(ToString::to_string),
        ranges,
        files: check_files(chain.ledger(), state, output)?,
        first_bad: walk.bad,
    })
}

/// Written without an entry of their own: made from what the log already vouches for.
const UNLOGGED: [&str; 3] = ["last-run.json", "report.html", "report"];

fn check_files(ledger: &Ledger, state: &Path, output: &Path) -> Result<FileFindings, LogError> {
    let mut findings = FileFindings::default();
    for (path, sha256) in ledger.outputs() {
        let file = output.join(path);
        match fs::symlink_metadata(&file) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                findings.missing.push(path.clone());
                continue;
            }
            Err(e) => return Err(LogError::io(&file, "cannot look at an output")(e)),
            Ok(found) if !found.is_file() => {
                findings.changed.push(path.clone());
                continue;
            }
            Ok(_) => {}
        }
        let digest = fs::File::open(&file).and_then(|mut file| Digest::of_reader(&mut file));
        let (digest, _) = digest.map_err(LogError::io(&file, "cannot read an output"))?;
        if digest == *sha256 {
            findings.equal += 1;
        } else {
            findings.changed.push(path.clone());
        }
    }
    if !output.exists() {
        return Ok(findings); // then all files are missing, and none is an orphan
    }
    let kept: BTreeSet<&str> = ledger.kept().collect();
    let mut entries = WalkDir::new(output).sort_by_file_name().into_iter();
    while let Some(entry) = entries.next() {
        let entry = entry.map_err(|e| LogError::io(output, "cannot walk the outputs")(e.into()))?;
        let relative = entry.path().strip_prefix(output).unwrap_or(entry.path());
        let path = relative.to_string_lossy();
        if entry.file_type().is_dir() {
            if entry.path() == state || UNLOGGED.contains(&path.as_ref()) {
                entries.skip_current_dir();
            }
        } else if kept.contains(path.as_ref()) {
            findings.kept.push(path.into_owned());
        } else if !ledger.outputs().contains_key(path.as_ref())
            && !UNLOGGED.contains(&path.as_ref())
        {
            findings.orphans.push(path.into_owned());
        }
    }
    Ok(findings)
}
