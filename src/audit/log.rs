//! The log, open for writing: one process at a time, one durable line for each append, and checkpoints
//! signed in between.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::error::LogError;
use super::event::{
    ClockStep, DocFail, DocSkip, Erase, Event, Genesis, Recovered, RunEnd, RunStart,
};
use super::keys::{KeyStore, open_random};
use super::ledger::Ledger;
use super::line::{Entry, Random, RunId, VERSION};
use super::note::{Checkpoint, Key, Vkey};
use super::rules::{Chain, genesis_prev};
use super::segments::{
    self, CHECKPOINT_FOLDER, LOG_FOLDER, SetAside, TORN_FOLDER, Torn, Watch, note_name,
    segment_name,
};
use super::signing::run_key_name;
use super::tree;
use crate::base::limits::{
    CHECKPOINT_ENTRIES, CHECKPOINT_INTERVAL, CLOCK_STEP_MIN, LOG_LINE_BYTES_MAX,
    LOG_SEGMENT_BYTES_MAX, VERIFY_ENTRIES_MAX,
};
use crate::base::{Appender, Clock, Digest, Disk, replace_file};

/// Below the state folder: the kernel's lock is on this file; its text only names the holder.
const LOCK_FILE: &str = "lock";

/// `detail` and `reason` are cut here, so that an entry stays far below the limit of a line.
const REASON_BYTES_MAX: usize = 500;

/// A verified log, locked for this process. Opening makes a `RunId`; every entry written carries it.
///
/// The lock belongs to the open file: a child forked while the log is open holds it too. Fork first.
pub struct Log {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    state: PathBuf,
    /// The folder of the segments.
    folder: PathBuf,
    keys: KeyStore,
    log_key: Key,
    /// When the last checkpoint was signed, by the steady clock.
    signed_at: Duration,
    /// Both clocks at the last entry of this process; at first, when the log was opened.
    read_at: (Timestamp, Duration),
    run: RunId,
    chain: Chain,
    segment: Option<Segment>,
    /// Number that the next new segment gets.
    next_number: u32,
    /// Held open: later isolation need not let it be opened again.
    random: File,
    poisoned: bool,
    _lock: File,
}

/// The segment that this process appends to.
struct Segment {
    file: Box<dyn Appender>,
    bytes: u64,
}

impl Log {
    /// Takes the lock under `state`, verifies the whole log back to its first entry and makes it ready for
    /// appending. A log that does not exist begins with `genesis`, and its key is made in `key_dir`; an
    /// unfinished last line after the last checkpoint is set aside and recorded; what no checkpoint covers
    /// is signed.
    ///
    /// # Errors
    /// `Locked` while another process has it open; `Broken` where anything but the unfinished end is
    /// wrong; `Unfit` where a checkpoint does not fit the log, the last one that `key_dir` knows included;
    /// `Keys` where a key is missing; `Origin` where the log is not that of `origin`; `Io`.
    pub fn open(
        disk: Arc<dyn Disk>,
        state: &Path,
        key_dir: &Path,
        origin: &str,
        clock: Arc<dyn Clock>,
    ) -> Result<Log, LogError> {
        Log::open_within(disk, state, key_dir, origin, clock, &Watch::default())
    }

    /// As `open`, with a ledger that holds a bounded part of itself in memory and the rest in temporary files.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_bounded(
        disk: Arc<dyn Disk>,
        state: &Path,
        key_dir: &Path,
        origin: &str,
        clock: Arc<dyn Clock>,
    ) -> Result<Log, LogError> {
        let watch = Watch { entries_max: VERIFY_ENTRIES_MAX, ..Watch::default() };
        Log::open_within(disk, state, key_dir, origin, clock, &watch)
    }

    fn open_within(
        disk: Arc<dyn Disk>,
        state: &Path,
        key_dir: &Path,
        origin: &str,
        clock: Arc<dyn Clock>,
        watch: &Watch,
    ) -> Result<Log, LogError> {
        let folder = state.join(LOG_FOLDER);
        disk.create_folder(&folder)
            .map_err(LogError::io(&folder, "cannot make the folder of the log"))?;
        let lock = take_lock(&state.join(LOCK_FILE), clock.as_ref())?;
        let keys = KeyStore::new(disk.clone(), key_dir, origin);
        put_back_head(disk.as_ref(), &keys, state)?;
        let walk = segments::walk(state, watch)?;
        if let Some(bad) = walk.bad {
            return Err(bad.refusal());
        }
        if walk.chain.size() > 0 && walk.chain.origin() != origin {
            let found = walk.chain.origin().to_string();
            return Err(LogError::Origin { found, expected: origin.into() });
        }
        let good_entries = walk.chain.size();
        let known_key = match good_entries {
            0 => None,
            _ => Some(check_keys(&walk.chain, &keys, key_dir)?),
        };
        if let Some(torn) = &walk.torn {
            set_aside(disk.as_ref(), &state.join(TORN_FOLDER), torn, good_entries)?;
        }
        let mut random = open_random()?;
        let run = draw(&mut random)?;
        let (log_key, first_run_key) = match known_key {
            Some(key) => (key, None),
            None => {
                let (log_key, run_key) = keys.first_keys(&run, &mut random)?;
                (log_key, Some(run_key))
            }
        };
        let mut log = Log {
            run,
            state: state.into(),
            keys,
            log_key,
            signed_at: clock.elapsed(),
            read_at: (clock.now(), clock.elapsed()),
            // An empty last segment is what a run left that was killed as it began; it is used.
            next_number: match walk.last_segment {
                None => 1,
                Some((number, 0)) => number,
                Some((number, _)) => number + 1,
            },
            disk,
            clock,
            folder,
            chain: walk.chain,
            segment: None,
            random,
            poisoned: false,
            _lock: lock,
        };
        if let Some(run_key) = first_run_key {
            log.append(&Event::Genesis(Genesis {
                origin: origin.into(),
                log_vkey: log.log_key.vkey().to_string(),
                run_vkey: run_key.vkey().to_string(),
                tool: concat!("nightclerk ", env!("CARGO_PKG_VERSION")).into(),
            }))?;
        }
        log.record_recoveries()?;
        log.sign_rest()?;
        Ok(log)
    }

    /// What the log says, up to the last append.
    pub fn ledger(&self) -> &Ledger {
        self.chain.ledger()
    }

    /// Names the log.
    pub fn origin(&self) -> &str {
        self.chain.origin()
    }

    /// The log's key.
    pub(super) fn key(&self) -> &Vkey {
        self.log_key.vkey()
    }

    pub(super) fn state(&self) -> &Path {
        &self.state
    }

    pub(super) fn disk(&self) -> &dyn Disk {
        self.disk.as_ref()
    }

    /// The id that this process's entries carry.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// Entries so far.
    pub fn size(&self) -> u64 {
        self.chain.size()
    }

    /// RFC 6962 root over the entries so far.
    pub fn root(&self) -> Digest {
        self.chain.root()
    }

    /// Appends `event`; it is durable when this returns. The number is its `seq`. The keys and the
    /// checkpoint of `RunStart` are filled in here, and the checkpoint that brings the run's key into force
    /// follows it at once.
    ///
    /// # Errors
    /// `Refused` or `Line`: the event breaks a rule, nothing was written, the log stays usable. `Io`:
    /// the write failed, and from here on every call says `Poisoned`.
    pub fn append(&mut self, event: &Event) -> Result<u64, LogError> {
        if self.poisoned {
            return Err(LogError::Poisoned);
        }
        let ts = self.settled_time()?;
        let Event::RunStart(start) = event else {
            let seq = self.write(&ts, clipped(event.clone()))?;
            if self.is_checkpoint_due() {
                self.checkpoint()?;
            }
            return Ok(seq);
        };
        self.sign_rest()?;
        let start = self.with_keys(start)?;
        let seq = self.write(&ts, Event::RunStart(start))?;
        self.checkpoint()?;
        Ok(seq)
    }

    /// The time of the next entry. Where the wall clock has not gone on as the steady one has, or has gone back
    /// behind the last entry, an entry says so first.
    fn settled_time(&mut self) -> Result<String, LogError> {
        let (now, elapsed) = (self.clock.now(), self.clock.elapsed());
        let (then, before) = std::mem::replace(&mut self.read_at, (now, elapsed));
        let steady =
            i128::try_from(elapsed.saturating_sub(before).as_millis()).unwrap_or(i128::MAX);
        let shown = i128::from(now.as_millisecond()) - i128::from(then.as_millisecond());
        let ts = stamp(now);
        let Some(last) = self.chain.last_ts().map(str::to_string) else { return Ok(ts) };
        let stepped = (shown - steady).unsigned_abs() >= CLOCK_STEP_MIN.as_millis();
        if stepped || last > ts {
            self.write(&ts, Event::ClockStep(ClockStep { before: last }))?;
        }
        Ok(ts)
    }

    /// What the log itself adds to a `run_start`.
    fn with_keys(&mut self, start: &RunStart) -> Result<Box<RunStart>, LogError> {
        let (Some(id), Some(head)) = (self.chain.id(), self.chain.signing().last()) else {
            return Ok(Box::new(start.clone())); // refused by the rules, with the reason
        };
        let own = run_key_name(self.chain.origin(), &self.run);
        let named = self.chain.signing().run_keys().into_iter().find(|key| key.name == own);
        let run_vkey = match named {
            Some(key) => key.to_string(),
            None => self.keys.make_run_key(id, &self.run, &mut self.random)?.vkey().to_string(),
        };
        Ok(Box::new(RunStart { run_vkey, prev_checkpoint: head.text.to_string(), ..start.clone() }))
    }

    fn is_checkpoint_due(&self) -> bool {
        self.size() - self.chain.signing().signed() >= CHECKPOINT_ENTRIES
            || self.clock.elapsed().saturating_sub(self.signed_at) >= CHECKPOINT_INTERVAL
    }

    /// Signs the entries that no checkpoint covers, if there are any.
    ///
    /// # Errors
    /// As `append`.
    pub fn sign_rest(&mut self) -> Result<(), LogError> {
        match self.chain.signing().signed() < self.size() {
            true => self.checkpoint(),
            false => Ok(()),
        }
    }

    /// Signs the log as it is. The entries are durable; the note is kept with the keys, then put beside the
    /// log, and only then the key of the run before is wiped.
    fn checkpoint(&mut self) -> Result<(), LogError> {
        if self.poisoned {
            return Err(LogError::Poisoned);
        }
        self.poisoned = true;
        let id = self.chain.id().cloned().unwrap_or_else(|| self.run.clone());
        let (size, origin) = (self.size(), self.chain.origin().to_string());
        let text = Checkpoint { origin, size, root: self.root() }.to_string();
        let run_keys: Vec<Vkey> = self.chain.signing().run_keys().into_iter().cloned().collect();
        let mut note = format!("{text}\n{}", self.log_key.sign(&text));
        for vkey in &run_keys {
            let key = self.keys.run_key(&id, vkey)?.ok_or_else(|| missing_run_key(vkey))?;
            note.push_str(&key.sign(&text));
        }
        // What does not verify is never put out.
        let checked = self.chain.check_note(note.as_bytes());
        let head = checked.map_err(|breach| LogError::Refused { event: "checkpoint", breach })?;
        self.keys.remember(&id, &note)?;
        write_note(self.disk.as_ref(), &self.state, size, &note)?;
        self.chain.apply_note(head);
        if let [_, now] = &run_keys[..] {
            self.keys.wipe_but(&id, now)?;
        }
        self.signed_at = self.clock.elapsed();
        self.poisoned = false;
        Ok(())
    }

    /// Appends the `run_end` of this run, with everything that the log itself knows, signs the log, and
    /// returns the entry.
    ///
    /// # Errors
    /// As `append`; `Refused` where an input of the inventory has no outcome yet.
    pub fn end_run(&mut self, seconds: u64, exit_code: u64) -> Result<RunEnd, LogError> {
        if self.poisoned {
            return Err(LogError::Poisoned);
        }
        // Before the end is made: its `log_size` counts a clock_step that this may write.
        let ts = self.settled_time()?;
        let end = self.chain.run_end(seconds, exit_code);
        self.write(&ts, Event::RunEnd(end.clone()))?;
        self.checkpoint()?;
        Ok(end)
    }

    fn write(&mut self, ts: &str, event: Event) -> Result<u64, LogError> {
        let word = event.word();
        let entry = Entry {
            v: VERSION,
            seq: self.chain.size(),
            prev: match (&event, self.chain.head()) {
                (Event::Genesis(genesis), None) => genesis_prev(&genesis.origin, &genesis.log_vkey),
                (_, head) => head.unwrap_or(Digest([0; 32])),
            },
            ts: ts.into(),
            mono_ms: u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX),
            run: self.run.clone(),
            salt: draw(&mut self.random)?,
            event,
        };
        let refused = |error| LogError::Line { event: word, error };
        let mut line = entry.to_line().map_err(refused)?;
        // What cannot be read back is never written.
        Entry::from_line(&line).map_err(refused)?;
        let checked = self.chain.check(&entry);
        checked.map_err(|breach| LogError::Refused { event: word, breach })?;
        let leaf = tree::leaf(&line);
        line.push(b'\n');
        self.poisoned = true;
        self.write_line(&line)?;
        self.poisoned = false;
        self.chain.apply(&entry, leaf);
        Ok(entry.seq)
    }

    fn write_line(&mut self, line: &[u8]) -> Result<(), LogError> {
        let length = line.len() as u64;
        let fits = |segment: &&mut Segment| segment.bytes + length <= LOG_SEGMENT_BYTES_MAX;
        let segment = match self.segment.as_mut().filter(fits) {
            Some(segment) => segment,
            None => {
                let path = self.folder.join(segment_name(self.next_number));
                let file = self.disk.open_append(&path);
                let file = file.map_err(LogError::io(&path, "cannot open a segment of the log"))?;
                self.disk
                    .sync_folder(&self.folder)
                    .map_err(LogError::io(&self.folder, "cannot make the log's folder durable"))?;
                self.next_number += 1;
                self.segment.insert(Segment { file, bytes: 0 })
            }
        };
        segment
            .file
            .append(line)
            .map_err(LogError::io(&self.folder, "cannot append to the log"))?;
        segment.bytes += length;
        Ok(())
    }

    /// Writes a `recovered` entry for all bytes that were set aside and that no entry names yet: also for those
    /// of a recovery that was itself cut off.
    fn record_recoveries(&mut self) -> Result<(), LogError> {
        for SetAside { entries, sha256, length, .. } in segments::set_aside(&self.state)? {
            // What holds other bytes than its name says, this program has not set aside.
            let Some(torn_len) = length else { continue };
            if !self.chain.ledger().torn.contains(&(entries, sha256)) {
                self.append(&Event::Recovered(Recovered {
                    torn_len,
                    torn_sha256: sha256,
                    good_entries: entries,
                    orphans: Vec::new(),
                }))?;
            }
        }
        Ok(())
    }
}

/// Takes the kernel's lock, which ends with the process, and writes down who holds it.
fn take_lock(path: &Path, clock: &dyn Clock) -> Result<File, LogError> {
    let error = LogError::io(path, "cannot lock the log");
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    // It is emptied: not what somebody has put a link to.
    let mut file = match options.custom_flags(libc::O_NOFOLLOW).open(path) {
        Ok(file) => file,
        Err(e) => return Err(error(e)),
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // The holder may not have written its line yet; the lock stands all the same.
            let _ = (&mut file).take(200).read_to_string(&mut holder);
            let holder = holder.lines().next().unwrap_or("just started").to_string();
            return Err(LogError::Locked { holder });
        }
        Err(TryLockError::Error(e)) => return Err(error(e)),
    }
    let line = format!("pid {}, started {}\n", std::process::id(), stamp(clock.now()));
    let written =
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(line.as_bytes()));
    match written {
        Ok(()) => Ok(file),
        Err(e) => Err(error(e)),
    }
}

/// Keeps the torn bytes in a file of their own, durable, and only then cuts them off the segment.
fn set_aside(
    disk: &dyn Disk,
    folder: &Path,
    torn: &Torn,
    good_entries: u64,
) -> Result<(), LogError> {
    let name = segments::torn_name(good_entries, Digest::of(&torn.bytes));
    let (path, temporary) = (folder.join(&name), folder.join("unfinished"));
    let error = |source| LogError::io(&torn.path, "cannot cut torn bytes off")(source);
    if fs::symlink_metadata(&torn.path).map_err(error)?.is_symlink() {
        // What it leads to may be a key: nothing of it gets into the output, and nothing is cut off it.
        return Err(error(io::Error::other("it is a link; a segment that is written is a file")));
    }
    disk.create_folder(folder)
        .and_then(|()| disk.write(&temporary, &torn.bytes))
        .and_then(|()| disk.sync_file(&temporary))
        .and_then(|()| disk.rename(&temporary, &path))
        .and_then(|()| disk.sync_folder(folder))
        .map_err(LogError::io(&path, "cannot set torn bytes aside"))?;
    disk.truncate(&torn.path, torn.offset).map_err(error)
}

/// Puts the last checkpoint that was signed beside the log again, where a crash has kept it from there or
/// somebody has taken it away; the walk then holds the log against it.
fn put_back_head(disk: &dyn Disk, keys: &KeyStore, state: &Path) -> Result<(), LogError> {
    let Some(id) = segments::log_id(state) else { return Ok(()) };
    let Some(note) = keys.head(&id)? else { return Ok(()) };
    let size = Checkpoint::parse(&note.text).map_or(0, |checkpoint| checkpoint.size);
    if size == 0 || state.join(CHECKPOINT_FOLDER).join(note_name(size)).exists() {
        return Ok(());
    }
    write_note(disk, state, size, &note.to_string())
}

pub(super) fn write_note(
    disk: &dyn Disk,
    state: &Path,
    size: u64,
    note: &str,
) -> Result<(), LogError> {
    let folder = state.join(CHECKPOINT_FOLDER);
    let path = folder.join(note_name(size));
    disk.create_folder(&folder)
        .and_then(|()| replace_file(disk, &path, note.as_bytes()))
        .map_err(LogError::io(&path, "cannot write the checkpoint"))
}

/// The key of a log that has entries; the secrets of its runs must be there as well.
fn check_keys(chain: &Chain, keys: &KeyStore, key_dir: &Path) -> Result<Key, LogError> {
    let Some(named) = chain.signing().log_key() else {
        let message = "the audit log is one without signatures, of a version before them; it still \
                       verifies, but nothing more is written to it: begin with a new output folder";
        return Err(LogError::Keys { message: message.into() });
    };
    let key = keys.log_key()?.filter(|key| key.vkey() == named).ok_or_else(|| LogError::Keys {
        message: format!(
            "{} does not hold the key of this audit log ({named}); set [audit] key_dir to where it \
             lies or restore it, or begin with a new output folder",
            key_dir.display()
        ),
    })?;
    if let Some(id) = chain.id() {
        for vkey in chain.signing().run_keys() {
            keys.run_key(id, vkey)?.ok_or_else(|| missing_run_key(vkey))?;
        }
    }
    Ok(key)
}

fn missing_run_key(vkey: &Vkey) -> LogError {
    LogError::Keys {
        message: format!(
            "the key {} is not in [audit] key_dir: it was erased when a later run took over, so the \
             audit log is an older copy, or key_dir is; restore both as they last were, or begin with a \
             new output folder",
            vkey.name
        ),
    }
}

fn draw(random: &mut File) -> Result<Random, LogError> {
    let mut bytes = [0; 16];
    let read = random.read_exact(&mut bytes);
    read.map_err(LogError::io(Path::new("/dev/urandom"), "cannot read random bytes"))?;
    Ok(Random::from_bytes(bytes))
}

/// RFC 3339, UTC, milliseconds. A clock outside of the years 0 to 9999 is taken as the epoch: the
/// form has four digits for the year.
fn stamp(now: Timestamp) -> String {
    let text = format!("{now:.3}");
    if text.len() == 24 { text } else { format!("{:.3}", Timestamp::UNIX_EPOCH) }
}

fn clipped(mut event: Event) -> Event {
    if let Event::DocFail(DocFail { detail: text, .. })
    | Event::DocSkip(DocSkip { reason: text, .. })
    | Event::Erase(Erase { reason: text, .. }) = &mut event
    {
        text.truncate(text.floor_char_boundary(REASON_BYTES_MAX));
    }
    event
}

const _: () = assert!(REASON_BYTES_MAX * 6 < LOG_LINE_BYTES_MAX, "escapes are six bytes at most");
