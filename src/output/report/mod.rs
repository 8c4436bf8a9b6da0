//! `report.html`: one page over all documents of an output folder, and beside it in `report/` the page
//! texts, one file a document. It opens from a stick, asks nothing of any network, and a document can put
//! nothing into it but text. Built from the records' JSON, so that what a later version adds is shown too.

mod page;
mod texts;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;

use serde_json::{Map, Value, json};

use super::{OutputError, Writer};
use crate::assemble::flags;
use crate::base::{DocId, Outcome, read_file};

pub use texts::{PageText, PageTexts};

/// The page, and the folder of page texts, below the output folder.
const PAGE: &str = "report.html";
const FOLDER: &str = "report";

/// What a person can do about a document, by its outcome.
const ADVICE: [(Outcome, &str); 5] = [
    (Outcome::Failed, "The next run tries it again, until its attempts are used up."),
    (
        Outcome::Quarantined,
        "It is left alone. Take the cause away, then: nightclerk run --redo failed",
    ),
    (Outcome::Refused, "Give it in a form that is read, or take it out of the folder."),
    (Outcome::Partial, "What stands there was read; look at the rest yourself."),
    (Outcome::Deferred, "The next run takes it."),
];

/// One document of the report.
#[derive(Debug)]
pub struct Reported {
    pub doc: DocId,
    pub job: String,
    /// Root and path, joined by `/`.
    pub path: String,
    /// An outcome's word, or erased.
    pub outcome: String,
    pub reason: String,
    /// Its record as it stands on disk.
    pub record: Option<Value>,
    /// What a person should know before anything else, for instance that the input has changed since.
    pub notes: Vec<String>,
    /// The log's entry of its answer; 0 for none.
    pub entry: u64,
    /// The text that was read for the record; none where it cannot be had any more.
    pub texts: Option<PageTexts>,
}

/// The facts of the page's overview and foot.
#[derive(Debug)]
pub struct NightFacts {
    pub origin: String,
    /// A sentence on the last run.
    pub when: String,
    /// When each answer was ready and how long it took, in milliseconds, and its tokens.
    pub answers: Vec<(i64, u64, u64)>,
    /// Name, seconds and words of each stage of the last run.
    pub stages: Vec<(&'static str, f64, String)>,
    /// What the answers were made with, and the log's head.
    pub made: Vec<(String, String)>,
}

/// A report that grows document by document.
pub struct Report<'a> {
    writer: &'a Writer,
    rows: Vec<Value>,
    /// The data blocks of the documents, as HTML.
    blocks: String,
    pages: BTreeMap<String, u64>,
    texts: BTreeSet<String>,
}

impl Writer {
    /// Begins a report.
    pub fn report(&self) -> Report<'_> {
        Report {
            writer: self,
            rows: Vec::new(),
            blocks: String::new(),
            pages: BTreeMap::new(),
            texts: BTreeSet::new(),
        }
    }

    /// The page texts that a former report wrote for this document, if they can be read.
    pub fn page_texts(&self, doc: &DocId) -> Option<PageTexts> {
        let file = self.folder.join(FOLDER).join(format!("{doc}.js"));
        PageTexts::from_script(&String::from_utf8(read_file(&file).ok()??).ok()?)
    }

    /// The record that stands for this source, as JSON, if any can be read.
    pub fn read_json(&self, job: &str, root: &str, path: &str) -> Option<Value> {
        let [json, _] = super::record_paths(job, root, path).ok()?;
        serde_json::from_slice(&read_file(&self.folder.join(json)).ok()??).ok()
    }
}

impl Report<'_> {
    /// Takes a document in, and writes its page texts unless they stand there already.
    ///
    /// # Errors
    /// `OutputError` where the texts cannot be written.
    pub fn add(&mut self, mut document: Reported) -> Result<(), OutputError> {
        let doc = document.doc.to_string();
        let mut record = document.record.take().unwrap_or_else(|| json!({}));
        let read = self.count_pages(&record);
        let unread = take_coverage(&mut record);
        let mut passages = Vec::new();
        if let Some(texts) = &document.texts {
            passages = texts.passages(&mut record);
            let script = texts.to_script();
            let path = format!("{FOLDER}/{doc}.js");
            let stands = read_file(&self.writer.folder.join(&path)).unwrap_or_default();
            if stands.as_deref() != Some(script.as_bytes()) {
                self.writer.place(vec![(path, script.into_bytes())])?;
            }
            self.texts.insert(format!("{doc}.js"));
        }
        let fields = record["fields"].as_object().cloned().unwrap_or_default();
        self.rows.push(json!({
            "id": doc,
            "job": document.job,
            "path": document.path,
            "outcome": document.outcome,
            "reason": document.reason,
            "pages": read,
            "flags": flagged(&fields),
            "fields": fields.iter().map(|(name, answer)| (name.clone(), answer["value"].clone()))
                .collect::<Map<String, Value>>(),
            "summary": record["summary"]["text"].as_str().unwrap_or_default(),
        }));
        let facts = json!({
            "record": record,
            "notes": document.notes,
            "unread": unread,
            "entry": document.entry,
            "passages": passages,
        });
        self.blocks.push_str(&page::block(&format!("doc-{doc}"), &facts));
        Ok(())
    }

    /// Counts the record's pages by their state, and gives the number of those that were read.
    fn count_pages(&mut self, record: &Value) -> u64 {
        let pages = record["coverage"]["pages"].as_array().map_or(&[][..], Vec::as_slice);
        for page in pages {
            let state = page["state"].as_str().unwrap_or("skipped");
            *self.pages.entry(state.to_owned()).or_default() += 1;
        }
        pages.iter().filter(|page| page["state"] == "read").count() as u64
    }

    /// Writes the page, and takes away page texts of documents that are no longer in it. Gives the
    /// page's path below the output folder.
    ///
    /// # Errors
    /// `OutputError`.
    pub fn finish(self, night: &NightFacts) -> Result<String, OutputError> {
        let advice: Map<String, Value> =
            ADVICE.iter().map(|(outcome, words)| (outcome.to_string(), json!(words))).collect();
        let facts = json!({
            "origin": night.origin,
            "when": night.when,
            "flags": flags::ALL.iter().map(|(flag, words)| (flag.to_string(), json!(words)))
                .collect::<Map<String, Value>>(),
            "pages": self.pages,
            "answers": night.answers,
            "stages": night.stages,
            "made": night.made,
            "advice": advice,
        });
        let blocks = [
            page::block("night-facts", &facts),
            page::block("row-facts", &Value::Array(self.rows)),
            self.blocks,
        ];
        let html = page::html(&blocks.concat());
        self.writer.place(vec![(PAGE.to_owned(), html.into_bytes())])?;
        let folder = self.writer.folder.join(FOLDER);
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(PAGE.to_owned()),
            entries => entries.map_err(OutputError::io(&folder, "cannot look into the folder"))?,
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".js") && !self.texts.contains(&name) {
                let removed = self.writer.disk.remove_file(&entry.path());
                removed.map_err(OutputError::io(&entry.path(), "cannot remove an older text"))?;
            }
        }
        Ok(PAGE.to_owned())
    }
}

/// Every flag with the field that carries it.
fn flagged(fields: &Map<String, Value>) -> Vec<[String; 2]> {
    let of_field = |(name, answer): (&String, &Value)| {
        let flags = answer["flags"].as_array().cloned().unwrap_or_default();
        let name = name.clone();
        let word = |flag: Value| flag.as_str().unwrap_or_default().to_owned();
        flags.into_iter().map(move |flag| [name.clone(), word(flag)]).collect::<Vec<_>>()
    };
    fields.iter().flat_map(of_field).collect()
}

/// Takes the list of pages out of the record and gives those that were not read.
fn take_coverage(record: &mut Value) -> Vec<Value> {
    let Some(coverage) = record.get_mut("coverage").and_then(Value::as_object_mut) else {
        return Vec::new();
    };
    match coverage.remove("pages") {
        Some(Value::Array(pages)) => {
            pages.into_iter().filter(|page| page["state"] != "read").collect()
        }
        _ => Vec::new(),
    }
}
