//! Folders → `Source`: walk, filter, fingerprint, name the format by content. Opens no document's inside; what
//! lies in an archive it is told.

mod members;
mod open;
mod sniff;
mod walk;

use std::path::PathBuf;

use jiff::Timestamp;

use crate::base::limits::SNIFF_BYTES;
use crate::base::{Digest, DocId, Format};

pub use members::{Listed, is_left_out, members, path_of};
pub use open::{open, open_named, unchanged};
pub use sniff::Named;
pub use walk::{IntakeError, Inventory, refuse_equal_names, walk};

/// One input file of one job, as found at the start of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub id: DocId,
    pub job: String,
    pub root: String,
    /// Below the root, with `/`; bytes that are not UTF-8 (and `%`, then) are percent-encoded.
    pub path: String,
    /// Where to open it, through `open`; of a member, its archive.
    pub file: PathBuf,
    /// Where in `file` it lies; none where it is the file.
    pub member: Option<Member>,
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

/// A document's place in an archive, and the archive as it was fingerprinted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The number of its entry, after those of the archives that it lies in, from the outermost.
    pub at: Vec<u32>,
    pub archive: Digest,
    pub archive_bytes: u64,
}

impl Source {
    /// Whether its members are to be read in its place.
    pub fn is_archive(&self) -> bool {
        self.format == Format::Zip && self.state == SourceState::Ready
    }

    /// Bytes and digest of `file`.
    fn on_disk(&self) -> (u64, Digest) {
        match &self.member {
            Some(member) => (member.archive_bytes, member.archive),
            None => (self.bytes, self.digest),
        }
    }
}

/// Names the format of a member of an archive, called `path`.
pub fn name(path: &str, bytes: &[u8]) -> Named {
    sniff::name(path, &bytes[..bytes.len().min(SNIFF_BYTES)], &bytes, bytes.len() as u64)
}

/// Whether an archive of this name is opened. Other ZIP containers are some program's own files.
pub fn is_archive_name(path: &str) -> bool {
    path.to_ascii_lowercase().ends_with(".zip")
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
