//! Opening an input: never a pipe, a device or a link, and never one that changed unseen.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use jiff::Timestamp;

use super::{Source, sniff};
use crate::base::limits::SNIFF_BYTES;
use crate::base::{Digest, Format};

/// A regular file with what the system knows about it.
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) bytes: u64,
    pub(super) modified: Timestamp,
}

/// Opens `path` if it is a regular file and no link. Never blocks: a pipe put in its place since the
/// folder was listed is opened without waiting for a writer, and then refused.
pub(super) fn open_regular(path: &Path) -> Result<Opened, String> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let cannot = |error: io::Error| format!("cannot be opened: {error}");
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(cannot)?;
    let found = file.metadata().map_err(cannot)?;
    if !found.is_file() {
        return Err("not a file that can be read, or not any more".to_owned());
    }
    let modified = found.modified().map_err(cannot)?;
    let modified = Timestamp::try_from(modified).unwrap_or(Timestamp::UNIX_EPOCH);
    Ok(Opened { file, bytes: found.len(), modified })
}

/// Opens a source for reading, if it is still what was fingerprinted as far as size and time tell.
///
/// # Errors
/// What is different, as a sentence without a final dot.
pub fn open(source: &Source) -> Result<File, String> {
    let opened = open_regular(&source.file)?;
    same(source, opened.bytes, opened.modified)?;
    Ok(opened.file)
}

/// Whether a source is still what was fingerprinted: size, time and digest. Called after it was read;
/// a document that changed meanwhile is refused.
///
/// # Errors
/// What is different, as a sentence without a final dot.
pub fn unchanged(source: &Source) -> Result<(), String> {
    let mut opened = open_regular(&source.file)?;
    same(source, opened.bytes, opened.modified)?;
    let (digest, _) = Digest::of_reader(&mut opened.file)
        .map_err(|error| format!("cannot be read again: {error}"))?;
    if digest != source.on_disk().1 {
        return Err(changed("its content is another, at the same size and time"));
    }
    Ok(())
}

/// Opens a file that a person named, outside of any job, with its format and a note where its ending
/// says another one. Links are followed: it is the person who named it.
///
/// # Errors
/// Why it cannot be read, as a sentence without a final dot.
pub fn open_named(file: &Path) -> Result<(File, Format, String), String> {
    let cannot = |error: io::Error| format!("cannot be read: {error}");
    let real = file.canonicalize().map_err(cannot)?;
    let mut opened = open_regular(&real)?;
    let mut head = Vec::new();
    (&mut opened.file).take(SNIFF_BYTES as u64).read_to_end(&mut head).map_err(cannot)?;
    opened.file.rewind().map_err(cannot)?;
    let named = sniff::name(&file.to_string_lossy(), &head, &opened.file, opened.bytes);
    match named.refusal {
        Some(refusal) => Err(refusal),
        None => Ok((opened.file, named.format, named.note)),
    }
}

fn same(source: &Source, bytes: u64, modified: Timestamp) -> Result<(), String> {
    let (had, _) = source.on_disk();
    if bytes != had {
        return Err(changed(&format!("it had {had} bytes and has {bytes}")));
    }
    if modified != source.modified {
        return Err(changed(&format!("it was written to at {modified:.0}")));
    }
    Ok(())
}

pub(super) fn changed(what: &str) -> String {
    format!("the file changed while it was read: {what}; the next run reads it again")
}
