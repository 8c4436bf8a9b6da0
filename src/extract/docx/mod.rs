//! DOCX → `Document`: finds the parts, reads their stories, makes pages of them. A page is a part: the
//! body, the footnotes, each header. Word lays pages out anew on every machine, so there are no others.

mod numbering;
mod story;
mod styles;

use std::collections::{BTreeMap, HashMap, HashSet};

use super::attachment::{self, Allowance};
use super::container::Container;
use super::document::{Document, Hidden, Remark, RemarkKind, Role};
use super::parts::{Part, Parts, Piece};
use super::xml::{self, Element, Ns};
use super::{Options, Refusal, RefusalKind};
use crate::base::{Format, Limits, Warned, Warning};
use numbering::Numbering;
pub(super) use numbering::{bullet, format_number};
use story::{Comment, Context, NoteMention, Story};
pub(super) use story::{superscript, symbol};
use styles::Styles;

/// Reads a DOCX (also DOCM, DOTX; strict or transitional).
pub(super) fn read(
    bytes: &[u8],
    options: &Options,
    limits: &Limits,
) -> Result<Warned<Document>, Refusal> {
    let mut package =
        Package { container: Container::open(bytes, limits)?, limits, warnings: vec![] };
    let main = package.main_part()?;
    let root = package.part(&main)?.ok_or_else(|| {
        Refusal::damaged(format!(
            "no {main} in the container: not a Word document, or a broken one"
        ))
    })?;
    let Some(body) = root.child("body") else {
        return Err(Refusal::damaged(format!("{main} has no body")));
    };
    let relations = package.relations(&main)?;
    let styles = match package.related(&relations, "styles")? {
        Some(root) => Styles::of(&root),
        None => Styles::default(),
    };
    let numbering = match package.related(&relations, "numbering")? {
        Some(root) => Numbering::of(&root, &styles),
        None => Numbering::default(),
    };
    let mut context = Context {
        view: options.view,
        styles,
        numbering,
        comments: HashMap::new(),
        chunks: package.chunks(&relations, options)?,
    };
    context.comments = comments(&mut package, &relations, &context)?;

    let mut story = Story::new(&context);
    let pieces = story.read(body);
    let Story { part, mentions, margins, comments_seen, .. } = story;
    let mut reading =
        Reading { context: &context, parts: Parts::new(limits), comments_seen: HashSet::new() };
    reading.push("document", pieces, part, &comments_seen, true);
    reading.notes(&mut package, &relations, &mentions)?;
    reading.margins(&mut package, &relations, &margins)?;
    reading.loose_comments();

    if reading.parts.is_blank() {
        return Err(Refusal::new(RefusalKind::Empty, "the document has no text and no picture"));
    }
    let properties = package.properties()?;
    let Parts { pages, remarks, mut warnings, .. } = reading.parts;
    warnings.splice(0..0, package.warnings);
    let document = Document { format: Format::Docx, pages, properties, remarks };
    Ok(Warned { output: document, warnings })
}

/// Relationships of a part: id, type (its last word), target (a part's name).
pub(super) type Relations = Vec<(String, String, String)>;

/// The parts of the file.
pub(super) struct Package<'a> {
    pub(super) container: Container<'a>,
    pub(super) limits: &'a Limits,
    pub(super) warnings: Vec<Warning>,
}

impl Package<'_> {
    fn main_part(&mut self) -> Result<String, Refusal> {
        let relations = self.relations("")?;
        let main = relations.into_iter().find(|(_, kind, _)| kind == "officeDocument");
        Ok(main.map_or_else(|| "word/document.xml".to_owned(), |(_, _, target)| target))
    }

    pub(super) fn part(&mut self, name: &str) -> Result<Option<Element>, Refusal> {
        let Some(bytes) = self.container.read(name)? else { return Ok(None) };
        let parsed = xml::parse(name, &bytes, self.limits)?;
        self.warnings.extend(parsed.damage.map(Warning::document));
        Ok(Some(parsed.root))
    }

    /// The part that a relation of type `kind` points to. One that cannot be read costs itself only.
    pub(super) fn related(
        &mut self,
        relations: &Relations,
        kind: &str,
    ) -> Result<Option<Element>, Refusal> {
        let Some((_, _, target)) = relations.iter().find(|(_, found, _)| found == kind) else {
            return Ok(None);
        };
        self.side_part(target)
    }

    /// A part that the document can be read without; only a limit stops the reading.
    pub(super) fn side_part(&mut self, name: &str) -> Result<Option<Element>, Refusal> {
        match self.part(name) {
            Ok(Some(root)) => Ok(Some(root)),
            Ok(None) => {
                self.warnings.push(Warning::document(format!("{name} is named but not there")));
                Ok(None)
            }
            Err(refusal) if refusal.kind == RefusalKind::Damaged => {
                self.warnings.push(Warning::document(format!("not read: {refusal}")));
                Ok(None)
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// The relationships of the part `name`, of the package itself where `name` is empty.
    pub(super) fn relations(&mut self, name: &str) -> Result<Relations, Refusal> {
        let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
        let slash = if folder.is_empty() { "" } else { "/" };
        let Some(root) = self.part(&format!("{folder}{slash}_rels/{file}.rels"))? else {
            return Ok(Vec::new());
        };
        let mut relations = Vec::new();
        for relation in root.elements().filter(|relation| relation.ns == Ns::Package) {
            let word = |name| relation.attribute(Ns::Bare, name).unwrap_or("");
            if word("TargetMode") == "External" {
                continue;
            }
            let kind = word("Type").rsplit('/').next().unwrap_or("").to_owned();
            relations.push((word("Id").to_owned(), kind, resolve(folder, word("Target"))));
        }
        Ok(relations)
    }

    /// The documents inside the document (`w:altChunk`), by their relation.
    fn chunks(
        &mut self,
        relations: &Relations,
        options: &Options,
    ) -> Result<HashMap<String, Part>, Refusal> {
        let mut allowance = Allowance::new(self.limits);
        let mut chunks = HashMap::new();
        for (id, kind, target) in relations {
            if kind == "aFChunk"
                && let Some(bytes) = self.container.read(target)?
            {
                let name = target.rsplit('/').next().unwrap_or(target);
                let limits = self.limits;
                let (part, warnings) =
                    attachment::part(name, &bytes, options, limits, &mut allowance);
                self.warnings.extend(warnings);
                chunks.extend(part.map(|part| (id.clone(), part)));
            }
        }
        Ok(chunks)
    }

    /// Title, author and the like.
    pub(super) fn properties(&mut self) -> Result<BTreeMap<String, String>, Refusal> {
        let mut properties = BTreeMap::new();
        let relations = self.relations("")?;
        for (kind, names) in [
            (
                "core-properties",
                &[
                    ("title", "title"),
                    ("subject", "subject"),
                    ("creator", "author"),
                    ("keywords", "keywords"),
                    ("created", "created"),
                    ("modified", "modified"),
                    ("lastModifiedBy", "modified_by"),
                ][..],
            ),
            ("extended-properties", &[("Application", "producer"), ("Company", "company")][..]),
        ] {
            let Some(root) = self.related(&relations, kind)? else { continue };
            for element in root.elements() {
                let known = names.iter().find(|(name, _)| *name == &*element.name);
                let text = element.text();
                if let Some((_, word)) = known
                    && !text.trim().is_empty()
                {
                    properties.insert((*word).to_owned(), text.trim().to_owned());
                }
            }
        }
        Ok(properties)
    }
}

/// A target relative to the folder of its part, as a name in the container.
fn resolve(folder: &str, target: &str) -> String {
    if let Some(absolute) = target.strip_prefix('/') {
        return absolute.to_owned();
    }
    let mut steps: Vec<&str> = folder.split('/').filter(|step| !step.is_empty()).collect();
    for step in target.split('/') {
        match step {
            "" | "." => {}
            ".." => drop(steps.pop()),
            step => steps.push(step),
        }
    }
    steps.join("/")
}

/// Comments by their id.
fn comments(
    package: &mut Package<'_>,
    relations: &Relations,
    context: &Context,
) -> Result<HashMap<String, Comment>, Refusal> {
    let mut comments = HashMap::new();
    let Some(root) = package.related(relations, "comments")? else { return Ok(comments) };
    for comment in root.elements().filter(|element| element.is_word("comment")) {
        let word = |name| comment.word(name).unwrap_or("").to_owned();
        let pieces = Story::new(context).read(comment);
        let texts: Vec<String> = pieces.into_iter().map(|piece| piece.text).collect();
        let (author, date, text) = (word("author"), word("date"), texts.join("\n"));
        comments.insert(word("id"), Comment { author, date, text });
    }
    Ok(comments)
}

/// The document while its parts are read.
struct Reading<'a> {
    context: &'a Context,
    parts: Parts<'a>,
    comments_seen: HashSet<String>,
}

impl Reading<'_> {
    /// Makes a page of a story. `always`: also where nothing is in it.
    fn push(&mut self, label: &str, pieces: Vec<Piece>, part: Part, seen: &[&str], always: bool) {
        self.comments_seen.extend(seen.iter().map(|id| (*id).to_owned()));
        if always || !pieces.is_empty() || !part.hidden.is_empty() {
            // Parts are cut only where the page limit asks for it.
            self.parts.push(label, Part { pieces, ..part }, true);
        }
    }

    /// Comments that no text points to.
    fn loose_comments(&mut self) {
        let is_loose = |(id, _): &(&String, &Comment)| !self.comments_seen.contains(*id);
        let mut loose: Vec<_> = self.context.comments.iter().filter(is_loose).collect();
        loose.sort_by_key(|(id, _)| (id.len(), *id));
        for (_, Comment { author, date, text }) in loose {
            self.parts.remarks.push(Remark::new(RemarkKind::Comment, author, date, text));
        }
    }

    /// Footnotes and endnotes, in the order in which the body mentions them.
    fn notes(
        &mut self,
        package: &mut Package<'_>,
        relations: &Relations,
        mentions: &[NoteMention],
    ) -> Result<(), Refusal> {
        for (is_endnote, kind, element) in
            [(false, "footnotes", "footnote"), (true, "endnotes", "endnote")]
        {
            if !mentions.iter().any(|mention| mention.is_endnote == is_endnote) {
                continue;
            }
            let Some(root) = package.related(relations, kind)? else { continue };
            let mut story = Story::new(self.context);
            let mut pieces = Vec::new();
            let mut printed = HashSet::new();
            for mention in mentions.iter().filter(|mention| mention.is_endnote == is_endnote) {
                let is_it =
                    |note: &&Element| note.is_word(element) && note.word("id") == Some(&mention.id);
                let Some(note) = root.elements().find(is_it) else { continue };
                if !printed.insert(&mention.id) {
                    continue;
                }
                let mut mark = Some(mention.mark.clone()).filter(|mark| !mark.is_empty());
                for piece in story.read(note) {
                    let (text, label) = match mark.take() {
                        Some(mark) => (format!("{mark} {}", piece.text), Some(mark)),
                        None => (piece.text, piece.label),
                    };
                    pieces.push(Piece { role: Role::Note, text, label });
                }
            }
            let Story { part, comments_seen, .. } = story;
            self.push(kind, pieces, part, &comments_seen, false);
        }
        Ok(())
    }

    /// Headers, then footers, each part once. One that no section shows is hidden text.
    fn margins(
        &mut self,
        package: &mut Package<'_>,
        relations: &Relations,
        margins: &[story::Margin],
    ) -> Result<(), Refusal> {
        if margins.is_empty() {
            return Ok(());
        }
        let even = match package.related(relations, "settings")? {
            Some(settings) => styles::toggle(Some(&settings), "evenAndOddHeaders").unwrap_or(false),
            None => false,
        };
        for is_footer in [false, true] {
            let mut printed = HashSet::new();
            let word = if is_footer { "footer" } else { "header" };
            for margin in margins.iter().filter(|margin| margin.is_footer == is_footer) {
                let Some((_, _, target)) =
                    relations.iter().find(|(id, _, _)| *id == margin.relation)
                else {
                    continue;
                };
                if !printed.insert(target) {
                    continue;
                }
                let Some(root) = package.side_part(target)? else { continue };
                let mut story = Story::new(self.context);
                let mut pieces = story.read(&root);
                let Story { mut part, comments_seen, .. } = story;
                let is_shown = margins.iter().any(|other| {
                    other.relation == margin.relation
                        && match other.kind.as_str() {
                            "first" => other.title_page,
                            "even" => even,
                            _ => true,
                        }
                });
                if !is_shown {
                    for piece in pieces.drain(..) {
                        let why = format!("{} page {word} that no section shows", margin.kind);
                        part.hidden.push(Hidden { text: piece.text, why });
                    }
                }
                for piece in &mut pieces {
                    piece.role = if is_footer { Role::PageFooter } else { Role::PageHeader };
                }
                let label = format!("{word} {}", printed.len());
                self.push(&label, pieces, part, &comments_seen, false);
            }
        }
        Ok(())
    }
}
