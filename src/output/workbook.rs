//! A job's table as a workbook: sheet `Documents` with typed columns, and sheet `Review` with a row for
//! each field, in which a person signs off, corrects or rejects. Holds no time: the same rows give the
//! same bytes. Reading a reviewed workbook back is `review`'s.

use rust_xlsxwriter::{
    Color, DataValidation, DocProperties, ExcelDateTime, Format, Note, Url, Workbook, Worksheet,
    XlsxError,
};
use serde_json::Value;

use super::OutputError;
use super::answered::{AnsweredRow, AnsweredRows};
use super::paths::record_paths;
use super::table::{Row, field, flags_of, words};
use crate::assemble::{FieldAnswer, Record};
use crate::base::Digest;
use crate::base::limits::REVIEW_ROWS_MAX;

/// The sheet that `review` reads back.
pub(super) const REVIEW_SHEET: &str = "Review";

/// The columns of that sheet, in order.
pub(super) const REVIEW_COLUMNS: [&str; 12] = [
    "document",
    "field",
    "value",
    "flags",
    "page",
    "quote",
    "review",
    "corrected value",
    "reviewer",
    "comment",
    "doc",
    "record",
];
/// Of those, the first that a person fills in, and the first after them.
pub(super) const BY_A_PERSON: std::ops::Range<usize> = 6..10;

/// What a person may write into the column `review`.
pub(super) const VERDICTS: [&str; 3] = ["signed-off", "corrected", "rejected"];

/// Excel's limit of a cell is 32,767 characters; a person reads less. The record has it whole.
const CELL_CHARS_MAX: usize = 8000;
const NOTE_CHARS_MAX: usize = 600;

/// The workbook of a job's rows; `answered` holds what of each one's own rows is to be judged, `logged` gives the
/// digest that the log has for a path.
pub(super) fn workbook(
    job: &str,
    fields: &[String],
    rows: &[Row],
    answered: &[RowsGiven],
    logged: &dyn Fn(&str) -> Option<Digest>,
) -> Result<Vec<u8>, XlsxError> {
    let mut book = Workbook::new();
    let epoch = ExcelDateTime::from_ymd(2000, 1, 1)?;
    book.set_properties(
        &DocProperties::new().set_author("nightclerk").set_creation_datetime(&epoch),
    );
    let formats = Formats::new();
    documents(book.add_worksheet(), job, fields, (rows, answered), &formats)?;
    review(book.add_worksheet(), job, fields, (rows, answered), &formats, logged)?;
    book.save_to_buffer()
}

struct Formats {
    head: Format,
    date: Format,
    flagged: Format,
    flags: Format,
    input: Format,
}

impl Formats {
    fn new() -> Formats {
        let paper = |colour: u32| Format::new().set_background_color(Color::RGB(colour));
        Formats {
            head: paper(0xE7E6E1).set_bold(),
            date: Format::new().set_num_format("yyyy-mm-dd"),
            flagged: paper(0xFFF2CC),
            flags: paper(0xF8CBAD),
            input: paper(0xE2EFDA),
        }
    }
}

fn documents(
    sheet: &mut Worksheet,
    job: &str,
    fields: &[String],
    (rows, answered): (&[Row], &[RowsGiven]),
    formats: &Formats,
) -> Result<(), XlsxError> {
    sheet.set_name("Documents")?;
    sheet.set_default_note_author("nightclerk");
    let mut head: Vec<&str> = vec!["document", "outcome", "reason", "pages", "summary"];
    head.extend(fields.iter().map(String::as_str));
    head.push("flags");
    heading(sheet, &head, rows.len() as u32, formats)?;
    for (column, width) in [(0, 40), (2, 30), (4, 60)] {
        sheet.set_column_width(column, width)?;
    }
    for ((row, answered), line) in rows.iter().zip(answered).zip(1u32..) {
        link(sheet, line, 0, job, row)?;
        sheet.write_string(line, 1, row.outcome.to_string())?;
        sheet.write_string(line, 2, cell(&row.reason))?;
        if let Some(record) = &row.record {
            sheet.write_number(line, 3, f64::from(record.source.pages))?;
            let summary = record.summary.as_ref().map_or("", |summary| &summary.text);
            sheet.write_string(line, 4, cell(summary))?;
            for (name, column) in fields.iter().zip(5u16..) {
                if let Some(answer) = field(record, name) {
                    value(sheet, (line, column), &answer, formats)?;
                }
            }
            let flags = match &record.rows {
                Some(rows) => format!(
                    "{} of {} rows flagged; {} of {} answers are in the sheet {REVIEW_SHEET}",
                    rows.flagged,
                    rows.count,
                    answered.given.len(),
                    answered.answers
                ),
                None => flags_of(record, fields),
            };
            if !flags.is_empty() {
                let column = head.len() as u16 - 1;
                sheet.write_string_with_format(line, column, cell(&flags), &formats.flags)?;
            }
        }
    }
    Ok(())
}

/// One row for each field of each record, and for each answer of a table's rows, flagged ones first.
fn review(
    sheet: &mut Worksheet,
    job: &str,
    fields: &[String],
    (rows, answered): (&[Row], &[RowsGiven]),
    formats: &Formats,
    logged: &dyn Fn(&str) -> Option<Digest>,
) -> Result<(), XlsxError> {
    sheet.set_name(REVIEW_SHEET)?;
    let mut asked = Vec::new();
    for (row, answered) in rows.iter().zip(answered) {
        let Some(record) = &row.record else { continue };
        let digest =
            record_paths(job, &row.root, &row.path).ok().and_then(|[json, _]| logged(&json));
        let (Some(digest), names) = (digest, fields.iter()) else { continue };
        asked.extend(names.filter_map(|name| Some((row, digest, given(record, name)?))));
        asked.extend(answered.given.iter().map(|given| (row, digest, given.clone())));
    }
    asked.sort_by_key(|(_, _, given)| given.flags.is_empty());
    heading(sheet, &REVIEW_COLUMNS, asked.len() as u32, formats)?;
    for (column, width) in [(0, 40), (1, 20), (2, 40), (3, 24), (5, 60), (6, 12), (7, 30), (9, 30)]
    {
        sheet.set_column_width(column, width)?;
    }
    for column in [10, 11] {
        sheet.set_column_hidden(column)?;
    }
    let last = (asked.len() as u32).max(1);
    let verdicts = DataValidation::new().allow_list_strings(&VERDICTS)?;
    sheet.add_data_validation(1, 6, last, 6, &verdicts)?;
    for ((row, digest, given), line) in asked.iter().zip(1u32..) {
        link(sheet, line, 0, job, row)?;
        for (text, column) in given.cells().iter().zip(1u16..) {
            match column {
                3 if !text.is_empty() => {
                    sheet.write_string_with_format(line, column, *text, &formats.flags)?
                }
                _ => sheet.write_string(line, column, *text)?,
            };
        }
        for column in BY_A_PERSON {
            sheet.write_blank(line, column as u16, &formats.input)?;
        }
        let doc = crate::base::DocId::new(job, &row.root, &row.path);
        sheet.write_string(line, 10, doc.to_string())?;
        sheet.write_string(line, 11, digest.to_string())?;
    }
    Ok(())
}

/// What the workbook shows of a field for a person to judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    name: String,
    value: String,
    flags: String,
    pages: String,
    quotes: String,
}

impl Given {
    /// The cells from `field` to `quote`.
    pub(super) fn cells(&self) -> [&str; 5] {
        [&self.name, &self.value, &self.flags, &self.pages, &self.quotes]
    }
}

/// What is shown of the field `name`; none where the record does not have it.
pub(super) fn given(record: &Record, name: &str) -> Option<Given> {
    let answer = field(record, name)?;
    let pages: Vec<String> = answer.evidence.iter().map(|one| one.page.to_string()).collect();
    let quotes: Vec<&str> = answer.evidence.iter().map(|one| one.quote.as_str()).collect();
    Some(Given {
        name: cell(name),
        value: cell(&words(&answer.value)),
        flags: answer.flags.join(", "),
        pages: pages.join("; "),
        quotes: cell(&quotes.join(" […] ")),
    })
}

/// What of a table whose rows are documents of their own is given to a person to judge.
#[derive(Clone, Debug, Default)]
pub(super) struct RowsGiven {
    /// Flagged ones first, at most `REVIEW_ROWS_MAX`.
    pub(super) given: Vec<Given>,
    /// How many there are.
    pub(super) answers: usize,
}

impl RowsGiven {
    /// Of the answers that say or flag something.
    pub(super) fn of(table: AnsweredRows) -> Result<RowsGiven, OutputError> {
        let fields = table.fields();
        let (mut flagged, mut plain, mut answers) = (Vec::new(), Vec::new(), 0);
        for row in table {
            let row = row?;
            for name in &fields {
                let Some(given) = given_of_row(&row, &fields, name) else { continue };
                answers += 1;
                let kept = if given.flags.is_empty() { &mut plain } else { &mut flagged };
                if kept.len() < REVIEW_ROWS_MAX {
                    kept.push(given);
                }
            }
        }
        flagged.append(&mut plain);
        flagged.truncate(REVIEW_ROWS_MAX);
        Ok(RowsGiven { given: flagged, answers })
    }
}

/// What is shown of a row's answer to the field `name` of `fields`: the row's own cells in place of a quote. None
/// where it says and flags nothing.
pub(super) fn given_of_row(row: &AnsweredRow, fields: &[String], name: &str) -> Option<Given> {
    let at = fields.iter().position(|field| field == name)?;
    let (value, flags) = row.answers.get(at)?;
    let says = !value.is_empty() || !flags.is_empty();
    says.then(|| Given {
        name: format!("{ROW}{}: {name}", row.number),
        value: cell(value),
        flags: flags.replace(' ', ", "),
        pages: String::new(),
        quotes: cell(&row.cells.join(" | ")),
    })
}

/// The row and the field that `given_of_row` names; none where a document's own field is named.
pub(super) fn row_named(name: &str) -> Option<(u64, &str)> {
    let (number, field) = name.strip_prefix(ROW)?.split_once(": ")?;
    Some((number.parse().ok()?, field))
}

/// Before the number of a row; no field's name has a space.
const ROW: &str = "row ";

/// A heading that stays in view, with filters over the `rows` below it.
fn heading(
    sheet: &mut Worksheet,
    head: &[&str],
    rows: u32,
    formats: &Formats,
) -> Result<(), XlsxError> {
    for (name, column) in head.iter().zip(0u16..) {
        sheet.write_string_with_format(0, column, *name, &formats.head)?;
    }
    sheet.set_freeze_panes(1, 1)?;
    sheet.autofilter(0, 0, rows, head.len() as u16 - 1)?;
    Ok(())
}

/// The document's name, leading to its record.
fn link(
    sheet: &mut Worksheet,
    line: u32,
    column: u16,
    job: &str,
    row: &Row,
) -> Result<(), XlsxError> {
    let name = cell(&format!("{}/{}", row.root, row.path));
    let path = record_paths(job, &row.root, &row.path).ok().map(|[json, _]| json);
    // Spreadsheets disagree on how these are escaped in a link: then there is none.
    let path = path.filter(|path| !path.contains(['#', '%', '?', '\\']) && row.record.is_some());
    if let Some(path) = path {
        let url = Url::new(format!("file:///../{path}"));
        if sheet.write_url_with_text(line, column, url, name.as_str()).is_ok() {
            return Ok(());
        }
    }
    sheet.write_string(line, column, name)?;
    Ok(())
}

/// A value in the type that it has, its evidence as a note.
fn value(
    sheet: &mut Worksheet,
    (line, column): (u32, u16),
    answer: &FieldAnswer,
    formats: &Formats,
) -> Result<(), XlsxError> {
    let text = words(&answer.value);
    let flagged = |format: Format| match answer.flags.is_empty() {
        true => format,
        false => format.merge(&formats.flagged),
    };
    if let Some(date) = date(&text) {
        sheet.write_datetime_with_format(line, column, &date, &flagged(formats.date.clone()))?;
    } else if let Some((currency, amount)) = money(&text) {
        let format = Format::new().set_num_format(format!("\"{currency}\" #,##0.00"));
        sheet.write_number_with_format(line, column, amount, &flagged(format))?;
    } else if let Some(number) = answer.value.as_f64() {
        sheet.write_number_with_format(line, column, number, &flagged(Format::new()))?;
    } else {
        let shown = if answer.value == Value::Null { String::new() } else { cell(&text) };
        sheet.write_string_with_format(line, column, shown, &flagged(Format::new()))?;
    }
    if let Some(first) = answer.evidence.first() {
        let quote: String = visible(&first.quote).chars().take(NOTE_CHARS_MAX).collect();
        let note = format!("page {}: {quote}", first.page);
        sheet.insert_note(line, column, &Note::new(note).add_author_prefix(false))?;
    }
    Ok(())
}

/// `2016-10-15` within the years that Excel counts.
fn date(text: &str) -> Option<ExcelDateTime> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || (year.len(), month.len(), day.len()) != (4, 2, 2) {
        return None;
    }
    let year = year.parse().ok().filter(|year| *year >= 1900)?;
    ExcelDateTime::from_ymd(year, month.parse().ok()?, day.parse().ok()?).ok()
}

/// `USD 15000.00`: currency and amount, where a spreadsheet's number holds every digit.
fn money(text: &str) -> Option<(&str, f64)> {
    let (currency, amount) = text.split_once(' ')?;
    let is_code = currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_uppercase());
    let digits = amount.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let exact = is_code && digits && amount.len() <= 15;
    exact.then(|| amount.parse().ok()).flatten().map(|amount| (currency, amount))
}

/// Text as one line of a cell.
pub(super) fn cell(text: &str) -> String {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match flat.char_indices().nth(CELL_CHARS_MAX) {
        None => visible(&flat),
        Some((at, _)) => format!("{} […]", visible(&flat[..at])),
    }
}

fn visible(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' => '\n',
        c if c.is_control() || ('\u{fffe}'..='\u{ffff}').contains(&c) => {
            char::REPLACEMENT_CHARACTER
        }
        c => c,
    };
    text.chars().map(shown).collect()
}
