//! A document as text or JSON for a person: what `nightclerk text` prints. Not what the model is sent;
//! that is `chunk`'s.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::document::{Document, Page, PageState};

/// Which of a page's two texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layer {
    /// What is printed.
    #[default]
    Verbatim,
    /// What the model reads.
    Model,
}

impl Page {
    /// One of the page's two texts.
    pub fn layer(&self, layer: Layer) -> &str {
        match layer {
            Layer::Verbatim => &self.verbatim,
            Layer::Model => &self.model,
        }
    }
}

impl Document {
    /// The text, a form feed between pages as pdftotext puts it.
    pub fn text(&self, layer: Layer) -> String {
        let mut text = String::new();
        for page in &self.pages {
            if page.number > 1 {
                text.push('\u{C}');
            }
            text.push_str(page.layer(layer));
            text.push('\n');
        }
        text
    }

    /// The text under a heading for each page, with what became of the page and what is hidden on it.
    pub fn paged_text(&self, layer: Layer) -> String {
        let mut text = String::new();
        for page in &self.pages {
            let state = match &page.state {
                PageState::Read => String::new(),
                PageState::Empty => ": empty".to_owned(),
                PageState::ImageOnly => ": image only".to_owned(),
                PageState::Skipped(why) => format!(": skipped, {why}"),
            };
            let blank_line = if page.number > 1 { "\n" } else { "" };
            let heading = match page.label.as_str() {
                label if label == page.number.to_string() => String::new(),
                label => format!(" ({label})"),
            };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{blank_line}=== page {}{heading}{state} ===", page.number);
            if !page.blocks.is_empty() {
                let _ = writeln!(text, "{}", page.layer(layer));
            }
            for hidden in &page.hidden {
                let _ = writeln!(text, "[hidden, {}] {}", hidden.why, hidden.text);
            }
        }
        text
    }

    /// Everything that is known of the document, for programs.
    pub fn to_json(&self) -> Value {
        // Plain structs with string keys serialize without error.
        serde_json::to_value(self).unwrap_or_else(|error| json!({ "error": error.to_string() }))
    }
}
