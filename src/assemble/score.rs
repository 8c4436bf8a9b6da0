//! A job's records against a person's labels: found, wrong, missed. The rule is the one that contract
//! review is scored by: a quote is right when it and a label share their passage.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::lexical::words;
use super::record::{FieldAnswer, Record};

/// Quotes of a field that are looked at.
const QUOTES_MAX: usize = 3;
/// Least characters of which one contains the other.
const SHARED_MIN: usize = 8;

/// What a person says of documents: document → field → the passages that state it, none where it is
/// not stated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    by_document: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

/// One field's count, and what follows from it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Score {
    pub field: String,
    pub found: u32,
    pub wrong: u32,
    pub missed: u32,
    pub precision: f64,
    pub recall: f64,
    pub f1: f64,
}

impl Labels {
    /// Adds a row: an empty `value` says that the document does not state the field.
    pub fn add(&mut self, document: &str, field: &str, value: &str) {
        let fields = self.by_document.entry(document.to_owned()).or_default();
        let values = fields.entry(field.to_owned()).or_default();
        if !value.trim().is_empty() {
            values.push(value.to_owned());
        }
    }

    /// The labels of these fields alone; of all where there are none.
    pub fn only(mut self, fields: &[String]) -> Labels {
        if !fields.is_empty() {
            for labelled in self.by_document.values_mut() {
                labelled.retain(|field, _| fields.contains(field));
            }
            self.by_document.retain(|_, labelled| !labelled.is_empty());
        }
        self
    }

    /// How many documents are labelled.
    pub fn documents(&self) -> usize {
        self.by_document.len()
    }

    /// The documents that are labelled: a record's path, its file's name, or that without its ending.
    fn of(&self, record: &Record) -> Option<(&String, &BTreeMap<String, Vec<String>>)> {
        let path = record.source.path.as_str();
        let name = path.rsplit('/').next().unwrap_or(path);
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        [path, name, stem].into_iter().find_map(|key| self.by_document.get_key_value(key))
    }
}

/// The score of every labelled field over `records`, then of all together (`all`). Labelled documents
/// without a record come back by name: whoever leaves them out scores what is easy.
pub fn score(records: &[Record], labels: &Labels) -> (Vec<Score>, Vec<String>) {
    let mut scores: BTreeMap<&str, Score> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for record in records {
        let Some((document, fields)) = labels.of(record) else { continue };
        if !seen.insert(document) {
            continue;
        }
        for (field, passages) in fields {
            let score = scores.entry(field).or_default();
            let answer = record.fields.get(field).cloned();
            let answer = answer.and_then(|answer| serde_json::from_value(answer).ok());
            count(score, answer.as_ref(), passages);
        }
    }
    let mut all = Score { field: "all".to_owned(), ..Score::default() };
    let mut listed = Vec::new();
    for (field, mut score) in scores {
        field.clone_into(&mut score.field);
        all.found += score.found;
        all.wrong += score.wrong;
        all.missed += score.missed;
        listed.push(score.rated());
    }
    listed.push(all.rated());
    let unseen = labels.by_document.keys().filter(|document| !seen.contains(document));
    (listed, unseen.cloned().collect())
}

fn count(score: &mut Score, answer: Option<&FieldAnswer>, passages: &[String]) {
    let mut given: Vec<String> = Vec::new();
    if let Some(answer) = answer {
        given.extend(answer.evidence.iter().take(QUOTES_MAX).map(|one| one.quote.clone()));
        strings(&answer.value, &mut given);
    }
    let right = given.iter().any(|one| passages.iter().any(|passage| same(one, passage)));
    match (given.is_empty(), right) {
        (false, true) => score.found += 1,
        (false, false) => score.wrong += 1,
        (true, _) => {}
    }
    score.missed += u32::from(!passages.is_empty() && !right);
}

impl Score {
    /// What follows from a field's count.
    pub fn of(field: &str, found: u32, wrong: u32, missed: u32) -> Score {
        Score { field: field.to_owned(), found, wrong, missed, ..Score::default() }.rated()
    }

    fn rated(mut self) -> Score {
        let share = |of: u32| f64::from(self.found) / f64::from((self.found + of).max(1));
        (self.precision, self.recall) = (share(self.wrong), share(self.missed));
        let sum = self.precision + self.recall;
        self.f1 = if sum > 0.0 { 2.0 * self.precision * self.recall / sum } else { 0.0 };
        self
    }
}

fn strings(value: &serde_json::Value, into: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) => into.push(text.clone()),
        serde_json::Value::Array(values) => values.iter().for_each(|value| strings(value, into)),
        serde_json::Value::Null | serde_json::Value::Bool(false) => {}
        other => into.push(other.to_string()),
    }
}

/// Whether an answer and a label are the same passage: one contains the other, or half of all their
/// words are in both. An answer that is far longer than the label shows no passage.
fn same(given: &str, label: &str) -> bool {
    let (given, label) = (words(given), words(label));
    let (a, b) = (given.join(" "), label.join(" "));
    let (long_a, long_b) = (a.chars().count(), b.chars().count());
    if a.is_empty() || b.is_empty() || long_a > 3 * long_b + 200 {
        return false;
    }
    let holds = long_a >= SHARED_MIN && b.contains(&a) || long_b >= SHARED_MIN && a.contains(&b);
    let (a_set, b_set): (BTreeSet<&String>, BTreeSet<&String>) =
        (given.iter().collect(), label.iter().collect());
    let both = a_set.intersection(&b_set).count();
    holds || a == b || 2 * both >= a_set.union(&b_set).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_passage_is_one_in_the_other_or_half_of_the_words() {
        assert!(same("as of March 4, 2019", "March 4, 2019"));
        assert!(same("3/21/08", "3/21/08"));
        assert!(!same("2019", "March 4, 2019"), "four characters are no passage");
        assert!(same("4th day of March 2019", "the 4th day of March, 2019"));
        assert!(!same(&"Ohio law, that is ".repeat(40), "the laws of Ohio"));
    }

    #[test]
    fn an_answer_counts_where_it_is_right_and_against_where_it_is_not() {
        let answer = |quote: &str| FieldAnswer {
            value: serde_json::Value::Null,
            raw: None,
            evidence: vec![super::super::record::Evidence {
                quote: quote.into(),
                page: 1,
                start: 0,
                end: 1,
                clause: None,
                matched: "exact".into(),
            }],
            margin: None,
            flags: Vec::new(),
            competing: Vec::new(),
        };
        let stated = ["the laws of Ohio".to_owned()];
        let mut score = Score::default();
        count(&mut score, Some(&answer("governed by the laws of Ohio")), &stated);
        count(&mut score, Some(&answer("rent is due on Mondays")), &stated);
        count(&mut score, None, &stated);
        count(&mut score, Some(&answer("rent is due on Mondays")), &[]);
        count(&mut score, None, &[]);
        let score = score.rated();
        assert_eq!((score.found, score.wrong, score.missed), (1, 2, 2));
        assert!((score.precision - 1.0 / 3.0).abs() < 1e-9 && (score.f1 - 1.0 / 3.0).abs() < 1e-9);
    }
}
