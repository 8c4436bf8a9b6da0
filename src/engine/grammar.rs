//! JSON Schemas and regular expressions as token constraints, by llguidance over our own vocabulary.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use llguidance::api::TopLevelGrammar;
use llguidance::{JsonCompileOptions, Matcher, ParserFactory};
use toktrie::{InferenceCapabilities, TokEnv, TokRxInfo, TokTrie, TokenizerEnv};

use super::tokenizer::Tokenizer;

/// Compiles grammars for one vocabulary, each once.
pub(super) struct Grammars {
    tokenizer: Arc<Tokenizer>,
    /// Made for the first grammar, since it takes a third of a second and many runs need none; or why
    /// llguidance does not take the vocabulary.
    factory: OnceLock<Result<ParserFactory, String>>,
    compiled: Mutex<HashMap<Source, Matcher>>,
    /// The id that llguidance takes for "the answer may end here".
    end: u32,
}

/// What a grammar is compiled from.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// A JSON Schema as text, its keys in their order: properties are written in that order.
    Json(String),
    /// A regular expression for the whole part.
    Pattern(String),
}

impl Grammars {
    pub fn new(tokenizer: Arc<Tokenizer>) -> Grammars {
        // A model without an end token never ends an answer by itself; its first token gives way.
        let end = tokenizer.ends().next().unwrap_or(0);
        Grammars { tokenizer, factory: OnceLock::new(), compiled: Mutex::default(), end }
    }

    fn factory(&self) -> Result<&ParserFactory, String> {
        let make = || {
            let tokenizer = self.tokenizer.clone();
            let env: TokEnv = Arc::new(Vocabulary { trie: trie(&tokenizer, self.end), tokenizer });
            let caps = InferenceCapabilities { ff_tokens: true, ..Default::default() };
            let slices = llguidance::earley::SlicedBiasComputer::general_slices();
            let factory = ParserFactory::new(&env, caps, &slices);
            let mut factory = factory.map_err(|error| format!("{error:#}"))?;
            factory.quiet();
            Ok(factory)
        };
        self.factory.get_or_init(make).as_ref().map_err(String::clone)
    }

    /// A constraint at its start.
    pub fn start(&self, source: &Source) -> Result<Grammar, String> {
        // A poisoned lock would mean a panic inside llguidance; the map is whole all the same.
        let mut compiled = self.compiled.lock().unwrap_or_else(|lock| lock.into_inner());
        let matcher = match compiled.get(source) {
            Some(matcher) => matcher.deep_clone(),
            None => {
                let matcher = self.compile(source)?;
                compiled.insert(source.clone(), matcher.deep_clone());
                matcher
            }
        };
        Ok(Grammar { matcher, end: self.end })
    }

    fn compile(&self, source: &Source) -> Result<Matcher, String> {
        let grammar = match source {
            Source::Json(schema) => {
                let mut schema =
                    serde_json::from_str(schema).map_err(|error| format!("{error:#}"))?;
                // Compact: white space between tokens of JSON is work without meaning.
                JsonCompileOptions { whitespace_flexible: false, ..Default::default() }
                    .apply_to(&mut schema);
                TopLevelGrammar::from_json_schema(schema)
            }
            Source::Pattern(pattern) => TopLevelGrammar::from_regex(pattern),
        };
        let matcher = Matcher::new(self.factory()?.create_parser(grammar));
        match matcher.get_error() {
            Some(error) => Err(error),
            None => Ok(matcher),
        }
    }
}

/// A part of an answer that follows a grammar.
pub(super) struct Grammar {
    matcher: Matcher,
    end: u32,
}

impl Grammar {
    pub fn allows(&mut self, token: u32) -> bool {
        token != self.end && self.matcher.validate_tokens(&[token]).is_ok_and(|valid| valid == 1)
    }

    /// Calls `allow` with each word of the mask: 32 tokens from `32 * index` on.
    pub fn each_allowed(&mut self, mut allow: impl FnMut(usize, u32)) {
        // An error here is met again, and reported, when a token is accepted.
        let Ok(mut mask) = self.matcher.compute_mask() else { return };
        mask.disallow_token(self.end);
        mask.as_slice().iter().enumerate().for_each(|(index, &word)| allow(index, word));
    }

    /// Appends a token; false when the grammar cannot go on (its limits, or a token not allowed).
    pub fn accept(&mut self, token: u32) -> bool {
        self.matcher.consume_token(token).is_ok()
    }

    /// The tokens that must come next, as this tokenizer would cut them.
    pub fn forced(&mut self) -> Vec<u32> {
        if self.is_stopped() { Vec::new() } else { self.matcher.compute_ff_tokens() }
    }

    /// Whether the part may end here.
    pub fn is_complete(&mut self) -> bool {
        self.is_stopped() || self.matcher.is_accepting().unwrap_or(false)
    }

    /// Whether the part is complete and nothing can be added.
    pub fn is_stopped(&self) -> bool {
        self.matcher.is_stopped() && !self.matcher.is_error()
    }
}

/// llguidance's view of our tokenizer.
struct Vocabulary {
    trie: TokTrie,
    tokenizer: Arc<Tokenizer>,
}

impl TokenizerEnv for Vocabulary {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    /// Forced bytes to tokens: as text where they are text, else the longest tokens that fit.
    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<u32> {
        self.trie
            .tokenize_with_greedy_fallback(bytes, |text| self.tokenizer.encode_continuing(text))
    }
}

fn trie(tokenizer: &Tokenizer, end: u32) -> TokTrie {
    let count = tokenizer.vocabulary_size() as u32;
    let words: Vec<Vec<u8>> = (0..count)
        .map(|id| match id {
            _ if id == end => [&[TokTrie::SPECIAL_TOKEN_MARKER], b"<end>".as_slice()].concat(),
            _ if tokenizer.is_plain(id) => tokenizer.token_bytes(id).to_vec(),
            _ => Vec::new(),
        })
        .collect();
    TokTrie::from(&TokRxInfo::new(count, end), &words)
}
