//! The GGUF's chat template around system text, document and task.

use std::collections::HashMap;
use std::fmt;

use candle_core::quantized::gguf_file::Value;

use super::tokenizer::Tokenizer;
use crate::base::Digest;

/// The chat template of one model.
pub struct Template {}

/// A rendered prompt; the three segments in order are its token ids.
pub struct Prompt {
    /// Everything before the document: equal for all requests with the same system text.
    pub system: Vec<u32>,
    pub document: Vec<u32>,
    /// The task, the end of the user's turn, and the start of the model's.
    pub task: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateError {}

impl fmt::Display for TemplateError {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

impl std::error::Error for TemplateError {}

#[expect(unused_variables, reason = "bodies follow")]
impl Template {
    /// `date` is what a template that asks for the time gets.
    pub fn from_gguf(
        metadata: &HashMap<String, Value>,
        tokenizer: &Tokenizer,
        date: jiff::civil::Date,
    ) -> Result<Template, TemplateError> {
        todo!()
    }
    /// The token that ends the model's turn, where the template shows one: for `Tokenizer::add_end`.
    pub fn end(&self) -> Option<u32> {
        todo!()
    }
    /// The prompt of one request.
    pub fn render(
        &self,
        tokenizer: &Tokenizer,
        system: &str,
        document: &str,
        task: &str,
    ) -> Result<Prompt, TemplateError> {
        todo!()
    }
    /// Of the template's text and the date it was given.
    pub fn digest(&self) -> Digest {
        todo!()
    }
}
