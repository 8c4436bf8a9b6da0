//! Formulas of XLS and XLSB as they are written into their cells: the parsed expressions of [MS-XLS] 2.5.198
//! and [MS-XLSB] 2.5.97 back in words. What they point to by number is given in `Links`.

use super::biff::{Biff, Bytes};
use super::functions::{self, NAMED};
use super::number_format;
use super::sheet::column_name;
use crate::base::limits::{FORMULA_BYTES_MAX, FORMULA_NESTING_MAX};

/// What the formulas of one workbook point to by number.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// By the index of the table of sheets.
    pub(super) sheets: Vec<SheetLink>,
    /// Names that the workbook defines.
    pub(super) names: Vec<String>,
}

/// One or several sheets, here or in another workbook.
#[derive(Debug, Default)]
pub(super) struct SheetLink {
    /// As it stands before a reference, with the exclamation mark; empty for a link to no sheet.
    pub(super) prefix: String,
    /// Names of the other workbook or add-in; none where they are this workbook's.
    pub(super) names: Option<Vec<String>>,
}

/// A parsed expression.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parsed<'a> {
    pub(super) tokens: &'a [u8],
    /// What stands after the tokens: array constants.
    pub(super) beside: &'a [u8],
}

impl Parsed<'_> {
    /// The cell that has the formula (row, column from 0), where this is only a pointer to it.
    pub(super) fn shared_at(&self, biff: Biff) -> Option<(u32, u32)> {
        let (mut tokens, mut beside) = (Bytes(self.tokens), Bytes(self.beside));
        if tokens.u8()? != 0x01 {
            return None;
        }
        let row = tokens.row(biff)?;
        let column = match biff {
            Biff::Eight => u32::from(tokens.u16()?),
            Biff::Twelve => beside.u32()?,
        };
        Some((row, column))
    }

    /// The expression as the cell (row, column from 0) has it; none where a part of it is damaged or not known.
    pub(super) fn text(self, biff: Biff, links: &Links, cell: (u32, u32)) -> Option<String> {
        let mut reader = Reader {
            biff,
            links,
            cell,
            tokens: Bytes(self.tokens),
            beside: Bytes(self.beside),
            operands: Vec::new(),
        };
        while !reader.tokens.0.is_empty() {
            reader.token()?;
            let last = reader.operands.last();
            let fits = |operand: &Operand| {
                operand.text.len() <= FORMULA_BYTES_MAX && operand.nesting <= FORMULA_NESTING_MAX
            };
            if !last.is_none_or(fits) {
                return None;
            }
        }
        let operand = reader.operands.pop()?;
        reader.operands.is_empty().then_some(operand.text)
    }
}

/// A part of an expression in words.
struct Operand {
    text: String,
    /// How often its inmost part was copied into a longer one.
    nesting: usize,
}

struct Reader<'a> {
    biff: Biff,
    links: &'a Links,
    cell: (u32, u32),
    tokens: Bytes<'a>,
    beside: Bytes<'a>,
    operands: Vec<Operand>,
}

impl<'a> Reader<'a> {
    /// Reads one token; none where it is damaged or not known.
    fn token(&mut self) -> Option<()> {
        let token = self.tokens.u8()?;
        // Bits 5 and 6 say what class of value is wanted of an operand.
        let kind = if token & 0x60 == 0 { token } else { token & 0x1F | 0x20 };
        let (wide, cells) = (self.biff == Biff::Twelve, self.biff.row_bytes());
        match kind {
            0x03..=0x11 => self.binary(OPERATORS[usize::from(kind - 0x03)])?,
            0x12 => self.wrap("+", "")?,
            0x13 => self.wrap("-", "")?,
            0x14 => self.wrap("", "%")?,
            0x15 => self.wrap("(", ")")?,
            0x16 => self.push(String::new()),
            0x17 => {
                let text = self.tokens.formula_text(self.biff)?;
                self.push(quoted(&text));
            }
            0x19 => self.attribute()?,
            0x1C => {
                let error = error(self.tokens.u8()?)?;
                self.push(error.to_owned());
            }
            0x1D => {
                let value = boolean(self.tokens.u8()?);
                self.push(value.to_owned());
            }
            0x1E => {
                let value = self.tokens.u16()?;
                self.push(value.to_string());
            }
            0x1F => {
                let value = self.tokens.f64()?;
                self.push(number(value));
            }
            0x20 => {
                self.tokens.take(if wide { 14 } else { 7 })?;
                let array = self.array()?;
                self.push(array);
            }
            0x21 => {
                let (name, count) = functions::function(self.tokens.u16()?)?;
                self.call(name, count?)?;
            }
            0x22 => {
                let count = usize::from(self.tokens.u8()? & 0x7F);
                let number = self.tokens.u16()?;
                if number == NAMED {
                    let name = self.operands.len().checked_sub(count)?;
                    let name = self.operands.get(name)?.text.clone();
                    self.call(&name, count.checked_sub(1)?)?;
                    let call = self.operands.pop()?;
                    self.operands.pop()?;
                    self.operands.push(call);
                } else {
                    self.call(functions::function(number)?.0, count)?;
                }
            }
            0x23 => {
                let name = self.links.names.get((self.tokens.u32()? as usize).checked_sub(1)?)?;
                self.push(name.clone());
            }
            0x24 | 0x2C => {
                let place = self.place(kind == 0x2C)?;
                self.push(place);
            }
            0x25 | 0x2D => {
                let area = self.area(kind == 0x2D)?;
                self.push(area);
            }
            // A reference that was computed before: what it was computed from follows.
            0x26 => {
                self.tokens.take(6)?;
                let areas = if wide {
                    16usize.checked_mul(self.beside.u32()? as usize)?
                } else {
                    8 * usize::from(self.beside.u16()?)
                };
                self.beside.take(areas)?;
            }
            0x27 | 0x28 => {
                self.tokens.take(6)?;
            }
            0x29 => {
                self.tokens.take(2)?;
            }
            0x2A => {
                self.tokens.take(cells + 2)?;
                self.push("#REF!".to_owned());
            }
            0x2B => {
                self.tokens.take(2 * cells + 4)?;
                self.push("#REF!".to_owned());
            }
            0x39 => {
                let link = self.link()?;
                let name = (self.tokens.u32()? as usize).checked_sub(1)?;
                let name = link.names.as_ref().unwrap_or(&self.links.names).get(name)?;
                self.push(name.clone());
            }
            0x3A => {
                let sheets = &self.link()?.prefix;
                let place = self.place(false)?;
                self.push(format!("{sheets}{place}"));
            }
            0x3B => {
                let sheets = &self.link()?.prefix;
                let area = self.area(false)?;
                self.push(format!("{sheets}{area}"));
            }
            0x3C | 0x3D => {
                let sheets = &self.link()?.prefix;
                self.tokens.take(if kind == 0x3C { cells + 2 } else { 2 * cells + 4 })?;
                self.push(format!("{sheets}#REF!"));
            }
            _ => return None,
        }
        Some(())
    }

    fn push(&mut self, text: String) {
        self.operands.push(Operand { text, nesting: 0 });
    }

    fn binary(&mut self, operator: &str) -> Option<()> {
        let right = self.operands.pop()?;
        let left = self.operands.last_mut()?;
        left.text.push_str(operator);
        left.text.push_str(&right.text);
        left.nesting = left.nesting.max(right.nesting + 1);
        Some(())
    }

    fn wrap(&mut self, before: &str, after: &str) -> Option<()> {
        let operand = self.operands.last_mut()?;
        if !before.is_empty() {
            operand.text.insert_str(0, before);
            operand.nesting += 1;
        }
        operand.text.push_str(after);
        Some(())
    }

    /// Puts the last `count` operands into a call of `name`.
    fn call(&mut self, name: &str, count: usize) -> Option<()> {
        let first = self.operands.len().checked_sub(count)?;
        let arguments = self.operands.split_off(first);
        let nesting = arguments.iter().map(|operand| operand.nesting + 1).max().unwrap_or(0);
        let texts: Vec<&str> = arguments.iter().map(|operand| &*operand.text).collect();
        // Functions that came after the format have a name with a mark that is not shown.
        let name = name.strip_prefix("_xlfn.").unwrap_or(name);
        let name = name.strip_prefix("_xlws.").unwrap_or(name);
        self.operands.push(Operand { text: format!("{name}({})", texts.join(",")), nesting });
        Some(())
    }

    /// What steers the computation and the look of a formula; of these only a sum is to be seen.
    fn attribute(&mut self) -> Option<()> {
        let kind = self.tokens.u8()?;
        let word = self.tokens.u16()?;
        match kind {
            0x04 => {
                self.tokens.take(2 * (usize::from(word) + 1))?;
            }
            0x10 => self.call("SUM", 1)?,
            _ => {}
        }
        Some(())
    }

    fn link(&mut self) -> Option<&'a SheetLink> {
        self.links.sheets.get(usize::from(self.tokens.u16()?))
    }

    /// A cell; `relative` where it is counted from the cell that has the formula.
    fn place(&mut self, relative: bool) -> Option<String> {
        let (row, column) = (self.tokens.row(self.biff)?, self.tokens.u16()?);
        let line = self.line(row, column, relative);
        Some(format!("{}{}", line.column(), line.row()))
    }

    fn area(&mut self, relative: bool) -> Option<String> {
        let rows = (self.tokens.row(self.biff)?, self.tokens.row(self.biff)?);
        let columns = (self.tokens.u16()?, self.tokens.u16()?);
        let from = self.line(rows.0, columns.0, relative);
        let to = self.line(rows.1, columns.1, relative);
        let is_all = |first: u32, last: u32, count: u32| first == 0 && last == count - 1;
        let (rows, columns) = self.biff.grid();
        Some(if is_all(from.row, to.row, rows) {
            format!("{}:{}", from.column(), to.column())
        } else if is_all(from.column, to.column, columns) {
            format!("{}:{}", from.row(), to.row())
        } else {
            format!("{}{}:{}{}", from.column(), from.row(), to.column(), to.row())
        })
    }

    /// The two upper bits of a column say whether it and the row are relative.
    fn line(&self, row: u32, column: u16, relative: bool) -> Place {
        let (fixed_column, fixed_row) = (column & 0x4000 == 0, column & 0x8000 == 0);
        let (rows, columns) = self.biff.grid();
        let from = |fixed: bool, base: u32| if relative && !fixed { base } else { 0 };
        // Both counts are powers of two: what is counted backwards comes out right.
        let row = row.wrapping_add(from(fixed_row, self.cell.0)) % rows;
        let column =
            u32::from(column & 0x3FFF).wrapping_add(from(fixed_column, self.cell.1)) % columns;
        Place { row, column, fixed_row, fixed_column }
    }

    /// An array constant, from beside the tokens ([MS-XLS] 2.5.198.59, [MS-XLSB] 2.5.97.67).
    fn array(&mut self) -> Option<String> {
        let wide = self.biff == Biff::Twelve;
        let beside = &mut self.beside;
        let (rows, columns) = if wide {
            (beside.u32()?, beside.u32()?)
        } else {
            let columns = u32::from(beside.u8()?) + 1;
            (u32::from(beside.u16()?) + 1, columns)
        };
        if columns == 0 {
            return None;
        }
        let mut text = "{".to_owned();
        for row in 0..rows {
            for column in 0..columns {
                text.push_str(match (row, column) {
                    (0, 0) => "",
                    (_, 0) => ";",
                    _ => ",",
                });
                let kind = beside.u8()?;
                match kind {
                    0x00 if wide => text.push_str(&number(beside.f64()?)),
                    0x00 => {
                        beside.take(8)?;
                    }
                    0x01 if wide => text.push_str(&quoted(&beside.formula_text(self.biff)?)),
                    0x01 => text.push_str(&number(beside.f64()?)),
                    0x02 if wide => text.push_str(boolean(beside.u8()?)),
                    0x02 => text.push_str(&quoted(&beside.text8()?)),
                    0x04 if wide => {
                        text.push_str(error(beside.u8()?)?);
                        beside.take(3)?;
                    }
                    0x04 => {
                        text.push_str(boolean(beside.u8()?));
                        beside.take(7)?;
                    }
                    0x10 if !wide => {
                        text.push_str(error(beside.u8()?)?);
                        beside.take(7)?;
                    }
                    _ => return None,
                }
                if text.len() > FORMULA_BYTES_MAX {
                    return None;
                }
            }
        }
        text.push('}');
        Some(text)
    }
}

/// A cell, from 0; what is fixed keeps its place where the formula is copied.
struct Place {
    row: u32,
    column: u32,
    fixed_row: bool,
    fixed_column: bool,
}

impl Place {
    fn column(&self) -> String {
        format!("{}{}", if self.fixed_column { "$" } else { "" }, column_name(self.column))
    }

    fn row(&self) -> String {
        format!("{}{}", if self.fixed_row { "$" } else { "" }, self.row + 1)
    }
}

/// By their tokens, from 0x03.
const OPERATORS: [&str; 15] =
    ["+", "-", "*", "/", "^", "&", "<", "<=", "=", ">=", ">", "<>", " ", ",", ":"];

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

fn boolean(byte: u8) -> &'static str {
    if byte == 0 { "FALSE" } else { "TRUE" }
}

fn number(value: f64) -> String {
    number_format::number(value, None).to_uppercase()
}

/// [MS-XLS] 2.5.10.
fn error(code: u8) -> Option<&'static str> {
    Some(match code {
        0x00 => "#NULL!",
        0x07 => "#DIV/0!",
        0x0F => "#VALUE!",
        0x17 => "#REF!",
        0x1D => "#NAME?",
        0x24 => "#NUM!",
        0x2A => "#N/A",
        0x2B => "#GETTING_DATA",
        _ => return None,
    })
}
