//! Reads a log from disk, segment by segment, line by line, with its checkpoints, through the rules.
//! Changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;

use super::error::{BadEntry, LogError};
use super::line::{Entry, LineError, RunId};
use super::note::{Note, Vkey};
use super::rules::{Breach, Chain};
use super::tree;
use crate::base::limits::{LOG_LINE_BYTES_MAX, LOG_READ_BYTES, NOTE_BYTES_MAX};
use crate::base::{Digest, open_file};

/// The folder of the segments, below the state folder.
pub(super) const LOG_FOLDER: &str = "log";

/// The folder of the checkpoints, below the state folder.
pub(super) const CHECKPOINT_FOLDER: &str = "checkpoints";

/// Below the state folder: bytes that were no entry, one file for each recovery.
pub(super) const TORN_FOLDER: &str = "torn";

/// What a reader wants to know beside whether the log holds.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Sizes at which the root is wanted.
    pub sizes: BTreeSet<u64>,
    /// Their signatures on checkpoints are looked for.
    pub witnesses: Vec<Vkey>,
    /// How many entries of each map that grows with the documents are held in memory; 0 for all.
    pub entries_max: usize,
}

/// A log as far as it holds.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// Roots at the sizes that were asked for.
    pub roots: BTreeMap<u64, Digest>,
    /// The largest checkpoint that each witness has signed, with the time in seconds since 1970.
    pub witnessed: BTreeMap<String, (u64, u64)>,
    /// Sizes of the checkpoints that are there, ascending.
    pub notes: Vec<u64>,
    pub chain: Chain,
    /// The first entry that breaks a rule; the chain stops before it.
    pub bad: Option<BadEntry>,
    /// What a cut-off write left at the end.
    pub torn: Option<Torn>,
    /// The last segment: its number and its length without torn bytes.
    pub last_segment: Option<(u32, u64)>,
}

/// Bytes after the last entry that are no entry and can be the rest of one.
#[derive(Debug)]
pub(super) struct Torn {
    pub path: PathBuf,
    pub file: String,
    /// Where they start in the segment.
    pub offset: u64,
    pub bytes: Vec<u8>,
}

pub(super) fn note_name(size: u64) -> String {
    format!("{size}.note")
}

pub(super) fn segment_name(number: u32) -> String {
    format!("{number:06}.jsonl")
}

/// Walks the log under `state`; a log without segments is an empty walk.
///
/// # Errors
/// Only what the operating system reports; damage is in the walk.
pub(super) fn walk(state: &Path, watch: &Watch) -> Result<Walk, LogError> {
    let folder = state.join(LOG_FOLDER);
    let numbers = segment_numbers(&folder)?;
    let mut walk = Walk { notes: note_sizes(state)?, ..Walk::default() };
    if watch.entries_max > 0 {
        walk.chain = Chain::bounded(watch.entries_max);
    }
    let mut notes = Notes { state, watch, next: 0 };
    for (index, &number) in numbers.iter().enumerate() {
        let expected = index as u32 + 1;
        if number != expected {
            let missing = segment_name(expected);
            walk.bad = Some(BadEntry {
                seq: walk.chain.size(),
                message: format!("segment {missing} is missing"),
                file: missing,
                line: 1,
                rule: "segment".into(),
            });
            return Ok(walk);
        }
        let is_last = index + 1 == numbers.len();
        walk_segment(&mut walk, &mut notes, &folder, number, is_last)?;
        if walk.bad.is_some() {
            return Ok(walk);
        }
    }
    if let Some(&size) = walk.notes.last().filter(|&&size| size > walk.chain.size()) {
        let message = format!(
            "checkpoint {size} is of a longer log: {} entries are missing at the end",
            size - walk.chain.size()
        );
        walk.bad = Some(bad_note(&walk.chain, size, Breach { rule: "checkpoint", message }));
    }
    Ok(walk)
}

/// The checkpoints that a walk comes by.
struct Notes<'a> {
    state: &'a Path,
    watch: &'a Watch,
    /// Index of the next one in `Walk::notes`.
    next: usize,
}

impl Notes<'_> {
    /// Checks the note that ends at the last entry, if there is one.
    fn pass(&mut self, walk: &mut Walk) -> Result<(), LogError> {
        let size = walk.chain.size();
        if self.watch.sizes.contains(&size) {
            walk.roots.insert(size, walk.chain.root());
        }
        if walk.notes.get(self.next) != Some(&size) {
            return Ok(());
        }
        self.next += 1;
        let Some(bytes) = read_note(self.state, size)? else {
            let message = format!("checkpoint {size}: {NO_FILE}");
            walk.bad = Some(bad_note(&walk.chain, size, Breach { rule: "note", message }));
            return Ok(());
        };
        match walk.chain.check_note(&bytes) {
            Ok(head) => {
                walk.chain.apply_note(head);
                let witnesses = self.watch.witnesses.iter();
                let found = witnesses.map(|witness| (witness, Note::parse(&bytes)));
                for (witness, note) in found {
                    match note.and_then(|note| note.cosigned(witness)) {
                        Ok(None) => {}
                        Ok(Some(time)) => {
                            walk.witnessed.insert(witness.to_string(), (size, time));
                        }
                        Err(why) => {
                            let message = format!(
                                "checkpoint {size}: the signature of {} {why}",
                                witness.name
                            );
                            let breach = Breach { rule: "signature", message };
                            walk.bad = Some(bad_note(&walk.chain, size, breach));
                        }
                    }
                }
            }
            Err(breach) => walk.bad = Some(bad_note(&walk.chain, size, breach)),
        }
        Ok(())
    }
}

/// What a note that does not hold says about the log: its first entry that no earlier note covers.
fn bad_note(chain: &Chain, size: u64, breach: Breach) -> BadEntry {
    let seq = chain.signing().signed();
    let rule = breach.rule.into();
    BadEntry { seq, file: note_name(size), line: 1, rule, message: breach.message }
}

/// The bytes of the note over the first `size` entries, as far as a note may be long and one more; none where
/// there is no file.
pub(super) fn read_note(state: &Path, size: u64) -> Result<Option<Vec<u8>>, LogError> {
    let path = state.join(CHECKPOINT_FOLDER).join(note_name(size));
    let mut bytes = Vec::new();
    let read = open_file(&path).and_then(|file| match file {
        Some(file) => file.take(NOTE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map(Some),
        None => Ok(None),
    });
    let read = read.map_err(LogError::io(&path, "cannot read the checkpoint"))?;
    Ok(read.map(|_| bytes))
}

/// What is wrong with a name in the state folder that is a folder, a pipe or a device, or a link to nothing.
const NO_FILE: &str = "it is not a file";

/// Sizes of the notes, ascending.
pub(super) fn note_sizes(state: &Path) -> Result<Vec<u64>, LogError> {
    let folder = state.join(CHECKPOINT_FOLDER);
    let mut sizes = Vec::new();
    for name in names(&folder, "cannot list the checkpoints")? {
        let size = name.strip_suffix(".note").and_then(|text| text.parse::<u64>().ok());
        sizes.extend(size.filter(|&size| size > 0 && note_name(size) == name));
    }
    sizes.sort_unstable();
    Ok(sizes)
}

/// Bytes that were set aside.
pub(super) struct SetAside {
    pub path: PathBuf,
    /// Entries before them, and their digest, as the file is called.
    pub entries: u64,
    pub sha256: Digest,
    /// So many there are; none where the file does not hold what it is called by.
    pub length: Option<u64>,
}

/// What is called like bytes that were set aside, by entries and digest.
pub(super) fn set_aside(state: &Path) -> Result<Vec<SetAside>, LogError> {
    let folder = state.join(TORN_FOLDER);
    let mut found = Vec::new();
    for name in names(&folder, "cannot list torn bytes")? {
        let parts = name.split_once('-');
        let parsed = parts.and_then(|(entries, digest)| {
            Some((entries.parse::<u64>().ok()?, digest.parse::<Digest>().ok()?))
        });
        let Some((entries, sha256)) = parsed.filter(|one| torn_name(one.0, one.1) == name) else {
            continue;
        };
        let path = folder.join(&name);
        let read = open_file(&path).and_then(|file| match file {
            // A torn tail is no longer than a line with its LF.
            Some(file) => {
                Digest::of_reader(&mut file.take(LOG_LINE_BYTES_MAX as u64 + 2)).map(Some)
            }
            None => Ok(None),
        });
        let read = read.map_err(LogError::io(&path, "cannot read torn bytes"))?;
        let length = read.and_then(|(digest, length)| {
            (digest == sha256 && length <= LOG_LINE_BYTES_MAX as u64 + 1).then_some(length)
        });
        found.push(SetAside { path, entries, sha256, length });
    }
    found.sort_unstable_by_key(|one| (one.entries, one.sha256));
    Ok(found)
}

pub(super) fn torn_name(entries: u64, sha256: Digest) -> String {
    format!("{entries}-{sha256}")
}

/// Names in a folder that are UTF-8; none where there is no folder.
fn names(folder: &Path, doing: &'static str) -> Result<Vec<String>, LogError> {
    let entries = match fs::read_dir(folder) {
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        entries => entries.map_err(LogError::io(folder, doing))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.map_err(LogError::io(folder, doing))?.file_name().into_string());
    }
    Ok(names)
}

/// Which log this is: `run` of its first entry; none where that cannot be read.
pub(super) fn log_id(state: &Path) -> Option<RunId> {
    let file = open_file(&state.join(LOG_FOLDER).join(segment_name(1))).ok()??;
    let mut line = Vec::new();
    BufReader::new(file.take(LOG_LINE_BYTES_MAX as u64 + 1)).read_until(b'\n', &mut line).ok()?;
    Entry::from_line(line.strip_suffix(b"\n")?).ok().map(|entry| entry.run)
}

/// Calls `each` with the number and the bytes of the first `count` lines of a log that was walked before; of
/// fewer where the log has fewer, or one that is no line.
pub(super) fn each_line(
    state: &Path,
    count: u64,
    mut each: impl FnMut(u64, &[u8]),
) -> Result<(), LogError> {
    let folder = state.join(LOG_FOLDER);
    let mut seq = 0;
    for number in segment_numbers(&folder)? {
        let path = folder.join(segment_name(number));
        let error = |source| LogError::io(&path, "cannot read the log")(source);
        let Some(file) = open_file(&path).map_err(error)? else { return Ok(()) };
        let mut reader = BufReader::with_capacity(1 << 18, file);
        while seq < count {
            let line = read_line(&mut reader).map_err(error)?;
            match line.split_last() {
                Some((b'\n', line)) => each(seq, line),
                Some(_) => return Ok(()),
                None => break,
            }
            seq += 1;
        }
    }
    Ok(())
}

/// The next bytes up to an LF, but no more than one byte more than a line may have: longer ones are seen to be
/// so. None at the end.
fn read_line(reader: &mut BufReader<File>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.by_ref().take(LOG_LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut bytes)?;
    Ok(bytes)
}

/// Numbers of the files named like segments, ascending.
fn segment_numbers(folder: &Path) -> Result<Vec<u32>, LogError> {
    let mut numbers = Vec::new();
    for name in names(folder, "cannot list the log")? {
        let number = name.strip_suffix(".jsonl").filter(|text| text.len() == 6);
        let number = number.and_then(|text| text.parse().ok());
        numbers.extend(number.filter(|&number| segment_name(number) == name));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn walk_segment(
    walk: &mut Walk,
    notes: &mut Notes<'_>,
    folder: &Path,
    number: u32,
    is_last: bool,
) -> Result<(), LogError> {
    let file = segment_name(number);
    let path = folder.join(&file);
    let error = |source| LogError::io(&path, "cannot read the log")(source);
    let Some(opened) = open_file(&path).map_err(error)? else {
        let (seq, rule) = (walk.chain.size(), "segment".into());
        walk.bad = Some(BadEntry { seq, file, line: 1, rule, message: NO_FILE.into() });
        return Ok(());
    };
    let mut reader = BufReader::with_capacity(1 << 18, opened);
    let (mut offset, mut line) = (0, 0);
    'segment: loop {
        let lines = read_lines(&mut reader, is_last).map_err(error)?;
        if lines.is_empty() {
            break;
        }
        let parsed = parse_lines(&lines);
        for (Line { bytes, at_end }, parsed) in lines.into_iter().zip(parsed) {
            line += 1;
            let length = bytes.len() as u64;
            let bad = |rule: &str, message: String| {
                let rule = rule.into();
                Some(BadEntry { seq: walk.chain.size(), file: file.clone(), line, rule, message })
            };
            match parsed {
                Ok((entry, leaf)) => match walk.chain.check(&entry) {
                    Ok(()) => walk.chain.apply(&entry, leaf),
                    Err(breach) => {
                        walk.bad = bad(breach.rule, breach.message);
                        break 'segment;
                    }
                },
                Err(LineError::Unreadable(_)) if at_end => {
                    walk.torn = Some(Torn { path: path.clone(), file, offset, bytes });
                    break 'segment;
                }
                Err(error) => {
                    let rule = match error {
                        LineError::Unreadable(_) => "json",
                        LineError::NotCanonical(_) => "canonical",
                        LineError::Fields(_) => "fields",
                    };
                    walk.bad = bad(rule, error.to_string());
                    break 'segment;
                }
            }
            notes.pass(walk)?;
            if walk.bad.is_some() {
                break 'segment;
            }
            offset += length;
        }
    }
    if line == 0 && !is_last {
        walk.bad = Some(BadEntry {
            seq: walk.chain.size(),
            file: segment_name(number),
            line: 1,
            rule: "segment".into(),
            message: "a segment without entries before the last one".into(),
        });
    }
    walk.last_segment = Some((number, offset));
    Ok(())
}

/// A line as it stands, with its LF.
struct Line {
    bytes: Vec<u8>,
    /// Nothing follows it in the log.
    at_end: bool,
}

/// The next lines of a segment; none at its end.
fn read_lines(reader: &mut BufReader<File>, is_last: bool) -> io::Result<Vec<Line>> {
    let (mut lines, mut total) = (Vec::new(), 0);
    while total < LOG_READ_BYTES {
        let bytes = read_line(reader)?;
        if bytes.is_empty() {
            break;
        }
        total += bytes.len();
        lines.push(Line { bytes, at_end: is_last && reader.fill_buf()?.is_empty() });
    }
    Ok(lines)
}

type Parsed = Result<(Entry, Digest), LineError>;

/// Parses and hashes lines on all cores: what each says for itself takes most of a walk's time.
fn parse_lines(lines: &[Line]) -> Vec<Parsed> {
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    let share = lines.len().div_ceil(workers).max(64);
    thread::scope(|scope| {
        let parse = |part: &[Line]| part.iter().map(parse_line).collect::<Vec<Parsed>>();
        let mut parts = lines.chunks(share);
        let first = parts.next().unwrap_or_default();
        let others: Vec<_> = parts.map(|part| scope.spawn(move || parse(part))).collect();
        let mut parsed = parse(first);
        for other in others {
            parsed.extend(other.join().expect("reading a line does not panic"));
        }
        parsed
    })
}

fn parse_line(line: &Line) -> Parsed {
    match line.bytes.strip_suffix(b"\n") {
        Some(text) => Entry::from_line(text).map(|entry| (entry, tree::leaf(text))),
        None if line.bytes.len() > LOG_LINE_BYTES_MAX => {
            Err(LineError::NotCanonical(format!("longer than {LOG_LINE_BYTES_MAX} bytes")))
        }
        None => Err(LineError::Unreadable("the line has no end".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_that_holds_next_to_nothing_in_memory_finds_the_same() {
        let state = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/log-v1");
        let found = |entries_max| {
            let walk = walk(&state, &Watch { entries_max, ..Watch::default() }).unwrap();
            let ledger = walk.chain.ledger();
            let docs = ledger.docs().map(|(doc, state)| format!("{doc} {state:?}"));
            let answers = ledger.answers().map(|answer| format!("{answer:?}"));
            let facts: Vec<String> = docs.chain(answers).collect();
            (walk.chain.root(), walk.bad, facts, ledger.outputs().collect::<Vec<_>>())
        };
        let all = found(0);
        assert!(all.1.is_none() && all.2.len() > 4 && all.3.len() > 4, "{all:?}");
        for entries_max in 1..4 {
            assert_eq!(found(entries_max), all);
        }
    }
}
