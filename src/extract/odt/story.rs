//! One story of an ODT (the body, a note, a header) → blocks of text, as one view of its tracked changes
//! shows them.

use std::collections::{BTreeSet, HashMap};

use super::super::View;
use super::super::document::{Remark, RemarkKind, Role};
use super::super::docx::superscript;
use super::super::labels::printed_label;
use super::super::parts::{Part, Piece, lay_out_row};
use super::super::redline::{self, Marks, PARAGRAPH_MARK};
use super::super::xml::{Element, Node, Ns};
use super::lists::Lists;
use super::styles::{Look, Styles};

/// Spaces that one `text:s` may stand for, and columns or rows that one cell may repeat: beyond, it is
/// there to multiply.
const REPEAT_MAX: usize = 1024;

/// What all stories of a document share.
pub(super) struct Context<'a> {
    pub(super) view: View,
    pub(super) styles: Styles,
    pub(super) changes: &'a HashMap<&'a str, Change<'a>>,
    /// Text that a story may have: repeated rows multiply it.
    pub(super) bytes_max: u64,
}

/// A tracked change.
#[derive(Debug)]
pub(super) struct Change<'a> {
    pub(super) about: redline::Change,
    /// What was deleted.
    pub(super) content: Option<&'a Element>,
}

/// A footnote or endnote, in the order of the text.
pub(super) struct Note<'a> {
    pub(super) is_endnote: bool,
    pub(super) mark: String,
    pub(super) body: &'a Element,
}

pub(super) struct Story<'a> {
    context: &'a Context<'a>,
    part: Part,
    pub(super) notes: Vec<Note<'a>>,
    /// Page styles that the text names.
    pub(super) masters: BTreeSet<String>,
    lists: Lists,
    pieces: Vec<Piece>,
    bytes: u64,
    line: String,
    /// Changes that are open in the line, where the view shows them.
    marks: Marks,
    /// Deleted text is being read, to be shown as such.
    deletion: Option<&'a str>,
    /// Comments whose text is being read: the name of the stretch, the remark, the text so far.
    commented: Vec<(&'a str, usize, String)>,
    /// What is printed before the next paragraph.
    marker: Option<String>,
    in_list: bool,
    /// The list, its style and the level of the item being read: deleted items count on in it.
    item: Option<(usize, String, usize)>,
    /// Text boxes of the paragraph being read; they follow it.
    boxes: Vec<Piece>,
    /// Inserted stretches that are open, with their text so far.
    insertions: Vec<(&'a str, String)>,
    /// Inside a table or a box, whose ground may have any colour.
    on_ground: usize,
    hidden_goes_on: bool,
    /// Inside a hidden section or row.
    hidden: Option<&'static str>,
}

impl<'a> Story<'a> {
    pub(super) fn new(context: &'a Context<'a>) -> Story<'a> {
        Story {
            context,
            part: Part::default(),
            notes: Vec::new(),
            masters: BTreeSet::new(),
            lists: Lists::default(),
            pieces: Vec::new(),
            bytes: 0,
            line: String::new(),
            marks: Marks::default(),
            deletion: None,
            commented: Vec::new(),
            marker: None,
            in_list: false,
            item: None,
            boxes: Vec::new(),
            insertions: Vec::new(),
            on_ground: 0,
            hidden_goes_on: false,
            hidden: None,
        }
    }

    /// The blocks below `parent`.
    pub(super) fn read(&mut self, parent: &'a Element) -> Vec<Piece> {
        self.blocks(parent);
        self.end_paragraph(Role::Paragraph);
        std::mem::take(&mut self.pieces)
    }

    /// What was found, with the blocks that `read` gave.
    pub(super) fn into_part(mut self, pieces: Vec<Piece>) -> Part {
        let open = std::mem::take(&mut self.insertions);
        for (id, text) in open {
            self.remark(id, &text);
        }
        self.part.pieces = pieces;
        self.part
    }

    // ---- blocks ----

    fn blocks(&mut self, parent: &'a Element) {
        for element in parent.elements() {
            self.block(element);
        }
    }

    fn block(&mut self, element: &'a Element) {
        if self.bytes > self.context.bytes_max {
            let message = "the text repeats itself past the limit: what follows is not read";
            self.part.cut.get_or_insert(message.to_owned());
            return;
        }
        match (element.ns, &*element.name) {
            (Ns::OdfText, "p") => self.paragraph(element, Role::Paragraph),
            (Ns::OdfText, "h") => {
                let level = element.named("outline-level").and_then(|l| l.parse::<u8>().ok());
                let level = level.unwrap_or(1).clamp(1, 10);
                let counts = !self.in_list
                    && element.named("is-list-header") != Some("true")
                    && !element.deep_text().trim().is_empty();
                if counts {
                    let outline = &self.context.styles.outline;
                    let number = self.lists.heading(outline, usize::from(level) - 1);
                    self.marker = Some(number).filter(|number| !number.is_empty());
                }
                self.paragraph(element, Role::Heading(level));
            }
            (Ns::OdfText, "list") => self.list(element, None),
            (Ns::OdfText, "numbered-paragraph") => {
                self.part.unread.push("the number of a numbered paragraph".to_owned());
                self.blocks(element);
            }
            (Ns::OdfText, "section") => {
                let hidden = matches!(element.named("display"), Some("none"))
                    || element.named("is-hidden") == Some("true");
                self.within(hidden.then_some("hidden section"), |story| story.blocks(element));
            }
            (Ns::OdfText, "change" | "change-start" | "change-end") => self.change(element),
            (Ns::OdfText, "tracked-changes" | "sequence-decls" | "variable-decls") => {}
            (Ns::OdfText, name) if name.ends_with("-source") => {}
            // Contents and indexes: their body holds the printed entries.
            (Ns::OdfText, _) => self.blocks(element),
            (Ns::Odf, "table") => self.table(element),
            (Ns::Odf, "frame" | "custom-shape" | "g" | "rect" | "ellipse" | "line" | "a") => {
                self.frame(element);
                self.pieces.append(&mut self.boxes);
            }
            // A form's controls stand where the text shows them; their definitions are no text.
            _ => {}
        }
    }

    /// Reads what is hidden for `why`, or not hidden at all.
    fn within(&mut self, why: Option<&'static str>, read: impl FnOnce(&mut Self)) {
        let before = self.hidden;
        self.hidden = before.or(why);
        read(self);
        self.hidden = before;
    }

    fn paragraph(&mut self, paragraph: &'a Element, role: Role) {
        let styles = &self.context.styles;
        let style = paragraph.named("style-name");
        self.masters.extend(styles.master("paragraph", style).map(str::to_owned));
        let look = styles.look("paragraph", style);
        let is_hidden = paragraph
            .holds(&|e| &*e.name == "hidden-paragraph" && e.named("is-hidden") == Some("true"));
        self.within(is_hidden.then_some("hidden paragraph"), |story| {
            story.inline(paragraph, &look);
        });
        if self.context.view == View::Redline && !self.insertions.is_empty() {
            self.push(PARAGRAPH_MARK);
        }
        // In the original view an inserted paragraph mark is not there: the next paragraph goes on.
        if self.drops_insertions() {
            return;
        }
        let role =
            if role == Role::Paragraph && self.marker.is_some() { Role::ListItem } else { role };
        self.end_paragraph(role);
    }

    fn drops_insertions(&self) -> bool {
        self.context.view == View::Original && !self.insertions.is_empty()
    }

    fn end_paragraph(&mut self, role: Role) {
        self.marks.close(&mut self.line);
        let line = std::mem::take(&mut self.line);
        let text = line.trim();
        let marker = self.marker.take();
        if !text.is_empty() {
            self.bytes += text.len() as u64;
            let piece = match marker {
                Some(marker) => {
                    let label = marker.trim().trim_end_matches(['.', ':', ',']).trim_end();
                    let label = label.contains(char::is_alphanumeric).then(|| label.to_owned());
                    Piece { role, text: format!("{marker}{text}"), label }
                }
                None => Piece { role, text: text.to_owned(), label: printed_label(text) },
            };
            self.pieces.push(piece);
            self.hidden_goes_on = false;
        }
        self.pieces.append(&mut self.boxes);
    }

    /// A list, or one inside an item of another.
    fn list(&mut self, list: &'a Element, outer: Option<(usize, &str, usize)>) {
        let own = list.named("style-name");
        let (index, style, level) = match outer {
            Some((index, style, level)) => (index, own.unwrap_or(style).to_owned(), level + 1),
            None => {
                let style = own.unwrap_or("").to_owned();
                (self.lists.open(list, &style), style, 0)
            }
        };
        let before = std::mem::replace(&mut self.in_list, true);
        for item in list.elements() {
            let is_item = &*item.name == "list-item";
            if !is_item && &*item.name != "list-header" {
                continue;
            }
            let start = item.named("start-value").and_then(|start| start.parse().ok());
            let mut is_first = is_item;
            for child in item.elements() {
                if &*child.name == "list" {
                    self.list(child, Some((index, &style, level)));
                    continue;
                }
                let is_paragraph = matches!(&*child.name, "p" | "h");
                if is_first && is_paragraph {
                    self.item = Some((index, style.clone(), level));
                    self.count_item(start);
                }
                is_first &= !is_paragraph;
                self.block(child);
            }
        }
        self.in_list = before;
        self.item = None;
    }

    /// Counts an item of the list being read.
    fn count_item(&mut self, start: Option<i64>) {
        let Some((index, style, level)) = &self.item else { return };
        let known = self.context.styles.lists.get(style);
        let label = known.map(|known| self.lists.next(*index, known, *level, start));
        self.marker = label.filter(|label| !label.is_empty());
    }

    // ---- tables ----

    fn table(&mut self, table: &'a Element) {
        self.end_paragraph(Role::Paragraph);
        let style = table.named("style-name");
        self.masters.extend(self.context.styles.master("table", style).map(str::to_owned));
        self.on_ground += 1;
        self.rows(table, false);
        self.on_ground -= 1;
    }

    fn rows(&mut self, parent: &'a Element, in_head: bool) {
        for element in parent.elements() {
            match &*element.name {
                "table-header-rows" => self.rows(element, true),
                "table-rows" | "table-row-group" => self.rows(element, in_head),
                "table-row" => {
                    for _ in 0..repeats(element, "number-rows-repeated") {
                        self.row(element, in_head);
                        if self.bytes > self.context.bytes_max {
                            return;
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn row(&mut self, row: &'a Element, in_head: bool) {
        let is_hidden = matches!(row.named("visibility"), Some("collapse" | "filter"));
        let mut cells = Vec::new();
        for cell in row.elements() {
            let times = repeats(cell, "number-columns-repeated");
            let pieces = match &*cell.name {
                "table-cell" => self.aside(|story| {
                    story.within(is_hidden.then_some("hidden row"), |story| story.blocks(cell));
                }),
                "covered-table-cell" => Vec::new(),
                _ => continue,
            };
            let room = REPEAT_MAX.saturating_sub(cells.len());
            cells.extend(std::iter::repeat_n(pieces, times.min(room)));
        }
        let bytes = cells.iter().flatten().map(|piece: &Piece| piece.text.len() as u64);
        self.bytes += bytes.sum::<u64>();
        lay_out_row(cells, in_head, &mut self.pieces);
    }

    /// Reads something with blocks of its own (a cell, a text box) and hands them back.
    fn aside(&mut self, read: impl FnOnce(&mut Self)) -> Vec<Piece> {
        let pieces = std::mem::take(&mut self.pieces);
        let line = std::mem::take(&mut self.line);
        let marks = std::mem::take(&mut self.marks);
        let boxes = std::mem::take(&mut self.boxes);
        let marker = self.marker.take();
        let in_list = std::mem::replace(&mut self.in_list, false);
        read(self);
        self.end_paragraph(Role::Paragraph);
        (self.line, self.boxes, self.marker, self.in_list) = (line, boxes, marker, in_list);
        self.marks = marks;
        std::mem::replace(&mut self.pieces, pieces)
    }

    // ---- inside a paragraph ----

    fn inline(&mut self, parent: &'a Element, look: &Look) {
        for node in &parent.children {
            match node {
                Node::Text(text) => {
                    // White space collapses, across elements too (ODF 1.3 part 3, 6.1.2).
                    let mut squeezed = String::new();
                    for c in text.chars() {
                        let blank = matches!(c, ' ' | '\t' | '\n' | '\r');
                        let after_blank = match squeezed.chars().last() {
                            Some(last) => last == ' ',
                            None => self.line.ends_with(' '),
                        };
                        if !blank {
                            squeezed.push(c);
                        } else if !after_blank {
                            squeezed.push(' ');
                        }
                    }
                    self.text(&squeezed, look);
                }
                Node::Element(element) => self.element(element, look),
            }
        }
    }

    fn element(&mut self, element: &'a Element, look: &Look) {
        match (element.ns, &*element.name) {
            (Ns::OdfText, "span") => {
                let own = self.context.styles.look("text", element.named("style-name"));
                self.inline(element, &own.over(look));
            }
            (Ns::OdfText, "s") => {
                let count = element.named("c").and_then(|c| c.parse().ok()).unwrap_or(1);
                self.text(&" ".repeat(REPEAT_MAX.min(count)), look);
            }
            (Ns::OdfText, "tab") => self.text("\t", look),
            (Ns::OdfText, "line-break") => self.text("\n", look),
            (Ns::OdfText, "note") => self.note(element, look),
            (Ns::OdfText, "change" | "change-start" | "change-end") => self.change(element),
            (Ns::OdfText, "hidden-text") => {
                let hidden = element.named("is-hidden") != Some("false");
                let text = element.text();
                let text = if text.is_empty() {
                    element.named("string-value").unwrap_or("")
                } else {
                    &text
                };
                self.within(hidden.then_some("hidden text field"), |story| story.text(text, look));
            }
            (Ns::OdfText, "hidden-paragraph") => {}
            (Ns::OdfText, "ruby") => {
                for part in element.elements() {
                    let is_gloss = &*part.name == "ruby-text";
                    self.text(if is_gloss { "(" } else { "" }, look);
                    self.inline(part, look);
                    self.text(if is_gloss { ")" } else { "" }, look);
                }
            }
            (Ns::OdfText, "p" | "h" | "list") => self.block(element),
            (Ns::OdfText, _) => self.inline(element, look),
            (_, "annotation") => self.comment(element),
            (_, "annotation-end") => self.end_comment(element),
            (Ns::Odf, _) => self.frame(element),
            _ => {}
        }
    }

    fn text(&mut self, text: &str, look: &Look) {
        if text.is_empty() {
            return;
        }
        if self.deletion.is_none() {
            for (_, inserted) in &mut self.insertions {
                inserted.push_str(text);
            }
        }
        for (_, _, commented) in &mut self.commented {
            commented.push_str(text);
        }
        if self.drops_insertions() {
            return;
        }
        match self.hidden.or_else(|| look.why(self.on_ground > 0)) {
            None => {
                self.push(text);
                self.hidden_goes_on &= text.trim().is_empty();
            }
            Some(why) => {
                self.part.hide(text, why, self.hidden_goes_on);
                self.hidden_goes_on = true;
            }
        }
    }

    /// Appends to the line what is shown.
    fn push(&mut self, text: &str) {
        if self.context.view != View::Redline {
            return self.line.push_str(text);
        }
        let ids = self.insertions.iter().map(|(id, _)| *id).chain(self.deletion);
        let changes = ids.filter_map(|id| self.context.changes.get(id));
        let changes: Vec<redline::Change> = changes.map(|change| change.about.clone()).collect();
        self.marks.turn(&mut self.line, &changes);
        self.line.push_str(&redline::plain(text));
    }

    fn note(&mut self, note: &'a Element, look: &Look) {
        let is_endnote = note.named("note-class") == Some("endnote");
        let citation =
            note.named_child("note-citation").map(Element::deep_text).unwrap_or_default();
        let mark = match citation.trim().parse::<i64>() {
            Ok(number) if !is_endnote => superscript(number),
            _ => format!("[{}]", citation.trim()),
        };
        self.text(&mark, look);
        if self.drops_insertions() || self.hidden.is_some() {
            return;
        }
        if let Some(body) = note.named_child("note-body") {
            self.notes.push(Note { is_endnote, mark, body });
        }
    }

    fn comment(&mut self, comment: &'a Element) {
        let said = |name: &str| comment.named_child(name).map(Element::text).unwrap_or_default();
        let paragraphs = comment.elements().filter(|e| matches!(&*e.name, "p" | "list" | "h"));
        let text: Vec<String> = paragraphs.map(Element::deep_text).collect();
        let remark =
            Remark::new(RemarkKind::Comment, &said("creator"), &said("date"), &text.join("\n"));
        match comment.named("name") {
            Some(name) => self.commented.push((name, self.part.remarks.len(), String::new())),
            None => self.show_comment(&remark),
        }
        self.part.remarks.push(Remark { block: self.block_index(), ..remark });
    }

    /// The end of the text that a comment is about.
    fn end_comment(&mut self, end: &Element) {
        let is_it = |(name, _, _): &(&str, usize, String)| Some(*name) == end.named("name");
        let Some(at) = self.commented.iter().position(is_it) else { return };
        let (_, index, text) = self.commented.remove(at);
        if let Some(remark) = self.part.remarks.get_mut(index) {
            remark.anchor = text.trim().to_owned();
            let remark = remark.clone();
            self.show_comment(&remark);
        }
    }

    fn show_comment(&mut self, remark: &Remark) {
        if self.context.view == View::Redline {
            let Remark { author, date, anchor, text, .. } = remark;
            self.marks.close(&mut self.line);
            self.line.push_str(&redline::comment(author, date, anchor, text));
        }
    }

    /// The block that is being put together.
    fn block_index(&self) -> Option<u32> {
        u32::try_from(self.pieces.len()).ok().filter(|_| self.on_ground == 0)
    }

    fn change(&mut self, mark: &'a Element) {
        let Some(id) = mark.named("change-id") else { return };
        let Some((&id, change)) = self.context.changes.get_key_value(id) else { return };
        match &*mark.name {
            "change-start" if change.about.kind == RemarkKind::Insertion => {
                self.insertions.push((id, String::new()));
            }
            "change-end" => {
                if let Some(at) = self.insertions.iter().position(|(open, _)| *open == id) {
                    let (_, text) = self.insertions.remove(at);
                    self.remark(id, &text);
                }
            }
            "change" => {
                let Some(content) = change.content else { return };
                let paragraphs = deleted_paragraphs(content);
                let texts: Vec<String> = paragraphs.iter().map(|p| p.deep_text()).collect();
                self.remark(id, &texts.join("\n"));
                if self.context.view == View::Redline {
                    self.show_deleted(id, &paragraphs);
                }
                if self.context.view == View::Original {
                    let look = Look::default();
                    for (index, paragraph) in paragraphs.into_iter().enumerate() {
                        if index > 0 {
                            let is_item = self.marker.is_some();
                            self.end_paragraph(if is_item {
                                Role::ListItem
                            } else {
                                Role::Paragraph
                            });
                            if is_item {
                                self.count_item(None);
                            }
                        }
                        self.inline(paragraph, &look);
                    }
                }
            }
            _ => {}
        }
    }

    /// Deleted text in the line where it was, with the marks between its paragraphs.
    fn show_deleted(&mut self, id: &'a str, paragraphs: &[&'a Element]) {
        self.deletion = Some(id);
        for (index, paragraph) in paragraphs.iter().enumerate() {
            if index > 0 {
                self.push(PARAGRAPH_MARK);
                self.push("\n");
            }
            self.inline(paragraph, &Look::default());
        }
        self.deletion = None;
    }

    fn remark(&mut self, id: &str, text: &str) {
        let Some(change) = self.context.changes.get(id) else { return };
        let redline::Change { kind, author, date, .. } = &change.about;
        if !text.trim().is_empty() {
            let remark = Remark::new(*kind, author, date, text.trim());
            self.part.remarks.push(Remark { block: self.block_index(), ..remark });
        }
    }

    /// A picture, a shape or a text box: what is written in it follows the paragraph.
    fn frame(&mut self, frame: &'a Element) {
        self.on_ground += 1;
        let pieces = self.aside(|story| story.frame_content(frame));
        self.on_ground -= 1;
        self.boxes.extend(pieces);
    }

    fn frame_content(&mut self, frame: &'a Element) {
        for element in frame.elements() {
            match (element.ns, &*element.name) {
                (_, "image" | "object" | "object-ole" | "plugin" | "control") => {
                    let has_picture =
                        frame.elements().next().is_some_and(|first| first.name == element.name);
                    // An object's picture stands beside it.
                    self.part.pictures += usize::from(has_picture);
                }
                (Ns::OdfText, _) | (Ns::Odf, "table") => self.block(element),
                (_, "annotation") => self.comment(element),
                (Ns::Odf, "title" | "desc") => {}
                (Ns::Odf, _) => self.frame_content(element),
                _ => {}
            }
        }
    }
}

/// Paragraphs of deleted text, out of the lists that they lay in.
fn deleted_paragraphs(content: &Element) -> Vec<&Element> {
    let mut paragraphs = Vec::new();
    for element in content.elements() {
        match &*element.name {
            "p" | "h" => paragraphs.push(element),
            "change-info" => {}
            _ => paragraphs.extend(deleted_paragraphs(element)),
        }
    }
    paragraphs
}

fn repeats(element: &Element, name: &str) -> usize {
    let times = element.named(name).and_then(|times| times.parse().ok()).unwrap_or(1);
    REPEAT_MAX.min(times)
}
