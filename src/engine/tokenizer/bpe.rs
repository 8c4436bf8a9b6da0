//! Byte-level BPE (GPT-2 and its descendants): a word's bytes are merged by rank, and what no token
//! stands for falls apart as in llama.cpp. Words come from `pretokenizer`.

use std::collections::HashMap;

use super::merge::{Merger, Symbol};
use super::pretokenizer::Pretokenizer;

pub(super) struct Bpe {
    pretokenizer: Pretokenizer,
    /// Symbols of two neighbours → (rank, symbol of their union).
    merges: HashMap<(u32, u32), (u32, u32)>,
    /// By symbol: its token, where the vocabulary has one. The first 256 are the bytes.
    tokens: Vec<Option<u32>>,
    /// By symbol: its bytes.
    texts: Vec<Box<[u8]>>,
    /// Words that are tokens whatever the merges say; empty unless the profile asks for it.
    words: HashMap<Box<[u8]>, u32>,
}

impl Bpe {
    /// `tokens`: the plain tokens' bytes → ids. `merges`: pairs of byte strings, best first.
    pub fn new(
        pretokenizer: Pretokenizer,
        tokens: HashMap<Box<[u8]>, u32>,
        merges: impl Iterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Bpe {
        let mut texts: Vec<Box<[u8]>> = (0..=255).map(|byte| Box::from([byte])).collect();
        let mut symbols: HashMap<Box<[u8]>, u32> = texts.iter().cloned().zip(0..).collect();
        let mut symbol = |text: Vec<u8>| {
            *symbols.entry(text.into_boxed_slice()).or_insert_with_key(|text| {
                texts.push(text.clone());
                texts.len() as u32 - 1
            })
        };
        let mut ranked = HashMap::new();
        for (rank, (left, right)) in (0..).zip(merges) {
            let union = symbol([left.as_slice(), &right].concat());
            // A pair that is listed twice keeps its first rank.
            ranked.entry((symbol(left), symbol(right))).or_insert((rank, union));
        }
        let by_symbol = texts.iter().map(|text| tokens.get(text).copied()).collect();
        let words = if pretokenizer.whole_words { tokens } else { HashMap::new() };
        Bpe { pretokenizer, merges: ranked, tokens: by_symbol, texts, words }
    }

    /// Appends the ids of `text`, which is one piece between special tokens.
    pub fn encode(&self, text: &str, ids: &mut Vec<u32>) {
        let mut merger = Merger::default();
        self.pretokenizer.split(text, |word| self.encode_word(word.as_bytes(), &mut merger, ids));
    }

    fn encode_word(&self, word: &[u8], merger: &mut Merger, ids: &mut Vec<u32>) {
        if let Some(&id) = self.words.get(word) {
            return ids.push(id);
        }
        merger.symbols.clear();
        merger.symbols.extend(
            word.iter().enumerate().map(|(start, &byte)| Symbol::new(start, 1, u32::from(byte))),
        );
        merger.merge(|left, right| self.merges.get(&(left.id, right.id)).copied());
        for symbol in merger.merged() {
            match self.tokens[symbol.id as usize] {
                Some(id) => ids.push(id),
                // llama.cpp looks such a symbol up byte by byte, which finds printable ASCII only;
                // other bytes are lost (SmolLM2 has no token for some bytes).
                None => ids.extend(
                    self.texts[symbol.id as usize]
                        .iter()
                        .filter(|byte| byte.is_ascii_graphic())
                        .filter_map(|&byte| self.tokens[usize::from(byte)]),
                ),
            }
        }
    }
}

/// The byte that a character of a byte-level vocabulary stands for (GPT-2's `bytes_to_unicode`).
pub(super) fn byte_of(c: char) -> Option<u8> {
    let code = c as u32;
    match code {
        0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => Some(code as u8),
        // The 68 others in ascending order: 0..=0x20, 0x7f..=0xa0, 0xad.
        0x100..=0x120 => Some((code - 0x100) as u8),
        0x121..=0x142 => Some((code - 0x121 + 0x7f) as u8),
        0x143 => Some(0xad),
        _ => None,
    }
}

/// The bytes of a byte-level text; none where a character stands for no byte.
pub(super) fn bytes_of(text: &str) -> Option<Vec<u8>> {
    text.chars().map(byte_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_one_character() {
        let mut bytes: Vec<u8> = ('\0'..='\u{200}').filter_map(byte_of).collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
        assert_eq!(bytes_of("Ġa").as_deref(), Some(b" a".as_slice()));
    }
}
