//! Page labels: what a page is called in print, "iv" or "A-3" (ISO 32000-2, 12.4.2).

use hayro_interpret::hayro_syntax::Pdf;
use hayro_interpret::hayro_syntax::object::{Array, Dict, Name, Object, String as PdfString};

use super::properties::text_string;
use crate::extract::docx::format_number;

/// Nodes deeper than this in a number tree are damage.
const DEPTH_MAX: usize = 16;

/// How the pages from one on are numbered.
struct Numbering {
    style: Option<char>,
    prefix: String,
    start: u32,
}

/// A label for each page; none where the file has none.
pub(super) fn page_labels(pdf: &Pdf) -> Vec<String> {
    let tree = pdf
        .xref()
        .get::<Dict<'_>>(pdf.xref().root_id())
        .and_then(|catalog| catalog.get::<Dict<'_>>("PageLabels"));
    let Some(tree) = tree else { return Vec::new() };
    let mut ranges = Vec::new();
    collect(&tree, 0, &mut ranges);
    ranges.sort_by_key(|(from, _)| *from);
    (0..pdf.pages().len())
        .map(|page| {
            let range = ranges.iter().rev().find(|(from, _)| *from <= page);
            let label = range.map(|(from, numbering)| label(numbering, (page - from) as u32));
            // A page without a name is called by its number.
            label.filter(|label| !label.is_empty()).unwrap_or_else(|| (page + 1).to_string())
        })
        .collect()
}

fn collect(node: &Dict<'_>, depth: usize, ranges: &mut Vec<(usize, Numbering)>) {
    if depth > DEPTH_MAX {
        return;
    }
    if let Some(pairs) = node.get::<Array<'_>>("Nums") {
        let mut entries = pairs.iter::<Object<'_>>();
        while let (Some(from), Some(entry)) = (entries.next(), entries.next()) {
            if let (Some(from), Some(entry)) = (from.into_i32(), entry.into_dict()) {
                ranges.push((usize::try_from(from).unwrap_or(0), numbering(&entry)));
            }
        }
    }
    for kid in node.get::<Array<'_>>("Kids").into_iter().flat_map(|kids| kids.iter::<Dict<'_>>()) {
        collect(&kid, depth + 1, ranges);
    }
}

fn numbering(entry: &Dict<'_>) -> Numbering {
    let prefix = entry.get::<PdfString<'_>>("P");
    Numbering {
        style: entry.get::<Name<'_>>("S").and_then(|style| style.as_str().chars().next()),
        prefix: prefix.map(|prefix| text_string(prefix.as_bytes())).unwrap_or_default(),
        start: entry.get::<u32>("St").unwrap_or(1).max(1),
    }
}

fn label(numbering: &Numbering, step: u32) -> String {
    let number = numbering.start.saturating_add(step);
    let format = match numbering.style {
        Some('D') => "decimal",
        Some('r') => "lowerRoman",
        Some('R') => "upperRoman",
        Some('a') => "lowerLetter",
        Some('A') => "upperLetter",
        _ => "none",
    };
    let counted = format_number(number.into(), format);
    format!("{}{counted}", numbering.prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_called_as_they_are_printed() {
        let front = Numbering { style: Some('r'), prefix: String::new(), start: 3 };
        assert_eq!([label(&front, 0), label(&front, 6)], ["iii", "ix"]);
        let annex = Numbering { style: Some('A'), prefix: "Annex ".to_owned(), start: 26 };
        assert_eq!([label(&annex, 0), label(&annex, 1)], ["Annex Z", "Annex AA"]);
    }
}
