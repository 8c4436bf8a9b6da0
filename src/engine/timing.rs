//! Where the time goes: what each operation of a forward took, and what was done between two forwards,
//! added up while it is watched.
//!
//! Nothing that is answered depends on it. Not here: who prints it.

use std::time::Duration;

use crate::base::{Clock, SystemClock};

/// The operations of a forward, in its order, and what stands around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Embed,
    Norm,
    Quantize,
    Qkv,
    Rotate,
    KvWrite,
    Attention,
    AttentionOutput,
    GateUp,
    Swiglu,
    Down,
    Add,
    Logits,
    /// Masks, picks, and the answers that they make.
    Pick,
    /// Requests checked and tokenized.
    Submit,
    /// Admission and the rows of the step.
    Plan,
}

/// The names of the operations, by number.
const NAMES: [&str; 16] = [
    "embedding, angles",
    "norm",
    "quantize rows",
    "q, k, v",
    "bias, rotation",
    "KV write",
    "attention",
    "attention output",
    "gate, up",
    "silu · up",
    "down",
    "add to stream",
    "logits",
    "masks, picks",
    "submission",
    "admission, plan",
];

/// Time by operation; counts only while it is watched, and costs a comparison a lap elsewhere.
#[derive(Default)]
pub(super) struct Timing {
    clock: Option<SystemClock>,
    last: Duration,
    spent: [Duration; NAMES.len()],
}

impl Timing {
    /// Counts from now on.
    pub(super) fn watch(&mut self) {
        self.clock = Some(SystemClock::new());
        self.last = Duration::ZERO;
    }

    /// What comes before the next lap belongs to no operation.
    pub(super) fn start(&mut self) {
        if let Some(clock) = &self.clock {
            self.last = clock.elapsed();
        }
    }

    /// Everything since the last lap was `operation`.
    pub(super) fn lap(&mut self, operation: Operation) {
        if let Some(clock) = &self.clock {
            let now = clock.elapsed();
            self.spent[operation as usize] += now - self.last;
            self.last = now;
        }
    }

    /// What was spent since the last call, by operation, in the order of the forward; empty where
    /// nothing is watched.
    pub(super) fn take(&mut self) -> Vec<(&'static str, Duration)> {
        let spent = std::mem::take(&mut self.spent);
        match self.clock {
            Some(_) => NAMES.into_iter().zip(spent).collect(),
            None => Vec::new(),
        }
    }
}
