//! A document's clauses, ranked by the words that a field's answer is likely to stand among: no model
//! is asked here. A clause is a sentence, or a part of one that is too long to quote.

use std::ops::Range;

use super::lexical::{trimmed, words};
use crate::chunk::{Chunk, sentences};
use crate::jobs::Field;

/// Bytes of a clause; a longer sentence is cut where a line or a semicolon ends.
const CLAUSE_BYTES_MAX: usize = 900;
/// Words of a heading, and of one that ends with a dot, as a sentence does.
const HEADING_WORDS_MAX: usize = 9;
const RUN_IN_WORDS_MAX: usize = 5;
/// Clauses that a heading stands over at most, where no other comes.
const HEADING_REACH: usize = 8;
/// A phrase in the heading counts as often as so many in the clause.
const HEADING_WEIGHT: usize = 2;
/// Words of a clause at least.
const CLAUSE_WORDS_MIN: usize = 4;

/// The clauses of all chunks, in reading order.
pub(super) struct Clauses {
    all: Vec<Clause>,
    /// Words of all of them.
    words: usize,
}

pub(super) struct Clause {
    /// Index of the chunk, and bytes of its text.
    pub chunk: usize,
    pub range: Range<usize>,
    /// Bytes of the heading over it, in the same chunk.
    pub heading: Option<Range<usize>>,
    /// Bytes of the document before it.
    pub before: usize,
    words: Vec<String>,
    heading_words: Vec<String>,
}

/// A clause that may state a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    /// Index of the clause.
    pub clause: usize,
    /// Of all that its phrases weigh; 0 where none of them occurs.
    pub score: u64,
}

impl Clauses {
    pub(super) fn new(chunks: &[Chunk]) -> Clauses {
        let mut all: Vec<Clause> = Vec::new();
        let mut before = 0;
        for (index, chunk) in chunks.iter().enumerate() {
            let own = &chunk.text[chunk.repeated..];
            let mut heading: Option<(Range<usize>, usize)> = None;
            for range in sentences(own) {
                let start = before + range.start;
                let range = range.start + chunk.repeated..range.end + chunk.repeated;
                let range = trimmed(&chunk.text, range);
                let written = words(&chunk.text[range.clone()]);
                if is_heading(&chunk.text[range.clone()], &written) {
                    heading = Some((range.clone(), 0));
                }
                if written.len() < CLAUSE_WORDS_MIN {
                    continue;
                }
                for part in parts(&chunk.text, range) {
                    let over = heading
                        .as_mut()
                        .filter(|(over, reach)| *over != part && *reach < HEADING_REACH);
                    let over = over.map(|(over, reach)| {
                        *reach += 1;
                        over.clone()
                    });
                    let heading_words =
                        over.clone().map_or(Vec::new(), |over| words(&chunk.text[over]));
                    let words = words(&chunk.text[part.clone()]);
                    all.push(Clause {
                        chunk: index,
                        range: part,
                        heading: over,
                        before: start,
                        words,
                        heading_words,
                    });
                }
            }
            before += own.len();
        }
        let words = all.iter().map(|clause| clause.words.len()).sum();
        Clauses { all, words }
    }

    pub(super) fn get(&self, clause: usize) -> &Clause {
        &self.all[clause]
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// The clauses that hold one of the field's phrases and what it needs besides, best first (BM25 with k1 = 1.2 and b = 0.5, in
    /// whole numbers, so that the order is the same on every machine). The words of the question count
    /// a fourth; without any phrase they are all there is.
    pub(super) fn ranked(&self, field: &Field) -> Vec<Hit> {
        let phrases: Vec<Vec<String>> = field.phrases.iter().map(|phrase| terms(phrase)).collect();
        let asked: Vec<Vec<String>> = words(&field.question)
            .into_iter()
            .filter(|word| word.chars().count() > 4)
            .map(|word| vec![word])
            .collect();
        let mut scores = self.scores(&phrases);
        let of_question = self.scores(&asked);
        for (score, extra) in scores.iter_mut().zip(of_question) {
            if *score > 0 || phrases.is_empty() {
                *score += extra / 4;
            }
        }
        let hits = scores.into_iter().enumerate().filter(|(_, score)| *score > 0);
        let hits = hits.filter(|(clause, _)| self.all[*clause].may_state(field));
        let mut hits: Vec<Hit> = hits.map(|(clause, score)| Hit { clause, score }).collect();
        hits.sort_by_key(|hit| (std::cmp::Reverse(hit.score), hit.clause));
        hits
    }

    fn scores(&self, phrases: &[Vec<String>]) -> Vec<u64> {
        let count = self.all.len();
        let mut scores = vec![0; count];
        let mean = (self.words / count.max(1)).max(1) as u64;
        for phrase in phrases {
            let times: Vec<usize> = self.all.iter().map(|clause| clause.times(phrase)).collect();
            let holding = times.iter().filter(|times| **times > 0).count();
            let rareness = log2_milli((2 * count as u64 + 2) * 1024 / (2 * holding as u64 + 1))
                .saturating_sub(10_000);
            for ((score, times), clause) in scores.iter_mut().zip(times).zip(&self.all) {
                let times = times as u64 * 1000;
                let length = 500 + 500 * clause.words.len() as u64 / mean;
                *score += rareness * times * 22 / 10 / (times + 12 * length / 10).max(1);
            }
        }
        scores
    }
}

impl Clause {
    /// How often a phrase occurs.
    fn times(&self, phrase: &[String]) -> usize {
        occurrences(&self.words, phrase) + HEADING_WEIGHT * occurrences(&self.heading_words, phrase)
    }

    /// Whether what the field needs beside a phrase is there, and nothing that rules it out.
    fn may_state(&self, field: &Field) -> bool {
        let needed = field.needs.is_empty() || field.needs.iter().any(|words| self.holds(words));
        needed && !field.unless.iter().any(|words| occurrences(&self.words, &terms(words)) > 0)
    }

    /// Whether a phrase occurs in it or in its heading.
    pub(super) fn holds(&self, phrase: &str) -> bool {
        self.times(&terms(phrase)) > 0
    }
}

/// How many of `phrases` occur among `words`.
pub(super) fn phrases_in(words: &[String], phrases: &[String]) -> usize {
    phrases.iter().filter(|phrase| occurrences(words, &terms(phrase)) > 0).count()
}

/// A phrase's words in lower case; a `*` stays at the end of a word.
fn terms(phrase: &str) -> Vec<String> {
    phrase
        .split_whitespace()
        .flat_map(|word| {
            let mut of_word = words(word);
            if word.ends_with('*')
                && let Some(last) = of_word.last_mut()
            {
                last.push('*');
            }
            of_word
        })
        .collect()
}

fn occurrences(words: &[String], phrase: &[String]) -> usize {
    let matches = |word: &String, term: &String| match term.strip_suffix('*') {
        Some(stem) => word.starts_with(stem),
        None => word == term,
    };
    let at = |run: &&[String]| run.iter().zip(phrase).all(|(word, term)| matches(word, term));
    if phrase.is_empty() { 0 } else { words.windows(phrase.len()).filter(at).count() }
}

/// The binary logarithm in thousandths, straight between powers of two.
fn log2_milli(n: u64) -> u64 {
    let n = n.max(1);
    let whole = u64::from(n.ilog2());
    whole * 1000 + (((n - (1 << whole)) * 1000) >> whole)
}

/// A short line that is no sentence, or a clause's own title ("12.3 Governing Law.").
fn is_heading(text: &str, words: &[String]) -> bool {
    let capital = text.chars().find(|c| c.is_alphabetic()).is_some_and(char::is_uppercase);
    let most = if text.ends_with('.') { RUN_IN_WORDS_MAX } else { HEADING_WORDS_MAX };
    (1..=most).contains(&words.len()) && capital && !text.ends_with([';', ','])
}

/// `range` in parts that can be quoted.
fn parts(text: &str, range: Range<usize>) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut rest = range;
    while rest.len() > CLAUSE_BYTES_MAX {
        let most = text.floor_char_boundary(rest.start + CLAUSE_BYTES_MAX);
        let head = &text[rest.start..most];
        let cut = head.rfind([';', '\n']).filter(|cut| 4 * cut > CLAUSE_BYTES_MAX);
        let cut = cut.or_else(|| head.rfind(' ')).filter(|cut| *cut > 0);
        let end = cut.map_or(most, |cut| rest.start + cut + 1);
        parts.push(trimmed(text, rest.start..end));
        rest = trimmed(text, end..rest.end);
    }
    parts.push(rest);
    parts.retain(|part| !part.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::FieldType;

    fn chunk(text: &str) -> Chunk {
        Chunk { number: 1, text: text.into(), pieces: Vec::new(), tokens: 0, repeated: 0 }
    }

    #[test]
    fn the_clause_with_the_rare_phrase_under_its_heading_comes_first() {
        let text = "12. Governing Law.\n\nThis Agreement is subject to the laws of Ohio.\n\n\
                    13. Duties.\n\nThe Tenant obeys all laws of the city. The Tenant pays rent on the first of a month. \
                    The laws of physics are not waived by the parties.";
        let chunks = [chunk(text)];
        let clauses = Clauses::new(&chunks);
        let field = Field {
            phrases: vec!["governing law".into(), "laws of".into()],
            ..Field::new("law", "Which law governs?", FieldType::Text)
        };
        let hits = clauses.ranked(&field);
        let best = clauses.get(hits[0].clause);
        assert_eq!(&text[best.range.clone()], "This Agreement is subject to the laws of Ohio.");
        assert_eq!(&text[best.heading.clone().unwrap()], "12. Governing Law.");
        assert_eq!(hits.len(), 3, "the rent is no hit: {hits:?}");
        let of = |words: &str| vec![words.to_owned()];
        let needing = Field { needs: of("subject"), ..field.clone() };
        assert_eq!(clauses.ranked(&needing), hits[..1]);
        let needing = Field { needs: of("duties"), unless: of("tenant"), ..field.clone() };
        let left = clauses.ranked(&needing);
        assert_eq!(
            left.len(),
            1,
            "its heading is {left:?}'s, the other's is too but for the tenant"
        );
        assert!(text[clauses.get(left[0].clause).range.clone()].starts_with("The laws of physics"));
        let field = Field { phrases: of("arbitra*"), ..field };
        assert!(clauses.ranked(&field).is_empty());
    }

    #[test]
    fn a_sentence_that_is_too_long_to_quote_is_cut_where_a_part_of_it_ends() {
        let item =
            "the tenant shall keep the roof, the walls and all that stands below them whole; ";
        let text = item.repeat(20);
        let parts = parts(&text, 0..text.len());
        assert!(parts.len() > 1 && parts.iter().all(|part| part.len() <= CLAUSE_BYTES_MAX));
        assert!(parts.iter().all(|part| text[part.clone()].ends_with(';')));
    }

    #[test]
    fn stems_match_what_goes_on() {
        let words = words("No assignment is valid; assigned rights end");
        assert_eq!(occurrences(&words, &terms("assign*")), 2);
        assert_eq!(occurrences(&words, &terms("assign")), 0);
        assert_eq!(occurrences(&words, &terms("no assign* is")), 1);
    }
}
