//! Answers read back along the forms that `super` asked for.

use std::ops::Range;

use serde::Deserialize;

use super::{NOT_STATED, Passage};
use crate::base::{Completion, Stop};
use crate::jobs::{Field, FieldType};

/// What one chunk says of one field.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldReply {
    /// Of the decision whether it is stated.
    pub margin: Option<i64>,
    /// Empty where the chunk does not state it.
    pub found: Vec<Found>,
}

/// One passage that states a field.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub quote: String,
    /// Bytes of the chunk's text.
    pub place: Option<Range<usize>>,
    /// The value as the model wrote it; none where the answer broke off before it.
    pub raw: Option<String>,
    /// The answer broke off inside this passage: quote or value are prefixes.
    pub cut: bool,
}

/// A summary as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct SummaryReply {
    #[serde(rename = "summary")]
    pub text: String,
    #[serde(default)]
    pub points: Vec<String>,
}

/// Reads the answer to `ask_field`. None where not even the decision was made.
pub fn read_field(field: &Field, passage: &Passage, completion: &Completion) -> Option<FieldReply> {
    let decision = completion.parts.first().filter(|part| !part.text.is_empty())?;
    let mut reply = FieldReply { margin: decision.margin_milli, found: Vec::new() };
    if decision.text == NOT_STATED {
        return Some(reply);
    }
    // The parts of one passage: literal, quote, literal, the value if it has a part of its own, and
    // the decision on another passage.
    let value_at = if field.value == FieldType::Party { 1 } else { 3 };
    let parts_each = if field.value == FieldType::Party { 4 } else { 5 };
    for parts in completion.parts[1..].chunks(parts_each) {
        let Some(quote) = parts.get(1).filter(|quote| !quote.text.trim().is_empty()) else {
            continue;
        };
        let raw = parts.get(value_at).map(|part| clean(&part.text)).filter(|raw| !raw.is_empty());
        if raw.as_deref().is_some_and(withdraws) {
            continue;
        }
        reply.found.push(Found {
            quote: quote.text.clone(),
            place: quote.place.as_ref().and_then(|place| passage.in_chunk(place)),
            raw,
            cut: completion.stop != Stop::End && parts.len() < parts_each,
        });
    }
    Some(reply)
}

/// What the model says of one candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReply {
    /// By how much yes is likelier than no, in thousandths of a logit; below 0 it is no.
    pub margin: i64,
    /// The option chosen, of a field that is a choice.
    pub option: Option<String>,
}

/// Reads the answer to `ask_check`. None where it has none.
pub fn read_check(field: &Field, completion: &Completion) -> Option<CheckReply> {
    let part = completion.parts.first().filter(|_| completion.stop == Stop::End)?;
    let margin = part.margin_milli.unwrap_or(0);
    let no = part.text == NOT_STATED || part.text == "No";
    let option = (field.value == FieldType::Choice && !no).then(|| part.text.clone());
    Some(CheckReply { margin: if no { -margin } else { margin }, option })
}

/// Reads the answer to `ask_summary` or `ask_reduce`; of one that broke off, what is whole of it.
pub fn read_summary(completion: &Completion) -> Option<SummaryReply> {
    let text = completion.text.trim();
    let reply: SummaryReply = match serde_json::from_str(text) {
        Ok(reply) => reply,
        Err(_) => serde_json::from_str(&closed(text)).ok()?,
    };
    let points = reply.points.iter().map(|point| squeeze(point)).filter(|point| !point.is_empty());
    let reply = SummaryReply { text: squeeze(&reply.text), points: points.collect() };
    (!reply.text.is_empty()).then_some(reply)
}

/// A value without the quotation marks and the white space around it.
fn clean(text: &str) -> String {
    text.trim().trim_matches(['"', '“', '”']).trim().to_owned()
}

/// Whether the model says in the value's place that there is none.
fn withdraws(raw: &str) -> bool {
    let raw = raw.trim_end_matches('.').to_ascii_lowercase();
    ["not stated", "not specified", "none", "n/a", "unknown", "not mentioned", "not provided"]
        .contains(&raw.as_str())
}

/// One space between words: an answer is a line of text whatever it was written like.
fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// JSON that broke off, closed: a key or a point that is not whole is dropped, the summary's text is
/// kept as far as it goes.
fn closed(text: &str) -> String {
    let (mut closers, mut in_string, mut escaped) = (Vec::new(), false, false);
    let mut string_start = 0;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => {
                in_string = !in_string;
                string_start = at;
            }
            _ if in_string => {}
            '{' => closers.push('}'),
            '[' => closers.push(']'),
            '}' | ']' => drop(closers.pop()),
            _ => {}
        }
    }
    let mut text = text.to_owned();
    if in_string && closers.last() == Some(&'}') {
        if escaped {
            text.pop();
        } else if let Some(at) = text.rfind("\\u").filter(|at| text.len() - at < 6) {
            text.truncate(at);
        }
        text.push('"');
    } else if in_string {
        text.truncate(string_start);
    }
    let kept = text.trim_end().trim_end_matches(',').len();
    text.truncate(kept);
    text.extend(closers.into_iter().rev());
    text
}
