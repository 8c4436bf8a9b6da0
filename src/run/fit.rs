//! Whether a model suits this machine: memory at several batch sizes, advice where it is too large, and
//! the documents of a night at the mean of a job's last run.

use std::fs;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::BenchRow;
use crate::base::counted;
use crate::engine::ModelFacts;
use crate::jobs;

/// Sequences at once for which memory is told.
const BATCHES: [u64; 5] = [1, 8, 16, 32, 64];

/// Tokens of each sequence then: the context of the starter's `jobs.toml`.
const SEQUENCE_TOKENS: u64 = 4096;

/// Models in four bits that advice is given of: billions of weights.
const SIZES: [f64; 8] = [0.5, 1.5, 3.0, 8.0, 14.0, 24.0, 32.0, 70.0];

/// Bits a weight of Q4_K_M, all tensors together: the 1.5 billion model of the first night has 5.0, larger
/// ones less.
const FOUR_BIT: f64 = 5.0;

/// What of a machine's memory a run may take: the rest is for the system and for reading documents.
const SHARE: f64 = 0.8;

/// Memory for the weights and the cache of some sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BatchMemory {
    pub sequences: u64,
    pub bytes: u64,
}

/// What `model` says of this machine.
#[derive(Clone, Debug, Serialize)]
pub struct Fit {
    /// MemTotal of proc(5); 0 where the system does not say.
    pub machine_bytes: u64,
    pub batches: Vec<BatchMemory>,
    /// Sentences: what fits, and what would.
    pub advice: String,
}

/// How the model suits this machine.
pub(super) fn fit(facts: &ModelFacts) -> Fit {
    let machine_bytes = machine_bytes().unwrap_or(0);
    let cache = SEQUENCE_TOKENS.min(facts.context as u64) * facts.kv_bytes_per_token;
    let batches: Vec<BatchMemory> = BATCHES
        .iter()
        .map(|&sequences| BatchMemory {
            sequences,
            bytes: facts.weights_bytes.saturating_add(cache.saturating_mul(sequences)),
        })
        .collect();
    let advice = advice(facts, &batches, machine_bytes);
    Fit { machine_bytes, batches, advice }
}

fn advice(facts: &ModelFacts, batches: &[BatchMemory], machine_bytes: u64) -> String {
    let usable = (machine_bytes as f64 * SHARE) as u64;
    let gib = |bytes: f64| format!("{:.1} GiB", bytes / f64::from(1 << 30));
    if machine_bytes == 0 {
        return "how much memory this machine has is unknown".to_owned();
    }
    if let Some(most) = batches.iter().rev().find(|batch| batch.bytes <= usable) {
        return format!(
            "fits this machine's {} with {}",
            gib(machine_bytes as f64),
            counted(most.sequences, "sequence")
        );
    }
    let needed = batches.first().map_or(facts.weights_bytes, |batch| batch.bytes);
    let mut text = format!(
        "too large for this machine: it takes {} of {}, and would swap",
        gib(needed as f64),
        gib(machine_bytes as f64)
    );
    let bytes = |billions: f64| billions * 1e9 * FOUR_BIT / 8.0;
    let cache = (needed - facts.weights_bytes.min(needed)) as f64;
    let here = facts.parameters as f64 / 1e9;
    if bytes(here) + cache <= usable as f64 && bytes(here) < 0.9 * facts.weights_bytes as f64 {
        text +=
            &format!("; in four bits (Q4_K_M) it would take {}, and fit", gib(bytes(here) + cache));
    } else if let Some(size) = SIZES.iter().rev().find(|&&size| bytes(size) * 1.2 <= usable as f64)
    {
        let takes = gib(bytes(*size) * 1.2);
        text += &format!(
            "; a model of {size} billion weights in four bits takes about {takes}, and fits"
        );
    }
    text
}

fn machine_bytes() -> Option<u64> {
    let memory = fs::read_to_string("/proc/meminfo").ok()?;
    let line = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Documents of a night at a job's own mean.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct NightOf {
    /// Answered in the last run.
    pub documents: u64,
    /// Of one document: prompt tokens computed and answer tokens.
    pub prompt_tokens: f64,
    pub answer_tokens: f64,
    pub seconds: f64,
    /// In eight hours.
    pub a_night: u64,
}

/// At the speed of the fastest of `rows`, and the tokens a document that the last run of the jobs file
/// took; none without a jobs file or a run that answered.
pub fn night_of(config: &Path, rows: &[BenchRow]) -> Option<NightOf> {
    let plan = jobs::load(config).ok()?;
    let last_run = fs::read(plan.output.join("last-run.json")).ok()?;
    night_at(&serde_json::from_slice(&last_run).ok()?, rows)
}

fn night_at(last_run: &Value, rows: &[BenchRow]) -> Option<NightOf> {
    let count = |outcome: &str| last_run["counts"][outcome].as_u64().unwrap_or(0);
    let documents = count("done") + count("partial");
    let mean = |key: &str| Some(last_run["engine"][key].as_f64()? / documents as f64);
    let (prompt_tokens, answer_tokens) = (mean("prompt_tokens")?, mean("answer_tokens")?);
    let seconds =
        rows.iter().map(|row| prompt_tokens / row.speed_pp + answer_tokens / row.speed_tg);
    let seconds = seconds.min_by(f64::total_cmp).filter(|_| documents > 0)?;
    let a_night = (8.0 * 3600.0 / seconds.max(1e-6)) as u64;
    Some(NightOf { documents, prompt_tokens, answer_tokens, seconds, a_night })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(parameters: u64, weights_bytes: u64) -> ModelFacts {
        let digest = crate::base::Digest([0; 32]);
        ModelFacts {
            family: "llama".into(),
            name: String::new(),
            licence: None,
            types: Default::default(),
            parameters,
            layers: 80,
            context: 8192,
            context_used: 4096,
            vocabulary: 128_256,
            weights_bytes,
            kv_bytes_per_token: 327_680,
            kv_tokens: 4096,
            has_chat_template: true,
            tokenizer_digest: digest,
            template_digest: digest,
        }
    }

    #[test]
    fn advice_names_what_would_fit_instead() {
        let told = |facts: &ModelFacts, machine: u64| {
            let cache = SEQUENCE_TOKENS * facts.kv_bytes_per_token;
            let one = |sequences| BatchMemory {
                sequences,
                bytes: facts.weights_bytes + cache * sequences,
            };
            advice(facts, &[one(1), one(8)], machine << 30)
        };
        let large = facts(70_600_000_000, 42 << 30);
        assert_eq!(
            told(&large, 16),
            "too large for this machine: it takes 43.2 GiB of 16.0 GiB, and would swap; a model of 14 \
             billion weights in four bits takes about 9.8 GiB, and fits"
        );
        assert_eq!(told(&large, 64), "fits this machine's 64.0 GiB with 1 sequence");
        let wide = facts(8_000_000_000, 15 << 30);
        assert!(told(&wide, 16).ends_with("in four bits (Q4_K_M) it would take 5.9 GiB, and fit"));
    }

    #[test]
    fn a_night_is_eight_hours_of_the_jobs_mean_document() {
        let row = BenchRow {
            pp: 1,
            tg: 1,
            pl: 8,
            n_kv: 1,
            t_pp: 1.0,
            speed_pp: 100.0,
            t_tg: 1.0,
            speed_tg: 10.0,
            t: 1.0,
            speed: 1.0,
            operations: Vec::new(),
        };
        let last_run = serde_json::json!({
            "counts": { "done": 3, "partial": 1 },
            "engine": { "prompt_tokens": 4000, "answer_tokens": 400 },
        });
        let night = night_at(&last_run, &[row]).expect("a run that answered");
        assert_eq!((night.seconds, night.a_night), (20.0, 1440));
        assert!(night_at(&serde_json::json!({ "counts": {} }), &[]).is_none());
    }
}
