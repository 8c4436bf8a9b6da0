//! The text of a document's pages as a script that the report loads, and the passages around evidence.
//! Not where the text comes from.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::base::Digest;

/// Characters shown before and after a piece of evidence where the whole text is not there.
const AROUND_CHARS: usize = 300;

/// What a script of page texts looks like around its JSON.
const BEFORE: &str = "nightclerkPages(";
const AFTER: &str = ");\n";

/// The verbatim text of a document, page by page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PageTexts {
    /// The document's identity.
    pub doc: String,
    /// The log's digest of the text that was read (`text_sha256`).
    pub text_sha256: Digest,
    pub pages: Vec<PageText>,
    /// Tracked changes and comments: kind, page, author, date, text.
    pub remarks: Vec<Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PageText {
    pub page: u32,
    pub label: String,
    pub text: String,
    /// Text that a reader of the page does not see: why, text.
    pub hidden: Vec<Value>,
}

impl PageTexts {
    pub(super) fn to_script(&self) -> String {
        let json = serde_json::to_string(self).expect("page texts have only string keys");
        format!("{BEFORE}{json}{AFTER}")
    }

    pub(super) fn from_script(script: &str) -> Option<PageTexts> {
        let json = script.strip_prefix(BEFORE)?.strip_suffix(AFTER)?;
        serde_json::from_str(json).ok()
    }

    /// The text around every piece of evidence in `record`, near ones joined, as `{page, start, text}`.
    /// Evidence that does not stand where the record says gets `gone`.
    pub(super) fn passages(&self, record: &mut Value) -> Vec<Value> {
        let mut ranges = Vec::new();
        self.look(record, &mut ranges);
        ranges.sort_unstable();
        let mut joined: Vec<(u32, usize, usize)> = Vec::new();
        for (page, start, end) in ranges {
            match joined.last_mut() {
                Some(last) if last.0 == page && start <= last.2 => last.2 = last.2.max(end),
                _ => joined.push((page, start, end)),
            }
        }
        let passage = |(page, start, end): (u32, usize, usize)| {
            let text = self.text(page)?.get(start..end)?;
            Some(json!({ "page": page, "start": start, "text": text }))
        };
        joined.into_iter().filter_map(passage).collect()
    }

    fn text(&self, page: u32) -> Option<&str> {
        self.pages.iter().find(|one| one.page == page).map(|one| one.text.as_str())
    }

    /// Whatever in `value` has a quote and its place, however deep.
    fn look(&self, value: &mut Value, ranges: &mut Vec<(u32, usize, usize)>) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.look(item, ranges)),
            Value::Object(object) => {
                let number = |key: &str| object.get(key).and_then(Value::as_u64);
                let place = (number("page"), number("start"), number("end"));
                let quote = object.get("quote").and_then(Value::as_str);
                if let ((Some(page), Some(start), Some(end)), Some(quote)) = (place, quote) {
                    let (page, start, end) = (page as u32, start as usize, end as usize);
                    let text = self.text(page).unwrap_or_default();
                    if text.get(start..end) == Some(quote) {
                        ranges.push((page, before(text, start), after(text, end)));
                    } else {
                        object.insert("gone".to_owned(), true.into());
                    }
                    return;
                }
                object.values_mut().for_each(|inner| self.look(inner, ranges));
            }
            _ => {}
        }
    }
}

fn before(text: &str, at: usize) -> usize {
    text[..at].char_indices().rev().nth(AROUND_CHARS - 1).map_or(0, |(start, _)| start)
}

fn after(text: &str, at: usize) -> usize {
    text[at..].char_indices().nth(AROUND_CHARS).map_or(text.len(), |(end, _)| at + end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passages_hold_300_characters_on_both_sides_and_near_ones_are_one() {
        let text = format!("{}QUOTE{}", "ä".repeat(400), "ö".repeat(400));
        let page = PageText { page: 1, label: String::new(), text, hidden: Vec::new() };
        let texts = PageTexts {
            doc: String::new(),
            text_sha256: Digest([0; 32]),
            pages: vec![page],
            remarks: Vec::new(),
        };
        let evidence = json!({ "quote": "QUOTE", "page": 1, "start": 800, "end": 805 });
        let near = json!({ "quote": "QUO", "page": 1, "start": 800, "end": 803 });
        let moved = json!({ "quote": "QUOTE", "page": 1, "start": 802, "end": 807 });
        let mut record = json!({ "fields": { "a": [evidence, near], "b": { "c": moved } } });
        let passages = texts.passages(&mut record);
        assert_eq!(passages.len(), 1, "{passages:?}");
        assert_eq!(passages[0]["start"], 200);
        assert_eq!(passages[0]["text"].as_str().unwrap().chars().count(), 605);
        assert_eq!(record["fields"]["b"]["c"]["gone"], true);
        assert_eq!(record["fields"]["a"][0].get("gone"), None);
        assert_eq!(PageTexts::from_script(&texts.to_script()), Some(texts));
    }
}
