//! Byte-level BPE (GPT-2 and its descendants): a word's bytes are merged by rank, and what no token
//! stands for falls apart as in llama.cpp. Words come from `pretokenizer`.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::merge::{Merger, Symbol};
use super::pretokenizer::Pretokenizer;
use super::vocabulary::{Index, Kind, Vocabulary, mix};

pub(super) struct Bpe {
    pretokenizer: Pretokenizer,
    /// Symbols of two neighbours (`pair`) → (rank, symbol of their union). A symbol is a token, or
    /// beyond the vocabulary a string that merges lead through.
    merges: HashMap<u64, (u32, u32), BuildHasherDefault<PairHasher>>,
    /// The symbol of each byte.
    bytes: [u32; 256],
    /// The strings of the symbols beyond the vocabulary.
    others: Vec<Box<[u8]>>,
    /// Finds words that are tokens whatever the merges say, where the profile asks for it.
    words: Option<Index>,
}

impl Bpe {
    /// `merges`: the file's lines, `left right`, best first. A pair with a character that stands for no
    /// byte can never be met, and is left out.
    pub fn new(pretokenizer: Pretokenizer, vocabulary: &Vocabulary, merges: &[&str]) -> Bpe {
        let index = Index::new(vocabulary, vocabulary.of_kind(Kind::Normal));
        let (mut others, mut known) = (Vec::new(), HashMap::new());
        let mut symbol = |text: &[u8]| {
            index.get(vocabulary, text).or_else(|| known.get(text).copied()).unwrap_or_else(|| {
                let symbol = (vocabulary.len() + others.len()) as u32;
                others.push(Box::from(text));
                known.insert(Box::<[u8]>::from(text), symbol);
                symbol
            })
        };
        let bytes = std::array::from_fn(|byte| symbol(&[byte as u8]));
        let mut ranked = HashMap::with_capacity_and_hasher(merges.len(), Default::default());
        let mut text = Vec::new();
        for (rank, line) in (0..).zip(merges) {
            text.clear();
            let Some((left, right)) = line.split_once(' ') else { continue };
            if !push_bytes(left, &mut text) {
                continue;
            }
            let middle = text.len();
            if !push_bytes(right, &mut text) {
                continue;
            }
            let union = symbol(&text);
            let pair = pair(symbol(&text[..middle]), symbol(&text[middle..]));
            // A pair that is listed twice keeps its first rank.
            ranked.entry(pair).or_insert((rank, union));
        }
        let words = pretokenizer.whole_words.then_some(index);
        Bpe { pretokenizer, merges: ranked, bytes, others, words }
    }

    /// Appends the ids of `text`, which is one piece between special tokens.
    pub fn encode(&self, vocabulary: &Vocabulary, text: &str, ids: &mut Vec<u32>) {
        let mut merger = Merger::default();
        self.pretokenizer.split(text, |word| {
            self.encode_word(vocabulary, word.as_bytes(), &mut merger, ids);
        });
    }

    fn encode_word(
        &self,
        vocabulary: &Vocabulary,
        word: &[u8],
        merger: &mut Merger,
        ids: &mut Vec<u32>,
    ) {
        if let Some(id) = self.words.as_ref().and_then(|words| words.get(vocabulary, word)) {
            return ids.push(id);
        }
        merger.symbols.clear();
        let symbol =
            |(start, &byte): (usize, &u8)| Symbol::new(start, 1, self.bytes[usize::from(byte)]);
        merger.symbols.extend(word.iter().enumerate().map(symbol));
        merger.merge(|left, right| self.merges.get(&pair(left.id, right.id)).copied());
        let is_token = |id: u32| (id as usize) < vocabulary.len();
        for symbol in merger.merged() {
            if is_token(symbol.id) {
                ids.push(symbol.id);
                continue;
            }
            // llama.cpp looks such a symbol up byte by byte, which finds printable ASCII only; other
            // bytes are lost (SmolLM2 has no token for some bytes).
            let bytes = &self.others[symbol.id as usize - vocabulary.len()];
            let printable = bytes.iter().filter(|byte| byte.is_ascii_graphic());
            let tokens = printable.map(|&byte| self.bytes[usize::from(byte)]);
            ids.extend(tokens.filter(|&id| is_token(id)));
        }
    }
}

/// Two neighbours as one key.
fn pair(left: u32, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}

/// Hashes pairs; the default hasher takes most of the time of a merge.
#[derive(Default)]
struct PairHasher(u64);

impl Hasher for PairHasher {
    fn write_u64(&mut self, pair: u64) {
        self.0 = mix(pair);
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a pair is one number");
    }

    fn finish(&self) -> u64 {
        self.0
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

/// Appends the bytes of a byte-level text; false, and nothing, where a character stands for no byte.
pub(super) fn push_bytes(text: &str, bytes: &mut Vec<u8>) -> bool {
    let start = bytes.len();
    for c in text.chars() {
        match byte_of(c) {
            Some(byte) => bytes.push(byte),
            None => {
                bytes.truncate(start);
                return false;
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_one_character() {
        let mut bytes: Vec<u8> = ('\0'..='\u{200}').filter_map(byte_of).collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
        assert!(push_bytes("Ġa", &mut bytes) && bytes.ends_with(b" a"));
        assert!(!push_bytes("a\u{2581}", &mut bytes) && bytes.ends_with(b" a"));
    }
}
