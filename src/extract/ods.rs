//! The sheets of an ODS as they are displayed: the text that stands in each cell (ODF 1.3 part 3, 9).
//! Streams the content, so that cells which only repeat cost nothing.

use std::ops::Range;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::sheet::{Budget, COLUMNS_MAX, Cells, is_rounded, iso};
use super::xml::referenced;
use crate::base::limits::SHEET_FACTS_MAX;

/// A comment on a cell.
#[derive(Debug, Default)]
pub(super) struct Comment {
    pub(super) row: u32,
    pub(super) column: u32,
    pub(super) author: String,
    pub(super) date: String,
    pub(super) text: String,
}

/// A sheet as written.
#[derive(Default)]
pub(super) struct OdsSheet {
    pub(super) name: String,
    /// The style that may hide it.
    pub(super) style: String,
    pub(super) cells: Cells,
    pub(super) comments: Vec<Comment>,
    /// Row, column and formula, without its first `=`.
    pub(super) formulas: Vec<((u32, u32), String)>,
    /// Row, column and number of cells that display fewer of its digits.
    pub(super) raw: Vec<((u32, u32), String)>,
}

/// What a workbook's content holds.
#[derive(Default)]
pub(super) struct Ods {
    pub(super) sheets: Vec<OdsSheet>,
    /// Styles of tables that are not displayed.
    pub(super) hidden_styles: Vec<String>,
    /// Where the content breaks off.
    pub(super) damage: Option<String>,
}

/// The cell being read.
#[derive(Default)]
struct Cell {
    repeated: u32,
    kind: String,
    value: String,
    formula: Option<String>,
    text: String,
    paragraphs: usize,
}

/// Reads `content.xml`.
pub(super) fn read(content: &[u8], budget: &mut Budget) -> Ods {
    let text = String::from_utf8_lossy(content);
    let mut reader = Reader::from_str(&text);
    reader.config_mut().check_end_names = false;
    let mut walk = Walk::default();
    loop {
        match reader.read_event() {
            Ok(Event::Start(start)) => walk.open(&start),
            Ok(Event::Empty(start)) => {
                walk.open(&start);
                walk.close(start.local_name().as_ref(), budget);
            }
            Ok(Event::End(end)) => walk.close(end.local_name().as_ref(), budget),
            Ok(Event::Text(text)) => walk.text(&text.xml10_content()),
            Ok(Event::CData(text)) => walk.text(&text.xml10_content()),
            Ok(Event::GeneralRef(reference)) => {
                walk.text(referenced(&reference).encode_utf8(&mut [0; 4]));
            }
            Ok(Event::Eof) => break,
            Ok(_) => {}
            Err(error) => {
                let at = reader.error_position();
                walk.ods.damage = Some(format!("content.xml breaks off at byte {at}: {error}"));
                break;
            }
        }
    }
    walk.ods
}

#[derive(Default)]
struct Walk {
    ods: Ods,
    /// The table style being defined.
    style: String,
    row: u32,
    column: u32,
    row_repeated: u32,
    /// Cells of the row: column, how often, text; its formulas and its rounded numbers alike.
    cells: Vec<(u32, u32, String)>,
    formulas: Vec<(u32, u32, String)>,
    raw: Vec<(u32, u32, String)>,
    cell: Option<Cell>,
    comment: Option<Comment>,
    /// What of a comment is being read: "creator", "date" or its text.
    comment_at: String,
    /// Tables in tables, which are not sheets.
    depth: usize,
}

impl Walk {
    fn open(&mut self, start: &BytesStart<'_>) {
        let value = |name: &str| attribute(start, name);
        let count = |name: &str| value(name).and_then(|n| n.parse::<u32>().ok()).unwrap_or(1);
        match start.local_name().as_ref() {
            "style" => self.style = value("name").unwrap_or_default(),
            "table-properties" if value("display").as_deref() == Some("false") => {
                self.ods.hidden_styles.push(self.style.clone());
            }
            "table" => {
                self.depth += 1;
                if self.depth == 1 {
                    let sheet = OdsSheet {
                        name: value("name").unwrap_or_default(),
                        style: value("style-name").unwrap_or_default(),
                        ..OdsSheet::default()
                    };
                    self.ods.sheets.push(sheet);
                    self.row = 0;
                }
            }
            "table-row" if self.depth == 1 => {
                (self.column, self.row_repeated) = (0, count("number-rows-repeated"));
            }
            "table-cell" | "covered-table-cell" if self.depth == 1 => {
                let kind = value("value-type").unwrap_or_default();
                let date = value("date-value");
                self.cell = Some(Cell {
                    repeated: count("number-columns-repeated"),
                    value: date.or_else(|| value("value")).unwrap_or_default(),
                    formula: value("formula").as_deref().and_then(formula),
                    kind,
                    ..Cell::default()
                });
            }
            "annotation" => {
                let place = Comment { row: self.row, column: self.column, ..Comment::default() };
                self.comment = Some(place);
            }
            name @ ("creator" | "date") if self.comment.is_some() => {
                name.clone_into(&mut self.comment_at)
            }
            "p" => {
                self.comment_at.clear();
                match (&mut self.comment, &mut self.cell) {
                    (Some(comment), _) if !comment.text.is_empty() => comment.text.push('\n'),
                    (None, Some(cell)) => {
                        if cell.paragraphs > 0 {
                            cell.text.push('\n');
                        }
                        cell.paragraphs += 1;
                    }
                    _ => {}
                }
            }
            "s" => self.text(&" ".repeat(count("c").min(1024) as usize)),
            "tab" => self.text(" "),
            "line-break" => self.text("\n"),
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        match (&mut self.comment, &mut self.cell) {
            (Some(comment), _) => match self.comment_at.as_str() {
                "creator" => comment.author.push_str(text),
                "date" => comment.date.push_str(text),
                _ => comment.text.push_str(text),
            },
            (None, Some(cell)) if cell.paragraphs > 0 => cell.text.push_str(text),
            _ => {}
        }
    }

    fn close(&mut self, name: &str, budget: &mut Budget) {
        match name {
            "annotation" => {
                let comment = self.comment.take();
                if let (Some(comment), Some(sheet)) = (comment, self.ods.sheets.last_mut()) {
                    sheet.comments.push(comment);
                }
            }
            "table" => self.depth = self.depth.saturating_sub(1),
            "table-cell" | "covered-table-cell" if self.depth == 1 => {
                let Some(cell) = self.cell.take() else { return };
                let (column, repeated) = (self.column, cell.repeated);
                self.formulas.extend(cell.formula.map(|formula| (column, repeated, formula)));
                let is_number = matches!(&*cell.kind, "float" | "percentage" | "currency");
                if is_number && cell.paragraphs > 0 && is_rounded(&cell.value, &cell.text) {
                    self.raw.push((column, repeated, cell.value.clone()));
                }
                let text = match cell.kind.as_str() {
                    // Dates are written as everywhere here; a day alone has no midnight.
                    "date" if !cell.value.is_empty() => iso(&cell.value).replace('T', " "),
                    _ if cell.paragraphs == 0 => cell.value,
                    _ => cell.text,
                };
                if !text.trim().is_empty() {
                    self.cells.push((column, repeated, text));
                }
                self.column = column.saturating_add(repeated);
            }
            "table-row" if self.depth == 1 => self.end_row(budget),
            _ => {}
        }
    }

    fn end_row(&mut self, budget: &mut Budget) {
        let cells = std::mem::take(&mut self.cells);
        let (formulas, raw) = (std::mem::take(&mut self.formulas), std::mem::take(&mut self.raw));
        if let Some(sheet) = self.ods.sheets.last_mut() {
            let rows = self.row..self.row.saturating_add(self.row_repeated);
            repeat(&mut sheet.formulas, rows.clone(), &formulas);
            repeat(&mut sheet.raw, rows, &raw);
        }
        if let (Some(sheet), false) = (self.ods.sheets.last_mut(), cells.is_empty()) {
            for row in 0..self.row_repeated {
                for (column, repeated, text) in &cells {
                    let end = column.saturating_add(*repeated).min(COLUMNS_MAX);
                    for column in *column..end {
                        budget.push(
                            &mut sheet.cells,
                            (self.row.saturating_add(row), column, text.clone()),
                        );
                    }
                }
                if sheet.cells.dropped > 0 {
                    break;
                }
            }
        }
        self.row = self.row.saturating_add(self.row_repeated);
    }
}

/// Adds the facts of a row, by column and how often, to those of its sheet while there is room.
fn repeat(facts: &mut Vec<((u32, u32), String)>, rows: Range<u32>, of_row: &[(u32, u32, String)]) {
    if of_row.is_empty() {
        return;
    }
    for row in rows.take(SHEET_FACTS_MAX) {
        for (column, repeated, fact) in of_row {
            for column in *column..column.saturating_add(*repeated).min(COLUMNS_MAX) {
                if facts.len() >= SHEET_FACTS_MAX {
                    return;
                }
                facts.push(((row, column), fact.clone()));
            }
        }
    }
}

/// A formula as its cell shows it (OpenFormula, ODF 1.3 part 4, 5.8): `of:=SUM([.A1:.A3])` is SUM(A1:A3).
fn formula(written: &str) -> Option<String> {
    let (_, text) = written.split_once('=')?;
    let mut formula = String::with_capacity(text.len());
    let (mut quoted, mut in_reference) = (None, false);
    for c in text.chars() {
        match (quoted, c) {
            (Some(mark), c) if c == mark => quoted = None,
            (None, '"' | '\'') => quoted = Some(c),
            (None, '[') => {
                in_reference = true;
                continue;
            }
            (None, ']') => {
                in_reference = false;
                continue;
            }
            // Before a cell of the same sheet.
            (None, '.')
                if in_reference
                    && !formula.ends_with(|c: char| c.is_alphanumeric() || "_'".contains(c)) =>
            {
                continue;
            }
            _ => {}
        }
        formula.push(c);
    }
    Some(formula)
}

fn attribute(start: &BytesStart<'_>, name: &str) -> Option<String> {
    let mut attributes = start.attributes();
    let mut found = attributes.with_checks(false).flatten();
    let found = found.find(|attribute| attribute.key.local_name().as_ref() == name)?;
    let value = found.normalized_value(XmlVersion::Implicit1_0);
    Some(value.map_or_else(|_| found.value.to_string(), |value| value.into_owned()))
}
