//! `Request` → `Completion`: the only room that knows tokens and tensors.

mod architecture;
mod attention;
mod gguf;
mod kernels;
mod kv;
mod linear;
mod math;
mod model;
mod request;
mod sampler;
mod scheduler;
#[expect(dead_code, reason = "nothing submits requests yet")]
mod script;
#[expect(dead_code, reason = "nothing submits requests yet")]
mod template;
#[cfg(test)]
mod tests;
#[doc(hidden)]
pub mod tiny;
#[expect(dead_code, reason = "nothing submits requests yet")]
mod tokenizer;
mod weights;
#[path = "kernels/wide.rs"]
mod wide;

use kernels::pool;

pub use architecture::ArchitectureError;
pub use gguf::GgufError;
pub use request::{Form, Part, Request, Sampling};
