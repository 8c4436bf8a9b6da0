//! What sheets and CSV files have in common: what kind of thing a cell holds, which row names the
//! columns, and how a row is written down.

use super::document::Role;
use super::pages::Pages;

/// Rows that are looked at to find the one that names the columns.
const HEADER_ROWS: usize = 20;

/// What the text of a cell is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Empty,
    /// A number, with currency or percent sign and any thousands separators.
    Number,
    /// A date or a time of day.
    Date,
    /// An address, a truth value, an identifier without spaces.
    Word,
    Text,
}

impl Kind {
    pub(super) fn of(cell: &str) -> Kind {
        let cell = cell.trim();
        if cell.is_empty() {
            Kind::Empty
        } else if is_date(cell) {
            Kind::Date
        } else if is_number(cell) {
            Kind::Number
        } else if !cell.contains(char::is_whitespace)
            && cell.chars().all(|c| c.is_alphanumeric() || "-_./@+&#".contains(c))
        {
            Kind::Word
        } else {
            Kind::Text
        }
    }

    /// Whether a column's name could look like this.
    fn names_a_column(self) -> bool {
        matches!(self, Kind::Word | Kind::Text)
    }
}

fn is_number(cell: &str) -> bool {
    let mut digits = 0;
    let mut letters = 0;
    for c in cell.chars() {
        match c {
            '0'..='9' => digits += 1,
            '.' | ',' | '\'' | '+' | '-' | '−' | '%' | '(' | ')' | '€' | '$' | '£' | '¥' => {}
            ' ' | '\u{A0}' | '\u{202F}' => {}
            c if c.is_ascii_uppercase() => letters += 1,
            'e' => letters += 1,
            _ => return false,
        }
    }
    // "EUR 5", "1.2e9"; but no part number such as "A4711B".
    let currency = cell.strip_prefix(|c: char| c.is_ascii_uppercase()).is_some_and(|_| {
        cell.len() > 3 && cell.is_char_boundary(3) && cell[3..].starts_with([' ', '\u{A0}'])
    }) || cell
        .rsplit([' ', '\u{A0}'])
        .next()
        .is_some_and(|last| last.len() == 3 && last.bytes().all(|b| b.is_ascii_uppercase()));
    digits > 0 && (letters == 0 || (letters == 3 && currency) || cell.parse::<f64>().is_ok())
}

/// Dates as 2024-05-01, 1.5.2024, 05/01/24, with or without a time; times as 12:30.
fn is_date(cell: &str) -> bool {
    let mut halves = cell.splitn(2, ['T', ' ']);
    let (first, second) = (halves.next().unwrap_or(""), halves.next());
    let is_time = |text: &str| {
        let text = text.trim_end_matches(['Z', 'z']).trim_end_matches([' ', 'A', 'P', 'M']);
        let parts: Vec<&str> = text.split([':', '.', '+']).collect();
        parts.len() >= 2 && text.contains(':') && parts.iter().all(|part| is_digits(part, 1, 6))
    };
    let is_day = |text: &str| {
        ['-', '.', '/'].into_iter().any(|separator| {
            let parts: Vec<&str> = text.split(separator).collect();
            parts.len() == 3
                && parts.iter().all(|part| is_digits(part, 1, 4))
                && parts.iter().filter(|part| part.len() <= 2).count() >= 2
        })
    };
    match second {
        None => is_day(first) || is_time(first),
        Some(second) => is_day(first) && is_time(second),
    }
}

fn is_digits(text: &str, least: usize, most: usize) -> bool {
    (least..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

/// The row that names the columns: the first of the first rows that fills at least half of them, if it
/// holds nothing but distinct words, and something comes after it.
pub(super) fn header_row<R: AsRef<[String]>>(rows: &[R]) -> Option<usize> {
    let filled = |row: &R| row.as_ref().iter().filter(|cell| !cell.trim().is_empty()).count();
    let width = rows.iter().take(HEADER_ROWS).map(filled).max()?;
    let first = rows.iter().take(HEADER_ROWS).position(|row| filled(row) * 2 >= width.max(2))?;
    let cells: Vec<&str> = rows[first]
        .as_ref()
        .iter()
        .map(|cell| cell.trim())
        .filter(|cell| !cell.is_empty())
        .collect();
    let distinct = cells.iter().enumerate().all(|(at, cell)| !cells[..at].contains(cell));
    let named = cells.iter().all(|cell| Kind::of(cell).names_a_column());
    let comes_after = first + 1 < rows.len();
    // Words over words only: a list of words has no names of columns above it.
    let single = width < 2
        && !rows[first + 1..].iter().any(|row| {
            row.as_ref().iter().any(|cell| matches!(Kind::of(cell), Kind::Number | Kind::Date))
        });
    (distinct && named && comes_after && !single).then_some(first)
}

/// A row as text: cells parted by tabs, which no cell holds itself.
pub(super) fn row_text(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| cell.trim().replace('\t', " ")).collect();
    cells.join("\t")
}

/// Writes rows to pages, the one that names the columns as such.
pub(super) fn write_rows<R: AsRef<[String]>>(pages: &mut Pages, rows: &[R]) {
    let header = header_row(rows);
    for (index, row) in rows.iter().enumerate() {
        let role = if header == Some(index) { Role::TableHeader } else { Role::TableRow };
        pages.block(role, &row_text(row.as_ref()), None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_cells_are_told_apart() {
        for (cell, kind) in [
            ("", Kind::Empty),
            ("1.234,56", Kind::Number),
            ("-12 %", Kind::Number),
            ("EUR 1'000.00", Kind::Number),
            ("12.50 CHF", Kind::Number),
            ("1e9", Kind::Number),
            ("2024-05-01", Kind::Date),
            ("1.5.2024", Kind::Date),
            ("05/01/24 10:30", Kind::Date),
            ("2024-05-01T10:30:00Z", Kind::Date),
            ("12:30", Kind::Date),
            ("A4711B", Kind::Word),
            ("jo@example.com", Kind::Word),
            ("Rent for May", Kind::Text),
        ] {
            assert_eq!(Kind::of(cell), kind, "{cell}");
        }
    }

    #[test]
    fn the_row_that_names_the_columns_may_stand_below_a_title() {
        let rows = |rows: &[&[&str]]| -> Vec<Vec<String>> {
            rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect()
        };
        let titled =
            rows(&[&["Assets 2024"], &["", ""], &["No.", "Name", "Cost"], &["1", "Van", "9"]]);
        assert_eq!(header_row(&titled), Some(2));
        assert_eq!(header_row(&rows(&[&["1", "2"], &["3", "4"]])), None);
        assert_eq!(header_row(&rows(&[&["apples"], &["pears"]])), None);
    }
}
