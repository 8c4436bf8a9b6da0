//! Reads a log from disk, segment by segment, line by line, through the rules. Changes nothing.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::error::{BadEntry, LogError};
use super::line::{Entry, LineError};
use super::rules::Chain;
use super::tree;
use crate::base::limits::LOG_LINE_BYTES_MAX;

/// The folder of the segments, below the state folder.
pub(super) const LOG_FOLDER: &str = "log";

/// A log as far as it holds.
#[derive(Debug, Default)]
pub(super) struct Walk {
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

pub(super) fn segment_name(number: u32) -> String {
    format!("{number:06}.jsonl")
}

/// Walks the log under `state`; a log without segments is an empty walk.
///
/// # Errors
/// Only what the operating system reports; damage is in the walk.
pub(super) fn walk(state: &Path) -> Result<Walk, LogError> {
    let folder = state.join(LOG_FOLDER);
    let numbers = segment_numbers(&folder)?;
    let mut walk = Walk::default();
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
        walk_segment(&mut walk, &folder, number, is_last)
            .map_err(LogError::io(&folder.join(segment_name(number)), "cannot read the log"))?;
        if walk.bad.is_some() {
            return Ok(walk);
        }
    }
    Ok(walk)
}

/// Numbers of the files named like segments, ascending.
fn segment_numbers(folder: &Path) -> Result<Vec<u32>, LogError> {
    let error = LogError::io(folder, "cannot list the log");
    let mut numbers = Vec::new();
    match fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(numbers),
        Err(e) => return Err(error(e)),
        Ok(entries) => {
            for entry in entries {
                let name = match entry {
                    Ok(entry) => entry.file_name(),
                    Err(e) => return Err(error(e)),
                };
                let number = name.to_str().and_then(|name| name.strip_suffix(".jsonl"));
                let number = number.filter(|text| text.len() == 6).and_then(|t| t.parse().ok());
                numbers.extend(number.filter(|&n| name.to_str() == Some(&segment_name(n))));
            }
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn walk_segment(walk: &mut Walk, folder: &Path, number: u32, is_last: bool) -> io::Result<()> {
    let file = segment_name(number);
    let path = folder.join(&file);
    let mut reader = BufReader::with_capacity(1 << 18, File::open(&path)?);
    let mut offset = 0;
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        let length =
            (&mut reader).take(LOG_LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut bytes)? as u64;
        let bad = |rule: &str, message: String| {
            let rule = rule.into();
            Some(BadEntry { seq: walk.chain.size(), file: file.clone(), line, rule, message })
        };
        if length == 0 {
            if line == 1 && !is_last {
                walk.bad = bad("segment", "a segment without entries before the last one".into());
            }
            break;
        }
        let at_end = is_last && reader.fill_buf()?.is_empty();
        let parsed = match bytes.strip_suffix(b"\n") {
            Some(text) => Entry::from_line(text).map(|entry| (entry, tree::leaf(text))),
            None if bytes.len() > LOG_LINE_BYTES_MAX => {
                Err(LineError::NotCanonical(format!("longer than {LOG_LINE_BYTES_MAX} bytes")))
            }
            None => Err(LineError::Unreadable("the line has no end".into())),
        };
        match parsed {
            Ok((entry, leaf)) => match walk.chain.check(&entry) {
                Ok(()) => walk.chain.apply(&entry, leaf),
                Err(breach) => {
                    walk.bad = bad(breach.rule, breach.message);
                    break;
                }
            },
            Err(LineError::Unreadable(_)) if at_end => {
                walk.torn = Some(Torn { path, file, offset, bytes });
                break;
            }
            Err(error) => {
                let rule = match error {
                    LineError::Unreadable(_) => "json",
                    LineError::NotCanonical(_) => "canonical",
                    LineError::Fields(_) => "fields",
                };
                walk.bad = bad(rule, error.to_string());
                break;
            }
        }
        offset += length;
    }
    walk.last_segment = Some((number, offset));
    Ok(())
}
