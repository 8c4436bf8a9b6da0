//! Which of the words that line ends break stand whole elsewhere in the document: what tells a hyphen of
//! the typesetter from a hyphen of the word.

use std::collections::BTreeSet;

use super::layout::Line;
use crate::extract::page_builder::broken_word;

/// Of the words broken at line ends of `pages`, both with and without the hyphen, those that some line
/// has in one piece.
pub(super) fn seen_whole<'a>(pages: impl Iterator<Item = &'a [Line]> + Clone) -> BTreeSet<String> {
    let ends = |pair: &[Line]| {
        let before = pair[0].text.strip_suffix(['-', '\u{2010}'])?;
        broken_word(before, &pair[1].text)
    };
    let mut asked = BTreeSet::new();
    for (joined, hyphened) in pages.clone().flat_map(|lines| lines.windows(2)).filter_map(ends) {
        asked.insert(joined);
        asked.insert(hyphened);
    }
    if asked.is_empty() {
        return asked;
    }
    let mut seen = BTreeSet::new();
    for line in pages.flatten() {
        for word in line.text.split(|c: char| !c.is_alphabetic() && c != '-') {
            // A broken word's own halves are none.
            if word.len() > 3 && !word.ends_with('-') {
                let word = word.to_lowercase();
                if asked.contains(&word) {
                    seen.insert(word);
                }
            }
        }
    }
    seen
}
