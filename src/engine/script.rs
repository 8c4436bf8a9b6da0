//! The state of one answer's form: which tokens may come next, and where the answer stands.
//!
//! Parts meet at token boundaries. A literal and a choice end by themselves, and are written in the
//! tokens that the tokenizer gives their text, so that each step of a choice is between options. A
//! quote, a pattern, JSON and free text are open: where such a part is complete it may end, and it ends
//! by the first token of what follows, which competes with the tokens that would continue it: the
//! following literal's, one of the following choice's options', or after the last part the model's end of
//! turn. If one token could do both, it ends the part; so what follows a quote should begin with
//! something that the document does not hold. A part that is complete and cannot go on ends at once.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::grammar::{Grammar, Grammars, Source};
use super::quote::{Passages, Quote};
use super::request::{Form, Part};
use super::tokenizer::{Tokenizer, Trie};
use crate::base::{PartText, Stop};

/// What `accept` is told for a token that was forced, not chosen.
pub const FORCED: i64 = i64::MAX;

/// Makes scripts for one model: holds the token trie and the compiled grammars.
pub struct Forms {
    shared: Arc<Shared>,
}

struct Shared {
    tokenizer: Arc<Tokenizer>,
    trie: Trie,
    grammars: Grammars,
    /// The plain tokens, as a mask.
    plain: Vec<u64>,
    /// Of every document that a form is about.
    passages: Mutex<BTreeMap<Arc<str>, Weak<Passages>>>,
}

/// Why a form cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormError {
    /// Nothing to write: no parts, or only empty literals.
    Empty,
    /// A choice has no options, an empty one, or one that another begins with.
    Options,
    /// An open part is followed by an open part, so nothing could end it.
    NoBoundary { part: usize },
    /// Free text is not the last part.
    TextNotLast,
    /// The document has no words, or a quote may have none.
    NothingToQuote,
    /// A schema or a regular expression that llguidance does not take, in its words.
    Grammar(String),
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FormError::Empty => f.write_str("the answer's form has nothing to write"),
            FormError::Options => f.write_str(
                "a choice of the answer's form has no options, or an empty one, or one that another \
                 begins with",
            ),
            FormError::NoBoundary { part } => write!(
                f,
                "part {part} of the answer's form has no end: a literal or a choice must follow it"
            ),
            FormError::TextNotLast => {
                f.write_str("free text is not the last part of the answer's form")
            }
            FormError::NothingToQuote => f.write_str("the document has no words to quote"),
            FormError::Grammar(error) => {
                write!(f, "the answer's schema or pattern cannot be followed: {error}")
            }
        }
    }
}

impl std::error::Error for FormError {}

/// Whether the answer goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Continue,
    Finished(Stop),
}

/// A form ready to be followed: small, so that it can wait with its request. What is large in it,
/// the document's passages, it shares with all forms about that document.
#[derive(Clone)]
pub struct CompiledForm {
    parts: Arc<[Compiled]>,
}

/// One answer being written.
pub struct Script {
    shared: Arc<Shared>,
    parts: Arc<[Compiled]>,
    /// The part being written; beyond the last once finished.
    current: usize,
    state: State,
    /// What the current part's tokens have written.
    written: Vec<u8>,
    /// Whether the current part has had a token.
    is_begun: bool,
    margin: Option<i64>,
    done: Vec<PartText>,
    finished: Option<Stop>,
    mask: Vec<u64>,
}

/// A part, ready to be started.
enum Compiled {
    Literal { text: Arc<str>, tokens: Vec<u32> },
    Choice { options: Vec<Choosable>, ends: Option<usize> },
    Quote { passages: Arc<Passages>, words_max: usize },
    Grammar(Source),
    Text,
}

struct Choosable {
    text: Arc<str>,
    tokens: Vec<u32>,
}

/// Where the current part stands.
enum State {
    /// Tokens of the literal, or of every option still possible, that are written.
    Written(usize),
    /// Options still possible, and tokens written.
    Options(Vec<usize>, usize),
    Quote(Quote),
    Grammar(Box<Grammar>),
    Text,
}

impl Forms {
    pub fn new(tokenizer: Arc<Tokenizer>) -> Forms {
        let mut plain = vec![0; tokenizer.vocabulary_size().div_ceil(64)];
        let ids = 0..tokenizer.vocabulary_size() as u32;
        ids.filter(|&id| tokenizer.is_plain(id)).for_each(|id| set(&mut plain, id));
        let shared = Shared {
            trie: Trie::new(&tokenizer),
            grammars: Grammars::new(tokenizer.clone()),
            plain,
            passages: Mutex::default(),
            tokenizer,
        };
        Forms { shared: Arc::new(shared) }
    }

    /// How an answer of this form about `document` (the request's document text, for quotes) goes.
    pub fn compile(&self, form: &Form, document: &Arc<str>) -> Result<CompiledForm, FormError> {
        let compile = |part: &Part| self.shared.compile(part, document);
        let parts = form.iter().map(compile).collect::<Result<Arc<[Compiled]>, FormError>>()?;
        check_boundaries(&parts)?;
        if parts.iter().all(Compiled::is_nothing) {
            Err(FormError::Empty)
        } else {
            Ok(CompiledForm { parts })
        }
    }

    /// An answer at its start. So many `bytes` of one part are written without an allocation.
    pub fn begin(&self, form: &CompiledForm, bytes: usize) -> Script {
        let mut script = Script {
            shared: self.shared.clone(),
            parts: form.parts.clone(),
            current: 0,
            state: State::Written(0),
            written: Vec::with_capacity(bytes),
            is_begun: false,
            margin: None,
            done: Vec::new(),
            finished: None,
            mask: vec![0; self.shared.plain.len()],
        };
        script.start();
        script
    }
}

impl Compiled {
    /// Whether it is a literal without text.
    fn is_nothing(&self) -> bool {
        matches!(self, Compiled::Literal { tokens, .. } if tokens.is_empty())
    }
}

impl Shared {
    fn compile(&self, part: &Part, document: &Arc<str>) -> Result<Compiled, FormError> {
        let tokens = |text: &str| self.tokenizer.encode_continuing(text);
        let grammar = |source: Source| {
            // Compiled here so that a schema that cannot be followed is an error before the answer.
            self.grammars.start(&source).map_err(FormError::Grammar)?;
            Ok(Compiled::Grammar(source))
        };
        match part {
            Part::Literal(text) => {
                Ok(Compiled::Literal { text: text.clone(), tokens: tokens(text) })
            }
            Part::Choice { options, ends } => {
                let options: Vec<Choosable> = options
                    .iter()
                    .map(|text| Choosable { text: text.clone(), tokens: tokens(text) })
                    .collect();
                let clash = |i: usize, j: usize| {
                    i != j && options[j].tokens.starts_with(&options[i].tokens)
                };
                let count = options.len();
                if count == 0
                    || (0..count).any(|i| (0..count).any(|j| clash(i, j)))
                    || options.iter().any(|option| option.tokens.is_empty())
                {
                    return Err(FormError::Options);
                }
                Ok(Compiled::Choice { options, ends: *ends })
            }
            Part::Quote { words_max } => {
                let passages = self.passages(document);
                if passages.is_empty() || *words_max == 0 {
                    return Err(FormError::NothingToQuote);
                }
                Ok(Compiled::Quote { passages, words_max: *words_max })
            }
            Part::Pattern(pattern) => grammar(Source::Pattern(pattern.to_string())),
            Part::Json(schema) => grammar(Source::Json(schema.to_string())),
            Part::Text => Ok(Compiled::Text),
        }
    }

    /// The passages of `document`, made once for as long as anyone holds them.
    fn passages(&self, document: &Arc<str>) -> Arc<Passages> {
        // A poisoned lock would mean a panic while passages were made; the map is whole all the same.
        let mut known = self.passages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(passages) = known.get(document).and_then(Weak::upgrade) {
            return passages;
        }
        let passages = Arc::new(Passages::new(document, &self.trie));
        known.retain(|_, passages| passages.strong_count() > 0);
        known.insert(document.clone(), Arc::downgrade(&passages));
        passages
    }
}

fn check_boundaries(parts: &[Compiled]) -> Result<(), FormError> {
    let is_open = |part: &Compiled| {
        matches!(part, Compiled::Quote { .. } | Compiled::Grammar(_) | Compiled::Text)
    };
    for (i, part) in parts.iter().enumerate() {
        if matches!(part, Compiled::Text) && i + 1 < parts.len() {
            return Err(FormError::TextNotLast);
        }
        let next = parts[i + 1..].iter().find(|part| !part.is_nothing());
        if is_open(part) && next.is_some_and(is_open) {
            return Err(FormError::NoBoundary { part: i });
        }
    }
    Ok(())
}

impl Script {
    /// Tokens that must come next. The caller appends them and hands each to `accept` with
    /// `FORCED`; it may stop between two of them. Empty where the model has a choice.
    pub fn forced(&mut self) -> Vec<u32> {
        if self.finished.is_some() {
            return Vec::new();
        }
        match (&self.parts[self.current], &mut self.state) {
            (Compiled::Literal { tokens, .. }, State::Written(at)) => tokens[*at..].to_vec(),
            (Compiled::Choice { options, .. }, State::Options(possible, at)) => {
                let first = &options[possible[0]].tokens[*at..];
                let common = |option: &&usize| {
                    let other = &options[**option].tokens[*at..];
                    first.iter().zip(other).take_while(|(a, b)| a == b).count()
                };
                let len = possible.iter().map(|option| common(&option)).min().unwrap_or(0);
                first[..len].to_vec()
            }
            (_, State::Grammar(grammar)) => grammar.forced(),
            _ => Vec::new(),
        }
    }

    /// Whether `token` may come next; cheaper than `mask`.
    pub fn allows(&mut self, token: u32) -> bool {
        if self.finished.is_some() {
            return false;
        }
        self.ends_part(token) || self.continues_part(token)
    }

    /// Where in the document a quote that is being written goes on, if it does.
    pub fn quotes_next(&self) -> Option<usize> {
        match &self.state {
            State::Quote(quote) => quote.next(),
            _ => None,
        }
    }

    /// The tokens that may come next: bit `id % 64` of word `id / 64`, for `vocabulary_size` ids.
    /// All zero only once the answer is finished, or where a grammar has met its limits: the answer
    /// then stops with `Stop::Fault`.
    pub fn mask(&mut self) -> &[u64] {
        let mut mask = std::mem::take(&mut self.mask);
        mask.fill(0);
        if self.finished.is_none() {
            match (&self.parts[self.current], &mut self.state) {
                (Compiled::Literal { tokens, .. }, State::Written(at)) => {
                    set(&mut mask, tokens[*at])
                }
                (Compiled::Choice { options, .. }, State::Options(possible, at)) => {
                    possible.iter().for_each(|&option| set(&mut mask, options[option].tokens[*at]));
                }
                (_, State::Quote(quote)) => {
                    quote.each_allowed(&self.shared.trie, |token| set(&mut mask, token));
                }
                (_, State::Grammar(grammar)) => grammar.each_allowed(|index, word| {
                    if let Some(bits) = mask.get_mut(index / 2) {
                        *bits |= u64::from(word) << (32 * (index % 2));
                    }
                }),
                (_, State::Text) => mask.copy_from_slice(&self.shared.plain),
                (_, State::Written(_) | State::Options(..)) => unreachable!("started together"),
            }
            if self.is_complete() {
                self.each_following(|token| set(&mut mask, token));
            }
        }
        self.mask = mask;
        &self.mask
    }

    /// Appends a token. `margin_milli`: difference of the two best allowed logits in thousandths, or
    /// `FORCED`. The margin of a token that ends an open part counts for that part, and for a choice
    /// that it begins. A token that is not allowed stops the answer with `Stop::Fault`.
    pub fn accept(&mut self, token: u32, margin_milli: i64) -> Progress {
        if self.finished.is_none() {
            self.is_begun = true;
            if margin_milli != FORCED {
                self.margin = Some(self.margin.map_or(margin_milli, |m| m.min(margin_milli)));
            }
            if self.ends_part(token) {
                self.close();
                if self.finished.is_none() {
                    // The end of the last part was chosen; a literal after it was not.
                    let is_literal = matches!(self.state, State::Written(_));
                    return self.accept(token, if is_literal { FORCED } else { margin_milli });
                }
            } else if !self.continue_part(token) {
                self.finished = Some(Stop::Fault);
            }
        }
        match self.finished {
            Some(stop) => Progress::Finished(stop),
            None => Progress::Continue,
        }
    }

    /// The text of each part that was begun, the last one as it stands.
    pub fn so_far(&self) -> Vec<PartText> {
        let current = self.is_begun.then(|| self.part_text());
        self.done.iter().cloned().chain(current).collect()
    }

    /// The whole answer (its parts' texts in order), and the text of each part that was begun.
    pub fn finish(self, stop: Stop) -> (String, Vec<PartText>) {
        debug_assert!(stop != Stop::End || self.finished == Some(Stop::End));
        let parts = self.so_far();
        (parts.iter().map(|part| part.text.as_str()).collect(), parts)
    }

    /// Whether `token` is the first of what follows, and the current part may end.
    fn ends_part(&mut self, token: u32) -> bool {
        self.is_complete() && {
            let mut ends = false;
            self.each_following(|following| ends |= following == token);
            ends
        }
    }

    fn continues_part(&mut self, token: u32) -> bool {
        let tokenizer = &self.shared.tokenizer;
        match (&self.parts[self.current], &mut self.state) {
            (Compiled::Literal { tokens, .. }, State::Written(at)) => tokens[*at] == token,
            (Compiled::Choice { options, .. }, State::Options(possible, at)) => {
                possible.iter().any(|&option| options[option].tokens[*at] == token)
            }
            _ if !tokenizer.is_plain(token) => false,
            (_, State::Quote(quote)) => quote.allows(tokenizer.token_bytes(token)),
            (_, State::Grammar(grammar)) => grammar.allows(token),
            (_, State::Text) => true,
            (_, State::Written(_) | State::Options(..)) => unreachable!("started together"),
        }
    }

    /// Appends a token to the current part and closes it if nothing can be added; false if the token
    /// is not allowed.
    fn continue_part(&mut self, token: u32) -> bool {
        if !self.continues_part(token) {
            return false;
        }
        let bytes = self.shared.tokenizer.token_bytes(token);
        self.written.extend_from_slice(bytes);
        let is_over = match (&self.parts[self.current], &mut self.state) {
            (Compiled::Literal { tokens, .. }, State::Written(at)) => {
                *at += 1;
                *at == tokens.len()
            }
            (Compiled::Choice { options, .. }, State::Options(possible, at)) => {
                possible.retain(|&option| options[option].tokens[*at] == token);
                *at += 1;
                options[possible[0]].tokens.len() == *at
            }
            (_, State::Quote(quote)) => {
                quote.accept(bytes);
                !quote.can_continue()
            }
            (_, State::Grammar(grammar)) => {
                if !grammar.accept(token) {
                    return false;
                }
                grammar.is_stopped()
            }
            _ => false,
        };
        if is_over {
            self.close();
        }
        true
    }

    /// Whether the current part is open and may end here.
    fn is_complete(&mut self) -> bool {
        match &mut self.state {
            State::Written(_) | State::Options(..) => false,
            State::Quote(quote) => quote.place().is_some(),
            State::Grammar(grammar) => grammar.is_complete(),
            State::Text => true,
        }
    }

    /// Calls `f` with the tokens that end the current part, if it is open: the first tokens of what
    /// follows.
    fn each_following(&self, mut f: impl FnMut(u32)) {
        match self.parts[self.current + 1..].iter().find(|part| !part.is_nothing()) {
            Some(Compiled::Literal { tokens, .. }) => f(tokens[0]),
            Some(Compiled::Choice { options, .. }) => {
                options.iter().for_each(|option| f(option.tokens[0]));
            }
            // No open part follows one (`check_boundaries`).
            _ => self.shared.tokenizer.ends().for_each(f),
        }
    }

    /// Ends the current part and starts the next.
    fn close(&mut self) {
        let ends = match (&self.parts[self.current], &self.state) {
            (Compiled::Choice { ends, .. }, State::Options(possible, _)) => {
                ends.is_some_and(|ends| possible[0] == ends)
            }
            _ => false,
        };
        let part = self.part_text();
        self.done.push(part);
        self.current = if ends { self.parts.len() } else { self.current + 1 };
        self.start();
    }

    /// Starts the current part, and closes it if it is an empty literal.
    fn start(&mut self) {
        self.written.clear();
        self.is_begun = false;
        self.margin = None;
        let grammars = &self.shared.grammars;
        self.state = match self.parts.get(self.current) {
            None => {
                self.finished = Some(Stop::End);
                State::Text
            }
            Some(Compiled::Literal { .. }) => State::Written(0),
            Some(Compiled::Choice { options, .. }) => {
                State::Options((0..options.len()).collect(), 0)
            }
            Some(Compiled::Quote { passages, words_max }) => {
                State::Quote(Quote::new(passages.clone(), *words_max))
            }
            Some(Compiled::Grammar(source)) => match grammars.start(source) {
                Ok(grammar) => State::Grammar(Box::new(grammar)),
                // It was compiled when the script was made.
                Err(_) => {
                    self.finished = Some(Stop::Fault);
                    State::Text
                }
            },
            Some(Compiled::Text) => State::Text,
        };
        if self.parts.get(self.current).is_some_and(Compiled::is_nothing) {
            self.close();
        }
    }

    /// What stands of the current part: its exact text where it is complete.
    fn part_text(&self) -> PartText {
        let lossy = || String::from_utf8_lossy(&self.written).into_owned();
        let place = match &self.state {
            State::Quote(quote) => quote.place(),
            _ => None,
        };
        let text = match (&self.parts[self.current], &self.state) {
            (Compiled::Literal { text, tokens }, State::Written(at)) if *at == tokens.len() => {
                text.to_string()
            }
            (Compiled::Choice { options, .. }, State::Options(possible, at)) => {
                let option = &options[possible[0]];
                if option.tokens.len() == *at { option.text.to_string() } else { lossy() }
            }
            (_, State::Quote(quote)) => match &place {
                Some(place) => quote.text(place.clone()).to_owned(),
                None => lossy(),
            },
            _ => lossy(),
        };
        PartText { text, place, margin_milli: self.margin }
    }
}

fn set(mask: &mut [u64], token: u32) {
    mask[token as usize / 64] |= 1 << (token % 64);
}

#[cfg(test)]
#[path = "script_tests.rs"]
mod tests;
