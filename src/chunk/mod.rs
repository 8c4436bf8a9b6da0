//! `Document` → `Chunk`s within a token budget, each with its way back to page and offset.
//! Knows no tokenizer, only `TokenCounter`.

mod sentence;
mod split;
#[cfg(test)]
pub(crate) mod tests;

pub use sentence::sentences;
pub use split::split;

use std::ops::Range;

use crate::base::Span;
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

/// A document cut into chunks. Every byte of every page's model layer is in exactly one chunk (the
/// leading `repeated` bytes of a chunk aside) or in `left_out`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chunked {
    /// In reading order, numbered from 1.
    pub chunks: Vec<Chunk>,
    /// In reading order.
    pub left_out: Vec<LeftOut>,
}

/// A block that no chunk holds: text that the model is not shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    pub page: u32,
    /// Bytes of that page's model layer.
    pub model: Range<u32>,
    /// The same passage in the verbatim layer.
    pub span: Span,
    pub why: &'static str,
}

impl Chunk {
    /// The verbatim spans that the bytes `range` of the chunk's text stand for, one for each page
    /// touched (or each run, where runs do not adjoin). Never empty ones.
    pub fn locate(&self, document: &Document, range: Range<usize>) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        let first = self.pieces.partition_point(|piece| piece.chunk.end <= range.start);
        for piece in self.pieces[first..].iter().take_while(|piece| piece.chunk.start < range.end) {
            let start = range.start.max(piece.chunk.start) - piece.chunk.start;
            let end = range.end.min(piece.chunk.end) - piece.chunk.start;
            let page = piece.page.checked_sub(1).and_then(|at| document.pages.get(at as usize));
            let Some(page) = page.filter(|_| start < end) else { continue };
            let model = piece.model_start + start as u32..piece.model_start + end as u32;
            let verbatim = page.map.to_verbatim(model);
            match spans.last_mut() {
                Some(last)
                    if last.page == piece.page
                        && (last.start..=last.end).contains(&verbatim.start) =>
                {
                    last.end = last.end.max(verbatim.end);
                }
                _ if verbatim.is_empty() => {}
                _ => {
                    spans.push(Span { page: piece.page, start: verbatim.start, end: verbatim.end })
                }
            }
        }
        spans
    }

    /// First and last page that the chunk's own text (not what it repeats) stands on.
    pub fn pages(&self) -> Option<(u32, u32)> {
        let mut own = self.pieces.iter().filter(|piece| piece.chunk.start >= self.repeated);
        let first = own.next()?.page;
        Some((first, own.next_back().map_or(first, |piece| piece.page)))
    }
}
