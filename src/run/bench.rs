//! The speed and the memory of a model on this machine, in the columns of llama.cpp's
//! `llama-batched-bench`.

use std::path::PathBuf;

use serde::Serialize;

use super::Broken;
use crate::base::{Clock, SystemClock};
use crate::engine::{self, BenchShape, BenchTimes, Engine};
use crate::jobs;

/// What is to be measured, and how.
#[derive(Clone, Debug)]
pub struct BenchOptions {
    pub file: PathBuf,
    pub memory_bytes: u64,
    /// 0: one per core.
    pub threads: usize,
    /// The instruction tier by name; none for the fastest.
    pub tier: Option<String>,
    /// Tokens of each prompt and of each answer.
    pub prompt: usize,
    pub answer: usize,
    /// The largest number of sequences at once.
    pub batch_max: usize,
    /// Whether rows tell the time of every operation.
    pub timing: bool,
}

/// A loaded model, about to be measured.
pub struct Bench {
    engine: Engine,
    shape: BenchShape,
    /// Tokens in the cache in the largest row so far.
    tokens_max: usize,
    file_bytes: u64,
    pub setting: BenchSetting,
}

/// Under which circumstances the rows were measured.
#[derive(Clone, Debug, Serialize)]
pub struct BenchSetting {
    pub model: String,
    pub threads: usize,
    pub tier: String,
    /// From the open file to the first possible step.
    pub load_seconds: f64,
    /// From the open file to the end of a first step of 16 tokens: what llama.cpp calls load time.
    pub warm_seconds: f64,
}

/// What was taken of the machine's memory, and what for.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct BenchMemory {
    pub file_bytes: u64,
    /// Keys and values of the tokens of the largest row.
    pub kv_bytes: u64,
    /// The most that was resident at once (VmHWM); none where the system does not say.
    pub peak_bytes: Option<u64>,
}

/// One row of the table; the names of its fields are those of `llama-batched-bench`'s JSON lines.
#[derive(Clone, Debug, Serialize)]
pub struct BenchRow {
    /// Tokens of each prompt, tokens of each answer, sequences at once.
    pub pp: usize,
    pub tg: usize,
    pub pl: usize,
    /// Tokens in the cache at the end.
    pub n_kv: usize,
    /// Seconds, and tokens a second: all prompts, all answers, both.
    pub t_pp: f64,
    pub speed_pp: f64,
    pub t_tg: f64,
    pub speed_tg: f64,
    pub t: f64,
    pub speed: f64,
    /// In the order of the forward; empty unless asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<OperationRow>,
}

/// Seconds that one operation took over all steps of a row.
#[derive(Clone, Debug, Serialize)]
pub struct OperationRow {
    pub operation: &'static str,
    pub t_pp: f64,
    pub t_tg: f64,
}

/// Loads a model for measuring, and warms it up with a few tokens.
///
/// # Errors
/// `Model` where the file is no model that can be run, where it does not fit, or where the machine
/// does not have the tier.
pub fn load_bench(options: &BenchOptions) -> Result<Bench, Broken> {
    let BenchOptions { prompt, answer, batch_max, .. } = *options;
    let settings = engine::Settings {
        threads: options.threads,
        slots: batch_max,
        context_tokens: prompt.saturating_add(answer),
        tier: options.tier.clone(),
        ..engine::Settings::new(options.memory_bytes, jobs::DATE_DEFAULT)
    };
    let clock = SystemClock::new();
    let engine = Engine::load(&options.file, &settings, &mut |_, _| {});
    let mut engine = engine.map_err(|error| Broken::model(&error))?;
    let load_seconds = clock.elapsed().as_secs_f64();
    // As many tokens as llama-batched-bench takes.
    let warm = BenchShape { prompt: prompt.min(16), answer: 0, batch: 1 };
    engine.bench(warm).map_err(|error| Broken::model(&error))?;
    let setting = BenchSetting {
        model: engine.facts().name.clone(),
        threads: engine.threads(),
        tier: engine.tier().to_owned(),
        load_seconds,
        warm_seconds: clock.elapsed().as_secs_f64(),
    };
    let file = std::fs::metadata(&options.file);
    let file_bytes = file.map_err(|error| Broken::disk(&options.file, &error))?.len();
    if options.timing {
        engine.watch();
    }
    let shape = BenchShape { prompt, answer, batch: 0 };
    Ok(Bench { engine, shape, tokens_max: 0, file_bytes, setting })
}

impl Bench {
    /// Measures one row.
    ///
    /// # Errors
    /// `Usage` where so many sequences do not fit.
    pub fn row(&mut self, batch: usize) -> Result<BenchRow, Broken> {
        let shape = BenchShape { batch, ..self.shape };
        let times = self.engine.bench(shape).map_err(|error| Broken::Usage(error.to_string()))?;
        let row = BenchRow::new(shape, &times);
        self.tokens_max = self.tokens_max.max(row.n_kv);
        Ok(row)
    }

    /// What was taken so far.
    pub fn memory(&self) -> BenchMemory {
        BenchMemory {
            file_bytes: self.file_bytes,
            kv_bytes: self.tokens_max as u64 * self.engine.facts().kv_bytes_per_token,
            peak_bytes: peak_bytes(),
        }
    }
}

/// The process's largest resident set: `VmHWM` of proc(5).
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

impl BenchRow {
    fn new(shape: BenchShape, times: &BenchTimes) -> BenchRow {
        let BenchShape { prompt: pp, answer: tg, batch: pl } = shape;
        let (t_pp, t_tg) = (times.prompts.as_secs_f64(), times.answers.as_secs_f64());
        let t = t_pp + t_tg;
        let operations = times.prompt_operations.iter().zip(&times.answer_operations);
        BenchRow {
            pp,
            tg,
            pl,
            n_kv: pl * (pp + tg),
            t_pp,
            speed_pp: (pl * pp) as f64 / t_pp,
            t_tg,
            speed_tg: (pl * tg) as f64 / t_tg,
            t,
            speed: (pl * (pp + tg)) as f64 / t,
            operations: operations
                .map(|(&(operation, prompt), &(_, answer))| OperationRow {
                    operation,
                    t_pp: prompt.as_secs_f64(),
                    t_tg: answer.as_secs_f64(),
                })
                .collect(),
        }
    }
}
