//! A disk for tests: files are real, durability is a model. It can stop at any operation, and then
//! show what a power cut would leave.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use nightclerk::base::{Appender, Disk};

/// A folder that goes away with the value.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Scratch {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{name}-{}-{count}", std::process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).unwrap();
        Scratch(folder)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// It does nothing, and neither does any later one: the machine is off.
    Off,
    /// The first half of its bytes is written; then the machine is off.
    Half,
    /// It does nothing; later ones work.
    Once,
    /// The same, for want of space.
    Full,
    /// The same, for a signal.
    Interrupted,
    /// The first half of its bytes is written, and then there is no space; later ones work.
    Short,
}

impl Fault {
    /// Those after which the machine is on.
    pub const PASSING: [Fault; 4] = [Fault::Once, Fault::Full, Fault::Interrupted, Fault::Short];

    fn error(self) -> io::Error {
        io::Error::from_raw_os_error(match self {
            Fault::Off | Fault::Half | Fault::Once => 5, // EIO
            Fault::Full | Fault::Short => 28,            // ENOSPC
            Fault::Interrupted => 4,                     // EINTR
        })
    }
}

/// What is there after the machine comes on again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Image {
    /// Only the process died: everything that was written.
    Live,
    /// Only what was synced, under names that were synced.
    Synced,
    /// Names raced ahead of content: every name, with what was synced of its file.
    Names,
    /// Every name; unsynced content up to a sector of 512 bytes.
    Sectors,
}

pub const IMAGES: [Image; 4] = [Image::Live, Image::Synced, Image::Names, Image::Sectors];

#[derive(Default)]
struct Model {
    /// Content that was synced, by file (not by name).
    synced: Vec<Vec<u8>>,
    live: BTreeMap<PathBuf, usize>,
    durable: BTreeMap<PathBuf, usize>,
    operations: u64,
    off: bool,
}

#[derive(Clone)]
pub struct FaultDisk {
    model: Arc<Mutex<Model>>,
    fault: Option<(u64, Fault)>,
}

impl FaultDisk {
    /// Fails its `fault.0`-th operation, counted from 0. Files under `root` count as durable.
    pub fn new(root: &Path, fault: Option<(u64, Fault)>) -> FaultDisk {
        let mut model = Model::default();
        for path in files_below(root) {
            model.synced.push(fs::read(&path).unwrap());
            model.live.insert(path.clone(), model.synced.len() - 1);
            model.durable.insert(path, model.synced.len() - 1);
        }
        FaultDisk { model: Arc::new(Mutex::new(model)), fault }
    }

    pub fn operations(&self) -> u64 {
        self.model.lock().unwrap().operations
    }

    /// Counts an operation; with `Some`, it has to fail so.
    fn step(model: &mut Model, fault: Option<(u64, Fault)>) -> Option<Fault> {
        let number = model.operations;
        model.operations += 1;
        if model.off {
            return Some(Fault::Off);
        }
        let fault = fault.filter(|fault| fault.0 == number).map(|fault| fault.1)?;
        model.off = !Fault::PASSING.contains(&fault);
        Some(fault)
    }

    fn run(&self, act: impl FnOnce(&mut Model) -> io::Result<()>) -> io::Result<()> {
        let mut model = self.model.lock().unwrap();
        match FaultDisk::step(&mut model, self.fault) {
            None => act(&mut model),
            Some(fault) => Err(fault.error()),
        }
    }

    /// Builds what a restart finds, from the files under `root`, in `target`.
    pub fn image(&self, image: Image, root: &Path, target: &Path) {
        let model = self.model.lock().unwrap();
        let mut names: BTreeSet<&PathBuf> = model.durable.keys().collect();
        if image != Image::Synced {
            names = model.live.keys().collect();
        }
        for entry in walkdir::WalkDir::new(root) {
            let entry = entry.unwrap();
            if entry.file_type().is_dir() {
                let below = entry.path().strip_prefix(root).unwrap();
                fs::create_dir_all(target.join(below)).unwrap();
            }
        }
        for name in names {
            let from = if image == Image::Synced { &model.durable } else { &model.live };
            let synced = &model.synced[from[name]];
            let content = match image {
                Image::Live => fs::read(name).unwrap(),
                Image::Synced | Image::Names => synced.clone(),
                Image::Sectors => {
                    let live = fs::read(name).unwrap();
                    let kept = live.len() / 512 * 512;
                    if live.starts_with(synced) && kept > synced.len() {
                        live[..kept].to_vec()
                    } else {
                        synced.clone()
                    }
                }
            };
            let path = target.join(name.strip_prefix(root).unwrap());
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            options.open(path).unwrap().write_all(&content).unwrap();
        }
    }
}

pub fn files_below(root: &Path) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(root).sort_by_file_name().into_iter();
    entries
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
        .collect()
}

impl Disk for FaultDisk {
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut model = self.model.lock().unwrap();
        let fault = FaultDisk::step(&mut model, self.fault);
        let bytes = match fault {
            None => bytes,
            Some(Fault::Half | Fault::Short) => &bytes[..bytes.len() / 2],
            Some(fault) => return Err(fault.error()),
        };
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        options.open(path)?.write_all(bytes)?;
        if !model.live.contains_key(path) {
            model.synced.push(Vec::new());
            let file = model.synced.len() - 1;
            model.live.insert(path.into(), file);
        }
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        self.run(|model| {
            let file = model.live[path];
            model.synced[file] = fs::read(path)?;
            Ok(())
        })
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.run(|model| {
            model.durable.retain(|name, _| name.parent() != Some(path));
            let live = model.live.iter().filter(|(name, _)| name.parent() == Some(path));
            let live: Vec<_> = live.map(|(name, &file)| (name.clone(), file)).collect();
            model.durable.extend(live);
            Ok(())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.run(|model| {
            fs::rename(from, to)?;
            let file = model.live.remove(from).unwrap();
            model.live.insert(to.into(), file);
            Ok(())
        })
    }

    fn open_append(&self, path: &Path) -> io::Result<Box<dyn Appender>> {
        self.run(|model| {
            let mut options = OpenOptions::new();
            options.append(true).create(true).mode(0o600).open(path)?;
            if !model.live.contains_key(path) {
                model.synced.push(Vec::new());
                model.live.insert(path.into(), model.synced.len() - 1);
            }
            Ok(())
        })?;
        Ok(Box::new(FaultAppender { disk: self.clone(), path: path.into() }))
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        self.run(|model| {
            OpenOptions::new().write(true).open(path)?.set_len(len)?;
            let file = model.live[path];
            model.synced[file] = fs::read(path)?;
            Ok(())
        })
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.run(|model| {
            fs::remove_file(path)?;
            model.live.remove(path);
            Ok(())
        })
    }

    fn wipe(&self, path: &Path) -> io::Result<()> {
        self.remove_file(path)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.run(|_| fs::DirBuilder::new().recursive(true).mode(0o700).create(path))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }
}

struct FaultAppender {
    disk: FaultDisk,
    path: PathBuf,
}

impl Appender for FaultAppender {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut model = self.disk.model.lock().unwrap();
        let fault = FaultDisk::step(&mut model, self.disk.fault);
        let bytes = match fault {
            None => bytes,
            Some(Fault::Half | Fault::Short) => &bytes[..bytes.len() / 2],
            Some(fault) => return Err(fault.error()),
        };
        OpenOptions::new().append(true).open(&self.path)?.write_all(bytes)?;
        if let Some(fault) = fault {
            return Err(fault.error());
        }
        let file = model.live[&self.path];
        model.synced[file] = fs::read(&self.path)?;
        Ok(())
    }
}
