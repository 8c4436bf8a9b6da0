//! One answer on its way: rows of logits in, tokens out, as its form and its sampling say. What it does
//! is its own affair, so that the answers of a step can go on side by side.

use std::ops::Range;

use super::draft;
use super::request::Sampling;
use super::sampler::{self, Drawable, Pick, Rules};
use super::scheduler::digest_of_tokens;
use super::script::{CompiledForm, FORCED, Progress, Script};
use super::tokenizer::Tokenizer;
use crate::base::{Completion, Digest, PartText, Stop};

/// What is known of a request while it waits, beside its tokens.
pub(super) struct Asked {
    pub id: u64,
    pub form: CompiledForm,
    pub sampling: Sampling,
    pub answer_max: usize,
    pub prompt_tokens: u32,
    pub prompt_digest: Digest,
    /// Where in the prompt the document's tokens are, and the bytes of its text.
    pub document: (Range<usize>, usize),
}

/// A request that is being answered.
pub(super) struct Answer {
    pub ticket: u64,
    pub asked: Asked,
    shared_tokens: u32,
    script: Script,
    tokens: Vec<u32>,
    /// Tokens that were sampled, not forced.
    drawn: u64,
    room: Drawable,
    /// Rows of this step's logits that are for this answer.
    pub rows: Range<usize>,
    /// How many tokens there were before this step.
    before: usize,
    pub stop: Option<Stop>,
    /// Of every row of logits that a token was picked from in this step, by place in the answer.
    #[cfg(test)]
    pub trace: Vec<(usize, Digest)>,
}

/// The rows of a step's logits.
#[derive(Clone, Copy)]
pub(super) struct Logits<'a> {
    /// [rows, width]
    pub all: &'a [f32],
    pub width: usize,
    /// Columns beyond are padding.
    pub vocabulary: usize,
}

impl Answer {
    /// An answer at its start, with the tokens that its form forces there.
    pub(super) fn begin(ticket: u64, asked: Asked, script: Script, shared_tokens: u32) -> Answer {
        let tokens = Vec::with_capacity(asked.answer_max);
        let mut answer = Answer {
            ticket,
            asked,
            shared_tokens,
            script,
            tokens,
            drawn: 0,
            room: Drawable::new(),
            rows: 0..0,
            before: 0,
            stop: None,
            #[cfg(test)]
            trace: Vec::new(),
        };
        answer.stop = answer.push_forced();
        answer
    }

    /// Takes a token from the first row of this answer's logits, and from each further one for as long
    /// as the tokens that come are those of `proposed`, which these rows were computed for.
    pub(super) fn go_on(&mut self, logits: Logits<'_>, proposed: &[u32]) {
        self.before = self.tokens.len();
        let mut row = 0;
        while row < self.rows.len() && self.stop.is_none() {
            let at = (self.rows.start + row) * logits.width;
            self.stop = self.take(&logits.all[at..at + logits.width], logits.vocabulary);
            if !proposed.starts_with(self.fresh()) {
                break;
            }
            row = self.fresh().len();
        }
    }

    /// The tokens of this step.
    pub(super) fn fresh(&self) -> &[u32] {
        &self.tokens[self.before..]
    }

    /// Where in `tokens`, its prompt and what is answered, stands what it may go on with; at most `most`
    /// tokens, and fewer than may still come.
    pub(super) fn propose(
        &self,
        tokenizer: &Tokenizer,
        tokens: &[u32],
        most: usize,
    ) -> Option<Range<usize>> {
        // The last token that may come needs no row of its own.
        let most = most.min((self.asked.answer_max - self.tokens.len()).saturating_sub(1));
        let (document, bytes) = &self.asked.document;
        let quoted = self.script.quotes_next().and_then(|from| {
            draft::at_byte(tokenizer, tokens, document.clone(), (from, *bytes), most)
        });
        quoted.or_else(|| draft::after_match(tokens, most))
    }

    /// Picks a token from one row of logits and appends it, with all that its form forces after it;
    /// says whether that was the end.
    fn take(&mut self, logits: &[f32], vocabulary: usize) -> Option<Stop> {
        #[cfg(test)]
        {
            let bytes: Vec<u8> = logits.iter().flat_map(|x| x.to_bits().to_le_bytes()).collect();
            self.trace.push((self.tokens.len(), Digest::of(&bytes)));
        }
        let (sampling, drawn) = (self.asked.sampling, self.drawn);
        self.drawn += 1;
        let logits = &logits[..vocabulary];
        match sampler::pick(logits, sampling, drawn, &mut self.script, &mut self.room) {
            Pick::DeadEnd => Some(Stop::DeadEnd),
            Pick::Fault => Some(Stop::Fault),
            Pick::Token { id, margin_milli } => {
                self.push(id, margin_milli).or_else(|| self.push_forced())
            }
        }
    }

    fn push_forced(&mut self) -> Option<Stop> {
        for id in self.script.forced() {
            if let Some(stop) = self.push(id, FORCED) {
                return Some(stop);
            }
        }
        (self.tokens.len() >= self.asked.answer_max).then_some(Stop::Length)
    }

    fn push(&mut self, id: u32, margin_milli: i64) -> Option<Stop> {
        if self.tokens.len() >= self.asked.answer_max {
            return Some(Stop::Length);
        }
        self.tokens.push(id);
        match self.script.accept(id, margin_milli) {
            Progress::Finished(stop) => Some(stop),
            Progress::Continue => None,
        }
    }

    /// The parts that are written, the last one as it stands.
    pub(super) fn so_far(&self) -> Vec<PartText> {
        self.script.so_far()
    }

    pub(super) fn complete(self, stop: Stop) -> Completion {
        let (text, parts) = self.script.finish(stop);
        Completion {
            id: self.asked.id,
            stop,
            text,
            parts,
            prompt_tokens: self.asked.prompt_tokens,
            shared_tokens: self.shared_tokens,
            answer_tokens: self.tokens.len() as u32,
            prompt_digest: self.asked.prompt_digest,
            answer_digest: digest_of_tokens(&self.tokens),
        }
    }
}

impl Rules for Script {
    fn allows(&mut self, token: u32) -> bool {
        Script::allows(self, token)
    }

    fn mask(&mut self) -> &[u64] {
        Script::mask(self)
    }
}
