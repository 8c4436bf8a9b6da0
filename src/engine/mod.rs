//! `Request` → `Completion`: the only room that knows tokens and tensors.

pub mod kernels;
mod request;
mod weights;

pub use request::{Form, Part, Request, Sampling};
