//! Builds a page block by block: the verbatim layer as given, the model layer by `TEXT_RULES`, and the
//! map between them. Every reader writes its text through here, so the rules stand in one place.
//!
//! TEXT_RULES, from verbatim to model layer:
//! - a run of white space and line ends inside a block becomes one space; after a hyphen a line end
//!   becomes nothing (the hyphen stays: `non-⏎exclusive` is `non-exclusive`), and the hyphen goes with it
//!   only where the document has the word in one elsewhere and nowhere with that hyphen; between Chinese or
//!   Japanese characters a line end becomes nothing;
//! - a tab in a table row becomes ` | `;
//! - ligatures U+FB00..U+FB06 become their letters; a letter with combining marks is composed (NFC);
//! - soft hyphens, zero-width characters, variation selectors, tags and other controls are left out.

use std::collections::BTreeSet;
use std::rc::Rc;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::document::{Block, Hidden, Page, PageFacts, PageState, Role};
use super::layers::OffsetMap;

/// A page under construction.
pub(super) struct PageBuilder {
    number: u32,
    label: String,
    verbatim: String,
    model: String,
    map: OffsetMap,
    blocks: Vec<Block>,
    hidden: Vec<Hidden>,
    pub(super) facts: PageFacts,
    /// Of the words that the ends of lines break, those that the document has whole elsewhere, with or
    /// without a hyphen; in lower case.
    pub(super) words: Rc<BTreeSet<String>>,
}

impl PageBuilder {
    pub(super) fn new(number: u32, label: impl Into<String>) -> PageBuilder {
        PageBuilder {
            number,
            label: label.into(),
            verbatim: String::new(),
            model: String::new(),
            map: OffsetMap::default(),
            blocks: Vec::new(),
            hidden: Vec::new(),
            facts: PageFacts::default(),
            words: Rc::default(),
        }
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// Bytes of the verbatim layer so far.
    pub(super) fn len(&self) -> usize {
        self.verbatim.len()
    }

    /// Appends a block. In `verbatim` line ends are `\n`, cells of a row are separated by `\t`. A
    /// block without a visible character is dropped.
    pub(super) fn block(
        &mut self,
        role: Role,
        verbatim: &str,
        label: Option<String>,
        place: Option<[f32; 4]>,
    ) {
        let is_row = matches!(role, Role::TableRow | Role::TableHeader);
        let text = if is_row { verbatim.trim_end() } else { verbatim.trim() };
        if text.chars().all(|c| c.is_whitespace() || is_left_out(c)) {
            return;
        }
        if !self.blocks.is_empty() {
            self.separate(if is_row { "\n" } else { "\n\n" });
        }
        let start = (self.verbatim.len() as u32, self.model.len() as u32);
        self.push_normalized(text, is_row);
        self.blocks.push(Block {
            role,
            verbatim: start.0..self.verbatim.len() as u32,
            model: start.1..self.model.len() as u32,
            label,
            clause: None,
            place,
        });
    }

    /// Text that a reader of the page does not see, and why.
    pub(super) fn hidden(&mut self, text: impl Into<String>, why: impl Into<String>) {
        let text = text.into();
        if !text.trim().is_empty() {
            self.hidden.push(Hidden { text, why: why.into() });
        }
    }

    /// The page; one without blocks that was to be `Read` is `Empty`.
    pub(super) fn finish(self, state: PageState) -> Page {
        debug_assert!(self.map.fits(&self.model, &self.verbatim));
        let state = match state {
            PageState::Read if self.blocks.is_empty() => PageState::Empty,
            other => other,
        };
        Page {
            number: self.number,
            label: self.label,
            state,
            verbatim: self.verbatim,
            model: self.model,
            map: self.map,
            blocks: self.blocks,
            hidden: self.hidden,
            facts: self.facts,
            picture: None,
        }
    }

    /// White space between blocks, the same in both layers.
    fn separate(&mut self, separator: &str) {
        self.verbatim.push_str(separator);
        self.model.push_str(separator);
        self.map.push_equal(separator.len());
    }

    fn push_normalized(&mut self, text: &str, is_row: bool) {
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let (taken, replacement) = if let Some(taken) = self.hyphenation(rest) {
                (taken, Some(String::new()))
            } else if is_row && first == '\t' {
                (1, Some(" | ".to_owned()))
            } else if is_blank(first) {
                self.blank_run(rest, is_row)
            } else {
                visible_run(rest, first)
            };
            let (source, after) = rest.split_at(taken);
            rest = after;
            self.verbatim.push_str(source);
            match replacement {
                Some(replacement) if replacement != source => {
                    self.model.push_str(&replacement);
                    self.map.push_replaced(replacement.len(), source.len());
                }
                _ => {
                    self.model.push_str(source);
                    self.map.push_equal(source.len());
                }
            }
        }
    }

    /// The hyphen and line end that start `rest`, where they part a word that is written in one elsewhere
    /// in the document and nowhere with that hyphen.
    fn hyphenation(&self, rest: &str) -> Option<usize> {
        let after = rest.strip_prefix(['-', '\u{2010}'])?;
        let blank = after.find(|c| !is_blank(c))?;
        if self.words.is_empty() || !after[..blank].contains('\n') {
            return None;
        }
        let (joined, hyphened) = broken_word(&self.model, &after[blank..])?;
        let whole = self.words.contains(&joined) && !self.words.contains(&hyphened);
        whole.then(|| rest.len() - after.len() + blank)
    }

    /// A run of white space (and what is left out inside it) that starts `rest`.
    fn blank_run(&self, rest: &str, is_row: bool) -> (usize, Option<String>) {
        let is_part = |c: char| (is_blank(c) || is_left_out(c)) && !(is_row && c == '\t');
        let taken = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let line_end = rest[..taken].contains('\n');
        let joined = line_end
            && ((rest[taken..].starts_with(char::is_alphanumeric)
                && (self.verbatim.ends_with('\u{ad}')
                    || (self.model.ends_with('-')
                        && self.model[..self.model.len() - 1].ends_with(char::is_alphanumeric))))
                || (self.model.ends_with(is_unspaced) && rest[taken..].starts_with(is_unspaced)));
        (taken, Some(if joined { String::new() } else { " ".to_owned() }))
    }
}

/// The word whose parts end `before` and start `after`, without and with a hyphen between them, in lower
/// case. None where one side is no part of a word.
pub(super) fn broken_word(before: &str, after: &str) -> Option<(String, String)> {
    let is_part = |c: char| c.is_alphabetic() || c == '-';
    let start = before
        .rfind(|c| !is_part(c))
        .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
    let end = after.find(|c| !is_part(c)).unwrap_or(after.len());
    let (first, second) = (&before[start..], &after[..end]);
    let is_word = first.ends_with(char::is_alphabetic) && second.starts_with(char::is_lowercase);
    is_word.then(|| {
        let joined = format!("{first}{second}").to_lowercase();
        (joined, format!("{first}-{second}").to_lowercase())
    })
}

/// The longest prefix of `rest` that is copied as it is, or the short one that is replaced.
fn visible_run(rest: &str, first: char) -> (usize, Option<String>) {
    // The common case: plain text up to the next thing that may need a rule.
    let plain = rest.bytes().take_while(u8::is_ascii_graphic).count();
    if plain > 0 {
        let after = rest[plain..].chars().next();
        let is_marked = after.is_some_and(|c| !c.is_ascii() && is_combining_mark(c));
        // The last letter is left to the next round with its combining mark; so is a hyphen, which may
        // part a word.
        match is_marked || rest[..plain].ends_with('-') {
            true if plain > 1 => return (plain - 1, None),
            true if is_marked => {}
            _ => return (plain, None),
        }
    }
    if is_left_out(first) {
        let taken = rest.find(|c| !is_left_out(c)).unwrap_or(rest.len());
        return (taken, Some(String::new()));
    }
    if let Some(letters) = ligature(first) {
        return (first.len_utf8(), Some(letters.to_owned()));
    }
    let after = &rest[first.len_utf8()..];
    if after.chars().next().is_some_and(is_combining_mark) {
        let marks = after.find(|c| !is_combining_mark(c)).unwrap_or(after.len());
        let taken = first.len_utf8() + marks;
        return (taken, Some(rest[..taken].nfc().collect()));
    }
    (first.len_utf8(), None)
}

/// Of the scripts that are written without spaces: Chinese and Japanese, their signs and full-width forms.
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{2E80}'..='\u{30FF}' | '\u{31C0}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}'
        | '\u{FE30}'..='\u{FE4F}' | '\u{FF00}'..='\u{FFEF}' | '\u{20000}'..='\u{3FFFD}')
}

fn is_blank(c: char) -> bool {
    c.is_whitespace()
}

/// Characters that the model is not shown: they print nothing and can carry hidden text.
fn is_left_out(c: char) -> bool {
    matches!(c,
        '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}'
        | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E01EF}')
        || (c.is_control() && !c.is_whitespace())
}

/// The letters that the ligature `c` is drawn for.
pub(super) fn ligature(c: char) -> Option<&'static str> {
    Some(match c {
        '\u{FB00}' => "ff",
        '\u{FB01}' => "fi",
        '\u{FB02}' => "fl",
        '\u{FB03}' => "ffi",
        '\u{FB04}' => "ffl",
        '\u{FB05}' | '\u{FB06}' => "st",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(role: Role, text: &str) -> Page {
        let mut builder = PageBuilder::new(1, "1");
        builder.block(role, text, None, None);
        builder.finish(PageState::Read)
    }

    #[test]
    fn line_ends_join_and_hyphens_stay() {
        let page = page(Role::Paragraph, "a non-\nexclusive, wholly\nowned  ﬁrm - \n o\u{308}re");
        assert_eq!(page.model, "a non-exclusive, wholly owned firm - \u{f6}re");
        let at = page.model.find("firm").expect("in the model layer") as u32;
        let verbatim = page.map.to_verbatim(at..at + 4);
        assert_eq!(&page.verbatim[verbatim.start as usize..verbatim.end as usize], "ﬁrm");
    }

    #[test]
    fn a_hyphen_goes_only_where_the_word_is_known_in_one() {
        let words = ["example", "non-exclusive", "nonexclusive"].map(str::to_owned);
        let mut builder = PageBuilder::new(1, "1");
        builder.words = Rc::new(words.into());
        let text = "for exam-\nple a non-\nexclusive, un-\nknown, Exam-\nple and soft\u{ad}\nly";
        builder.block(Role::Paragraph, text, None, None);
        let page = builder.finish(PageState::Read);
        let model = "for example a non-exclusive, un-known, Example and softly";
        assert_eq!((page.model.as_str(), page.verbatim.as_str()), (model, text));
        let at = model.find("example").expect("it is joined") as u32;
        let place = page.map.to_verbatim(at..at + 7);
        assert_eq!(&text[place.start as usize..place.end as usize], "exam-\nple");
    }

    #[test]
    fn a_line_end_inside_japanese_is_no_space() {
        let page = page(Role::Paragraph, "賃貸借\n契約 of\n2024年\nand 계약\n서");
        assert_eq!(page.model, "賃貸借契約 of 2024年 and 계약 서");
    }

    #[test]
    fn cells_are_parted_and_empty_cells_keep_their_place() {
        let page = page(Role::TableRow, "\tName\t\tSum \n total");
        assert_eq!(page.model, " | Name |  | Sum total");
    }

    #[test]
    fn characters_that_print_nothing_do_not_reach_the_model() {
        let page = page(Role::Paragraph, "ig\u{AD}nore\u{200B} \u{E0041}this");
        assert_eq!(page.model, "ignore this");
        assert!(page.verbatim.contains('\u{E0041}'));
    }

    proptest! {
        #[test]
        fn layers_and_map_always_fit(texts in prop::collection::vec("\\PC*|[ \\t\\n\u{301}ﬁa-]{0,12}", 0..5)) {
            let mut builder = PageBuilder::new(1, "1");
            builder.words = Rc::new(["aa".to_owned()].into());
            for (index, text) in texts.iter().enumerate() {
                let role = if index % 2 == 0 { Role::Paragraph } else { Role::TableRow };
                builder.block(role, text, None, None);
            }
            let page = builder.finish(PageState::Read);
            prop_assert!(page.map.fits(&page.model, &page.verbatim));
            for block in &page.blocks {
                let mapped = page.map.to_verbatim(block.model.clone());
                prop_assert!(mapped.start >= block.verbatim.start && mapped.end <= block.verbatim.end);
            }
        }
    }
}
