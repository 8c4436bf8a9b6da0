//! What stands beside the cells of an XLSX sheet: formulas, and comments old and new with their authors (those
//! of XLSB too). Facts about a cell, never its text.

use std::collections::{BTreeMap, BTreeSet};

use quick_xml::Reader;
use quick_xml::events::Event;

use super::document::{Remark, RemarkKind};
use super::docx::Package;
use super::xml::{Element, Ns, referenced};
use super::{Refusal, biff_facts, sheet};
use crate::base::limits::SHEET_FACTS_MAX;

/// The formulas of a worksheet part. Of one that several cells share, the first cell has it.
pub(super) fn formulas(part: &[u8]) -> Vec<Remark> {
    let text = String::from_utf8_lossy(part);
    let mut reader = Reader::from_str(&text);
    reader.config_mut().check_end_names = false;
    let (mut cell, mut formula) = (String::new(), None::<String>);
    let mut found = Vec::new();
    // Damage ends it; the reader of the cells names it.
    while let Ok(event) = reader.read_event() {
        match event {
            Event::Start(start) if start.local_name().as_ref() == "c" => {
                let mut attributes = start.attributes();
                let mut attributes = attributes.with_checks(false).flatten();
                let place = attributes.find(|a| a.key.local_name().as_ref() == "r");
                cell = place.map_or_else(String::new, |place| place.value.into_owned());
            }
            Event::Start(start) if start.local_name().as_ref() == "f" => {
                formula = Some("=".to_owned())
            }
            Event::Text(text) => {
                if let Some(formula) = &mut formula {
                    formula.push_str(&text);
                }
            }
            Event::GeneralRef(reference) => {
                if let Some(formula) = &mut formula {
                    formula.push(referenced(&reference));
                }
            }
            Event::End(end) if end.local_name().as_ref() == "f" => {
                let formula = formula.take().unwrap_or_default();
                if formula.len() > 1 {
                    let remark = Remark::new(RemarkKind::Formula, "", "", &formula);
                    found.push(Remark { anchor: cell.clone(), ..remark });
                }
            }
            Event::Eof => break,
            _ => {}
        }
        if found.len() >= SHEET_FACTS_MAX {
            break;
        }
    }
    found
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
}
