//! Task + chunk → `Request`: the one door between the document world and the token world.

pub use crate::engine::{Form, Part, Request, Sampling};

/// Version of the rules that make prompts out of tasks and chunks, and of the forms of answers. A
/// change makes documents due again.
pub const PROMPT_RULES: u32 = 1;
