//! Which rows and columns of a sheet are hidden: calamine reads over it, so the sheet's XML is asked.

use std::collections::BTreeMap;
use std::ops::Range;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::sheet::COLUMNS_MAX;

/// The hidden rows and columns of one sheet, from 0.
#[derive(Debug, Default)]
pub(super) struct HiddenLines {
    pub(super) rows: Lines,
    pub(super) columns: Lines,
}

/// Line numbers as ascending ranges that do not touch: few bytes of file can hide a million rows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lines(Vec<Range<u32>>);

impl Lines {
    pub(super) fn contains(&self, line: u32) -> bool {
        let after = self.0.partition_point(|range| range.start <= line);
        after > 0 && self.0[after - 1].end > line
    }

    pub(super) fn of(mut ranges: Vec<Range<u32>>) -> Lines {
        ranges.sort_by_key(|range| range.start);
        let mut lines: Vec<Range<u32>> = Vec::new();
        for range in ranges {
            match lines.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => lines.push(range),
            }
        }
        Lines(lines)
    }
}

/// The ranges of one sheet while they are found.
#[derive(Default)]
struct Found {
    rows: Vec<Range<u32>>,
    columns: Vec<Range<u32>>,
}

impl Found {
    fn finish(self) -> HiddenLines {
        HiddenLines { rows: Lines::of(self.rows), columns: Lines::of(self.columns) }
    }
}

/// What a worksheet part hides, be it by mark or by giving it no height or width.
pub(super) fn of_xlsx_sheet(part: &[u8]) -> HiddenLines {
    let mut found = Found::default();
    let mut next_row = 0;
    for_each_start(part, |start| match start.local_name().as_ref() {
        "row" => {
            let row = number(start, "r").map_or(next_row, |row| row.saturating_sub(1));
            next_row = row.saturating_add(1);
            if is_hidden(start, "ht") {
                found.rows.push(row..next_row);
            }
        }
        "col" if is_hidden(start, "width") => {
            if let (Some(min), Some(max)) = (number(start, "min"), number(start, "max")) {
                let max = max.min(COLUMNS_MAX);
                found.columns.push(min.saturating_sub(1).min(max)..max);
            }
        }
        _ => {}
    });
    found.finish()
}

/// What the tables of an ODS hide, by the name of the sheet.
pub(super) fn of_ods(content: &[u8]) -> BTreeMap<String, HiddenLines> {
    let mut sheets: BTreeMap<String, Found> = BTreeMap::new();
    let mut name = String::new();
    let (mut row, mut column) = (0u32, 0u32);
    for_each_start(content, |start| {
        let is_hidden =
            || matches!(attribute(start, "visibility").as_deref(), Some("collapse" | "filter"));
        match start.local_name().as_ref() {
            "table" => {
                name = attribute(start, "name").unwrap_or_default();
                (row, column) = (0, 0);
            }
            "table-row" => {
                let end = row.saturating_add(number(start, "number-rows-repeated").unwrap_or(1));
                if is_hidden() {
                    sheets.entry(name.clone()).or_default().rows.push(row..end);
                }
                row = end;
            }
            "table-column" => {
                let times = number(start, "number-columns-repeated").unwrap_or(1);
                let end = column.saturating_add(times);
                if is_hidden() {
                    sheets.entry(name.clone()).or_default().columns.push(column..end);
                }
                column = end;
            }
            _ => {}
        }
    });
    sheets.into_iter().map(|(name, found)| (name, found.finish())).collect()
}

/// Calls `visit` for each element's start. Damage ends it; the reader of the cells names it.
fn for_each_start(part: &[u8], mut visit: impl FnMut(&BytesStart<'_>)) {
    let text = String::from_utf8_lossy(part);
    let mut reader = Reader::from_str(&text);
    reader.config_mut().check_end_names = false;
    loop {
        match reader.read_event() {
            Ok(Event::Start(start) | Event::Empty(start)) => visit(&start),
            Ok(Event::Eof) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

fn is_hidden(start: &BytesStart<'_>, size: &str) -> bool {
    attribute(start, "hidden").is_some_and(|hidden| matches!(hidden.as_str(), "1" | "true"))
        || attribute(start, size).and_then(|size| size.parse::<f64>().ok()) == Some(0.0)
}

fn number(start: &BytesStart<'_>, name: &str) -> Option<u32> {
    attribute(start, name)?.parse().ok()
}

fn attribute(start: &BytesStart<'_>, name: &str) -> Option<String> {
    let mut attributes = start.attributes();
    let mut found = attributes.with_checks(false).flatten();
    let found = found.find(|attribute| attribute.key.local_name().as_ref() == name)?;
    let value = found.normalized_value(quick_xml::XmlVersion::Implicit1_0);
    Some(value.map_or_else(|_| found.value.to_string(), |value| value.into_owned()))
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]
mod tests {
    use super::*;

    #[test]
    fn hidden_lines_of_both_formats_are_found() {
        let part = "<worksheet><cols><col min='3' max='4' hidden='1'/></cols><sheetData>\
                    <row r='2' hidden='1'/><row ht='0'/><row/></sheetData></worksheet>";
        let hidden = of_xlsx_sheet(part.as_bytes());
        assert_eq!(hidden.columns, Lines::of(vec![2..4]));
        assert_eq!(hidden.rows, Lines::of(vec![1..3]));
        assert!(hidden.rows.contains(2) && !hidden.rows.contains(3) && !hidden.rows.contains(0));

        let content = "<t:table t:name='A &amp; B'><t:table-column t:number-columns-repeated='2'/>\
                       <t:table-column t:visibility='collapse'/><t:table-row/>\
                       <t:table-row t:visibility='filter' t:number-rows-repeated='9'/></t:table>";
        let hidden = of_ods(content.as_bytes()).remove("A & B").expect("the sheet");
        assert_eq!(hidden.columns, Lines::of(vec![2..3]));
        assert_eq!(hidden.rows, Lines::of(vec![1..10]));
    }
}
