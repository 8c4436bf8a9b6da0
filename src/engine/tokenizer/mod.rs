//! Text ↔ token ids, built from the GGUF's own metadata. Not the chat template: that is `template`.

use std::collections::HashMap;
use std::fmt;

use candle_core::quantized::gguf_file::Value;

use crate::base::{Digest, TokenCounter};

/// The tokenizer of one model.
pub struct Tokenizer {}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenizerError {}

impl fmt::Display for TokenizerError {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

impl std::error::Error for TokenizerError {}

#[expect(unused_variables, reason = "bodies follow")]
impl Tokenizer {
    /// Reads `tokenizer.ggml.*`.
    pub fn from_gguf(metadata: &HashMap<String, Value>) -> Result<Tokenizer, TokenizerError> {
        todo!()
    }
    /// Tokens of a text of its own; no text becomes a control token.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        todo!()
    }
    /// Tokens of template text: control tokens are recognized.
    pub fn encode_template(&self, text: &str) -> Vec<u32> {
        todo!()
    }
    /// The bytes that a token writes; empty for control tokens.
    pub fn token_bytes(&self, id: u32) -> &[u8] {
        todo!()
    }
    /// The text of tokens; what is not UTF-8 becomes U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        todo!()
    }
    /// Whether the token ends the model's turn.
    pub fn is_end(&self, id: u32) -> bool {
        todo!()
    }
    /// Adds an end-of-turn token that the template names (`Template::end`).
    pub fn add_end(&mut self, id: u32) {
        todo!()
    }
    /// The token that every prompt begins with, where the model wants one.
    pub fn bos(&self) -> Option<u32> {
        todo!()
    }
    /// Number of token ids; the model's logits may have more rows.
    pub fn vocabulary_size(&self) -> usize {
        todo!()
    }
    /// Of everything that shapes the ids.
    pub fn digest(&self) -> Digest {
        todo!()
    }
}

impl TokenCounter for Tokenizer {
    fn count(&self, text: &str) -> usize {
        self.encode(text).len()
    }
}
