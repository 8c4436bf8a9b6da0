//! The clause that each block belongs to, as a path of printed numbers: "4.2(a)(iii)". Works from the labels
//! of the blocks alone, so that a Word file and its PDF are cited in one form.

use super::document::{Document, Role};
use crate::base::Format;

/// Puts the clause on every block, and on every remark whose block is known.
pub(super) fn assign(document: &mut Document) {
    let mut open = Open::default();
    let is_printed = document.format == Format::Pdf;
    for page in &mut document.pages {
        // Where a page is a part, its numbers are its own; the next page of a long part is "name (2)".
        if !is_printed && !page.label.ends_with(')') {
            open = Open::default();
        }
        for block in &mut page.blocks {
            match (block.role, block.label.as_deref()) {
                (Role::Note | Role::PageHeader | Role::PageFooter, _) => continue,
                (Role::FormField | Role::Annotation, _) => continue,
                (Role::TableRow | Role::TableHeader, label) => {
                    // Rows that count 1, 2, 3 are no clauses; a clause may stand in a layout table.
                    if let Some(label) = label.filter(|label| label.contains('.')) {
                        open.number(label, None);
                    }
                }
                (Role::Heading(level), None) => open.heading(level),
                (Role::Heading(level), Some(label)) => open.number(label, Some(level)),
                (_, Some(label)) => open.number(label, None),
                (_, None) => {}
            }
            block.clause = open.path();
        }
    }
    for remark in &mut document.remarks {
        let page = document.pages.get((remark.page as usize).wrapping_sub(1));
        let block = page.zip(remark.block).and_then(|(page, at)| page.blocks.get(at as usize));
        remark.clause = block.and_then(|block| block.clause.clone());
    }
}

/// The numbers that are open at some place, outermost first.
#[derive(Debug, Default)]
struct Open {
    steps: Vec<Step>,
    /// The level of the heading that bears the outermost number.
    heading: Option<u8>,
}

/// One number of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    shape: Shape,
    value: u32,
    /// As printed, without a word before it.
    text: String,
}

/// How a number is written; numbers of one shape count on with each other.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    /// "Schedule 1", "Annex B": the numbers in it are its own.
    Annex,
    /// "Article IV".
    Article,
    /// "4", "4.2", "4.2.1": the whole path in one.
    Dotted,
    /// What stands around it, and which digits: "(a)", "iv)", "A".
    Single { before: bool, after: bool, digits: Digits },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Digits {
    Arabic,
    Lower,
    Upper,
    LowerRoman,
    UpperRoman,
}

impl Open {
    fn path(&self) -> Option<String> {
        let mut path = String::new();
        for step in &self.steps {
            match (path.is_empty(), &step.shape) {
                (true, _) | (false, Shape::Single { before: true, .. }) => {}
                (false, Shape::Dotted) => path.push_str(", "),
                (false, _) => path.push(' '),
            }
            path.push_str(&step.text);
        }
        (!path.is_empty()).then_some(path)
    }

    /// A heading without a number ends the clause, unless it stands inside one.
    fn heading(&mut self, level: u8) {
        if self.heading.is_none_or(|outer| level <= outer) {
            *self = Open::default();
        }
    }

    fn number(&mut self, label: &str, heading: Option<u8>) {
        let (word, rest) = match label.split_once(char::is_whitespace) {
            Some((word, rest)) if word == "§" || word.chars().all(char::is_alphabetic) => {
                (word.to_lowercase(), rest.trim_start())
            }
            _ => (String::new(), label),
        };
        match word.as_str() {
            "schedule" | "exhibit" | "annex" | "appendix" | "anlage" => {
                self.restart(0, heading);
                self.push(Shape::Annex, 0, label);
                return;
            }
            "article" | "artikel" => {
                self.restart(self.annexes(), heading);
                self.push(Shape::Article, 0, label);
                return;
            }
            _ => {}
        }
        // "4.2(a)" is the dotted number and what follows it.
        let dotted_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (dotted, inner) = rest.split_at(dotted_end);
        let dotted = dotted.trim_end_matches('.');
        if !dotted.is_empty() && (inner.is_empty() || inner.starts_with('(')) {
            self.restart(self.annexes(), heading);
            self.push(Shape::Dotted, 0, dotted);
        } else if !dotted.is_empty() {
            return self.single(rest, 0);
        }
        let (mut inner, mut outer) = match dotted.is_empty() {
            true => (rest, 0),
            false => (inner, self.steps.len()),
        };
        while !inner.is_empty() {
            let end = inner.find(')').map_or(inner.len(), |at| at + 1);
            self.single(&inner[..end], outer);
            outer = self.steps.len();
            inner = inner[end..].trim_start();
        }
    }

    /// How many of the steps are annexes, which a clause inside them does not end.
    fn annexes(&self) -> usize {
        self.steps.iter().take_while(|step| step.shape == Shape::Annex).count()
    }

    fn restart(&mut self, kept: usize, heading: Option<u8>) {
        self.steps.truncate(kept);
        self.heading = heading;
    }

    fn push(&mut self, shape: Shape, value: u32, text: &str) {
        self.steps.push(Step { shape, value, text: text.to_owned() });
    }

    /// A letter or a number alone: it counts on in the list that it continues, else begins one. It
    /// stands inside the first `outer` steps in any case.
    fn single(&mut self, label: &str, outer: usize) {
        let before = label.starts_with('(');
        let after = label.ends_with(')');
        let bare = label.trim_matches(['(', ')', '.', ' ']);
        let readings: Vec<Step> = readings(bare)
            .into_iter()
            .map(|(digits, value)| Step {
                shape: Shape::Single { before, after, digits },
                value,
                text: label.to_owned(),
            })
            .collect();
        let open = || self.steps.iter().enumerate().skip(outer);
        let continued = open().rev().find_map(|(at, open)| {
            let goes_on = |step: &&Step| step.shape == open.shape && step.value == open.value + 1;
            Some((at, readings.iter().find(goes_on)?.clone()))
        });
        let begun = || readings.iter().find(|step| step.value == 1);
        let same = |step: &&Step| open().any(|(_, open)| open.shape == step.shape);
        let (at, step) = match continued {
            Some(found) => found,
            None => {
                let step = begun().or_else(|| readings.iter().find(same)).or(readings.first());
                let Some(step) = step.cloned() else { return };
                let level = open().find(|(_, open)| open.shape == step.shape);
                (level.map_or(self.steps.len(), |(at, _)| at), step)
            }
        };
        self.steps.truncate(at);
        self.steps.push(step);
    }
}

/// What a number without brackets may mean: "i" is the ninth letter or the first Roman number.
fn readings(bare: &str) -> Vec<(Digits, u32)> {
    if let Ok(value) = bare.parse() {
        return vec![(Digits::Arabic, value)];
    }
    let is_upper = bare.starts_with(|c: char| c.is_ascii_uppercase());
    let lower = bare.to_ascii_lowercase();
    let (letter, numeral) = match is_upper {
        true => (Digits::Upper, Digits::UpperRoman),
        false => (Digits::Lower, Digits::LowerRoman),
    };
    let letters = lower.bytes().next().filter(|first| {
        first.is_ascii_lowercase() && lower.len() <= 30 && lower.bytes().all(|b| b == *first)
    });
    let as_letters =
        letters.map(|first| (letter, u32::from(first - b'a') + 1 + 26 * (lower.len() as u32 - 1)));
    let as_roman = roman(&lower).map(|value| (numeral, value));
    // Where nothing else tells, "ii" is a numeral and "c" a letter.
    match lower.bytes().all(|b| b"ivx".contains(&b)) {
        true => as_roman.into_iter().chain(as_letters).collect(),
        false => as_letters.into_iter().chain(as_roman).collect(),
    }
}

/// The value of a Roman numeral in lower case, where it is one.
fn roman(text: &str) -> Option<u32> {
    let worth = |b: u8| {
        let signs = [(b'i', 1), (b'v', 5), (b'x', 10), (b'l', 50), (b'c', 100), (b'd', 500)];
        signs.iter().find(|(sign, _)| *sign == b).map(|(_, worth)| *worth)
    };
    let worths: Option<Vec<u32>> = text.bytes().map(worth).collect();
    let worths = worths.filter(|worths| matches!(worths.len(), 1..=12))?;
    let signed = worths.iter().enumerate().map(|(at, &worth)| {
        let next = worths.get(at + 1).copied().unwrap_or(0);
        if worth < next { -i64::from(worth) } else { i64::from(worth) }
    });
    u32::try_from(signed.sum::<i64>()).ok().filter(|value| *value > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(labels: &[&str]) -> Vec<String> {
        let mut open = Open::default();
        let path = |label: &&str| {
            open.number(label, None);
            open.path().unwrap_or_default()
        };
        labels.iter().map(path).collect()
    }

    #[test]
    fn numbers_nest_as_a_lawyer_cites_them() {
        assert_eq!(
            paths(&["4", "4.2", "(a)", "(i)", "(ii)", "(iii)", "(b)", "4.3", "(a)", "5"]),
            [
                "4",
                "4.2",
                "4.2(a)",
                "4.2(a)(i)",
                "4.2(a)(ii)",
                "4.2(a)(iii)",
                "4.2(b)",
                "4.3",
                "4.3(a)",
                "5"
            ]
        );
        assert_eq!(
            paths(&[
                "Article IV",
                "Section 4.1",
                "(A)",
                "(1)",
                "a)",
                "b)",
                "(2)",
                "Schedule 1",
                "1",
                "(a)",
                "4.2(c)(ii)"
            ]),
            [
                "Article IV",
                "4.1",
                "4.1(A)",
                "4.1(A)(1)",
                "4.1(A)(1) a)",
                "4.1(A)(1) b)",
                "4.1(A)(2)",
                "Schedule 1",
                "Schedule 1, 1",
                "Schedule 1, 1(a)",
                "Schedule 1, 4.2(c)(ii)"
            ]
        );
    }

    #[test]
    fn a_letter_is_told_from_a_roman_numeral_by_what_it_continues() {
        let letters = ["(a)", "(b)", "(c)", "(d)", "(e)", "(f)", "(g)", "(h)", "(i)", "(j)"];
        assert_eq!(paths(&letters), letters);
        assert_eq!(
            paths(&["(h)", "(i)", "(i)", "(ii)", "(j)"]),
            ["(h)", "(i)", "(i)(i)", "(i)(ii)", "(j)"]
        );
        assert_eq!(paths(&["(iv)", "(v)", "(vi)"]), ["(iv)", "(v)", "(vi)"]);
        assert_eq!(paths(&["(z)", "(aa)", "(bb)"]), ["(z)", "(aa)", "(bb)"]);
    }

    #[test]
    fn a_heading_without_a_number_ends_the_clause_above_it_and_none_around_it() {
        let mut open = Open::default();
        open.number("4", Some(1));
        open.heading(2);
        assert_eq!(open.path().as_deref(), Some("4"));
        open.heading(1);
        assert_eq!(open.path(), None);
    }
}
