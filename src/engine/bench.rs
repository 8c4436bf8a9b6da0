//! Speed, measured as llama.cpp's `llama-batched-bench` does: sequences of random tokens with no
//! beginning in common are read, then all go on for some tokens, one each in a step.
//!
//! It runs the engine's own scheduler and forward; tokens are not picked but random, on both sides.
//! Not here: which shapes are measured, and how the table is printed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Engine;
use super::scheduler::{Opening, Step, Waiting};
use super::timing::Operation;
use super::tiny::Random;
use crate::base::{Clock, SystemClock};

/// What is measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BenchShape {
    /// Tokens of each prompt.
    pub prompt: usize,
    /// Tokens of each answer.
    pub answer: usize,
    /// Sequences at once.
    pub batch: usize,
}

/// What a shape took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BenchTimes {
    pub prompts: Duration,
    pub answers: Duration,
    /// By operation, in the order of the forward; empty unless `Engine::watch` was called.
    pub prompt_operations: Vec<(&'static str, Duration)>,
    pub answer_operations: Vec<(&'static str, Duration)>,
}

/// Why a shape cannot be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BenchError {
    /// Prompt and answer are longer than the engine's context.
    TooLong { tokens: usize, context: usize },
    /// Slots or KV cache hold fewer sequences.
    Room { batch: usize, fits: usize },
}

impl fmt::Display for BenchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BenchError::TooLong { tokens, context } => write!(
                f,
                "sequences of {tokens} tokens exceed the context of {context} tokens; measure \
                 shorter ones"
            ),
            BenchError::Room { batch, fits } => write!(
                f,
                "{batch} sequences do not fit at once, {fits} would; state more memory or measure \
                 a smaller batch"
            ),
        }
    }
}

impl std::error::Error for BenchError {}

impl Engine {
    /// From now on `bench` and `spent` tell what each operation takes.
    pub fn watch(&mut self) {
        self.model.timing().watch();
    }

    /// What each operation took since the last call; empty unless `watch` was called.
    pub fn spent(&mut self) -> Vec<(&'static str, Duration)> {
        self.model.timing().take()
    }

    /// Threads that compute.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// Measures one shape on an idle engine. The clock runs over planning and forwards, not over
    /// loading and the making of tokens.
    ///
    /// # Errors
    /// `BenchError` where the shape does not fit this engine.
    ///
    /// # Panics
    /// Where requests wait or are being answered.
    pub fn bench(&mut self, shape: BenchShape) -> Result<BenchTimes, BenchError> {
        assert!(self.idle(), "speed is measured on an idle engine");
        let BenchShape { prompt, answer, batch } = shape;
        let context = self.facts().context_used;
        if prompt == 0 || prompt.saturating_add(answer) > context {
            return Err(BenchError::TooLong { tokens: prompt.saturating_add(answer), context });
        }
        let vocabulary = self.facts().vocabulary as u64;
        let mut random = Random(batch as u64);
        let mut token = move || (random.next() % vocabulary) as u32;
        let tickets: Vec<u64> = (self.next_ticket..).take(batch).collect();
        self.next_ticket += batch as u64;
        let nothing = Arc::new(Opening::new(Vec::new(), 0));
        for &ticket in &tickets {
            let own = (0..prompt).map(|_| token()).collect();
            let opening = Arc::clone(&nothing);
            self.scheduler.enqueue(Waiting { ticket, opening, own, answer_max: answer });
        }

        self.model.timing().take();
        let clock = SystemClock::new();
        let admitted = self.scheduler.admit();
        if admitted.len() < batch {
            self.scheduler.cancel_waiting();
            admitted.iter().for_each(|admitted| self.scheduler.finish(admitted.ticket));
            return Err(BenchError::Room { batch, fits: admitted.len() });
        }
        let mut read = 0;
        while read < batch {
            read += self.bench_step();
        }
        let prompts = clock.elapsed();
        let prompt_operations = self.model.timing().take();

        let clock = SystemClock::new();
        for _ in 0..answer {
            tickets.iter().for_each(|&ticket| {
                self.scheduler.append(ticket, &[token()]);
            });
            let mut answered = 0;
            while answered < batch {
                answered += self.bench_step();
            }
        }
        let answers = clock.elapsed();
        let answer_operations = self.model.timing().take();
        tickets.iter().for_each(|&ticket| self.scheduler.finish(ticket));
        Ok(BenchTimes { prompts, answers, prompt_operations, answer_operations })
    }

    /// One step; returns for how many sequences it gave logits.
    fn bench_step(&mut self) -> usize {
        self.model.timing().start();
        let mut step = Step::default();
        self.scheduler.plan(&mut step);
        self.model.timing().lap(Operation::Plan);
        let runs = self.scheduler.runs(&step, Vec::new());
        self.model.forward(&runs, &mut self.kv, &self.pool);
        self.scheduler.settle(&step);
        step.samples.len()
    }
}
