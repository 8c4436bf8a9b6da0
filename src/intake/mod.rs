//! Folders → `Source`: walk, filter, fingerprint, name the format by content. Opens no document's inside.

mod open;
mod sniff;
mod walk;

use std::path::PathBuf;

use jiff::Timestamp;

use crate::base::{Digest, DocId, Format};

pub use open::{open, open_named, unchanged};
pub use walk::{IntakeError, Inventory, walk};

/// One input file of one job, as found at the start of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub id: DocId,
    pub job: String,
    pub root: String,
    /// Below the root, with `/`; bytes that are not UTF-8 (and `%`, then) are percent-encoded.
    pub path: String,
    /// Where to open it, through `open`.
    pub file: PathBuf,
    /// By content first, by ending where content cannot tell (CSV, Markdown).
    pub format: Format,
    /// Of its bytes; of no bytes where it was not read (see `state`).
    pub digest: Digest,
    pub bytes: u64,
    pub modified: Timestamp,
    pub state: SourceState,
    /// What a person should know about how the file was found: its ending says another format, its
    /// time lies in the future. Empty, or sentences without a final dot.
    pub note: String,
}

/// Whether a source can be read this run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceState {
    Ready,
    /// Never read as it is; why, and the way out.
    Refused(String),
    /// Younger than `settle`; why.
    Deferred(String),
}
