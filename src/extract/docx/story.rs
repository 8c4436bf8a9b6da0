//! One story of a DOCX (the body, a note, a header, a comment, a text box) → blocks of text, as one
//! view of its tracked changes shows them. Does not open parts or make pages.

use std::collections::HashMap;

use super::super::View;
use super::super::document::{Hidden, Remark, RemarkKind, Role};
use super::super::labels::printed_label;
use super::super::parts::{Part, Piece, lay_out_row};
use super::super::redline::{self, Change, Marks, PARAGRAPH_MARK};
use super::super::xml::{Element, Ns};
use super::numbering::{Counters, Numbering, format_number};
use super::styles::{NumberingRef, Styles, is_on, is_shaded, toggle};

/// What all stories of a document share.
pub(super) struct Context {
    pub(super) view: View,
    pub(super) styles: Styles,
    pub(super) numbering: Numbering,
    /// By their id.
    pub(super) comments: HashMap<String, Comment>,
    /// Documents inside the document (`w:altChunk`), by their relation.
    pub(super) chunks: HashMap<String, Part>,
}

/// A comment; what it is about stands in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Comment {
    pub(super) author: String,
    pub(super) date: String,
    pub(super) text: String,
}

/// A footnote or endnote that the text points to, in order of first mention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NoteMention {
    pub(super) is_endnote: bool,
    pub(super) id: String,
    /// As printed at the mention; empty where the author set a mark by hand.
    pub(super) mark: String,
}

/// A header or footer that a section asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Margin {
    pub(super) is_footer: bool,
    /// "default", "first" or "even".
    pub(super) kind: String,
    pub(super) relation: String,
    /// Whether the section shows its first page differently.
    pub(super) title_page: bool,
}

/// Reads a story. `counters` belong to it alone.
pub(super) struct Story<'a> {
    context: &'a Context,
    counters: Counters,
    /// What was found beside the blocks.
    pub(super) part: Part,
    pub(super) mentions: Vec<NoteMention>,
    pub(super) margins: Vec<Margin>,
    blocks: Vec<Piece>,
    line: Line,
    /// Text boxes of the paragraph being read; they follow it.
    boxes: Vec<Piece>,
    fields: Vec<Field>,
    changes: Vec<Change>,
    /// How many enclosing changes take the text out of this view.
    dropped: usize,
    /// Inside a table or a text box, whose ground may have any colour.
    on_ground: usize,
    /// Whether more text of the same change goes on with the last remark.
    remark_open: bool,
    /// Comments whose text is being read, with the text so far.
    commented: Vec<(&'a str, String)>,
    /// Comments whose text has been read.
    anchors: HashMap<&'a str, String>,
    /// The names of the moves seen so far; their order numbers them.
    moves: Vec<&'a str>,
    /// The moves whose text is being read: away from here, to here.
    moving: [Option<usize>; 2],
    /// Moves away from places that have been told.
    told: Vec<Change>,
    /// Comments that the text points to.
    pub(super) comments_seen: Vec<&'a str>,
    /// The block that holds the cell or text box being read, if one is.
    outer_block: Option<usize>,
}

/// The paragraph being put together; a removed paragraph mark lets the next one go on with it.
#[derive(Default)]
struct Line {
    text: String,
    /// Changes that are open in the text, where the view shows them.
    marks: Marks,
    /// Whether some of the text is still part of the document.
    has_kept: bool,
    /// The style of the paragraph being read.
    style: Option<String>,
    /// A hidden paragraph mark joined this line's first paragraph with what follows: its number and
    /// role are those of the first.
    lead: Option<(Role, Option<String>)>,
}

/// Where a complex field stands.
struct Field {
    instruction: String,
    in_result: bool,
    has_result: bool,
}

impl Line {
    fn push(&mut self, text: &str, changes: &[Change], view: View) {
        if view != View::Redline {
            return self.text.push_str(text);
        }
        self.marks.turn(&mut self.text, changes);
        self.text.push_str(&redline::plain(text));
        self.has_kept |= !text.trim().is_empty() && !changes.iter().any(Change::takes_away);
    }
}

impl<'a> Story<'a> {
    pub(super) fn new(context: &'a Context) -> Story<'a> {
        Story {
            context,
            counters: Counters::default(),
            part: Part::default(),
            mentions: Vec::new(),
            margins: Vec::new(),
            blocks: Vec::new(),
            line: Line::default(),
            boxes: Vec::new(),
            fields: Vec::new(),
            changes: Vec::new(),
            dropped: 0,
            on_ground: 0,
            remark_open: false,
            commented: Vec::new(),
            anchors: HashMap::new(),
            moves: Vec::new(),
            moving: [None; 2],
            told: Vec::new(),
            comments_seen: Vec::new(),
            outer_block: None,
        }
    }

    /// The blocks below `parent` (`w:body`, `w:footnote`, `w:hdr`, …).
    pub(super) fn read(&mut self, parent: &'a Element) -> Vec<Piece> {
        self.block_children(parent);
        self.end_paragraph(None);
        std::mem::take(&mut self.blocks)
    }

    // ---- blocks ----

    fn block_children(&mut self, parent: &'a Element) {
        for element in parent.elements() {
            self.block(element);
        }
    }

    fn block(&mut self, element: &'a Element) {
        if element.ns == Ns::Compatibility && &*element.name == "AlternateContent" {
            if let Some(branch) = chosen_branch(element) {
                self.block_children(branch);
            }
            return;
        }
        if element.ns == Ns::Math {
            self.math(element);
            return self.end_paragraph(None);
        }
        if element.ns != Ns::Word {
            return;
        }
        match &*element.name {
            "p" => self.paragraph(element),
            "tbl" => {
                self.end_paragraph(None);
                self.table(element);
            }
            "sdt" => {
                if let Some(content) = element.child("sdtContent") {
                    self.block_children(content);
                }
            }
            "customXml" | "smartTag" => self.block_children(element),
            "ins" | "moveTo" | "del" | "moveFrom" => {
                self.changed(element, |story| story.block_children(element));
            }
            "sectPr" => self.section(element),
            "commentRangeStart" | "commentRangeEnd" | "moveFromRangeStart" | "moveFromRangeEnd"
            | "moveToRangeStart" | "moveToRangeEnd" => self.range(element),
            "altChunk" => self.chunk(element),
            // A run outside of a paragraph is wrong, but its text was meant to be read.
            "r" => self.run(element),
            _ => {}
        }
    }

    fn paragraph(&mut self, paragraph: &'a Element) {
        let marked = paragraph.child("pPr");
        let properties = self.properties_in_view(marked);
        self.line.style = properties.and_then(|p| p.child_val("pStyle")).map(str::to_owned);
        for element in paragraph.elements().filter(|element| !element.is_word("pPr")) {
            self.inline(element);
        }
        if let Some(section) = marked.and_then(|properties| properties.child("sectPr")) {
            self.section(section);
        }
        let mark = marked.and_then(|properties| properties.child("rPr"));
        let goes_on = mark.is_some_and(|mark| self.changed_mark(mark));
        if goes_on || self.dropped > 0 {
            // Goes on in the next paragraph, whose properties the joined one has.
            self.remark_open = false;
            return;
        }
        if self.context.view == View::Redline && self.changes.iter().any(Change::takes_away) {
            return self.end_uncounted();
        }
        if toggle(self.properties_in_view(mark), "vanish") == Some(true) {
            // A hidden mark, such as Word's style separator, prints the next paragraph in the same
            // line; a paragraph that is hidden whole is not there and has no number.
            if !self.line.text.trim().is_empty() && self.line.lead.is_none() {
                let lead = self.number_and_role(properties);
                self.line.lead = Some(lead);
            }
            return;
        }
        self.end_paragraph(Some(properties));
    }

    /// The properties (`w:pPr`, `w:rPr`, …), or what they were before they were changed.
    fn properties_in_view<'p>(&self, properties: Option<&'p Element>) -> Option<&'p Element> {
        let now = properties.filter(|_| self.context.view == View::Original);
        let change = now.and_then(|now| Some((now.child(&format!("{}Change", now.name))?, now)));
        match change {
            Some((change, now)) => change.child(&now.name),
            None => properties,
        }
    }

    /// Notes how a paragraph mark was changed. Returns whether the view removes it, so that the next
    /// paragraph goes on in the same line.
    fn changed_mark(&mut self, mark: &'a Element) -> bool {
        let names = ["ins", "moveTo", "del", "moveFrom"];
        let changes = names.iter().filter_map(|name| mark.child(name));
        let changes: Vec<Change> = changes.map(|change| self.change_of(change)).collect();
        let depth = self.changes.len();
        let is_moved_away = changes.iter().any(|change| change.kind == RemarkKind::MovedAway);
        let is_removed = changes.iter().any(|change| self.removes(change));
        for change in changes {
            if !self.changes.contains(&change) {
                self.changes.push(change);
            }
        }
        if self.changes.len() > depth {
            self.remark(PARAGRAPH_MARK);
        }
        let taken_away = self.changes.iter().any(Change::takes_away);
        if self.context.view == View::Redline && self.dropped == 0 {
            if self.changes.len() > depth && !is_moved_away {
                self.line.marks.turn(&mut self.line.text, &self.changes);
                self.line.text.push_str(PARAGRAPH_MARK);
            }
            self.line.marks.close(&mut self.line.text);
            self.changes.truncate(depth);
            if taken_away && self.line.has_kept {
                self.line.text.push('\n');
                return true;
            }
            if taken_away {
                // Nothing of it is left, and it has no number.
                self.end_uncounted();
                return true;
            }
            return false;
        }
        self.changes.truncate(depth);
        is_removed
    }

    /// Whether this view leaves out what the change is about. A move is shown where it went.
    fn removes(&self, change: &Change) -> bool {
        match self.context.view {
            View::Accepted => change.takes_away(),
            View::Original => !change.takes_away(),
            View::Redline => change.kind == RemarkKind::MovedAway,
        }
    }

    /// Puts a paragraph that is no longer part of the document among the blocks.
    fn end_uncounted(&mut self) {
        self.line.marks.close(&mut self.line.text);
        let text = std::mem::take(&mut self.line.text).trim().to_owned();
        if !text.is_empty() {
            self.blocks.push(Piece { role: Role::Paragraph, text, label: None });
        }
        self.line = Line::default();
        self.remark_open = false;
        self.blocks.append(&mut self.boxes);
    }

    /// Puts the paragraph among the blocks. `properties` is none where no paragraph mark ends it: at
    /// the end of a cell or before a table.
    fn end_paragraph(&mut self, properties: Option<Option<&Element>>) {
        self.line.marks.close(&mut self.line.text);
        let is_blank = self.line.text.trim().is_empty();
        if properties.is_some() || !is_blank {
            let (role, prefix) = match self.line.lead.take() {
                Some(lead) => lead,
                None => self.number_and_role(properties.flatten()),
            };
            let line = std::mem::take(&mut self.line.text);
            let text = line.trim();
            let (text, label) = match prefix {
                Some(number) => (format!("{number}{text}"), clean_label(&number)),
                None => (text.to_owned(), printed_label(text)),
            };
            if !text.trim().is_empty() {
                self.blocks.push(Piece { role, text, label });
            }
        }
        self.line = Line::default();
        self.remark_open = false;
        self.blocks.append(&mut self.boxes);
    }

    /// Counts the paragraph, and gives its role and the printed number with what separates it.
    fn number_and_role(&mut self, properties: Option<&Element>) -> (Role, Option<String>) {
        let Context { styles, numbering, .. } = self.context;
        let style = properties.and_then(|p| p.child_val("pStyle"));
        let heading = styles.heading(style, properties);
        let mut direct = NumberingRef::of(properties);
        let inserted = properties
            .and_then(|properties| properties.child("numPr"))
            .is_some_and(|num_pr| num_pr.child("ins").is_some());
        if inserted && self.context.view == View::Original {
            direct = NumberingRef::default();
        }
        let linked = |num: &str, style: &str| numbering.linked_level(num, style);
        let number = styles
            .numbering(style, direct, linked)
            .filter(|(num_id, _)| num_id != "0")
            .and_then(|(num_id, level)| numbering.next(&mut self.counters, &num_id, level));
        let role = match (heading, &number) {
            (Some(level), _) => Role::Heading(level),
            (None, Some(_)) => Role::ListItem,
            (None, None) => Role::Paragraph,
        };
        let prefix = number.filter(|number| !number.text.trim().is_empty());
        (role, prefix.map(|number| number.text + number.suffix))
    }

    fn section(&mut self, section: &'a Element) {
        let title_page = toggle(self.properties_in_view(Some(section)), "titlePg").unwrap_or(false);
        for element in section.elements().filter(|element| element.ns == Ns::Word) {
            let is_footer = match &*element.name {
                "headerReference" => false,
                "footerReference" => true,
                _ => continue,
            };
            let Some(relation) = element.attribute(Ns::Relation, "id") else { continue };
            self.margins.push(Margin {
                is_footer,
                kind: element.word("type").unwrap_or("default").to_owned(),
                relation: relation.to_owned(),
                title_page,
            });
        }
    }

    // ---- tables ----

    fn table(&mut self, table: &'a Element) {
        self.on_ground += 1;
        let look = table.child("tblPr").and_then(|properties| properties.child("tblLook"));
        let first_row_stands_out = look.is_some_and(|look| match look.word("firstRow") {
            Some(value) => is_on(value),
            None => {
                let bits = look.word("val").and_then(|value| u32::from_str_radix(value, 16).ok());
                bits.is_some_and(|bits| bits & 0x20 != 0)
            }
        });
        let mut rows = Vec::new();
        collect(table, "tr", &mut rows);
        let several = rows.len() > 1;
        let mut is_first = true;
        for row in rows {
            let printed = self.row(row, is_first && several && first_row_stands_out);
            is_first &= !printed;
        }
        self.on_ground -= 1;
    }

    /// Returns whether the row is in this view.
    fn row(&mut self, row: &'a Element, may_be_header: bool) -> bool {
        let properties = row.child("trPr");
        let changes = self.changes_in(properties, ["ins", "del"]);
        if let Some(change) = changes.iter().find(|change| self.removes(change)) {
            self.dropped_content(change.clone(), |story| {
                story.aside(|story| story.block_children_of_cells(row));
            });
            return false;
        }
        let depth = self.changes.len();
        self.changes.extend(changes);
        let mut elements = Vec::new();
        collect(row, "tc", &mut elements);
        let mut cells: Vec<Vec<Piece>> = Vec::new();
        for cell in elements {
            let properties = cell.child("tcPr");
            let changes = self.changes_in(properties, ["cellIns", "cellDel"]);
            if let Some(change) = changes.iter().find(|change| self.removes(change)) {
                self.dropped_content(change.clone(), |story| {
                    story.aside(|story| story.block_children(cell));
                });
            } else if properties.is_some_and(|properties| self.goes_on_from_above(properties)) {
                // Its content is not printed; its column is.
                cells.push(Vec::new());
            } else {
                let depth = self.changes.len();
                self.changes.extend(changes);
                cells.push(self.aside(|story| story.block_children(cell)));
                self.changes.truncate(depth);
            }
        }
        self.changes.truncate(depth);
        let header = toggle(self.properties_in_view(properties), "tblHeader").unwrap_or(false)
            || (may_be_header && cells.len() > 1 && is_bold(row));
        lay_out_row(cells, header, &mut self.blocks);
        true
    }

    /// The changes that a row or a cell as a whole bears; what was inserted may have been deleted since.
    fn changes_in(&self, properties: Option<&'a Element>, names: [&str; 2]) -> Vec<Change> {
        let changes = names.iter().filter_map(|name| properties?.child(name));
        changes.map(|change| self.change_of(change)).collect()
    }

    fn block_children_of_cells(&mut self, row: &'a Element) {
        let mut cells = Vec::new();
        collect(row, "tc", &mut cells);
        for cell in cells {
            self.block_children(cell);
        }
    }

    /// Whether a cell continues a vertically merged one.
    fn goes_on_from_above(&self, properties: &Element) -> bool {
        if let Some(change) = properties.child("cellMerge") {
            let name = match self.context.view {
                View::Accepted | View::Redline => "vMerge",
                View::Original => "vMergeOrig",
            };
            return change.word(name) == Some("cont");
        }
        let merge = self.properties_in_view(Some(properties)).and_then(|it| it.child("vMerge"));
        merge.is_some_and(|merge| merge.word("val") != Some("restart"))
    }

    /// Reads something with blocks of its own (a cell, a text box) and hands them back.
    fn aside(&mut self, read: impl FnOnce(&mut Self)) -> Vec<Piece> {
        let blocks = std::mem::take(&mut self.blocks);
        let line = std::mem::take(&mut self.line);
        let boxes = std::mem::take(&mut self.boxes);
        let fields = std::mem::take(&mut self.fields);
        let outer_block = self.outer_block;
        self.outer_block = outer_block.or(Some(blocks.len()));
        read(self);
        self.end_paragraph(None);
        self.outer_block = outer_block;
        self.fields = fields;
        self.boxes = boxes;
        self.line = line;
        std::mem::replace(&mut self.blocks, blocks)
    }

    // ---- tracked changes ----

    /// Reads what stands in `w:ins`, `w:del`, `w:moveTo` or `w:moveFrom`.
    fn changed(&mut self, element: &'a Element, read: impl FnOnce(&mut Self)) {
        let change = self.change_of(element);
        if self.removes(&change) {
            if self.context.view == View::Redline && self.dropped == 0 {
                self.trace(&change);
            }
            return self.dropped_content(change, read);
        }
        // Beside the text that is, a field of the text that was begins and ends for itself.
        let is_beside = change.takes_away() && self.context.view == View::Redline;
        let fields = is_beside.then(|| std::mem::take(&mut self.fields));
        self.changes.push(change);
        read(self);
        self.changes.pop();
        if let Some(fields) = fields {
            self.fields = fields;
        }
    }

    fn change_of(&self, element: &Element) -> Change {
        let word = |name| element.word(name).unwrap_or("");
        let (kind, moving) = match &*element.name {
            "moveTo" => (RemarkKind::MovedHere, self.moving[1]),
            "moveFrom" => (RemarkKind::MovedAway, self.moving[0]),
            "ins" | "cellIns" => (RemarkKind::Insertion, None),
            _ => (RemarkKind::Deletion, None),
        };
        let moved = moving.map_or(String::new(), |index| format!("move {}", index + 1));
        Change { moved, ..Change::new(kind, word("author"), word("date")) }
    }

    /// Tells once that a move went away from here.
    fn trace(&mut self, change: &Change) {
        if self.told.contains(change) {
            return;
        }
        self.line.marks.close(&mut self.line.text);
        self.line.text.push_str(&change.trace());
        self.told.push(change.clone());
    }

    /// Begins or ends a stretch of the text that a comment or a move is about.
    fn range(&mut self, mark: &'a Element) {
        let id = mark.word("id").unwrap_or("");
        let side = usize::from(mark.name.starts_with("moveTo"));
        match &*mark.name {
            "commentRangeStart" => self.commented.push((id, String::new())),
            "commentRangeEnd" => {
                if let Some(at) = self.commented.iter().position(|(open, _)| *open == id) {
                    let (id, text) = self.commented.remove(at);
                    self.anchors.insert(id, text);
                }
            }
            "moveFromRangeStart" | "moveToRangeStart" => {
                let name = mark.word("name").unwrap_or("");
                let known = self.moves.iter().position(|other| *other == name);
                self.moving[side] = Some(known.unwrap_or(self.moves.len()));
                if known.is_none() {
                    self.moves.push(name);
                }
            }
            _ => self.moving[side] = None,
        }
    }

    /// A comment, where the text points to it.
    fn comment(&mut self, reference: &'a Element) {
        let id = reference.word("id").unwrap_or("");
        let Some(comment) = self.context.comments.get(id) else { return };
        let anchor = self.anchors.remove(id).unwrap_or_default();
        self.comments_seen.push(id);
        let Comment { author, date, text } = comment;
        if self.context.view == View::Redline && self.dropped == 0 {
            self.line.marks.close(&mut self.line.text);
            self.line.text.push_str(&redline::comment(author, date, &anchor, text));
        }
        self.part.remarks.push(Remark {
            anchor: anchor.trim().to_owned(),
            block: self.block_index(),
            ..Remark::new(RemarkKind::Comment, author, date, text)
        });
        self.remark_open = false;
    }

    /// Reads what this view does not show, for the remark alone. A field that begins or ends in it
    /// does not do so here.
    fn dropped_content(&mut self, change: Change, read: impl FnOnce(&mut Self)) {
        self.changes.push(change);
        self.dropped += 1;
        let fields = std::mem::take(&mut self.fields);
        read(self);
        self.fields = fields;
        self.dropped -= 1;
        self.changes.pop();
    }

    /// The block that is being put together.
    fn block_index(&self) -> Option<u32> {
        u32::try_from(self.outer_block.unwrap_or(self.blocks.len())).ok()
    }

    fn remark(&mut self, text: &str) {
        let block = self.block_index();
        let Some(change) = self.changes.last() else {
            self.remark_open = false;
            return;
        };
        let last = self.part.remarks.last_mut().filter(|last| {
            self.remark_open
                && (last.kind, &last.author, &last.date)
                    == (change.kind, &change.author, &change.date)
        });
        match last {
            Some(last) => last.text.push_str(text),
            None => {
                let Change { kind, author, date, .. } = change;
                let remark = Remark::new(*kind, author, date, text);
                self.part.remarks.push(Remark { block, ..remark });
            }
        }
        self.remark_open = true;
    }

    /// A document inside the document: its blocks follow.
    fn chunk(&mut self, chunk: &'a Element) {
        self.end_paragraph(None);
        let relation = chunk.attribute(Ns::Relation, "id").unwrap_or("");
        let Some(read) = self.context.chunks.get(relation).filter(|_| self.dropped == 0) else {
            return self.part.unread.push("an embedded document (altChunk)".to_owned());
        };
        self.blocks.extend(read.pieces.iter().cloned());
        self.part.hidden.extend(read.hidden.iter().cloned());
        self.part.remarks.extend(read.remarks.iter().cloned());
        self.part.unread.extend(read.unread.iter().cloned());
        self.part.pictures += read.pictures;
    }

    // ---- inside a paragraph ----

    fn inline_children(&mut self, parent: &'a Element) {
        for element in parent.elements() {
            self.inline(element);
        }
    }

    fn inline(&mut self, element: &'a Element) {
        match element.ns {
            Ns::Compatibility if &*element.name == "AlternateContent" => {
                if let Some(branch) = chosen_branch(element) {
                    self.inline_children(branch);
                }
            }
            Ns::Math => self.math(element),
            Ns::Word => match &*element.name {
                "r" => self.run(element),
                "ins" | "moveTo" | "del" | "moveFrom" => {
                    self.changed(element, |story| story.inline_children(element));
                }
                "hyperlink" | "smartTag" | "customXml" | "dir" | "bdo" | "fldSimple" => {
                    self.inline_children(element);
                }
                "sdt" => {
                    if let Some(content) = element.child("sdtContent") {
                        self.inline_children(content);
                    }
                }
                "commentRangeStart" | "commentRangeEnd" | "moveFromRangeStart"
                | "moveFromRangeEnd" | "moveToRangeStart" | "moveToRangeEnd" => self.range(element),
                "subDoc" => self.part.unread.push("a linked subdocument".to_owned()),
                // A paragraph inside a paragraph is wrong, but its text was meant to be read.
                "p" => self.paragraph(element),
                _ => {}
            },
            _ => {}
        }
    }

    fn run(&mut self, run: &'a Element) {
        let why = self.hidden_why(self.properties_in_view(run.child("rPr")));
        for element in run.elements() {
            self.run_content(element, why);
        }
    }

    /// Why a reader of the page does not see this run, if so.
    fn hidden_why(&self, properties: Option<&Element>) -> Option<&'static str> {
        let styles = &self.context.styles;
        let style = self.line.style.as_deref();
        if styles.vanish(style, properties) {
            return Some("w:vanish");
        }
        let properties = properties?;
        // Half points: 3 is 1.5 pt.
        let size = properties.child_val("sz").and_then(|size| size.parse::<u32>().ok());
        if size.is_some_and(|size| size < 4) {
            return Some("under 2 pt");
        }
        let colour = properties.child_val("color").unwrap_or("auto");
        let is_white = colour.eq_ignore_ascii_case("ffffff");
        let on_ground =
            self.on_ground > 0 || is_shaded(properties) || styles.shaded(style, Some(properties));
        (is_white && !on_ground).then_some("white on white")
    }

    fn run_content(&mut self, element: &'a Element, why: Option<&'static str>) {
        match element.ns {
            Ns::Compatibility if &*element.name == "AlternateContent" => {
                if let Some(branch) = chosen_branch(element) {
                    for element in branch.elements() {
                        self.run_content(element, why);
                    }
                }
                return;
            }
            Ns::Math => return self.math(element),
            Ns::Word => {}
            _ => return,
        }
        match &*element.name {
            "t" | "delText" => self.text(&element.text(), why),
            "tab" | "ptab" => self.text("\t", why),
            "br" | "cr" => self.text("\n", why),
            "noBreakHyphen" => self.text("-", why),
            "sym" => {
                let code = element.word("char").and_then(|code| u32::from_str_radix(code, 16).ok());
                if let Some(c) = code.and_then(|code| symbol(code, element.word("font"))) {
                    self.text(c.encode_utf8(&mut [0; 4]), why);
                }
            }
            "footnoteReference" | "endnoteReference" => self.mention(element, why),
            "commentReference" => self.comment(element),
            "fldChar" => self.field_mark(element, why),
            "instrText" => {
                if let Some(field) = self.fields.last_mut().filter(|field| !field.in_result) {
                    field.instruction.push_str(&element.text());
                }
            }
            "drawing" | "pict" | "object" => self.drawing(element),
            "ruby" => {
                for part in ["rubyBase", "rt"] {
                    let Some(content) = element.child(part) else { continue };
                    self.text(if part == "rt" { "(" } else { "" }, why);
                    self.inline_children(content);
                    self.text(if part == "rt" { ")" } else { "" }, why);
                }
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &str, why: Option<&'static str>) {
        if text.is_empty() || self.fields.iter().any(|field| !field.in_result) {
            return;
        }
        self.remark(text);
        for (_, commented) in &mut self.commented {
            commented.push_str(text);
        }
        if self.dropped > 0 {
            return;
        }
        let Some(why) = why else { return self.line.push(text, &self.changes, self.context.view) };
        match self.part.hidden.last_mut() {
            Some(last) if last.why == why && !last.text.ends_with('\n') => last.text.push_str(text),
            _ => self.part.hidden.push(Hidden { text: text.to_owned(), why: why.to_owned() }),
        }
    }

    fn field_mark(&mut self, mark: &Element, why: Option<&'static str>) {
        match mark.word("fldCharType") {
            Some("begin") => {
                let state = mark.child("ffData").and_then(form_field);
                if let Some(state) = state {
                    self.text(&state, why);
                }
                let field =
                    Field { instruction: String::new(), in_result: false, has_result: false };
                self.fields.push(field);
            }
            Some("separate") => {
                if let Some(field) = self.fields.last_mut() {
                    (field.in_result, field.has_result) = (true, true);
                }
            }
            Some("end") => {
                let ended = self.fields.pop();
                let is_list_number = |field: &Field| {
                    !field.has_result && field.instruction.trim_start().starts_with("LISTNUM")
                };
                if ended.as_ref().is_some_and(is_list_number) && self.dropped == 0 {
                    self.part.unread.push("a LISTNUM field's number".to_owned());
                }
            }
            _ => {}
        }
    }

    fn mention(&mut self, reference: &'a Element, why: Option<&'static str>) {
        let Some(id) = reference.word("id") else { return };
        if self.dropped > 0 {
            return;
        }
        let is_endnote = &*reference.name == "endnoteReference";
        let by_hand = reference.word("customMarkFollows").is_some_and(is_on);
        let same_kind =
            |mention: &&NoteMention| mention.is_endnote == is_endnote && !mention.mark.is_empty();
        let count = self.mentions.iter().filter(same_kind).count() as i64 + 1;
        let mark = match (by_hand, is_endnote) {
            (true, _) => String::new(),
            (false, false) => superscript(count),
            // Word numbers endnotes in small Roman numerals unless told otherwise.
            (false, true) => format!("[{}]", format_number(count, "lowerRoman")),
        };
        self.text(&mark, why);
        self.mentions.push(NoteMention { is_endnote, id: id.to_owned(), mark });
    }

    /// A picture, a shape or an embedded object: its text boxes follow the paragraph.
    fn drawing(&mut self, drawing: &'a Element) {
        let mut boxes = Vec::new();
        collect_boxes(drawing, &mut boxes);
        let is_picture = |element: &Element| {
            matches!(&*element.name, "blip" | "imagedata" | "OLEObject" | "chart" | "relIds")
        };
        if drawing.holds(&is_picture) && self.dropped == 0 {
            self.part.pictures += 1;
        }
        self.on_ground += 1;
        for content in boxes {
            let pieces = self.aside(|story| story.block_children(content));
            self.boxes.extend(pieces);
        }
        self.on_ground -= 1;
    }

    /// A formula in one line.
    fn math(&mut self, element: &'a Element) {
        if element.ns == Ns::Word {
            return match &*element.name {
                "ins" | "del" | "moveTo" | "moveFrom" => {
                    self.changed(element, |story| element.elements().for_each(|e| story.math(e)));
                }
                "r" => self.run(element),
                _ => {}
            };
        }
        let between = match &*element.name {
            "t" => return self.text(&element.text(), None),
            "r" => "",
            "f" => "/",
            "sSup" | "sPre" => "^",
            "sSub" => "_",
            _ => "",
        };
        let mut printed = false;
        for child in element.elements() {
            let is_part = matches!(&*child.name, "e" | "num" | "den" | "sup" | "sub" | "deg");
            let before = self.line.text.len();
            if is_part && printed {
                self.text(between, None);
            }
            let start = self.line.text.len();
            self.math(child);
            if self.line.text.len() > start {
                printed |= is_part;
            } else if start > before && self.context.view != View::Redline {
                // The part is not in this view.
                self.line.text.truncate(before);
            }
        }
    }
}

/// The one branch of `mc:AlternateContent` that is read: the first choice that holds text, since
/// fallbacks repeat it; else the fallback.
fn chosen_branch(element: &Element) -> Option<&Element> {
    let has_text = |branch: &Element| {
        branch.holds(&|e| e.is_word("t") || e.is_word("txbxContent") || &*e.name == "blip")
    };
    let branches = || element.elements().filter(|branch| branch.ns == Ns::Compatibility);
    branches()
        .find(|branch| &*branch.name == "Choice" && has_text(branch))
        .or_else(|| branches().find(|branch| &*branch.name == "Fallback"))
        .or_else(|| branches().next())
}

/// Rows of a table or cells of a row, through content controls and custom XML.
fn collect<'e>(parent: &'e Element, name: &str, found: &mut Vec<&'e Element>) {
    for element in parent.elements() {
        if element.is_word(name) {
            found.push(element);
        } else if ["sdt", "sdtContent", "customXml", "ins", "moveTo"]
            .iter()
            .any(|n| element.is_word(n))
        {
            collect(element, name, found);
        }
    }
}

/// Text box contents below a drawing, the outermost of each nest.
fn collect_boxes<'e>(element: &'e Element, found: &mut Vec<&'e Element>) {
    if element.ns == Ns::Compatibility && &*element.name == "AlternateContent" {
        if let Some(branch) = chosen_branch(element) {
            collect_boxes(branch, found);
        }
        return;
    }
    for child in element.elements() {
        if child.is_word("txbxContent") {
            found.push(child);
        } else {
            collect_boxes(child, found);
        }
    }
}

/// Whether every run of the row that has text is bold.
fn is_bold(row: &Element) -> bool {
    let bold = |run: &Element| toggle(run.child("rPr"), "b").unwrap_or(false);
    let plain = |run: &Element| run.is_word("r") && run.child("t").is_some() && !bold(run);
    row.holds(&|element| element.is_word("t")) && !row.holds(&plain)
}

/// What a legacy form field shows that has no result of its own: a check box, a drop-down.
fn form_field(field: &Element) -> Option<String> {
    if let Some(check_box) = field.child("checkBox") {
        let checked = toggle(Some(check_box), "checked").or(toggle(Some(check_box), "default"));
        return Some(if checked.unwrap_or(false) { "☒" } else { "☐" }.to_owned());
    }
    let list = field.child("ddList")?;
    let chosen = list.child_val("result").or(list.child_val("default"));
    let chosen: usize = chosen.and_then(|index| index.parse().ok()).unwrap_or(0);
    let entries = list.elements().filter(|element| element.is_word("listEntry"));
    entries.map(|entry| entry.word("val").unwrap_or("").to_owned()).nth(chosen)
}

/// A character of a symbol font as Unicode.
pub(in super::super) fn symbol(code: u32, font: Option<&str>) -> Option<char> {
    let is_wingdings = font.is_some_and(|font| font.to_ascii_lowercase().starts_with("wingdings"));
    Some(match (code & 0xFF, is_wingdings) {
        _ if !(0xF000..=0xF0FF).contains(&code) => char::from_u32(code)?,
        (0xA8 | 0x6F | 0x71 | 0x72, true) => '☐',
        (0xFD | 0xFE | 0x78, true) => '☒',
        (0xFC | 0x50, true) => '✓',
        (0xFB, true) => '✗',
        (0xE0 | 0xE8, true) => '→',
        (0x4A, true) => '☺',
        (0xB7, _) => '•',
        (0xA7, _) => '§',
        (0xA8, _) => '♦',
        (0xB0, _) => '°',
        (0xB1, _) => '±',
        (0xA3, _) => '≤',
        (0xB3, _) => '≥',
        (0xAE, _) => '→',
        (0xD2 | 0xE2, _) => '®',
        (0xD3 | 0xE3, _) => '©',
        (0xD4 | 0xE4, _) => '™',
        (low @ 0x20..=0x7E, false) => char::from_u32(low)?,
        _ => '\u{FFFD}',
    })
}

/// A printed number as a label: without the dot and the spaces that end it; a bullet is none.
fn clean_label(number: &str) -> Option<String> {
    let label = number.trim().trim_end_matches(['.', ':', ',']).trim_end();
    label.contains(char::is_alphanumeric).then(|| label.to_owned())
}

pub(in super::super) fn superscript(number: i64) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    number.to_string().bytes().map(|b| DIGITS[usize::from(b.saturating_sub(b'0').min(9))]).collect()
}
