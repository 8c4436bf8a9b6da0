//! `Request` → `Completion`: the only room that knows tokens and tensors.

mod request;

pub use request::{Form, Part, Request, Sampling};
