//! What lines for a person are made of: names, and words of documents and models, which hold anything, also what
//! moves a cursor, begins a line of its own or turns the order of what is read; counts, and lengths of time.

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

/// A length of time as a person says it, in the unit that fits: 4.2 s, 42 s, 3 min, 2 h 05 min.
pub fn duration(seconds: f64) -> String {
    let tenths = (seconds.max(0.0) * 10.0).round() as u64;
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..=9 if !tenths.is_multiple_of(10) => format!("{}.{} s", tenths / 10, tenths % 10),
        0..=89 => format!("{whole} s"),
        90..=5399 => format!("{} min", (whole + 30) / 60),
        _ => format!("{} h {:02} min", (whole + 30) / 3600, (whole + 30) % 3600 / 60),
    }
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
    fn time_is_told_in_the_unit_that_fits() {
        for (seconds, told) in [
            (0.0, "0 s"),
            (4.23, "4.2 s"),
            (9.96, "10 s"),
            (42.4, "42 s"),
            (89.6, "2 min"),
            (150.0, "3 min"),
            (5400.0, "1 h 30 min"),
            (7500.0, "2 h 05 min"),
            (25_000.0, "6 h 57 min"),
        ] {
            assert_eq!(duration(seconds), told);
        }
    }

    #[test]
    fn what_moves_a_cursor_or_turns_the_order_is_replaced_and_nothing_else() {
        assert_eq!(one_line("zürich “ü” 契約.pdf"), "zürich “ü” 契約.pdf");
        assert_eq!(one_line("a\u{1b}[2J\nOK\r\u{9b}1A\u{202e}fdp"), "a�[2J�OK��1A�fdp");
        assert_eq!(plain("a\u{1b}[2J\n\tOK\u{2066}"), "a�[2J\n\tOK�");
    }
}
