//! The walk: every file below a job's roots that the patterns take, each with exactly one state.
//!
//! Left out without a word, because no one puts them there as documents: names that begin with a dot,
//! and what editors and file browsers leave behind (`is_leftover`). Everything else is in the
//! inventory, and what cannot be read stands there as refused.

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use walkdir::{DirEntry, WalkDir};

use super::open::{Opened, open_regular};
use super::sniff;
use super::{Source, SourceState};
use crate::base::limits::SNIFF_BYTES;
use crate::base::{Clock, Digest, DigestWriter, DocId, Format};
use crate::jobs::{Job, Plan, Root};

/// What a job has to do with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Ordered by root name, then by the bytes of the path.
    pub sources: Vec<Source>,
    /// Files that `include` and `exclude` leave out.
    pub excluded: usize,
}

/// A root cannot be listed at all. A folder below it that cannot is a refused source instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntakeError {
    pub job: String,
    pub root: String,
    pub folder: PathBuf,
    /// The operating system's words.
    pub error: String,
}

impl fmt::Display for IntakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "job {}: the folder {} of root {} cannot be listed: {}; is a share not mounted?",
            self.job,
            self.folder.display(),
            self.root,
            self.error
        )
    }
}

impl std::error::Error for IntakeError {}

/// Lists and fingerprints the files of `job`. Reads every file once, and only reads.
///
/// # Errors
/// `IntakeError` where a root cannot be listed; whatever is wrong with one file is that file's state.
pub fn walk(plan: &Plan, job: &Job, clock: &dyn Clock) -> Result<Inventory, IntakeError> {
    let bytes_max = plan.limits.input_bytes_max;
    let now = clock.now();
    let mut inventory = Inventory::default();
    for root in &job.roots {
        let cannot = |error: String| IntakeError {
            job: job.name.clone(),
            root: root.name.clone(),
            folder: root.folder.clone(),
            error,
        };
        let folder = root.folder.canonicalize().map_err(|error| cannot(error.to_string()))?;
        let walker = Walker { job, root, folder, bytes_max, now };
        walker.walk(&mut inventory).map_err(cannot)?;
    }
    refuse_equal_names(&mut inventory.sources);
    Ok(inventory)
}

struct Walker<'a> {
    job: &'a Job,
    root: &'a Root,
    /// The root's folder, links resolved.
    folder: PathBuf,
    bytes_max: u64,
    now: Timestamp,
}

impl Walker<'_> {
    fn walk(&self, inventory: &mut Inventory) -> Result<(), String> {
        let entries = WalkDir::new(&self.folder).follow_links(false).into_iter();
        let entries = entries
            .filter_entry(|entry| entry.depth() == 0 || !is_leftover(entry.file_name().as_bytes()));
        for entry in entries {
            match entry {
                Ok(entry) if entry.file_type().is_dir() => {}
                Ok(entry) => match self.taken(&entry) {
                    Taken::Source(source) => inventory.sources.push(*source),
                    Taken::Elsewhere => {}
                    Taken::Excluded => inventory.excluded += 1,
                },
                Err(error) if error.depth() == 0 => return Err(in_its_words(&error)),
                Err(error) => {
                    let path = error.path().unwrap_or(&self.folder);
                    let below = path.strip_prefix(&self.folder).unwrap_or(path);
                    if !self.job.exclude.is_match(below) {
                        let why = format!("cannot be listed: {}", in_its_words(&error));
                        inventory.sources.push(self.refused(path, why));
                    }
                }
            }
        }
        Ok(())
    }

    fn taken(&self, entry: &DirEntry) -> Taken {
        let below = entry.path().strip_prefix(&self.folder).unwrap_or(entry.path());
        if self.job.takes(below) {
            return self
                .source(entry)
                .map_or(Taken::Elsewhere, |source| Taken::Source(source.into()));
        }
        // The patterns are meant for what lies in an archive, too.
        let may_hold = self.job.archives
            && super::is_archive_name(&below.to_string_lossy())
            && !self.job.exclude.is_match(below);
        match may_hold.then(|| self.source(entry)).flatten() {
            Some(source) if source.is_archive() => Taken::Source(source.into()),
            Some(source) if matches!(source.state, SourceState::Deferred(_)) => {
                Taken::Source(source.into())
            }
            _ => Taken::Excluded,
        }
    }

    /// The source of one entry that is no folder; none for a link to a folder within the root, whose
    /// files are found where they are.
    fn source(&self, entry: &DirEntry) -> Option<Source> {
        let path = entry.path();
        if entry.file_type().is_file() {
            return Some(self.fingerprint(path, path));
        }
        if !entry.file_type().is_symlink() {
            return Some(self.refused(path, "a pipe, socket or device: never opened".to_owned()));
        }
        let target = match path.canonicalize() {
            Ok(target) => target,
            Err(error) => {
                let why = format!("a link that leads nowhere: {error}");
                return Some(self.refused(path, why));
            }
        };
        if !target.starts_with(&self.folder) {
            let why = "a link out of the input folder is not followed: copy the file here, or make \
                       its folder a root of its own";
            return Some(self.refused(path, why.to_owned()));
        }
        if target.is_dir() {
            return None;
        }
        Some(self.fingerprint(path, &target))
    }

    /// A source as far as its name goes.
    fn named(&self, path: &Path, state: SourceState) -> Source {
        let below = path.strip_prefix(&self.folder).unwrap_or(path);
        let below = encoded(below.as_os_str());
        Source {
            id: DocId::new(&self.job.name, &self.root.name, &below),
            job: self.job.name.clone(),
            root: self.root.name.clone(),
            path: below,
            file: path.to_owned(),
            member: None,
            format: Format::Unknown,
            digest: Digest::of(b""),
            bytes: 0,
            modified: Timestamp::UNIX_EPOCH,
            state,
            note: String::new(),
        }
    }

    fn refused(&self, path: &Path, why: String) -> Source {
        self.named(path, SourceState::Refused(why))
    }

    /// Opens, hashes and names the file at `file`, which stands in the inventory under `path`.
    fn fingerprint(&self, path: &Path, file: &Path) -> Source {
        let mut opened = match open_regular(file) {
            Ok(opened) => opened,
            Err(why) => return self.refused(path, why),
        };
        let mut source = self.named(path, SourceState::Ready);
        source.file = file.to_owned();
        (source.bytes, source.modified) = (opened.bytes, opened.modified);
        if source.bytes > self.bytes_max {
            source.state = SourceState::Refused(format!(
                "{} bytes are more than the {} that are read: raise [limits] input_max",
                source.bytes, self.bytes_max
            ));
            return source;
        }
        match age(opened.modified, self.now, self.job.settle) {
            Age::Settled => {}
            Age::Young(why) => {
                source.state = SourceState::Deferred(why);
                return source;
            }
            Age::Future(note) => source.note = note,
        }
        let (digest, head) = match digest(&mut opened, self.bytes_max) {
            Ok(read) => read,
            Err(Unread::Changed(why)) => {
                source.state = SourceState::Deferred(why);
                return source;
            }
            Err(Unread::Failed(error)) => {
                source.state = SourceState::Refused(format!("cannot be read: {error}"));
                return source;
            }
        };
        source.digest = digest;
        let named = sniff::name(&source.path, &head, &opened.file, opened.bytes);
        source.format = named.format;
        if !named.note.is_empty() {
            let separator = if source.note.is_empty() { "" } else { "; " };
            source.note = format!("{}{separator}{}", source.note, named.note);
        }
        let is_opened = self.job.archives
            && source.format == Format::Zip
            && super::is_archive_name(&source.path);
        if let Some(why) = named.refusal.filter(|_| !is_opened) {
            source.state = SourceState::Refused(why);
        }
        source
    }
}

/// What becomes of an entry of a folder.
enum Taken {
    Source(Box<Source>),
    /// A link to what is found where it is.
    Elsewhere,
    Excluded,
}

enum Age {
    Settled,
    /// Why it waits.
    Young(String),
    /// A note.
    Future(String),
}

/// Whether a file changed long enough ago. A time further in the future than `settle` cannot be waited
/// for: that file is taken, with a note, and a change while it is read is still found out.
fn age(modified: Timestamp, now: Timestamp, settle: Duration) -> Age {
    if settle.is_zero() {
        return Age::Settled;
    }
    let age = now.duration_since(modified);
    let settle = jiff::SignedDuration::try_from(settle).unwrap_or(jiff::SignedDuration::MAX);
    if age >= settle {
        return Age::Settled;
    }
    match modified.checked_add(settle) {
        Ok(until) if age > -settle => Age::Young(format!(
            "changed less than {settle:#} ago: it is read by a run after {until:.0}"
        )),
        _ => Age::Future(format!("its time of change lies in the future ({modified:.0})")),
    }
}

enum Unread {
    /// It is being written to: the next run reads it.
    Changed(String),
    Failed(io::Error),
}

/// The digest of an opened file, and its first bytes for `sniff`.
fn digest(opened: &mut Opened, bytes_max: u64) -> Result<(Digest, Vec<u8>), Unread> {
    let mut writer = DigestWriter::new();
    let mut head = Vec::with_capacity(SNIFF_BYTES);
    let mut read = || -> io::Result<u64> {
        (&mut opened.file).take(SNIFF_BYTES as u64).read_to_end(&mut head)?;
        writer.write_all(&head)?;
        // One byte more than is taken, so that a file that grows is seen and never read for ever.
        let rest = io::copy(&mut (&mut opened.file).take(bytes_max + 1), &mut writer)?;
        Ok(head.len() as u64 + rest)
    };
    let bytes = read().map_err(Unread::Failed)?;
    let after = opened.file.metadata().and_then(|found| Ok((found.len(), found.modified()?)));
    let (len, modified) = after.map_err(Unread::Failed)?;
    let modified = Timestamp::try_from(modified).unwrap_or(Timestamp::UNIX_EPOCH);
    if bytes != opened.bytes || len != opened.bytes || modified != opened.modified {
        let why = "it is being written to: the next run reads it";
        return Err(Unread::Changed(why.to_owned()));
    }
    Ok((writer.finish(), head))
}

/// Orders sources by root and path, and refuses two names that are one once written as UTF-8, or once a member
/// stands below its archive: neither may take the other's record.
pub fn refuse_equal_names(sources: &mut [Source]) {
    sources.sort_by(|a, b| (&a.root, &a.path).cmp(&(&b.root, &b.path)));
    for at in 1..sources.len() {
        let (before, after) = sources.split_at_mut(at);
        let (one, other) = (&mut before[at - 1], &mut after[0]);
        if (&one.root, &one.path) == (&other.root, &other.path) {
            let why = "another file here has the same name once bytes that are not UTF-8 are \
                       percent-encoded, or once an archive counts as a folder: rename one";
            one.state = SourceState::Refused(why.to_owned());
            other.state = SourceState::Refused(why.to_owned());
        }
    }
}

/// Names that are nobody's documents: hidden, Office's and LibreOffice's lock files, backups, and what
/// file browsers leave behind.
pub(super) fn is_leftover(name: &[u8]) -> bool {
    name.starts_with(b".") // .~lock.lease.docx#, .DS_Store, .lease.txt.swp, .git
        || name.starts_with(b"~$")
        || name.ends_with(b"~")
        || (name.starts_with(b"~") && name.to_ascii_lowercase().ends_with(b".tmp"))
        || name.eq_ignore_ascii_case(b"thumbs.db")
        || name.eq_ignore_ascii_case(b"desktop.ini")
}

/// `path` as UTF-8: where it is none, each byte that is not, and each `%`, becomes `%XX`.
fn encoded(path: &OsStr) -> String {
    if let Some(text) = path.to_str() {
        return text.to_owned();
    }
    let mut text = String::new();
    for chunk in path.as_bytes().utf8_chunks() {
        text.push_str(&chunk.valid().replace('%', "%25"));
        for byte in chunk.invalid() {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

fn in_its_words(error: &walkdir::Error) -> String {
    error.io_error().map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_not_utf_8_has_one_spelling() {
        assert_eq!(encoded(OsStr::new("50% of all.pdf")), "50% of all.pdf");
        assert_eq!(encoded(OsStr::from_bytes(b"50% caf\xe9.pdf")), "50%25 caf%E9.pdf");
    }

    #[test]
    fn leftovers_of_editors_are_no_documents() {
        for name in
            [".DS_Store", ".~lock.a.docx#", "~$a.docx", "a.txt~", "~WRL0001.tmp", "Thumbs.db"]
        {
            assert!(is_leftover(name.as_bytes()), "{name}");
        }
        for name in ["a.docx", "tmp", "~a.docx", "notes.tmp"] {
            assert!(!is_leftover(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn a_file_waits_until_it_has_settled_and_no_longer() {
        let now: Timestamp = "2026-03-01T22:00:00Z".parse().expect("a timestamp");
        let settle = Duration::from_secs(120);
        let at = |seconds| now + jiff::SignedDuration::from_secs(seconds);
        assert!(matches!(age(at(-120), now, settle), Age::Settled));
        assert!(matches!(age(at(-119), now, settle), Age::Young(why)
            if why.contains("2026-03-01T22:00:01Z")));
        assert!(matches!(age(at(5), now, settle), Age::Young(_)));
        assert!(matches!(age(at(86_400), now, settle), Age::Future(_)));
        assert!(matches!(age(at(5), now, Duration::ZERO), Age::Settled));
    }
}
