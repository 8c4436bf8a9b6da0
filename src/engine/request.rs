//! What may be asked of the engine: texts and the form of the answer. No tokens here.

use std::sync::Arc;

/// One question about one text.
///
/// The prompt is the model's own chat template around `system` and a user turn of `document` followed
/// by `task`. None of the three can become a control token. Requests with equal `system` share its
/// KV; requests with equal `system` and `document` share both (DESIGN.md, "Read once, ask many"), so
/// callers clone the `Arc`s.
#[derive(Clone, Debug)]
pub struct Request {
    /// Chosen by the caller, returned in the completion.
    pub id: u64,
    pub system: Arc<str>,
    /// May be empty.
    pub document: Arc<str>,
    pub task: Arc<str>,
    pub form: Form,
    pub answer_tokens_max: u32,
    pub sampling: Sampling,
}

/// The form of an answer: parts in order, each constrained in its own way.
pub type Form = Vec<Part>;

/// One part of an answer. Parts meet at token boundaries.
#[derive(Clone, Debug)]
pub enum Part {
    /// These exact words; their tokens are appended without sampling.
    Literal(Arc<str>),
    /// One of these, none a prefix of another. With `ends`, choosing that index ends the answer.
    Choice { options: Vec<Arc<str>>, ends: Option<usize> },
    /// A passage of the request's document: verbatim, starting and ending at word edges, never empty,
    /// at most `words_max` words.
    Quote { words_max: usize },
    /// Text of a regular expression (as llguidance reads them), one line or more.
    Pattern(Arc<str>),
    /// JSON of this schema, compact.
    Json(Arc<serde_json::Value>),
    /// Free text until the model ends its turn; only as the last part.
    Text,
}

/// How a token is chosen among those that the form allows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sampling {
    /// The best logit; among equals the smallest token id.
    Greedy,
    /// Seeded; the answer is a function of the prompt and the seed alone.
    Seeded { seed: u64, temperature: f32, top_p: f32 },
}
