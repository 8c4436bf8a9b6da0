//! `nightclerk diff`: the records of two output folders, document by document and field by field, and the tables
//! of answered rows row by row. Built on the records' JSON, so that records of different versions can be
//! compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;
use walkdir::WalkDir;

use super::Broken;
use crate::base::{Digest, one_line};
use crate::output::{AnsweredRow, AnsweredRows, SUPERSEDED};

/// A value is shown up to here; `--format json` has it whole.
const SHOWN_CHARS_MAX: usize = 160;
/// So many changed rows of a table are shown.
const SHOWN_ROWS_MAX: usize = 20;

/// What differs between two output folders.
#[derive(Debug, Default, Serialize)]
pub struct DiffSheet {
    /// Documents that only one of them has: job, root and path.
    pub only_a: Vec<String>,
    pub only_b: Vec<String>,
    /// Documents whose records are the same in everything compared.
    pub same: u64,
    pub changed: Vec<ChangedDocument>,
    /// What the answers were made with, where it differs: of how many documents.
    pub made_with: BTreeMap<String, u64>,
    /// Fields by how many documents give another value.
    pub fields: BTreeMap<String, u64>,
    /// Fields of rows by how many rows give another value.
    pub row_fields: BTreeMap<String, u64>,
}

#[derive(Debug, Serialize)]
pub struct ChangedDocument {
    pub document: String,
    /// The input itself is another one.
    pub input_changed: bool,
    pub changes: Vec<Change>,
    /// Of a table that was answered row by row.
    #[serde(skip_serializing_if = "RowsDiff::is_empty")]
    pub rows: RowsDiff,
}

/// What differs between the answers to a table's rows.
#[derive(Debug, Default, Serialize)]
pub struct RowsDiff {
    /// Rows that only one of the tables has: they were changed, or they are new or gone.
    pub only_a: u64,
    pub only_b: u64,
    pub changed: Vec<ChangedRow>,
}

/// A row that is answered otherwise in the second folder.
#[derive(Debug, Serialize)]
pub struct ChangedRow {
    /// In the second table, as a spreadsheet counts its rows, from 1.
    pub row: u64,
    pub changes: Vec<Change>,
}

impl RowsDiff {
    fn is_empty(&self) -> bool {
        self.only_a == 0 && self.only_b == 0 && self.changed.is_empty()
    }
}

/// One thing that is otherwise in the second folder.
#[derive(Debug, Serialize)]
pub struct Change {
    /// outcome, summary, or the name of a field; with its part: value, flags or quotes.
    pub what: String,
    pub a: Value,
    pub b: Value,
}

/// A record, and the table that its document's rows were answered into.
struct Written {
    record: Value,
    table: Option<PathBuf>,
}

/// Compares the records below two output folders; with one, the last that it keeps of earlier records with those
/// that took their place. Two files are two records.
///
/// # Errors
/// `Usage` where a folder holds no records, `Disk` where it cannot be read.
pub fn diff(a: &Path, b: Option<&Path>) -> Result<DiffSheet, Broken> {
    let (a, mut b) = match b {
        Some(b) => (records(a)?, records(b)?),
        None => {
            let (before, mut now) = (superseded(a)?, records(a)?);
            now.retain(|document, _| before.contains_key(document));
            (before, now)
        }
    };
    let mut sheet = DiffSheet::default();
    for (document, Written { record: a, table: table_a }) in a {
        let Some(Written { record: b, table: table_b }) = b.remove(&document) else {
            sheet.only_a.push(document);
            continue;
        };
        for key in differing(&a["made_with"], &b["made_with"]) {
            *sheet.made_with.entry(key).or_default() += 1;
        }
        let changes = changes(&a, &b);
        let input_changed = a["source"]["sha256"] != b["source"]["sha256"];
        let rows = match (table_a, table_b) {
            (Some(a), Some(b)) => {
                rows_diff(AnsweredRows::open(&a)?, AnsweredRows::open(&b)?, input_changed)?
            }
            _ => RowsDiff::default(),
        };
        if changes.is_empty() && !input_changed && rows.is_empty() {
            sheet.same += 1;
            continue;
        }
        for change in rows.changed.iter().flat_map(|row| &row.changes) {
            if let Some(field) = change.what.strip_suffix(" value") {
                *sheet.row_fields.entry(field.to_owned()).or_default() += 1;
            }
        }
        for what in changes.iter().filter_map(|change| change.what.strip_suffix(" value")) {
            *sheet.fields.entry(what.to_owned()).or_default() += 1;
        }
        sheet.changed.push(ChangedDocument { document, input_changed, changes, rows });
    }
    sheet.only_b = b.into_keys().collect();
    Ok(sheet)
}

/// Every record below `folder`, by job, root and path; or the one record that it is.
fn records(folder: &Path) -> Result<BTreeMap<String, Written>, Broken> {
    if folder.is_file() {
        let found = record(folder)?.into_iter();
        let one = |(document, record)| (document, Written { record, table: None });
        return Ok(found.map(one).collect());
    }
    let mut found = BTreeMap::new();
    let is_record = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        entry.depth() != 1 || (!name.starts_with('.') && entry.file_type().is_dir())
    };
    for entry in WalkDir::new(folder).into_iter().filter_entry(is_record) {
        let entry = entry.map_err(|error| unread(folder, error))?;
        if !entry.file_type().is_file() || entry.path().extension().is_none_or(|end| end != "json")
        {
            continue;
        }
        if let Some((document, record)) = record(entry.path())? {
            let table = table_of(&record).map(|table| folder.join(table));
            found.insert(document, Written { record, table });
        }
    }
    match found.is_empty() {
        true => Err(Broken::Usage(format!("{}: no records below this folder", folder.display()))),
        false => Ok(found),
    }
}

/// What below `folder` cannot be walked, named once.
fn unread(folder: &Path, error: walkdir::Error) -> Broken {
    let path = error.path().unwrap_or(folder).to_owned();
    // No link is followed, so there is no loop, which is the one error without a cause.
    Broken::disk(&path, &error.into_io_error().unwrap_or_else(|| ErrorKind::Other.into()))
}

/// The last record of each document that another took the place of, by job, root and path.
fn superseded(output: &Path) -> Result<BTreeMap<String, Written>, Broken> {
    let folder = output.join(SUPERSEDED);
    let mut found: BTreeMap<String, (u64, Written)> = BTreeMap::new();
    for entry in WalkDir::new(&folder).into_iter().filter(|_| folder.is_dir()) {
        let entry = entry.map_err(|error| unread(&folder, error))?;
        let seq = entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
        let Some(seq) = seq.filter(|_| entry.file_type().is_file()) else { continue };
        let Some((document, record)) = record(entry.path())? else { continue };
        if found.get(&document).is_none_or(|(last, _)| *last < seq) {
            // A table that the next answer wrote alike is not kept twice.
            let table = table_of(&record).map(|table| {
                let kept = folder.join(table).join(seq.to_string());
                if kept.is_file() { kept } else { output.join(table) }
            });
            found.insert(document, (seq, Written { record, table }));
        }
    }
    if found.is_empty() {
        let place = output.display();
        if !output.exists() {
            return Err(Broken::Usage(format!("{place}: there is nothing here")));
        }
        let why = "no earlier answer is kept; a job keeps them with keep_superseded = true";
        return Err(Broken::Usage(format!("{place}: {why}")));
    }
    Ok(found.into_iter().map(|(document, (_, written))| (document, written)).collect())
}

/// Job, root and path of the record in a file, and the record; none where the file holds none.
fn record(file: &Path) -> Result<Option<(String, Value)>, Broken> {
    let bytes = fs::read(file).map_err(|error| Broken::disk(file, &error))?;
    let record: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let part = |key: &str| record["source"][key].as_str();
    let (Some(job), Some(root), Some(path)) = (part("job"), part("root"), part("path")) else {
        return Ok(None);
    };
    Ok(Some((format!("{job}/{root}/{path}"), record)))
}

fn changes(a: &Value, b: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut compare = |what: String, a: Value, b: Value| {
        if a != b {
            changes.push(Change { what, a, b });
        }
    };
    compare("outcome".to_owned(), a["outcome"].clone(), b["outcome"].clone());
    for name in keys(&a["fields"]).union(&keys(&b["fields"])) {
        let (a, b) = (&a["fields"][name], &b["fields"][name]);
        compare(format!("{name} value"), a["value"].clone(), b["value"].clone());
        compare(format!("{name} flags"), a["flags"].clone(), b["flags"].clone());
        compare(format!("{name} quotes"), quotes(a), quotes(b));
    }
    compare("summary".to_owned(), a["summary"]["text"].clone(), b["summary"]["text"].clone());
    changes
}

/// Where below the output folder the table is that a document's rows were answered into.
fn table_of(record: &Value) -> Option<&str> {
    record["rows"]["table"].as_str()
}

/// Compares the answers of two tables. Rows of the same input go by their place, in little memory; those of a
/// changed one by their own cells, and the first table's answers are held.
fn rows_diff(
    mut a: AnsweredRows,
    b: AnsweredRows,
    input_changed: bool,
) -> Result<RowsDiff, Broken> {
    let (of_a, of_b) = (a.fields(), b.fields());
    let mut diff = RowsDiff::default();
    let mut compare = |before: Vec<(String, String)>, row: AnsweredRow| {
        let changes = row_changes((&of_a, &before), (&of_b, &row.answers));
        if !changes.is_empty() {
            diff.changed.push(ChangedRow { row: row.number, changes });
        }
    };
    let mut held: BTreeMap<Digest, Vec<Vec<(String, String)>>> = BTreeMap::new();
    if input_changed {
        for row in a.by_ref() {
            let row = row?;
            held.entry(cells_digest(&row.cells)).or_default().push(row.answers);
        }
    }
    let mut only_b = 0;
    for row in b {
        let row = row?;
        let before = match input_changed {
            true => held.get_mut(&cells_digest(&row.cells)).and_then(Vec::pop),
            false => a.next().transpose()?.map(|before| before.answers),
        };
        match before {
            Some(before) => compare(before, row),
            None => only_b += 1,
        }
    }
    diff.only_a = a.count() as u64 + held.values().map(|rows| rows.len() as u64).sum::<u64>();
    diff.only_b = only_b;
    Ok(diff)
}

fn cells_digest(cells: &[String]) -> Digest {
    Digest::of_parts(cells.iter().map(|cell| cell.as_bytes()))
}

/// Fields of one row, by name, whose value or flags differ.
fn row_changes(
    (of_a, a): (&[String], &[(String, String)]),
    (of_b, b): (&[String], &[(String, String)]),
) -> Vec<Change> {
    let named =
        |names: &[String], answers: &[(String, String)]| -> BTreeMap<String, (String, String)> {
            names.iter().cloned().zip(answers.iter().cloned()).collect()
        };
    let (a, b) = (named(of_a, a), named(of_b, b));
    let mut changes = Vec::new();
    for name in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
        let (a, b) = (a.get(name), b.get(name));
        let mut compare = |part: &str, of: &dyn Fn(&(String, String)) -> Value| {
            let (a, b) = (a.map_or(Value::Null, of), b.map_or(Value::Null, of));
            if a != b {
                changes.push(Change { what: format!("{name} {part}"), a, b });
            }
        };
        compare("value", &|(value, _)| value.as_str().into());
        compare("flags", &|(_, flags)| flags.as_str().into());
    }
    changes
}

fn quotes(answer: &Value) -> Value {
    let evidence = answer["evidence"].as_array().map_or(&[][..], Vec::as_slice);
    evidence.iter().map(|one| one["quote"].clone()).collect()
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().map(|object| object.keys().cloned().collect()).unwrap_or_default()
}

/// Keys of `made_with` whose values differ; what the answer itself makes is not among them.
fn differing(a: &Value, b: &Value) -> Vec<String> {
    let all = keys(a).into_iter().chain(keys(b)).collect::<BTreeSet<_>>();
    all.into_iter().filter(|key| key != "transcript" && a[key] != b[key]).collect()
}

impl DiffSheet {
    /// For a person.
    pub fn table(&self) -> String {
        let mut text = String::new();
        for (mark, documents) in [("- ", &self.only_a), ("+ ", &self.only_b)] {
            for document in documents {
                let _ = writeln!(text, "{mark}{}", one_line(document));
            }
        }
        for ChangedDocument { document, input_changed, changes, rows } in &self.changed {
            let input = if *input_changed { " (the input changed)" } else { "" };
            let _ = writeln!(text, "{}{input}", one_line(document));
            write_changes(&mut text, changes);
            for ChangedRow { row, changes } in rows.changed.iter().take(SHOWN_ROWS_MAX) {
                let _ = writeln!(text, "  row {row}");
                write_changes(&mut text, changes);
            }
            let more = rows.changed.len().saturating_sub(SHOWN_ROWS_MAX);
            if more > 0 {
                let _ = writeln!(text, "  and {more} more rows (--format json has them all)");
            }
            if rows.only_a + rows.only_b > 0 {
                let (a, b) = (rows.only_a, rows.only_b);
                let _ = writeln!(text, "  {a} rows only in the first, {b} only in the second");
            }
        }
        for (key, documents) in &self.made_with {
            let _ = writeln!(text, "made with another {key}: {documents} documents");
        }
        for (field, documents) in &self.fields {
            let _ = writeln!(text, "another {field}: {documents} documents");
        }
        for (field, rows) in &self.row_fields {
            let _ = writeln!(text, "another {field}: {rows} rows");
        }
        let _ = writeln!(
            text,
            "{} same, {} changed, {} only in the first, {} only in the second",
            self.same,
            self.changed.len(),
            self.only_a.len(),
            self.only_b.len()
        );
        text
    }
}

fn write_changes(text: &mut String, changes: &[Change]) {
    for Change { what, a, b } in changes {
        let _ = writeln!(text, "    {what}\n      - {}\n      + {}", shown(a), shown(b));
    }
}

/// A value on one line.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.split_whitespace().collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    };
    let text = one_line(&text);
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        None => text.into_owned(),
        Some((at, _)) => format!("{} […]", &text[..at]),
    }
}
