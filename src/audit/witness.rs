//! A witness: another machine that signs the largest consistent head it has seen of a log (C2SP
//! tlog-cosignature). It keeps its key and the heads in a folder of its own, and sees no entry of any log.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::error::LogError;
use super::export::{
    COSIGNATURES_FILE, KEY_FILE, NOTE_FILE, PROOFS_FILE, fingerprint, read_brought, read_note,
};
use super::keys::{open_random, seed};
use super::note::{Checkpoint, Key, KeyKind, Note, Vkey};
use super::proof::is_consistent;
use super::verify::Pin;
use crate::base::{Clock, Digest, Disk, base64, replace_file};

/// A witness's folder: `witness.key`, `witness.vkey`, and for each log the key and the head it has signed.
pub struct Witness {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    key: Key,
}

/// What a witness has signed.
#[derive(Clone, Debug, Serialize)]
pub struct Cosigned {
    pub origin: String,
    pub size: u64,
    /// Of the head that it had signed before; 0 for none: then the log's key was taken on trust.
    pub before: u64,
    pub fingerprint: String,
}

impl Witness {
    /// Makes a witness with a key of its own in `folder`.
    ///
    /// # Errors
    /// `Keys` where there is one already, or `name` cannot name a key; `Io`.
    pub fn init(disk: Arc<dyn Disk>, folder: &Path, name: &str) -> Result<Vkey, LogError> {
        let path = folder.join("witness.key");
        let key = Key::of_seed(name, KeyKind::Witness, &seed(&mut open_random()?)?);
        if key.vkey().to_string().parse::<Vkey>().is_err() {
            let message = format!("{name:?} cannot name a key: no spaces, no +");
            return Err(LogError::Keys { message });
        }
        let public = format!("{}\n", key.vkey());
        let error = |source| LogError::io(&path, "cannot make the witness's key")(source);
        disk.create_folder(folder).map_err(error)?;
        let _held = hold(folder)?;
        if path.exists() {
            let message = format!("{}: there is a witness already", path.display());
            return Err(LogError::Keys { message });
        }
        replace_file(disk.as_ref(), &path, key.to_text().as_bytes())
            .and_then(|()| {
                replace_file(disk.as_ref(), &folder.join("witness.vkey"), public.as_bytes())
            })
            .map_err(error)?;
        Ok(key.vkey().clone())
    }

    /// The witness of `folder`.
    ///
    /// # Errors
    /// `Keys` where there is none.
    pub fn open(disk: Arc<dyn Disk>, folder: &Path) -> Result<Witness, LogError> {
        let path = folder.join("witness.key");
        let key = fs::read_to_string(&path).ok().and_then(|text| Key::from_text(&text));
        let key = key.filter(|key| key.vkey().kind == KeyKind::Witness);
        let message = format!("{}: no witness's key; make one: witness init", path.display());
        let key = key.ok_or(LogError::Keys { message })?;
        Ok(Witness { disk, folder: folder.into(), key })
    }

    /// Signs the checkpoint of `bundle` if the log's key has signed it and it is consistent with the head that
    /// was signed before; the line goes into the bundle. The head is durable before its signature exists. Of several
    /// signatures at once, by one key or on one stick, each waits for the one before.
    ///
    /// # Errors
    /// `Bundle` with the reason why it is not signed; `Io`.
    pub fn sign(&self, bundle: &Path, clock: &dyn Clock) -> Result<Cosigned, LogError> {
        let path = bundle.join(NOTE_FILE);
        let refused = |why: String| LogError::Bundle { path: path.clone(), why };
        let held = hold(&self.folder)?;
        let note = read_note(&path)?;
        let new = Checkpoint::parse(&note.text).map_err(|why| refused(why.into()))?;
        let place = self.folder.join(&Digest::of(new.origin.as_bytes()).to_string()[..32]);
        let known = read_brought(&place.join(KEY_FILE))?;
        let brought = read_brought(&bundle.join(KEY_FILE))?;
        let pin: Pin = known
            .as_ref()
            .or(brought.as_ref())
            .ok_or_else(|| refused(format!("{KEY_FILE} is missing beside it")))?
            .parse()
            .map_err(|error| refused(format!("the log's key: {error}")))?;
        if pin.key.name != new.origin {
            return Err(refused(format!("its log is not that of the key {}", pin.key)));
        }
        note.verified(&pin.key)
            .map_err(|why| refused(format!("the signature of the log's key {} {why}", pin.key)))?;
        let head = match read_brought(&place.join(NOTE_FILE))? {
            None => (0, Digest::of(b"")),
            Some(text) => {
                let before = Note::parse(text.as_bytes())
                    .and_then(|note| Checkpoint::parse(&note.text))
                    .map_err(|why| refused(format!("the head that was signed before: {why}")))?;
                (before.size, before.root)
            }
        };
        if new.size < head.0 {
            return Err(refused(format!(
                "TRUNCATED: it has {} entries, but {} were signed before",
                new.size, head.0
            )));
        }
        if head.0 > 0 {
            let path = if head.0 == new.size {
                Vec::new()
            } else {
                proof(&bundle.join(PROOFS_FILE), head.0)?
                    .ok_or_else(|| refused(format!("no proof from size {} to it", head.0)))?
            };
            if !is_consistent(head, (new.size, new.root), &path) {
                return Err(refused(format!(
                    "DIVERGED: its first {} entries are not those that were signed before",
                    head.0
                )));
            }
        }
        let kept = known.is_none().then_some(brought).flatten();
        self.keep(&place, &note, kept)?;
        // Not both at once: they may be one folder.
        drop(held);
        let time = u64::try_from(clock.now().as_second()).unwrap_or(0);
        let line = self.key.cosign(&note.text, time);
        let _stick = hold(bundle)?;
        self.answer(&bundle.join(COSIGNATURES_FILE), &line)?;
        Ok(Cosigned {
            origin: new.origin,
            size: new.size,
            before: head.0,
            fingerprint: fingerprint(&note.text, &pin),
        })
    }

    /// Keeps the head, and the log's key the first time.
    fn keep(&self, place: &Path, note: &Note, key: Option<String>) -> Result<(), LogError> {
        let disk = self.disk.as_ref();
        let keep = || {
            disk.create_folder(place)?;
            if let Some(key) = key {
                replace_file(disk, &place.join(KEY_FILE), key.as_bytes())?;
            }
            replace_file(disk, &place.join(NOTE_FILE), note.to_string().as_bytes())
        };
        keep().map_err(LogError::io(place, "cannot keep the head"))
    }

    /// Adds the line to those of other witnesses; an earlier one of this witness is replaced, and what is no
    /// signature left out.
    fn answer(&self, path: &Path, line: &str) -> Result<(), LogError> {
        let own = format!("— {} ", self.key.vkey().name);
        let others = read_brought(path)?.unwrap_or_default();
        let is_signature = |line: &str| Note::parse(format!("-\n\n{line}\n").as_bytes()).is_ok();
        let others = others.lines().filter(|line| !line.starts_with(&own) && is_signature(line));
        let mut lines: Vec<&str> = others.collect();
        lines.push(line.trim_end());
        let text = lines.join("\n") + "\n";
        replace_file(self.disk.as_ref(), path, text.as_bytes())
            .map_err(LogError::io(path, "cannot write the signature"))
    }
}

/// Waits for the kernel's lock on `folder` and keeps it while the value lives.
fn hold(folder: &Path) -> Result<File, LogError> {
    let held = File::open(folder).and_then(|file| file.lock().map(|()| file));
    held.map_err(LogError::io(folder, "cannot lock the folder"))
}

/// The consistency proof from `old`, of a file of proofs; none where it has none.
fn proof(path: &Path, old: u64) -> Result<Option<Vec<Digest>>, LogError> {
    let text = read_brought(path)?.unwrap_or_default();
    let head = format!("old {old}");
    let mut lines = text.lines().skip_while(|line| *line != head);
    if lines.next().is_none() {
        return Ok(None);
    }
    let hashes = lines.take_while(|line| !line.starts_with("old "));
    let hash = |line: &str| Some(Digest(base64::decode(line)?.try_into().ok()?));
    Ok(hashes.map(hash).collect())
}
