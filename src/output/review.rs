//! A workbook that a person has reviewed → verdicts. What a person was given to judge must stand there as
//! it was written; only the columns for a person may differ.

use std::io::Cursor;

use calamine::{Data, Reader, Xlsx};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answered::AnsweredRow;
use super::workbook::{
    BY_A_PERSON, Given, REVIEW_COLUMNS, REVIEW_SHEET, VERDICTS, cell, given, given_of_row,
    row_named,
};
use crate::assemble::Record;
use crate::base::{Digest, DocId};

/// What stands in the column `review`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    SignedOff,
    Corrected,
    Rejected,
}

impl Mark {
    /// In the order of `VERDICTS`.
    const ALL: [Mark; 3] = [Mark::SignedOff, Mark::Corrected, Mark::Rejected];
}

/// One judged row of a workbook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reviewed {
    /// Row of the sheet, counted from 1 as spreadsheets do.
    pub line: usize,
    pub doc: DocId,
    /// Of the record that was judged.
    pub record: Digest,
    /// From `field` to `quote`, as they stand in the workbook.
    shown: [String; BY_A_PERSON.start - 1],
    pub verdict: Mark,
    /// The value that is right; empty unless corrected.
    pub corrected: String,
    /// Empty where the row does not say.
    pub reviewer: String,
    pub comment: String,
}

impl Reviewed {
    pub fn field(&self) -> &str {
        &self.shown[0]
    }

    /// What was judged, and what the person wrote; `reviewer` is whose it is.
    pub fn words(&self, reviewer: &str) -> Value {
        let [field, value, flags, page, quote] = [0, 1, 2, 3, 4].map(|at| &self.shown[at]);
        json!({
            "doc": self.doc.to_string(), "record_sha256": self.record, "field": field, "value": value,
            "flags": flags, "page": page, "quote": quote, "verdict": self.verdict,
            "corrected": self.corrected, "reviewer": reviewer, "comment": self.comment,
        })
    }

    /// The number of the row whose answer was judged; none of a document's own field.
    pub fn row(&self) -> Option<u64> {
        row_named(self.field()).map(|(number, _)| number)
    }

    /// What a person changed that was not theirs to change, if anything: `record` is the one judged.
    pub fn tampered(&self, record: &Record) -> Option<String> {
        self.differs_from(given(record, self.field()))
    }

    /// Likewise of a row of a table whose answers are to `fields`.
    pub fn row_tampered(&self, row: &AnsweredRow, fields: &[String]) -> Option<String> {
        let name = row_named(self.field()).map_or("", |(_, name)| name);
        self.differs_from(given_of_row(row, fields, name))
    }

    fn differs_from(&self, given: Option<Given>) -> Option<String> {
        let Some(given) = given else {
            return Some(format!("the record has no field {:?}", self.field()));
        };
        let cells = given.cells();
        let differs = |at: &usize| cell(cells[*at]) != self.shown[*at];
        (0..cells.len()).find(differs).map(|at| {
            let column = REVIEW_COLUMNS[at + 1];
            format!("the column {column:?} was changed; only review to comment are for a reviewer")
        })
    }
}

/// The judged rows of a workbook that `tables` wrote.
///
/// # Errors
/// A sentence for each thing that is wrong.
pub fn read_review(bytes: &[u8]) -> Result<Vec<Reviewed>, Vec<String>> {
    let unreadable = |error: &dyn std::fmt::Display| vec![format!("not a workbook: {error}")];
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(|error| unreadable(&error))?;
    let sheet = book.worksheet_range(REVIEW_SHEET).map_err(|error| unreadable(&error))?;
    let mut rows = sheet.rows().map(|row| row.iter().map(text).collect::<Vec<_>>());
    let head = rows.next().unwrap_or_default();
    let head: Vec<&str> = head.iter().map(String::as_str).take(REVIEW_COLUMNS.len()).collect();
    if head != REVIEW_COLUMNS {
        return Err(vec![format!(
            "the sheet {REVIEW_SHEET:?} does not have the columns {}",
            REVIEW_COLUMNS.join(", ")
        )]);
    }
    let (mut judged, mut problems) = (Vec::new(), Vec::new());
    for (row, line) in rows.zip(2..) {
        match reviewed(&row, line) {
            Ok(found) => judged.extend(found),
            Err(problem) => problems.push(format!("row {line}: {problem}")),
        }
    }
    if problems.is_empty() { Ok(judged) } else { Err(problems) }
}

/// The row's verdict; none where nobody judged it.
fn reviewed(row: &[String], line: usize) -> Result<Option<Reviewed>, String> {
    let column = |at: usize| row.get(at).cloned().unwrap_or_default();
    let [word, corrected, reviewer, comment] =
        [0, 1, 2, 3].map(|at| column(BY_A_PERSON.start + at));
    let normal = word.to_lowercase().replace([' ', '_'], "-");
    let verdict = match VERDICTS.into_iter().position(|verdict| verdict == normal) {
        Some(at) => Mark::ALL[at],
        None if word.is_empty() && corrected.is_empty() => return Ok(None),
        None if word.is_empty() => return Err("a corrected value without a review".to_owned()),
        None => return Err(format!("{word:?} is none of {}", VERDICTS.join(", "))),
    };
    if (verdict == Mark::Corrected) == corrected.is_empty() {
        return Err(
            "a corrected value goes with the review \"corrected\", and with no other".into()
        );
    }
    let unsound = |_| "the hidden columns doc and record were changed".to_owned();
    Ok(Some(Reviewed {
        line,
        doc: column(10).parse().map_err(unsound)?,
        record: column(11).parse().map_err(unsound)?,
        shown: std::array::from_fn(|at| column(at + 1)),
        verdict,
        corrected,
        reviewer,
        comment,
    }))
}

fn text(data: &Data) -> String {
    match data {
        Data::Empty => String::new(),
        Data::DateTime(moment) if moment.is_datetime() => day(moment.as_f64()),
        other => cell(&other.to_string()),
    }
}

/// The day that a spreadsheet counts from 30 December 1899 on.
fn day(serial: f64) -> String {
    let epoch = jiff::civil::date(1899, 12, 30);
    let days = jiff::Span::new().try_days(serial.floor() as i64);
    let day = days.and_then(|days| epoch.checked_add(days));
    day.map_or_else(|_| serial.to_string(), |day| day.to_string())
}
