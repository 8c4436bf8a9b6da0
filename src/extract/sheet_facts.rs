//! What stands beside the cells of an XLSX sheet: formulas, and comments old and new with their authors (those
//! of XLSB too). Facts about a cell, never its text.

use std::collections::{BTreeMap, BTreeSet};

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::document::{Remark, RemarkKind};
use super::docx::Package;
use super::shared_formula::{cell, moved};
use super::xml::{Element, Ns, referenced};
use super::{Refusal, biff_facts, sheet};
use crate::base::limits::{SHEET_FACTS_MAX, SHEET_FORMULA_BYTES_MAX};

/// The formulas of a worksheet part, those that cells share in each of them.
pub(super) fn formulas(part: &[u8]) -> Vec<Remark> {
    let text = String::from_utf8_lossy(part);
    let mut reader = Reader::from_str(&text);
    reader.config_mut().check_end_names = false;
    let mut walk = FormulaWalk::default();
    // Damage ends it; the reader of the cells names it.
    while let Ok(event) = reader.read_event() {
        match event {
            Event::Start(start) => walk.open(&start),
            Event::Empty(start) => {
                walk.open(&start);
                walk.close(start.local_name().as_ref());
            }
            Event::End(end) => walk.close(end.local_name().as_ref()),
            Event::Text(text) => walk.text(&text),
            Event::GeneralRef(reference) => {
                walk.text(referenced(&reference).encode_utf8(&mut [0; 4]));
            }
            Event::Eof => break,
            _ => {}
        }
        if walk.found.len() >= SHEET_FACTS_MAX || walk.bytes > SHEET_FORMULA_BYTES_MAX {
            break;
        }
    }
    walk.found
}

#[derive(Default)]
struct FormulaWalk {
    found: Vec<Remark>,
    /// Of all formulas found.
    bytes: usize,
    /// The cell, from 0, and where the next one is if it does not say.
    cell: (u32, u32),
    next: (u32, u32),
    /// The formula being read, and which one it shares.
    formula: Option<(String, Option<String>)>,
    /// Those that cells share: the first cell and the formula as it stands there.
    shared: BTreeMap<String, ((u32, u32), String)>,
}

impl FormulaWalk {
    fn open(&mut self, start: &BytesStart<'_>) {
        let word = |name: &str| {
            let mut attributes = start.attributes();
            let mut attributes = attributes.with_checks(false).flatten();
            let found = attributes.find(|a| a.key.local_name().as_ref() == name)?;
            Some(found.value.into_owned())
        };
        match start.local_name().as_ref() {
            "row" => {
                let row = word("r").and_then(|row| row.parse::<u32>().ok()?.checked_sub(1));
                self.next = (row.unwrap_or(self.next.0), 0);
            }
            "c" => {
                self.cell = word("r").and_then(|name| cell(&name)).unwrap_or(self.next);
                self.next = (self.cell.0, self.cell.1.saturating_add(1));
            }
            "f" => {
                let is_shared = word("t").is_some_and(|kind| kind == "shared");
                self.formula = Some((String::new(), word("si").filter(|_| is_shared)));
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        if let Some((formula, _)) = &mut self.formula {
            formula.push_str(text);
        }
    }

    fn close(&mut self, name: &str) {
        match name {
            "row" => self.next = (self.next.0.saturating_add(1), 0),
            "f" => {
                let Some((formula, shared)) = self.formula.take() else { return };
                let (row, column) = self.cell;
                let formula = match shared {
                    Some(index) if formula.is_empty() => {
                        let Some((first, formula)) = self.shared.get(&index) else { return };
                        let away = |to: u32, from: u32| i64::from(to) - i64::from(from);
                        moved(formula, away(row, first.0), away(column, first.1))
                    }
                    Some(index) => {
                        self.shared.insert(index, (self.cell, formula.clone()));
                        formula
                    }
                    None => formula,
                };
                self.bytes += formula.len();
                self.found.extend(sheet::formula(self.cell, &formula));
            }
            _ => {}
        }
    }
}

/// The comments on a sheet, by the part that it is. A thread takes the place of the old comment that says
/// only that there is one.
pub(super) fn comments(
    package: &mut Package<'_>,
    sheet: &str,
    people: &BTreeMap<String, String>,
) -> Result<Vec<Remark>, Refusal> {
    let (mut found, mut threaded) = (Vec::new(), BTreeSet::new());
    let relations = package.relations(sheet)?;
    for (_, kind, target) in &relations {
        if kind == "threadedComment"
            && let Some(root) = package.side_part(target)?
        {
            for comment in root.elements().filter(|e| &*e.name == "threadedComment") {
                let word = |name| comment.attribute(Ns::Bare, name).unwrap_or("");
                let text = comment.named_child("text").map(Element::deep_text).unwrap_or_default();
                let author = people.get(word("personId")).map_or("", String::as_str);
                let remark = Remark::new(RemarkKind::Comment, author, word("dT"), text.trim());
                threaded.insert(word("ref").to_owned());
                found.push(Remark { anchor: word("ref").to_owned(), ..remark });
            }
        }
    }
    for (_, _, target) in relations.iter().filter(|(_, kind, _)| kind == "comments") {
        if target.ends_with(".bin") {
            let part = package.container.read(target)?.unwrap_or_default();
            let comments = biff_facts::comments_of_xlsb(&part);
            let remarks = comments.iter().map(sheet::comment);
            found.extend(remarks.filter(|remark| !threaded.contains(&remark.anchor)));
        } else if let Some(root) = package.side_part(target)? {
            let authors = root.named_child("authors").into_iter().flat_map(Element::elements);
            let authors: Vec<String> = authors.map(Element::deep_text).collect();
            let list = root.named_child("commentList").into_iter().flat_map(Element::elements);
            for comment in list {
                let word = |name| comment.attribute(Ns::Bare, name).unwrap_or("");
                let author = word("authorId").parse().ok().and_then(|at: usize| authors.get(at));
                let text = comment.named_child("text").map(Element::deep_text).unwrap_or_default();
                if threaded.contains(word("ref")) || text.trim().is_empty() {
                    continue;
                }
                let author = author.map_or("", String::as_str);
                let remark = Remark::new(RemarkKind::Comment, author, "", text.trim());
                found.push(Remark { anchor: word("ref").to_owned(), ..remark });
            }
        }
    }
    found.truncate(SHEET_FACTS_MAX);
    Ok(found)
}

/// Who writes threads of comments, by id; as the part of the workbook says.
pub(super) fn people(
    package: &mut Package<'_>,
    workbook: &str,
) -> Result<BTreeMap<String, String>, Refusal> {
    let mut people = BTreeMap::new();
    for (_, kind, target) in package.relations(workbook)? {
        if kind == "person"
            && let Some(root) = package.side_part(&target)?
        {
            for person in root.elements() {
                let word = |name| person.attribute(Ns::Bare, name).unwrap_or("").to_owned();
                people.insert(word("id"), word("displayName"));
            }
        }
    }
    Ok(people)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_keeps_the_characters_that_it_refers_to_by_name_or_number() {
        let sheet = b"<c r=\"B2\"><f>IF(A1&lt;2,&quot;a&#10;b&quot;,&#x27;Q1&apos;!A1)</f></c>";
        let found = formulas(sheet);
        assert_eq!(found.len(), 1);
        assert_eq!((&*found[0].anchor, &*found[0].text), ("B2", "=IF(A1<2,\"a\nb\",'Q1'!A1)"));
    }

    #[test]
    fn cells_that_share_a_formula_have_it_as_it_stands_there() {
        let sheet = b"<row r='2'><c r='B2'><f t='shared' ref='B2:C3' si='4'>A2*$A$1</f></c><c><f t='shared' si='4'/></c></row>\
            <row><c r='B3'><f t='shared' si='4'></f></c><c r='C3'><f>B3</f></c><c><f t='shared' si='5'/></c></row>";
        let found = formulas(sheet);
        let found: Vec<_> = found.iter().map(|it| (&*it.anchor, &*it.text)).collect();
        let expected = [("B2", "=A2*$A$1"), ("C2", "=B2*$A$1"), ("B3", "=A3*$A$1"), ("C3", "=B3")];
        assert_eq!(found, expected);
    }
}
