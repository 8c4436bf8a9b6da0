//! One question on one document: what of the document the model is shown, and what of it the answer rests
//! on. A document that fits is shown whole; of a longer one the passages that share words with the question;
//! the answer rests on those that share most words with it. Code finds both, as for a summary.

use std::collections::BTreeSet;
use std::ops::Range;
use std::slice;

use super::claims::Ground;
use super::clauses::Clauses;
use super::evidence::{LEXICAL, evidence};
use super::lexical::{Sentences, content_words, sentences_of, words};
use super::record::Evidence;
use crate::base::TokenCounter;
use crate::base::limits::CHUNK_TOKENS_DEFAULT;
use crate::chunk::{Chunk, Piece, split};
use crate::extract::Document;
use crate::jobs::{Field, FieldType};
use crate::prompt::{self, Passage, Request};

/// The share of what is shown that goes to the opening of the document, where its parties, title and date
/// stand: one in so many.
const OPENING_SHARE: usize = 6;

/// Between passages that do not adjoin. Blank lines, so that no sentence goes across.
const GAP: &str = "\n\n[…]\n\n";

/// Words of an answer under which it says too little to be found by: "Ninety days."
const ANSWER_WORDS_FEW: usize = 5;

/// A question about to be asked.
pub struct Inquiry {
    question: String,
    document: Document,
    /// What is shown, with its way back into the document.
    shown: Chunk,
    passage: Passage,
    /// Clauses shown and clauses of the document; none where it is shown whole.
    pub ranked: Option<(usize, usize)>,
}

impl Inquiry {
    /// Chooses what of `document` is shown within `budget` tokens. None where it has no text.
    pub fn new(
        document: Document,
        question: &str,
        budget: usize,
        counter: &dyn TokenCounter,
    ) -> Option<Inquiry> {
        let mut chunks = split(&document, budget, counter).chunks;
        chunks.retain(|chunk| !chunk.text.trim().is_empty());
        let (shown, ranked) = match chunks.len() {
            0 => return None,
            1 => (chunks.remove(0), None),
            _ => {
                let clauses = Clauses::new(&chunks);
                let chosen = choose(&clauses, &chunks, question, budget, counter);
                let counts = (chosen.len(), clauses.len());
                (excerpt(&chunks, &clauses, &chosen), Some(counts))
            }
        };
        let passage = Passage::new(&shown, 1);
        Some(Inquiry { question: question.to_owned(), document, shown, passage, ranked })
    }

    pub fn request(&self, id: u64, answer_tokens_max: u32) -> Request {
        prompt::ask_question(id, &self.question, &self.passage, answer_tokens_max)
    }

    /// The passages that an answer rests on, the best first: those that share most words with it, and where
    /// it is short with the question. None of an answer that the document does not say.
    pub fn evidence(&self, answer: &str) -> Vec<Evidence> {
        if prompt::is_not_said(answer) {
            return Vec::new();
        }
        let mut point = words(answer);
        if point.len() < ANSWER_WORDS_FEW {
            point.extend(content_words(&self.question));
        }
        let chunks = slice::from_ref(&self.shown);
        let sentences = Sentences::new(chunks, &sentences_of(chunks, 0..1));
        let places = sentences.supporting(&point.join(" ")).into_iter();
        places
            .flat_map(|(_, place)| evidence(&self.document, &self.shown, place, Some(LEXICAL)))
            .collect()
    }

    /// The figures and names of an answer that stand neither in what was shown nor in the question.
    pub fn unsupported(&self, answer: &str) -> Vec<String> {
        let known = format!("{}\n\n{}", self.shown.text, self.question);
        Ground::new(&known, None).check(answer, None).1
    }
}

/// The clauses to show: the document's first ones, then the best ranked with their neighbours, for as long
/// as there is room. In reading order.
fn choose(
    clauses: &Clauses,
    chunks: &[Chunk],
    question: &str,
    budget: usize,
    counter: &dyn TokenCounter,
) -> BTreeSet<usize> {
    let phrases = content_words(question).into_iter().map(|word| match word.chars().count() {
        // Other forms of a longer word count too: "terminate", "terminated", "terminates".
        5.. => format!("{}*", word.trim_end_matches(['s', 'e', 'd'])),
        _ => word,
    });
    let field = Field { phrases: phrases.collect(), ..Field::new("", question, FieldType::Text) };
    // Small models lose the thread in long texts, and what is found far down the ranking seldom answers.
    let budget = budget.min(CHUNK_TOKENS_DEFAULT);
    let cost = |clause: usize| {
        let clause = clauses.get(clause);
        let text = &chunks[clause.chunk].text;
        let heading = clause.heading.clone().map_or(0, |heading| counter.count(&text[heading]));
        counter.count(&text[clause.range.clone()]) + heading + counter.count(GAP)
    };
    let (mut chosen, mut room) = (BTreeSet::new(), budget);
    for clause in 0..clauses.len() {
        let cost = cost(clause);
        if cost + (budget - room) > budget / OPENING_SHARE {
            break;
        }
        chosen.insert(clause);
        room -= cost;
    }
    for hit in clauses.ranked(&field) {
        for clause in [hit.clause, hit.clause + 1, hit.clause.saturating_sub(1)] {
            if clause < clauses.len() && !chosen.contains(&clause) {
                let cost = cost(clause);
                if cost > room {
                    return chosen;
                }
                chosen.insert(clause);
                room -= cost;
            }
        }
    }
    chosen
}

/// The chosen clauses, each under its heading, as one chunk whose pieces lead where the chunks' own lead.
fn excerpt(chunks: &[Chunk], clauses: &Clauses, chosen: &BTreeSet<usize>) -> Chunk {
    let mut places: Vec<(usize, &Range<usize>)> = Vec::new();
    for &clause in chosen {
        let clause = clauses.get(clause);
        let heading = clause.heading.as_ref().map(|heading| (clause.chunk, heading));
        places.extend(heading.filter(|heading| !places.contains(heading)));
        places.push((clause.chunk, &clause.range));
    }
    let mut excerpt =
        Chunk { number: 1, text: String::new(), pieces: Vec::new(), tokens: 0, repeated: 0 };
    let mut last: Option<(usize, usize)> = None;
    for (index, range) in places {
        let between = last.filter(|(chunk, _)| *chunk == index);
        let between = between.and_then(|(_, end)| chunks[index].text.get(end..range.start));
        excerpt.text.push_str(match between {
            Some(space) if space.trim().is_empty() => space,
            _ if excerpt.text.is_empty() => "",
            _ => GAP,
        });
        copy(&chunks[index], range, &mut excerpt);
        last = Some((index, range.end));
    }
    excerpt
}

/// Appends the bytes `range` of `chunk` to `excerpt`.
fn copy(chunk: &Chunk, range: &Range<usize>, excerpt: &mut Chunk) {
    let at = excerpt.text.len();
    for piece in &chunk.pieces {
        let start = piece.chunk.start.max(range.start);
        let end = piece.chunk.end.min(range.end);
        if start < end {
            excerpt.pieces.push(Piece {
                chunk: at + start - range.start..at + end - range.start,
                page: piece.page,
                model_start: piece.model_start + (start - piece.chunk.start) as u32,
            });
        }
    }
    excerpt.text.push_str(&chunk.text[range.clone()]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::tests::{ToyCounter, document};
    use crate::extract::Role;

    const FILLER: &str =
        "The tenant keeps all rooms and the stairs in front of them clean at all times.";

    #[test]
    fn of_a_long_document_the_passages_that_share_words_with_the_question_are_shown() {
        let asked = "Either party may terminate this lease upon ninety days of written notice.";
        let mut blocks = vec![(Role::Heading(1), "LEASE between Harbour Mills Ltd and Mary Poe")];
        blocks.extend([(Role::Paragraph, FILLER); 40]);
        blocks.push((Role::Heading(1), "9. Termination."));
        blocks.push((Role::Paragraph, asked));
        blocks.extend([(Role::Paragraph, FILLER); 40]);
        let question = "How can the lease be terminated?";
        let inquiry = Inquiry::new(document(&[&blocks]), question, 200, &ToyCounter).unwrap();
        let (shown, of) = inquiry.ranked.expect("it is longer than 200 tokens");
        assert!(shown < of, "{shown} of {of}");
        let text = &inquiry.shown.text;
        assert!(ToyCounter.count(text) <= 200, "{text}");
        assert!(text.starts_with("LEASE between"), "the opening is shown: {text}");
        assert!(text.contains("9. Termination.\nEither party may"), "under its heading: {text}");
        assert!(inquiry.request(1, 50).document.contains(asked));
        // What the answer rests on has its place in the document.
        for answer in ["By notice.", "Each party may terminate the lease upon ninety days' notice."]
        {
            let evidence = inquiry.evidence(answer);
            let [found] = &evidence[..] else { panic!("one passage: {evidence:?}") };
            let page = &inquiry.document.pages[0].verbatim;
            assert_eq!(&page[found.start as usize..found.end as usize], found.quote);
            assert_eq!(found.quote, asked);
        }
    }

    #[test]
    fn an_answer_rests_on_the_sentence_that_says_it_and_not_on_a_heading_or_nothing() {
        let blocks = [
            (Role::Heading(1), "LEASE between Harbour Mills Ltd and Mary Poe"),
            (Role::Heading(1), "3. Security Deposit."),
            (Role::Paragraph, "Landlord holds $15,000.00 as the deposit of Tenant."),
            (Role::Paragraph, FILLER),
        ];
        let question = "How much is the security deposit?";
        let inquiry = Inquiry::new(document(&[&blocks]), question, 200, &ToyCounter).unwrap();
        let quotes = |answer: &str| -> Vec<String> {
            inquiry.evidence(answer).into_iter().map(|found| found.quote).collect()
        };
        let answer = "The deposit that the landlord holds is $15,000.00.";
        assert_eq!(quotes(answer), ["Landlord holds $15,000.00 as the deposit of Tenant."]);
        assert_eq!(quotes("$15,000.00.")[0], "Landlord holds $15,000.00 as the deposit of Tenant.");
        assert_eq!(quotes("The document does not say."), Vec::<String>::new());
        assert_eq!(
            quotes("The security deposit is not specified in the document."),
            Vec::<String>::new()
        );
        assert_eq!(inquiry.unsupported(answer), Vec::<String>::new());
        assert_eq!(inquiry.unsupported("The deposit is $25,000.00."), ["$25,000.00"]);
    }

    #[test]
    fn a_document_that_fits_is_shown_whole() {
        let blocks = [(Role::Paragraph, FILLER); 3];
        let inquiry = Inquiry::new(document(&[&blocks]), "Who cleans?", 200, &ToyCounter).unwrap();
        assert_eq!(inquiry.ranked, None);
        assert_eq!(inquiry.shown.text.matches(FILLER).count(), 3);
        assert!(Inquiry::new(document(&[&[]]), "Who cleans?", 200, &ToyCounter).is_none());
    }
}
