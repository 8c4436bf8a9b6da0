//! Where sentences end: a rule of thumb for contracts and reports, not a language model's. A wrong
//! cut costs a little context, never a byte.

use std::ops::Range;

/// Words whose dot does not end a sentence. Lower case, without the dot.
const ABBREVIATIONS: [&str; 43] = [
    "inc", "corp", "co", "ltd", "llc", "llp", "lp", "plc", "bros", "mr", "mrs", "ms", "dr", "prof",
    "st", "no", "nos", "sec", "secs", "art", "arts", "para", "paras", "cl", "ex", "exh", "fig",
    "figs", "ch", "vol", "pp", "ed", "vs", "cf", "al", "etc", "approx", "dept", "est", "jr", "sr",
    "ph", "viz",
];

/// The sentences of `text`: ranges in order that together cover it, each with the white space after
/// it. A blank line always ends one; so does a semicolon or colon at the end of a line.
pub fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut start = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let mut end = at + c.len_utf8();
        if !ends_sentence(text, start, at, c) {
            continue;
        }
        while let Some(&(next, c)) = chars.peek() {
            if !(c.is_whitespace() || is_closer(c)) {
                break;
            }
            end = next + c.len_utf8();
            chars.next();
        }
        ranges.push(start..end);
        start = end;
    }
    if start < text.len() {
        ranges.push(start..text.len());
    }
    ranges
}

/// Whether the character `c` at `at` ends the sentence that began at `start`.
fn ends_sentence(text: &str, start: usize, at: usize, c: char) -> bool {
    let rest = &text[at + c.len_utf8()..];
    match c {
        '\n' => blank_line_follows(rest) && !text[start..at].trim().is_empty(),
        ';' | ':' => rest.trim_start_matches([' ', '\t', '\r']).starts_with('\n'),
        '。' | '！' | '？' => true,
        '.' | '!' | '?' => {
            let after = rest.trim_start_matches(is_closer);
            let next = after.trim_start();
            let spaced = next.len() < after.len();
            let goes_on = next.chars().next().is_some_and(|c| c.is_lowercase() || c == ',');
            spaced && !goes_on && !(c == '.' && is_abbreviation(&text[start..at]))
        }
        _ => false,
    }
}

fn blank_line_follows(rest: &str) -> bool {
    rest.trim_start_matches([' ', '\t', '\r']).starts_with('\n')
}

fn is_closer(c: char) -> bool {
    matches!(c, '"' | '\'' | ')' | ']' | '”' | '’' | '»')
}

/// Whether `before` a dot ends in an initial ("J"), a clause number that starts the sentence ("4",
/// "4.2"), or a word that is written short.
fn is_abbreviation(before: &str) -> bool {
    let word = before.rsplit(|c: char| c.is_whitespace() || matches!(c, '(' | '"' | '“')).next();
    let word = word.unwrap_or(before);
    let mut chars = word.chars();
    let initial = chars.next().is_some_and(char::is_uppercase) && chars.next().is_none();
    let number = word.len() == before.trim_start().len()
        && word.starts_with(|c: char| c.is_ascii_digit())
        && word.chars().all(|c| c.is_ascii_digit() || c == '.');
    let dotted = word.contains('.') && word.split('.').all(|part| part.chars().count() <= 1);
    initial || number || dotted || ABBREVIATIONS.contains(&word.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<&str> {
        sentences(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn sentences_end_where_a_reader_ends_them() {
        assert_eq!(
            cut("4.2. Acme Inc. of the U.S. shall pay. It may not (\"ever.\") Refuse"),
            ["4.2. Acme Inc. of the U.S. shall pay. ", "It may not (\"ever.\") ", "Refuse"]
        );
        assert_eq!(cut("Either:\na) one;\nb) two"), ["Either:\n", "a) one;\n", "b) two"]);
        assert_eq!(cut("Title\n\nText\nmore"), ["Title\n\n", "Text\nmore"]);
        assert_eq!(cut("一。二"), ["一。", "二"]);
        assert_eq!(cut(""), Vec::<&str>::new());
        assert_eq!(cut("  \n\n "), ["  \n\n "]);
    }
}
