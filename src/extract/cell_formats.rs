//! What calamine does not hand on of XLS ([MS-XLS]) and XLSB ([MS-XLSB]): the number format of each
//! cell, and which rows and columns are hidden. Walks their records; the cells' values are calamine's.

use std::collections::BTreeMap;
use std::ops::Range;

use super::biff::{self, Bytes, u16_at, u32_at, utf16};
use super::hidden_lines::{HiddenLines, Lines};

/// Of one sheet.
#[derive(Debug, Default)]
pub(super) struct SheetFormats {
    pub(super) hidden: HiddenLines,
    /// Row, column and the cell's index of styles; ascending.
    styles: Vec<(u32, u32, u32)>,
}

impl SheetFormats {
    pub(super) fn style(&self, row: u32, column: u32) -> Option<usize> {
        let at = self.styles.binary_search_by_key(&(row, column), |&(r, c, _)| (r, c)).ok()?;
        Some(self.styles[at].2 as usize)
    }
}

/// Of one workbook.
#[derive(Debug, Default)]
pub(super) struct BookFormats {
    /// The format code of each index of styles.
    codes: Vec<Option<String>>,
    /// By the sheet's place in the workbook.
    pub(super) sheets: Vec<SheetFormats>,
}

impl BookFormats {
    pub(super) fn code(&self, sheet: usize, row: u32, column: u32) -> Option<&str> {
        let style = self.sheets.get(sheet)?.style(row, column)?;
        self.codes.get(style)?.as_deref()
    }
}

/// A sheet while it is walked.
#[derive(Default)]
struct Walk {
    rows: Vec<Range<u32>>,
    columns: Vec<Range<u32>>,
    styles: Vec<(u32, u32, u32)>,
}

impl Walk {
    fn finish(mut self) -> SheetFormats {
        self.styles.sort_unstable();
        let hidden = HiddenLines { rows: Lines::of(self.rows), columns: Lines::of(self.columns) };
        SheetFormats { hidden, styles: self.styles }
    }

    fn columns(&mut self, first: u32, last: u32) {
        if first <= last {
            self.columns.push(first..last.saturating_add(1));
        }
    }
}

/// The formats that have a number and no record (ECMA-376 part 1, 18.8.30), but those of dates:
/// calamine knows these.
fn built_in(number: u16) -> Option<&'static str> {
    Some(match number {
        1 => "0",
        2 => "0.00",
        3 => "#,##0",
        4 => "#,##0.00",
        5 | 6 => "$#,##0;-$#,##0",
        7 | 8 => "$#,##0.00;-$#,##0.00",
        9 => "0%",
        10 => "0.00%",
        37 | 38 => "#,##0;(#,##0)",
        39 | 40 => "#,##0.00;(#,##0.00)",
        _ => return None,
    })
}

fn codes(numbers: &[u16], own: &BTreeMap<u16, String>) -> Vec<Option<String>> {
    let code =
        |number: &u16| own.get(number).cloned().or_else(|| built_in(*number).map(str::to_owned));
    numbers.iter().map(code).collect()
}

// ---- XLSB ----

/// Names and relations of the sheets of `xl/workbook.bin`, in order.
pub(super) fn xlsb_sheets(workbook: &[u8]) -> Vec<(String, String)> {
    let sheet = |content: &[u8]| {
        // BrtBundleSh: state and id, then the relation and the name, each with its length before it.
        let text = |at: usize| {
            let length = usize::try_from(u32_at(content, at)?).ok()?.checked_mul(2)?;
            let end = at.checked_add(4 + length)?;
            Some((utf16(content.get(at + 4..end)?), end))
        };
        let (relation, end) = text(8)?;
        let (name, _) = text(end)?;
        Some((name, relation))
    };
    let sheets = biff::records12(workbook).filter(|(kind, _)| *kind == 156);
    sheets.filter_map(|(_, content)| sheet(content)).collect()
}

/// The formats of an XLSB by its styles and its sheets' parts, none for one that is not there.
pub(super) fn of_xlsb(styles: &[u8], sheets: &[Option<Vec<u8>>]) -> BookFormats {
    let mut own = BTreeMap::new();
    let mut numbers = Vec::new();
    let mut in_cells = false;
    for (kind, content) in biff::records12(styles) {
        match kind {
            44 => {
                // BrtFmt: number, length, text.
                if let (Some(number), Some(length)) = (u16_at(content, 0), u32_at(content, 2)) {
                    let end = (length as usize).saturating_mul(2).saturating_add(6);
                    own.insert(number, utf16(content.get(6..end).unwrap_or_default()));
                }
            }
            617 => in_cells = true,
            618 => in_cells = false,
            47 if in_cells => numbers.push(u16_at(content, 2).unwrap_or(0)),
            _ => {}
        }
    }
    let sheet = |part: &Option<Vec<u8>>| {
        let mut walk = Walk::default();
        let mut row = 0;
        for (kind, content) in part.as_deref().map(biff::records12).into_iter().flatten() {
            match kind {
                // BrtRowHdr.
                0 => {
                    row = u32_at(content, 0).unwrap_or(row);
                    if content.get(11).is_some_and(|flags| flags & 0x10 != 0) {
                        walk.rows.push(row..row.saturating_add(1));
                    }
                }
                // Cells: column, then three bytes of style.
                1..=11 => {
                    if let (Some(column), Some(style)) = (u32_at(content, 0), u32_at(content, 4)) {
                        walk.styles.push((row, column, style & 0x00FF_FFFF));
                    }
                }
                // BrtColInfo.
                60 => {
                    let hidden = u16_at(content, 16).is_some_and(|flags| flags & 1 != 0)
                        || u32_at(content, 8) == Some(0);
                    if let (true, Some(first), Some(last)) =
                        (hidden, u32_at(content, 0), u32_at(content, 4))
                    {
                        walk.columns(first, last);
                    }
                }
                _ => {}
            }
        }
        walk.finish()
    };
    BookFormats { codes: codes(&numbers, &own), sheets: sheets.iter().map(sheet).collect() }
}

// ---- XLS ----

/// The formats of the workbook's stream of an XLS file.
pub(super) fn of_xls(stream: &[u8]) -> BookFormats {
    let mut own = BTreeMap::new();
    let mut numbers = Vec::new();
    let mut starts = Vec::new();
    let mut is_biff8 = true;
    for (kind, content) in biff::records8(stream, 0) {
        match kind {
            0x0809 => is_biff8 = u16_at(content, 0) == Some(0x0600),
            0x041E => {
                if let Some((number, code)) = format_record(content, is_biff8) {
                    own.insert(number, code);
                }
            }
            0x00E0 => numbers.push(u16_at(content, 2).unwrap_or(0)),
            0x0085 => starts.push(u32_at(content, 0).unwrap_or(u32::MAX) as usize),
            0x000A => break,
            _ => {}
        }
    }
    let sheets = starts.into_iter().map(|start| xls_sheet(stream, start)).collect();
    BookFormats { codes: codes(&numbers, &own), sheets }
}

fn format_record(content: &[u8], is_biff8: bool) -> Option<(u16, String)> {
    let number = u16_at(content, 0)?;
    if !is_biff8 {
        let length = usize::from(*content.get(2)?);
        let text = content.get(3..3 + length)?;
        return Some((number, text.iter().map(|b| char::from(*b)).collect()));
    }
    Some((number, Bytes(content.get(2..)?).text8()?))
}

fn xls_sheet(stream: &[u8], start: usize) -> SheetFormats {
    let mut walk = Walk::default();
    for (kind, content) in biff::sheet_records8(stream, start) {
        let word = |at: usize| u16_at(content, at).map(u32::from);
        match kind {
            // Row: its height is zero.
            0x0208 => {
                if let (Some(row), Some(flags)) = (word(0), word(12))
                    && flags & 0x20 != 0
                {
                    walk.rows.push(row..row + 1);
                }
            }
            // ColInfo.
            0x007D => {
                let hidden = word(8).is_some_and(|flags| flags & 1 != 0) || word(4) == Some(0);
                if let (true, Some(first), Some(last)) = (hidden, word(0), word(2)) {
                    walk.columns(first, last);
                }
            }
            // Number, RK, Formula.
            0x0203 | 0x027E | 0x0006 => {
                if let (Some(row), Some(column), Some(style)) = (word(0), word(2), word(4)) {
                    walk.styles.push((row, column, style));
                }
            }
            // MulRk: a run of cells, six bytes each.
            0x00BD => {
                let (Some(row), Some(first)) = (word(0), word(2)) else { continue };
                let cells = content.len().saturating_sub(6) / 6;
                for cell in 0..cells {
                    if let Some(style) = word(4 + 6 * cell) {
                        walk.styles.push((row, first + cell as u32, style));
                    }
                }
            }
            _ => {}
        }
    }
    walk.finish()
}
