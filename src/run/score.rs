//! `nightclerk score`: the records of a job, and the tables of its rows, beside a person's labels. Asks no model
//! and changes nothing.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Broken;
use crate::assemble::{LabelledRows, Labels, RowKey, Score, Scores};
use crate::base::{RealDisk, one_line};
use crate::jobs::Plan;
use crate::output::{AnsweredRows, Writer};

/// How a job's records stand to the labels.
#[derive(Debug, Serialize)]
pub struct ScoreSheet {
    /// Labelled documents that have a record.
    pub documents: usize,
    /// Labelled rows of tables that were answered.
    pub rows: usize,
    /// By field; the last is over all.
    pub scores: Vec<Score>,
    /// Labelled documents that no record is of, and rows that are in no table.
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
        if self.rows > 0 {
            let _ = writeln!(out, "{} labelled row(s) were answered", self.rows);
        }
        for name in &self.missing {
            let _ = writeln!(out, "no record: {}", one_line(name));
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
    /// Of a table answered row by row, which row is meant: `RowKey::read` reads it.
    #[serde(default)]
    row: String,
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
    let mut scores = Scores::default();
    for record in &records {
        scores.record(record, &known);
        if let Some(table) = &record.rows
            && let Some(labelled) = scores.rows_of(record, &known)
        {
            score_rows(&mut scores, labelled, &plan.output.join(&table.table), labels)?;
        }
    }
    let (documents, rows) = scores.seen();
    let (scores, missing) = scores.finish(&known);
    if documents == 0 {
        return Err(Broken::Usage(format!(
            "{}: none of its documents has a record below {}; a document is named by its path below \
             the input folder, by its file's name, or by that without its ending",
            labels.display(),
            plan.output.display()
        )));
    }
    Ok(ScoreSheet { documents, rows, scores, missing })
}

/// Scores the labelled rows of the answered table `table`.
fn score_rows<'l>(
    scores: &mut Scores<'l>,
    mut labelled: LabelledRows<'l>,
    table: &Path,
    labels: &Path,
) -> Result<(), Broken> {
    let rows = AnsweredRows::open(table)?;
    let fields = rows.fields();
    let columns: Vec<String> = rows.columns().map(str::to_owned).collect();
    for row in rows {
        let row = row?;
        let cells = columns.iter().map(String::as_str).zip(row.cells.iter().map(String::as_str));
        let found = labelled.of(row.number, cells).map_err(|twice| {
            Broken::Usage(format!(
                "{}: {} has more than one {twice}; name it by its number",
                labels.display(),
                table.display()
            ))
        })?;
        let value = |field: &str| {
            let at = fields.iter().rposition(|name| name == field)?;
            Some(row.answers.get(at)?.0.clone())
        };
        for labels in found {
            scores.row(labels, &value);
        }
    }
    scores.close(labelled);
    Ok(())
}

/// The labels of a CSV file with the columns document, field and value, and row where a row of a table is meant.
pub(super) fn labels_of(file: &Path) -> Result<Labels, Broken> {
    let wrong = |error: csv::Error| Broken::Usage(format!("{}: {error}", file.display()));
    let mut labels = Labels::default();
    for row in csv::Reader::from_path(file).map_err(wrong)?.deserialize() {
        let row: LabelRow = row.map_err(wrong)?;
        let (document, field) = (row.document.trim(), row.field.trim());
        match row.row.trim() {
            "" => labels.add(document, field, &row.value),
            key => {
                let key = RowKey::read(key).ok_or_else(|| {
                    let file = file.display();
                    Broken::Usage(format!(
                        "{file}: row {key:?} is no number like 17 and no cell like id=A-7"
                    ))
                })?;
                labels.add_row(document, key, field, &row.value);
            }
        }
    }
    Ok(labels)
}
