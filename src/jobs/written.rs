//! `jobs.toml` and task files as written: every key optional, every value with its place, nothing
//! decided yet. Missing keys and defaults are `resolve`'s and `task`'s.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct JobsFile {
    pub(super) output: Option<Spanned<String>>,
    pub(super) model: Option<Spanned<ModelTable>>,
    pub(super) engine: Option<Spanned<EngineTable>>,
    pub(super) audit: Option<Spanned<AuditTable>>,
    pub(super) isolation: Option<Spanned<IsolationTable>>,
    pub(super) ocr: Option<Spanned<OcrTable>>,
    pub(super) limits: Option<Spanned<LimitsTable>>,
    pub(super) job: Option<Vec<Spanned<JobTable>>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ModelTable {
    pub(super) path: Option<Spanned<String>>,
    pub(super) sha256: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct EngineTable {
    pub(super) threads: Option<Spanned<i64>>,
    pub(super) slots: Option<Spanned<i64>>,
    pub(super) memory: Option<Spanned<String>>,
    pub(super) context_tokens: Option<Spanned<i64>>,
    pub(super) date: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AuditTable {
    pub(super) origin: Option<Spanned<String>>,
    pub(super) key_dir: Option<Spanned<String>>,
    pub(super) witnesses: Vec<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct IsolationTable {
    pub(super) require: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OcrTable {
    pub(super) program: Option<Spanned<String>>,
    pub(super) languages: Option<Spanned<Vec<Spanned<String>>>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LimitsTable {
    pub(super) input_max: Option<Spanned<String>>,
    pub(super) memory: Option<Spanned<String>>,
    pub(super) cpu: Option<Spanned<String>>,
    pub(super) wall: Option<Spanned<String>>,
    pub(super) output_max: Option<Spanned<String>>,
    pub(super) pages: Option<Spanned<i64>>,
    pub(super) page_max: Option<Spanned<String>>,
    pub(super) sheet_cells: Option<Spanned<i64>>,
    pub(super) document_cells: Option<Spanned<i64>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct JobTable {
    pub(super) name: Option<Spanned<String>>,
    pub(super) input: Option<Spanned<BTreeMap<Spanned<String>, Spanned<String>>>>,
    pub(super) include: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) exclude: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) tasks: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) settle: Option<Spanned<String>>,
    pub(super) attempts_max: Option<Spanned<i64>>,
    pub(super) password: Option<Spanned<String>>,
    pub(super) archives: Option<Spanned<bool>>,
    pub(super) keep: Option<Spanned<String>>,
    pub(super) keep_until: Option<Spanned<String>>,
    pub(super) keep_superseded: Option<Spanned<bool>>,
    pub(super) gate: Option<Spanned<GateTable>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct GateTable {
    pub(super) labels: Option<Spanned<String>>,
    pub(super) documents: Option<Spanned<String>>,
    pub(super) f1_min: Option<Spanned<f64>>,
    pub(super) fields: Option<Spanned<Vec<Spanned<String>>>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TaskFile {
    pub(super) kind: Option<Spanned<String>>,
    pub(super) formats: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) unit: Option<Spanned<String>>,
    pub(super) system: Option<Spanned<String>>,
    pub(super) instruction: Option<Spanned<String>>,
    pub(super) reduce_instruction: Option<Spanned<String>>,
    pub(super) aspect_instruction: Option<Spanned<String>>,
    pub(super) table_instruction: Option<Spanned<String>>,
    pub(super) length: Option<Spanned<Length>>,
    pub(super) aspect: Option<Spanned<Vec<Spanned<AspectTable>>>>,
    pub(super) chunk_tokens: Option<Spanned<i64>>,
    pub(super) answer_tokens_max: Option<Spanned<i64>>,
    pub(super) read: Option<Spanned<String>>,
    pub(super) locale: Option<Spanned<String>>,
    pub(super) field: Option<Spanned<Vec<Spanned<FieldTable>>>>,
}

/// Words, or a word for so many.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Length {
    Words(i64),
    Named(String),
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AspectTable {
    pub(super) title: Option<Spanned<String>>,
    pub(super) question: Option<Spanned<String>>,
    #[serde(rename = "type")]
    pub(super) value: Option<Spanned<String>>,
    pub(super) phrases: Option<Vec<Spanned<String>>>,
    pub(super) position: Option<Spanned<String>>,
    pub(super) verbatim: Option<Spanned<bool>>,
    pub(super) expected_in: Option<Vec<Spanned<String>>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FieldTable {
    pub(super) name: Option<Spanned<String>>,
    pub(super) question: Option<Spanned<String>>,
    #[serde(rename = "type")]
    pub(super) value: Option<Spanned<String>>,
    pub(super) quote_words_max: Option<Spanned<i64>>,
    pub(super) many: Option<Spanned<bool>>,
    pub(super) options: Option<Spanned<Vec<String>>>,
    pub(super) phrases: Option<Vec<Spanned<String>>>,
    pub(super) needs: Option<Vec<Spanned<String>>>,
    pub(super) unless: Option<Vec<Spanned<String>>>,
    pub(super) check: Option<Spanned<String>>,
    pub(super) quote: Option<Spanned<String>>,
    pub(super) position: Option<Spanned<String>>,
    pub(super) margin_min: Option<Spanned<i64>>,
}
