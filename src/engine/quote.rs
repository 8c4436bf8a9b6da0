//! The constraint of a verbatim quote: the set of places in a document that still match what was
//! written, starting and ending at word edges.
//!
//! A document is cut into units at its word edges: a unit is a word, or one other character. A word is
//! a run of letters, digits and marks, with hyphens, apostrophes and points that stand inside it
//! (`non-exclusive`, `1,250.00`, `U.S`), so that a quote cannot end at `non` or at `1,250`; a character
//! of a script without spaces (Han, Kana, Thai, …) is a word of its own. A quote begins and ends at
//! units that are not white space, holds at least one word and at most `words_max`.

use std::ops::Range;
use std::sync::Arc;

use unicode_normalization::char::is_combining_mark;

use super::tokenizer::{ROOT, Trie};

/// The places of one document where quotes may stand: the same for every question about it.
pub(super) struct Passages {
    text: Arc<str>,
    /// Where a quote may begin, ascending.
    begins: Vec<Begin>,
    /// The words' places, ascending.
    words: Vec<Range<usize>>,
    /// Where a quote may end, ascending.
    ends: Vec<usize>,
}

/// A place where a quote may begin, however many words it may have.
struct Begin {
    at: usize,
    /// The first word from here on, as an index of `Passages::words`.
    word: usize,
    /// No quote from here goes beyond it.
    barrier: usize,
}

/// A place where a quote of so many words may begin.
#[derive(Clone, Copy)]
struct Start {
    at: usize,
    /// The end of the first word: no quote from here ends before it.
    first_end: usize,
    /// The last end within the words that a quote may have; at least `first_end`.
    last_end: usize,
}

impl Passages {
    /// Whatever no token can write (a byte that the vocabulary lacks) is in no quote.
    pub fn new(text: &Arc<str>, trie: &Trie) -> Passages {
        let units = units(text);
        let is_space = |unit: &Unit| text[unit.range.clone()].chars().all(char::is_whitespace);
        let ends: Vec<usize> =
            units.iter().filter(|unit| !is_space(unit)).map(|unit| unit.range.end).collect();
        let words: Vec<Range<usize>> =
            units.iter().filter(|unit| unit.is_word).map(|unit| unit.range.clone()).collect();
        let barriers: Vec<usize> =
            (0..text.len()).filter(|&at| !trie.has_byte(text.as_bytes()[at])).collect();
        let begin = |at: usize| {
            let word = words.partition_point(|word| word.start < at);
            let barrier = barriers.get(barriers.partition_point(|&barrier| barrier < at));
            let barrier = barrier.copied().unwrap_or(text.len());
            (words.get(word)?.end <= barrier).then_some(Begin { at, word, barrier })
        };
        let begins = units.iter().filter(|unit| !is_space(unit));
        let begins = begins.filter_map(|unit| begin(unit.range.start)).collect();
        Passages { text: text.clone(), begins, words, ends }
    }

    /// Whether there is nothing to quote.
    pub fn is_empty(&self) -> bool {
        self.begins.is_empty()
    }

    /// At least one word fits before every barrier, so `words_max` of at least 1 keeps every begin.
    fn start(&self, begin: &Begin, words_max: usize) -> Start {
        let beyond = self.words.get(begin.word.saturating_add(words_max));
        let bound = beyond.map_or(self.text.len(), |word| word.start).min(begin.barrier);
        let first_end = self.words[begin.word].end;
        let last = self.ends.partition_point(|&end| end <= bound).checked_sub(1);
        let last_end = last.map_or(first_end, |last| self.ends[last]);
        Start { at: begin.at, first_end, last_end }
    }
}

/// A quote being written.
pub(super) struct Quote {
    passages: Arc<Passages>,
    /// The starts whose text begins with what was written, in the document's order.
    candidates: Vec<Start>,
    /// Bytes written, a leading space not counted.
    written: usize,
}

impl Quote {
    /// A quote of at most `words_max` words, at least one.
    pub fn new(passages: Arc<Passages>, words_max: usize) -> Quote {
        let start = |begin| passages.start(begin, words_max);
        let candidates = passages.begins.iter().map(start).collect();
        Quote { passages, candidates, written: 0 }
    }

    /// The bytes of a token as they count: a space before the quote's first word is no part of it
    /// (most vocabularies hold a word with the space before it).
    fn counted<'t>(&self, token: &'t [u8]) -> &'t [u8] {
        match token {
            [b' ', rest @ ..] if self.written == 0 => rest,
            _ => token,
        }
    }

    fn continues(&self, start: &Start, bytes: &[u8]) -> bool {
        let at = start.at + self.written;
        at + bytes.len() <= start.last_end && self.passages.text.as_bytes()[at..].starts_with(bytes)
    }

    /// Whether a token of these bytes may come next.
    pub fn allows(&self, token: &[u8]) -> bool {
        let bytes = self.counted(token);
        !bytes.is_empty() && self.candidates.iter().any(|start| self.continues(start, bytes))
    }

    /// Calls `allow` for every token that may come next, some more than once.
    pub fn each_allowed(&self, trie: &Trie, mut allow: impl FnMut(u32)) {
        let spaced = (self.written == 0).then(|| trie.child(ROOT, b' ')).flatten();
        for start in &self.candidates {
            for root in [Some(ROOT), spaced].into_iter().flatten() {
                let mut node = root;
                let rest = start.at + self.written..start.last_end;
                for &byte in &self.passages.text.as_bytes()[rest] {
                    let Some(child) = trie.child(node, byte) else { break };
                    node = child;
                    trie.tokens_at(node).iter().for_each(|&token| allow(token));
                }
            }
        }
    }

    /// Appends a token that is allowed.
    pub fn accept(&mut self, token: &[u8]) {
        let bytes = self.counted(token);
        let mut candidates = std::mem::take(&mut self.candidates);
        candidates.retain(|start| self.continues(start, bytes));
        self.candidates = candidates;
        self.written += bytes.len();
    }

    /// Where the quote stands, if it may end here: the first such place.
    pub fn place(&self) -> Option<Range<usize>> {
        let ends_at = |start: &Start| start.at + self.written;
        let complete = |start: &&Start| {
            let end = ends_at(start);
            end >= start.first_end && self.passages.ends.binary_search(&end).is_ok()
        };
        self.candidates.iter().find(complete).map(|start| start.at..ends_at(start))
    }

    /// Where in the document the quote goes on, if there is one place only and it does not end here.
    pub fn next(&self) -> Option<usize> {
        let [start] = self.candidates[..] else { return None };
        Some(start.at + self.written).filter(|&at| at < start.last_end)
    }

    /// Whether any place lets it go on.
    pub fn can_continue(&self) -> bool {
        self.candidates.iter().any(|start| start.at + self.written < start.last_end)
    }

    /// The text of a place in the document.
    pub fn text(&self, place: Range<usize>) -> &str {
        &self.passages.text[place]
    }
}

/// What lies between two neighbouring word edges.
pub(super) struct Unit {
    pub range: Range<usize>,
    pub is_word: bool,
}

pub(super) fn units(text: &str) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    let chars: Vec<(usize, char)> = text.char_indices().collect();
    for (i, &(at, c)) in chars.iter().enumerate() {
        let end = at + c.len_utf8();
        let char_at = |i: usize| chars.get(i).map(|&(_, c)| c);
        let before = i.checked_sub(1).and_then(char_at);
        let joins = before.is_some_and(|before| {
            let before_that = i.checked_sub(2).and_then(char_at);
            clings(c) && !before.is_whitespace()
                || before == ZERO_WIDTH_JOINER && !c.is_whitespace()
                || is_letter(before)
                    && (is_letter(c) || char_at(i + 1).is_some_and(|after| links(before, c, after)))
                || before_that.is_some_and(|before_that| links(before_that, before, c))
        });
        match units.last_mut() {
            Some(unit) if joins => {
                unit.range.end = end;
                unit.is_word |= c.is_alphanumeric();
            }
            _ => units.push(Unit { range: at..end, is_word: c.is_alphanumeric() }),
        }
    }
    units
}

const ZERO_WIDTH_JOINER: char = '\u{200d}';

/// Belongs to the character before it.
fn clings(c: char) -> bool {
    is_combining_mark(c) || c == ZERO_WIDTH_JOINER
}

/// Runs of these are words. Marks are among them so that a letter after a marked one joins it.
fn is_letter(c: char) -> bool {
    (c.is_alphanumeric() || c == '_' || is_combining_mark(c)) && !is_spaceless(c)
}

/// Whether `c` between these two is inside a word.
fn links(before: char, c: char, after: char) -> bool {
    let inside = is_letter(before) && is_letter(after);
    match c {
        '\'' | '’' | '-' | '\u{2010}' | '\u{2011}' | '.' => inside,
        ',' => before.is_numeric() && after.is_numeric(),
        _ => false,
    }
}

/// Letters of scripts that put no space between words (Unicode blocks).
fn is_spaceless(c: char) -> bool {
    matches!(c as u32,
        0x0e00..=0x0eff // Thai, Lao
        | 0x1000..=0x109f // Myanmar
        | 0x1780..=0x17ff // Khmer
        | 0x2e80..=0x2fdf // radicals
        | 0x3005..=0x3007 | 0x3021..=0x3029
        | 0x3040..=0x30ff | 0x31f0..=0x31ff | 0xff66..=0xff9f // Kana
        | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xf900..=0xfaff | 0x20000..=0x3ffff // Han
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_not_cut_where_that_would_change_them() {
        let words = |text: &str| -> Vec<String> {
            let units = units(text);
            let words = units.into_iter().filter(|unit| unit.is_word);
            words.map(|unit| text[unit.range].to_owned()).collect()
        };
        let text = "A non-exclusive licence, $1,250,000.00 (2026-01-31); Seller’s U.S. rights.";
        let expected = [
            "A",
            "non-exclusive",
            "licence",
            "1,250,000.00",
            "2026-01-31",
            "Seller’s",
            "U.S",
            "rights",
        ];
        assert_eq!(words(text), expected);
        assert_eq!(
            words("a,b x- -y café\u{301}s 漢字か ไทย"),
            ["a", "b", "x", "y", "café\u{301}s", "漢", "字", "か", "ไ", "ท", "ย"]
        );
    }
}
