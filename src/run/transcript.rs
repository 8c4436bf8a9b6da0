//! Every question of a run, word for word, with its answer: for whoever wants to see what the model was
//! told, or to ask another engine the same. Only on demand: it holds the documents' text.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::Broken;
use crate::base::Completion;
use crate::engine::Request;

/// A file of JSON lines, in the order of events: `{"asked": id, …}` and `{"answered": id, …}`.
pub struct Transcript {
    path: PathBuf,
    out: BufWriter<File>,
    /// The first write that failed; nothing is written after it.
    failed: Option<io::Error>,
}

impl Transcript {
    /// Makes the file, readable for its owner only.
    ///
    /// # Errors
    /// `Disk` where it exists or cannot be made.
    pub fn create(path: &Path) -> Result<Transcript, Broken> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = file.map_err(|error| Broken::disk(path, &error))?;
        Ok(Transcript { path: path.to_owned(), out: BufWriter::new(file), failed: None })
    }

    /// Writes the three texts that a question is made of, and the limit of its answer.
    pub(super) fn asked(&mut self, request: &Request) {
        self.line(&json!({
            "asked": request.id,
            "system": &*request.system,
            "document": &*request.document,
            "task": &*request.task,
            "answer_tokens_max": request.answer_tokens_max,
        }));
    }

    pub(super) fn answered(&mut self, completion: &Completion) {
        self.line(&json!({
            "answered": completion.id,
            "text": completion.text,
            "prompt_tokens": completion.prompt_tokens,
            "answer_tokens": completion.answer_tokens,
            "margins": completion.parts.iter().map(|part| part.margin_milli).collect::<Vec<_>>(),
        }));
    }

    /// Writes what is still held.
    ///
    /// # Errors
    /// `Disk` where any line could not be written.
    pub fn close(mut self) -> Result<(), Broken> {
        let flushed = match self.failed.take() {
            Some(error) => Err(error),
            None => self.out.flush(),
        };
        flushed.map_err(|error| Broken::disk(&self.path, &error))
    }

    fn line(&mut self, value: &serde_json::Value) {
        if self.failed.is_none() {
            self.failed = writeln!(self.out, "{value}").err();
        }
    }
}
