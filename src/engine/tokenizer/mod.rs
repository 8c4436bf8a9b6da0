//! Text ↔ token ids, built from the GGUF's own metadata. Not the chat template: that is `template`.
//!
//! The ids are llama.cpp's (`parse_special = false`), with one exception that we want: a document can
//! never become a token that means something to the model beyond its text. llama.cpp recognizes
//! tokens of type "user defined" in any text, and `<tool_call>` is one in Qwen's files; and its
//! SentencePiece merging can arrive at a control or byte token by its spelling (`<0x0A>`). Here such
//! tokens are spelled out.

mod bpe;
mod merge;
mod pretokenizer;
mod spm;
mod trie;
mod vocabulary;

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use candle_core::quantized::gguf_file::Value;

use self::bpe::Bpe;
use self::pretokenizer::Pretokenizer;
use self::spm::Spm;
use self::vocabulary::{Kind, Vocabulary, looks_like_markup};
use crate::base::{Digest, TokenCounter};

pub use trie::{ROOT, Trie};

/// The tokenizer of one model.
pub struct Tokenizer {
    encoder: Encoder,
    vocabulary: Vocabulary,
    /// Tokens that `encode` recognizes in any text: (text, id), longest first.
    plain_specials: Vec<(String, u32)>,
    /// Tokens that `encode_template` recognizes: (text, id), longest first.
    template_specials: Vec<(String, u32)>,
    ends: BTreeSet<u32>,
    add_bos: bool,
    bos: Option<Named>,
    eos: Option<Named>,
    digest: Digest,
}

/// A token that the file names, with its text as the file has it.
struct Named {
    id: u32,
    text: String,
}

enum Encoder {
    Bpe(Box<Bpe>),
    Spm { spm: Box<Spm>, space_prefix: bool },
}

/// Why a file's tokenizer cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenizerError {
    /// A key is missing, or its value is not of the type or length that it must be.
    Key(String),
    /// `tokenizer.ggml.model` names a kind of tokenizer that this program has not.
    Model(String),
    /// `tokenizer.ggml.pre` names a way to split words that this program does not know.
    Pretokenizer(String),
    /// A SentencePiece vocabulary without a token for this byte.
    NoByte(u8),
    /// More tokens than an id can count.
    TooMany(usize),
}

impl fmt::Display for TokenizerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenizerError::Key(key) => {
                write!(f, "the model file's {key} is missing or malformed; download the file again")
            }
            TokenizerError::Model(name) => write!(
                f,
                "the model file asks for a tokenizer of kind {name:?}; known are \"gpt2\" (byte-level \
                 BPE) and \"llama\" (SentencePiece BPE); take another model"
            ),
            TokenizerError::Pretokenizer(name) => {
                let known = Pretokenizer::names().collect::<Vec<_>>().join(", ");
                write!(
                    f,
                    "the model file splits words by {name:?} (tokenizer.ggml.pre), which is not \
                     known, and guessing would garble its input; known are {known}"
                )
            }
            TokenizerError::NoByte(byte) => write!(
                f,
                "the model file's vocabulary has no token for byte {byte:#04x}; some documents \
                 could not be read to it, so take another model"
            ),
            TokenizerError::TooMany(count) => {
                write!(f, "the model file's vocabulary has {count} tokens, more than 2^24")
            }
        }
    }
}

impl std::error::Error for TokenizerError {}

/// Control tokens that end a turn whatever the file's metadata says (llama.cpp's list).
const END_NAMES: [&str; 16] = [
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<eos>",
    "<｜end▁of▁sentence｜>",
];

const TOKENS_MAX: usize = 1 << 24;

impl Tokenizer {
    /// Reads `tokenizer.ggml.*`.
    pub fn from_gguf(metadata: &HashMap<String, Value>) -> Result<Tokenizer, TokenizerError> {
        let file = Metadata(metadata);
        let model = file.text("model")?.ok_or_else(|| missing("model"))?;
        let texts = file.texts("tokens")?.ok_or_else(|| missing("tokens"))?;
        if texts.len() > TOKENS_MAX {
            return Err(TokenizerError::TooMany(texts.len()));
        }
        let kinds = file.kinds(texts.len())?;
        let pre = file.text("pre")?.unwrap_or("default");
        let (vocabulary, encoder, add_bos) = match model {
            "gpt2" => {
                let pretokenizer = Pretokenizer::named(pre)
                    .ok_or_else(|| TokenizerError::Pretokenizer(pre.to_owned()))?;
                let add_bos = pretokenizer.add_bos;
                let vocabulary = Vocabulary::byte_level(&texts, &kinds);
                let merges = file.texts("merges")?.ok_or_else(|| missing("merges"))?;
                let bpe = Bpe::new(pretokenizer, &vocabulary, &merges);
                (vocabulary, Encoder::Bpe(Box::new(bpe)), add_bos)
            }
            "llama" => {
                let vocabulary = Vocabulary::sentencepiece(&texts, &kinds);
                let scores = file.scores(texts.len())?;
                let plain = plain_scores(&vocabulary, &texts, &scores);
                let spm = Spm::new(plain, vocabulary.byte_tokens()?);
                let space_prefix = file.flag("add_space_prefix")?.unwrap_or(true);
                (vocabulary, Encoder::Spm { spm: Box::new(spm), space_prefix }, true)
            }
            _ => return Err(TokenizerError::Model(model.to_owned())),
        };
        let id = |key| file.id(key, texts.len());
        let (bos, eos) = (id("bos_token_id")?, id("eos_token_id")?);
        let mut ends: BTreeSet<u32> = eos.into_iter().collect();
        ends.extend(id("eot_token_id")?);
        ends.extend(id("eom_token_id")?);
        ends.extend((0..).zip(texts.iter().zip(&kinds)).filter_map(|(id, (text, &kind))| {
            (kind != Kind::Normal && END_NAMES.contains(text)).then_some(id)
        }));
        let named = |id: u32| Named { id, text: texts[id as usize].to_owned() };
        Ok(Tokenizer {
            encoder,
            plain_specials: specials(&texts, &kinds, |text, kind| {
                kind == Kind::UserDefined && !looks_like_markup(text.as_bytes())
            }),
            template_specials: specials(&texts, &kinds, |_, kind| {
                matches!(kind, Kind::UserDefined | Kind::Control | Kind::Unknown)
            }),
            ends,
            add_bos: file.flag("add_bos_token")?.unwrap_or(add_bos),
            bos: bos.map(named),
            eos: eos.map(named),
            digest: digest(&file, &texts, &kinds)?,
            vocabulary,
        })
    }

    /// The ids of a text of its own. No text becomes a control token, whatever it spells.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::with_capacity(text.len() / 3);
        self.encode_piece(text, &self.plain_specials, true, &mut ids);
        ids
    }

    /// The ids of a text that follows other text: a SentencePiece model's space is not put before it.
    pub fn encode_continuing(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::with_capacity(text.len() / 3);
        self.encode_piece(text, &self.plain_specials, false, &mut ids);
        ids
    }

    /// The ids of a text that follows the tokens of `before`, as one call would make them.
    pub fn encode_after(&self, before: &[u32], text: &str) -> Vec<u32> {
        if before.last().is_none_or(|&id| self.is_special(id)) {
            self.encode(text)
        } else {
            self.encode_continuing(text)
        }
    }

    /// The ids of template text, in which control tokens are recognized. Never for a document.
    pub fn encode_template(&self, text: &str) -> Vec<u32> {
        self.encode_template_after(&[], text)
    }

    /// The ids of template text that follows the tokens of `before`.
    pub fn encode_template_after(&self, before: &[u32], text: &str) -> Vec<u32> {
        let at_start = before.last().is_none_or(|&id| self.is_special(id));
        let mut ids = Vec::with_capacity(text.len() / 3);
        self.encode_piece(text, &self.template_specials, at_start, &mut ids);
        ids
    }

    /// The bytes that a token writes; empty for tokens that write nothing (control, unknown, unused)
    /// and for ids beyond the vocabulary.
    pub fn token_bytes(&self, id: u32) -> &[u8] {
        self.vocabulary.bytes(id)
    }

    /// The text of a token that templates use as structure, as the file has it.
    #[cfg(test)]
    pub fn special_text(&self, id: u32) -> Option<&str> {
        let special = self.template_specials.iter().find(|special| special.1 == id);
        special.map(|(text, _)| text.as_str())
    }

    /// Whether a token only writes its text: an answer is made of these.
    pub fn is_plain(&self, id: u32) -> bool {
        self.vocabulary.is_plain(id)
    }

    /// Whether a template may use the token as structure.
    pub fn is_special(&self, id: u32) -> bool {
        let kind = self.vocabulary.kind(id);
        matches!(kind, Some(Kind::Control | Kind::UserDefined | Kind::Unknown))
    }

    /// The text of tokens; what is not UTF-8 (a character cut at either end, say) becomes U+FFFD.
    #[cfg(test)]
    pub fn decode(&self, ids: &[u32]) -> String {
        let bytes: Vec<u8> = ids.iter().flat_map(|&id| self.token_bytes(id)).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether the token ends the model's turn.
    #[cfg(test)]
    pub fn is_end(&self, id: u32) -> bool {
        self.ends.contains(&id)
    }

    /// The tokens that end the model's turn, ascending.
    pub fn ends(&self) -> impl Iterator<Item = u32> {
        self.ends.iter().copied()
    }

    /// Adds an end-of-turn token that the template shows (`Template::end`).
    pub fn add_end(&mut self, id: u32) {
        self.ends.insert(id);
    }

    /// The token that every prompt begins with, where the model wants one.
    pub fn bos(&self) -> Option<u32> {
        self.bos.as_ref().filter(|_| self.add_bos).map(|bos| bos.id)
    }

    /// The text of the begin and end tokens that the file names, wanted or not.
    pub fn bos_text(&self) -> Option<&str> {
        Some(&self.bos.as_ref()?.text)
    }

    pub fn eos_text(&self) -> Option<&str> {
        Some(&self.eos.as_ref()?.text)
    }

    /// Number of token ids; the model's logits may have more rows.
    pub fn vocabulary_size(&self) -> usize {
        self.vocabulary.len()
    }

    /// Of everything in the file that shapes the ids.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    fn encode_piece(
        &self,
        text: &str,
        specials: &[(String, u32)],
        at_start: bool,
        ids: &mut Vec<u32>,
    ) {
        // Few of a vocabulary's thousands of special tokens are in any one text.
        let present: Vec<&(String, u32)> =
            specials.iter().filter(|(special, _)| text.contains(special.as_str())).collect();
        self.encode_around(text, &present, at_start, ids);
    }

    /// Cuts `text` at the special tokens in it and encodes what lies between.
    ///
    /// As in llama.cpp the longest special token is sought first in the whole text, then the next;
    /// equal lengths in the order of their ids.
    fn encode_around(
        &self,
        text: &str,
        specials: &[&(String, u32)],
        mut at_start: bool,
        ids: &mut Vec<u32>,
    ) {
        let Some(((special, id), shorter)) = specials.split_first() else {
            return match &self.encoder {
                _ if text.is_empty() => {}
                Encoder::Bpe(bpe) => bpe.encode(&self.vocabulary, text, ids),
                Encoder::Spm { spm, space_prefix } => {
                    spm.encode(text, *space_prefix && at_start, ids);
                }
            };
        };
        for (i, piece) in text.split(special.as_str()).enumerate() {
            if i > 0 {
                ids.push(*id);
                at_start = true;
            }
            self.encode_around(piece, shorter, at_start, ids);
        }
    }
}

impl TokenCounter for Tokenizer {
    fn count(&self, text: &str) -> usize {
        self.encode(text).len()
    }
}

/// What merges may end in: plain tokens by their text, with their scores. Byte tokens are not sought
/// by their spelling.
fn plain_scores<'a>(
    vocabulary: &'a Vocabulary,
    texts: &'a [&str],
    scores: &'a [f32],
) -> impl Iterator<Item = (&'a str, f32, u32)> {
    (0..)
        .zip(texts.iter().zip(scores))
        .filter(|&(id, _)| vocabulary.is_plain(id) && vocabulary.kind(id) != Some(Kind::Byte))
        .map(|(id, (&text, &score))| (text, score, id))
}

fn specials(
    texts: &[&str],
    kinds: &[Kind],
    wanted: impl Fn(&str, Kind) -> bool,
) -> Vec<(String, u32)> {
    let all = (0..).zip(texts.iter().zip(kinds));
    let wanted = all.filter(|&(_, (&text, &kind))| !text.is_empty() && wanted(text, kind));
    let mut specials: Vec<(String, u32)> =
        wanted.map(|(id, (&text, _))| (text.to_owned(), id)).collect();
    specials.sort_by_key(|(text, id)| (std::cmp::Reverse(text.len()), *id));
    specials
}

fn digest(file: &Metadata, texts: &[&str], kinds: &[Kind]) -> Result<Digest, TokenizerError> {
    let mut parts: Vec<Vec<u8>> = Vec::new();
    for key in ["model", "pre"] {
        parts.push(file.text(key)?.unwrap_or_default().as_bytes().to_vec());
    }
    for key in ["add_bos_token", "add_space_prefix"] {
        parts.push(format!("{:?}", file.flag(key)?).into_bytes());
    }
    for key in ["bos_token_id", "eos_token_id", "eot_token_id", "eom_token_id"] {
        parts.push(format!("{:?}", file.number(key)?).into_bytes());
    }
    parts.push(kinds.iter().map(|&kind| kind as u8).collect());
    let scores = match file.0.contains_key("tokenizer.ggml.scores") {
        true => file.scores(texts.len())?,
        false => Vec::new(),
    };
    parts.push(scores.iter().flat_map(|score| score.to_bits().to_le_bytes()).collect());
    let merges = file.texts("merges")?.unwrap_or_default();
    let counts = [texts.len() as u64, merges.len() as u64];
    parts.push(counts.iter().flat_map(|count| count.to_le_bytes()).collect());
    let lists = texts.iter().chain(&merges).map(|text| text.as_bytes());
    Ok(Digest::of_parts(parts.iter().map(Vec::as_slice).chain(lists)))
}

/// The file's keys below `tokenizer.ggml.`; each is absent, or of its type, or an error.
struct Metadata<'a>(&'a HashMap<String, Value>);

fn missing(key: &str) -> TokenizerError {
    TokenizerError::Key(format!("tokenizer.ggml.{key}"))
}

impl<'a> Metadata<'a> {
    fn get<T>(
        &self,
        key: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, TokenizerError> {
        match self.0.get(&format!("tokenizer.ggml.{key}")) {
            None => Ok(None),
            Some(value) => read(value).map(Some).ok_or_else(|| missing(key)),
        }
    }

    fn text(&self, key: &str) -> Result<Option<&'a str>, TokenizerError> {
        self.get(key, text_of)
    }

    fn flag(&self, key: &str) -> Result<Option<bool>, TokenizerError> {
        self.get(key, |value| value.to_bool().ok())
    }

    fn number(&self, key: &str) -> Result<Option<u64>, TokenizerError> {
        self.get(key, |value| value.to_u64().ok())
    }

    fn texts(&self, key: &str) -> Result<Option<Vec<&'a str>>, TokenizerError> {
        self.get(key, |value| list_of(value, text_of))
    }

    /// A token of a vocabulary of `count`.
    fn id(&self, key: &str, count: usize) -> Result<Option<u32>, TokenizerError> {
        let Some(id) = self.number(key)? else { return Ok(None) };
        let id = u32::try_from(id).ok().filter(|&id| (id as usize) < count);
        id.map(Some).ok_or_else(|| missing(key))
    }

    /// One for each token; a file without the list has only normal tokens.
    fn kinds(&self, count: usize) -> Result<Vec<Kind>, TokenizerError> {
        let kind = |value: &Value| match integer(value)? {
            1 => Some(Kind::Normal),
            2 => Some(Kind::Unknown),
            3 => Some(Kind::Control),
            4 => Some(Kind::UserDefined),
            5 => Some(Kind::Unused),
            6 => Some(Kind::Byte),
            _ => None,
        };
        let kinds = self
            .get("token_type", |value| list_of(value, kind).filter(|kinds| kinds.len() == count))?;
        Ok(kinds.unwrap_or_else(|| vec![Kind::Normal; count]))
    }

    fn scores(&self, count: usize) -> Result<Vec<f32>, TokenizerError> {
        let score = |value: &Value| value.to_f32().ok().filter(|score| !score.is_nan());
        let scores = self
            .get("scores", |value| list_of(value, score).filter(|scores| scores.len() == count))?;
        scores.ok_or_else(|| missing("scores"))
    }
}

fn text_of(value: &Value) -> Option<&str> {
    value.to_string().ok().map(String::as_str)
}

fn list_of<'a, T>(value: &'a Value, read: impl Fn(&'a Value) -> Option<T>) -> Option<Vec<T>> {
    value.to_vec().ok()?.iter().map(read).collect()
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::I32(number) => Some(i64::from(*number)),
        other => other.to_u64().ok().and_then(|number| i64::try_from(number).ok()),
    }
}

#[cfg(test)]
pub(super) mod tests;
