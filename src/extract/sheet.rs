//! XLSX, XLSB, XLS and ODS → `Document`: each sheet a page of rows, cells as they are displayed. Hidden
//! sheets, rows and columns are kept apart. Comments, formulas and numbers that are displayed rounded are facts
//! beside the text; of XLS and XLSB they are read here, since calamine names other columns and rows in many
//! references than those that are written. Charts and headers of sheets are not read.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use calamine::{
    Data, DataRef, ExcelDateTime, Reader as _, SheetType, SheetVisible, Xls, Xlsb, Xlsx,
};

use super::biff_facts::{self, BiffFacts};
use super::cell_formats::{self, BookFormats, SheetFormats};
use super::compound;
use super::container::Container;
use super::document::{Document, Hidden, Page, PageState, Remark, RemarkKind};
use super::docx::Package;
use super::hidden_lines::{self, HiddenLines};
use super::number_format;
use super::ods::{self, Comment};
use super::page_builder::PageBuilder;
use super::pages::Pages;
use super::xml::{self, Ns};
use super::{Refusal, RefusalKind, sheet_facts, table};
use crate::base::limits::SHEET_FACTS_MAX;
use crate::base::{Format, Limits, Warned, Warning};

/// Columns of the widest sheet there is (XFD).
pub(super) const COLUMNS_MAX: u32 = 16_384;

/// A cell with something in it: row and column from 0, and its text.
pub(super) type Cell = (u32, u32, String);

/// What a sheet holds and what it hides.
struct Sheet {
    name: String,
    is_hidden: bool,
    cells: Result<Cells, String>,
    hidden: HiddenLines,
    remarks: Vec<Remark>,
}

#[derive(Default)]
pub(super) struct Cells {
    pub(super) cells: Vec<Cell>,
    /// Cells beyond the limits.
    pub(super) dropped: usize,
}

/// Reads a workbook.
pub(super) fn read(
    bytes: &[u8],
    format: Format,
    limits: &Limits,
) -> Result<Warned<Document>, Refusal> {
    let mut warnings = Vec::new();
    let sheets = open(bytes, format, limits, &mut warnings)?;
    let mut pages: Vec<Page> = Vec::new();
    let mut remarks = Vec::new();
    for mut sheet in sheets {
        if pages.len() >= limits.pages_max {
            let message = format!("more sheets than the {} pages that are read", limits.pages_max);
            warnings.push(Warning::document(message));
            break;
        }
        let number = pages.len() as u32 + 1;
        let about = std::mem::take(&mut sheet.remarks).into_iter();
        remarks.extend(about.map(|remark| Remark { page: number, ..remark }));
        pages.extend(sheet_pages(number, sheet, limits, &mut warnings));
    }
    if pages.is_empty() {
        return Err(Refusal::new(RefusalKind::Empty, "the workbook has no sheet with cells"));
    }
    let document = Document { format, pages, properties: BTreeMap::new(), remarks };
    Ok(Warned { output: document, warnings })
}

/// The sheets of a workbook, in its order.
fn open(
    bytes: &[u8],
    format: Format,
    limits: &Limits,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<Sheet>, Refusal> {
    let mut budget = Budget::new(limits);
    Ok(match format {
        Format::Xlsx => xlsx(bytes, limits, &mut budget, warnings)?,
        Format::Ods => {
            let mut container = Container::open(bytes, limits)?;
            if let Some(manifest) = container.read("META-INF/manifest.xml")?
                && String::from_utf8_lossy(&manifest).contains("encryption-data")
            {
                return Err(encrypted());
            }
            let content = container.read("content.xml")?;
            open_document(
                &content.ok_or_else(|| damaged("no content.xml in it"))?,
                &mut budget,
                warnings,
            )
        }
        Format::Xlsb => xlsb(bytes, limits, &mut budget, warnings)?,
        _ => {
            let mut workbook = Xls::new(Cursor::new(bytes)).map_err(|error| match error {
                calamine::XlsError::Password => encrypted(),
                error => damaged(error),
            })?;
            let stream = compound::stream(bytes, &["Workbook", "Book"]).unwrap_or_else(|| {
                warnings.push(Warning::document(
                    "hidden rows and columns cannot be told apart in this file and are read; save it as XLSX",
                ));
                Vec::new()
            });
            ranges(&mut workbook, &stream, &mut budget, warnings)
        }
    })
}

/// A sheet as a table.
pub(super) struct Table {
    pub(super) name: String,
    /// Its rows that are shown, with the number of each as a person counts; or why it cannot be read.
    pub(super) rows: Result<Vec<(u32, Vec<String>)>, String>,
    pub(super) hidden: Vec<Hidden>,
}

/// The sheets of a workbook as tables.
pub(super) fn tables(
    bytes: &[u8],
    format: Format,
    limits: &Limits,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<Table>, Refusal> {
    let mut tables = Vec::new();
    for (number, sheet) in (1..).zip(open(bytes, format, limits, warnings)?) {
        let (name, is_hidden) = (sheet.name.clone(), sheet.is_hidden);
        let mut beside = Pages::new(number, name.clone(), limits.page_bytes_max, limits);
        let rows = match lay_out(number, sheet, limits, warnings) {
            Ok(Lines { shown, hidden_rows, hidden_cells }) => {
                hide(&mut beside, number, &name, is_hidden, hidden_rows, hidden_cells, warnings);
                Ok(shown)
            }
            Err(why) => Err(why),
        };
        let hidden = beside.finish(warnings).into_iter().flat_map(|page| page.hidden).collect();
        tables.push(Table { name, rows, hidden });
    }
    Ok(tables)
}

fn encrypted() -> Refusal {
    Refusal::new(
        RefusalKind::Encrypted,
        "the workbook is protected with a password; save it without one",
    )
}

fn damaged(error: impl std::fmt::Display) -> Refusal {
    Refusal::damaged(format!("the workbook cannot be read: {error}"))
}

/// What may still be read of a document: few bytes of file can name very many cells, and each can
/// repeat a long shared text.
pub(super) struct Budget {
    sheet_cells: usize,
    document_cells: usize,
    text_bytes: u64,
}

impl Budget {
    fn new(limits: &Limits) -> Budget {
        Budget {
            sheet_cells: limits.sheet_cells_max,
            document_cells: limits.document_cells_max,
            // Both layers and what stands around them go through the same pipe.
            text_bytes: limits.output_bytes_max / 4,
        }
    }

    /// Collects cells in row order while the budget lasts.
    fn collect(&mut self, cells: impl Iterator<Item = Cell>) -> Cells {
        let mut found = Cells::default();
        for cell in cells {
            self.push(&mut found, cell);
        }
        // Writers go row by row; a hostile one need not.
        if !found.cells.is_sorted_by_key(|&(row, column, _)| (row, column)) {
            found.cells.sort_by_key(|&(row, column, _)| (row, column));
        }
        found
    }

    /// Takes one cell, or counts it as dropped.
    pub(super) fn push(&mut self, found: &mut Cells, (row, column, text): Cell) {
        let fits = found.cells.len() < self.sheet_cells
            && self.document_cells > 0
            && self.text_bytes >= text.len() as u64
            && column < COLUMNS_MAX;
        if !fits {
            found.dropped += 1;
            return;
        }
        self.document_cells -= 1;
        self.text_bytes -= text.len() as u64;
        found.cells.push((row, column, text));
    }
}

// ---- XLSX: streamed, since calamine's ranges hold every cell between the corners ----

fn xlsx(
    bytes: &[u8],
    limits: &Limits,
    budget: &mut Budget,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<Sheet>, Refusal> {
    let mut container = Container::open(bytes, limits)?;
    container.check_all()?;
    let mut workbook = Xlsx::new(Cursor::new(bytes)).map_err(|error| match error {
        calamine::XlsxError::Password => encrypted(),
        error => damaged(error),
    })?;
    let paths = sheet_paths(&mut container, limits)?;
    let mut package = Package { container, limits, warnings: Vec::new() };
    let people = sheet_facts::people(&mut package, "xl/workbook.xml")?;
    let metadata = workbook.sheets_metadata().to_vec();
    let mut sheets = Vec::new();
    for sheet in metadata.into_iter().filter(|sheet| is_table(sheet.typ)) {
        let mut hidden = HiddenLines::default();
        // A column of too many letters is too much for the crate's numbers, whose overflow is checked.
        let read =
            catch_unwind(AssertUnwindSafe(|| xlsx_cells(&mut workbook, &sheet.name, budget)));
        let (cells, mut remarks) =
            read.unwrap_or_else(|_| (Err("its cells cannot be made out".to_owned()), Vec::new()));
        if let Some(path) = paths.get(&sheet.name)
            && let Some(part) = package.container.read(path)?
        {
            hidden = hidden_lines::of_xlsx_sheet(&part);
            remarks.extend(sheet_facts::formulas(&part));
            remarks.extend(sheet_facts::comments(&mut package, path, &people)?);
        }
        sheets.push(Sheet {
            cells,
            is_hidden: sheet.visible != SheetVisible::Visible,
            name: sheet.name,
            hidden,
            remarks,
        });
    }
    warnings.extend(package.warnings);
    Ok(sheets)
}

fn is_table(kind: SheetType) -> bool {
    matches!(kind, SheetType::WorkSheet | SheetType::MacroSheet | SheetType::DialogSheet)
}

fn xlsx_cells(
    workbook: &mut Xlsx<Cursor<&[u8]>>,
    name: &str,
    budget: &mut Budget,
) -> (Result<Cells, String>, Vec<Remark>) {
    let mut raw = Vec::new();
    let mut reader = match workbook.worksheet_cells_reader(name) {
        Ok(reader) => reader,
        Err(error) => return (Err(error.to_string()), raw),
    };
    let codes: Vec<Option<String>> = reader
        .styles()
        .iter()
        .map(|style| style.number_format.as_ref().map(|format| format.format_code.clone()))
        .collect();
    let mut broken = None;
    let cells = std::iter::from_fn(|| {
        loop {
            match reader.next_cell_with_style_id() {
                Ok(Some((cell, style))) => {
                    let (row, column) = cell.get_position();
                    let code = codes.get(style).and_then(Option::as_deref);
                    let text = display(cell.get_value(), code);
                    raw.extend(raw_value(cell.get_value(), &text, (row, column), raw.len()));
                    if !text.trim().is_empty() {
                        return Some((row, column, text));
                    }
                }
                Ok(None) => return None,
                Err(error) => {
                    broken = Some(error.to_string());
                    return None;
                }
            }
        }
    });
    let cells = budget.collect(cells);
    let cells = match broken {
        Some(error) if cells.cells.is_empty() => Err(error),
        // What came before the damage is kept; the rest is counted as one cell.
        Some(_) => Ok(Cells { dropped: cells.dropped + 1, ..cells }),
        None => Ok(cells),
    };
    (cells, raw)
}

/// The number of a cell that is displayed rounded, where fewer than the limit are `known`.
fn raw_value(
    value: &DataRef<'_>,
    displayed: &str,
    (row, column): (u32, u32),
    known: usize,
) -> Option<Remark> {
    let DataRef::Float(number) = value else { return None };
    let raw = number.to_string();
    (known < SHEET_FACTS_MAX && is_rounded(&raw, displayed)).then(|| raw_fact((row, column), &raw))
}

fn raw_fact((row, column): (u32, u32), raw: &str) -> Remark {
    let anchor = cell_name(row, column);
    Remark { anchor, ..Remark::new(RemarkKind::RawValue, "", "", raw) }
}

/// Whether `displayed` has fewer digits than the number `raw`.
pub(super) fn is_rounded(raw: &str, displayed: &str) -> bool {
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).count();
    digits(raw) > digits(displayed)
}

/// "B7".
fn cell_name(row: u32, column: u32) -> String {
    format!("{}{}", column_name(column), row.saturating_add(1))
}

/// The part of each sheet, by name.
fn sheet_paths(
    container: &mut Container<'_>,
    limits: &Limits,
) -> Result<BTreeMap<String, String>, Refusal> {
    let mut paths = BTreeMap::new();
    let (Some(workbook), Some(relations)) =
        (container.read("xl/workbook.xml")?, container.read("xl/_rels/workbook.xml.rels")?)
    else {
        return Ok(paths);
    };
    let relations = xml::parse("xl/_rels/workbook.xml.rels", &relations, limits)?.root;
    let targets: BTreeMap<&str, &str> = relations
        .elements()
        .filter_map(|relation| {
            Some((relation.attribute(Ns::Bare, "Id")?, relation.attribute(Ns::Bare, "Target")?))
        })
        .collect();
    let workbook = xml::parse("xl/workbook.xml", &workbook, limits)?.root;
    let sheets = workbook.elements().filter(|element| &*element.name == "sheets");
    for sheet in sheets.flat_map(|sheets| sheets.elements()) {
        let id = sheet.attribute(Ns::Relation, "id").unwrap_or("");
        let (Some(name), Some(target)) = (sheet.attribute(Ns::Bare, "name"), targets.get(id))
        else {
            continue;
        };
        let path = match target.strip_prefix('/') {
            Some(absolute) => absolute.to_owned(),
            None => format!("xl/{target}"),
        };
        paths.insert(name.to_owned(), path);
    }
    Ok(paths)
}

// ---- XLSB: streamed, with the formats that calamine keeps to itself ----

fn xlsb(
    bytes: &[u8],
    limits: &Limits,
    budget: &mut Budget,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<Sheet>, Refusal> {
    let mut container = Container::open(bytes, limits)?;
    container.check_all()?;
    let mut workbook = Xlsb::new(Cursor::new(bytes)).map_err(|error| match error {
        calamine::XlsbError::Password => encrypted(),
        error => damaged(error),
    })?;
    let mut package = Package { container, limits, warnings: Vec::new() };
    let relations = package.relations("xl/workbook.bin")?;
    let people = sheet_facts::people(&mut package, "xl/workbook.bin")?;
    let target = |id: &str| relations.iter().find(|(own, _, _)| own == id).map(|(_, _, path)| path);
    let book = package.container.read("xl/workbook.bin")?.unwrap_or_default();
    let links = biff_facts::links_of_xlsb(&book, |id| package.container.read(target(id)?).ok()?);
    let named = cell_formats::xlsb_sheets(&book);
    let metadata = workbook.sheets_metadata().to_vec();
    let (mut parts, mut facts) = (Vec::new(), Vec::new());
    for sheet in &metadata {
        let id = named.iter().find(|(name, _)| *name == sheet.name).map(|(_, id)| id.as_str());
        let Some(path) = id.and_then(target) else {
            parts.push(None);
            facts.push(Vec::new());
            continue;
        };
        let part = package.container.read(path)?;
        let beside = part.as_deref().map(|part| biff_facts::of_xlsb_sheet(part, &links));
        let mut remarks = remarks(&sheet.name, beside.unwrap_or_default(), warnings);
        remarks.extend(sheet_facts::comments(&mut package, path, &people)?);
        parts.push(part);
        facts.push(remarks);
    }
    let styles = package.container.read("xl/styles.bin")?.unwrap_or_default();
    warnings.extend(package.warnings);
    let mut formats = cell_formats::of_xlsb(&styles, &parts);
    let mut sheets = Vec::new();
    for ((index, sheet), facts) in metadata.into_iter().enumerate().zip(facts) {
        if !is_table(sheet.typ) {
            continue;
        }
        let mut raw = Vec::new();
        let cells = match workbook.worksheet_cells_reader(&sheet.name) {
            Ok(mut reader) => {
                let mut broken = None;
                let cells = std::iter::from_fn(|| {
                    loop {
                        match reader.next_cell() {
                            Ok(Some(cell)) => {
                                let (row, column) = cell.get_position();
                                let code = formats.code(index, row, column);
                                let text = display(cell.get_value(), code);
                                let value = cell.get_value();
                                raw.extend(raw_value(value, &text, (row, column), raw.len()));
                                if !text.trim().is_empty() {
                                    return Some((row, column, text));
                                }
                            }
                            Ok(None) => return None,
                            Err(error) => {
                                broken = Some(error.to_string());
                                return None;
                            }
                        }
                    }
                });
                let mut cells = budget.collect(cells);
                cells.dropped += usize::from(broken.is_some());
                match broken {
                    Some(error) if cells.cells.is_empty() => Err(error),
                    _ => Ok(cells),
                }
            }
            Err(error) => Err(error.to_string()),
        };
        sheets.push(Sheet {
            cells,
            is_hidden: sheet.visible != SheetVisible::Visible,
            hidden: take_hidden(&mut formats, index),
            name: sheet.name,
            remarks: raw.into_iter().chain(facts).collect(),
        });
    }
    Ok(sheets)
}

/// Facts about the cells of a sheet of XLS or XLSB as remarks.
fn remarks(name: &str, facts: BiffFacts, warnings: &mut Vec<Warning>) -> Vec<Remark> {
    if facts.unread > 0 {
        let message = format!("sheet \"{name}\": {} formulas are not read", facts.unread);
        warnings.push(Warning::document(message));
    }
    let formulas = facts.formulas.iter().filter_map(|(place, text)| formula(*place, text));
    formulas.chain(facts.comments.iter().map(comment)).collect()
}

/// A formula as it is written into its cell; none where there is none.
pub(super) fn formula((row, column): (u32, u32), text: &str) -> Option<Remark> {
    let anchor = cell_name(row, column);
    let text = format!("={text}");
    (text.len() > 1).then(|| Remark { anchor, ..Remark::new(RemarkKind::Formula, "", "", &text) })
}

fn take_hidden(formats: &mut BookFormats, sheet: usize) -> HiddenLines {
    let hidden = |sheet: &mut SheetFormats| std::mem::take(&mut sheet.hidden);
    formats.sheets.get_mut(sheet).map(hidden).unwrap_or_default()
}

// ---- ODS: what is displayed stands in the file ----

fn open_document(content: &[u8], budget: &mut Budget, warnings: &mut Vec<Warning>) -> Vec<Sheet> {
    let mut hidden = hidden_lines::of_ods(content);
    let read = ods::read(content, budget);
    warnings.extend(read.damage.map(Warning::document));
    let hidden_styles = read.hidden_styles;
    let sheets = read.sheets.into_iter().map(|sheet| Sheet {
        is_hidden: hidden_styles.contains(&sheet.style),
        hidden: hidden.remove(&sheet.name).unwrap_or_default(),
        name: sheet.name,
        cells: Ok(sheet.cells),
        remarks: {
            let raw = sheet.raw.iter().map(|(place, number)| raw_fact(*place, number));
            let formulas = sheet.formulas.iter().filter_map(|(place, text)| formula(*place, text));
            raw.chain(formulas).chain(sheet.comments.iter().map(comment)).collect()
        },
    });
    sheets.collect()
}

pub(super) fn comment(comment: &Comment) -> Remark {
    let Comment { row, column, author, date, text } = comment;
    let anchor = cell_name(*row, *column);
    Remark { anchor, ..Remark::new(RemarkKind::Comment, author, date, text) }
}

// ---- XLS: calamine has it whole once it is open ----

fn ranges(
    workbook: &mut Xls<Cursor<&[u8]>>,
    stream: &[u8],
    budget: &mut Budget,
    warnings: &mut Vec<Warning>,
) -> Vec<Sheet> {
    let mut formats = cell_formats::of_xls(stream);
    let mut facts = biff_facts::of_xls(stream);
    let mut sheets = Vec::new();
    for (index, sheet) in workbook.sheets_metadata().to_vec().into_iter().enumerate() {
        if !is_table(sheet.typ) {
            continue;
        }
        let mut raw = Vec::new();
        let cells = workbook.worksheet_range(&sheet.name).map_err(|error| error.to_string());
        let cells = cells.map(|range| {
            let (top, left) = range.start().unwrap_or((0, 0));
            let cells = range.used_cells().map(|(row, column, value)| {
                let (row, column) = (top + row as u32, left + column as u32);
                let value = borrowed(value);
                let text = display(&value, formats.code(index, row, column));
                raw.extend(raw_value(&value, &text, (row, column), raw.len()));
                (row, column, text)
            });
            budget.collect(cells.filter(|(_, _, text)| !text.trim().is_empty()))
        });
        let facts = facts.get_mut(index).map(std::mem::take).unwrap_or_default();
        raw.extend(remarks(&sheet.name, facts, warnings));
        sheets.push(Sheet {
            cells,
            is_hidden: sheet.visible != SheetVisible::Visible,
            hidden: take_hidden(&mut formats, index),
            name: sheet.name,
            remarks: raw,
        });
    }
    sheets
}

fn borrowed(value: &Data) -> DataRef<'_> {
    match value {
        Data::Int(value) => DataRef::Int(*value),
        Data::Float(value) => DataRef::Float(*value),
        Data::String(text) => DataRef::SharedString(text),
        Data::Bool(value) => DataRef::Bool(*value),
        Data::DateTime(value) => DataRef::DateTime(*value),
        Data::DateTimeIso(text) => DataRef::DateTimeIso(text.clone()),
        Data::DurationIso(text) => DataRef::DurationIso(text.clone()),
        Data::Error(error) => DataRef::Error(error.clone()),
        Data::Empty => DataRef::Empty,
    }
}

// ---- cells to pages ----

/// The pages of one sheet: one, unless it is very long.
fn sheet_pages(
    number: u32,
    sheet: Sheet,
    limits: &Limits,
    warnings: &mut Vec<Warning>,
) -> Vec<Page> {
    let (name, is_hidden) = (sheet.name.clone(), sheet.is_hidden);
    let Lines { shown, hidden_rows, hidden_cells } = match lay_out(number, sheet, limits, warnings)
    {
        Ok(lines) => lines,
        Err(why) => {
            return vec![PageBuilder::new(number, name).finish(PageState::Skipped(why))];
        }
    };
    let mut pages = Pages::new(number, name.clone(), limits.page_bytes_max, limits);
    let rows: Vec<Vec<String>> = shown.into_iter().map(|(_, cells)| cells).collect();
    table::write_rows(&mut pages, &rows);
    hide(&mut pages, number, &name, is_hidden, hidden_rows, hidden_cells, warnings);
    pages.finish(warnings)
}

/// The lines of a sheet: rows that are shown, and what is hidden of it.
struct Lines {
    /// With the number of each, counted from 1.
    shown: Vec<(u32, Vec<String>)>,
    /// With the index of each.
    hidden_rows: Vec<(u32, String)>,
    /// Of the rows that are shown, by column.
    hidden_cells: BTreeMap<u32, Vec<String>>,
}

/// Puts a sheet's cells into rows; the error says why the sheet cannot be read, as do the warnings.
fn lay_out(
    number: u32,
    sheet: Sheet,
    limits: &Limits,
    warnings: &mut Vec<Warning>,
) -> Result<Lines, String> {
    let Cells { cells, dropped } = sheet.cells.map_err(|error| {
        let why = format!("the sheet cannot be read: {error}");
        warnings.push(Warning::page(number, why.clone()));
        why
    })?;
    if dropped > 0 {
        warnings.push(Warning::page(
            number,
            format!(
                "sheet \"{}\": {dropped} cells are damaged or lie beyond the {} of a sheet and {} of a \
                 document that are read; split the workbook",
                sheet.name, limits.sheet_cells_max, limits.document_cells_max
            ),
        ));
    }
    // Columns without a cell are left out: two cells in far corners make a row of two.
    let columns: BTreeSet<u32> = cells.iter().map(|&(_, column, _)| column).collect();
    let columns: Vec<u32> = columns.into_iter().collect();
    let is_shown = |column: &u32| !sheet.hidden.columns.contains(*column);
    let shown_columns: Vec<u32> = columns.iter().copied().filter(is_shown).collect();

    let mut shown: Vec<(u32, Vec<String>)> = Vec::new();
    // Rows are written out with the gaps between their cells, which a hostile sheet makes wide.
    let mut room = limits.sheet_cells_max.saturating_mul(4);
    let mut left_out = 0;
    let mut hidden_cells: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    let mut hidden_rows = Vec::new();
    for row in cells.chunk_by(|a, b| a.0 == b.0) {
        let at = row[0].0;
        let line = |columns: &[u32]| -> Vec<String> {
            let mut line = Vec::new();
            for (_, column, text) in row {
                if let Ok(index) = columns.binary_search(column) {
                    line.resize(index, String::new());
                    line.push(text.clone());
                }
            }
            line
        };
        let cells = if sheet.is_hidden || sheet.hidden.rows.contains(at) {
            let cells = line(&columns);
            hidden_rows.push((at, table::row_text(&cells)));
            cells.len()
        } else {
            for (_, column, text) in row.iter().filter(|(_, column, _)| !is_shown(column)) {
                hidden_cells.entry(*column).or_default().push(text.clone());
            }
            let cells = line(&shown_columns);
            let len = cells.len();
            if len > 0 {
                shown.push((at.saturating_add(1), cells));
            }
            len
        };
        room = room.saturating_sub(cells);
        left_out += usize::from(room == 0);
        if room == 0 {
            break;
        }
    }
    if left_out > 0 {
        let message =
            format!("sheet \"{}\": its cells lie too far apart; the rest is left out", sheet.name);
        warnings.push(Warning::page(number, message));
    }
    Ok(Lines { shown, hidden_rows, hidden_cells })
}

/// Puts hidden rows and columns beside the text, and says so.
fn hide(
    pages: &mut Pages,
    number: u32,
    name: &str,
    is_hidden: bool,
    rows: Vec<(u32, String)>,
    columns: BTreeMap<u32, Vec<String>>,
    warnings: &mut Vec<Warning>,
) {
    if is_hidden && !rows.is_empty() {
        let count = rows.len();
        let texts: Vec<String> = rows.into_iter().map(|(_, text)| text).collect();
        pages.hidden(texts.join("\n"), "hidden sheet");
        let message =
            format!("sheet \"{name}\" is hidden; its {count} rows are not read by the model");
        warnings.push(Warning::page(number, message));
        return;
    }
    let counts = (rows.len(), columns.len());
    for (row, text) in rows {
        pages.hidden(text, format!("hidden row {}", row + 1));
    }
    for (column, texts) in columns {
        pages.hidden(texts.join("\n"), format!("hidden column {}", column_name(column)));
    }
    if counts != (0, 0) {
        let message = format!(
            "sheet \"{name}\": {} hidden rows and {} hidden columns are not read by the model",
            counts.0, counts.1
        );
        warnings.push(Warning::page(number, message));
    }
}

/// A column (from 0) as spreadsheets call it: A … Z, AA ….
pub(super) fn column_name(column: u32) -> String {
    let mut name = Vec::new();
    let mut rest = column + 1;
    while rest > 0 {
        name.push(b'A' + ((rest - 1) % 26) as u8);
        rest = (rest - 1) / 26;
    }
    name.reverse();
    name.into_iter().map(char::from).collect()
}

/// A cell's value as it is displayed, dates in ISO 8601.
fn display(value: &DataRef<'_>, code: Option<&str>) -> String {
    match value {
        DataRef::Int(value) => number_format::number(*value as f64, code),
        DataRef::Float(value) => number_format::number(*value, code),
        DataRef::String(text) => text.clone(),
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Bool(value) => if *value { "TRUE" } else { "FALSE" }.to_owned(),
        DataRef::DateTime(value) => date(value),
        DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => iso(text),
        DataRef::Error(error) => error.to_string(),
        DataRef::Empty => String::new(),
    }
}

/// An ISO date without a midnight that nobody wrote.
pub(super) fn iso(text: &str) -> String {
    text.strip_suffix("T00:00:00").unwrap_or(text).to_owned()
}

fn date(value: &ExcelDateTime) -> String {
    let serial = value.as_f64();
    if value.is_duration() {
        let seconds = (serial * 86_400.0).round() as i64;
        let sign = if seconds < 0 { "-" } else { "" };
        let (hours, rest) = (seconds.abs() / 3600, seconds.abs() % 3600);
        return format!("{sign}{hours}:{:02}:{:02}", rest / 60, rest % 60);
    }
    let (year, month, day, hour, minute, second, milli) = value.to_ymd_hms_milli();
    let time = match (second, milli) {
        (0, 0) => format!("{hour:02}:{minute:02}"),
        _ => format!("{hour:02}:{minute:02}:{second:02}"),
    };
    match (serial < 1.0, hour == 0 && minute == 0 && second == 0) {
        (true, _) => time,
        (false, true) => format!("{year:04}-{month:02}-{day:02}"),
        (false, false) => format!("{year:04}-{month:02}-{day:02} {time}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_named_as_in_a_spreadsheet() {
        assert_eq!([0, 25, 26, 16_383].map(column_name), ["A", "Z", "AA", "XFD"]);
    }
}
