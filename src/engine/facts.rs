//! What is in a model file, for people, plans and records.

use std::collections::BTreeMap;

use serde::Serialize;

use super::architecture::Architecture;
use super::gguf::Gguf;
use super::kv::KvStore;
use super::template::Template;
use super::tokenizer::Tokenizer;
use crate::base::Digest;
use crate::base::limits::KV_BLOCK_TOKENS;

/// The facts of one loaded model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelFacts {
    /// `general.architecture`.
    pub family: String,
    /// `general.name`; empty where the file has none.
    pub name: String,
    /// `general.license`; none where the file does not say.
    pub licence: Option<String>,
    /// Weights by type, as GGUF names the types.
    pub types: BTreeMap<String, u64>,
    /// All weights.
    pub parameters: u64,
    pub layers: usize,
    /// Tokens that the model was trained for.
    pub context: usize,
    /// The longest prompt and answer that are admitted.
    pub context_used: usize,
    /// Token ids.
    pub vocabulary: usize,
    /// In the file.
    pub weights_bytes: u64,
    pub kv_bytes_per_token: u64,
    /// Tokens that the KV cache has room for.
    pub kv_tokens: u64,
    /// Whether the file has a chat template; a base model gets plain text.
    pub has_chat_template: bool,
    pub tokenizer_digest: Digest,
    /// Of the chat template and the date that it was given.
    pub template_digest: Digest,
}

impl ModelFacts {
    /// What the file itself says; the last four come from those who know.
    pub(super) fn new(
        gguf: &Gguf,
        a: &Architecture,
        (context_used, kv_blocks): (usize, usize),
        vocabulary: usize,
        (tokenizer, template): (&Tokenizer, &Template),
    ) -> ModelFacts {
        let mut types = BTreeMap::new();
        let mut parameters = 0;
        for (dtype, elements) in gguf.tensors().into_values() {
            *types.entry(format!("{dtype:?}")).or_insert(0) += elements as u64;
            parameters += elements as u64;
        }
        let text = |key: &str| gguf.text(key).ok().map(str::to_owned);
        ModelFacts {
            family: a.family.into(),
            name: text("general.name").unwrap_or_default(),
            licence: text("general.license"),
            types,
            parameters,
            layers: a.layers,
            context: a.context,
            context_used,
            vocabulary,
            weights_bytes: gguf.weights_bytes(),
            kv_bytes_per_token: KvStore::block_bytes(a.heads, a.layers) / KV_BLOCK_TOKENS as u64,
            kv_tokens: (kv_blocks * KV_BLOCK_TOKENS) as u64,
            has_chat_template: template.is_chat(),
            tokenizer_digest: tokenizer.digest(),
            template_digest: template.digest(),
        }
    }
}
