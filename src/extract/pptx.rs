//! PPTX → `Document`: each slide a page, its shapes in the order of the slide's tree, which is the order
//! in which PowerPoint reads them out; notes and comments with their slide. What masters and layouts
//! show on every slide is not read, nor are charts and pictures.

use std::collections::BTreeMap;

use super::container::Container;
use super::document::{Document, RemarkKind, Role};
use super::docx::{Package, Relations, format_number};
use super::labels::printed_label;
use super::parts::{Part, Parts, Piece, lay_out_row};
use super::xml::{Element, Ns};
use super::{Refusal, RefusalKind};
use crate::base::{Format, Limits, Warned};

/// Hundredths of a point; letters lower than this are not read by anyone.
const SIZE_MIN: i64 = 200;

/// Levels of a text's outline (ECMA-376 part 1, 21.1.2.2.7).
const LEVELS: usize = 9;

/// Reads a PPTX (also PPTM, PPSX; strict or transitional).
pub(super) fn read(bytes: &[u8], limits: &Limits) -> Result<Warned<Document>, Refusal> {
    let mut package =
        Package { container: Container::open(bytes, limits)?, limits, warnings: vec![] };
    let relations = package.relations("")?;
    let main = relations.into_iter().find(|(_, kind, _)| kind == "officeDocument");
    let main = main.map_or_else(|| "ppt/presentation.xml".to_owned(), |(_, _, target)| target);
    let root = package.part(&main)?.ok_or_else(|| {
        Refusal::damaged(format!("no {main} in the container: not a presentation, or a broken one"))
    })?;
    let relations = package.relations(&main)?;
    let size = root.named_child("sldSz").map(|size| [number(size, "cx"), number(size, "cy")]);
    let authors = authors(&mut package, &relations)?;

    let mut parts = Parts::new(limits);
    let ids = root.named_child("sldIdLst").into_iter().flat_map(Element::elements);
    for (index, id) in ids.enumerate() {
        let label = format!("slide {}", index + 1);
        if !parts.has_room() {
            let why = format!("more slides than the {} pages that are read", limits.pages_max);
            parts.skipped(&label, why);
            break;
        }
        let id = id.attribute(Ns::Relation, "id").unwrap_or("");
        let target = relations.iter().find(|(relation, _, _)| relation == id);
        let slide = match target {
            Some((_, _, target)) => package.side_part(target)?.map(|slide| (target, slide)),
            None => None,
        };
        match slide {
            Some((target, slide)) => {
                let part = slide_part(&mut package, target, &slide, size, &authors)?;
                parts.push(&label, part, true);
            }
            None => parts.skipped(&label, "the slide is missing or damaged".to_owned()),
        }
    }
    if parts.is_blank() {
        return Err(Refusal::new(RefusalKind::Empty, "no slide has text or a picture"));
    }
    let properties = package.properties()?;
    let Parts { pages, remarks, mut warnings, .. } = parts;
    warnings.splice(0..0, package.warnings);
    let document = Document { format: Format::Pptx, pages, properties, remarks };
    Ok(Warned { output: document, warnings })
}

fn number(element: &Element, name: &str) -> i64 {
    element.named(name).and_then(|value| value.parse().ok()).unwrap_or(0)
}

fn is_on(element: &Element, name: &str) -> Option<bool> {
    element.named(name).map(|value| matches!(value, "1" | "true" | "on"))
}

/// Names of comments' authors by their id, in the old form and the new.
fn authors(
    package: &mut Package<'_>,
    relations: &Relations,
) -> Result<BTreeMap<String, String>, Refusal> {
    let mut authors = BTreeMap::new();
    for kind in ["commentAuthors", "authors"] {
        if !relations.iter().any(|(_, found, _)| found == kind) {
            continue;
        }
        let Some(root) = package.related(relations, kind)? else { continue };
        for author in root.elements() {
            let (id, name) = (author.named("id").unwrap_or(""), author.named("name").unwrap_or(""));
            authors.insert(id.to_owned(), name.to_owned());
        }
    }
    Ok(authors)
}

fn slide_part(
    package: &mut Package<'_>,
    name: &str,
    root: &Element,
    size: Option<[i64; 2]>,
    authors: &BTreeMap<String, String>,
) -> Result<Part, Refusal> {
    let relations = package.relations(name)?;
    let hidden = (is_on(root, "show") == Some(false)).then_some("hidden slide");
    let mut slide = Slide::new(size, hidden);
    if let Some(tree) = root.named_child("cSld").and_then(|slide| slide.named_child("spTree")) {
        slide.shapes(tree);
    }
    for id in std::mem::take(&mut slide.diagrams) {
        let target = relations.iter().find(|(relation, _, _)| *relation == id);
        let Some((_, _, target)) = target else { continue };
        if let Some(diagram) = package.side_part(target)? {
            slide.diagram(&diagram);
        }
    }
    if relations.iter().any(|(_, kind, _)| kind == "notesSlide")
        && let Some(notes) = package.related(&relations, "notesSlide")?
        && let Some(tree) = notes.named_child("cSld").and_then(|notes| notes.named_child("spTree"))
    {
        let mut read = Slide::new(None, hidden);
        read.is_note = true;
        read.shapes(tree);
        slide.pieces.append(&mut read.pieces);
        slide.part.hidden.append(&mut read.part.hidden);
    }
    let mut part = slide.part;
    // The title is read first, wherever it stands in the tree.
    let (titles, others): (Vec<Piece>, Vec<Piece>) =
        slide.pieces.into_iter().partition(|piece| piece.role == Role::Heading(1));
    part.pieces = titles.into_iter().chain(others).collect();
    for (_, _, target) in relations.iter().filter(|(_, kind, _)| kind.starts_with("comment")) {
        if let Some(comments) = package.side_part(target)? {
            remarks(&comments, authors, &mut part);
        }
    }
    Ok(part)
}

/// Comments and their replies, in the old form (`p:cm`) and the new (`p188:cm`).
fn remarks(parent: &Element, authors: &BTreeMap<String, String>, part: &mut Part) {
    for element in parent.elements() {
        if matches!(&*element.name, "cm" | "reply") {
            let text = element.named_child("text").map(Element::deep_text);
            let text = text.or_else(|| element.named_child("txBody").map(Element::deep_text));
            let author = element.named("authorId").and_then(|id| authors.get(id));
            let date = element.named("dt").or(element.named("created")).unwrap_or("");
            let author = author.map_or("", String::as_str);
            part.remark(RemarkKind::Comment, author, date, &text.unwrap_or_default());
        }
        if matches!(&*element.name, "cm" | "replyLst") {
            remarks(element, authors, part);
        }
    }
}

/// A slide, or the notes to one, while it is read.
struct Slide {
    size: Option<[i64; 2]>,
    /// Why nothing on it is shown, if so.
    hidden: Option<&'static str>,
    is_note: bool,
    part: Part,
    pieces: Vec<Piece>,
    /// Relations of the diagrams' text.
    diagrams: Vec<String>,
}

impl Slide {
    fn new(size: Option<[i64; 2]>, hidden: Option<&'static str>) -> Slide {
        Slide {
            size,
            hidden,
            is_note: false,
            part: Part::default(),
            pieces: Vec::new(),
            diagrams: Vec::new(),
        }
    }

    /// Reads the shapes of a tree or group.
    fn shapes(&mut self, tree: &Element) {
        for shape in tree.elements() {
            match &*shape.name {
                "AlternateContent" => {
                    let branches = || shape.elements();
                    let choice = branches().find(|branch| &*branch.name == "Choice");
                    // Fallbacks repeat the choice.
                    if let Some(branch) = choice.or_else(|| branches().next()) {
                        self.shapes(branch);
                    }
                }
                "sp" | "pic" | "graphicFrame" | "grpSp" | "contentPart" => {
                    let before = self.hidden;
                    self.hidden = before.or_else(|| self.hides(shape));
                    self.shape(shape);
                    self.hidden = before;
                }
                _ => {}
            }
        }
    }

    fn shape(&mut self, shape: &Element) {
        match &*shape.name {
            "sp" => {
                let kind = placeholder(shape);
                let role = match (kind, self.is_note) {
                    (Some("sldNum" | "sldImg"), _) => return,
                    (Some("hdr" | "ftr" | "dt"), true) => return,
                    (Some("ftr" | "dt"), false) => Role::PageFooter,
                    (Some("hdr"), false) => Role::PageHeader,
                    (_, true) => Role::Note,
                    (Some("title" | "ctrTitle"), _) => Role::Heading(1),
                    _ => Role::Paragraph,
                };
                let ground = shape.named_child("spPr").and_then(fill);
                if let Some(body) = shape.named_child("txBody") {
                    let pieces = self.text(body, role, ground);
                    self.pieces.extend(pieces);
                }
                let has_picture =
                    shape.named_child("spPr").is_some_and(|p| p.named_child("blipFill").is_some());
                self.part.pictures += usize::from(has_picture && self.hidden.is_none());
            }
            "pic" | "contentPart" => self.part.pictures += usize::from(self.hidden.is_none()),
            "grpSp" => {
                // Inside, places are counted in the group's own measure: it is off the slide as a whole
                // or not at all.
                let size = self.size.take();
                self.shapes(shape);
                self.size = size;
            }
            _ => {
                let content =
                    shape.named_child("graphic").and_then(|g| g.named_child("graphicData"));
                for element in content.into_iter().flat_map(Element::elements) {
                    match &*element.name {
                        "tbl" => self.table(element),
                        "relIds" => {
                            self.diagrams
                                .extend(element.attribute(Ns::Relation, "dm").map(str::to_owned));
                        }
                        "chart" => self.part.unread.push("a chart".to_owned()),
                        _ => self.part.pictures += usize::from(self.hidden.is_none()),
                    }
                }
            }
        }
    }

    /// Why a shape is not shown.
    fn hides(&self, shape: &Element) -> Option<&'static str> {
        let about = shape.elements().find(|e| e.name.starts_with("nv"));
        let named = about.and_then(|about| about.named_child("cNvPr"));
        if named.and_then(|named| is_on(named, "hidden")) == Some(true) {
            return Some("hidden shape");
        }
        let at = shape.named_child("xfrm").or_else(|| {
            shape.elements().find(|e| matches!(&*e.name, "spPr" | "grpSpPr"))?.named_child("xfrm")
        })?;
        let (off, extent, size) = (at.named_child("off")?, at.named_child("ext")?, self.size?);
        let off = [number(off, "x"), number(off, "y")];
        let extent = [number(extent, "cx"), number(extent, "cy")];
        let outside = (0..2)
            .any(|i| off[i] >= size[i] || off[i].saturating_add(extent[i]) <= 0 && extent[i] > 0);
        outside.then_some("off the slide")
    }

    fn table(&mut self, table: &Element) {
        let first_row = table.named_child("tblPr").and_then(|p| is_on(p, "firstRow")) == Some(true);
        let rows = table.elements().filter(|row| &*row.name == "tr");
        for (index, row) in rows.enumerate() {
            let mut cells = Vec::new();
            for cell in row.elements().filter(|cell| &*cell.name == "tc") {
                let goes_on =
                    ["hMerge", "vMerge"].iter().any(|merge| is_on(cell, merge) == Some(true));
                let pieces = match cell.named_child("txBody").filter(|_| !goes_on) {
                    Some(body) => self.text(body, Role::Paragraph, None),
                    None => Vec::new(),
                };
                cells.push(pieces);
            }
            lay_out_row(cells, first_row && index == 0, &mut self.pieces);
        }
    }

    /// The texts of a diagram (SmartArt), one for each of its points.
    fn diagram(&mut self, data: &Element) {
        let points = data.named_child("ptLst").into_iter().flat_map(Element::elements);
        for point in points {
            if matches!(point.named("type"), None | Some("node" | "asst"))
                && let Some(body) = point.named_child("t")
            {
                let pieces = self.text(body, Role::ListItem, None);
                self.pieces.extend(pieces);
            }
        }
    }

    /// The paragraphs of a text body. `ground` is the colour of its shape.
    fn text(&mut self, body: &Element, role: Role, ground: Option<&str>) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut counts = [None; LEVELS];
        for paragraph in body.elements().filter(|e| e.ns == Ns::Drawing && &*e.name == "p") {
            let properties = paragraph.named_child("pPr");
            let level =
                properties.map_or(0, |p| number(p, "lvl")).clamp(0, LEVELS as i64 - 1) as usize;
            let mut line = String::new();
            let mut goes_on = false;
            for run in paragraph.elements() {
                let text = match &*run.name {
                    "r" => run.named_child("t").map(Element::text).unwrap_or_default(),
                    "br" => "\n".to_owned(),
                    "fld" if run.named("type") == Some("slidenum") => continue,
                    "fld" => run.named_child("t").map(Element::text).unwrap_or_default(),
                    "m" => run.deep_text(),
                    _ => continue,
                };
                // A vertical tab is a line's end within a paragraph, too.
                let text = text.replace('\u{B}', "\n");
                match self.hidden.or_else(|| run_hides(run.named_child("rPr"), ground)) {
                    None => {
                        line.push_str(&text);
                        goes_on &= text.trim().is_empty();
                    }
                    Some(why) => {
                        self.part.hide(&text, why, goes_on);
                        goes_on = true;
                    }
                }
            }
            let text = line.trim();
            if text.is_empty() {
                continue;
            }
            let marker = properties.and_then(|properties| marker(properties, level, &mut counts));
            if marker.is_none() {
                counts[level..].fill(None);
            }
            let is_item = marker.is_some() && role == Role::Paragraph;
            let role = if is_item { Role::ListItem } else { role };
            pieces.push(match marker {
                Some(marker) => {
                    let label = marker.trim_end_matches('.');
                    let label = label.contains(char::is_alphanumeric).then(|| label.to_owned());
                    Piece { role, text: format!("{marker} {text}"), label }
                }
                None => Piece { role, text: text.to_owned(), label: printed_label(text) },
            });
        }
        pieces
    }
}

/// The kind of placeholder that a shape fills, if any.
fn placeholder(shape: &Element) -> Option<&str> {
    let properties = shape.named_child("nvSpPr")?.named_child("nvPr")?;
    Some(properties.named_child("ph")?.named("type").unwrap_or("obj"))
}

/// The one colour that fills a shape or a text, where it is stated plainly.
fn fill(properties: &Element) -> Option<&str> {
    properties.named_child("solidFill")?.named_child("srgbClr")?.named("val")
}

/// Why the text of a run is not seen.
fn run_hides(properties: Option<&Element>, ground: Option<&str>) -> Option<&'static str> {
    let properties = properties?;
    let size = properties.named("sz").and_then(|size| size.parse::<i64>().ok());
    if size.is_some_and(|size| size < SIZE_MIN) {
        return Some("under 2 pt");
    }
    if properties.named_child("noFill").is_some() && properties.named_child("ln").is_none() {
        return Some("letters without fill");
    }
    let colour = fill(properties)?;
    ground
        .is_some_and(|ground| ground.eq_ignore_ascii_case(colour))
        .then_some("colour of its ground")
}

/// The bullet or number that a paragraph states for itself.
fn marker(
    properties: &Element,
    level: usize,
    counts: &mut [Option<i64>; LEVELS],
) -> Option<String> {
    if properties.named_child("buChar").is_some() {
        return Some("•".to_owned());
    }
    let numbering = properties.named_child("buAutoNum")?;
    let start = numbering.named("startAt").and_then(|start| start.parse().ok()).unwrap_or(1);
    let number = counts[level].map_or(start, |before: i64| before.saturating_add(1));
    counts[level] = Some(number);
    counts[level + 1..].fill(None);
    let kind = numbering.named("type").unwrap_or("arabicPeriod");
    let format = match kind {
        kind if kind.starts_with("alphaLc") => "lowerLetter",
        kind if kind.starts_with("alphaUc") => "upperLetter",
        kind if kind.starts_with("romanLc") => "lowerRoman",
        kind if kind.starts_with("romanUc") => "upperRoman",
        _ => "decimal",
    };
    let digits = format_number(number, format);
    Some(match kind {
        kind if kind.ends_with("ParenBoth") => format!("({digits})"),
        kind if kind.ends_with("ParenR") => format!("{digits})"),
        kind if kind.ends_with("Period") => format!("{digits}."),
        _ => digits,
    })
}
