//! The state of one answer's form: which tokens may come next, and where the answer stands.

use std::fmt;
use std::sync::Arc;

use super::request::Form;
use super::tokenizer::Tokenizer;
use crate::base::{PartText, Stop};

/// What `accept` is told for a token that was forced, not chosen.
pub const FORCED: i64 = i64::MAX;

/// Makes scripts for one model: holds the token trie and the compiled grammars.
pub struct Forms {}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormError {}

impl fmt::Display for FormError {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

impl std::error::Error for FormError {}

/// One answer being written.
pub struct Script {}

/// Whether the answer goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Continue,
    Finished(Stop),
}

#[expect(unused_variables, reason = "bodies follow")]
impl Forms {
    pub fn new(tokenizer: Arc<Tokenizer>) -> Forms {
        todo!()
    }
    /// The script of an answer about `document` (the request's document text, for quotes).
    pub fn script(&self, form: &Form, document: &Arc<str>) -> Result<Script, FormError> {
        todo!()
    }
}

#[expect(unused_variables, reason = "bodies follow")]
impl Script {
    /// Tokens that must come next. The caller appends them and hands each to `accept` with
    /// `FORCED`; it may stop between two of them. Empty where the model has a choice.
    pub fn forced(&mut self) -> Vec<u32> {
        todo!()
    }
    /// Whether `token` may come next; cheaper than `mask`.
    pub fn allows(&mut self, token: u32) -> bool {
        todo!()
    }
    /// The tokens that may come next: bit `id % 64` of word `id / 64`, for `vocabulary_size` ids.
    pub fn mask(&mut self) -> &[u64] {
        todo!()
    }
    /// Appends a token. `margin_milli`: difference of the two best allowed logits in thousandths, or
    /// `FORCED`.
    pub fn accept(&mut self, token: u32, margin_milli: i64) -> Progress {
        todo!()
    }
    /// The whole answer, and the text of each part that was begun.
    pub fn finish(self, stop: Stop) -> (String, Vec<PartText>) {
        todo!()
    }
}
