//! `Document` → `Chunk`s within a token budget, each with its way back to page and offset.
//! Knows no tokenizer, only `TokenCounter`.

use std::ops::Range;

use crate::base::{Span, TokenCounter};
use crate::extract::Document;

/// A part of a document that fits one prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// Counted from 1 within the document.
    pub number: u32,
    /// Model-layer text, as the model reads it.
    pub text: String,
    /// Where each run of `text` comes from; ascending in `text`. Separators between runs belong to none.
    pub pieces: Vec<Piece>,
    /// Tokens of `text` alone.
    pub tokens: usize,
    /// Leading bytes of `text` that repeat the chunk before, because a block had to be cut, or that
    /// repeat a table's header.
    pub repeated: usize,
}

/// A run of a chunk's text that stands in one page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Bytes of the chunk's text.
    pub chunk: Range<usize>,
    pub page: u32,
    /// First byte in that page's model layer; the run is equal from there on.
    pub model_start: u32,
}

impl Chunk {
    /// The verbatim spans that the bytes `range` of the chunk's text stand for, one for each page
    /// touched (or each run, where runs do not adjoin).
    pub fn locate(&self, document: &Document, range: Range<usize>) -> Vec<Span> {
        let _ = (document, range);
        Vec::new()
    }
}

/// A document cut into chunks. Every byte of every page's model layer is in exactly one chunk (the
/// leading `repeated` bytes of a chunk aside) or in `left_out`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chunked {
    /// In reading order, numbered from 1.
    pub chunks: Vec<Chunk>,
    pub left_out: Vec<LeftOut>,
}

/// A block that no chunk holds: text that the model is not shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// In the verbatim layer.
    pub span: Span,
    pub why: &'static str,
}

/// Cuts `document` into chunks of at most `budget` tokens, counted by `counter`: at headings, then
/// paragraphs and table rows, then sentences, then words.
pub fn split(document: &Document, budget: usize, counter: &dyn TokenCounter) -> Chunked {
    let _ = (document, budget, counter);
    Chunked::default()
}
