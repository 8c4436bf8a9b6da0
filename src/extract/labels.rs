//! Clause numbers that stand in the text itself: "4.2", "(a)", "Section 7".

/// The clause number that starts `text`, if it starts with one.
///
/// A bare number is none ("30 days after…"): a dot, a bracket or a word before it is asked for.
pub(super) fn printed_label(text: &str) -> Option<String> {
    let text = text.trim_start();
    let word_end = text.find(char::is_whitespace)?;
    let word = &text[..word_end];
    if matches!(
        word.to_ascii_lowercase().as_str(),
        "section" | "article" | "clause" | "schedule" | "exhibit" | "annex" | "§" | "artikel"
    ) {
        let rest = text[word_end..].trim_start();
        let number: &str = rest.split(|c: char| c.is_whitespace() || c == ':').next()?;
        let number = number.trim_end_matches(['.', ',', ';']);
        let bare = number.trim_matches(['(', ')']);
        let clause = number.starts_with(|c: char| c.is_ascii_digit()) || is_letters(bare);
        let length = number.as_ptr() as usize - text.as_ptr() as usize + number.len();
        return (clause && number.len() <= 12).then(|| text[..length].to_owned());
    }
    let bare = word.trim_end_matches('.');
    let bracketed = bare.strip_prefix('(').and_then(|inner| inner.strip_suffix(')'));
    let closed = bare.strip_suffix(')').filter(|_| !bare.starts_with('('));
    let is_clause = match (bracketed, closed) {
        (Some(inner), _) | (None, Some(inner)) => is_letters(inner) || is_digits(inner),
        (None, None) => {
            let dotted = bare.contains('.') && bare.split('.').all(is_digits);
            dotted || (word.len() == bare.len() + 1 && (is_digits(bare) || is_letter(bare)))
        }
    };
    is_clause.then(|| bare.to_owned())
}

fn is_digits(text: &str) -> bool {
    matches!(text.len(), 1..=3) && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_letter(text: &str) -> bool {
    text.len() == 1 && text.as_bytes()[0].is_ascii_alphabetic()
}

/// One letter, a doubled one, or a Roman numeral.
fn is_letters(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let doubled = matches!(lower.as_bytes(), [a, b] if a == b && a.is_ascii_lowercase());
    let is_roman = |b: u8| b"ivxlc".contains(&b);
    is_letter(&lower) || doubled || (matches!(lower.len(), 2..=6) && lower.bytes().all(is_roman))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clause_numbers_are_told_from_sentences() {
        for (text, label) in [
            ("4.2 Term", Some("4.2")),
            ("4. Term", Some("4")),
            ("4.2.1. Term", Some("4.2.1")),
            ("(a) the first", Some("(a)")),
            ("(iii) the third", Some("(iii)")),
            ("b) the second", Some("b)")),
            ("Section 7.1 Notices", Some("Section 7.1")),
            ("ARTICLE IV: Fees", Some("ARTICLE IV")),
            ("30 days after", None),
            ("(see below) the", None),
            ("Section of the", None),
            ("2024.05.01 was", None),
            ("A party may", None),
            ("§ 12 Haftung", Some("§ 12")),
        ] {
            assert_eq!(printed_label(text).as_deref(), label, "{text}");
        }
    }
}
