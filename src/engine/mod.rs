//! `Request` → `Completion`: the only room that knows tokens and tensors.

pub mod kernels;
mod request;

pub use request::{Form, Part, Request, Sampling};
