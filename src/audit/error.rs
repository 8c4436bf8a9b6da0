//! What can go wrong with a log, said to the person who must act.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::line::LineError;
use super::rules::Breach;

/// The first entry that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BadEntry {
    /// Its place in the log, from 0, counted and not read.
    pub seq: u64,
    /// Segment and line in it (from 1).
    pub file: String,
    pub line: u64,
    /// The rule's name in FORMAT.md.
    pub rule: String,
    pub message: String,
}

impl BadEntry {
    /// The error that keeps a run from appending.
    pub(super) fn refusal(self) -> LogError {
        match self.file.ends_with(".note") {
            true => LogError::Unfit(self),
            false => LogError::Broken(self),
        }
    }
}

impl fmt::Display for BadEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BadEntry { seq, file, line, rule, message } = self;
        write!(f, "entry {seq} ({file} line {line}): {message} [{rule}]")
    }
}

/// Why a log cannot be opened, read or written.
#[derive(Debug)]
pub enum LogError {
    /// Another run holds the lock; who.
    Locked { holder: String },
    /// There is no log at this place.
    Missing { folder: PathBuf },
    /// The chain does not hold.
    Broken(BadEntry),
    /// The log is another one's.
    Origin { found: String, expected: String },
    /// A checkpoint does not fit the log, or the log does not reach back to it.
    Unfit(BadEntry),
    /// A file that was brought cannot be used.
    Bundle { path: PathBuf, why: String },
    /// A key is not there, or not the one that the log names.
    Keys { message: String },
    /// The entry would break a rule, and was not written.
    Refused { event: &'static str, breach: Breach },
    /// The entry cannot be a line, and was not written.
    Line { event: &'static str, error: LineError },
    /// The operating system said no.
    Io { path: PathBuf, doing: &'static str, source: io::Error },
    /// A write failed before; what the disk holds is unknown until the log is opened again.
    Poisoned,
}

impl LogError {
    pub(super) fn io<'a>(
        path: &'a Path,
        doing: &'static str,
    ) -> impl FnOnce(io::Error) -> LogError + 'a {
        move |source| LogError::Io { path: path.into(), doing, source }
    }
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogError::Locked { holder } => {
                write!(
                    f,
                    "another run is at work on this output ({holder}); let it end, then start again"
                )
            }
            LogError::Missing { folder } => {
                write!(f, "{}: no audit log here; it is made by the first run", folder.display())
            }
            LogError::Broken(bad) => write!(
                f,
                "the audit log does not verify: {bad}; nothing more is written to it: restore it \
                 from a copy, or begin with a new output folder"
            ),
            LogError::Origin { found, expected } => write!(
                f,
                "the audit log is that of {found:?}, not of {expected:?}: set [audit] origin back, \
                 or choose another output folder"
            ),
            LogError::Unfit(bad) => write!(
                f,
                "the audit log is not the one that was signed: {bad}; nothing more is written to it: \
                 restore log and checkpoints from a copy, or begin with a new output folder"
            ),
            LogError::Bundle { path, why } => write!(f, "{}: {why}", path.display()),
            LogError::Keys { message } => f.write_str(message),
            LogError::Refused { event, breach } => {
                write!(f, "audit log: {event} not written: {} [{}]", breach.message, breach.rule)
            }
            LogError::Line { event, error } => {
                write!(f, "audit log: {event} not written: {error}")
            }
            LogError::Io { path, doing, source } => {
                write!(f, "{}: {doing}: {source}", path.display())
            }
            LogError::Poisoned => f.write_str(
                "audit log: an earlier write failed, so nothing more is written in this run; the \
                 next run repairs the log",
            ),
        }
    }
}

impl std::error::Error for LogError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LogError::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LineError::Unreadable(why) => write!(f, "not a JSON object: {why}"),
            LineError::NotCanonical(why) => write!(f, "not canonical: {why}"),
            LineError::Fields(why) => f.write_str(why),
        }
    }
}
