//! SentencePiece BPE as llama.cpp reads it: pairs that form a token are merged by score, best first.
//! Characters without a token become their bytes' tokens. Not unigram: no search for the best path.

use std::collections::HashMap;

use super::merge::{Merger, Symbol};

/// U+2581, which stands for a space in the vocabulary.
pub(super) const SPACE: char = '\u{2581}';

pub(super) struct Spm {
    /// Text (with U+2581) of plain tokens → (cost of merging to it, token id).
    tokens: HashMap<Box<str>, (u32, u32)>,
    /// The token of each byte.
    bytes: [u32; 256],
}

impl Spm {
    /// `tokens`: the plain tokens' text, score and id.
    pub fn new<'a>(tokens: impl Iterator<Item = (&'a str, f32, u32)>, bytes: [u32; 256]) -> Spm {
        let tokens = tokens.map(|(text, score, id)| (text.into(), (cost(score), id))).collect();
        Spm { tokens, bytes }
    }

    /// Appends the ids of `text`, which is one piece between special tokens; with `space_prefix` a
    /// space is put before it.
    pub fn encode(&self, text: &str, space_prefix: bool, ids: &mut Vec<u32>) {
        let mut escaped = String::with_capacity(text.len() * 2);
        if space_prefix {
            escaped.push(SPACE);
        }
        escaped.extend(text.chars().map(|c| if c == ' ' { SPACE } else { c }));
        let mut merger = Merger::default();
        merger.symbols.extend(
            escaped.char_indices().map(|(start, c)| Symbol::new(start, c.len_utf8(), NO_TOKEN)),
        );
        merger.merge(|left, right| {
            self.tokens.get(&escaped[left.start..right.start + right.len]).copied()
        });
        for symbol in merger.merged() {
            let text = &escaped[symbol.start..symbol.start + symbol.len];
            match self.tokens.get(text) {
                Some(&(_, id)) => ids.push(id),
                None => ids.extend(text.bytes().map(|byte| self.bytes[usize::from(byte)])),
            }
        }
    }
}

/// Until a symbol is merged its id is looked up by text.
const NO_TOKEN: u32 = u32::MAX;

/// An integer that is less for a better score.
fn cost(score: f32) -> u32 {
    // Minus zero and zero are the same score.
    let bits = (score + 0.0).to_bits();
    // The order of floats as integers (IEEE 754, totalOrder), turned round.
    if bits >> 31 == 1 { bits } else { !(bits | 1 << 31) }
}

#[cfg(test)]
mod tests {
    use super::cost;

    #[test]
    fn better_scores_cost_less() {
        let scores = [3.5, 1.0, 0.0, -0.5, -1.0, -1e9];
        assert!(scores.windows(2).all(|pair| cost(pair[0]) < cost(pair[1])));
        assert_eq!(cost(0.0), cost(-0.0));
    }
}
