//! `Request` → `Completion`: the only room that knows tokens and tensors.

mod answer;
mod architecture;
mod attention;
mod batch;
mod bench;
#[cfg(test)]
mod composition_tests;
mod draft;
mod facts;
mod gguf;
mod grammar;
#[expect(unsafe_code, reason = "instructions of this CPU")]
mod kernels;
mod kv;
mod linear;
mod math;
mod memory;
mod model;
mod perplexity;
mod quote;
mod request;
mod sampler;
mod scheduler;
mod script;
mod template;
#[cfg(test)]
mod tests;
mod timing;
#[doc(hidden)]
pub mod tiny;
mod tokenizer;
mod weights;
#[path = "kernels/wide.rs"]
mod wide;

use kernels::pool;

pub use architecture::ArchitectureError;
pub use batch::{
    Engine, EngineProgress, LoadError, NUMBER_RULES, RequestError, Settings, inspect, open_counter,
};
pub use bench::{BenchError, BenchShape, BenchTimes};
pub use facts::ModelFacts;
pub use gguf::GgufError;
pub use memory::TooLarge;
pub use perplexity::{Score, ScoreError, Scorer};
pub use request::{Form, Part, Request, Sampling};
pub use script::FormError;
pub use template::TemplateError;
pub use tokenizer::TokenizerError;

/// The names of the instruction tiers that this machine can run, the slowest first. All give the same
/// bits.
pub fn tiers() -> Vec<&'static str> {
    kernels::Tier::available().into_iter().map(kernels::Tier::name).collect()
}
