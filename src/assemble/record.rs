//! The record: what is written for one document. Its JSON is the contract of DESIGN.md section 4.
//! Nothing in it depends on time, machine or batch mates: a redone document gives the same bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::{Digest, Format, Outcome, Warning};
pub use crate::extract::{Remark, RemarkKind};

/// Everything known about one document after a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub source: RecordSource,
    pub outcome: Outcome,
    /// Why it is not `done`; empty where it is.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub reason: String,
    pub coverage: Coverage,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub summary: Option<Summary>,
    /// Of a table whose rows are documents of their own; their fields stand in that table.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rows: Option<Rows>,
    /// In the order of the task file.
    pub fields: serde_json::Map<String, serde_json::Value>,
    pub warnings: Vec<Warning>,
    /// Spans of hidden text that the model was not shown: page and why; the text itself.
    pub hidden: Vec<HiddenText>,
    /// Tracked changes and comments: who, when, what, and in which clause.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub remarks: Vec<Remark>,
    pub made_with: MadeWith,
    pub tokens: Tokens,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordSource {
    pub job: String,
    pub root: String,
    /// Below the root, with `/`.
    pub path: String,
    pub sha256: Digest,
    pub bytes: u64,
    pub format: Format,
    pub pages: u32,
}

/// What of the document was read, and what the model was shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Coverage {
    pub pages: Vec<PageCoverage>,
    pub chunks: u32,
    /// Tokens of the model layer, chunk by chunk.
    pub tokens_read: u64,
    /// Of those, tokens that every task that reads all was shown.
    pub tokens_sent: u64,
    /// What the tasks that read what is relevant were shown.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub ranked: Vec<Ranked>,
    /// Text of read pages that no chunk holds: running headers and footers said once already.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub left_out: Vec<LeftOut>,
}

/// How a task that reads what is relevant went through a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ranked {
    pub task: String,
    /// Clauses that were ranked by code, all of the document's.
    pub clauses: u32,
    /// Questions asked on the best of them.
    pub asked: u32,
}

/// A passage that the model was not shown, though its page was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    pub page: u32,
    /// The verbatim layer's bytes `start..end` of `page`.
    pub start: u32,
    pub end: u32,
    pub why: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PageCoverage {
    pub page: u32,
    pub label: String,
    /// read, empty, image_only or skipped.
    pub state: String,
    /// Why it was skipped.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub reason: String,
    /// Characters of the verbatim layer.
    pub characters: u64,
    /// Glyphs that have no known character.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub unmapped: u32,
    /// Share of the page that pictures cover, in hundredths.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub picture_percent: u32,
    /// It is a picture of text, as far as can be told, and that text was not read.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub unread_picture: bool,
    /// Passages of hidden text.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub hidden: u32,
    /// Where its text comes from, if not from print: ocr_layer, an unseen layer over a picture; ocr,
    /// recognized in a picture.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub origin: String,
    /// How sure text recognition was, in hundredths; 0 where it found nothing. None where it was not asked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub confidence: Option<u32>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// The rows of a table that were answered one by one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    pub count: u64,
    /// Rows with a question that has no whole answer.
    pub partial: u64,
    /// Rows with a flag at any field.
    pub flagged: u64,
    /// The table with a column for each field and its flags, below the output folder.
    pub table: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// What the document is.
    pub text: String,
    /// What the text rests on.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub evidence: Vec<Evidence>,
    /// Figures and names in the text, as written, that the passages it was made from do not bear.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub unsupported: Vec<String>,
    /// In the order of the task's aspects, then of the document's own parts.
    pub points: Vec<Point>,
    /// Aspects that such a document is expected to speak of, and no passage of this one does.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub missing: Vec<String>,
    /// Computed from every row; of documents that are tables.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub tables: Vec<TableFacts>,
    #[serde(default)]
    pub check: FactCheck,
}

/// A statement of a summary, and what it rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The aspect that it answers, or the headings of the part that it is about.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub about: String,
    pub text: String,
    pub evidence: Vec<Evidence>,
    /// Figures and names in it, as written, that the passages it was made from do not bear.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub unsupported: Vec<String>,
}

/// How many figures and names a summary states, and how many its source bears out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactCheck {
    /// In the first answers to its questions: stated, and of those not borne out.
    pub first_stated: u32,
    pub first_unsupported: u32,
    /// In what stands in the summary, after what was not borne out was asked once more.
    pub stated: u32,
    pub unsupported: u32,
    /// Questions asked once more.
    pub asked_again: u32,
}

/// A table of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableFacts {
    pub page: u32,
    pub label: String,
    /// Rows under the one that names the columns; hidden rows and rows that sum up are none.
    pub rows: u64,
    /// Rows that are the same as an earlier one.
    pub repeated: u64,
    pub columns: Vec<ColumnFacts>,
    /// What else a person should know: sums that do not add up, numbers that can be read in two ways.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
}

/// A column of a table. Numbers are exact decimals in plain digits, dates ISO 8601; what does not apply is
/// empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ColumnFacts {
    pub name: String,
    /// number, date, text or empty.
    pub kind: String,
    /// Numbers that name things (identifiers, years): they have no sum.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub names: bool,
    pub filled: u64,
    pub missing: u64,
    pub distinct: u64,
    /// Filled cells that are not of the column's kind.
    #[serde(skip_serializing_if = "is_none_of")]
    pub other: u64,
    /// Currency or percent sign of all its numbers.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub unit: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub least: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub most: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sum: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mean: String,
    /// Numbers further from the middle half than one and a half times its width.
    #[serde(skip_serializing_if = "is_none_of")]
    pub outliers: u64,
    /// The first of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outlying: Vec<Cell>,
    /// Values that a text column holds more than once, the most frequent first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub common: Vec<Common>,
}

fn is_none_of(count: &u64) -> bool {
    *count == 0
}

/// A cell as displayed; its row is counted from 1 under the columns' names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    pub row: u64,
    pub value: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Common {
    pub value: String,
    pub times: u64,
}

/// The value of one field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldAnswer {
    /// Normalized by code; null where nothing was found.
    pub value: serde_json::Value,
    /// As the model wrote it.
    pub raw: Option<String>,
    pub evidence: Vec<Evidence>,
    /// Least difference of the two best logits at the deciding tokens, in thousandths.
    pub margin: Option<i64>,
    /// What a reviewer should look at first; see `assemble::flags`.
    pub flags: Vec<String>,
    /// Values that other chunks gave, best first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub competing: Vec<Competing>,
}

/// A value that was found and not taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Competing {
    pub value: serde_json::Value,
    pub raw: Option<String>,
    pub evidence: Vec<Evidence>,
    pub margin: Option<i64>,
}

/// A verbatim passage of the document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The verbatim layer's bytes `start..end` of `page`.
    pub quote: String,
    pub page: u32,
    pub start: u32,
    pub end: u32,
    /// The clause that the passage begins in ("4.2(a)(iii)"), where numbers are printed or computed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub clause: Option<String>,
    /// exact: chosen by the model from the text itself; normalized: likewise, and the layers differ
    /// inside it; lexical: chosen by code, as the sentence that shares most words with a point.
    #[serde(rename = "match")]
    pub matched: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HiddenText {
    pub page: u32,
    pub why: String,
    pub text: String,
}

/// What shaped the answer; a change of any of it makes the document due again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeWith {
    pub model: Digest,
    pub tokenizer: Digest,
    pub template: Digest,
    /// Task name → digest of its file.
    pub tasks: BTreeMap<String, Digest>,
    pub text_rules: u32,
    pub number_rules: u32,
    pub prompt_rules: u32,
    /// What recognized the text of pages that are only pictures; none where the document has none, or
    /// nothing was asked about them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ocr: Option<Box<OcrFacts>>,
    /// Digest over the document's prompts' and answers' token ids, in order of asking.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub transcript: Option<Digest>,
}

/// A text recognition: another program, other data or other languages may read otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OcrFacts {
    /// Name and version, as it states them.
    pub program: String,
    /// "deu+eng".
    pub languages: String,
    /// Of the languages' data, in that order.
    pub data: Digest,
}

/// Prompt tokens count each prompt whole, whatever was shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    pub prompt: u64,
    pub answer: u64,
}
