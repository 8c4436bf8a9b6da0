//! Summaries: the reduce tree, and the points with the passages they rest on.

use std::collections::BTreeSet;

use super::evidence::{LEXICAL, evidence};
use super::lexical::{Sentences, numbers, numbers_of};
use super::record::{Point, Summary};
use crate::base::{TokenCounter, Warning};
use crate::chunk::Chunk;
use crate::extract::Document;
use crate::prompt::{SummaryReply, partial_text};

/// Tokens of a reduce step's document that are not partial summaries: its frame.
const FRAME_TOKENS: usize = 16;

/// The summary of a run of chunks.
#[derive(Clone, Debug)]
pub(super) struct Partial {
    /// Numbers of the first and the last chunk.
    pub chunks: (u32, u32),
    pub reply: SummaryReply,
}

impl Partial {
    /// The summary of all that `partials` are of: `reply`, or where the model gave none, theirs one
    /// after the other.
    pub(super) fn joined(partials: &[Partial], reply: Option<SummaryReply>) -> Partial {
        let first = partials.iter().map(|partial| partial.chunks.0).min().unwrap_or(1);
        let last = partials.iter().map(|partial| partial.chunks.1).max().unwrap_or(1);
        let reply = reply.unwrap_or_else(|| {
            let texts: Vec<&str> = partials.iter().map(|one| one.reply.text.as_str()).collect();
            let points = partials.iter().flat_map(|one| one.reply.points.iter().cloned());
            SummaryReply { text: texts.join(" "), points: points.collect() }
        });
        Partial { chunks: (first, last), reply }
    }
}

/// What the model is asked to make one of: adjoining partial summaries as it will read them.
pub(super) struct Group {
    /// Indices of the partials.
    pub partials: std::ops::Range<usize>,
    pub texts: Vec<String>,
    /// Points or words were dropped to make two partials fit.
    pub shortened: bool,
}

/// `partials` in groups that fit `budget` tokens, as many as fit in each and never one alone but
/// perhaps the last: a partial that takes more than half is shortened.
pub(super) fn groups(
    partials: &[Partial],
    budget: usize,
    counter: &dyn TokenCounter,
) -> Vec<Group> {
    let budget = budget.saturating_sub(FRAME_TOKENS).max(2);
    let mut groups: Vec<Group> = Vec::new();
    let mut tokens = 0;
    for (index, partial) in partials.iter().enumerate() {
        let (text, cost, shortened) = fitted(partial, budget / 2, counter);
        match groups.last_mut() {
            Some(group) if tokens + cost <= budget => {
                group.partials.end = index + 1;
                group.texts.push(text);
                group.shortened |= shortened;
                tokens += cost;
            }
            _ => {
                groups.push(Group { partials: index..index + 1, texts: vec![text], shortened });
                tokens = cost;
            }
        }
    }
    groups
}

/// The partial's text within `budget` tokens, its tokens, and whether anything had to go: points from
/// the last on, then words.
fn fitted(partial: &Partial, budget: usize, counter: &dyn TokenCounter) -> (String, usize, bool) {
    let of = match partial.chunks {
        (first, last) if first == last => format!("part {first}"),
        (first, last) => format!("parts {first} to {last}"),
    };
    let mut reply = partial.reply.clone();
    let mut shortened = false;
    loop {
        let text = partial_text(&of, &reply);
        let tokens = counter.count(&text);
        if tokens <= budget || (reply.points.is_empty() && reply.text.is_empty()) {
            return (text, tokens, shortened);
        }
        shortened = true;
        if reply.points.pop().is_none() {
            let half = reply.text.floor_char_boundary(reply.text.len() / 2);
            reply.text.truncate(half);
        }
    }
}

/// The finished summary: each point with the sentences it rests on, and a warning for each point that
/// rests on none and for each number that the document does not name.
pub(super) fn finish(
    reply: &SummaryReply,
    document: &Document,
    chunks: &[Chunk],
    (text_max, point_max): (usize, usize),
    warnings: &mut Vec<Warning>,
) -> Summary {
    let text = match broke_off(&reply.text, text_max) {
        None => reply.text.clone(),
        Some(whole) => {
            let message =
                "summary: it broke off at its longest length; only whole sentences are kept";
            warnings.push(Warning::document(message));
            whole.to_owned()
        }
    };
    let sentences = Sentences::new(chunks);
    let known = numbers_of(chunks);
    let mut points = Vec::new();
    for (point, number) in reply.points.iter().zip(1..) {
        let support = sentences.supporting(point).into_iter();
        let evidence: Vec<_> = support
            .flat_map(|(chunk, range)| evidence(document, &chunks[chunk], range, Some(LEXICAL)))
            .collect();
        if evidence.is_empty() {
            let message = format!("summary: no sentence of the document supports point {number}");
            warnings.push(Warning::document(message));
        }
        if broke_off(point, point_max).is_some() {
            let message = format!("summary: point {number} broke off at its longest length");
            warnings.push(Warning::document(message));
        }
        points.push(Point { text: point.clone(), evidence });
    }
    let texts = std::iter::once(&reply.text).chain(&reply.points);
    let mut said = BTreeSet::new();
    for (written, plain) in texts.flat_map(|text| numbers(text)) {
        if !known.contains(&plain) && said.insert(plain) {
            let message = format!("summary: the number {written} does not occur in the document");
            warnings.push(Warning::document(message));
        }
    }
    Summary { text, points }
}

/// Of a text that ended because it was `max` characters long: its whole sentences, or all of it where
/// there is not one.
fn broke_off(text: &str, max: usize) -> Option<&str> {
    // White space that was taken out since makes a text that is full a little shorter.
    let full = text.chars().count() + 2 >= max && !text.ends_with(['.', '!', '?', '”', '"', ')']);
    full.then(|| text.rfind(". ").map_or(text, |end| &text[..=end]))
}

#[cfg(test)]
mod tests {
    use super::broke_off;

    #[test]
    fn a_summary_that_fills_its_length_ends_with_its_last_whole_sentence() {
        assert_eq!(broke_off("It is a lease. It ends on", 25), Some("It is a lease."));
        assert_eq!(broke_off("It is a lease. It ends.", 23), None);
        assert_eq!(broke_off("It is a lease", 100), None, "short of its length it is as meant");
        assert_eq!(broke_off("one long sentence", 17), Some("one long sentence"));
    }
}
