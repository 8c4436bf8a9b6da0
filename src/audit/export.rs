//! A checkpoint carried out of the building and a witness's signature brought back: the files of a stick.
//! What a witness does with them is `witness`'s.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;

use super::Pin;
use super::error::LogError;
use super::event::{CheckpointExported, Event};
use super::log::{Log, write_note};
use super::note::{Checkpoint, Note, Vkey};
use super::proof::Consistency;
use super::segments;
use super::tree;
use super::verify::LEAVES_FILE;
use crate::base::limits::BROUGHT_BYTES_MAX;
use crate::base::{Digest, Disk, base64};

pub(super) const NOTE_FILE: &str = "checkpoint.note";
pub(super) const KEY_FILE: &str = "log.vkey";
pub(super) const PROOFS_FILE: &str = "consistency.txt";
pub(super) const COSIGNATURES_FILE: &str = "cosignatures.txt";

/// Bytes of leaves that are made durable at once.
const LEAVES_BYTES_AT_ONCE: usize = 1 << 20;

/// What was written for another place.
#[derive(Clone, Debug, Serialize)]
pub struct Exported {
    pub size: u64,
    pub root: Digest,
    pub pin: String,
    pub fingerprint: String,
}

/// 32 hexadecimal digits in groups of four, of a checkpoint's text and its log's key and first entry: short
/// enough to be written down by hand, long enough that nobody can make another with the same.
pub fn fingerprint(text: &str, pin: &Pin) -> String {
    let genesis = pin.genesis.unwrap_or(Digest([0; 32]));
    let parts = [text.as_bytes(), pin.key.to_string().as_bytes(), &genesis.0[..]].concat();
    let digits = Digest::of(&parts).to_string();
    let groups: Vec<&str> = (0..8).map(|group| &digits[group * 4..group * 4 + 4]).collect();
    groups.join(" ")
}

/// Writes the last checkpoint of `log` with what a witness and a verifier elsewhere need into `folder`, and
/// says so in the log.
///
/// # Errors
/// `Io` where a file cannot be written; else as `Log::append`.
pub fn export(log: &mut Log, folder: &Path) -> Result<Exported, LogError> {
    log.sign_rest()?;
    let (size, root) = (log.size(), log.root());
    let disk = log.disk();
    disk.create_folder(folder).map_err(LogError::io(folder, "cannot make the folder"))?;
    let mut olds = segments::note_sizes(log.state())?;
    olds.retain(|&old| old < size);
    let mut ways = Consistency::of(olds.iter().copied(), size);
    let genesis = write_leaves(log, size, &folder.join(LEAVES_FILE), &mut ways)?;
    let mut proofs = String::new();
    for old in olds {
        let _ = writeln!(proofs, "old {old}");
        for hash in ways.path(old) {
            let _ = writeln!(proofs, "{}", base64::encode(&hash.0));
        }
    }
    let note = own_note(log, size)?;
    let pin = Pin { key: log.key().clone(), genesis, from: String::new() };
    let print = fingerprint(&note.text, &pin);
    let genesis = genesis.map_or(String::new(), |leaf| leaf.to_string());
    let pin = format!("{}\ngenesis {genesis}\n", pin.key);
    let paper = format!(
        "Checkpoint of the audit log {}\nentries      {size}\nroot         {root}\n\
         fingerprint  {print}\n\nKeep this page where nobody who can write the log can reach it. The \
         fingerprint is that of\ncheckpoint.note and log.vkey beside it.\n",
        log.origin()
    );
    for (name, bytes) in [
        (NOTE_FILE, note.to_string().as_bytes()),
        (KEY_FILE, pin.as_bytes()),
        ("fingerprint.txt", paper.as_bytes()),
        (PROOFS_FILE, proofs.as_bytes()),
    ] {
        write(disk, &folder.join(name), bytes)?;
    }
    disk.sync_folder(folder).map_err(LogError::io(folder, "cannot make the files durable"))?;
    log.append(&Event::CheckpointExported(CheckpointExported { size, root }))?;
    log.sign_rest()?;
    Ok(Exported { size, root, pin, fingerprint: print })
}

/// Writes the hashes of the first `size` entries as they are read, and gives them to `ways`; the first is returned.
fn write_leaves(
    log: &Log,
    size: u64,
    path: &Path,
    ways: &mut Consistency,
) -> Result<Option<Digest>, LogError> {
    let error = |source| LogError::io(path, "cannot write")(source);
    log.disk().write(path, b"").map_err(error)?;
    let mut file = log.disk().open_append(path).map_err(error)?;
    let (mut first, mut bytes, mut written) = (None, Vec::new(), Ok(()));
    segments::each_line(log.state(), size, |_, line| {
        let leaf = tree::leaf(line);
        first.get_or_insert(leaf);
        ways.push(leaf);
        bytes.extend_from_slice(&leaf.0);
        if bytes.len() >= LEAVES_BYTES_AT_ONCE && written.is_ok() {
            written = file.append(&bytes);
            bytes.clear();
        }
    })?;
    written.and_then(|()| file.append(&bytes)).map_err(error)?;
    Ok(first)
}

fn write(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), LogError> {
    disk.write(path, bytes)
        .and_then(|()| disk.sync_file(path))
        .map_err(LogError::io(path, "cannot write"))
}

fn own_note(log: &Log, size: u64) -> Result<Note, LogError> {
    let path = log.state().join(segments::CHECKPOINT_FOLDER).join(segments::note_name(size));
    let bytes = segments::read_note(log.state(), size)?.unwrap_or_default();
    Note::parse(&bytes).map_err(|why| LogError::Bundle { path, why: why.into() })
}

/// A witness's signature that was brought back.
#[derive(Clone, Debug, Serialize)]
pub struct Imported {
    pub witness: String,
    pub size: u64,
}

/// Puts the signatures of `witnesses` that `folder` brings under the log's own note.
///
/// # Errors
/// `Bundle` where there is none that holds, or the note is not one of this log; `Io`.
pub fn import(log: &Log, folder: &Path, witnesses: &[Vkey]) -> Result<Vec<Imported>, LogError> {
    let path = folder.join(COSIGNATURES_FILE);
    let refused = |why: String| LogError::Bundle { path: path.clone(), why };
    let brought = read_note(&folder.join(NOTE_FILE))?;
    let checkpoint = Checkpoint::parse(&brought.text).map_err(|why| refused(why.into()))?;
    if checkpoint.size > log.size() {
        return Err(refused("the checkpoint is of a longer log than this".into()));
    }
    let own = own_note(log, checkpoint.size)?;
    if own.text != brought.text {
        return Err(refused("the checkpoint is not one of this log".into()));
    }
    let lines = read_brought(&path)?.unwrap_or_default();
    let brought = lines
        .lines()
        .try_fold(brought, |note, line| note.with_line(&format!("{line}\n")))
        .map_err(|why| refused(why.into()))?;
    let mut imported = Vec::new();
    let mut note = own;
    for witness in witnesses {
        let held = brought.cosigned(witness);
        if held
            .map_err(|why| refused(format!("the signature of {} {why}", witness.name)))?
            .is_some()
        {
            note = note.with_line_of(&brought, witness);
            imported.push(Imported { witness: witness.name.clone(), size: checkpoint.size });
        }
    }
    if imported.is_empty() {
        let why = "no signature of a witness that [audit] witnesses names; add its key there first";
        return Err(refused(why.into()));
    }
    write_note(log.disk(), log.state(), checkpoint.size, &note.to_string())?;
    Ok(imported)
}

/// Reads a note of a bundle.
pub(super) fn read_note(path: &Path) -> Result<Note, LogError> {
    let refused = |why: &str| LogError::Bundle { path: path.into(), why: why.into() };
    let missing = "it is not there; nightclerk checkpoint export writes it";
    let text = read_brought(path)?.ok_or_else(|| refused(missing))?;
    Note::parse(text.as_bytes()).map_err(refused)
}

/// The text of a file of a stick, which another machine has written that need not be trusted: no link, which would
/// lead to what is this machine's, no pipe, nothing without end. None where there is nothing.
pub(super) fn read_brought(path: &Path) -> Result<Option<String>, LogError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(LogError::io(path, "cannot read")(error)),
        Ok(found) if !found.is_file() || found.len() > BROUGHT_BYTES_MAX => {
            let why = format!("it is not a file of at most {} MiB", BROUGHT_BYTES_MAX >> 20);
            return Err(LogError::Bundle { path: path.into(), why });
        }
        Ok(_) => {}
    }
    fs::read_to_string(path).map(Some).map_err(LogError::io(path, "cannot read"))
}
