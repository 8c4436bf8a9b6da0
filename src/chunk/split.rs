//! The cutting itself. Each block is counted once, blocks are filled into chunks by the sum of their
//! counts, and each finished chunk is counted once as a whole; so the work is linear in the text, and
//! the budget holds even where a tokenizer needs more tokens for a joined text than for its parts.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ops::Range;

use super::{Chunk, Chunked, LeftOut, Piece, sentences};
use crate::base::{Span, TokenCounter};
use crate::extract::{Document, Page, Role};

/// A repeated sentence takes at most this share of the budget.
const OVERLAP_SHARE: usize = 8;
/// A repeated table header takes at most this share of the budget.
const HEADER_SHARE: usize = 4;
/// Words repeated where the last sentence is too long to repeat.
const OVERLAP_WORDS: usize = 16;
/// How far back the start of the sentence to repeat is sought, in bytes.
const OVERLAP_BYTES_MAX: usize = 2048;

/// Cuts `document` into chunks of at most `budget` tokens, counted by `counter`: at headings, then
/// paragraphs and table rows, then sentences, then words. A heading stays with what follows it.
///
/// Running headers and footers (`Role::PageHeader`, `Role::PageFooter`) are shown to the model once:
/// one that says, digits aside, what an earlier one said is left out, since it would stand in the
/// middle of sentences. A single character of more than `budget` tokens is a chunk of its own; that
/// is the only way past the budget.
pub fn split(document: &Document, budget: usize, counter: &dyn TokenCounter) -> Chunked {
    let mut left_out = Vec::new();
    let mut pending = units(document, counter, &mut left_out);
    pending.reverse();
    let mut cutter = Cutter { document, budget, counter, pending };
    let mut chunks: Vec<Chunk> = Vec::new();
    while !cutter.pending.is_empty() {
        let number = chunks.len() as u32 + 1;
        let chunk = cutter.next_chunk(number, chunks.last());
        chunks.push(chunk);
    }
    Chunked { chunks, left_out }
}

/// How good a place to cut is, from worst to best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Seam {
    /// Between words, or between a heading and what follows it.
    Word,
    Sentence,
    Block,
    /// Before a heading; the highest level is the best place.
    Heading(Reverse<u8>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grain {
    Block,
    Sentence,
    Word,
}

/// A run of one page's model layer that stays together, until it must be refined.
#[derive(Clone, Debug)]
struct Unit {
    /// Index of the page.
    page: usize,
    /// Bytes of the page's model layer.
    model: Range<usize>,
    tokens: usize,
    /// The place before this unit.
    seam: Seam,
    grain: Grain,
    /// First byte of the block that it is (of).
    block_start: usize,
    /// Header rows of the table that it is a row of.
    header: Option<Range<usize>>,
    /// Nothing but a heading: does not end a chunk if anything follows.
    heading: bool,
}

/// The blocks of all pages as units, in reading order.
fn units(
    document: &Document,
    counter: &dyn TokenCounter,
    left_out: &mut Vec<LeftOut>,
) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    let mut furniture = BTreeSet::new();
    for (index, page) in document.pages.iter().enumerate() {
        let mut header: Option<Range<usize>> = None;
        for (role, model) in runs(page) {
            let text = &page.model[model.clone()];
            match role {
                Role::PageHeader | Role::PageFooter if !furniture.insert(squeeze(text)) => {
                    let range = model.start as u32..model.end as u32;
                    let span = page.map.to_verbatim(range.clone());
                    left_out.push(LeftOut {
                        page: page.number,
                        model: range,
                        span: Span { page: page.number, start: span.start, end: span.end },
                        why: "running header or footer, shown once already",
                    });
                    continue;
                }
                Role::PageHeader | Role::PageFooter | Role::TableRow => {}
                Role::TableHeader => {
                    let adjoins = header.as_ref().is_some_and(|rows| rows.end == model.start);
                    let start =
                        if adjoins { header.map_or(0, |rows| rows.start) } else { model.start };
                    header = Some(start..model.end);
                }
                _ => header = None,
            }
            let before = units.last();
            let seam = match role {
                _ if before.is_some_and(|unit| unit.heading) => Seam::Word,
                Role::Heading(level) => Seam::Heading(Reverse(level)),
                _ if before.is_some_and(|unit| flows(document, unit, index, text)) => {
                    Seam::Sentence
                }
                _ => Seam::Block,
            };
            units.push(Unit {
                page: index,
                tokens: counter.count(text),
                seam,
                grain: Grain::Block,
                block_start: model.start,
                header: header.clone().filter(|_| role == Role::TableRow),
                heading: matches!(role, Role::Heading(_) | Role::TableHeader),
                model,
            });
        }
    }
    units
}

/// The page's blocks with the white space after each, and what stands between blocks otherwise, as
/// runs that together cover the model layer. A block whose range is no range of the text belongs to
/// the run before it.
fn runs(page: &Page) -> Vec<(Role, Range<usize>)> {
    let mut runs: Vec<(Role, Range<usize>)> = Vec::new();
    let mut done = 0;
    for block in &page.blocks {
        let range = block.model.start as usize..block.model.end as usize;
        if range.is_empty() || range.start < done || page.model.get(range.clone()).is_none() {
            continue;
        }
        push_gap(&mut runs, &page.model, done..range.start);
        let start = match runs.last() {
            Some((_, last)) => last.end,
            None => 0, // white space before the first block belongs to it
        };
        runs.push((block.role, start..range.end));
        done = range.end;
    }
    push_gap(&mut runs, &page.model, done..page.model.len());
    runs
}

fn push_gap(runs: &mut Vec<(Role, Range<usize>)>, text: &str, gap: Range<usize>) {
    if gap.is_empty() {
        return;
    }
    let blank = text[gap.clone()].trim().is_empty();
    match runs.last_mut() {
        Some((_, last)) if blank => last.end = gap.end,
        None if blank && gap.end < text.len() => {}
        _ => runs.push((Role::Paragraph, gap)),
    }
}

/// A running header's text with digits and spacing made equal.
fn squeeze(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").replace(|c: char| c.is_numeric(), "#")
}

/// Whether `text`, which opens page `index`, goes on with the sentence of `before` on another page.
fn flows(document: &Document, before: &Unit, index: usize, text: &str) -> bool {
    before.page != index
        && text.trim_start().starts_with(char::is_lowercase)
        && !document.pages[before.page].model[before.model.clone()]
            .trim_end()
            .ends_with(['.', '!', '?', ':', ';'])
}

struct Cutter<'a> {
    document: &'a Document,
    budget: usize,
    counter: &'a dyn TokenCounter,
    /// What is in no chunk yet, last first.
    pending: Vec<Unit>,
}

impl Cutter<'_> {
    fn next_chunk(&mut self, number: u32, before: Option<&Chunk>) -> Chunk {
        let lead = match (self.pending.last(), before) {
            (Some(first), Some(before)) => self.lead(first, before),
            _ => Vec::new(),
        };
        let mut taken = self.fill(lead);
        loop {
            let chunk = self.build(number, &taken);
            let own = taken.own.len();
            if chunk.tokens <= self.budget {
                return chunk;
            } else if own > 1 {
                self.pending.extend(taken.own.pop());
            } else if !taken.lead.is_empty() {
                taken.lead.clear();
            } else {
                let Some(unit) = taken.own.pop() else { return chunk };
                match self.refined(&unit) {
                    Some(parts) => self.pending.extend(parts.into_iter().rev()),
                    None => return chunk,
                }
                taken = self.fill(Vec::new());
            }
        }
    }

    /// Takes units until the budget is full, and gives back those behind the best place to cut.
    fn fill(&mut self, lead: Vec<Unit>) -> Taken {
        let mut tokens: usize = lead.iter().map(|unit| unit.tokens).sum();
        let mut taken = Taken { lead, own: Vec::new() };
        while let Some(unit) = self.pending.pop() {
            if tokens + unit.tokens <= self.budget {
                tokens += unit.tokens;
                taken.own.push(unit);
                continue;
            }
            if taken.own.is_empty() && unit.tokens <= self.budget {
                // Better a whole block without its table's header than a cut one with it.
                taken.lead.clear();
                tokens = unit.tokens;
                taken.own.push(unit);
                continue;
            }
            // A block is cut only where a chunk would otherwise stay nearly empty.
            let cut_here = !taken.own.is_empty() && 3 * tokens >= self.budget;
            if !cut_here && let Some(parts) = self.refined(&unit) {
                self.pending.extend(parts.into_iter().rev());
                continue;
            }
            if taken.own.is_empty() {
                taken.own.push(unit);
                break;
            }
            self.pending.push(unit);
            let keep = self.best_cut(&taken);
            let back = taken.own.split_off(keep);
            self.pending.extend(back.into_iter().rev());
            break;
        }
        taken
    }

    /// How many units to keep: the best seam of the last third of the chunk; failing that, the last
    /// seam between blocks in its second third; failing that, the best of the last third again.
    fn best_cut(&self, taken: &Taken) -> usize {
        let mut tokens: usize = taken.lead.iter().map(|unit| unit.tokens).sum();
        let mut best = ((0, Seam::Word), taken.own.len());
        for (index, unit) in taken.own.iter().enumerate() {
            tokens += unit.tokens;
            let after = taken.own.get(index + 1).or(self.pending.last());
            let Some(seam) = after.map(|unit| unit.seam) else { continue };
            let late = 3 * tokens >= 2 * self.budget;
            let key = match (seam >= Seam::Block, late) {
                (true, true) => (2, seam),
                (true, false) if 3 * tokens >= self.budget => (1, Seam::Block),
                (false, true) => (0, seam),
                _ => continue,
            };
            if key >= best.0 {
                best = (key, index + 1);
            }
        }
        best.1
    }

    /// What the chunk that begins with `first` repeats: the header of its table, and the last
    /// sentence before it if a block was cut there.
    fn lead(&self, first: &Unit, before: &Chunk) -> Vec<Unit> {
        let page = &self.document.pages[first.page];
        let mut lead = Vec::new();
        if let Some(header) = &first.header {
            let unit = self.unit(first, header.clone(), Grain::Block);
            if HEADER_SHARE * unit.tokens <= self.budget {
                lead.push(unit);
            }
        }
        let continues = first.block_start < first.model.start;
        let Some(last) = before.pieces.last().filter(|last| last.page == page.number) else {
            return lead;
        };
        if !continues {
            return lead;
        }
        let end = first.model.start;
        let mut start = first.block_start.max(last.model_start as usize);
        start = start.max(end.saturating_sub(OVERLAP_BYTES_MAX));
        start = page.model.ceil_char_boundary(start);
        let text = &page.model[start..end];
        let sentence = sentences(text).pop().map_or(end, |range| start + range.start);
        let words = words(text);
        let tail = words.len().saturating_sub(OVERLAP_WORDS);
        let tail = words.get(tail).map_or(end, |range| start + range.start);
        for from in [sentence, tail] {
            let unit = self.unit(first, from..end, Grain::Sentence);
            if from < end && OVERLAP_SHARE * unit.tokens <= self.budget {
                lead.push(unit);
                break;
            }
        }
        lead
    }

    /// `unit` in smaller parts, or none if it is a single character.
    fn refined(&self, unit: &Unit) -> Option<Vec<Unit>> {
        let text = &self.document.pages[unit.page].model[unit.model.clone()];
        let (ranges, seam, grain) = match unit.grain {
            Grain::Block => (sentences(text), Seam::Sentence, Grain::Sentence),
            Grain::Sentence => (words(text), Seam::Word, Grain::Word),
            Grain::Word => (halves(text)?, Seam::Word, Grain::Word),
        };
        let part = |(index, range): (usize, &Range<usize>)| {
            let model = unit.model.start + range.start..unit.model.start + range.end;
            let mut part = self.unit(unit, model, grain);
            part.seam = if index == 0 { unit.seam } else { seam };
            part
        };
        let parts: Vec<Unit> = ranges.iter().enumerate().map(part).collect();
        match parts.as_slice() {
            [only] => self.refined(only),
            _ => Some(parts),
        }
    }

    /// A part of the block that `of` is of.
    fn unit(&self, of: &Unit, model: Range<usize>, grain: Grain) -> Unit {
        let tokens = self.counter.count(&self.document.pages[of.page].model[model.clone()]);
        Unit { model, tokens, grain, ..of.clone() }
    }

    fn build(&self, number: u32, taken: &Taken) -> Chunk {
        let mut text = String::new();
        let mut pieces: Vec<Piece> = Vec::new();
        let mut repeated = 0;
        for (index, unit) in taken.lead.iter().chain(&taken.own).enumerate() {
            let page = &self.document.pages[unit.page];
            let own_begins = index == taken.lead.len();
            let run = &page.model[unit.model.clone()];
            let adjoins = pieces.last().is_some_and(|last| {
                let end = last.model_start as usize + last.chunk.len();
                last.page == page.number && end == unit.model.start
            });
            if !adjoins {
                text.push_str(separator(&text, unit));
            }
            if own_begins {
                repeated = text.len();
            }
            match pieces.last_mut() {
                Some(last) if adjoins && !own_begins => last.chunk.end += run.len(),
                _ => pieces.push(Piece {
                    chunk: text.len()..text.len() + run.len(),
                    page: page.number,
                    model_start: unit.model.start as u32,
                }),
            }
            text.push_str(run);
        }
        let tokens = self.counter.count(&text);
        Chunk { number, text, pieces, tokens, repeated }
    }
}

/// What stands between `text` and a unit that does not adjoin it.
fn separator(text: &str, unit: &Unit) -> &'static str {
    match text.chars().next_back() {
        None | Some('\n') => "",
        Some(last) if unit.seam == Seam::Sentence && unit.grain == Grain::Block => {
            if last.is_whitespace() { "" } else { " " }
        }
        Some(_) => "\n",
    }
}

/// The units of one chunk.
struct Taken {
    /// Repeated from before.
    lead: Vec<Unit>,
    own: Vec<Unit>,
}

/// Words, each with the white space before it, as the common tokenizers join them; the white space
/// that ends the text belongs to the last.
fn words(text: &str) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let (mut start, mut in_word) = (0, false);
    for (at, c) in text.char_indices() {
        if c.is_whitespace() && in_word {
            ranges.push(start..at);
            start = at;
        }
        in_word = !c.is_whitespace();
    }
    match ranges.last_mut() {
        Some(last) if !in_word => last.end = text.len(),
        _ if start < text.len() => ranges.push(start..text.len()),
        _ => {}
    }
    ranges
}

fn halves(text: &str) -> Option<Vec<Range<usize>>> {
    let middle = text.ceil_char_boundary(text.len().div_ceil(2));
    let middle =
        if middle < text.len() { middle } else { text.floor_char_boundary(text.len() / 2) };
    (0 < middle && middle < text.len()).then(|| vec![0..middle, middle..text.len()])
}
