//! What lines for a person are made of: names, and words of documents and models, which hold anything, also what
//! moves a cursor, begins a line of its own or turns the order of what is read; and counts.

use std::borrow::Cow;

/// `text` with U+FFFD in place of every control character (ESC and LF among them) and of those that set the
/// direction of writing (UAX #9, "Explicit Directional Formatting Characters").
pub fn one_line(text: &str) -> Cow<'_, str> {
    replaced(text, is_unfit)
}

/// As `one_line`, with the ends of lines and the tabs left in it.
pub fn plain(text: &str) -> Cow<'_, str> {
    replaced(text, |c| is_unfit(c) && c != '\n' && c != '\t')
}

/// "1 page", "3 pages".
pub fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn is_unfit(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn replaced(text: &str, unfit: fn(char) -> bool) -> Cow<'_, str> {
    match text.contains(unfit) {
        true => text.replace(unfit, "\u{fffd}").into(),
        false => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_a_cursor_or_turns_the_order_is_replaced_and_nothing_else() {
        assert_eq!(one_line("zürich “ü” 契約.pdf"), "zürich “ü” 契約.pdf");
        assert_eq!(one_line("a\u{1b}[2J\nOK\r\u{9b}1A\u{202e}fdp"), "a�[2J�OK��1A�fdp");
        assert_eq!(plain("a\u{1b}[2J\n\tOK\u{2066}"), "a�[2J\n\tOK�");
    }
}
