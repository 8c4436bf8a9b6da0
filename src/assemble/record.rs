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
    /// Passages of hidden text.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub hidden: u32,
    /// Where its text comes from, if not from print: ocr_layer, an unseen layer over a picture.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub origin: String,
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
    pub text: String,
    pub points: Vec<Point>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub text: String,
    pub evidence: Vec<Evidence>,
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
    /// Digest over the document's prompts' and answers' token ids, in order of asking.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub transcript: Option<Digest>,
}

/// Prompt tokens count each prompt whole, whatever was shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    pub prompt: u64,
    pub answer: u64,
}
