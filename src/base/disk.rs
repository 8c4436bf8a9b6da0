//! The few disk operations that crash safety rests on, behind one trait so that tests can fail each.
//! Reading inputs does not go through here; whatever is written does.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::Digest;

/// Durable writes. Every error is the operating system's, with the path added by the caller.
///
/// A failed `sync_*` is final: the kernel may have dropped the pages (Rebello et al., ATC 2020), so
/// no caller tries it again.
pub trait Disk: Send + Sync {
    /// Makes the file `path` (mode 0600) in the place of what stands there and writes `bytes`; not yet durable.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Makes the content of `path` durable.
    fn sync_file(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in the folder `path` durable.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// Replaces `to` by `from` in one step.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Opens `path` for appending, created with mode 0600 if need be. A new name is durable only after
    /// `sync_folder`.
    fn open_append(&self, path: &Path) -> io::Result<Box<dyn Appender>>;
    /// Cuts `path` to `len` bytes and makes that durable.
    fn truncate(&self, path: &Path, len: u64) -> io::Result<()>;
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Overwrites the content of `path` with zeros where it lies, makes that durable, and removes the
    /// name. What a drive keeps of old blocks is beyond it.
    fn wipe(&self, path: &Path) -> io::Result<()>;
    /// Creates `path` and its parents (mode 0700), each made durable in its parent.
    fn create_folder(&self, path: &Path) -> io::Result<()>;
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
}

/// The file at `path`; none where nothing is, or something that to read might never end: a folder, a pipe, a
/// device, also behind a link.
pub fn open_file(path: &Path) -> io::Result<Option<File>> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => File::open(path).map(Some),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(None),
    }
}

/// The bytes of `open_file`.
pub fn read_file(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let Some(mut file) = open_file(path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// The digest of what `open_file` opens.
pub fn digest_file(path: &Path) -> io::Result<Option<Digest>> {
    let Some(mut file) = open_file(path)? else { return Ok(None) };
    Ok(Some(Digest::of_reader(&mut file)?.0))
}

/// Puts `bytes` in the place of `path` in one step, durable with its name when this returns. What a crash
/// may leave beside it ends in `-tmp`.
pub fn replace_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push("-tmp");
    let temporary = Path::new(&temporary);
    disk.write(temporary, bytes)?;
    disk.sync_file(temporary)?;
    disk.rename(temporary, path)?;
    disk.sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// A file that only grows, held open over many appends.
pub trait Appender: Send {
    /// Writes `bytes` at the end and makes them durable (fdatasync) before it returns.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// The machine's disk. It writes into files of its own making and into no other: a link or a pipe that somebody has
/// put at a name, in a folder that others can write, leads nowhere.
pub struct RealDisk;

impl Appender for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)?;
        self.sync_data()
    }
}

impl Disk for RealDisk {
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = match options.open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                std::fs::remove_file(path)?;
                options.open(path)?
            }
            opened => opened?,
        };
        file.write_all(bytes)
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn open_append(&self, path: &Path) -> io::Result<Box<dyn Appender>> {
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        Ok(Box::new(options.open(path)?))
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).custom_flags(libc::O_NOFOLLOW).open(path)?;
        file.set_len(len)?;
        file.sync_all()
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn wipe(&self, path: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).custom_flags(libc::O_NOFOLLOW).open(path)?;
        file.write_all(&vec![0; file.metadata()?.len() as usize])?;
        file.sync_all()?;
        std::fs::remove_file(path)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        if let Some(parent) = parent {
            self.create_folder(parent)?;
        }
        match std::fs::DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        self.sync_folder(parent.unwrap_or(Path::new(".")))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }
}
