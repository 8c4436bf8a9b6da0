//! `Request` → `Completion`: the only room that knows tokens and tensors.

mod architecture;
mod attention;
mod gguf;
mod kv;
mod linear;
mod math;
mod model;
mod pool;
mod grammar;
mod quote;
mod request;
#[expect(dead_code, reason = "nothing submits requests yet")]
mod script;
mod stub;
pub use stub::*;
#[expect(dead_code, reason = "nothing submits requests yet")]
mod template;
#[expect(dead_code, reason = "nothing submits requests yet")]
mod tokenizer;
#[path = "kernels/wide.rs"]
mod wide;

pub use architecture::ArchitectureError;
pub use gguf::GgufError;
pub use request::{Form, Part, Request, Sampling};
