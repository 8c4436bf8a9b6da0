//! What calamine does not hand on of XLS ([MS-XLS]) and XLSB ([MS-XLSB]): the number format of each
//! cell, and which rows and columns are hidden. Walks their records; the cells' values are calamine's.

use std::collections::BTreeMap;
use std::ops::Range;

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

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn utf16(bytes: &[u8]) -> String {
    let units: Vec<u16> = bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
    String::from_utf16_lossy(&units)
}

// ---- XLSB ----

/// Records of an XLSB part: type and content ([MS-XLSB] 2.1.4).
fn records(part: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let mut next = || {
            let byte = part.get(at).copied();
            at += 1;
            byte
        };
        let first = u16::from(next()?);
        let kind = if first & 0x80 != 0 { first & 0x7F | u16::from(next()?) << 7 } else { first };
        let mut length = 0usize;
        for shift in [0, 7, 14, 21] {
            let byte = next()?;
            length |= usize::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let content = part.get(at..at.checked_add(length)?)?;
        at += length;
        Some((kind, content))
    })
}

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
    let sheets = records(workbook).filter(|(kind, _)| *kind == 156);
    sheets.filter_map(|(_, content)| sheet(content)).collect()
}

/// The formats of an XLSB by its styles and its sheets' parts, none for one that is not there.
pub(super) fn of_xlsb(styles: &[u8], sheets: &[Option<Vec<u8>>]) -> BookFormats {
    let mut own = BTreeMap::new();
    let mut numbers = Vec::new();
    let mut in_cells = false;
    for (kind, content) in records(styles) {
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
        for (kind, content) in part.as_deref().map(records).into_iter().flatten() {
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

/// Records of an XLS stream from `at`: type and content ([MS-XLS] 2.1.4).
fn biff(stream: &[u8], mut at: usize) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (kind, length) = (u16_at(stream, at)?, usize::from(u16_at(stream, at + 2)?));
        let content = stream.get(at + 4..at + 4 + length)?;
        at += 4 + length;
        Some((kind, content))
    })
}

/// The formats of an XLS file; none where its container cannot be followed.
pub(super) fn of_xls(bytes: &[u8]) -> Option<BookFormats> {
    let stream = compound_stream(bytes, &["Workbook", "Book"])?;
    let mut own = BTreeMap::new();
    let mut numbers = Vec::new();
    let mut starts = Vec::new();
    let mut is_biff8 = true;
    for (kind, content) in biff(&stream, 0) {
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
    let sheets = starts.into_iter().map(|start| xls_sheet(&stream, start)).collect();
    Some(BookFormats { codes: codes(&numbers, &own), sheets })
}

fn format_record(content: &[u8], is_biff8: bool) -> Option<(u16, String)> {
    let number = u16_at(content, 0)?;
    if !is_biff8 {
        let length = usize::from(*content.get(2)?);
        let text = content.get(3..3 + length)?;
        return Some((number, text.iter().map(|b| char::from(*b)).collect()));
    }
    let (length, wide) = (usize::from(u16_at(content, 2)?), content.get(4)? & 1 != 0);
    let text = content.get(5..)?;
    Some((
        number,
        match wide {
            true => utf16(text.get(..2 * length)?),
            false => text.get(..length)?.iter().map(|b| char::from(*b)).collect(),
        },
    ))
}

fn xls_sheet(stream: &[u8], start: usize) -> SheetFormats {
    let mut walk = Walk::default();
    let mut depth = 0usize;
    for (kind, content) in biff(stream, start) {
        let word = |at: usize| u16_at(content, at).map(u32::from);
        match kind {
            0x0809 => depth += 1,
            0x000A => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    break;
                }
            }
            // Charts inside a sheet have records of their own.
            _ if depth > 1 => {}
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

/// The first of the streams `names` of an OLE2 file ([MS-CFB] 2). Every chain of sectors is followed no
/// further than the file is long.
fn compound_stream(bytes: &[u8], names: &[&str]) -> Option<Vec<u8>> {
    let shift = u32::from(u16_at(bytes, 30)?);
    if !matches!(shift, 9 | 12) {
        return None;
    }
    let size = 1usize << shift;
    let sector = |number: u32| {
        let start = (number as usize).checked_add(1)?.checked_mul(size)?;
        // The last sector of a file may be cut short.
        bytes.get(start..bytes.len().min(start.checked_add(size)?))
    };
    // The header names the first 109 sectors of the FAT, a chain the others.
    let mut fat_sectors: Vec<u32> = (0..109).filter_map(|n| u32_at(bytes, 76 + 4 * n)).collect();
    let mut next = u32_at(bytes, 68)?;
    let sectors_max = bytes.len() / size + 1;
    for _ in 0..sectors_max {
        let Some(more) = (next < 0xFFFF_FFF0).then(|| sector(next)).flatten() else { break };
        let count = size / 4 - 1;
        fat_sectors.extend((0..count).filter_map(|n| u32_at(more, 4 * n)));
        next = u32_at(more, size - 4)?;
    }
    fat_sectors.retain(|number| *number < 0xFFFF_FFF0);
    fat_sectors.truncate(sectors_max);
    let fat = |number: u32| {
        let per_sector = size / 4;
        let table = sector(*fat_sectors.get(number as usize / per_sector)?)?;
        u32_at(table, 4 * (number as usize % per_sector))
    };
    let chain = |first: u32| {
        let mut content = Vec::new();
        let mut number = first;
        for _ in 0..sectors_max {
            let Some(part) = (number < 0xFFFF_FFF0).then(|| sector(number)).flatten() else {
                break;
            };
            content.extend_from_slice(part);
            number = fat(number).unwrap_or(u32::MAX);
        }
        content
    };
    let directory = chain(u32_at(bytes, 48)?);
    let entry = |wanted: &str| {
        directory.chunks_exact(128).find(|entry| {
            let length = usize::from(u16::from_le_bytes([entry[64], entry[65]]));
            entry[66] == 2 && (2..=64).contains(&length) && utf16(&entry[..length - 2]) == wanted
        })
    };
    let entry = names.iter().find_map(|name| entry(name))?;
    let (first, length) = (u32_at(entry, 116)?, u32_at(entry, 120)? as usize);
    let mut content = if length >= u32_at(bytes, 56)? as usize {
        chain(first)
    } else {
        // Small streams lie in the root's stream, in sectors of 64 bytes with a FAT of their own.
        let small = chain(u32_at(directory.get(..128)?, 116)?);
        let small_fat = chain(u32_at(bytes, 60)?);
        let mut content = Vec::new();
        let mut number = first as usize;
        for _ in 0..small.len() / 64 + 1 {
            let Some(part) = number.checked_mul(64).and_then(|at| small.get(at..at + 64)) else {
                break;
            };
            content.extend_from_slice(part);
            number = u32_at(&small_fat, 4 * number).unwrap_or(u32::MAX) as usize;
        }
        content
    };
    content.truncate(length);
    Some(content)
}
