//! Formulas that cells of an XLSX share (ECMA-376 part 1, 18.3.1.40): one cell has the text, and in the others its
//! relative references stand as far away as they do themselves.

use super::sheet::{COLUMNS_MAX, column_name};

/// Rows of the longest sheet there is.
const ROWS_MAX: u32 = 1 << 20;

/// `formula` as it stands so many rows and columns further down and to the right. References that would leave the
/// sheet are what spreadsheets show for them.
pub(super) fn moved(formula: &str, rows: i64, columns: i64) -> String {
    let mut moved = String::with_capacity(formula.len());
    let mut rest = formula;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            // Text, and names of sheets with what else is in them.
            '"' | '\'' => rest[1..].find(c).map_or(rest.len(), |end| end + 2),
            // Columns of tables, other workbooks.
            '[' => bracketed(rest),
            _ if is_word(c) => {
                let Some(Reference { length, parts }) = reference(rest) else {
                    let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                    moved.push_str(&rest[..end]);
                    rest = &rest[end..];
                    continue;
                };
                match parts.iter().map(|part| part.moved(rows, columns)).collect::<Option<Vec<_>>>()
                {
                    Some(parts) => moved.push_str(&parts.join(":")),
                    None => moved.push_str("#REF!"),
                }
                rest = &rest[length..];
                continue;
            }
            c => c.len_utf8(),
        };
        moved.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    moved
}

/// The row and column, from 0, of the cell called `name`.
pub(super) fn cell(name: &str) -> Option<(u32, u32)> {
    let Corner { column, row } = corner(name)?;
    Some((row?.0, column?.0))
}

/// A cell, or a range of cells, rows or columns at the start of a text.
struct Reference {
    /// Its bytes.
    length: usize,
    parts: Vec<Corner>,
}

/// The corner of a range: a column, a row or both, each from 0 and whether it is fixed.
struct Corner {
    column: Option<(u32, bool)>,
    row: Option<(u32, bool)>,
}

impl Corner {
    fn moved(&self, rows: i64, columns: i64) -> Option<String> {
        let shift = |(line, fixed): (u32, bool), by: i64, count: u32| {
            let line = if fixed { line.into() } else { i64::from(line) + by };
            let line = u32::try_from(line).ok().filter(|&line| line < count)?;
            Some((line, if fixed { "$" } else { "" }))
        };
        let mut text = String::new();
        if let Some(column) = self.column {
            let (column, sign) = shift(column, columns, COLUMNS_MAX)?;
            text.push_str(sign);
            text.push_str(&column_name(column));
        }
        if let Some(row) = self.row {
            let (row, sign) = shift(row, rows, ROWS_MAX)?;
            text.push_str(sign);
            text.push_str(&(row + 1).to_string());
        }
        Some(text)
    }
}

/// What may be in a name, a number or a reference.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || "$_.\\?".contains(c)
}

/// The reference that `text` starts with; none where it is a name, a number, a function or a sheet.
fn reference(text: &str) -> Option<Reference> {
    let word = |text: &str| text.find(|c| !is_word(c)).unwrap_or(text.len());
    let end = word(text);
    let first = corner(&text[..end])?;
    let is_followed = |end: usize, by: &[char]| text[end..].starts_with(by);
    let range = text[end..].strip_prefix(':').and_then(|rest| {
        let end = end + 1 + word(rest);
        Some((end, corner(&rest[..word(rest)])?))
    });
    if let Some((end, last)) = range
        && (first.column.is_some(), first.row.is_some())
            == (last.column.is_some(), last.row.is_some())
    {
        // "Q1:Q4!A1" names sheets.
        return (!is_followed(end, &['!', '(']))
            .then(|| Reference { length: end, parts: vec![first, last] });
    }
    let is_cell = first.column.is_some() && first.row.is_some();
    (is_cell && !is_followed(end, &['!', '(', '[']))
        .then(|| Reference { length: end, parts: vec![first] })
}

/// "B7", "$B7", "B" or "7" as the corner of a range.
fn corner(word: &str) -> Option<Corner> {
    let (column, rest) = line(word, |c| c.is_ascii_alphabetic());
    let (row, rest) = line(rest, |c| c.is_ascii_digit());
    if !rest.is_empty() {
        return None;
    }
    let column = match column {
        Some((name, fixed)) => {
            let digits = name.bytes().map(|b| u32::from(b.to_ascii_uppercase() - b'A') + 1);
            let number =
                (name.len() <= 3).then(|| digits.fold(0, |all, digit| 26 * all + digit))?;
            Some((number.checked_sub(1).filter(|&column| column < COLUMNS_MAX)?, fixed))
        }
        None => None,
    };
    let row = match row {
        Some((number, fixed)) => {
            let row = number.parse::<u32>().ok()?.checked_sub(1)?;
            Some((Some(row).filter(|&row| row < ROWS_MAX)?, fixed))
        }
        None => None,
    };
    (column.is_some() || row.is_some()).then_some(Corner { column, row })
}

/// The letters or digits that `text` starts with and whether a sign before them fixes them, and what follows.
fn line(text: &str, is_in: impl Fn(char) -> bool) -> (Option<(&str, bool)>, &str) {
    let fixed = text.starts_with('$');
    let rest = &text[usize::from(fixed)..];
    let end = rest.find(|c| !is_in(c)).unwrap_or(rest.len());
    if end == 0 { (None, text) } else { (Some((&rest[..end], fixed)), &rest[end..]) }
}

/// The bytes of the brackets that `text` starts with.
fn bracketed(text: &str) -> usize {
    let mut depth = 0usize;
    let end = text.bytes().position(|byte| {
        match byte {
            b'[' => depth += 1,
            b']' => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    end.map_or(text.len(), |end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::moved;

    #[test]
    fn relative_references_move_and_all_else_stays() {
        for (formula, expected) in [
            ("A2*(1+$B$1)", "B5*(1+$B$1)"),
            ("SUM(A$1:A2)/$C2", "SUM(B$1:B5)/$C5"),
            ("'Q1 A2'!A2&\"A2 \"\"A2\"\"\"&Q1!A2", "'Q1 A2'!B5&\"A2 \"\"A2\"\"\"&Q1!B5"),
            ("SUM(Q1:Q4!A2)", "SUM(Q1:Q4!B5)"),
            (
                "LOG10(A2)+1E5+VAT_2+TAX2019A+ATAN2(A2,3)",
                "LOG10(B5)+1E5+VAT_2+TAX2019A+ATAN2(B5,3)",
            ),
            ("SUM(A:B,$1:2,A:$B)", "SUM(B:C,$1:5,B:$B)"),
            ("Table1[A2]+[1]Sheet1!A2+#REF!", "Table1[A2]+[1]Sheet1!B5+#REF!"),
            ("XFD1+A1048576", "#REF!+#REF!"),
            ("-AB9%", "-AC12%"),
            ("\"open", "\"open"),
            ("Ä1+AÄ2", "Ä1+AÄ2"),
        ] {
            assert_eq!(moved(formula, 3, 1), expected);
        }
        assert_eq!(moved("A2+C$1", -1, -2), "#REF!+A$1");
    }
}
