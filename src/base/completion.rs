//! What the engine gives back for one request.

use std::ops::Range;

use crate::base::Digest;

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The model ended its turn, or the last part of the answer's form was complete.
    End,
    /// The request's limit of answer tokens was reached; the text is a prefix.
    Length,
    /// No token could continue the answer's form; the text is what stood until then.
    DeadEnd,
    /// The form took too much work to follow (grammar limits), or the numbers went bad.
    Fault,
}

/// The text of one part of an answer's form, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct PartText {
    pub text: String,
    /// For a quote: its bytes in the request's document text.
    pub place: Option<Range<usize>>,
    /// Difference of the two best logits at the decisive token (the least over the part), in
    /// thousandths; none where every token of the part was forced.
    pub margin_milli: Option<i64>,
}

/// The answer to one request.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// The request's id.
    pub id: u64,
    pub stop: Stop,
    /// The whole answer as text.
    pub text: String,
    /// One entry for each part that was begun.
    pub parts: Vec<PartText>,
    /// Tokens of the prompt, shared prefixes counted.
    pub prompt_tokens: u32,
    /// Tokens of the prompt that were already in the cache because another request needed them.
    pub shared_tokens: u32,
    pub answer_tokens: u32,
    /// Of the prompt's token ids, each as four little-endian bytes.
    pub prompt_digest: Digest,
    /// Of the answer's token ids, likewise.
    pub answer_digest: Digest,
}
