//! The perplexity of a model over texts, to be held beside another program's.

use std::path::PathBuf;

use serde::Serialize;

use super::Broken;
use crate::engine::{self, Score, Scorer};
use crate::jobs;

/// What is to be scored, and how.
#[derive(Clone, Debug)]
pub struct PerplexityOptions {
    pub file: PathBuf,
    /// UTF-8 each; chunks do not cross from one to the next.
    pub texts: Vec<PathBuf>,
    /// Tokens of each chunk.
    pub context: usize,
    pub memory_bytes: u64,
    /// 0: one per core.
    pub threads: usize,
    /// The instruction tier by name; none for the fastest.
    pub tier: Option<String>,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct PerplexitySheet {
    pub model: String,
    pub threads: usize,
    pub tier: String,
    pub context: usize,
    pub chunks: usize,
    /// Tokens that were scored: the second halves of the chunks.
    pub tokens: usize,
    pub perplexity: f64,
    /// Of the mean, as llama-perplexity prints it.
    pub error: f64,
}

/// Scores all texts together; `progress` hears of chunks done and of all in the text that is being
/// scored, and of the perplexity so far.
///
/// # Errors
/// `Model` where the model cannot be run, `Disk` where a text cannot be read as UTF-8, `Usage` where it
/// is too short for one chunk.
pub fn perplexity_sheet(
    options: &PerplexityOptions,
    progress: &mut dyn FnMut(usize, usize, f64),
) -> Result<PerplexitySheet, Broken> {
    let settings = engine::Settings {
        threads: options.threads,
        context_tokens: options.context,
        share_prefixes: false,
        tier: options.tier.clone(),
        ..engine::Settings::new(options.memory_bytes, jobs::DATE_DEFAULT)
    };
    let scorer = Scorer::load(&options.file, &settings);
    let mut scorer = scorer.map_err(|error| Broken::model(&error))?;
    let mut all = Score::default();
    for path in &options.texts {
        let text = std::fs::read_to_string(path).map_err(|error| Broken::disk(path, &error))?;
        let before = all;
        let score = scorer.score(&text, options.context, &mut |done, chunks, score| {
            progress(done, chunks, before.with(score).perplexity().0);
        });
        let score = score.map_err(|error| Broken::Usage(format!("{}: {error}", path.display())))?;
        all = before.with(&score);
    }
    let (perplexity, error) = all.perplexity();
    let engine = scorer.engine();
    Ok(PerplexitySheet {
        model: engine.facts().name.clone(),
        threads: engine.threads(),
        tier: engine.tier().to_owned(),
        context: options.context,
        chunks: all.chunks,
        tokens: all.tokens,
        perplexity,
        error,
    })
}
