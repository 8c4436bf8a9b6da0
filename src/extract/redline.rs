//! Tracked changes and comments shown in the text, in the notation of CriticMarkup: what the redline view
//! prints. Which text is changed, and by whom, is each reader's to know.
//!
//! - `{++inserted++}{>>Ann, 2024-03-01T09:00:00Z<<}` and `{--deleted--}{>>Ann, …<<}`;
//! - a move is printed where it went, `{++moved++}{>>moved here (move 1), Ann, …<<}`, and told where it
//!   was, `{>>moved away from here (move 1), Ann, …<<}`;
//! - a paragraph mark that was inserted or deleted is `¶`;
//! - a comment is `{>>Ann, … on "the text that it is about": what it says<<}`.

use super::document::RemarkKind;

/// What stands for a paragraph mark.
pub(super) const PARAGRAPH_MARK: &str = "¶";

/// A tracked change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) kind: RemarkKind,
    pub(super) author: String,
    pub(super) date: String,
    /// What moves bear in common at their two places; empty for other changes.
    pub(super) moved: String,
}

impl Change {
    pub(super) fn new(kind: RemarkKind, author: &str, date: &str) -> Change {
        let (author, date) = (author.trim().to_owned(), date.trim().to_owned());
        Change { kind, author, date, moved: String::new() }
    }

    /// Whether the text is no longer part of the document.
    pub(super) fn takes_away(&self) -> bool {
        matches!(self.kind, RemarkKind::Deletion | RemarkKind::MovedAway)
    }

    fn told(&self) -> String {
        let what = match (self.kind, self.moved.as_str()) {
            (RemarkKind::MovedHere, "") => "moved here".to_owned(),
            (RemarkKind::MovedHere, moved) => format!("moved here ({moved})"),
            (RemarkKind::MovedAway, "") => "moved away from here".to_owned(),
            (RemarkKind::MovedAway, moved) => format!("moved away from here ({moved})"),
            _ => String::new(),
        };
        listed([what.as_str(), &self.author, &self.date])
    }

    /// What stands where moved text was.
    pub(super) fn trace(&self) -> String {
        format!("{{>>{}<<}}", plain(&self.told()))
    }
}

/// A comment as it stands in the text.
pub(super) fn comment(author: &str, date: &str, anchor: &str, text: &str) -> String {
    let who = listed([author.trim(), date.trim()]);
    let anchor = anchor.split_whitespace().collect::<Vec<_>>().join(" ");
    let about = if anchor.is_empty() { String::new() } else { format!(" on \"{anchor}\"") };
    format!("{{>>{}: {}<<}}", plain(&format!("{who}{about}")).trim(), plain(text.trim()))
}

fn listed<const N: usize>(words: [&str; N]) -> String {
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    words.join(", ")
}

/// Text of the document that looks like this notation is told apart by a backslash.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, brace) = rest.split_at(at);
        let mark = match brace.strip_prefix('{') {
            Some(after) => after.chars().next(),
            None => before.chars().next_back(),
        };
        out.push_str(before);
        if mark.is_some_and(|mark| "+-<>=~".contains(mark)) {
            out.push('\\');
        }
        out.push_str(&brace[..1]);
        rest = &brace[1..];
    }
    out + rest
}

/// The changes that are open in a line while it is written.
#[derive(Debug, Default)]
pub(super) struct Marks {
    open: Vec<Change>,
}

impl Marks {
    /// What follows in `line` is text under exactly these changes, the outermost first.
    pub(super) fn turn(&mut self, line: &mut String, changes: &[Change]) {
        let mut wanted: Vec<Change> = Vec::new();
        for change in changes {
            if !wanted.contains(change) {
                wanted.push(change.clone());
            }
        }
        if self.open == wanted {
            return;
        }
        self.close(line);
        self.open = wanted;
        if let Some(sign) = self.sign() {
            line.push('{');
            line.push_str(sign);
        }
    }

    /// Ends what is open.
    pub(super) fn close(&mut self, line: &mut String) {
        let Some(sign) = self.sign() else { return };
        line.push_str(sign);
        let told = self.open.drain(..).rev().map(|change| change.told());
        let told: Vec<String> = told.filter(|told| !told.is_empty()).collect();
        line.push('}');
        if !told.is_empty() {
            line.push_str(&format!("{{>>{}<<}}", plain(&told.join("; inside: "))));
        }
    }

    /// Text that was inserted and then deleted is deleted.
    fn sign(&self) -> Option<&'static str> {
        self.open.first()?;
        Some(if self.open.iter().any(Change::takes_away) { "--" } else { "++" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_opened_and_closed_once_and_told_with_author_and_date() {
        let ann = Change::new(RemarkKind::Insertion, "Ann", "2024");
        let ben = Change::new(RemarkKind::Deletion, "Ben", "");
        let (mut marks, mut line) = (Marks::default(), String::new());
        for (changes, text) in [
            (&[][..], "due in "),
            (std::slice::from_ref(&ann), "four"),
            (std::slice::from_ref(&ann), "teen"),
            (&[ann.clone(), ben.clone()], " long"),
            (&[], " days"),
            (std::slice::from_ref(&ben), "!"),
        ] {
            marks.turn(&mut line, changes);
            line.push_str(text);
        }
        marks.close(&mut line);
        assert_eq!(
            line,
            "due in {++fourteen++}{>>Ann, 2024<<}{-- long--}{>>Ben; inside: Ann, 2024<<} days{--!--}{>>Ben<<}"
        );
    }

    #[test]
    fn text_cannot_forge_a_change() {
        assert_eq!(plain("a {++b++} {c} {>>d<<}"), "a \\{++b++\\} {c} \\{>>d<<\\}");
        assert_eq!(comment("Ann", "", "x <<}", "y"), "{>>Ann on \"x <<\\}\": y<<}");
    }
}
