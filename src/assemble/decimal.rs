//! Decimal numbers of cells, exact: read as a sheet displays them, added and compared without a float.

use std::cmp::Ordering;
use std::fmt;

/// Digits after the point that are kept: of a mean, rounded half to even.
const SCALE_MAX: u32 = 12;

/// `mantissa` divided by ten to the `scale`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decimal {
    mantissa: i128,
    scale: u32,
}

/// How a column writes its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point {
    Dot,
    Comma,
}

impl Decimal {
    pub(super) const ZERO: Decimal = Decimal { mantissa: 0, scale: 0 };

    /// The number that a cell shows, a currency or percent sign aside; none where it shows something else,
    /// or more than 30 digits, or an exponent.
    pub(super) fn read(cell: &str, point: Point) -> Option<Decimal> {
        if !is_unit(&unit(cell)) {
            return None;
        }
        let bare = bare(cell);
        let (bare, negative) = match bare.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'))
        {
            Some(inside) => (inside.to_owned(), true),
            None => match bare.strip_suffix('-').or_else(|| bare.strip_prefix(['-', '−'])) {
                Some(rest) => (rest.to_owned(), true),
                None => (bare.strip_prefix('+').unwrap_or(&bare).to_owned(), false),
            },
        };
        let (decimal, grouping) = match point {
            Point::Dot => ('.', ','),
            Point::Comma => (',', '.'),
        };
        let (whole, part) = bare.split_once(decimal).unwrap_or((&bare, ""));
        let groups: Vec<&str> = whole.split([grouping, '\'', '’']).collect();
        let sound = groups[1..].iter().all(|group| group.len() == 3)
            && (groups.len() == 1 || (1..=3).contains(&groups[0].len()));
        let digits = groups.concat() + part;
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !sound || !plain || digits.len() > 30 {
            return None;
        }
        let mantissa: i128 = digits.parse().ok()?;
        let mantissa = if negative { -mantissa } else { mantissa };
        Some(Decimal { mantissa, scale: part.len() as u32 })
    }

    /// Whether it was written without a point.
    pub(super) fn is_whole(self) -> bool {
        self.scale == 0
    }

    /// The sum; none past 38 digits.
    pub(super) fn plus(self, other: Decimal) -> Option<Decimal> {
        let scale = self.scale.max(other.scale);
        let mantissa = self.at(scale)?.checked_add(other.at(scale)?)?;
        Some(Decimal { mantissa, scale })
    }

    pub(super) fn minus(self, other: Decimal) -> Option<Decimal> {
        self.plus(Decimal { mantissa: -other.mantissa, ..other })
    }

    pub(super) fn times(self, factor: i128) -> Option<Decimal> {
        Some(Decimal { mantissa: self.mantissa.checked_mul(factor)?, ..self })
    }

    /// The quotient with two digits more than this number has, rounded half to even.
    pub(super) fn over(self, count: u64) -> Option<Decimal> {
        let scale = (self.scale + 2).min(SCALE_MAX.max(self.scale));
        let (numerator, count) = (self.at(scale)?, i128::from(count));
        if count == 0 {
            return None;
        }
        let (whole, rest) = (numerator.div_euclid(count), numerator.rem_euclid(count));
        let up = match (2 * rest).cmp(&count) {
            Ordering::Greater => true,
            Ordering::Equal => whole % 2 != 0,
            Ordering::Less => false,
        };
        Some(Decimal { mantissa: whole + i128::from(up), scale })
    }

    /// The mantissa at a scale that is not smaller.
    fn at(self, scale: u32) -> Option<i128> {
        self.mantissa.checked_mul(10i128.checked_pow(scale - self.scale)?)
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Decimal) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Decimal) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Decimal) -> Ordering {
        let scale = self.scale.max(other.scale);
        match (self.at(scale), other.at(scale)) {
            (Some(a), Some(b)) => a.cmp(&b),
            // Only the one of smaller scale can be too large to be written at the other's.
            (None, _) => self.mantissa.cmp(&0),
            (_, None) => 0.cmp(&other.mantissa),
        }
    }
}

/// Plain digits with a dot: `-1072.63`; zeros at the end stay as the cells have them.
impl fmt::Display for Decimal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let digits = self.mantissa.unsigned_abs().to_string();
        let scale = self.scale as usize;
        let digits = format!("{digits:0>width$}", width = scale + 1);
        let (whole, part) = digits.split_at(digits.len() - scale);
        match part {
            "" => write!(out, "{sign}{whole}"),
            _ => write!(out, "{sign}{whole}.{part}"),
        }
    }
}

/// The cell's digits, signs and marks; blanks between digits part groups of them.
fn bare(cell: &str) -> String {
    let mut bare = String::new();
    let mut gap = false;
    for c in cell.chars() {
        if is_of_number(c) {
            if gap && c.is_ascii_digit() && bare.ends_with(|c: char| c.is_ascii_digit()) {
                bare.push('\'');
            }
            bare.push(c);
            gap = false;
        } else {
            gap |= c.is_whitespace();
        }
    }
    bare
}

/// What of a cell is not its number: the currency or the percent sign, if it is one.
pub(super) fn unit(cell: &str) -> String {
    cell.chars().filter(|c| !c.is_whitespace() && !is_of_number(*c)).collect()
}

/// A digit, or a mark or sign that a number is written with.
fn is_of_number(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, '.' | ',' | '\'' | '’' | '+' | '-' | '−' | '(' | ')')
}

fn is_unit(unit: &str) -> bool {
    matches!(unit, "" | "%" | "€" | "$" | "£" | "¥" | "US$")
        || unit.len() == 3 && unit.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// How the cells of a table write numbers, and whether they leave a doubt: where all of them could be read
/// both ways, the dot is taken for the point.
pub(super) fn point<'t>(cells: impl Iterator<Item = &'t str>) -> (Point, bool) {
    let (mut dot, mut comma, mut doubt) = (0u64, 0u64, false);
    for cell in cells {
        let bare = bare(cell);
        let marks = bare.chars().filter(|c| matches!(c, '.' | ','));
        let marks: Vec<char> = marks.collect();
        let Some(last) = marks.last().copied() else { continue };
        let after = bare.rsplit(last).next().unwrap_or("").trim_end_matches(['-', ')']).len();
        let other = if last == '.' { ',' } else { '.' };
        let once = marks.iter().filter(|mark| **mark == last).count() == 1;
        // The last of two marks is the point; a mark that repeats groups; of one mark the digits after it say.
        let decimal = match (marks.contains(&other), once, after) {
            (true, true, _) => last,
            (_, false, _) => other,
            (false, true, 3) => {
                doubt = true;
                continue;
            }
            _ => last,
        };
        if decimal == '.' { dot += 1 } else { comma += 1 }
    }
    match comma > dot {
        true => (Point::Comma, dot > 0),
        false => (Point::Dot, comma > 0 || dot == 0 && doubt),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_read_as_they_are_written() {
        let dot = |cell: &str| Decimal::read(cell, Point::Dot).map(|number| number.to_string());
        let comma = |cell: &str| Decimal::read(cell, Point::Comma).map(|number| number.to_string());
        assert_eq!(dot("184,500.50 €").as_deref(), Some("184500.50"));
        assert_eq!(dot("($1,000)").as_deref(), Some("-1000"));
        assert_eq!(dot("CHF 1'000.05").as_deref(), Some("1000.05"));
        assert_eq!(dot("-0.5 %").as_deref(), Some("-0.5"));
        assert_eq!(comma("-1.072,63").as_deref(), Some("-1072.63"));
        assert_eq!(comma("12,5-").as_deref(), Some("-12.5"));
        for wrong in ["1,00,000", "n/a", "", "1.2.3", "A4711B", "2024-05-01", "10:30", "49 30 1234"]
        {
            assert_eq!(dot(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_point_is_what_most_cells_can_only_mean() {
        assert_eq!(point(["1.072,63", "12,50"].into_iter()), (Point::Comma, false));
        assert_eq!(point(["1,072.63", "12"].into_iter()), (Point::Dot, false));
        assert_eq!(point(["1,000", "2,500"].into_iter()), (Point::Dot, true));
        assert_eq!(point(["1.000.000", "2"].into_iter()), (Point::Comma, false));
    }

    #[test]
    fn sums_are_exact_and_means_round_half_to_even() {
        let read = |cell: &str| Decimal::read(cell, Point::Dot).unwrap();
        let tenths = (0..10).try_fold(Decimal::ZERO, |sum, _| sum.plus(read("0.1")));
        assert_eq!(tenths.map(|sum| sum.to_string()).as_deref(), Some("1.0"));
        // python3: Decimal("2.00")/3 quantized to four digits is 0.6667; Decimal("-1")/8 at two is -0.12.
        assert_eq!(read("2.00").over(3).unwrap().to_string(), "0.6667");
        assert_eq!(read("-1").over(8).unwrap().to_string(), "-0.12");
        assert!(read("0.10") == read("0.1") && read("-2") < read("-1.99"));
    }
}
