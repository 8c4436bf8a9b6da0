//! ODT → `Document`: the body, its notes, headers and footers as parts (ODF 1.3 part 3). Word numbers no
//! pages in advance and neither does this: a page is a part.

mod lists;
mod story;
mod styles;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::container::Container;
use super::document::{Document, RemarkKind, Role};
use super::parts::{Part, Parts, Piece};
use super::redline;
use super::xml::{self, Element};
use super::{Options, Refusal, RefusalKind};
use crate::base::{Format, Limits, Warned, Warning};
use story::{Change, Context, Story};
use styles::Styles;

/// Reads an ODT (also OTT).
pub(super) fn read(
    bytes: &[u8],
    options: &Options,
    limits: &Limits,
) -> Result<Warned<Document>, Refusal> {
    let mut package =
        Package { container: Container::open(bytes, limits)?, limits, warnings: Vec::new() };
    if let Some(manifest) = package.container.read("META-INF/manifest.xml")?
        && String::from_utf8_lossy(&manifest).contains("encryption-data")
    {
        return Err(Refusal::new(
            RefusalKind::Encrypted,
            "the document is protected with a password; save it without one",
        ));
    }
    let content = package.part("content.xml")?.ok_or_else(|| {
        Refusal::damaged("no content.xml in the container: not an ODT, or a broken one")
    })?;
    let Some(body) = content.named_child("body").and_then(|body| body.named_child("text")) else {
        return Err(Refusal::damaged("content.xml has no text document in it"));
    };
    let common = package.side_part("styles.xml")?;
    let changes = changes(body);
    let context = Context {
        view: options.view,
        styles: Styles::of([common.as_ref(), Some(&content)], "content"),
        changes: &changes,
        bytes_max: limits.output_bytes_max / 4,
    };
    let mut parts = Parts::new(limits);
    let mut story = Story::new(&context);
    let pieces = story.read(body);
    let notes = std::mem::take(&mut story.notes);
    let masters = std::mem::take(&mut story.masters);
    parts.push("document", story.into_part(pieces), true);
    for (label, is_endnote) in [("footnotes", false), ("endnotes", true)] {
        let mut part = Part::default();
        for note in notes.iter().filter(|note| note.is_endnote == is_endnote) {
            let mut story = Story::new(&context);
            let mut mark = Some(note.mark.clone()).filter(|mark| !mark.is_empty());
            for piece in story.read(note.body) {
                let (text, label) = match mark.take() {
                    Some(mark) => (format!("{mark} {}", piece.text.trim_start()), Some(mark)),
                    None => (piece.text, piece.label),
                };
                part.pieces.push(Piece { role: Role::Note, text, label });
            }
            let found = story.into_part(Vec::new());
            part.hidden.extend(found.hidden);
            part.remarks.extend(found.remarks);
        }
        if !part.pieces.is_empty() || !part.hidden.is_empty() {
            parts.push(label, part, true);
        }
    }
    if let Some(common) = &common {
        let context = Context { styles: Styles::of([Some(common), None], "styles"), ..context };
        margins(common, &context, &masters, &mut parts);
    }
    if parts.is_blank() {
        return Err(Refusal::new(RefusalKind::Empty, "the document has no text and no picture"));
    }
    let properties = package.properties()?;
    let Parts { pages, remarks, mut warnings, .. } = parts;
    warnings.splice(0..0, package.warnings);
    let document = Document { format: Format::Odt, pages, properties, remarks };
    Ok(Warned { output: document, warnings })
}

/// Tracked changes by their id; deleted text lies here and not in the body.
fn changes(body: &Element) -> HashMap<&str, Change<'_>> {
    let mut changes = HashMap::new();
    for region in body.named_child("tracked-changes").into_iter().flat_map(Element::elements) {
        let Some(id) = region.named("id") else { continue };
        for kind in region.elements() {
            let is_deletion = match &*kind.name {
                "insertion" => false,
                "deletion" => true,
                _ => continue,
            };
            let about = kind.named_child("change-info");
            let said = |name: &str| {
                about
                    .and_then(|about| about.named_child(name))
                    .map(Element::text)
                    .unwrap_or_default()
            };
            let kind_of = if is_deletion { RemarkKind::Deletion } else { RemarkKind::Insertion };
            let about = redline::Change::new(kind_of, &said("creator"), &said("date"));
            let change = Change { about, content: is_deletion.then_some(kind) };
            changes.insert(id, change);
        }
    }
    changes
}

/// Headers and footers, each text once. Those of page styles that no page uses are hidden text.
fn margins(
    common: &Element,
    context: &Context<'_>,
    named: &BTreeSet<String>,
    parts: &mut Parts<'_>,
) {
    let masters: Vec<&Element> = common
        .named_child("master-styles")
        .into_iter()
        .flat_map(Element::elements)
        .filter(|element| &*element.name == "master-page")
        .collect();
    // The default page style is used, and what a page style in use names as the next.
    let default = if masters.iter().any(|m| m.named("name") == Some("Standard")) {
        Some("Standard")
    } else {
        masters.first().and_then(|master| master.named("name"))
    };
    let mut used: BTreeSet<&str> = named.iter().map(String::as_str).chain(default).collect();
    for _ in 0..masters.len() {
        let next = masters.iter().filter(|m| m.named("name").is_some_and(|n| used.contains(n)));
        let next: Vec<&str> = next.filter_map(|m| m.named("next-style-name")).collect();
        used.extend(next);
    }
    for (word, role) in [("header", Role::PageHeader), ("footer", Role::PageFooter)] {
        let mut printed: BTreeSet<String> = BTreeSet::new();
        for master in &masters {
            let is_used = master.named("name").is_some_and(|name| used.contains(name));
            for margin in master.elements() {
                let is_it = margin
                    .name
                    .strip_prefix(word)
                    .is_some_and(|rest| matches!(rest, "" | "-left" | "-first"));
                if !is_it {
                    continue;
                }
                let mut story = Story::new(context);
                let mut pieces = story.read(margin);
                let mut part = story.into_part(Vec::new());
                let text: Vec<&str> = pieces.iter().map(|piece| piece.text.as_str()).collect();
                let text = text.join("\n");
                if !is_used || margin.named("display") == Some("false") {
                    part.hide(&text, &format!("{word} that no page shows"), false);
                    pieces.clear();
                } else if !printed.insert(text) {
                    continue;
                }
                part.pieces = pieces.into_iter().map(|piece| Piece { role, ..piece }).collect();
                if !part.pieces.is_empty() || !part.hidden.is_empty() {
                    parts.push(&format!("{word} {}", printed.len().max(1)), part, true);
                }
            }
        }
    }
}

/// The parts of the file.
struct Package<'a> {
    container: Container<'a>,
    limits: &'a Limits,
    warnings: Vec<Warning>,
}

impl Package<'_> {
    fn part(&mut self, name: &str) -> Result<Option<Element>, Refusal> {
        let Some(bytes) = self.container.read(name)? else { return Ok(None) };
        let parsed = xml::parse(name, &bytes, self.limits)?;
        self.warnings.extend(parsed.damage.map(Warning::document));
        Ok(Some(parsed.root))
    }

    /// A part that the document can be read without; only a limit stops the reading.
    fn side_part(&mut self, name: &str) -> Result<Option<Element>, Refusal> {
        match self.part(name) {
            Err(refusal) if refusal.kind == RefusalKind::Damaged => {
                self.warnings.push(Warning::document(format!("not read: {refusal}")));
                Ok(None)
            }
            other => other,
        }
    }

    fn properties(&mut self) -> Result<BTreeMap<String, String>, Refusal> {
        let mut properties = BTreeMap::new();
        let Some(root) = self.side_part("meta.xml")? else { return Ok(properties) };
        let meta = root.named_child("meta").into_iter().flat_map(Element::elements);
        for element in meta {
            let word = match &*element.name {
                "title" => "title",
                "creator" | "initial-creator" => "author",
                "generator" => "producer",
                "creation-date" => "created",
                "date" => "modified",
                _ => continue,
            };
            let text = element.text();
            if !text.trim().is_empty() {
                properties.insert(word.to_owned(), text.trim().to_owned());
            }
        }
        Ok(properties)
    }
}
