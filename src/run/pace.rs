//! How fast this machine reads and writes with one model, and how long something will take by that.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::audit::Host;
use crate::base::{Digest, read_file};
use crate::engine::{BenchShape, Engine};
use crate::output::LAST_RUN;

/// What a document asks of the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// Prompt tokens to compute; what questions share counts once.
    pub prompt_tokens: u64,
    /// The most tokens that the answers may have.
    pub answer_tokens_max: u64,
}

impl Effort {
    pub fn plus(self, other: Effort) -> Effort {
        Effort {
            prompt_tokens: self.prompt_tokens.saturating_add(other.prompt_tokens),
            answer_tokens_max: self.answer_tokens_max.saturating_add(other.answer_tokens_max),
        }
    }

    pub fn minus(self, other: Effort) -> Effort {
        Effort {
            prompt_tokens: self.prompt_tokens.saturating_sub(other.prompt_tokens),
            answer_tokens_max: self.answer_tokens_max.saturating_sub(other.answer_tokens_max),
        }
    }
}

/// Measured speed: what one token takes while others are worked on beside it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    pub prompt_tokens_per_second: f64,
    pub answer_tokens_per_second: f64,
    /// Of the tokens that answers may have, the share that they had.
    pub answer_share: f64,
}

impl Pace {
    /// How long this takes. An unusable pace (zero, not a number) gives the longest time there is.
    pub fn time(&self, effort: Effort) -> Duration {
        let answers = effort.answer_tokens_max as f64 * self.answer_share;
        let seconds = effort.prompt_tokens as f64 / self.prompt_tokens_per_second
            + answers / self.answer_tokens_per_second;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

/// A pace with what it holds for, as `last-run.json` keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// The machine's name.
    pub host: String,
    pub model: Digest,
    pub threads: u64,
    #[serde(flatten)]
    pub pace: Pace,
}

impl Measured {
    /// `pace` as measured on this machine.
    pub fn here(pace: Pace, model: Digest, threads: usize) -> Measured {
        Measured { host: Host::of_machine().name, model, threads: threads as u64, pace }
    }
}

/// The pace that the last run below `output` left for this model, machine and count of threads. None where
/// there is none or it cannot be read: it only foretells, and is measured anew.
pub fn last(output: &Path, model: Digest, threads: usize) -> Option<Pace> {
    #[derive(Deserialize)]
    struct LastRun {
        pace: Measured,
    }
    let bytes = read_file(&output.join(LAST_RUN)).ok()??;
    let Measured { host, model: of, threads: with, pace } =
        serde_json::from_slice::<LastRun>(&bytes).ok()?.pace;
    let is_here = host == Host::of_machine().name && of == model && with == threads as u64;
    is_here.then_some(pace)
}

/// Measures the pace of an idle engine in a few steps. None where it has no room for that.
pub fn first(engine: &mut Engine, slots: usize) -> Option<Pace> {
    let (prompt, answer, batch) = (128, 8, slots.min(8));
    let times = engine.bench(BenchShape { prompt, answer, batch }).ok()?;
    let per_second = |tokens: usize, time: Duration| tokens as f64 / time.as_secs_f64().max(1e-6);
    Some(Pace {
        prompt_tokens_per_second: per_second(prompt * batch, times.prompts),
        answer_tokens_per_second: per_second(answer * batch, times.answers),
        answer_share: ANSWER_SHARE_FIRST,
    })
}

/// The share of its limit that an answer takes where nothing is known yet.
const ANSWER_SHARE_FIRST: f64 = 0.4;

/// An answer token's time over a prompt token's where nothing is known yet: decoding reads all weights for
/// the few rows of a batch.
const ANSWER_FACTOR_FIRST: f64 = 4.0;

/// Between these an answer token's time over a prompt token's lies on any machine: a step for one answer
/// reads all weights, a full one costs a row what a prompt's row costs.
const ANSWER_FACTORS: [f64; 2] = [1.0, 64.0];

/// Steps that a pace known from before counts for. A step's prompt rows and answers here are those of a
/// usual step (`limits::STEP_ROWS_MAX`, a batch of 16).
const STEPS_OF_PRIOR: f64 = 20.0;
const STEP_PROMPT: f64 = 256.0;
const STEP_ANSWERS: f64 = 16.0;

/// A doubt that is never lost: without it, steps that are all alike could not tell the two speeds apart.
const DOUBT: f64 = 0.05;

/// Learns the pace while the engine steps: least squares of a step's time over its tokens of the two
/// kinds, drawn to what was known before.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    prior: Option<Pace>,
    /// Sums over steps: seconds, prompt tokens p, answer tokens a, and the products.
    time: f64,
    p: f64,
    a: f64,
    pp: f64,
    pa: f64,
    aa: f64,
    pt: f64,
    at: f64,
    /// Tokens of finished answers, and of their limits.
    answered: u64,
    answered_max: u64,
}

impl Meter {
    pub fn new(prior: Option<Pace>) -> Meter {
        Meter { prior, ..Meter::default() }
    }

    pub fn step(&mut self, prompt_tokens: u64, answer_tokens: u64, took: Duration) {
        let (p, a, t) = (prompt_tokens as f64, answer_tokens as f64, took.as_secs_f64());
        self.time += t;
        self.p += p;
        self.a += a;
        self.pp += p * p;
        self.pa += p * a;
        self.aa += a * a;
        self.pt += p * t;
        self.at += a * t;
    }

    pub fn answer(&mut self, tokens: u32, tokens_max: u32) {
        self.answered += u64::from(tokens);
        self.answered_max += u64::from(tokens_max);
    }

    /// The pace, once there is anything to tell it from.
    pub fn pace(&self) -> Option<Pace> {
        let even = self.time / (self.p + ANSWER_FACTOR_FIRST * self.a);
        let (x0, y0, steps) = match self.prior {
            Some(pace) => {
                let (p, a) = (pace.prompt_tokens_per_second, pace.answer_tokens_per_second);
                (1.0 / p, 1.0 / a, STEPS_OF_PRIOR)
            }
            None if even.is_finite() && even > 0.0 => (even, ANSWER_FACTOR_FIRST * even, 0.0),
            None => return None,
        };
        let wp = DOUBT * self.pp + steps * STEP_PROMPT * STEP_PROMPT;
        let wa = DOUBT * self.aa + steps * STEP_ANSWERS * STEP_ANSWERS;
        let (a11, a12, a22) = (self.pp + wp, self.pa, self.aa + wa);
        let (b1, b2) = (self.pt + wp * x0, self.at + wa * y0);
        let determinant = a11 * a22 - a12 * a12;
        let (mut x, mut y) = (x0, y0);
        if determinant > 0.0 {
            x = (b1 * a22 - b2 * a12) / determinant;
            y = (a11 * b2 - a12 * b1) / determinant;
        }
        // What no machine does is noise: then the best fit with the nearest factor that one can have.
        let [least, most] = ANSWER_FACTORS;
        if !(x > 0.0 && y >= least * x && y <= most * x) {
            let factor = if y < least * x { least } else { most };
            x = (b1 + factor * b2) / (a11 + 2.0 * factor * a12 + factor * factor * a22);
            y = factor * x;
        }
        let share0 = self.prior.map_or(ANSWER_SHARE_FIRST, |pace| pace.answer_share);
        // A known share counts for a few answers of a usual limit.
        let known = 512.0;
        let answer_share =
            (self.answered as f64 + share0 * known) / (self.answered_max as f64 + known);
        Some(Pace {
            prompt_tokens_per_second: 1.0 / x,
            answer_tokens_per_second: 1.0 / y,
            answer_share,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine of 400 prompt and 50 answer tokens a second, in steps of changing mixture.
    fn steps(meter: &mut Meter, count: u64) {
        for i in 0..count {
            let (p, a) = (256 * u64::from(i % 3 == 0), 1 + i % 16);
            let seconds = p as f64 / 400.0 + a as f64 / 50.0;
            meter.step(p, a, Duration::from_secs_f64(seconds));
        }
    }

    #[test]
    fn both_speeds_are_told_apart_from_mixed_steps() {
        let mut meter = Meter::new(None);
        assert_eq!(meter.pace(), None);
        steps(&mut meter, 300);
        (0..50).for_each(|_| meter.answer(25, 100));
        let pace = meter.pace().unwrap();
        let near = |found: f64, true_value: f64| (found / true_value - 1.0).abs() < 0.15;
        assert!(near(pace.prompt_tokens_per_second, 400.0), "{pace:?}");
        assert!(near(pace.answer_tokens_per_second, 50.0), "{pace:?}");
        assert!(near(pace.answer_share, 0.25), "{pace:?}");
    }

    #[test]
    fn a_known_pace_holds_until_enough_is_measured() {
        let prior = Pace {
            prompt_tokens_per_second: 100.0,
            answer_tokens_per_second: 10.0,
            answer_share: 0.5,
        };
        let mut meter = Meter::new(Some(prior));
        let known = meter.pace().unwrap();
        assert!((known.prompt_tokens_per_second - 100.0).abs() < 1e-6);
        assert!((known.answer_share - 0.5).abs() < 1e-9);
        steps(&mut meter, 3000);
        let learned = meter.pace().unwrap();
        assert!(learned.prompt_tokens_per_second > 340.0, "{learned:?}");
    }

    #[test]
    fn steps_that_make_answers_look_free_do_not_run_away_over_the_nights() {
        let mut pace = None;
        for _ in 0..4 {
            let mut meter = Meter::new(pace);
            // Steps with answers happen to be the quick ones.
            for i in 0..40 {
                let (answers, seconds) = if i % 2 == 0 { (16, 0.8) } else { (0, 1.0) };
                meter.step(256, answers, Duration::from_secs_f64(seconds));
            }
            pace = meter.pace();
            let found = pace.unwrap();
            assert!(found.answer_tokens_per_second <= found.prompt_tokens_per_second, "{found:?}");
            let read = Effort { prompt_tokens: 256 * 40, answer_tokens_max: 0 };
            let (took, said) = (36.0, found.time(read).as_secs_f64());
            assert!((said / took - 1.0).abs() < 0.15, "{said} s of {took}");
        }
    }

    #[test]
    fn an_effort_takes_reading_and_writing_time() {
        let pace = Pace {
            prompt_tokens_per_second: 100.0,
            answer_tokens_per_second: 10.0,
            answer_share: 0.5,
        };
        let effort = Effort { prompt_tokens: 1000, answer_tokens_max: 200 };
        assert_eq!(pace.time(effort), Duration::from_secs(20));
        let broken = Pace { prompt_tokens_per_second: 0.0, ..pace };
        assert_eq!(broken.time(effort), Duration::MAX);
    }
}
