//! `nightclerk score`: the records of a job beside a person's labels. Asks no model and changes nothing.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Broken;
use crate::assemble::{Labels, Score, score};
use crate::base::RealDisk;
use crate::jobs::Plan;
use crate::output::Writer;

/// How a job's records stand to the labels.
#[derive(Debug, Serialize)]
pub struct ScoreSheet {
    /// Labelled documents that have a record.
    pub documents: usize,
    /// By field; the last is over all.
    pub scores: Vec<Score>,
    /// Labelled documents that no record is of.
    pub missing: Vec<String>,
}

impl ScoreSheet {
    pub fn table(&self) -> String {
        let mut out = String::new();
        line(&mut out, ["field", "found", "wrong", "missed", "precision", "recall", "F1"]);
        for score in &self.scores {
            let count = |n: u32| n.to_string();
            let share = |x: f64| format!("{x:.3}");
            let counts = [count(score.found), count(score.wrong), count(score.missed)];
            let shares = [share(score.precision), share(score.recall), share(score.f1)];
            let cells: Vec<&str> = counts.iter().chain(&shares).map(String::as_str).collect();
            let [a, b, c, d, e, f] = cells[..] else { continue };
            line(&mut out, [&score.field, a, b, c, d, e, f]);
        }
        // Writing to a string cannot fail.
        let _ = writeln!(out, "\n{} labelled document(s) have a record", self.documents);
        for name in &self.missing {
            let _ = writeln!(out, "no record: {name}");
        }
        out
    }
}

fn line(out: &mut String, cells: [&str; 7]) {
    let [field, a, b, c, d, e, f] = cells;
    let _ = writeln!(out, "{field:<30} {a:>6} {b:>6} {c:>6} {d:>9} {e:>7} {f:>7}");
}

/// A row of the labels: several rows on one field of a document are several right answers.
#[derive(Deserialize)]
struct LabelRow {
    document: String,
    field: String,
    /// Empty: the document does not state it.
    #[serde(default)]
    value: String,
}

/// Scores the records of `only`, or of all jobs where it is empty.
///
/// # Errors
/// `Broken` where labels or records cannot be read, or no label fits any record.
pub fn score_sheet(plan: &Plan, only: &[String], labels: &Path) -> Result<ScoreSheet, Broken> {
    let known = labels_of(labels)?;
    let writer = Writer::new(Arc::new(RealDisk), &plan.output);
    let mut records = Vec::new();
    for job in super::night::chosen(plan, only)? {
        records.extend(writer.records(&job.name)?);
    }
    let (scores, missing) = score(&records, &known);
    let documents = known.documents() - missing.len();
    if documents == 0 {
        return Err(Broken::Usage(format!(
            "{}: none of its documents has a record below {}; a document is named by its path below \
             the input folder, by its file's name, or by that without its ending",
            labels.display(),
            plan.output.display()
        )));
    }
    Ok(ScoreSheet { documents, scores, missing })
}

/// The labels of a CSV file with the columns document, field and value.
pub(super) fn labels_of(file: &Path) -> Result<Labels, Broken> {
    let wrong = |error: csv::Error| Broken::Usage(format!("{}: {error}", file.display()));
    let mut labels = Labels::default();
    for row in csv::Reader::from_path(file).map_err(wrong)?.deserialize() {
        let row: LabelRow = row.map_err(wrong)?;
        labels.add(row.document.trim(), row.field.trim(), &row.value);
    }
    Ok(labels)
}
