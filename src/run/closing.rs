//! The end of a run in figures: the closing table and the facts for whatever watches.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::erase::Erasure;
use super::pace::Measured;
use crate::audit::Counts;
use crate::base::{DocId, Outcome, duration, one_line};
use crate::intake::Source;

/// Documents listed one by one up to this many; beyond, only those that a person must look at.
const LISTED_MAX: usize = 40;

/// Said where the folders hold nothing, which may be a slip in the jobs file.
pub(super) const NOTHING_FOUND: &str =
    "no document is in the folders of `input` that `include` and `exclude` of jobs.toml let in";

/// How one input ended.
#[derive(Clone, Debug, Serialize)]
pub struct DocumentEnd {
    #[serde(serialize_with = "as_text")]
    pub doc: DocId,
    pub job: String,
    pub root: String,
    pub path: String,
    pub outcome: Outcome,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

fn as_text<S: serde::Serializer>(doc: &DocId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(doc)
}

impl DocumentEnd {
    pub(super) fn of(source: &Source, outcome: Outcome, reason: String) -> DocumentEnd {
        DocumentEnd {
            doc: source.id,
            job: source.job.clone(),
            root: source.root.clone(),
            path: source.path.clone(),
            outcome,
            reason,
        }
    }
}

/// What the engine did and how long it took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Speed {
    pub load: Duration,
    /// From the loaded model to the last commit.
    pub work: Duration,
    /// Prompt tokens computed; those taken from a shared prefix are not among them.
    pub prompt_tokens: u64,
    pub shared_tokens: u64,
    pub answer_tokens: u64,
    pub steps: u64,
    pub rows: u64,
}

/// How long the work was said to take by the pace of earlier runs, and how long it took.
#[derive(Clone, Copy, Debug)]
pub struct Estimate {
    pub expected: Duration,
    pub took: Duration,
}

impl Estimate {
    /// Per cent by which the work took longer than expected; negative where it was shorter.
    fn error_percent(&self) -> i64 {
        let (expected, took) = (self.expected.as_secs_f64(), self.took.as_secs_f64());
        (100.0 * (took / expected.max(0.001) - 1.0)).round() as i64
    }
}

/// A finished run.
#[derive(Clone, Debug)]
pub struct Closing {
    pub output: PathBuf,
    /// Every input, in order.
    pub documents: Vec<DocumentEnd>,
    pub counts: Counts,
    /// Below `output`.
    pub tables: Vec<String>,
    /// Tables that a person has edited, left as they are.
    pub kept: Vec<String>,
    pub took: Duration,
    pub speed: Speed,
    /// None where nothing was known beforehand, or the night was cut short.
    pub estimate: Option<Estimate>,
    /// Outputs that were erased at the start, because their job keeps them no longer.
    pub erased: Vec<Erasure>,
    /// For the next run and plan.
    pub pace: Option<Measured>,
    /// The run's id in the log, and the log's name.
    pub run: String,
    pub origin: String,
    pub started: Timestamp,
    pub ended: Timestamp,
    /// Entries of the log.
    pub log_size: u64,
}

impl Closing {
    /// Nothing was due.
    pub fn nothing_to_do(&self) -> bool {
        let Counts { done, partial, failed, refused, .. } = self.counts;
        done + partial + failed + refused == 0 && !self.work_left()
    }

    /// Documents wait for another run.
    pub fn work_left(&self) -> bool {
        self.counts.deferred > 0
    }

    /// 0, 3 or 75 (DESIGN.md section 2).
    pub fn exit_code(&self) -> u8 {
        let Counts { partial, refused, failed, quarantined, .. } = self.counts;
        match () {
            () if self.work_left() => 75,
            () if partial + refused + failed + quarantined > 0 => 3,
            () => 0,
        }
    }

    /// The closing table for a person.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let listed: Vec<&DocumentEnd> = if self.documents.len() <= LISTED_MAX {
            self.documents.iter().collect()
        } else {
            let quiet =
                |end: &&DocumentEnd| !matches!(end.outcome, Outcome::Done | Outcome::Unchanged);
            self.documents.iter().filter(quiet).collect()
        };
        for end in listed {
            let place = format!("{}/{}/{}", end.job, end.root, one_line(&end.path));
            let _ = match one_line(&end.reason).as_ref() {
                "" => writeln!(text, "{:<12}{place}", end.outcome),
                reason => writeln!(text, "{:<12}{place}\n            {reason}", end.outcome),
            };
        }
        if !self.documents.is_empty() {
            text.push('\n');
        }
        let counts: Vec<String> = self
            .counted()
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(word, count)| format!("{count} {word}"))
            .collect();
        let counts = if counts.is_empty() { "no documents".to_owned() } else { counts.join(", ") };
        let _ = writeln!(text, "{counts}; {} in all", duration(self.took.as_secs_f64()));
        if self.documents.is_empty() {
            let _ = writeln!(text, "{NOTHING_FOUND}");
        } else if self.nothing_to_do() {
            let _ = writeln!(text, "nothing to do: no document is new or changed");
        }
        if self.speed.steps > 0 {
            let _ = writeln!(text, "{}", self.speed.sentence());
        }
        if let Some(estimate) = &self.estimate {
            let _ = writeln!(
                text,
                "the estimate was {} for the work, which took {} ({:+} %)",
                duration(estimate.expected.as_secs_f64()),
                duration(estimate.took.as_secs_f64()),
                estimate.error_percent()
            );
        }
        for Erasure { path, reason, .. } in &self.erased {
            let _ = writeln!(text, "erased: {}: {}", one_line(path), one_line(reason));
        }
        for table in &self.kept {
            let _ = writeln!(text, "{table} was edited by a person and is left as it is");
        }
        text
    }

    fn counted(&self) -> Vec<(&'static str, u64)> {
        let mut counts = self.counts;
        Outcome::ALL.iter().map(|outcome| (outcome.word(), *counts.of_mut(*outcome))).collect()
    }

    /// The facts of `last-run.json`.
    pub fn facts(&self) -> serde_json::Value {
        let counts: serde_json::Map<String, serde_json::Value> = self
            .counted()
            .into_iter()
            .map(|(word, count)| (word.to_owned(), count.into()))
            .collect();
        let estimate = self.estimate.map(|estimate| {
            serde_json::json!({
                "expected_ms": estimate.expected.as_millis() as u64,
                "took_ms": estimate.took.as_millis() as u64,
                "error_percent": estimate.error_percent(),
            })
        });
        serde_json::json!({
            "run": self.run,
            "origin": self.origin,
            "started": format!("{:.0}", self.started),
            "ended": format!("{:.0}", self.ended),
            "exit_code": self.exit_code(),
            "counts": counts,
            "seconds": self.took.as_secs(),
            "log_size": self.log_size,
            "tables": self.tables,
            "kept": self.kept,
            "engine": {
                "load_ms": self.speed.load.as_millis() as u64,
                "work_ms": self.speed.work.as_millis() as u64,
                "prompt_tokens": self.speed.prompt_tokens,
                "shared_tokens": self.speed.shared_tokens,
                "answer_tokens": self.speed.answer_tokens,
                "steps": self.speed.steps,
                "rows": self.speed.rows,
            },
            "erased": self.erased,
            "pace": self.pace,
            "estimate": estimate,
            "documents": self.documents,
        })
    }
}

impl Speed {
    fn sentence(&self) -> String {
        let seconds = self.work.as_secs_f64().max(0.001);
        format!(
            "model loaded in {}; {} prompt tokens computed and {} shared, {} answer tokens, in {}: \
             {:.1} tokens a second; {:.1} rows a step",
            duration(self.load.as_secs_f64()),
            self.prompt_tokens,
            self.shared_tokens,
            self.answer_tokens,
            duration(seconds),
            (self.prompt_tokens + self.answer_tokens) as f64 / seconds,
            self.rows as f64 / self.steps.max(1) as f64,
        )
    }
}
