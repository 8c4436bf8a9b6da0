//! `Request` → `Completion`: the only room that knows tokens and tensors.

mod grammar;
mod quote;
mod request;
mod script;
mod template;
mod tokenizer;

pub use request::{Form, Part, Request, Sampling};
