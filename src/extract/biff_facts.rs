//! What stands beside the cells of XLS and XLSB sheets: formulas and comments. Tables of what-if data and
//! references to columns by their names (XLSB) are not put in words, nor formulas of Excel 95 and before.

use std::collections::BTreeMap;

use super::biff::{Biff, Bytes, records8, records12, sheet_records8};
use super::formula::{Links, Parsed, SheetLink};
use super::ods::Comment;
use crate::base::limits::SHEET_FACTS_MAX;

/// Of one sheet.
#[derive(Debug, Default)]
pub(super) struct BiffFacts {
    /// Row and column of each cell, from 0, and its formula.
    pub(super) formulas: Vec<((u32, u32), String)>,
    /// Formulas that could not be put in words.
    pub(super) unread: usize,
    pub(super) comments: Vec<Comment>,
}

/// The formulas of a sheet while it is walked.
struct Formulas<'a> {
    biff: Biff,
    cells: Vec<((u32, u32), Parsed<'a>)>,
    last: Option<(u32, u32)>,
    /// Of ranges, by the first cell of each; whether it is one computation for all cells (an array).
    shared: BTreeMap<(u32, u32), (Parsed<'a>, bool)>,
}

impl<'a> Formulas<'a> {
    fn new(biff: Biff) -> Formulas<'a> {
        Formulas { biff, cells: Vec::new(), last: None, shared: BTreeMap::new() }
    }

    fn cell(&mut self, cell: (u32, u32), parsed: Option<Parsed<'a>>) {
        self.last = Some(cell);
        if self.cells.len() < SHEET_FACTS_MAX {
            self.cells.extend(parsed.map(|parsed| (cell, parsed)));
        }
    }

    /// Takes the formula of the range that begins at `first`; it stands after the cell that has it first.
    fn share(&mut self, first: (u32, u32), parsed: Option<Parsed<'a>>, is_array: bool) {
        let Some(parsed) = parsed else { return };
        for place in self.last.into_iter().chain([first]) {
            self.shared.insert(place, (parsed, is_array));
        }
    }

    fn finish(self, links: &Links) -> BiffFacts {
        let mut facts = BiffFacts::default();
        for (cell, parsed) in self.cells {
            let parsed = match parsed.shared_at(self.biff).map(|at| (at, self.shared.get(&at))) {
                None => Some(parsed),
                // An array is written into its first cell.
                Some((at, Some((_, true)))) if at != cell => continue,
                Some((_, shared)) => shared.map(|(parsed, _)| *parsed),
            };
            match parsed.and_then(|parsed| parsed.text(self.biff, links, cell)) {
                Some(text) => facts.formulas.push((cell, text)),
                None => facts.unread += 1,
            }
        }
        facts
    }
}

/// A name before the exclamation mark, in quotes where it would be read as something else without.
fn sheet_prefix(book: &str, first: &str, last: &str) -> String {
    let is_plain = |name: &str| {
        !name.starts_with(|c: char| c.is_ascii_digit() || c == '.')
            && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.')
            && !is_reference(name)
    };
    let names = if first == last { first.to_owned() } else { format!("{first}:{last}") };
    match is_plain(first) && is_plain(last) && !book.contains(['\'', ' ', '-']) {
        true => format!("{book}{names}!"),
        false => format!("'{}'!", format!("{book}{names}").replace('\'', "''")),
    }
}

/// Whether a sheet's name looks like a cell: "AB12", "R1C1".
fn is_reference(name: &str) -> bool {
    let letters = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let is_cell = (1..=3).contains(&letters.len())
        && letters.len() < name.len()
        && letters.chars().all(|c| c.is_ascii_alphabetic());
    let rest = name.trim_start_matches(['R', 'r', 'C', 'c']);
    is_cell || rest.chars().all(|c| c.is_ascii_digit() || matches!(c, 'C' | 'c'))
}

/// A workbook that references go to.
#[derive(Debug, Default)]
struct Book {
    /// What stands before the names of its sheets.
    prefix: String,
    /// None of this workbook, whose sheets are known elsewhere.
    sheets: Option<Vec<String>>,
    names: Vec<String>,
}

/// The links of a table of sheets: index of a book, first and last sheet each.
fn links(table: &[(u32, i32, i32)], books: &[Book], own: &[String], names: Vec<String>) -> Links {
    let link = |&(book, first, last): &(u32, i32, i32)| {
        let Some(book) = books.get(book as usize) else { return SheetLink::default() };
        let sheets = book.sheets.as_deref().unwrap_or(own);
        let sheet = |index: i32| sheets.get(usize::try_from(index).ok()?);
        let prefix = match (first, last) {
            (-2, _) => String::new(),
            _ => match (sheet(first), sheet(last)) {
                (Some(first), Some(last)) => sheet_prefix(&book.prefix, first, last),
                // A sheet that was deleted.
                _ => "#REF!".to_owned(),
            },
        };
        SheetLink { prefix, names: book.sheets.is_some().then(|| book.names.clone()) }
    };
    Links { sheets: table.iter().map(link).collect(), names }
}

// ---- XLS ----

/// What the formulas of an XLS workbook's stream point to, and where its sheets begin.
fn globals8(stream: &[u8]) -> Option<(Links, Vec<usize>)> {
    let (mut own, mut starts, mut names) = (Vec::new(), Vec::new(), Vec::new());
    let (mut books, mut table): (Vec<Book>, _) = (Vec::new(), Vec::new());
    for (kind, content) in records8(stream, 0) {
        let mut bytes = Bytes(content);
        match kind {
            0x0809 if bytes.u16() != Some(0x0600) => return None,
            // BoundSheet8.
            0x0085 => {
                starts.push(bytes.u32().map_or(usize::MAX, |start| start as usize));
                bytes.take(2);
                own.push(bytes.formula_text(Biff::Eight).unwrap_or_default());
            }
            // SupBook.
            0x01AE => books.push(book8(bytes).unwrap_or_default()),
            // ExternName: of the last book.
            0x0023 => {
                bytes.take(6);
                let name = bytes.formula_text(Biff::Eight).unwrap_or_default();
                if let Some(book) = books.last_mut() {
                    book.names.push(name);
                }
            }
            // ExternSheet.
            0x0017 => {
                bytes.take(2);
                while let (Some(book), Some(first), Some(last)) =
                    (bytes.u16(), bytes.u16(), bytes.u16())
                {
                    let sheet = |index: u16| i32::from(index.cast_signed());
                    table.push((u32::from(book), sheet(first), sheet(last)));
                }
            }
            // Lbl.
            0x0018 => names.push(name8(bytes).unwrap_or_default()),
            0x000A => break,
            _ => {}
        }
    }
    Some((links(&table, &books, &own, names), starts))
}

/// [MS-XLS] 2.4.271.
fn book8(mut bytes: Bytes<'_>) -> Option<Book> {
    let count = bytes.u16()?;
    let length = bytes.u16()?;
    match length {
        // This workbook.
        0x0401 => return Some(Book::default()),
        // Functions of add-ins.
        0x3A01 => return Some(Book { sheets: Some(Vec::new()), ..Book::default() }),
        _ => {}
    }
    let path = bytes.characters(usize::from(length))?;
    // Control characters stand for drives and folders ([MS-XLS] 2.5.277).
    let name = path.rsplit(|c: char| c < ' ' || matches!(c, '/' | '\\')).next().unwrap_or("");
    let sheets = (0..count).map_while(|_| bytes.text8()).collect();
    Some(Book { prefix: format!("[{name}]"), sheets: Some(sheets), ..Book::default() })
}

/// [MS-XLS] 2.4.150.
fn name8(mut bytes: Bytes<'_>) -> Option<String> {
    let flags = bytes.u16()?;
    bytes.u8()?;
    let length = usize::from(bytes.u8()?);
    bytes.take(10)?;
    let name = bytes.characters(length)?;
    Some(match (flags & 0x20 != 0, name.chars().next()) {
        (true, Some(number)) => (*BUILT_IN_NAMES.get(number as usize)?).to_owned(),
        _ => name,
    })
}

/// By their numbers ([MS-XLS] 2.5.66).
const BUILT_IN_NAMES: [&str; 14] = [
    "Consolidate_Area",
    "Auto_Open",
    "Auto_Close",
    "Extract",
    "Database",
    "Criteria",
    "Print_Area",
    "Print_Titles",
    "Recorder",
    "Data_Form",
    "Auto_Activate",
    "Auto_Deactivate",
    "Sheet_Title",
    "_FilterDatabase",
];

/// The facts of each sheet of an XLS workbook's stream, in its order; none of a format before BIFF8.
pub(super) fn of_xls(stream: &[u8]) -> Vec<BiffFacts> {
    let Some((links, starts)) = globals8(stream) else { return Vec::new() };
    starts.into_iter().map(|start| sheet8(stream, start, &links)).collect()
}

fn sheet8(stream: &[u8], start: usize, links: &Links) -> BiffFacts {
    let mut formulas = Formulas::new(Biff::Eight);
    let mut notes = Notes::default();
    for (kind, content) in sheet_records8(stream, start) {
        let mut bytes = Bytes(content);
        match kind {
            // Formula: row, column, style, value, flags, cache.
            0x0006 => {
                if let (Some(row), Some(column)) = (bytes.u16(), bytes.u16()) {
                    bytes.take(16);
                    formulas.cell((row.into(), column.into()), parsed8(bytes));
                }
            }
            // ShrFmla, Array: the range, then flags.
            0x04BC | 0x0221 => {
                let (row, _) = (bytes.u16(), bytes.u16());
                let (column, _) = (bytes.u8(), bytes.u8());
                bytes.take(if kind == 0x0221 { 6 } else { 2 });
                if let (Some(row), Some(column)) = (row, column) {
                    let first = (row.into(), column.into());
                    formulas.share(first, parsed8(bytes), kind == 0x0221);
                }
            }
            _ => {
                notes.record(kind, bytes);
            }
        }
    }
    BiffFacts { comments: notes.comments(), ..formulas.finish(links) }
}

fn parsed8(mut bytes: Bytes<'_>) -> Option<Parsed<'_>> {
    let length = usize::from(bytes.u16()?);
    Some(Parsed { tokens: bytes.take(length)?, beside: bytes.0 })
}

/// The comments of an XLS sheet while it is walked: what is said stands in a drawn box.
#[derive(Default)]
struct Notes {
    /// The number of the last drawn object.
    object: u16,
    /// Characters of its text that are to follow.
    missing: usize,
    texts: BTreeMap<u16, String>,
    /// Row, column, number of the box, author.
    places: Vec<(u32, u32, u16, String)>,
}

impl Notes {
    /// Takes one record; what is cut off is not read.
    fn record(&mut self, kind: u16, mut bytes: Bytes<'_>) -> Option<()> {
        match kind {
            // Obj: its first part has type and number.
            0x005D => {
                bytes.take(6)?;
                self.object = bytes.u16()?;
            }
            // TxO: the characters follow.
            0x01B6 => {
                bytes.take(10)?;
                self.missing = usize::from(bytes.u16()?);
            }
            // Continue.
            0x003C if self.missing > 0 => {
                let width = 1 + usize::from(bytes.0.first()? & 1);
                let length = self.missing.min((bytes.0.len() - 1) / width);
                self.missing -= length;
                let text = bytes.characters(length)?;
                self.texts.entry(self.object).or_default().push_str(&text);
            }
            // Note.
            0x001C if self.places.len() < SHEET_FACTS_MAX => {
                let (row, column, _) = (bytes.u16()?, bytes.u16()?, bytes.u16()?);
                let object = bytes.u16()?;
                let author = bytes.text8().unwrap_or_default();
                self.places.push((row.into(), column.into(), object, author));
            }
            _ => {}
        }
        Some(())
    }

    fn comments(mut self) -> Vec<Comment> {
        let texts = &mut self.texts;
        let comment = |(row, column, object, author)| {
            let text = texts.remove(&object)?.replace('\r', "\n").trim().to_owned();
            let comment = Comment { row, column, author, date: String::new(), text };
            (!comment.text.is_empty()).then_some(comment)
        };
        self.places.into_iter().filter_map(comment).collect()
    }
}

// ---- XLSB ----

/// What the formulas of `xl/workbook.bin` point to; `part` gives the part of another workbook by its relation.
pub(super) fn links_of_xlsb(
    workbook: &[u8],
    mut part: impl FnMut(&str) -> Option<Vec<u8>>,
) -> Links {
    let (mut own, mut names) = (Vec::new(), Vec::new());
    let (mut books, mut table): (Vec<Book>, _) = (Vec::new(), Vec::new());
    for (kind, content) in records12(workbook) {
        let mut bytes = Bytes(content);
        match kind {
            // BrtBundleSh: state, id, relation, name.
            156 => {
                bytes.take(8);
                bytes.text12();
                own.push(bytes.text12().unwrap_or_default());
            }
            // BrtName: flags, key, scope, name.
            39 => {
                bytes.take(9);
                let name = bytes.text12().unwrap_or_default();
                names.push(name.strip_prefix("_xlnm.").unwrap_or(&name).to_owned());
            }
            // BrtSupSelf, BrtSupSame, BrtSupAddin.
            357 | 358 => books.push(Book::default()),
            667 => books.push(Book { sheets: Some(Vec::new()), ..Book::default() }),
            // BrtSupBookSrc.
            355 => {
                let other = bytes.text12().and_then(|relation| part(&relation));
                let number = books.iter().filter(|book| !book.prefix.is_empty()).count() + 1;
                books.push(book12(number, &other.unwrap_or_default()));
            }
            // BrtExternSheet.
            362 => {
                bytes.take(4);
                while let (Some(book), Some(first), Some(last)) =
                    (bytes.u32(), bytes.u32(), bytes.u32())
                {
                    table.push((book, first.cast_signed(), last.cast_signed()));
                }
            }
            _ => {}
        }
    }
    links(&table, &books, &own, names)
}

/// Another workbook, called by its number as XLSX does.
fn book12(number: usize, part: &[u8]) -> Book {
    let (mut sheets, mut names) = (Vec::new(), Vec::new());
    for (kind, content) in records12(part) {
        let mut bytes = Bytes(content);
        match kind {
            // BrtSupTabs.
            359 => {
                bytes.take(4);
                sheets.extend(std::iter::from_fn(|| bytes.text12()));
            }
            // BrtSupNameStart.
            577 => names.extend(bytes.text12()),
            _ => {}
        }
    }
    Book { prefix: format!("[{number}]"), sheets: Some(sheets), names }
}

/// The facts of a sheet's part of an XLSB; its comments stand in a part of their own.
pub(super) fn of_xlsb_sheet(part: &[u8], links: &Links) -> BiffFacts {
    let mut formulas = Formulas::new(Biff::Twelve);
    let mut row = 0;
    for (kind, content) in records12(part) {
        let mut bytes = Bytes(content);
        match kind {
            // BrtRowHdr.
            0 => row = bytes.u32().unwrap_or(row),
            // BrtFmlaString, BrtFmlaNum, BrtFmlaBool, BrtFmlaError: column, style, value, flags.
            8..=11 => {
                let Some(column) = bytes.u32() else { continue };
                bytes.take(4);
                if kind == 8 {
                    bytes.text12();
                } else {
                    bytes.take(if kind == 9 { 8 } else { 1 });
                }
                bytes.take(2);
                formulas.cell((row, column), parsed12(bytes));
            }
            // BrtArrFmla, BrtShrFmla: the range, and flags of an array.
            426 | 427 => {
                let (first_row, _) = (bytes.u32(), bytes.u32());
                let (first_column, _) = (bytes.u32(), bytes.u32());
                bytes.take(if kind == 426 { 1 } else { 0 });
                if let (Some(row), Some(column)) = (first_row, first_column) {
                    formulas.share((row, column), parsed12(bytes), kind == 426);
                }
            }
            _ => {}
        }
    }
    formulas.finish(links)
}

fn parsed12(mut bytes: Bytes<'_>) -> Option<Parsed<'_>> {
    let length = usize::try_from(bytes.u32()?).ok()?;
    let tokens = bytes.take(length)?;
    let length = usize::try_from(bytes.u32()?).ok()?;
    Some(Parsed { tokens, beside: bytes.take(length)? })
}

/// The comments of a part of comments of an XLSB ([MS-XLSB] 2.1.7.9).
pub(super) fn comments_of_xlsb(part: &[u8]) -> Vec<Comment> {
    let mut authors = Vec::new();
    let mut comments: Vec<Comment> = Vec::new();
    for (kind, content) in records12(part) {
        let mut bytes = Bytes(content);
        match kind {
            // BrtCommentAuthor.
            632 => authors.push(bytes.text12().unwrap_or_default()),
            // BrtBeginComment: the author's number, the range.
            635 if comments.len() < SHEET_FACTS_MAX => {
                let author = bytes.u32().and_then(|author| authors.get(author as usize));
                let (row, _) = (bytes.u32(), bytes.u32());
                if let (Some(row), Some(column)) = (row, bytes.u32()) {
                    let author = author.cloned().unwrap_or_default();
                    let (date, text) = (String::new(), String::new());
                    comments.push(Comment { row, column, author, date, text });
                }
            }
            // BrtCommentText: flags, text.
            637 => {
                bytes.u8();
                if let (Some(text), Some(comment)) = (bytes.text12(), comments.last_mut()) {
                    comment.text = text.trim().to_owned();
                }
            }
            _ => {}
        }
    }
    comments.retain(|comment| !comment.text.is_empty());
    comments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_sheet_stands_in_quotes_where_it_could_be_something_else() {
        let prefix = |first, last| sheet_prefix("", first, last);
        assert_eq!(prefix("Kosten", "Kosten"), "Kosten!");
        assert_eq!(prefix("Q1", "Q1"), "'Q1'!");
        assert_eq!(prefix("Ann's", "Ann's"), "'Ann''s'!");
        assert_eq!(prefix("Jan", "Mar"), "Jan:Mar!");
        assert_eq!(sheet_prefix("[other book.xls]", "A_", "A_"), "'[other book.xls]A_'!");
    }
}
