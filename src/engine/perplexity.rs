//! Perplexity, counted as llama.cpp's `llama-perplexity` does: a text is cut into chunks of `context`
//! tokens that do not overlap, every chunk is read on its own with the begin token (where the model wants
//! one) in place of its first, and the second half of its tokens is scored.
//!
//! Not here: which texts, and how the result is printed.

use std::fmt;
use std::path::Path;

use super::kv::{BlockId, blocks_for};
use super::math::{exp, exp_f64, ln_f64};
use super::model::Run;
use super::{Engine, LoadError, Settings};

/// Rows of one step; each may have its logits.
const STEP_ROWS: usize = 128;

/// What the scored tokens of some texts add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    pub chunks: usize,
    pub tokens: usize,
    /// Sums of −ln p and of its square.
    pub nll: f64,
    pub nll_squares: f64,
}

impl Score {
    /// e to the mean of −ln p, and its standard error (llama.cpp's "PPL = … +/- …").
    pub fn perplexity(&self) -> (f64, f64) {
        let tokens = self.tokens as f64;
        let mean = self.nll / tokens;
        let variance = (self.nll_squares / tokens - mean * mean).max(0.0);
        let perplexity = exp_f64(mean);
        (perplexity, (variance / (tokens - 1.0)).sqrt() * perplexity)
    }

    /// Both together.
    pub fn with(&self, other: &Score) -> Score {
        Score {
            chunks: self.chunks + other.chunks,
            tokens: self.tokens + other.tokens,
            nll: self.nll + other.nll,
            nll_squares: self.nll_squares + other.nll_squares,
        }
    }

    fn add(&mut self, nll: f64) {
        self.tokens += 1;
        self.nll += nll;
        self.nll_squares += nll * nll;
    }
}

/// Why nothing can be scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScoreError {
    /// The context is longer than the engine's, or too short for a second half.
    Context { asked: usize, context: usize },
    /// A text of fewer tokens than one chunk.
    TooShort { tokens: usize, context: usize },
}

impl fmt::Display for ScoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScoreError::Context { asked, context } => {
                write!(f, "a context of {asked} tokens cannot be scored; 4 to {context} can")
            }
            ScoreError::TooShort { tokens, context } => write!(
                f,
                "the text has {tokens} tokens, fewer than the context of {context}; state a smaller \
                 one, or score a longer text"
            ),
        }
    }
}

impl std::error::Error for ScoreError {}

/// An engine that scores texts and answers nothing: the KV cache is all its own.
pub struct Scorer(Engine);

impl Scorer {
    /// As `Engine::load`; slots and rows are the scorer's own.
    ///
    /// # Errors
    /// As `Engine::load`.
    pub fn load(path: &Path, settings: &Settings) -> Result<Scorer, LoadError> {
        // One row of logits for each row of a step.
        let settings = Settings { slots: STEP_ROWS, step_rows: STEP_ROWS, ..settings.clone() };
        Ok(Scorer(Engine::load(path, &settings, &mut |_, _| {})?))
    }

    pub fn engine(&self) -> &Engine {
        &self.0
    }

    /// Scores every whole chunk of `text`; `progress` hears of chunks done, of all, and of the score
    /// so far.
    ///
    /// # Errors
    /// `ScoreError` where the context is out of range or the text is shorter.
    pub fn score(
        &mut self,
        text: &str,
        context: usize,
        progress: &mut dyn FnMut(usize, usize, &Score),
    ) -> Result<Score, ScoreError> {
        let (tokens, bos) = self.0.tokens_of_text(text);
        let most = self.0.facts().context_used;
        if !(4..=most).contains(&context) {
            return Err(ScoreError::Context { asked: context, context: most });
        }
        let chunks = tokens.len() / context;
        if chunks == 0 {
            return Err(ScoreError::TooShort { tokens: tokens.len(), context });
        }
        let mut score = Score::default();
        for chunk in tokens.chunks_exact(context) {
            self.score_chunk(chunk, bos, &mut score);
            score.chunks += 1;
            progress(score.chunks, chunks, &score);
        }
        Ok(score)
    }

    /// Scores the tokens after the first `len / 2 + 1` of one chunk.
    fn score_chunk(&mut self, chunk: &[u32], bos: Option<u32>, score: &mut Score) {
        let engine = &mut self.0;
        let first = chunk.len() / 2;
        let mut read = chunk.to_vec();
        read[0] = bos.unwrap_or(read[0]);
        let blocks: Vec<BlockId> = (0..blocks_for(chunk.len()) as BlockId).collect();
        let vocabulary = engine.model.architecture().vocabulary;
        // The last token predicts nothing within the chunk.
        let inputs = &read[..chunk.len() - 1];
        for (step, tokens) in inputs.chunks(STEP_ROWS).enumerate() {
            let position = step * STEP_ROWS;
            let end = position + tokens.len();
            let wanted = end.saturating_sub(first.max(position));
            let blocks = &blocks[..blocks_for(end)];
            let run = Run { tokens, position, blocks, logits: wanted };
            let logits = engine.model.forward(&[run], &mut engine.kv, &engine.pool);
            let next = &chunk[end - wanted + 1..end + 1];
            for (logits, &next) in logits.chunks_exact(vocabulary).zip(next) {
                score.add(-ln_probability(logits, next));
            }
        }
    }
}

/// ln of the softmax of `logits` at `token`.
fn ln_probability(logits: &[f32], token: u32) -> f64 {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|&logit| f64::from(exp(logit - most))).sum();
    f64::from(logits[token as usize]) - f64::from(most) - ln_f64(sum)
}

#[cfg(test)]
mod tests {
    use super::super::tiny::{self, Family};
    use super::*;

    fn scorer(family: Family) -> Scorer {
        let folder = std::env::temp_dir();
        let path = folder.join(format!("nightclerk-score-{family:?}-{}.gguf", std::process::id()));
        tiny::write(&path, family, 7).unwrap();
        let settings = Settings::new(1 << 30, "2026-01-31");
        let scorer = Scorer::load(&path, &settings).unwrap();
        std::fs::remove_file(&path).unwrap();
        scorer
    }

    const TEXT: &str =
        "The agreement of the parties is of the first of March, and the rent is due. ";

    /// The same by the definition: every prefix read on its own.
    #[test]
    fn a_score_is_the_mean_of_what_every_prefix_gives_its_next_token() {
        let mut scorer = scorer(Family::Llama);
        let text = TEXT.repeat(8);
        let context = 300;
        let (tokens, bos) = scorer.0.tokens_of_text(&text);
        assert!(bos.is_none() && tokens.len() >= context);
        let mut expected = Score { chunks: tokens.len() / context, ..Score::default() };
        let engine = &mut scorer.0;
        let blocks: Vec<BlockId> = (0..blocks_for(context) as BlockId).collect();
        for chunk in tokens.chunks_exact(context) {
            for end in context / 2 + 1..context {
                let parts = chunk[..end].chunks(100).enumerate();
                for (part, tokens) in parts {
                    let position = part * 100;
                    let blocks = &blocks[..blocks_for(position + tokens.len())];
                    let run = Run { tokens, position, blocks, logits: 1 };
                    let logits = engine.model.forward(&[run], &mut engine.kv, &engine.pool);
                    if position + tokens.len() == end {
                        expected.add(-ln_probability(logits, chunk[end]));
                    }
                }
            }
        }
        let mut told = Vec::new();
        let score = scorer.score(&text, context, &mut |done, all, _| told.push((done, all)));
        assert_eq!(score, Ok(expected));
        assert_eq!(told.last(), Some(&(expected.chunks, expected.chunks)));
        assert_eq!(expected.tokens, expected.chunks * (context - context / 2 - 1));
        let (perplexity, error) = expected.perplexity();
        // Random weights know nothing: about the size of the vocabulary, not 1 and not infinite.
        assert!(perplexity > 30.0 && perplexity < 3000.0 && error > 0.0, "{perplexity} {error}");
    }

    #[test]
    fn what_cannot_be_scored_is_said_with_the_numbers() {
        let mut scorer = scorer(Family::Qwen2);
        let mut score = |text: &str, context| {
            scorer.score(text, context, &mut |_, _, _| {}).unwrap_err().to_string()
        };
        assert!(score("too short", 512).contains("fewer than the context of 512"));
        assert!(score(TEXT, 2).contains("4 to 1024 can"));
        assert!(score(TEXT, 4096).contains("4 to 1024 can"));
    }
}
