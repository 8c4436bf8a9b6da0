//! CSV and TSV → `Document`: finds encoding, delimiter and quote, and never splits by a letter or digit.

use std::collections::BTreeMap;
use std::io::Read;

use ::csv::{ReaderBuilder, StringRecord};

use super::Refusal;
use super::document::Document;
use super::encoding;
use super::pages::Pages;
use super::table::{self, Kind};
use crate::base::{Format, Limits, Warned, Warning};

/// Delimiters in the order in which a tie is decided.
const DELIMITERS: [u8; 5] = [b',', b';', b'\t', b'|', b':'];

/// Records that are tried with each dialect.
const TRIAL_RECORDS: usize = 1000;

/// Text that is tried with each dialect.
const TRIAL_BYTES: usize = 1 << 20;

/// How a file parts its cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    pub(super) delimiter: u8,
    /// None where quotes are letters like others.
    pub(super) quote: Option<u8>,
}

/// Reads a CSV or TSV file as one sheet.
pub(super) fn read(
    bytes: &[u8],
    format: Format,
    limits: &Limits,
) -> Result<Warned<Document>, Refusal> {
    let decoded = encoding::decode(bytes)?;
    let mut warnings: Vec<Warning> = decoded.warning.into_iter().collect();
    let (dialect, text) = dialect_of(&decoded.text, format);
    let (rows, cells_dropped) = records(text, dialect, limits.sheet_cells_max);
    if cells_dropped > 0 {
        warnings.push(Warning::page(
            1,
            format!(
                "{cells_dropped} cells lie beyond the {} that are read; split the file",
                limits.sheet_cells_max
            ),
        ));
    }
    warnings.extend(ragged(&rows));

    let mut pages = Pages::new(1, format.word(), limits.page_bytes_max, limits);
    table::write_rows(&mut pages, &rows);
    let delimiter = match dialect.delimiter {
        b'\t' => "tab".to_owned(),
        other => char::from(other).to_string(),
    };
    let properties = BTreeMap::from([
        ("delimiter".to_owned(), delimiter),
        ("encoding".to_owned(), decoded.encoding.name().to_owned()),
        ("records".to_owned(), rows.len().to_string()),
    ]);
    let pages = pages.finish(&mut warnings);
    let document = Document { format, pages, properties, remarks: Vec::new() };
    Ok(Warned { output: document, warnings })
}

/// How `text` parts its cells, and the text after a first line that only says so.
pub(super) fn dialect_of(text: &str, format: Format) -> (Dialect, &str) {
    let (stated, text) = stated_delimiter(text);
    let dialect = match stated {
        Some(delimiter) => best_of(text, &[delimiter]),
        None if format == Format::Tsv && text.contains('\t') => best_of(text, b"\t"),
        None => best_of(text, &DELIMITERS),
    };
    (dialect, text)
}

/// The delimiter that a first line `sep=;` states, as Excel writes and reads it, and the text after.
fn stated_delimiter(text: &str) -> (Option<u8>, &str) {
    let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
    let stated = line.trim_matches('"').strip_prefix("sep=").map(str::as_bytes);
    match stated {
        Some(&[delimiter]) if !delimiter.is_ascii_alphanumeric() => (Some(delimiter), rest),
        _ => (None, text),
    }
}

/// The dialect of `delimiters` under which the records look most like a table.
fn best_of(text: &str, delimiters: &[u8]) -> Dialect {
    let mut end = text.len().min(TRIAL_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut best = (Dialect { delimiter: delimiters[0], quote: Some(b'"') }, -1.0);
    for &delimiter in delimiters {
        for quote in [Some(b'"'), None, Some(b'\'')] {
            let dialect = Dialect { delimiter, quote };
            let score = score(&text[..end], dialect);
            // Strictly better: a tie stays with the earlier, more usual dialect.
            if score > best.1 + 1e-9 {
                best = (dialect, score);
            }
        }
    }
    best.0
}

/// Share of records that have the usual length, times the share of cells that look like cells.
fn score(text: &str, dialect: Dialect) -> f64 {
    let mut lengths: BTreeMap<usize, usize> = BTreeMap::new();
    let (mut worth, mut cells, mut records) = (0.0, 0usize, 0usize);
    let mut reader = reader(text.as_bytes(), dialect);
    let mut record = StringRecord::new();
    while records < TRIAL_RECORDS && reader.read_record(&mut record).unwrap_or(false) {
        records += 1;
        *lengths.entry(record.len()).or_default() += 1;
        cells += record.len();
        worth += record.iter().map(|cell| cell_worth(cell, dialect)).sum::<f64>();
    }
    let Some((&usual, &times)) = lengths.iter().max_by_key(|&(_, times)| times) else { return 0.0 };
    let uniformity = times as f64 / records as f64;
    let typed = worth / cells as f64;
    // One column is what every file looks like under a delimiter that it does not have.
    uniformity * typed * if usual > 1 { 1.0 } else { 0.5 }
}

/// How much a cell looks like a cell and not like a piece of one, or like several.
fn cell_worth(cell: &str, dialect: Dialect) -> f64 {
    let blank_start = if cell.starts_with(' ') && dialect.delimiter != b',' { 0.8 } else { 1.0 };
    let trimmed = cell.trim();
    let quotes = [b'"', b'\''].into_iter().filter(|quote| dialect.quote != Some(*quote));
    let is_quoted = quotes.into_iter().any(|quote| {
        let bytes = trimmed.as_bytes();
        bytes.len() > 1 && bytes[0] == quote && bytes[bytes.len() - 1] == quote
    });
    let half_quoted = dialect.quote != Some(b'"') && trimmed.matches('"').count() % 2 == 1;
    if is_quoted || half_quoted {
        return 0.1;
    }
    match Kind::of(trimmed) {
        Kind::Number | Kind::Date => blank_start,
        Kind::Empty => 0.9,
        Kind::Word => 0.9 * blank_start,
        Kind::Text => {
            let parted = |at: usize, c: char| {
                DELIMITERS.contains(&(c as u32).min(255).try_into().unwrap_or(0))
                    && c as u8 != dialect.delimiter
                    && !trimmed[at + 1..].starts_with(' ')
            };
            let pieces = trimmed.char_indices().any(|(at, c)| c.is_ascii() && parted(at, c));
            if pieces { 0.2 } else { 0.8 * blank_start }
        }
    }
}

/// A reader of the records of UTF-8 text.
pub(super) fn reader<R: Read>(text: R, dialect: Dialect) -> ::csv::Reader<R> {
    ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(dialect.delimiter)
        .quoting(dialect.quote.is_some())
        .quote(dialect.quote.unwrap_or(b'"'))
        .from_reader(text)
}

/// All records, and the number of cells beyond `cells_max`.
pub(super) fn records(text: &str, dialect: Dialect, cells_max: usize) -> (Vec<Vec<String>>, usize) {
    let mut rows = Vec::new();
    let (mut cells, mut dropped) = (0, 0);
    // The text is UTF-8 and lengths are flexible: no record can fail.
    for record in reader(text.as_bytes(), dialect).into_records().flatten() {
        cells += record.len();
        if cells > cells_max {
            dropped += record.len();
        } else {
            rows.push(record.iter().map(str::to_owned).collect());
        }
    }
    (rows, dropped)
}

/// A warning where records differ in length.
fn ragged(rows: &[Vec<String>]) -> Option<Warning> {
    let mut lengths: BTreeMap<usize, usize> = BTreeMap::new();
    for row in rows {
        *lengths.entry(row.len()).or_default() += 1;
    }
    let (&usual, _) = lengths.iter().max_by_key(|&(_, times)| times)?;
    let others = rows.iter().filter(|row| row.len() != usual).count();
    let first = rows.iter().position(|row| row.len() != usual)?;
    Some(Warning::page(
        1,
        format!(
            "{others} of {} records have not {usual} cells like the others; the first is record {}",
            rows.len(),
            first + 1
        ),
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn dialect(text: &str) -> (char, Option<char>) {
        let found = best_of(text, &DELIMITERS);
        (char::from(found.delimiter), found.quote.map(char::from))
    }

    #[test]
    fn delimiters_are_found_in_files_that_others_split_wrongly() {
        for (text, expected) in [
            ("a,b,c\n1,2,3\n", ','),
            ("Name;Betrag\nMüller, Hans;12,50\nWeiß, Eva;3,00\n", ';'),
            ("when;note\n12:30;a: b\n12:45;c: d\n", ';'),
            ("id,remark\n1,\"a; b; c\"\n2,\"d; e; f\"\n", ','),
            ("x\ty\n1,5\t2,5\n", '\t'),
            ("one|two\n1,2|3,4\n", '|'),
            ("root:x:0\ndaemon:x:1\nbin:x:2\n", ':'),
            ("EEE EEE\nEEE\nEE EE\n", ','),
            ("url,n\nhttp://example.com/a:b,1\nhttp://example.com/c,2\n", ','),
            ("", ','),
        ] {
            assert_eq!(dialect(text).0, expected, "{text}");
        }
    }

    #[test]
    fn quotes_are_found_and_a_stray_one_swallows_nothing() {
        assert_eq!(dialect("a,b\n'x, y',1\n'z, w',2\n"), (',', Some('\'')));
        assert_eq!(dialect("a,b\nit's,1\nthat's,2\n").1, Some('"'));
        let stray = "id;size\n1;\"5 inch\n2;6\n3;7\n4;8\n5;9\n";
        assert_eq!(dialect(stray), (';', None));
    }

    #[test]
    fn a_stated_delimiter_wins_and_is_no_record() {
        let read =
            read(b"sep=|\na|b,c\n1|2,3\n", Format::Csv, &Limits::default()).expect("a table");
        assert_eq!(read.output.pages[0].verbatim, "a\tb,c\n1\t2,3");
    }

    proptest! {
        // What the csv crate writes with any delimiter and quote is read back cell by cell. Columns
        // have kinds, as in real tables: nobody could tell the delimiter of a table of noise.
        #[test]
        fn a_written_table_is_read_back(
            rows in prop::collection::vec(
                (0u32..100_000, "[A-Z][a-z]{2,8}( [A-Za-z]{2,9}){0,4}", 0u32..10_000, 1u32..28, any::<[bool; 4]>()),
                3..40,
            ),
            delimiter in prop::sample::select(&DELIMITERS[..]),
            quote in prop::sample::select(&b"\"'"[..]),
            always in any::<bool>(),
        ) {
            let cells: Vec<Vec<String>> = rows.iter().map(|(id, words, cents, day, odd)| {
                let mut words = words.clone();
                for (odd, insert) in odd.iter().zip([", and", "; or", " \"so\"", "\n2nd line"]) {
                    if *odd {
                        words.push_str(insert);
                    }
                }
                vec![id.to_string(), words, format!("{}.{:02}", cents / 100, cents % 100), format!("2024-05-{day:02}")]
            }).collect();
            let style = if always { ::csv::QuoteStyle::Always } else { ::csv::QuoteStyle::Necessary };
            let mut writer = ::csv::WriterBuilder::new()
                .delimiter(delimiter).quote(quote).quote_style(style).from_writer(Vec::new());
            for row in &cells {
                writer.write_record(row).expect("in memory");
            }
            let text = String::from_utf8(writer.into_inner().expect("in memory")).expect("UTF-8");
            let found = best_of(&text, &DELIMITERS);
            prop_assert_eq!(found.delimiter, delimiter, "{}", text);
            prop_assert_eq!(records(&text, found, usize::MAX).0, cells, "{}", text);
        }
    }
}
