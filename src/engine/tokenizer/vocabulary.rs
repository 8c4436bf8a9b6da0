//! What the tokens of a model write: each token's bytes once, side by side. Their texts as the file has
//! them, and what a tokenizer makes of them, are not kept here.

use super::{TokenizerError, bpe, spm};

/// The tokens of one model by their ids.
pub(super) struct Vocabulary {
    /// What they write, one after the other.
    bytes: Vec<u8>,
    /// Where the bytes of each end.
    ends: Vec<usize>,
    kinds: Vec<Kind>,
}

/// `tokenizer.ggml.token_type` (llama.cpp, `llama_token_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

impl Vocabulary {
    /// Of a byte-level vocabulary: a character of a text stands for a byte.
    pub fn byte_level(texts: &[&str], kinds: &[Kind]) -> Vocabulary {
        Vocabulary::new(texts, kinds, |text, kind, bytes| match kind {
            // A character that stands for no byte is its own text.
            Kind::Normal | Kind::Byte => {
                if !bpe::push_bytes(text, bytes) {
                    bytes.extend_from_slice(text.as_bytes());
                }
            }
            Kind::UserDefined => bytes.extend_from_slice(text.as_bytes()),
            Kind::Unknown | Kind::Control | Kind::Unused => {}
        })
    }

    /// Of a SentencePiece vocabulary: U+2581 stands for a space, `<0x0A>` for a byte.
    pub fn sentencepiece(texts: &[&str], kinds: &[Kind]) -> Vocabulary {
        Vocabulary::new(texts, kinds, |text, kind, bytes| match kind {
            Kind::Normal | Kind::UserDefined => {
                bytes.extend_from_slice(text.replace(spm::SPACE, " ").as_bytes());
            }
            Kind::Byte => bytes.extend(byte_named(text)),
            Kind::Unknown | Kind::Control | Kind::Unused => {}
        })
    }

    /// `write` appends what a token of a text and kind writes.
    fn new(texts: &[&str], kinds: &[Kind], write: impl Fn(&str, Kind, &mut Vec<u8>)) -> Vocabulary {
        let mut bytes = Vec::new();
        let end = |(&text, &kind): (&&str, &Kind)| {
            write(text, kind, &mut bytes);
            bytes.len()
        };
        let ends = texts.iter().zip(kinds).map(end).collect();
        bytes.shrink_to_fit();
        Vocabulary { bytes, ends, kinds: kinds.to_vec() }
    }

    /// Number of token ids.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// What a token writes; nothing for ids beyond the vocabulary.
    pub fn bytes(&self, id: u32) -> &[u8] {
        let id = id as usize;
        let Some(&end) = self.ends.get(id) else { return &[] };
        let start = id.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..end]
    }

    pub fn kind(&self, id: u32) -> Option<Kind> {
        self.kinds.get(id as usize).copied()
    }

    /// Whether a token only writes its text: an answer is made of these.
    pub fn is_plain(&self, id: u32) -> bool {
        match self.kind(id) {
            Some(Kind::Normal | Kind::Byte) => !self.bytes(id).is_empty(),
            // Its bytes are its text.
            Some(Kind::UserDefined) => !looks_like_markup(self.bytes(id)),
            Some(Kind::Unknown | Kind::Control | Kind::Unused) | None => false,
        }
    }

    /// The tokens of one kind, ascending.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = u32> {
        (0..).zip(&self.kinds).filter(move |&(_, &other)| other == kind).map(|(id, _)| id)
    }

    /// The token of each byte, for a vocabulary that can write every byte.
    pub fn byte_tokens(&self) -> Result<[u32; 256], TokenizerError> {
        let mut ids = [None; 256];
        for id in self.of_kind(Kind::Byte) {
            if let &[byte] = self.bytes(id) {
                ids[usize::from(byte)] = Some(id);
            }
        }
        let mut all = [0; 256];
        for (byte, id) in (0..=255u8).zip(ids) {
            all[usize::from(byte)] = id.ok_or(TokenizerError::NoByte(byte))?;
        }
        Ok(all)
    }
}

/// Whether a user-defined token may mean more to the model than its text (`<tool_call>`), unlike a run
/// of spaces or a letter.
pub(super) fn looks_like_markup(text: &[u8]) -> bool {
    text.iter().any(|byte| b"<>[]{}|".contains(byte))
}

/// The byte of `<0x0A>`.
fn byte_named(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok())?
}

/// Finds tokens by their bytes: ids in a table that is at most half full, each at the first free place
/// from its hash on.
pub(super) struct Index {
    slots: Vec<u32>,
}

/// No token: ids are below 2^24.
const FREE: u32 = u32::MAX;

impl Index {
    /// Over `ids`; of tokens with the same bytes the last is found.
    pub fn new(vocabulary: &Vocabulary, ids: impl Iterator<Item = u32>) -> Index {
        let mut index = Index { slots: vec![FREE; (2 * vocabulary.len() + 1).next_power_of_two()] };
        for id in ids {
            let slot = index.slot(vocabulary, vocabulary.bytes(id));
            index.slots[slot] = id;
        }
        index
    }

    pub fn get(&self, vocabulary: &Vocabulary, bytes: &[u8]) -> Option<u32> {
        Some(self.slots[self.slot(vocabulary, bytes)]).filter(|&id| id != FREE)
    }

    /// The place of the token that writes `bytes`, or the free one where it would be.
    fn slot(&self, vocabulary: &Vocabulary, bytes: &[u8]) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = hash(bytes) as usize & mask;
        while self.slots[at] != FREE && vocabulary.bytes(self.slots[at]) != bytes {
            at = (at + 1) & mask;
        }
        at
    }
}

/// Spreads strings over a table. Not against strings that someone makes to collide: what is put into the
/// table comes from the model file, which is trusted.
fn hash(bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(bytes.len() as u64, |hash, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        mix(hash ^ u64::from_le_bytes(word))
    })
}

/// Every bit of the result depends on every bit of `x` (Wang Yi's wyhash: both halves of a product).
pub(super) fn mix(x: u64) -> u64 {
    let product = u128::from(x ^ 0xa076_1d64_78bd_642f) * 0xe703_7ed1_a0b4_28db;
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_equal_tokens_is_found_and_nothing_that_is_not_there() {
        let texts: Vec<String> = (0..1000).map(|number| format!("t{}", number % 900)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let vocabulary = Vocabulary::byte_level(&texts, &[Kind::Normal; 1000]);
        let index = Index::new(&vocabulary, 0..1000);
        for (id, text) in (0..).zip(&texts[..900]) {
            assert_eq!(vocabulary.bytes(id), text.as_bytes());
            let last = if id < 100 { 900 + id } else { id };
            assert_eq!(index.get(&vocabulary, text.as_bytes()), Some(last));
        }
        assert_eq!(index.get(&vocabulary, b"t900"), None);
        assert_eq!(index.get(&vocabulary, b""), None);
        assert_eq!(vocabulary.bytes(1000), b"");
    }
}
