//! Puts files under the output folder: a name is there with its whole content, or not at all.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use walkdir::WalkDir;

use super::paths::record_paths;
use super::{markdown, table};
use crate::assemble::Record;
use crate::base::{Digest, Disk, digest_file, read_file};

/// Ending of a file that is not finished. No output ends so.
pub(super) const TEMPORARY: &str = ".nightclerk-tmp";

/// Below the output folder: what is not an output.
pub(super) const STATE_FOLDER: &str = ".nightclerk";

/// Below the output folder: earlier outputs that a job keeps, by path and the entry that names them.
pub const SUPERSEDED: &str = ".nightclerk/superseded";

/// The closing facts of the last run, below the output folder.
pub const LAST_RUN: &str = "last-run.json";

/// The report, below the output folder: the page and the folder of its texts.
const REPORT: [&str; 2] = ["report.html", "report"];

/// A file that is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenFile {
    /// Below the output folder, with `/`.
    pub path: String,
    pub digest: Digest,
}

/// Why an output could not be written. What stood there before still stands.
#[derive(Debug)]
pub enum OutputError {
    /// No file of the output folder can have this name.
    Path { path: String, why: &'static str },
    /// A record that cannot be read back, or written as JSON.
    Json { path: String, source: serde_json::Error },
    /// The operating system said no.
    Io { path: PathBuf, doing: &'static str, source: io::Error },
}

impl OutputError {
    pub(super) fn io<'a>(
        path: &'a Path,
        doing: &'static str,
    ) -> impl FnOnce(io::Error) -> OutputError + 'a {
        move |source| OutputError::Io { path: path.into(), doing, source }
    }
}

impl fmt::Display for OutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OutputError::Path { path, why } => {
                write!(f, "{path:?} has no place in the output: {why}")
            }
            OutputError::Json { path, source } => write!(f, "{path}: {source}"),
            OutputError::Io { path, doing, source } => {
                write!(f, "{}: {doing}: {source}", path.display())
            }
        }
    }
}

impl std::error::Error for OutputError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            OutputError::Path { .. } => None,
            OutputError::Json { source, .. } => Some(source),
            OutputError::Io { source, .. } => Some(source),
        }
    }
}

/// The files of a record, path below the output folder and bytes: JSON first, then Markdown.
///
/// # Errors
/// `Path` or `Json` where it has no place or no form.
pub fn rendered(record: &Record) -> Result<Vec<(String, Vec<u8>)>, OutputError> {
    let source = &record.source;
    let [json, page] = record_paths(&source.job, &source.root, &source.path)?;
    let mut bytes = serde_json::to_vec_pretty(record)
        .map_err(|source| OutputError::Json { path: json.clone(), source })?;
    bytes.push(b'\n');
    Ok(vec![(json, bytes), (page, markdown::page(record).into_bytes())])
}

/// Writes below one output folder.
pub struct Writer {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) folder: PathBuf,
}

impl Writer {
    /// A writer into `output_folder`, which need not exist yet.
    pub fn new(disk: Arc<dyn Disk>, output_folder: &Path) -> Writer {
        Writer { disk, folder: output_folder.into() }
    }

    /// Writes a record as JSON and as Markdown; both are durable when this returns, JSON first in the
    /// list. The bytes are a function of the record alone.
    ///
    /// # Errors
    /// `OutputError`; a document of which one file stands and the other does not is redone by the
    /// next run, because nothing was logged.
    pub fn record(&self, record: &Record) -> Result<Vec<WrittenFile>, OutputError> {
        self.place(rendered(record)?)
    }

    /// Puts a copy of files aside before `record` takes their place: those of the answer that entry `seq` of
    /// the log names, as far as they stand as logged and `record` changes them. Durable when this returns.
    ///
    /// # Errors
    /// `OutputError`.
    pub fn keep_superseded(
        &self,
        seq: u64,
        files: impl IntoIterator<Item = (String, Digest)>,
        record: &Record,
    ) -> Result<(), OutputError> {
        let next = rendered(record)?;
        for (path, digest) in files {
            let same = |(at, bytes): &(String, Vec<u8>)| *at == path && Digest::of(bytes) == digest;
            if next.iter().any(same) {
                continue;
            }
            match read_file(&self.folder.join(&path)) {
                Ok(Some(bytes)) if Digest::of(&bytes) == digest => {
                    self.place(vec![(format!("{SUPERSEDED}/{path}/{seq}"), bytes)])?;
                }
                // It is not that answer any more: `verify` says so, and there is nothing to keep.
                Ok(_) => {}
                Err(e) => {
                    return Err(OutputError::io(&self.folder.join(path), "cannot read an output")(
                        e,
                    ));
                }
            }
        }
        Ok(())
    }

    /// Every record of a job, by its path below the output folder.
    ///
    /// # Errors
    /// `Io` where a file cannot be read, `Json` where one is not a record (any more).
    pub fn records(&self, job: &str) -> Result<Vec<Record>, OutputError> {
        let mut records = Vec::new();
        for entry in WalkDir::new(self.folder.join(job)).sort_by_file_name() {
            let Ok(entry) = entry else { continue };
            if !entry.file_type().is_file() || entry.path().extension() != Some("json".as_ref()) {
                continue;
            }
            let path = entry.path();
            let bytes = fs::read(path).map_err(OutputError::io(path, "reading"))?;
            records.push(serde_json::from_slice(&bytes).map_err(|source| OutputError::Json {
                path: path.display().to_string(),
                source,
            })?);
        }
        Ok(records)
    }

    /// The record that stands for this source, if any.
    ///
    /// # Errors
    /// `Json` where the file is not a record (any more).
    pub fn read(&self, job: &str, root: &str, path: &str) -> Result<Option<Record>, OutputError> {
        let [json, _] = record_paths(job, root, path)?;
        let file = self.folder.join(&json);
        let bytes = read_file(&file).map_err(OutputError::io(&file, "cannot read a record"))?;
        let Some(bytes) = bytes else { return Ok(None) };
        let record = serde_json::from_slice(&bytes);
        record.map(Some).map_err(|source| OutputError::Json { path: json, source })
    }

    /// Writes `last-run.json`, the closing facts.
    ///
    /// # Errors
    /// `OutputError`.
    pub fn last_run(&self, facts: &impl Serialize) -> Result<WrittenFile, OutputError> {
        let path = LAST_RUN.to_string();
        let mut bytes = serde_json::to_vec_pretty(facts)
            .map_err(|source| OutputError::Json { path: path.clone(), source })?;
        bytes.push(b'\n');
        Ok(self.place(vec![(path, bytes)])?.remove(0))
    }

    /// Removes what killed runs left unfinished, and says what it was. Only for the holder of the
    /// log's lock: it would take another run's work away.
    ///
    /// # Errors
    /// `Io`.
    pub fn sweep(&self) -> Result<Vec<String>, OutputError> {
        let mut swept = Vec::new();
        if !self.folder.exists() {
            return Ok(swept);
        }
        for entry in WalkDir::new(&self.folder).sort_by_file_name() {
            let entry = entry.map_err(|e| {
                OutputError::io(&self.folder, "cannot walk the output folder")(e.into())
            })?;
            let is_temporary = entry.file_name().to_string_lossy().ends_with(TEMPORARY);
            if is_temporary && !entry.file_type().is_dir() {
                self.disk
                    .remove_file(entry.path())
                    .map_err(OutputError::io(entry.path(), "cannot remove an unfinished file"))?;
                let path = entry.path().strip_prefix(&self.folder).unwrap_or(entry.path());
                swept.push(path.to_string_lossy().into_owned());
            }
        }
        Ok(swept)
    }

    /// Removes files that were given up, each if it still has the digest that it was given up with, with all
    /// that was kept of what stood there before, and then the report, which shows all documents and can be
    /// made anew. Durable when this returns.
    ///
    /// # Errors
    /// `Io`.
    pub fn erase(
        &self,
        files: impl IntoIterator<Item = (String, Digest)>,
    ) -> Result<(), OutputError> {
        let mut gone = Vec::new();
        for (path, digest) in files {
            let kept = WalkDir::new(self.folder.join(SUPERSEDED).join(&path)).into_iter().flatten();
            gone.extend(kept.filter(|e| e.file_type().is_file()).map(|e| e.into_path()));
            let file = self.folder.join(path);
            match digest_file(&file) {
                Ok(found) if found == Some(digest) => gone.push(file),
                // Another file stands there now: a person's, or that of another document.
                Ok(_) => {}
                Err(e) => return Err(OutputError::io(&file, "cannot read an output")(e)),
            }
        }
        if gone.is_empty() {
            return Ok(());
        }
        let report = REPORT.iter().flat_map(|name| WalkDir::new(self.folder.join(name)));
        gone.extend(report.flatten().filter(|e| e.file_type().is_file()).map(|e| e.into_path()));
        let mut folders = BTreeSet::new();
        for file in &gone {
            self.disk.remove_file(file).map_err(OutputError::io(file, "cannot erase a file"))?;
            folders.extend(file.parent().map(Path::to_path_buf));
        }
        for folder in folders {
            self.disk
                .sync_folder(&folder)
                .map_err(OutputError::io(&folder, "cannot make a folder durable"))?;
        }
        Ok(())
    }

    /// Makes files durable under their names, in one folder: all are written and synced under hidden
    /// names, then renamed, then the folder is synced.
    pub(super) fn place(
        &self,
        files: Vec<(String, Vec<u8>)>,
    ) -> Result<Vec<WrittenFile>, OutputError> {
        let mut placed = Vec::with_capacity(files.len());
        let mut renames = Vec::with_capacity(files.len());
        let mut folder = PathBuf::new();
        for (path, bytes) in files {
            let target = self.folder.join(&path);
            folder = target.parent().map(Path::to_path_buf).unwrap_or_default();
            self.disk
                .create_folder(&folder)
                .map_err(OutputError::io(&folder, "cannot make a folder"))?;
            let digest = Digest::of(&bytes);
            let hidden = Digest::of(path.as_bytes()).to_string();
            let temporary = folder.join(format!(".{}{TEMPORARY}", &hidden[..16]));
            let written =
                self.disk.write(&temporary, &bytes).and_then(|()| self.disk.sync_file(&temporary));
            renames.push((temporary, target));
            if let Err(source) = written {
                for (temporary, _) in &renames {
                    // What this cannot remove, the next run sweeps.
                    let _ = self.disk.remove_file(temporary);
                }
                let target = &renames.last().expect("pushed above").1;
                return Err(OutputError::io(target, "cannot write an output")(source));
            }
            placed.push(WrittenFile { path, digest });
        }
        for (temporary, target) in renames {
            self.disk
                .rename(&temporary, &target)
                .map_err(OutputError::io(&target, "cannot name an output"))?;
        }
        self.disk
            .sync_folder(&folder)
            .map_err(OutputError::io(&folder, "cannot make a folder durable"))?;
        Ok(placed)
    }

    /// Writes a job's tables, one row a document; see `TableFiles`. `fields` are the columns in the
    /// order of the task files; `logged` gives the digest that the log has for a path.
    ///
    /// # Errors
    /// `OutputError`.
    pub fn tables(
        &self,
        job: &str,
        fields: &[String],
        rows: impl IntoIterator<Item = table::Row>,
        logged: impl Fn(&str) -> Option<Digest>,
    ) -> Result<table::TableFiles, OutputError> {
        table::write(self, job, fields, rows, &logged)
    }
}
