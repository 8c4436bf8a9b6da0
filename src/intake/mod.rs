//! Folders → `Source`: walk, filter, fingerprint, name the format by content. Opens no document's inside.

use std::path::PathBuf;

use jiff::Timestamp;

use crate::base::{Digest, DocId, Format};

/// One input file of one job, as found at the start of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub id: DocId,
    pub job: String,
    pub root: String,
    /// Below the root, with `/`; bytes that are not UTF-8 (and `%`, then) are percent-encoded.
    pub path: String,
    /// Where to open it.
    pub file: PathBuf,
    /// By content first, by ending where content cannot tell (CSV, Markdown).
    pub format: Format,
    pub digest: Digest,
    pub bytes: u64,
    pub modified: Timestamp,
    pub state: SourceState,
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
