//! A run's standing as a file for Prometheus: the text exposition format, version 0.0.4, as node_exporter's
//! textfile collector reads it. Counts and times only; no word of a document, no name of a file.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::Broken;
use super::batch::folder_of;
use super::progress::Sight;
use crate::base::Outcome;

/// The file, and what it says of every run.
pub struct Metrics {
    path: PathBuf,
    origin: String,
    started: Timestamp,
}

/// One value, under its labels beside `origin`.
type Sample = (String, f64);

impl Metrics {
    /// Metrics of a run that began at `started`, in a file that can be written.
    ///
    /// # Errors
    /// `Disk` where it cannot.
    pub fn create(path: &Path, origin: &str, started: Timestamp) -> Result<Metrics, Broken> {
        let metrics = Metrics { path: path.to_owned(), origin: origin.to_owned(), started };
        let written = metrics.write(&Sight::default(), started, None);
        written.map_err(|error| Broken::disk(path, &error))?;
        Ok(metrics)
    }

    /// The folder in which the file is replaced.
    pub fn folder(&self) -> &Path {
        folder_of(&self.path)
    }

    /// Replaces the file in one step; whoever collects may read it (mode 0644). `exit_code` where the run
    /// has ended.
    pub(super) fn write(
        &self,
        sight: &Sight,
        now: Timestamp,
        exit_code: Option<u8>,
    ) -> io::Result<()> {
        let mut temporary = self.path.clone().into_os_string();
        temporary.push("-tmp");
        let mut options = OpenOptions::new();
        let mut file =
            options.write(true).create(true).truncate(true).mode(0o644).open(&temporary)?;
        file.write_all(self.text(sight, now, exit_code).as_bytes())?;
        fs::rename(&temporary, &self.path)
    }

    fn text(&self, sight: &Sight, now: Timestamp, exit_code: Option<u8>) -> String {
        let standing = &sight.standing;
        let seconds = |time: Timestamp| time.as_millisecond() as f64 / 1000.0;
        let one = |value: f64| vec![(String::new(), value)];
        let mut counts = sight.counts;
        let outcomes = Outcome::ALL
            .iter()
            .map(|outcome| (format!(",outcome=\"{outcome}\""), *counts.of_mut(*outcome) as f64));
        let tokens = [("prompt", standing.prompt_tokens), ("answer", standing.answer_tokens)];
        let tokens = tokens.map(|(kind, count)| (format!(",kind=\"{kind}\""), count as f64));
        let mut families: Vec<(&str, &str, Vec<Sample>)> = vec![
            ("running", "1 while the run works", one(f64::from(u8::from(exit_code.is_none())))),
            ("start_time_seconds", "When the run began, in Unix time", one(seconds(self.started))),
            ("documents", "Documents of this run by outcome so far", outcomes.collect()),
            (
                "documents_due",
                "Documents that were due when the run began",
                one(standing.documents as f64),
            ),
            ("pages", "Pages of the documents that are done", one(standing.pages_done as f64)),
            ("tokens", "Tokens that the model has read and written", tokens.into()),
            (
                "tokens_per_second",
                "Tokens a second in the last minute",
                one(sight.speed.0 + sight.speed.1),
            ),
            (
                "batch_sequences",
                "Questions that are answered at once",
                one(standing.running as f64),
            ),
            ("batch_slots", "Questions that can be answered at once", one(standing.slots as f64)),
            (
                "questions_waiting",
                "Questions that wait for the model",
                one(standing.waiting as f64),
            ),
        ];
        if let Some(left) = sight.left.filter(|_| exit_code.is_none()) {
            families.push((
                "remaining_seconds",
                "Time left as it is foretold",
                one(left.as_secs_f64()),
            ));
        }
        if let Some(code) = exit_code {
            families.push((
                "end_time_seconds",
                "When the run ended, in Unix time",
                one(seconds(now)),
            ));
            families.push(("exit_code", "The run's exit code", one(f64::from(code))));
        }
        let origin = escaped(&self.origin);
        let mut text = String::new();
        for (name, help, samples) in families {
            let _ = writeln!(text, "# HELP nightclerk_{name} {help}.");
            let _ = writeln!(text, "# TYPE nightclerk_{name} gauge");
            for (labels, value) in samples {
                let _ = writeln!(text, "nightclerk_{name}{{origin=\"{origin}\"{labels}}} {value}");
            }
        }
        text
    }
}

/// As the value of a label.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
