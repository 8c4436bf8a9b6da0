//! What of a document was read, and in which words that is told.

use super::record::{Coverage, LeftOut, PageCoverage};
use crate::chunk::Chunked;
use crate::extract::{Document, Page, PageState, TextOrigin};

/// The coverage of `document` as cut into `chunked`; `sent` says of each chunk whether every task was
/// shown it.
pub(super) fn coverage(document: &Document, chunked: &Chunked, sent: &[bool]) -> Coverage {
    let tokens = |chunk: &crate::chunk::Chunk| chunk.tokens as u64;
    let shown = chunked.chunks.iter().zip(sent).filter(|(_, sent)| **sent);
    let left_out = chunked.left_out.iter().map(|left| LeftOut {
        page: left.page,
        start: left.span.start,
        end: left.span.end,
        why: left.why.to_owned(),
    });
    Coverage {
        pages: document.pages.iter().map(page_coverage).collect(),
        chunks: chunked.chunks.len() as u32,
        tokens_read: chunked.chunks.iter().map(tokens).sum(),
        tokens_sent: shown.map(|(chunk, _)| tokens(chunk)).sum(),
        ranked: Vec::new(),
        left_out: left_out.collect(),
    }
}

fn page_coverage(page: &Page) -> PageCoverage {
    let (state, reason) = match &page.state {
        PageState::Read => ("read", ""),
        PageState::Empty => ("empty", ""),
        PageState::ImageOnly => ("image_only", ""),
        PageState::Skipped(why) => ("skipped", why.as_str()),
    };
    let origin = match page.facts.origin {
        TextOrigin::Print => "",
        TextOrigin::OcrLayer => "ocr_layer",
        TextOrigin::Ocr => "ocr",
    };
    PageCoverage {
        page: page.number,
        label: page.label.clone(),
        state: state.to_owned(),
        reason: reason.to_owned(),
        characters: page.verbatim.chars().count() as u64,
        unmapped: page.facts.unmapped,
        picture_percent: page.facts.picture_percent.into(),
        unread_picture: page.facts.unread_picture,
        hidden: page.hidden.len() as u32,
        origin: origin.to_owned(),
        confidence: page.facts.confidence.map(u32::from),
    }
}

/// The pages that were not read, in words: "pages 2-4: image only; page 9: not read: …".
pub(super) fn unread_pages(document: &Document) -> Vec<String> {
    let mut runs: Vec<(u32, u32, String)> = Vec::new();
    for page in &document.pages {
        let why = match &page.state {
            PageState::Read | PageState::Empty => continue,
            PageState::ImageOnly => "image only".to_owned(),
            PageState::Skipped(why) => format!("not read: {why}"),
        };
        match runs.last_mut() {
            Some((_, last, same)) if *last + 1 == page.number && *same == why => {
                *last = page.number;
            }
            _ => runs.push((page.number, page.number, why)),
        }
    }
    let words = |(first, last, why)| match first == last {
        true => format!("page {first}: {why}"),
        false => format!("pages {first}-{last}: {why}"),
    };
    runs.into_iter().map(words).collect()
}

/// Why a document without any text cannot be worked on, with the way out.
pub(super) fn no_text(document: &Document) -> String {
    let unread = unread_pages(document);
    match document.pages.len() {
        _ if !unread.is_empty() => {
            format!(
                "no text: {}; [ocr] in the jobs file has tesseract read pictures",
                several(&unread)
            )
        }
        0 => "no text: the document has no pages".to_owned(),
        pages => format!("no text on any of {pages} page(s)"),
    }
}

/// The first few of `reasons`, and how many more there are.
pub(super) fn several(reasons: &[String]) -> String {
    const SHOWN: usize = 4;
    let shown = reasons.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ");
    match reasons.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{shown}; and {more} more"),
        _ => shown,
    }
}
