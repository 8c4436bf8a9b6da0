//! Texts compared by their words: which sentence a point rests on, what a value can be read out of.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::chunk::{Chunk, sentences};

/// One space between words.
pub(super) fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The words of `text` in lower case: runs of letters and digits.
pub(super) fn words(text: &str) -> Vec<String> {
    let runs = text.split(|c: char| !c.is_alphanumeric()).filter(|run| !run.is_empty());
    runs.map(str::to_lowercase).collect()
}

/// Words that say nothing of what a text is about.
const FUNCTION_WORDS: [&str; 57] = [
    "a", "an", "and", "any", "are", "as", "at", "be", "been", "by", "can", "did", "do", "does",
    "each", "for", "from", "has", "have", "how", "if", "in", "is", "it", "its", "many", "may",
    "much", "must", "not", "of", "on", "or", "say", "says", "shall", "such", "that", "the",
    "their", "there", "these", "they", "this", "those", "to", "was", "were", "what", "when",
    "where", "which", "who", "whom", "will", "with", "would",
];

/// The words of `text` that say what it is about.
pub(super) fn content_words(text: &str) -> Vec<String> {
    let mut words = words(text);
    words.retain(|word| !is_function_word(word));
    words
}

pub(super) fn is_function_word(word: &str) -> bool {
    FUNCTION_WORDS.contains(&word)
}

/// Endings of a word's other forms, the longest first.
const ENDINGS: [&str; 10] = ["ment", "ing", "ion", "ly", "al", "ed", "es", "d", "e", "s"];
/// Bytes of a word that stay.
const STEM_BYTES_MIN: usize = 3;

/// A word without its ending, so that "renews", "renewed" and "renewal" are one.
pub(super) fn stem(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("ies") {
        return format!("{stem}y");
    }
    let without =
        |ending: &&str| word.strip_suffix(*ending).filter(|stem| stem.len() >= STEM_BYTES_MIN);
    ENDINGS.iter().find_map(without).unwrap_or(word).to_owned()
}

/// What `text` is about: its content words, each once and without its ending.
pub(super) fn content(text: &str) -> BTreeSet<String> {
    content_words(text).iter().map(|word| stem(word)).collect()
}

/// The words joined by one space, with one before and after: `contains` then finds whole words.
pub(super) fn key(text: &str) -> String {
    format!(" {} ", words(text).join(" "))
}

/// Whether a value in words can be read out of `quote`: all its numbers stand there, and most of its
/// words of four letters and more.
pub(super) fn derives(value: &str, quote: &str) -> bool {
    let quote: BTreeSet<String> = words(quote).into_iter().collect();
    let (mut weighty, mut known) = (0, 0);
    for word in words(value) {
        let number = word.starts_with(|c: char| c.is_ascii_digit());
        if number && !quote.contains(&word) {
            return false;
        }
        if word.chars().count() >= 4 {
            weighty += 1;
            known += usize::from(quote.contains(&word));
        }
    }
    match weighty {
        0 => key(value).trim().is_empty() || words(value).iter().all(|word| quote.contains(word)),
        _ => 3 * known >= 2 * weighty,
    }
}

/// A passage: chunk (index) and bytes of its text.
pub(super) type Place = (usize, Range<usize>);

/// The sentences of the chunks `of`, what a chunk repeats left out.
pub(super) fn sentences_of(chunks: &[Chunk], of: Range<usize>) -> Vec<Place> {
    let mut places = Vec::new();
    for index in of {
        let Chunk { text, repeated, .. } = &chunks[index];
        for range in sentences(&text[*repeated..]) {
            places.push((index, trimmed(text, range.start + repeated..range.end + repeated)));
        }
    }
    places
}

/// Passages of a document, to be found by their words.
pub(super) struct Sentences {
    places: Vec<Place>,
    /// Weight of all words of each sentence.
    weights: Vec<u64>,
    /// Word → sentences that hold it, ascending.
    holding: BTreeMap<String, Vec<u32>>,
}

/// Sentences that one point may rest on.
const SUPPORT_MAX: usize = 2;

impl Sentences {
    pub(super) fn new(chunks: &[Chunk], among: &[Place]) -> Sentences {
        let mut places = Vec::new();
        let mut holding: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        let mut held: Vec<BTreeSet<String>> = Vec::new();
        for (index, range) in among {
            let text = &chunks[*index].text[range.clone()];
            let set = content(text);
            if set.is_empty() {
                continue;
            }
            for word in &set {
                holding.entry(word.clone()).or_default().push(places.len() as u32);
            }
            places.push((*index, range.clone()));
            held.push(set);
        }
        let mut sentences = Sentences { places, weights: Vec::new(), holding };
        let weigh = |set: &BTreeSet<String>| set.iter().map(|word| sentences.weight(word)).sum();
        sentences.weights = held.iter().map(weigh).collect();
        sentences
    }

    /// How much a word says: the binary logarithm of its rareness, in whole numbers, so that it is
    /// the same on every machine.
    fn weight(&self, word: &str) -> u64 {
        let holding = self.holding.get(word).map_or(1, |sentences| sentences.len().max(1));
        u64::from((self.places.len() / holding).max(1).ilog2()) + 1
    }

    /// The places whose words a point's words are; the best first, a second one only where it adds a
    /// fourth of them. None where no sentence holds a third of the point, by weight: "it may" is in too many
    /// sentences to rest on one.
    pub(super) fn supporting(&self, point: &str) -> Vec<Place> {
        let mut missing = content(point);
        let total: u64 = missing.iter().map(|word| self.weight(word)).sum();
        let mut found = Vec::new();
        while found.len() < SUPPORT_MAX {
            let mut scores: BTreeMap<u32, u64> = BTreeMap::new();
            for word in &missing {
                for &sentence in self.holding.get(word).into_iter().flatten() {
                    *scores.entry(sentence).or_default() += self.weight(word);
                }
            }
            // Overlap counts, and long sentences have to have more of it (Tversky 1977).
            let rank = |sentence: u32, score: u64| {
                score * 1_000_000 / (4 * total + self.weights[sentence as usize])
            };
            let best = scores
                .into_iter()
                .max_by(|a, b| rank(a.0, a.1).cmp(&rank(b.0, b.1)).then(b.0.cmp(&a.0)));
            let share = if found.is_empty() { 3 } else { 4 };
            let Some((sentence, _)) = best.filter(|(_, score)| share * score >= total) else {
                break;
            };
            let sentence = sentence as usize;
            missing.retain(|word| {
                let holding = self.holding.get(word);
                holding.is_none_or(|all| all.binary_search(&(sentence as u32)).is_err())
            });
            found.push(self.places[sentence].clone());
        }
        found
    }
}

/// `range` of `text` without the white space at its ends.
pub(super) fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let slice = &text[range.clone()];
    let start = range.start + (slice.len() - slice.trim_start().len());
    start..start + slice.trim().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(text: &str) -> Chunk {
        Chunk { number: 1, text: text.into(), pieces: Vec::new(), tokens: 0, repeated: 0 }
    }

    #[test]
    fn a_point_rests_on_the_sentence_that_says_it() {
        let text = "The tenant pays rent monthly. The landlord keeps the roof whole. The rent is \
                    $1,200. Notice is ninety days.";
        let chunks = [chunk(text)];
        let sentences = Sentences::new(&chunks, &sentences_of(&chunks, 0..1));
        let said = |point: &str| -> Vec<&str> {
            sentences.supporting(point).into_iter().map(|(_, range)| &text[range]).collect()
        };
        assert_eq!(
            said("Roof upkeep falls to the landlord"),
            ["The landlord keeps the roof whole."]
        );
        assert_eq!(said("Rent is $1,200"), ["The rent is $1,200."]);
        assert_eq!(said("Bananas ripen quickly elsewhere"), Vec::<&str>::new());
        assert_eq!(said("The renting is for the month"), ["The tenant pays rent monthly."]);
        assert_eq!(said("It may be that there is the"), Vec::<&str>::new(), "it says nothing");
    }

    #[test]
    fn a_value_derives_from_the_quote_that_holds_its_words() {
        let quote = "governed by the laws of the State of Delaware";
        assert!(derives("Delaware", quote));
        assert!(derives("Laws of Delaware", quote));
        assert!(!derives("New York", quote));
        assert!(!derives("Delaware, section 5", quote));
    }
}
