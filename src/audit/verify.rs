//! Walks a log and the files that it vouches for, and says what holds. Reads only; takes no lock.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use walkdir::WalkDir;

use super::error::{BadEntry, LogError};
use super::event::{Event, OutputFile};
use super::export::read_note;
use super::keys::{KeyStore, known_log_key};
use super::ledger::Ledger;
use super::line::Entry;
use super::note::{Checkpoint, NotAKey, Vkey};
use super::rules::{Chain, Step};
use super::segments::{self, LOG_FOLDER, Walk, Watch};
use super::tree::{self, Tree};
use crate::base::limits::{LEAVES_MAX, VERIFY_ENTRIES_MAX};
use crate::base::{Digest, RealDisk, digest_file};

/// What the verifier knows from elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Expectations {
    /// The log's name; a log of another name is broken at its first entry.
    pub origin: Option<String>,
    /// The log's key; a log of another key is broken at its first entry.
    pub pin: Option<Pin>,
    /// Checkpoints that were kept.
    pub known: Vec<Known>,
    /// Whose signatures on checkpoints count.
    pub witnesses: Vec<Vkey>,
    /// How often a run has to begin, and the time now.
    pub every: Option<(Duration, Timestamp)>,
}

/// A log's key, and its first entry if that is known too.
///
/// Whoever has the log's key can begin another log with it; they cannot make the same first entry, which
/// names the key of the first run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    pub key: Vkey,
    /// Leaf of the first entry.
    pub genesis: Option<Digest>,
    /// Where the pin comes from, for a person.
    pub from: String,
}

impl Pin {
    /// What `key_dir` on this machine says of the log of `origin`; none before the first run.
    pub fn of_key_dir(key_dir: &Path, origin: &str) -> Option<Pin> {
        let key = known_log_key(key_dir, origin)?;
        Some(Pin { key, genesis: None, from: "key_dir of this machine".into() })
    }
}

impl FromStr for Pin {
    type Err = NotAKey;

    /// Reads a verifier key, or what `checkpoint export` writes as `log.vkey`: the key, then
    /// `genesis <64 hex digits>`.
    fn from_str(text: &str) -> Result<Pin, NotAKey> {
        let mut words = text.split_whitespace();
        let key = words.next().ok_or(NotAKey)?.parse()?;
        let genesis = match (words.next(), words.next(), words.next()) {
            (None, ..) => None,
            (Some("genesis"), Some(leaf), None) => Some(leaf.parse().map_err(|_| NotAKey)?),
            _ => return Err(NotAKey),
        };
        Ok(Pin { key, genesis, from: "given".into() })
    }
}

/// A checkpoint that was kept apart from the log.
#[derive(Clone, Debug)]
pub struct Known {
    pub checkpoint: Checkpoint,
    /// The leaves that were exported with it: they name the entry where the log is another.
    pub leaves: Option<PathBuf>,
    /// Kept out of reach of whoever can write this machine; not so the last one of `key_dir`.
    pub elsewhere: bool,
}

/// The file that `checkpoint export` writes beside the note.
pub(super) const LEAVES_FILE: &str = "leaves";

impl Known {
    /// Reads a note that was kept; leaves that lie beside it are used.
    ///
    /// # Errors
    /// Why it is none.
    pub fn read(path: &Path) -> Result<Known, String> {
        let path = if path.is_dir() { path.join("checkpoint.note") } else { path.into() };
        let unusable = |why: &str| format!("{}: {why}", path.display());
        let note = read_note(&path).map_err(|error| error.to_string())?;
        let checkpoint = Checkpoint::parse(&note.text).map_err(unusable)?;
        let leaves = path.with_file_name(LEAVES_FILE);
        if checkpoint.size == 0 {
            return Err(unusable("a checkpoint of no entries says nothing of a log"));
        }
        let of_all = |found: fs::Metadata| {
            found.is_file() && checkpoint.size <= LEAVES_MAX && checkpoint.size * 32 == found.len()
        };
        let leaves = fs::symlink_metadata(&leaves).is_ok_and(of_all).then_some(leaves);
        Ok(Known { checkpoint, leaves, elsewhere: true })
    }

    /// The last checkpoint that `key_dir` knows of the log under `state`.
    ///
    /// # Errors
    /// `Keys` or `Io` where it cannot be read.
    pub fn of_key_dir(
        key_dir: &Path,
        origin: &str,
        state: &Path,
    ) -> Result<Option<Known>, LogError> {
        let Some(id) = segments::log_id(state) else { return Ok(None) };
        let keys = KeyStore::new(std::sync::Arc::new(RealDisk), key_dir, origin);
        let note = keys.head(&id)?;
        let checkpoint = note.and_then(|note| Checkpoint::parse(&note.text).ok());
        Ok(checkpoint.map(|checkpoint| Known { checkpoint, leaves: None, elsewhere: false }))
    }
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
    /// The log's key; none in a log without signatures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyFinding>,
    /// Leaf of the first entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub genesis: Option<Digest>,
    /// Checkpoints that hold.
    pub checkpoints: u64,
    /// The checkpoints that were kept, against the log.
    pub known: Vec<KnownFinding>,
    pub witnesses: Vec<Witnessed>,
    /// Times without a run, where one was expected.
    pub missing_nights: Vec<Gap>,
    /// Where the clock was set while a run was at work, or back between two of them; and how often in all.
    pub clock_steps: Vec<Step>,
    pub clock_steps_total: u64,
    /// How far each range can be trusted.
    pub ranges: Vec<Range>,
    pub files: FileFindings,
}

impl Report {
    /// Chain whole and signed, last run ended, every file as logged and no other, no night missing.
    pub fn is_sound(&self) -> bool {
        self.verdict == Verdict::Ok && self.files.is_sound() && self.missing_nights.is_empty()
    }
}

/// The chain in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every entry holds and every run has ended.
    Ok,
    /// Every entry holds, but the end is open: a run is at work or was cut off, or has not signed its last
    /// entries, and the next run will put it right.
    Unfinished,
    /// Every entry holds, but a checkpoint that was kept is of a longer log.
    Truncated,
    /// Every entry holds, but a checkpoint that was kept is of another log.
    Diverged,
    /// An entry does not hold.
    Broken,
}

/// How far a range of entries can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Standing {
    /// A checkpoint that was kept elsewhere, or that a witness has signed, covers it: nobody can have
    /// changed it since.
    Anchored,
    /// The log's keys have signed it: who changed it had them.
    Signed,
    /// Chained only: whoever could write the log could have written another.
    Unsigned,
}

/// Which key the log was held against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyFinding {
    pub vkey: Vkey,
    /// Where it is known from; none: only from the log itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned_by: Option<String>,
    /// Whether the first entry was known beforehand.
    pub genesis_pinned: bool,
}

/// A checkpoint that was kept, against the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KnownFinding {
    pub size: u64,
    pub root: Digest,
    pub elsewhere: bool,
    pub fit: Fit,
    /// The first entry that is not the one that was exported, where the leaves were kept as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_different: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    Fits,
    /// The log is shorter.
    Truncated,
    /// The log has another root at that size, or another origin.
    Diverged,
    /// The log breaks before it reaches that size.
    NotReached,
}

/// The largest checkpoint that a witness has signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Witnessed {
    pub witness: String,
    pub size: u64,
    /// RFC 3339, UTC.
    pub time: String,
}

/// No run began between two times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    pub after: String,
    pub before: String,
    /// Runs that were expected in between.
    pub missing: u64,
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
    /// Earlier outputs that a job keeps, with the digest that the log has.
    pub superseded: u64,
    /// What reviewers wrote, with the digest that the log has.
    pub reviews: u64,
}

impl FileFindings {
    pub fn is_sound(&self) -> bool {
        self.missing.is_empty() && self.changed.is_empty() && self.orphans.is_empty()
    }

    /// Whether `file` has the digest that the log has; else it is noted as `path`.
    fn hold(&mut self, file: &Path, path: String, sha256: Digest) -> Result<bool, LogError> {
        match fs::symlink_metadata(file) {
            Err(e) if is_missing(&e) => {
                self.missing.push(path);
                return Ok(false);
            }
            Err(e) => return Err(LogError::io(file, "cannot look at it")(e)),
            Ok(found) if !found.is_file() => {
                self.changed.push(path);
                return Ok(false);
            }
            Ok(_) => {}
        }
        let digest = fs::File::open(file).and_then(|mut file| Digest::of_reader(&mut file));
        let (digest, _) = digest.map_err(LogError::io(file, "cannot read it"))?;
        if digest != sha256 {
            self.changed.push(path);
        }
        Ok(digest == sha256)
    }
}

/// What reviewers wrote, below the state folder: `<sha256>.json`.
const REVIEWS_FOLDER: &str = "reviews";

/// Earlier outputs, below the state folder: `<path>/<seq>` is what entry `seq` names at `path`.
const SUPERSEDED_FOLDER: &str = "superseded";

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
    // With a checkpoint, here or kept elsewhere, a log that is gone is one that was cut off.
    let expected = !expectations.known.is_empty() || !segments::note_sizes(state)?.is_empty();
    if !folder.is_dir() && !expected {
        return Err(LogError::Missing { folder });
    }
    let sizes = expectations.known.iter().map(|known| known.checkpoint.size).chain([1]).collect();
    let watch =
        Watch { sizes, witnesses: expectations.witnesses.clone(), entries_max: VERIFY_ENTRIES_MAX };
    let mut walk = segments::walk(state, &watch)?;
    if let Some(message) = unexpected(&walk, expectations) {
        let (file, rule) = (segments::segment_name(1), "pin".into());
        walk.bad = Some(BadEntry { seq: 0, file, line: 1, rule, message });
    }
    let known = expectations.known.iter().map(|known| held_against(&walk, state, known));
    let known = known.collect::<Result<Vec<_>, _>>()?;
    let chain = &walk.chain;
    let elsewhere = known.iter().filter(|known| known.elsewhere && known.fit == Fit::Fits);
    let witnessed = walk.witnessed.values().map(|&(size, _)| size);
    let anchored = elsewhere.map(|known| known.size).chain(witnessed).max().unwrap_or(0);
    let pin = expectations.pin.as_ref();
    Ok(Report {
        verdict: verdict(&walk, &known),
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
        key: chain.signing().log_key().map(|vkey| KeyFinding {
            vkey: vkey.clone(),
            pinned_by: pin.map(|pin| pin.from.clone()),
            genesis_pinned: pin.is_some_and(|pin| pin.genesis.is_some()),
        }),
        genesis: walk.roots.get(&1).copied(),
        checkpoints: walk.notes.iter().filter(|&&size| size <= chain.signing().signed()).count()
            as u64,
        known,
        witnesses: walk
            .witnessed
            .iter()
            .map(|(witness, &(size, time))| Witnessed {
                witness: witness.clone(),
                size,
                time: i64::try_from(time)
                    .ok()
                    .and_then(|time| Timestamp::from_second(time).ok())
                    .unwrap_or(Timestamp::UNIX_EPOCH)
                    .to_string(),
            })
            .collect(),
        missing_nights: match expectations.every {
            Some((every, now)) => gaps(chain.begun(), every, now),
            None => Vec::new(),
        },
        clock_steps: chain.clock_steps().0.to_vec(),
        clock_steps_total: chain.clock_steps().1,
        ranges: ranges(chain, anchored),
        files: {
            let mut files = check_files(chain.ledger(), state, output)?;
            check_superseded(state, chain.size(), output, &mut files)?;
            check_reviews(chain.ledger(), state, output, &mut files)?;
            check_torn(state, output, &mut files)?;
            files
        },
        first_bad: walk.bad,
    })
}

/// Why this is not the log that was expected, from its first entry on.
fn unexpected(walk: &Walk, expectations: &Expectations) -> Option<String> {
    let chain = &walk.chain;
    let genesis = walk.roots.get(&1)?;
    if expectations.origin.as_deref().is_some_and(|origin| origin != chain.origin()) {
        return Some(format!("the log is that of {:?}", chain.origin()));
    }
    let pin = expectations.pin.as_ref()?;
    match chain.signing().log_key() {
        None => Some(format!("the log is not signed, but its key is known: {}", pin.key)),
        Some(key) if *key != pin.key => {
            Some(format!("the log is signed with {key}, not {}", pin.key))
        }
        Some(_) if pin.genesis.is_some_and(|pinned| pinned != *genesis) => {
            Some("this is not the first entry that is known: the log was begun anew".into())
        }
        Some(_) => None,
    }
}

fn held_against(walk: &Walk, state: &Path, known: &Known) -> Result<KnownFinding, LogError> {
    let Known { checkpoint: Checkpoint { origin, size, root }, leaves, elsewhere } = known;
    let fit = match walk.roots.get(size) {
        Some(found) if found == root && origin == walk.chain.origin() => Fit::Fits,
        Some(_) => Fit::Diverged,
        None if walk.bad.is_some() => Fit::NotReached,
        None => Fit::Truncated,
    };
    let leaves = leaves.as_ref().filter(|_| fit != Fit::Fits);
    let first_different = match leaves {
        Some(path) => first_different(state, path, (*size, *root))?,
        None => None,
    };
    Ok(KnownFinding { size: *size, root: *root, elsewhere: *elsewhere, fit, first_different })
}

/// The first entry whose leaf is not the exported one; none where the leaves are not those of `head`.
fn first_different(
    state: &Path,
    path: &Path,
    head: (u64, Digest),
) -> Result<Option<u64>, LogError> {
    let error = |source| LogError::io(path, "cannot read the leaves")(source);
    let mut leaves = BufReader::new(File::open(path).map_err(error)?);
    let (mut tree, mut equal, mut next) = (Tree::default(), 0, read_leaf(&mut leaves));
    segments::each_line(state, head.0, |seq, line| {
        if let Ok(Some(leaf)) = next {
            tree.push(leaf);
            equal += u64::from(equal == seq && tree::leaf(line) == leaf);
            next = read_leaf(&mut leaves);
        }
    })?;
    while let Some(leaf) = next.map_err(error)? {
        tree.push(leaf);
        next = read_leaf(&mut leaves);
    }
    Ok(((tree.size(), tree.root()) == head).then_some(equal))
}

/// The next of exported leaves; none at their end.
fn read_leaf(leaves: &mut impl Read) -> io::Result<Option<Digest>> {
    let mut leaf = [0; 32];
    match leaves.read_exact(&mut leaf) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        read => read.map(|()| Some(Digest(leaf))),
    }
}

fn verdict(walk: &Walk, known: &[KnownFinding]) -> Verdict {
    let chain = &walk.chain;
    let unsigned = chain.signing().log_key().is_some() && chain.signing().signed() < chain.size();
    let any = |fit| known.iter().any(|known| known.fit == fit);
    if walk.bad.is_some() {
        Verdict::Broken
    } else if any(Fit::Diverged) {
        Verdict::Diverged
    } else if any(Fit::Truncated) {
        Verdict::Truncated
    } else if walk.torn.is_some() || chain.open_run().is_some() || chain.size() == 0 || unsigned {
        Verdict::Unfinished
    } else {
        Verdict::Ok
    }
}

/// The entries, by how far they can be trusted.
fn ranges(chain: &Chain, anchored: u64) -> Vec<Range> {
    let signed = chain.signing().signed().max(anchored);
    let bounds = [
        (0, anchored, Standing::Anchored),
        (anchored, signed, Standing::Signed),
        (signed, chain.size(), Standing::Unsigned),
    ];
    let full = bounds.into_iter().filter(|(from, to, _)| from < to);
    full.map(|(from, to, standing)| Range { from, to: to - 1, standing }).collect()
}

/// Where a run was to begin every so often and did not. Half an interval late is no gap: a night begins
/// when the one before has ended, and clocks change.
fn gaps(begun: &[String], every: Duration, now: Timestamp) -> Vec<Gap> {
    let now = format!("{now:.3}");
    let mut gaps = Vec::new();
    // A day that no calendar has is no time at which a run began.
    let times = begun.iter().chain([&now]).filter_map(|text| Some((text, text.parse().ok()?)));
    let times: Vec<(&String, Timestamp)> = times.collect();
    for pair in times.windows(2) {
        let [(after, from), (before, to)] = pair else { continue };
        let gap = to.as_millisecond().saturating_sub(from.as_millisecond()).max(0) as u128;
        let missing = ((gap + every.as_millis() / 2) / every.as_millis().max(1)).saturating_sub(1);
        if missing > 0 {
            let (after, before) = ((*after).clone(), (*before).clone());
            gaps.push(Gap { after, before, missing: missing as u64 });
        }
    }
    gaps
}

/// Written without an entry of their own: made from what the log already vouches for.
const UNLOGGED: [&str; 2] = ["last-run.json", "report.html"];
const UNLOGGED_FOLDER: &str = "report";

/// Whether nothing stands at a path, also for want of a folder that leads there, or because no file can be called so.
fn is_missing(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
        || matches!(error.raw_os_error(), Some(libc::ELOOP | libc::ENAMETOOLONG))
}

fn check_files(ledger: &Ledger, state: &Path, output: &Path) -> Result<FileFindings, LogError> {
    let mut findings = FileFindings::default();
    for (path, sha256) in ledger.outputs() {
        findings.equal += u64::from(findings.hold(&output.join(&path), path, sha256)?);
    }
    if !output.exists() {
        return Ok(findings); // then all files are missing, and none is an orphan
    }
    let kept: BTreeSet<&str> = ledger.kept().collect();
    let mut entries = WalkDir::new(output).into_iter();
    while let Some(entry) = entries.next() {
        let entry = entry.map_err(|e| LogError::io(output, "cannot walk the outputs")(e.into()))?;
        let relative = entry.path().strip_prefix(output).unwrap_or(entry.path());
        // A name that is not UTF-8 is none of the log's, however it looks.
        let Some(path) = relative.to_str() else {
            if !entry.file_type().is_dir() {
                findings.orphans.push(relative.to_string_lossy().into_owned());
            }
            continue;
        };
        if entry.file_type().is_dir() {
            if entry.path() == state || path == UNLOGGED_FOLDER {
                entries.skip_current_dir();
            }
        } else if kept.contains(path) {
            findings.kept.push(path.to_owned());
        } else if ledger.output(path).is_none() && !UNLOGGED.contains(&path) {
            findings.orphans.push(path.to_owned());
        }
    }
    findings.kept.sort_unstable();
    findings.orphans.sort_unstable();
    Ok(findings)
}

/// Holds what reviewers wrote against the log's digests. What is there besides was written before an entry that
/// never came.
fn check_reviews(
    ledger: &Ledger,
    state: &Path,
    output: &Path,
    findings: &mut FileFindings,
) -> Result<(), LogError> {
    for sha256 in ledger.words() {
        let file = state.join(REVIEWS_FOLDER).join(format!("{sha256}.json"));
        let path = file.strip_prefix(output).unwrap_or(&file).display().to_string();
        findings.reviews += u64::from(findings.hold(&file, path, sha256)?);
    }
    Ok(())
}

/// Decimal digits without leading zeros.
fn is_decimal(text: &str) -> bool {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits && (text == "0" || !text.starts_with('0'))
}

/// Holds what was set aside against its names.
fn check_torn(state: &Path, output: &Path, findings: &mut FileFindings) -> Result<(), LogError> {
    let torn = segments::set_aside(state)?.into_iter().filter(|torn| torn.length.is_none());
    let relative = |path: &Path| path.strip_prefix(output).unwrap_or(path).display().to_string();
    findings.changed.extend(torn.map(|torn| relative(&torn.path)));
    Ok(())
}

/// Holds what jobs keep of earlier outputs against the first `entries` entries, which name them.
fn check_superseded(
    state: &Path,
    entries: u64,
    output: &Path,
    findings: &mut FileFindings,
) -> Result<(), LogError> {
    let folder = state.join(SUPERSEDED_FOLDER);
    let (mut kept, mut changed): (BTreeMap<u64, Vec<String>>, Vec<PathBuf>) = Default::default();
    for entry in WalkDir::new(&folder).into_iter().filter(|_| folder.is_dir()) {
        let entry = entry.map_err(|e| LogError::io(&folder, "cannot walk it")(e.into()))?;
        let path = entry.path().strip_prefix(&folder).unwrap_or(entry.path());
        let name = entry.file_name().to_str().unwrap_or_default();
        if entry.file_type().is_dir() || !is_decimal(name) {
            continue;
        }
        match (name.parse().ok(), path.parent().and_then(Path::to_str)) {
            (Some(seq), Some(of)) => kept.entry(seq).or_default().push(of.to_owned()),
            // No entry has this number, or names a path that is no text.
            _ => changed.push(entry.path().to_owned()),
        }
    }
    let mut unread = None;
    let entries = if kept.is_empty() { 0 } else { entries };
    segments::each_line(state, entries, |seq, line| {
        let Some(paths) = kept.remove(&seq) else { return };
        let outputs = match Entry::from_line(line) {
            Ok(Entry { event: Event::DocDone(done), .. }) => done.outputs,
            _ => Vec::new(),
        };
        for of in paths {
            let file = folder.join(&of).join(seq.to_string());
            match digest_file(&file) {
                Ok(Some(sha256)) if outputs.contains(&OutputFile { path: of, sha256 }) => {
                    findings.superseded += 1;
                }
                Ok(_) => changed.push(file),
                Err(error) => unread = Some(LogError::io(&file, "cannot read it")(error)),
            }
        }
    })?;
    let unknown =
        kept.into_iter().flat_map(|(seq, paths)| paths.into_iter().map(move |path| (path, seq)));
    changed.extend(unknown.map(|(path, seq)| folder.join(path).join(seq.to_string())));
    let relative = |file: &PathBuf| file.strip_prefix(output).unwrap_or(file).display().to_string();
    findings.changed.extend(changed.iter().map(relative));
    unread.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_on_a_day_that_no_calendar_has_hides_no_missing_night() {
        let begun = ["2026-02-27T22:00:00.000Z", "2026-02-31T22:00:00.000Z"].map(str::to_owned);
        let now = "2026-03-02T22:30:00Z".parse().unwrap();
        let found = gaps(&begun, Duration::from_secs(86_400), now);
        let found: Vec<_> = found.iter().map(|gap| (gap.after.as_str(), gap.missing)).collect();
        assert_eq!(found, [(begun[0].as_str(), 2)]);
    }
}
