//! Answers read back along the forms that `super` asked for.

use std::ops::Range;

use super::{NOT_STATED, Passage};
use crate::base::{Completion, Stop};
use crate::chunk::sentences;
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

/// Reads a line of a summary: its whole sentences where it broke off at its longest, without the mark of
/// a list before it. None where there is nothing to read.
pub fn read_line(completion: &Completion) -> Option<String> {
    let line = squeeze(&completion.text);
    let line = line.trim_start_matches(['-', '•', '*', ' ']);
    let whole = line.ends_with(['.', '!', '?', '”', '"', ')']);
    let kept = match sentences(line).as_slice() {
        [_, .., last] if !whole => line[..last.start].trim_end(),
        _ => line,
    };
    let read = matches!(completion.stop, Stop::End | Stop::Length) && !kept.is_empty();
    read.then(|| kept.to_owned())
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
