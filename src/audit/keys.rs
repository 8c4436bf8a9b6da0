//! The secrets of a log: one key for the log, one for each run, in a folder that is never under the
//! output. A run's key is wiped once the next run has taken over.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::LogError;
use super::line::RunId;
use super::note::{Key, KeyKind, Note, Vkey};
use super::signing::run_key_name;
use crate::base::{Digest, Disk, replace_file};

/// The keys of the logs of one origin.
///
/// `<key_dir>/<32 hex digits of the origin>/` holds `log.key` and `log.vkey`, and for each log a folder
/// named by its first entry's `run`: the keys of its runs and `head.note`, the last checkpoint that was
/// signed.
pub(super) struct KeyStore {
    disk: Arc<dyn Disk>,
    origin: String,
    folder: PathBuf,
}

/// Below a log's folder: what was last signed, kept where who writes the output cannot reach.
const HEAD: &str = "head.note";

/// The bits of a mode that let a group or all others in.
const OTHERS: u32 = 0o077;

impl KeyStore {
    pub fn new(disk: Arc<dyn Disk>, key_dir: &Path, origin: &str) -> KeyStore {
        KeyStore { disk, origin: origin.into(), folder: folder_of(key_dir, origin) }
    }

    /// The log's key; none where there is none.
    pub fn log_key(&self) -> Result<Option<Key>, LogError> {
        self.read_key(&self.folder.join("log.key"))
    }

    /// The keys of a new log, which `run` begins: the origin's, made now if there is none, and that run's.
    pub fn first_keys(&self, run: &RunId, random: &mut File) -> Result<(Key, Key), LogError> {
        let path = self.folder.join("log.key");
        let error = |source| LogError::io(&path, "cannot make the log's key")(source);
        self.disk.create_folder(&self.folder).map_err(error)?;
        // Two first runs of one origin at the same time must not make two keys, nor sweep each other's.
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(self.folder.join("lock")).map_err(error)?;
        lock.lock().map_err(error)?;
        let key = match self.read_key(&path)? {
            Some(key) => key,
            None => {
                let key = Key::of_seed(&self.origin, KeyKind::Note, &seed(random)?);
                replace_file(self.disk.as_ref(), &path, key.to_text().as_bytes()).map_err(error)?;
                key
            }
        };
        let public = format!("{}\n", key.vkey());
        let path = self.folder.join("log.vkey");
        if fs::read(&path).ok().as_deref() != Some(public.as_bytes()) {
            replace_file(self.disk.as_ref(), &path, public.as_bytes()).map_err(error)?;
        }
        self.sweep()?;
        Ok((key, self.make_run_key(run, run, random)?))
    }

    /// Wipes what first runs left that died while they made their key.
    fn sweep(&self) -> Result<(), LogError> {
        let error = |source| LogError::io(&self.folder, "cannot erase an unfinished key")(source);
        for entry in fs::read_dir(&self.folder).map_err(error)? {
            let folder = entry.map_err(error)?.path();
            if !folder.is_dir() || folder.join(HEAD).exists() {
                continue;
            }
            for entry in fs::read_dir(&folder).map_err(error)? {
                let path = entry.map_err(error)?.path();
                if path.to_string_lossy().ends_with(".key-tmp") {
                    self.disk.wipe(&path).map_err(error)?;
                    self.disk.sync_folder(&folder).map_err(error)?;
                }
            }
        }
        Ok(())
    }

    /// Makes the key of `run`, durable before its name is written anywhere.
    pub fn make_run_key(
        &self,
        log: &RunId,
        run: &RunId,
        random: &mut File,
    ) -> Result<Key, LogError> {
        let key = Key::of_seed(&run_key_name(&self.origin, run), KeyKind::Note, &seed(random)?);
        let path = self.run_key_path(log, key.vkey());
        let folder = self.folder.join(log.as_str());
        self.disk
            .create_folder(&folder)
            .and_then(|()| replace_file(self.disk.as_ref(), &path, key.to_text().as_bytes()))
            .map_err(LogError::io(&path, "cannot make the run's key"))?;
        Ok(key)
    }

    /// The secret of a run's key.
    pub fn run_key(&self, log: &RunId, vkey: &Vkey) -> Result<Option<Key>, LogError> {
        let key = self.read_key(&self.run_key_path(log, vkey))?;
        Ok(key.filter(|key| key.vkey() == vkey))
    }

    fn run_key_path(&self, log: &RunId, vkey: &Vkey) -> PathBuf {
        let run = vkey.name.rsplit('/').next().unwrap_or_default();
        self.folder.join(log.as_str()).join(format!("{run}.key"))
    }

    /// Wipes every run's key of `log` but `keep`.
    pub fn wipe_but(&self, log: &RunId, keep: &Vkey) -> Result<(), LogError> {
        let folder = self.folder.join(log.as_str());
        let keep = self.run_key_path(log, keep);
        let error = |source| LogError::io(&folder, "cannot erase an old run's key")(source);
        let mut wiped = false;
        for entry in fs::read_dir(&folder).map_err(error)? {
            let path = entry.map_err(error)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path != keep && (name.ends_with(".key") || name.ends_with(".key-tmp")) {
                self.disk.wipe(&path).map_err(error)?;
                wiped = true;
            }
        }
        match wiped {
            true => self.disk.sync_folder(&folder).map_err(error),
            false => Ok(()),
        }
    }

    /// The last checkpoint that was signed for `log`.
    pub fn head(&self, log: &RunId) -> Result<Option<Note>, LogError> {
        let path = self.folder.join(log.as_str()).join(HEAD);
        match fs::read(&path) {
            Ok(bytes) => Note::parse(&bytes).map(Some).map_err(|why| LogError::Keys {
                message: format!("{}: {why}; restore it from a copy", path.display()),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LogError::io(&path, "cannot read the last checkpoint")(error)),
        }
    }

    /// Keeps the last checkpoint, before it is put beside the log.
    pub fn remember(&self, log: &RunId, note: &str) -> Result<(), LogError> {
        let path = self.folder.join(log.as_str()).join(HEAD);
        replace_file(self.disk.as_ref(), &path, note.as_bytes())
            .map_err(LogError::io(&path, "cannot keep the checkpoint"))
    }

    fn read_key(&self, path: &Path) -> Result<Option<Key>, LogError> {
        let error = |source| LogError::io(path, "cannot read the key")(source);
        let mut file = match File::open(path) {
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(error)?,
        };
        let mode = file.metadata().map_err(error)?.mode() & 0o777;
        if mode & OTHERS != 0 {
            let path = path.display();
            let message = format!(
                "{path}: others than its owner can get at this key (mode {mode:o}): chmod 600 it; if \
                 somebody may have copied it, begin a new output folder under another origin"
            );
            return Err(LogError::Keys { message });
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(error)?;
        Key::from_text(&text).map(Some).ok_or_else(|| LogError::Keys {
            message: format!("{} is not a key; restore it from a copy", path.display()),
        })
    }
}

fn folder_of(key_dir: &Path, origin: &str) -> PathBuf {
    key_dir.join(&Digest::of(origin.as_bytes()).to_string()[..32])
}

/// The public key of the log of `origin`, as `key_dir` has it; none before the first run here.
pub fn known_log_key(key_dir: &Path, origin: &str) -> Option<Vkey> {
    let text = fs::read_to_string(folder_of(key_dir, origin).join("log.vkey")).ok()?;
    text.trim_end().parse().ok()
}

/// The system's random source; held open, it outlives later isolation.
pub(super) fn open_random() -> Result<File, LogError> {
    let path = Path::new("/dev/urandom");
    File::open(path).map_err(LogError::io(path, "cannot open the random source"))
}

/// 32 random bytes, from the open random source.
pub(super) fn seed(random: &mut File) -> Result<[u8; 32], LogError> {
    let mut bytes = [0; 32];
    let read = random.read_exact(&mut bytes);
    read.map_err(LogError::io(Path::new("/dev/urandom"), "cannot read random bytes"))?;
    Ok(bytes)
}
