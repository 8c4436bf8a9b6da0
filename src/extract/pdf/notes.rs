//! Footnotes: small print at the foot of a page or column that starts with a mark which the text above it
//! bears. They are set apart from the lines they interrupt.

use super::layout::Line;

/// Type of at most this share of the page's is small print.
const SMALL: f32 = 0.93;

/// Marks beside numbers.
const SIGNS: &str = "*†‡§¶#";

/// Digits of a number that is a mark.
const DIGITS_MAX: usize = 3;

/// Longest line that says little more than a page's number: "Page 12 of 230".
const PAGE_NUMBER_MAX: usize = 14;

/// `lines` without their footnotes, and these. `size` is the page's usual type, `is_running` tells headers and
/// footers, which stand below footnotes.
pub(super) fn split(
    lines: Vec<Line>,
    size: f32,
    is_running: impl Fn(&Line) -> bool,
) -> (Vec<Line>, Vec<Line>) {
    let is_small = |line: &Line| {
        line.upright && line.size <= SMALL * size && !line.text.contains('\t') && !is_running(line)
    };
    let mut is_note = vec![false; lines.len()];
    let mut start = 0;
    while start < lines.len() {
        let end = start + lines[start..].iter().take_while(|line| is_small(line)).count();
        if end == start {
            start += 1;
            continue;
        }
        let group = &lines[start..end];
        let first = (0..group.len()).find_map(|at| Some((at, mark_of(&group[at..])?)));
        if let Some((first, sign)) = first {
            let notes = &group[first..];
            let others = lines.iter().filter(|line| {
                !is_small(line) && !is_running(line) && !is_page_number(line, &notes[0])
            });
            let above = stands_below(notes, others.clone());
            if above && others.into_iter().any(|line| bears(&line.text, sign)) {
                is_note[start + first..end].fill(true);
            }
        }
        start = end;
    }
    let (mut body, mut notes) = (Vec::new(), Vec::new());
    for (line, is_note) in lines.into_iter().zip(is_note) {
        if is_note { notes.push(line) } else { body.push(line) }
    }
    (body, notes)
}

/// Whether none of `others` stands beside or under `notes` in their column, and some stands over them.
fn stands_below<'a>(notes: &[Line], others: impl Iterator<Item = &'a Line>) -> bool {
    let left = notes.iter().map(|line| line.place[0]).fold(f32::MAX, f32::min);
    let right = notes.iter().map(|line| line.place[2]).fold(f32::MIN, f32::max);
    let top = notes.iter().map(|line| line.place[3]).fold(f32::MIN, f32::max);
    let mut column = others.filter(|line| line.place[0] < right && line.place[2] > left).peekable();
    column.peek().is_some() && column.all(|line| line.baseline() >= top - 0.5 * line.size)
}

/// Whether `line` stands under `note` and says little more than a number.
fn is_page_number(line: &Line, note: &Line) -> bool {
    line.baseline() < note.baseline()
        && line.text.len() <= PAGE_NUMBER_MAX
        && line.text.contains(|c: char| c.is_ascii_digit())
}

/// The mark of the footnote that `lines` start with; raised far it is a line of its own, before the note's first.
fn mark_of(lines: &[Line]) -> Option<&str> {
    let [first, rest @ ..] = lines else { return None };
    let alone = || {
        let (text, next) = (first.text.as_str(), rest.first()?);
        let is_number = text.len() <= DIGITS_MAX && text.bytes().all(|b| b.is_ascii_digit());
        let is_mark = is_number || text.chars().all(|c| SIGNS.contains(c));
        let drop = first.baseline() - next.baseline();
        let is_beside = next.place[0] >= first.place[2] && (0.0..next.size).contains(&drop);
        (is_mark && is_beside).then_some(text)
    };
    mark(&first.text).or_else(alone)
}

/// The mark that starts a footnote: "1", "12", "*", "††".
fn mark(text: &str) -> Option<&str> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if (1..=DIGITS_MAX).contains(&digits) {
        let rest = text[digits..].trim_start_matches([')', ']']);
        // "12.5" is a number, "1." counts a clause, "1st" neither.
        let begins = rest.trim_start().chars().next()?;
        let apart = rest.starts_with(' ') || begins.is_uppercase() || "“\"‘'(".contains(begins);
        return apart.then(|| &text[..digits]);
    }
    let end = text.find(|c| !SIGNS.contains(c)).filter(|&end| end > 0)?;
    text[end..].chars().any(char::is_alphabetic).then(|| &text[..end])
}

/// Whether `mark` stands behind a word of `text`, as a reference to a note does.
fn bears(text: &str, mark: &str) -> bool {
    text.match_indices(mark).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + mark.len()..].chars().next();
        let is_counted = |c: char| c.is_alphanumeric() || SIGNS.contains(c);
        before.is_some_and(|c| c.is_alphabetic() || ".,;:)]”’\"'".contains(c))
            && !after.is_some_and(is_counted)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, left: f32, baseline: f32, size: f32) -> Line {
        let place = [left, baseline - 0.2 * size, left + 200.0, baseline + 0.8 * size];
        Line::upright(text.to_owned(), place, size)
    }

    fn parted(lines: &[Line]) -> (Vec<&str>, Vec<&str>) {
        let (body, notes) = split(lines.to_vec(), 10.0, |line| line.text.starts_with("Page"));
        let texts = |parted: Vec<Line>| -> Vec<&str> {
            let of = |line: &Line| lines.iter().find(|it| it.text == line.text);
            parted.iter().filter_map(of).map(|line| line.text.as_str()).collect()
        };
        (texts(body), texts(notes))
    }

    #[test]
    fn a_footnote_of_the_first_column_does_not_stand_before_the_second() {
        let lines = [
            line("The fee1 is paid in advance,", 50.0, 700.0, 10.0),
            line("and the rest", 50.0, 688.0, 10.0),
            line("1 Without tax, which the", 50.0, 100.0, 8.0),
            line("Customer bears.", 50.0, 91.0, 8.0),
            line("follows in arrears.*", 300.0, 700.0, 10.0),
            line("* Thirty days.", 300.0, 100.0, 8.0),
            line("Page 1", 50.0, 40.0, 8.0),
        ];
        let body =
            ["The fee1 is paid in advance,", "and the rest", "follows in arrears.*", "Page 1"];
        let notes = ["1 Without tax, which the", "Customer bears.", "* Thirty days."];
        assert_eq!(parted(&lines), (body.to_vec(), notes.to_vec()));
    }

    #[test]
    fn footnotes_that_are_drawn_first_with_raised_marks_stand_after_the_text() {
        let lines = [
            line("1", 50.0, 106.0, 6.0),
            line("In the matter of Acme", 290.0, 100.0, 8.0),
            line("7 of 23", 50.0, 40.0, 10.0),
            line("The decision,1 issued last", 50.0, 700.0, 10.0),
        ];
        let body = ["7 of 23", "The decision,1 issued last"];
        assert_eq!(parted(&lines), (body.to_vec(), vec!["1", "In the matter of Acme"]));
    }

    #[test]
    fn small_print_without_a_mark_in_the_text_or_with_text_below_is_no_footnote() {
        for lines in [
            [
                line("The fee is paid in advance.", 50.0, 700.0, 10.0),
                line("1 January 2024 is a day", 50.0, 100.0, 8.0),
            ],
            [
                line("1 A caption in small print", 50.0, 400.0, 8.0),
                line("stands over text1 here.", 50.0, 300.0, 10.0),
            ],
            [
                line("Net sales2 rose.", 50.0, 700.0, 10.0),
                line("2.5 per cent of all", 50.0, 100.0, 8.0),
            ],
        ] {
            assert_eq!(parted(&lines).1, Vec::<&str>::new(), "{lines:?}");
        }
    }
}
