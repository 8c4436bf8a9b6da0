//! Numbers as a spreadsheet displays them, by the plain part of its format codes (ECMA-376 part 1,
//! 18.8.31): digits, separators, percent, literals, sections. What is not understood is displayed as
//! the number itself.

/// Digits that a spreadsheet keeps.
const SIGNIFICANT: usize = 15;

/// `value` under the format `code`; without one, or under one that is not understood, as it is.
pub(super) fn number(value: f64, code: Option<&str>) -> String {
    code.and_then(|code| formatted(value, code)).unwrap_or_else(|| general(value))
}

/// A number with at most 15 significant digits and no needless zeros.
fn general(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    if value.fract() == 0.0 && value.abs() < 1e15 {
        return format!("{}", value as i64);
    }
    let magnitude = value.abs().log10().floor();
    if !(-5.0..15.0).contains(&magnitude) {
        return format!("{value:e}");
    }
    let decimals = (SIGNIFICANT as f64 - 1.0 - magnitude).max(0.0) as usize;
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// One section of a format code, as understood.
struct Section {
    before: String,
    after: String,
    has_digits: bool,
    integer_digits: usize,
    /// Decimals that are always printed, and those that are printed where they are not zero.
    decimals: usize,
    optional_decimals: usize,
    thousands: bool,
    percent: bool,
    /// Trailing commas: each divides by a thousand.
    scale: i32,
}

fn formatted(value: f64, code: &str) -> Option<String> {
    if code.eq_ignore_ascii_case("general") || code == "@" || !value.is_finite() {
        return None;
    }
    let sections = split_sections(code);
    let has_condition = sections.iter().any(|section| section.contains(['<', '>', '=']));
    if has_condition {
        return None;
    }
    let (index, own_sign) = match (sections.len(), value) {
        (2.., v) if v < 0.0 => (1, true),
        (3.., 0.0) => (2, true),
        _ => (0, false),
    };
    let section = section(sections[index])?;
    if !section.has_digits {
        // A section of literals alone, such as "-" for zero.
        return Some(section.before.trim().to_owned());
    }
    let scaled =
        value.abs() * if section.percent { 100.0 } else { 1.0 } / 1000f64.powi(section.scale);
    let digits = digits(scaled, &section);
    let is_zero = !digits.contains(|c: char| matches!(c, '1'..='9'));
    let sign = if value < 0.0 && !own_sign && !is_zero { "-" } else { "" };
    Some(format!("{}{sign}{digits}{}", section.before, section.after).trim().to_owned())
}

fn digits(value: f64, section: &Section) -> String {
    let most = section.decimals + section.optional_decimals;
    // Spreadsheets round half up on the decimal digits that they show; 1.005 is shown as 1.01.
    let shown = general(value);
    let rounded = round_decimal(&shown, most).unwrap_or_else(|| format!("{value:.most$}"));
    let (integer, fraction) = rounded.split_once('.').unwrap_or((&rounded, ""));
    let mut fraction = fraction.to_owned();
    while fraction.len() > section.decimals && fraction.ends_with('0') {
        fraction.pop();
    }
    let mut integer = integer.trim_start_matches('0').to_owned();
    while integer.len() < section.integer_digits {
        integer.insert(0, '0');
    }
    if section.thousands {
        let mut grouped = String::new();
        for (index, digit) in integer.chars().enumerate() {
            if index > 0 && (integer.len() - index).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        integer = grouped;
    }
    if fraction.is_empty() { integer } else { format!("{integer}.{fraction}") }
}

/// Rounds decimal text half up to `decimals` places; none for text in powers of ten.
fn round_decimal(text: &str, decimals: usize) -> Option<String> {
    let (integer, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !integer.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut digits: Vec<u8> = integer.bytes().chain(fraction.bytes().take(decimals)).collect();
    digits.resize(integer.len() + decimals, b'0');
    if fraction.as_bytes().get(decimals).is_some_and(|digit| *digit >= b'5') {
        let mut at = digits.len();
        loop {
            if at == 0 {
                digits.insert(0, b'1');
                break;
            }
            at -= 1;
            if digits[at] < b'9' {
                digits[at] += 1;
                break;
            }
            digits[at] = b'0';
        }
    }
    let integer_len = digits.len() - decimals;
    let text = String::from_utf8(digits).ok()?;
    let (integer, fraction) = text.split_at(integer_len);
    Some(if decimals == 0 { integer.to_owned() } else { format!("{integer}.{fraction}") })
}

fn split_sections(code: &str) -> Vec<&str> {
    let mut sections = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, c) in code.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' | '_' | '*' => escaped = true,
            '"' => quoted = !quoted,
            ';' if !quoted => {
                sections.push(&code[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    sections.push(&code[start..]);
    sections
}

/// Understands a section, or gives it up: fractions, exponents, dates and text places are not numbers
/// that are written here.
fn section(code: &str) -> Option<Section> {
    let mut section = Section {
        before: String::new(),
        after: String::new(),
        has_digits: false,
        integer_digits: 0,
        decimals: 0,
        optional_decimals: 0,
        thousands: false,
        percent: false,
        scale: 0,
    };
    let mut in_decimals = false;
    let mut commas = 0;
    let mut ended = false;
    let mut chars = code.chars();
    while let Some(c) = chars.next() {
        let mut literal = String::new();
        match c {
            '0' | '#' | '?' => {
                if ended {
                    // Digits after a literal: phone numbers and the like.
                    return None;
                }
                section.has_digits = true;
                section.thousands |= commas > 0;
                commas = 0;
                match (in_decimals, c) {
                    (true, '0') => section.decimals += 1,
                    (true, _) => section.optional_decimals += 1,
                    (false, '0') => section.integer_digits += 1,
                    (false, _) => {}
                }
            }
            ',' if section.has_digits && !ended => commas += 1,
            '.' if !in_decimals && !ended => {
                in_decimals = true;
                section.has_digits = true;
            }
            '"' => literal.extend(chars.by_ref().take_while(|c| *c != '"')),
            '\\' => literal.extend(chars.next()),
            '_' => {
                chars.next();
                literal.push(' ');
            }
            '*' => drop(chars.next()),
            '[' => {
                let inside: String = chars.by_ref().take_while(|c| *c != ']').collect();
                // [$€-407] is a currency sign with a locale; [Red] a colour.
                if let Some(currency) = inside.strip_prefix('$') {
                    literal.push_str(currency.split('-').next().unwrap_or(""));
                }
            }
            '%' => {
                section.percent = true;
                literal.push('%');
            }
            '/' | 'E' | 'e' | '@' => return None,
            'd' | 'D' | 'm' | 'M' | 'y' | 'Y' | 'h' | 'H' | 's' | 'S' | 'G' | 'g' => return None,
            other => literal.push(other),
        }
        if literal.is_empty() {
            continue;
        }
        if section.has_digits {
            ended = true;
            section.after.push_str(&literal);
        } else {
            section.before.push_str(&literal);
        }
    }
    section.scale = commas;
    Some(section)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_as_on_the_sheet() {
        // Expected texts as LibreOffice 7.4 exports these values under these codes to CSV "as shown"
        // (en-US), but for the last: it prints the fraction 1/2.
        for (value, code, text) in [
            (1234.0, "General", "1234"),
            (0.1 + 0.2, "General", "0.3"),
            (1234.5, "#,##0.00", "1,234.50"),
            (-1234.5, "#,##0.00", "-1,234.50"),
            (0.125, "0.0%", "12.5%"),
            (1234.5, "#,##0.00 \"€\"", "1,234.50 €"),
            (1234.5, "[$€-407]#,##0.00", "€1,234.50"),
            (-5.0, "#,##0;(#,##0)", "(5)"),
            (0.0, "0.00;-0.00;\"-\"", "-"),
            (7.0, "000", "007"),
            (1.005, "0.00", "1.01"),
            (0.995, "0.00", "1.00"),
            (1.5, "0.0##", "1.5"),
            (1_500_000.0, "0.0,,\" m\"", "1.5 m"),
            (-0.001, "0.00", "0.00"),
            (0.5, "# ?/?", "0.5"),
        ] {
            assert_eq!(number(value, Some(code)), text, "{value} under {code}");
        }
        assert_eq!(number(1e20, None), "1e20");
    }
}
