//! Passages of a chunk as passages of the document: the verbatim slice and its place.

use std::ops::Range;

use super::record::Evidence;
use crate::chunk::Chunk;
use crate::extract::Document;

/// The layers are the same in the passage, byte for byte.
const EXACT: &str = "exact";
/// The model read it otherwise than it is printed (a joined line end, a ligature).
const NORMALIZED: &str = "normalized";
/// Chosen by code, as the sentence that shares most words with a point.
pub(super) const LEXICAL: &str = "lexical";

/// The passage `range` of `chunk`'s text, one entry for each page it stands on. `matched` says how it
/// was found; none where the model chose it.
pub(super) fn evidence(
    document: &Document,
    chunk: &Chunk,
    range: Range<usize>,
    matched: Option<&str>,
) -> Vec<Evidence> {
    let read = chunk.text.get(range.clone()).unwrap_or_default();
    let mut found = Vec::new();
    for span in chunk.locate(document, range) {
        let page = &document.pages[span.page as usize - 1];
        let quote = page.verbatim.get(span.start as usize..span.end as usize).unwrap_or_default();
        if quote.trim().is_empty() {
            continue;
        }
        let same = if read.contains(quote) { EXACT } else { NORMALIZED };
        found.push(Evidence {
            quote: quote.to_owned(),
            page: span.page,
            start: span.start,
            end: span.end,
            clause: page.clause_at(span.start).map(str::to_owned),
            matched: matched.unwrap_or(same).to_owned(),
        });
    }
    found
}
