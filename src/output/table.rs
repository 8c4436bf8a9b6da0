//! Tables of a job: one row a document, as CSV (RFC 4180), workbook and JSON Lines. What a person has edited
//! is never overwritten.

use std::fs;
use std::io;

use serde_json::{Value, json};

use super::answered::AnsweredRows;
use super::paths::record_paths;
use super::workbook::{RowsGiven, workbook};
use super::writer::{STATE_FOLDER, Writer};
use super::{OutputError, WrittenFile};
use crate::assemble::{FieldAnswer, Record};
use crate::base::{Digest, Outcome, digest_file};

/// Below the output folder.
const FOLDER: &str = "tables";

/// One document in its job's tables.
#[derive(Clone, Debug)]
pub struct Row {
    pub root: String,
    pub path: String,
    pub outcome: Outcome,
    pub reason: String,
    /// Only if it stands for the document as it is now.
    pub record: Option<Record>,
}

impl Row {
    /// The row of a document that has a record.
    pub fn of_record(record: Record) -> Row {
        Row {
            root: record.source.root.clone(),
            path: record.source.path.clone(),
            outcome: record.outcome,
            reason: record.reason.clone(),
            record: Some(record),
        }
    }
}

/// What became of a job's tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableFiles {
    /// The tables as they are now.
    pub written: Vec<WrittenFile>,
    /// Tables that a person has edited, as found; the new ones stand beside them as `.new`.
    pub kept: Vec<WrittenFile>,
}

/// Writes `tables/<job>.csv`, `.xlsx` and `.jsonl`, or `<job>.new.csv` beside one that was edited.
pub(super) fn write(
    writer: &Writer,
    job: &str,
    fields: &[String],
    rows: impl IntoIterator<Item = Row>,
    logged: &dyn Fn(&str) -> Option<Digest>,
) -> Result<TableFiles, OutputError> {
    record_paths(job, "root", "path")?; // the job's name must be one
    let rows: Vec<Row> = rows.into_iter().collect();
    let mut files = TableFiles::default();
    let answered: Vec<RowsGiven> =
        rows.iter().map(|row| rows_given(writer, row, logged)).collect::<Result<_, _>>()?;
    let book =
        workbook(job, fields, &rows, &answered, logged).map_err(|error| OutputError::Io {
            path: format!("{FOLDER}/{job}.xlsx").into(),
            doing: "cannot make the workbook",
            source: io::Error::other(error),
        })?;
    let tables =
        [("csv", csv_table(job, fields, &rows)?), ("xlsx", book), ("jsonl", json_lines(&rows))];
    for (ending, bytes) in tables {
        place_beside(writer, job, ending, bytes, logged, &mut files)?;
    }
    Ok(files)
}

/// What of the document's own rows is to be judged; nothing where their table is not as the log has it.
fn rows_given(
    writer: &Writer,
    row: &Row,
    logged: &dyn Fn(&str) -> Option<Digest>,
) -> Result<RowsGiven, OutputError> {
    let Some(rows) = row.record.as_ref().and_then(|record| record.rows.as_ref()) else {
        return Ok(RowsGiven::default());
    };
    let found = digest_of(writer, &rows.table)?;
    if found.is_none() || found != logged(&rows.table) {
        return Ok(RowsGiven::default());
    }
    RowsGiven::of(AnsweredRows::open(&writer.folder.join(&rows.table))?)
}

/// Columns: path, outcome, reason, pages, summary, the fields, all flags, then page and quote of each
/// field.
fn csv_table(job: &str, fields: &[String], rows: &[Row]) -> Result<Vec<u8>, OutputError> {
    let mut writer =
        csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let mut header: Vec<String> =
        ["path", "outcome", "reason", "pages", "summary"].map(String::from).into();
    header.extend(fields.iter().cloned());
    header.push("flags".into());
    header.extend(fields.iter().flat_map(|name| [format!("{name} page"), format!("{name} quote")]));
    let lines = std::iter::once(header).chain(rows.iter().map(|row| csv_row(fields, row)));
    let mut written = Ok(());
    for line in lines {
        written = written.and_then(|()| writer.write_record(line.iter().map(|cell| guarded(cell))));
    }
    let path = format!("{FOLDER}/{job}.csv");
    let failed = |source: io::Error| OutputError::Io {
        path: path.into(),
        doing: "cannot make the table",
        source,
    };
    match written {
        Ok(()) => writer.into_inner().map_err(|e| failed(e.into_error())),
        Err(e) => Err(failed(e.into())),
    }
}

fn csv_row(fields: &[String], row: &Row) -> Vec<String> {
    let mut cells = vec![
        format!("{}/{}", row.root, row.path),
        row.outcome.to_string(),
        row.reason.clone(),
        row.record.as_ref().map_or(String::new(), |record| record.source.pages.to_string()),
        row.record
            .as_ref()
            .and_then(|record| record.summary.as_ref())
            .map_or(String::new(), |summary| summary.text.clone()),
    ];
    let answer = |name: &String| row.record.as_ref().and_then(|record| field(record, name));
    let answers: Vec<Option<FieldAnswer>> = fields.iter().map(answer).collect();
    cells.extend(
        answers
            .iter()
            .map(|answer| answer.as_ref().map_or(String::new(), |answer| words(&answer.value))),
    );
    cells.push(row.record.as_ref().map_or(String::new(), |record| flags_of(record, fields)));
    for answer in &answers {
        let evidence = answer.as_ref().map_or(&[][..], |answer| &answer.evidence);
        let pages: Vec<String> = evidence.iter().map(|e| e.page.to_string()).collect();
        let quotes: Vec<&str> = evidence.iter().map(|e| e.quote.as_str()).collect();
        cells.push(pages.join("; "));
        cells.push(quotes.join(" […] "));
    }
    cells
}

/// Every flag with the field that carries it.
pub(super) fn flags_of(record: &Record, fields: &[String]) -> String {
    let flags = fields.iter().filter_map(|name| {
        let flags = field(record, name)?.flags;
        (!flags.is_empty()).then(|| format!("{name}: {}", flags.join(", ")))
    });
    flags.collect::<Vec<_>>().join("; ")
}

/// The answer to one field, if the record has one that can be read.
pub(super) fn field(record: &Record, name: &str) -> Option<FieldAnswer> {
    serde_json::from_value(record.fields.get(name)?.clone()).ok()
}

/// A value as a person writes it.
pub(super) fn words(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(words).collect::<Vec<_>>().join("; "),
        Value::Object(table) if table.contains_key("rows") => rows_of(table),
        Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// A table as lines, its cells parted by bars.
fn rows_of(table: &serde_json::Map<String, Value>) -> String {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let line = |row: &Value| list(row).iter().map(words).collect::<Vec<_>>().join(" | ");
    let header = table.get("header").map(line).filter(|header| !header.is_empty());
    let rows = table.get("rows").map(list).unwrap_or_default();
    header.into_iter().chain(rows.iter().map(line)).collect::<Vec<_>>().join("\n")
}

/// Whether a spreadsheet may take a cell for a formula (OWASP, "CSV Injection").
pub(super) fn is_formula(cell: &str) -> bool {
    cell.starts_with(['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'])
}

/// A cell that no spreadsheet takes for a formula, without controls.
pub(super) fn guarded(cell: &str) -> String {
    let visible = |c: char| match c {
        '\n' | '\t' | '\r' => c,
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    is_formula(cell).then_some('\'').into_iter().chain(cell.chars().map(visible)).collect()
}

/// One record a line, as in its own file; a document without one has source, outcome and reason.
fn json_lines(rows: &[Row]) -> Vec<u8> {
    let mut lines = Vec::new();
    for row in rows {
        let value = match &row.record {
            Some(record) => json!(record),
            None => json!({
                "source": { "root": row.root, "path": row.path },
                "outcome": row.outcome,
                "reason": row.reason,
            }),
        };
        lines.extend_from_slice(value.to_string().as_bytes());
        lines.push(b'\n');
    }
    lines
}

/// Puts a table at the first of its names (`<job>.csv`, `<job>.new.csv`, `<job>.new.new.csv`, …) that
/// no person's work stands at, and removes our own older ones behind it.
///
/// Ours is a file whose digest was logged. A run that was killed between table and entry must not
/// take its own table for a person's: the digest is noted under the state folder beforehand.
fn place_beside(
    writer: &Writer,
    job: &str,
    ending: &str,
    bytes: Vec<u8>,
    logged: &dyn Fn(&str) -> Option<Digest>,
    files: &mut TableFiles,
) -> Result<(), OutputError> {
    let new = Digest::of(&bytes);
    let mut bytes = Some(bytes);
    let mut stem = job.to_string();
    loop {
        let name = format!("{stem}.{ending}");
        let path = format!("{FOLDER}/{name}");
        let note = format!("{STATE_FOLDER}/{FOLDER}/{name}");
        let found = digest_of(writer, &path)?;
        let noted = fs::read_to_string(writer.folder.join(&note)).ok();
        let noted = noted.and_then(|text| text.trim_end().parse().ok());
        let is_ours =
            found.is_none_or(|found| [Some(new), logged(&path), noted].contains(&Some(found)));
        match (bytes.take_if(|_| is_ours), found) {
            (Some(bytes), found) => {
                if found != Some(new) {
                    writer.place(vec![(note, format!("{new}\n").into_bytes())])?;
                    writer.place(vec![(path.clone(), bytes)])?;
                }
                files.written.push(WrittenFile { path, digest: new });
            }
            (None, None) => return Ok(()),
            (None, Some(_)) if is_ours => {
                let file = writer.folder.join(&path);
                let removed = writer.disk.remove_file(&file);
                removed.map_err(OutputError::io(&file, "cannot remove an older table"))?;
            }
            (None, Some(digest)) => files.kept.push(WrittenFile { path, digest }),
        }
        stem.push_str(".new");
    }
}

fn digest_of(writer: &Writer, path: &str) -> Result<Option<Digest>, OutputError> {
    let file = writer.folder.join(path);
    digest_file(&file).map_err(OutputError::io(&file, "cannot read a table"))
}
