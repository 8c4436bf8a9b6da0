//! A job's records against a person's labels: found, wrong, missed. The rule is the one that contract
//! review is scored by: a quote is right when it and a label share their passage. Rows of a table are scored
//! by their values, which are all that its table holds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::lexical::words;
use super::record::{FieldAnswer, Record};

/// Quotes of a field that are looked at.
const QUOTES_MAX: usize = 3;
/// Least characters of which one contains the other.
const SHARED_MIN: usize = 8;

/// Field → the passages that state it, none where it is not stated.
type Fields = BTreeMap<String, Vec<String>>;

/// What a person says of documents, and of rows of tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    by_document: BTreeMap<String, Fields>,
    rows: BTreeMap<String, BTreeMap<RowKey, Fields>>,
}

/// Which row of a table is labelled.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowKey {
    /// As a spreadsheet counts the rows of the answered table, from 1.
    Number(u64),
    /// The row with this cell in this column.
    Cell(String, String),
}

impl RowKey {
    /// `17`, or `id=A-7`.
    pub fn read(text: &str) -> Option<RowKey> {
        match text.split_once('=') {
            Some((column, cell)) => Some(RowKey::Cell(column.trim().into(), cell.trim().into())),
            None => text.trim().parse().ok().map(RowKey::Number),
        }
    }
}

impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RowKey::Number(number) => write!(f, "row {number}"),
            RowKey::Cell(column, cell) => write!(f, "row {column}={cell}"),
        }
    }
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
        add(self.by_document.entry(document.to_owned()).or_default(), field, value);
    }

    /// The same of one row of a table.
    pub fn add_row(&mut self, document: &str, row: RowKey, field: &str, value: &str) {
        let rows = self.rows.entry(document.to_owned()).or_default();
        add(rows.entry(row).or_default(), field, value);
    }

    /// Whether rows are labelled.
    pub fn has_rows(&self) -> bool {
        !self.rows.is_empty()
    }

    /// How many documents are labelled, tables with labelled rows among them.
    pub fn documents(&self) -> usize {
        let tables = self.rows.keys().filter(|table| !self.by_document.contains_key(*table));
        self.by_document.len() + tables.count()
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
}

fn add(fields: &mut Fields, field: &str, value: &str) {
    let values = fields.entry(field.to_owned()).or_default();
    if !value.trim().is_empty() {
        values.push(value.to_owned());
    }
}

/// What stands under the name of `record`'s document: its path, its file's name, or that without its ending.
fn named<'l, T>(labelled: &'l BTreeMap<String, T>, record: &Record) -> Option<(&'l String, &'l T)> {
    let path = record.source.path.as_str();
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    [path, name, stem].into_iter().find_map(|key| labelled.get_key_value(key))
}

/// The labelled rows of one table, as its rows go by.
pub struct LabelledRows<'l> {
    document: &'l str,
    rows: &'l BTreeMap<RowKey, Fields>,
    /// Those that rows are named by.
    columns: BTreeSet<&'l str>,
    seen: BTreeSet<&'l RowKey>,
}

impl<'l> LabelledRows<'l> {
    fn new(document: &'l str, rows: &'l BTreeMap<RowKey, Fields>) -> LabelledRows<'l> {
        let columns = rows.keys().filter_map(|key| match key {
            RowKey::Number(_) => None,
            RowKey::Cell(column, _) => Some(column.as_str()),
        });
        LabelledRows { document, rows, columns: columns.collect(), seen: BTreeSet::new() }
    }

    /// The labels of the row `number` with these cells, each with the name of its column.
    ///
    /// # Errors
    /// The name of a row, where two bear it.
    pub fn of<'c>(
        &mut self,
        number: u64,
        cells: impl Iterator<Item = (&'c str, &'c str)>,
    ) -> Result<Vec<&'l Fields>, &'l RowKey> {
        let named = cells.filter(|(column, _)| self.columns.contains(column));
        let named = named.map(|(column, cell)| RowKey::Cell(column.into(), cell.trim().into()));
        let mut found = Vec::new();
        for key in std::iter::once(RowKey::Number(number)).chain(named) {
            if let Some((key, fields)) = self.rows.get_key_value(&key) {
                if !self.seen.insert(key) {
                    return Err(key);
                }
                found.push(fields);
            }
        }
        Ok(found)
    }
}

/// Scores as they come to be: of each labelled field.
#[derive(Default)]
pub struct Scores<'l> {
    by_field: BTreeMap<&'l str, Score>,
    documents: BTreeSet<&'l String>,
    tables: BTreeSet<&'l String>,
    /// Labelled rows that were answered, and the names of those that were not.
    rows: usize,
    missing: Vec<String>,
}

impl<'l> Scores<'l> {
    /// Takes the record of a document, if it is labelled and no other stood for it.
    pub fn record(&mut self, record: &Record, labels: &'l Labels) {
        let Some((document, fields)) = named(&labels.by_document, record) else { return };
        if !self.documents.insert(document) {
            return;
        }
        for (field, passages) in fields {
            let answer = record.fields.get(field).cloned();
            let answer: Option<FieldAnswer> =
                answer.and_then(|answer| serde_json::from_value(answer).ok());
            let mut given: Vec<String> = Vec::new();
            if let Some(answer) = answer {
                given.extend(answer.evidence.into_iter().take(QUOTES_MAX).map(|one| one.quote));
                strings(&answer.value, &mut given);
            }
            count(self.by_field.entry(field).or_default(), &given, passages);
        }
    }

    /// The labelled rows of the table that `record` is of, if no other stood for it.
    pub fn rows_of(&mut self, record: &Record, labels: &'l Labels) -> Option<LabelledRows<'l>> {
        let (document, rows) = named(&labels.rows, record)?;
        self.tables.insert(document).then(|| LabelledRows::new(document, rows))
    }

    /// Once all rows of a table went by.
    pub fn close(&mut self, labelled: LabelledRows<'l>) {
        self.rows += labelled.seen.len();
        let unseen = labelled.rows.keys().filter(|key| !labelled.seen.contains(key));
        self.missing.extend(unseen.map(|key| format!("{}, {key}", labelled.document)));
    }

    /// Labelled documents and rows that were answered.
    pub fn seen(&self) -> (usize, usize) {
        (self.documents.union(&self.tables).count(), self.rows)
    }

    /// Takes a row: its labels and its fields' values in words. As in a record, "no" and nothing are the same: no
    /// answer, unless the label says no.
    pub fn row(&mut self, labels: &'l Fields, value: &dyn Fn(&str) -> Option<String>) {
        for (field, passages) in labels {
            let no = |text: &String| text.eq_ignore_ascii_case("no");
            let said = value(field).filter(|value| !value.is_empty());
            let said = said.filter(|value| !no(value));
            let given: Vec<String> = match said {
                None if passages.iter().any(no) => vec!["no".to_owned()],
                said => said.into_iter().collect(),
            };
            count(self.by_field.entry(field).or_default(), &given, passages);
        }
    }

    /// The score of every labelled field, then of all together (`all`). Labelled documents and rows without an
    /// answer come back by name: whoever leaves them out scores what is easy.
    pub fn finish(mut self, labels: &Labels) -> (Vec<Score>, Vec<String>) {
        let mut all = Score { field: "all".to_owned(), ..Score::default() };
        let mut listed = Vec::new();
        for (field, mut score) in self.by_field {
            field.clone_into(&mut score.field);
            all.found += score.found;
            all.wrong += score.wrong;
            all.missed += score.missed;
            listed.push(score.rated());
        }
        listed.push(all.rated());
        let unseen = labels.by_document.keys().filter(|name| !self.documents.contains(name));
        let tables = labels.rows.keys().filter(|name| !self.tables.contains(name));
        let named: BTreeSet<&String> = unseen.chain(tables).collect();
        self.missing.extend(named.into_iter().cloned());
        (listed, self.missing)
    }
}

/// The scores of `records` alone, and the labelled documents that have none.
pub fn score(records: &[Record], labels: &Labels) -> (Vec<Score>, Vec<String>) {
    let mut scores = Scores::default();
    for record in records {
        scores.record(record, labels);
    }
    scores.finish(labels)
}

fn count(score: &mut Score, given: &[String], passages: &[String]) {
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
        let stated = ["the laws of Ohio".to_owned()];
        let said = |quote: &str| vec![quote.to_owned()];
        let mut score = Score::default();
        count(&mut score, &said("governed by the laws of Ohio"), &stated);
        count(&mut score, &said("rent is due on Mondays"), &stated);
        count(&mut score, &[], &stated);
        count(&mut score, &said("rent is due on Mondays"), &[]);
        count(&mut score, &[], &[]);
        let score = score.rated();
        assert_eq!((score.found, score.wrong, score.missed), (1, 2, 2));
        assert!((score.precision - 1.0 / 3.0).abs() < 1e-9 && (score.f1 - 1.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn rows_are_found_by_number_or_cell_and_no_is_an_answer_only_where_it_is_asked_for() {
        let mut labels = Labels::default();
        let by_id = RowKey::read("id = A-7").unwrap();
        labels.add_row("t.csv", RowKey::read("3").unwrap(), "refund", "");
        labels.add_row("t.csv", by_id.clone(), "refund", "no");
        labels.add_row("t.csv", by_id.clone(), "subject", "delivery");
        assert_eq!(RowKey::read("third"), None);
        let mut labelled = LabelledRows::new("t.csv", &labels.rows["t.csv"]);
        let (mut scores, mut named) = (Scores::default(), Vec::new());
        for (number, id) in [(2, "A-6"), (3, "A-5"), (4, "A-7"), (5, "A-7")] {
            match labelled.of(number, [("text", "x"), ("id", id)].into_iter()) {
                Ok(fields) => {
                    for fields in fields {
                        named.push(number);
                        // Row 3 says "no", row 4 nothing at all, and is labelled "no".
                        let value = |field: &str| field == "refund" && number == 3;
                        scores.row(fields, &|field| value(field).then(|| "no".to_owned()));
                    }
                }
                Err(twice) => assert_eq!((twice, number), (&by_id, 5)),
            }
        }
        assert_eq!(named, [3, 4]);
        scores.close(labelled);
        assert_eq!(scores.seen().1, 2);
        let counts = |score: &Score| (score.found, score.wrong, score.missed);
        let (listed, _) = scores.finish(&labels);
        assert_eq!(
            listed.iter().map(counts).collect::<Vec<_>>(),
            [(1, 0, 0), (0, 0, 1), (1, 0, 1)]
        );
    }
}
