//! One question on one document: what of the document the model is shown, and where in the document the
//! words stand that it answers with. A document that fits is shown whole; of a longer one the passages
//! that share words with the question, as code ranks them.

use std::collections::BTreeSet;
use std::ops::Range;

use super::clauses::Clauses;
use super::evidence::evidence;
use super::lexical::words;
use super::record::Evidence;
use crate::base::limits::CHUNK_TOKENS_DEFAULT;
use crate::base::{PartText, TokenCounter};
use crate::chunk::{Chunk, Piece, split};
use crate::extract::Document;
use crate::jobs::{Field, FieldType};
use crate::prompt::{self, Passage, QuestionReply, Request};

/// Words that say nothing of what is asked for.
const FUNCTION_WORDS: [&str; 48] = [
    "a", "an", "and", "any", "are", "as", "at", "be", "by", "can", "did", "do", "does", "each",
    "for", "from", "has", "have", "how", "if", "in", "is", "it", "its", "many", "may", "much",
    "must", "of", "on", "or", "say", "says", "shall", "the", "their", "there", "this", "to", "was",
    "were", "what", "when", "where", "which", "who", "whom", "with",
];

/// The share of what is shown that goes to the opening of the document, where its parties, title and date
/// stand: one in so many.
const OPENING_SHARE: usize = 6;

/// Between passages that do not adjoin.
const GAP: &str = "\n[…]\n";

/// A question about to be asked.
pub struct Inquiry {
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
        Some(Inquiry { document, shown, passage, ranked })
    }

    pub fn request(&self, id: u64, question: &str, answer_tokens_max: u32) -> Request {
        prompt::ask_question(id, question, &self.passage, answer_tokens_max)
    }

    /// What the parts written so far say, and where the words stand that they rest on.
    pub fn read(&self, parts: &[PartText]) -> (QuestionReply, Vec<Evidence>) {
        let reply = prompt::read_question(&self.passage, parts);
        let found = reply
            .place
            .clone()
            .map_or(Vec::new(), |place| evidence(&self.document, &self.shown, place, None));
        (reply, found)
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
    let asked = words(question).into_iter().filter(|word| !FUNCTION_WORDS.contains(&word.as_str()));
    let phrases = asked.map(|word| match word.chars().count() {
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
        // A quote of what is shown has its place in the document.
        let request = inquiry.request(1, question, 50);
        let at = request.document.find(asked).expect("it is shown");
        let part = |text: &str, place| PartText { text: text.into(), place, margin_milli: None };
        let place = Some(at..at + asked.len());
        let quote = part(asked, place);
        let mut parts = vec![part("By notice.", None), part("\nQuote: \"", None), quote];
        assert_eq!(inquiry.read(&parts).1, [], "the quote may still grow");
        parts.push(part("\"", None));
        let (reply, evidence) = inquiry.read(&parts);
        assert_eq!(reply.answer, "By notice.");
        let [found] = &evidence[..] else { panic!("one passage: {evidence:?}") };
        let page = &inquiry.document.pages[0].verbatim;
        assert_eq!(&page[found.start as usize..found.end as usize], found.quote);
        assert!(found.quote.starts_with("Either party may terminate"), "{found:?}");
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
