//! TOML text → the written form, with every unknown key and wrong type reported, not only the first.

use std::ops::Range;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::problem::{Problem, Script};

/// What was wrong with one file, gathered while it is read.
pub(super) struct Findings {
    pub(super) script: Arc<Script>,
    pub(super) problems: Vec<Problem>,
    /// Keys whose values were left out because something is wrong with them: not missing as well.
    dropped: Vec<String>,
    /// The text is no TOML at all: nothing that follows would mean anything.
    pub(super) is_no_toml: bool,
}

impl Findings {
    pub(super) fn new(script: Arc<Script>) -> Findings {
        Findings { script, problems: Vec::new(), dropped: Vec::new(), is_no_toml: false }
    }

    /// Something is wrong at `span`; `hint` is the way out, or empty.
    pub(super) fn at(&mut self, span: Range<usize>, message: impl Into<String>, hint: &str) {
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        self.problems.push(Problem::new(&self.script, Some(span), message, hint));
    }

    /// The value of a key that must be there; `place` is where its table stands.
    pub(super) fn required<T>(
        &mut self,
        value: Option<T>,
        key: &str,
        place: &Range<usize>,
        hint: &str,
    ) -> Option<T> {
        if value.is_none() && !self.dropped.iter().any(|dropped| dropped == key) {
            self.at(place.clone(), format!("`{key}` is missing"), hint);
        }
        value
    }

    /// Reads the script as `T`. Where the text is no TOML, the default; otherwise everything that
    /// could be understood.
    pub(super) fn parse<T: DeserializeOwned + Default>(&mut self) -> T {
        let script = Arc::clone(&self.script);
        let (mut tree, errors) = DeTable::parse_recoverable(script.text());
        for error in &errors {
            let span = error.span().unwrap_or(0..0);
            self.at(span, format!("not valid TOML: {}", error.message()), "");
        }
        self.is_no_toml = !errors.is_empty();
        if self.is_no_toml {
            return T::default();
        }
        // Serde stops at the first error. The entry it complains of is taken out of the tree and the
        // rest read again: every round removes one entry, so there are finitely many.
        loop {
            let error = match T::deserialize(Deserializer::from(tree.clone())) {
                Ok(written) => return written,
                Err(error) => error,
            };
            let span = error.span().unwrap_or(0..0);
            let (message, hint, meant) = in_our_words(error.message());
            self.at(span.clone(), message, &hint);
            self.dropped.extend(meant);
            match remove_table(tree.get_mut(), &span) {
                Some(key) => self.dropped.push(key),
                None => return T::default(),
            }
        }
    }
}

/// Takes out the entry whose key or value stands at `span`, and gives back the name of its key.
fn remove_table(table: &mut DeTable<'_>, span: &Range<usize>) -> Option<String> {
    let found = table.iter().find(|(key, value)| key.span() == *span || value.span() == *span);
    if let Some(key) = found.map(|(key, _)| key.get_ref().to_string()) {
        table.remove(key.as_str());
        return Some(key);
    }
    let mut entries = table.iter_mut();
    entries.find_map(|(key, value)| {
        remove_value(value, span).map(|inner| match inner.as_str() {
            "" => key.get_ref().to_string(), // An element of an array: the array's key.
            _ => inner,
        })
    })
}

fn remove_value(value: &mut Spanned<DeValue<'_>>, span: &Range<usize>) -> Option<String> {
    match value.get_mut() {
        DeValue::Table(table) => remove_table(table, span),
        DeValue::Array(array) => {
            if array.iter().any(|element| element.span() == *span) {
                let rest = array.clone().into_iter();
                *array = rest.filter(|element| element.span() != *span).collect();
                return Some(String::new());
            }
            array.iter_mut().find_map(|element| remove_value(element, span))
        }
        _ => None,
    }
}

/// Serde's sentence as a message and a hint, and the key that was probably meant.
fn in_our_words(message: &str) -> (String, String, Option<String>) {
    let Some(rest) = message.strip_prefix("unknown field ") else {
        return (message.replacen("invalid type: ", "wrong type: ", 1), String::new(), None);
    };
    // "unknown field `thread`, expected one of `threads`, `slots`"
    let mut names = rest.split('`').skip(1).step_by(2);
    let key = names.next().unwrap_or_default().to_owned();
    let known: Vec<&str> = names.collect();
    let meant = nearest(&key, known.iter().copied());
    let hint = match meant {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known here: {}", known.join(", ")),
    };
    (format!("unknown key `{key}`"), hint, meant.map(str::to_owned))
}

/// The known word that a mistyped one most likely stands for: within a third of its letters.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|candidate| (edits(word, candidate), candidate))
        .filter(|(edits, candidate)| *edits <= candidate.chars().count().max(3) / 3)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Letters to insert, remove, replace or swap with their neighbour (optimal string alignment).
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::written::{
        AuditTable, EngineTable, JobTable, JobsFile, LimitsTable, ModelTable,
    };

    /// The keys of a table, as its own error names them.
    fn keys<T: DeserializeOwned>() -> std::collections::BTreeSet<String> {
        let error = toml::from_str::<T>("no-such-key = 1").err().expect("unknown keys are errors");
        let mut names = error.message().split('`').skip(1).step_by(2).map(str::to_owned);
        assert_eq!(names.next().as_deref(), Some("no-such-key"));
        names.collect()
    }

    #[test]
    fn the_schema_for_editors_has_every_key_and_no_other() {
        let schema: serde_json::Value =
            serde_json::from_str(crate::jobs::SCHEMA).expect("the schema is JSON");
        let tables = [
            ("", keys::<JobsFile>()),
            ("/properties/model", keys::<ModelTable>()),
            ("/properties/engine", keys::<EngineTable>()),
            ("/properties/audit", keys::<AuditTable>()),
            ("/properties/limits", keys::<LimitsTable>()),
            ("/properties/job/items", keys::<JobTable>()),
        ];
        for (place, keys) in tables {
            let table = schema.pointer(&format!("{place}/properties"));
            let table = table.and_then(serde_json::Value::as_object).expect("a table");
            let said: std::collections::BTreeSet<String> = table.keys().cloned().collect();
            assert_eq!(said, keys, "{place}");
        }
    }

    #[test]
    fn a_slip_of_the_hand_finds_its_word_and_another_word_none() {
        let known = ["threads", "slots", "memory", "pdf"];
        for (word, expected) in [
            ("thread", Some("threads")),
            ("solts", Some("slots")),
            ("pfd", Some("pdf")),
            ("memmory", Some("memory")),
            ("verbose", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known.into_iter()), expected, "{word:?}");
        }
    }
}
