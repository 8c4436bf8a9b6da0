//! How a document left the run.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The one outcome that every input has at the end of every run (DESIGN.md section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Read whole and answered whole.
    Done,
    /// Answered, but not everything was read or answered; the reason says what is missing.
    Partial,
    /// Not a document that this program reads, or one that it may not read.
    Refused,
    /// Something broke on the way; tried again next run until the attempts are used up.
    Failed,
    /// Done by an earlier run, and nothing that shaped the answer has changed.
    Unchanged,
    /// Failed in as many runs as are configured; left alone until asked for.
    Quarantined,
    /// Not reached before the run stopped, or younger than `settle`.
    Deferred,
}

impl Outcome {
    pub const ALL: [Outcome; 7] = [
        Outcome::Done,
        Outcome::Partial,
        Outcome::Refused,
        Outcome::Failed,
        Outcome::Unchanged,
        Outcome::Quarantined,
        Outcome::Deferred,
    ];

    /// The word used in records, log and tables.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Partial => "partial",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
            Outcome::Unchanged => "unchanged",
            Outcome::Quarantined => "quarantined",
            Outcome::Deferred => "deferred",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
