//! `nightclerk diff`: the records of two output folders, document by document and field by field. Built
//! on the records' JSON, so that records of different versions can be compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;
use walkdir::WalkDir;

use super::Broken;

/// A value is shown up to here; `--format json` has it whole.
const SHOWN_CHARS_MAX: usize = 160;

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
}

#[derive(Debug, Serialize)]
pub struct ChangedDocument {
    pub document: String,
    /// The input itself is another one.
    pub input_changed: bool,
    pub changes: Vec<Change>,
}

/// One thing that is otherwise in the second folder.
#[derive(Debug, Serialize)]
pub struct Change {
    /// outcome, summary, or the name of a field; with its part: value, flags or quotes.
    pub what: String,
    pub a: Value,
    pub b: Value,
}

/// Compares the records below two output folders.
///
/// # Errors
/// `Usage` where a folder holds no records, `Disk` where it cannot be read.
pub fn diff(a: &Path, b: &Path) -> Result<DiffSheet, Broken> {
    let (a, mut b) = (records(a)?, records(b)?);
    let mut sheet = DiffSheet::default();
    for (document, a) in a {
        let Some(b) = b.remove(&document) else {
            sheet.only_a.push(document);
            continue;
        };
        for key in differing(&a["made_with"], &b["made_with"]) {
            *sheet.made_with.entry(key).or_default() += 1;
        }
        let changes = changes(&a, &b);
        let input_changed = a["source"]["sha256"] != b["source"]["sha256"];
        if changes.is_empty() && !input_changed {
            sheet.same += 1;
            continue;
        }
        for what in changes.iter().filter_map(|change| change.what.strip_suffix(" value")) {
            *sheet.fields.entry(what.to_owned()).or_default() += 1;
        }
        sheet.changed.push(ChangedDocument { document, input_changed, changes });
    }
    sheet.only_b = b.into_keys().collect();
    Ok(sheet)
}

/// Every record below `folder`, by job, root and path.
fn records(folder: &Path) -> Result<BTreeMap<String, Value>, Broken> {
    let mut found = BTreeMap::new();
    let is_record = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        entry.depth() != 1 || (!name.starts_with('.') && entry.file_type().is_dir())
    };
    for entry in WalkDir::new(folder).into_iter().filter_entry(is_record) {
        let entry = entry.map_err(|error| Broken::disk(folder, &error.into()))?;
        if !entry.file_type().is_file() || entry.path().extension().is_none_or(|end| end != "json")
        {
            continue;
        }
        let bytes = fs::read(entry.path()).map_err(|error| Broken::disk(entry.path(), &error))?;
        let record: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let part = |key: &str| record["source"][key].as_str();
        if let (Some(job), Some(root), Some(path)) = (part("job"), part("root"), part("path")) {
            found.insert(format!("{job}/{root}/{path}"), record);
        }
    }
    match found.is_empty() {
        true => Err(Broken::Usage(format!("{}: no records below this folder", folder.display()))),
        false => Ok(found),
    }
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
                let _ = writeln!(text, "{mark}{document}");
            }
        }
        for ChangedDocument { document, input_changed, changes } in &self.changed {
            let input = if *input_changed { " (the input changed)" } else { "" };
            let _ = writeln!(text, "{document}{input}");
            for Change { what, a, b } in changes {
                let _ = writeln!(text, "    {what}\n      - {}\n      + {}", shown(a), shown(b));
            }
        }
        for (key, documents) in &self.made_with {
            let _ = writeln!(text, "made with another {key}: {documents} documents");
        }
        for (field, documents) in &self.fields {
            let _ = writeln!(text, "another {field}: {documents} documents");
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

/// A value on one line.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.split_whitespace().collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    };
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        None => text,
        Some((at, _)) => format!("{} […]", &text[..at]),
    }
}
