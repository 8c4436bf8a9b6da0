//! What an answer may well go on with, looked up in what its sequence already holds (prompt lookup:
//! Saxena, 2023; Yang et al., "Inference with Reference", 2023): a few tokens that are computed as rows
//! beside the one that is due, each kept only where the model itself picks that very token.
//!
//! A proposal is a range of the sequence's own tokens, so that proposing copies and allocates nothing.
//! A bad proposal costs its rows and changes nothing.

use std::ops::Range;

use super::tokenizer::Tokenizer;
use crate::base::limits::PROPOSAL_ROWS;

/// A longer match makes a place no better.
const MATCH_MAX: usize = PROPOSAL_ROWS;

/// The place that follows the longest match of the last tokens, among equals the last such place: one
/// token less than match, so none after a single one, and at most `most`. Two words alike say little of
/// what follows them; ten say that a sentence is being copied.
pub(super) fn after_match(tokens: &[u32], most: usize) -> Option<Range<usize>> {
    let (&last, before) = tokens.split_last()?;
    let mut best = (2, 0);
    for (at, _) in before.iter().enumerate().filter(|&(_, &token)| token == last) {
        let alike = tokens[..=at].iter().rev().zip(tokens.iter().rev());
        let len = alike.take(MATCH_MAX).take_while(|(a, b)| a == b).count();
        if len >= best.0 {
            best = (len, at + 1);
        }
    }
    let (len, from) = best;
    let most = most.min(len - 1);
    (from > 0 && most > 0).then(|| from..tokens.len().min(from + most))
}

/// The tokens of `document`, a range of `tokens` that writes `bytes` bytes, from byte `from` on, up to
/// `most` of them; none where no token begins there.
pub(super) fn at_byte(
    tokenizer: &Tokenizer,
    tokens: &[u32],
    document: Range<usize>,
    (from, bytes): (usize, usize),
    most: usize,
) -> Option<Range<usize>> {
    let len = |token: &u32| tokenizer.token_bytes(*token).len();
    let written: usize = tokens[document.clone()].iter().map(len).sum();
    // A SentencePiece model writes a space before a text.
    let mut left = from + written.checked_sub(bytes)?;
    let mut at = document.start;
    while left > 0 && at < document.end {
        left = left.checked_sub(len(&tokens[at]))?;
        at += 1;
    }
    let end = document.end.min(at + most);
    (at < end).then_some(at..end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tokenizer::tests::small_model;

    #[test]
    fn the_place_after_the_longest_match_is_proposed() {
        let tokens = [1, 2, 3, 4, 9, 2, 3, 5, 8, 2, 3, 6, 1, 2, 3];
        assert_eq!(after_match(&tokens, 9), Some(3..5), "1 2 3 before 4, not the later 2 3");
        assert_eq!(after_match(&tokens, 1), Some(3..4));
        assert_eq!(after_match(&tokens[1..11], 9), Some(6..7), "the later of two");
        assert_eq!(after_match(&[7, 1, 8, 1], 4), None, "one token is no match");
        assert_eq!(after_match(&tokens, 0), None);
        assert_eq!(after_match(&[], 4), None);
        assert_eq!(after_match(&[5, 5, 5], 4), Some(2..3), "up to the end of what is there");
    }

    #[test]
    fn a_byte_of_the_document_is_found_among_the_tokens() {
        let tokenizer = Tokenizer::from_gguf(&small_model()).unwrap();
        let text = "The lease is governed by the laws of Denmark.";
        let mut tokens = vec![1, 2, 3];
        tokens.extend(tokenizer.encode(text));
        let document = 3..tokens.len();
        tokens.extend([4, 5]);
        let propose = |from| {
            at_byte(&tokenizer, &tokens, document.clone(), (from, text.len()), 3)
                .map(|range| tokenizer.decode(&tokens[range]))
        };
        assert_eq!(propose(9).as_deref(), Some(" is governed by"));
        assert_eq!(propose(text.len() - 1).as_deref(), Some("."), "not beyond the document");
        assert_eq!(propose(text.len()), None);
        assert_eq!(propose(6), None, "inside of a token");
    }
}
