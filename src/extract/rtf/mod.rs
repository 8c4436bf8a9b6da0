//! RTF → `Document`: text, tables, notes, headers, comments and changes (RTF 1.9.1). Numbers of list
//! paragraphs are those that the writer put beside them for readers that do not count.

mod tables;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};

use encoding_rs::{Encoding, WINDOWS_1252};

use super::document::{Document, Remark, RemarkKind, Role};
use super::docx::{superscript, symbol};
use super::labels::printed_label;
use super::parts::{Part, Parts, Piece, lay_out_row};
use super::redline::{self, Change, Marks, PARAGRAPH_MARK};
use super::{Options, Refusal, RefusalKind, View};
use crate::base::{Format, Limits, Warned};
use tables::{Font, Tables, code_page};
use tokens::{Token, Tokens};

/// Half points; letters lower than this are not read by anyone.
const HALF_POINTS_MIN: i32 = 4;

/// Reads an RTF file.
pub(super) fn read(
    bytes: &[u8],
    options: &Options,
    limits: &Limits,
) -> Result<Warned<Document>, Refusal> {
    let start = bytes.iter().position(|b| !b.is_ascii_whitespace()).unwrap_or(0);
    if !bytes[start..].starts_with(b"{\\rtf") {
        return Err(Refusal::damaged("no RTF header: the file is not what its name says"));
    }
    let tables = Tables::of(bytes);
    let mut reader = Reader::new(&tables, options.view);
    reader.read(bytes, limits.xml_depth_max);
    let mut parts = Parts::new(limits);
    let Reader { body, mut part, notes, margins, .. } = reader;
    part.pieces = body.pieces;
    parts.push("document", part, true);
    for (label, is_endnote) in [("footnotes", false), ("endnotes", true)] {
        let notes = notes.iter().filter(|(kind, _)| *kind == is_endnote);
        let pieces: Vec<Piece> = notes.flat_map(|(_, pieces)| pieces.clone()).collect();
        if !pieces.is_empty() {
            parts.push(label, Part { pieces, ..Part::default() }, true);
        }
    }
    for role in [Role::PageHeader, Role::PageFooter] {
        let word = if role == Role::PageHeader { "header" } else { "footer" };
        let mut printed = BTreeSet::new();
        for (_, pieces) in margins.iter().filter(|(found, _)| *found == role) {
            let text: Vec<&str> = pieces.iter().map(|piece| piece.text.as_str()).collect();
            if printed.insert(text.join("\n")) && !pieces.is_empty() {
                let part = Part { pieces: pieces.clone(), ..Part::default() };
                parts.push(&format!("{word} {}", printed.len()), part, true);
            }
        }
    }
    if parts.is_blank() {
        return Err(Refusal::new(RefusalKind::Empty, "the document has no text and no picture"));
    }
    let Parts { pages, remarks, warnings, .. } = parts;
    let mut properties: BTreeMap<String, String> = tables.properties.clone();
    properties.insert("encoding".to_owned(), tables.encoding.name().to_owned());
    let document = Document { format: Format::Rtf, pages, properties, remarks };
    Ok(Warned { output: document, warnings })
}

/// Where the text of a group goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Text,
    /// Nowhere.
    Skip,
    /// The number that is printed before the paragraph.
    Marker,
    /// The author of the next comment, and the time of this one.
    CommentAuthor,
    CommentDate,
    /// The number under which the text that a comment is about begins, ends, is pointed to.
    CommentStart,
    CommentEnd,
    CommentRef,
}

/// What a group inherits and changes for itself.
#[derive(Clone, Debug)]
struct State {
    target: Target,
    /// Where text went before a group said that it goes nowhere; `\ud` goes there again.
    outer: Target,
    font: i32,
    /// Characters that stand for a `\u` in readers that do not know it.
    fallback: usize,
    hidden: bool,
    half_points: i32,
    colour: i32,
    has_ground: bool,
    deleted: bool,
    inserted: bool,
    /// Whether what is deleted here stands, or what is inserted here stood, elsewhere.
    moved: bool,
    author: i32,
    time: i32,
    paragraph: Paragraph,
    /// Ends with this group.
    story: Option<StoryKind>,
}

#[derive(Clone, Debug, Default)]
struct Paragraph {
    in_table: bool,
    style: i32,
    outline: Option<u8>,
    list: i32,
    has_ground: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StoryKind {
    Note { is_endnote: bool },
    Margin(Role),
    Comment,
    TextBox,
}

/// The text of one story while it is read.
#[derive(Debug, Default)]
struct Story {
    pieces: Vec<Piece>,
    line: String,
    /// Changes that are open in the line, where the view shows them.
    marks: Marks,
    marker: Option<String>,
    cell: Vec<Piece>,
    row: Vec<Vec<Piece>>,
    is_header: bool,
    /// Text boxes of the paragraph being read; they follow it.
    boxes: Vec<Piece>,
}

struct Reader<'a> {
    tables: &'a Tables,
    view: View,
    state: State,
    stack: Vec<State>,
    body: Story,
    /// Stories that wait until the one inside them ends.
    outer: Vec<Story>,
    part: Part,
    notes: Vec<(bool, Vec<Piece>)>,
    margins: Vec<(Role, Vec<Piece>)>,
    /// Characters not yet decoded, in the encoding of their font.
    bytes: Vec<u8>,
    /// A first half of a character beyond U+FFFF.
    high: Option<u16>,
    /// Characters still to be skipped after a `\u`.
    skip: usize,
    starred: bool,
    comment_author: String,
    comment_date: String,
    comment_ref: String,
    /// The change whose remark goes on with more text of it.
    remark: Option<Change>,
    /// Moves away from places that have been told.
    told: Vec<Change>,
    /// The text that a comment is about, while it is read and until the comment comes.
    commented: BTreeMap<String, String>,
    /// Comments whose text is being read.
    commented_open: BTreeSet<String>,
    hidden_goes_on: bool,
    note_counts: [i64; 2],
}

impl<'a> Reader<'a> {
    fn new(tables: &'a Tables, view: View) -> Reader<'a> {
        let state = State {
            target: Target::Text,
            outer: Target::Text,
            font: tables.default_font,
            fallback: 1,
            hidden: false,
            half_points: 24,
            colour: 0,
            has_ground: false,
            deleted: false,
            inserted: false,
            moved: false,
            author: 0,
            time: 0,
            paragraph: Paragraph::default(),
            story: None,
        };
        Reader {
            tables,
            view,
            state,
            stack: Vec::new(),
            body: Story::default(),
            outer: Vec::new(),
            part: Part::default(),
            notes: Vec::new(),
            margins: Vec::new(),
            bytes: Vec::new(),
            high: None,
            skip: 0,
            starred: false,
            comment_author: String::new(),
            comment_date: String::new(),
            comment_ref: String::new(),
            remark: None,
            told: Vec::new(),
            commented: BTreeMap::new(),
            commented_open: BTreeSet::new(),
            hidden_goes_on: false,
            note_counts: [0; 2],
        }
    }

    fn read(&mut self, bytes: &[u8], depth_max: usize) {
        for token in Tokens::new(bytes) {
            match token {
                Token::Open if self.stack.len() >= depth_max => {
                    let why = format!(
                        "groups are nested deeper than {depth_max}: what follows is not read"
                    );
                    self.part.cut = Some(why);
                    break;
                }
                Token::Open => {
                    self.flush();
                    self.skip = 0;
                    let inner = State { story: None, ..self.state.clone() };
                    self.stack.push(std::mem::replace(&mut self.state, inner));
                }
                Token::Close => {
                    self.flush();
                    self.skip = 0;
                    self.end_group();
                    if self.stack.is_empty() {
                        break;
                    }
                }
                Token::Byte(byte) => self.byte(byte),
                Token::Symbol(symbol) => self.symbol(symbol),
                Token::Word(word, number) => {
                    let starred = std::mem::take(&mut self.starred);
                    self.word(word, number, starred);
                }
            }
        }
        self.flush();
        if !self.stack.is_empty() && self.part.cut.is_none() {
            self.part.unread.push("the end of the file, which is cut off".to_owned());
        }
        while !self.stack.is_empty() {
            self.end_group();
        }
        self.end_row();
        self.end_paragraph();
    }

    fn end_group(&mut self) {
        if let Some(kind) = self.state.story {
            self.end_story(kind);
        }
        if let Some(outer) = self.stack.pop() {
            self.state = outer;
        }
    }

    // ---- characters ----

    fn byte(&mut self, byte: u8) {
        self.starred = false;
        if self.skip > 0 {
            self.skip -= 1;
        } else if self.state.target != Target::Skip {
            self.bytes.push(byte);
        }
    }

    /// Decodes what has been gathered in the font's encoding.
    fn flush(&mut self) {
        if self.bytes.is_empty() {
            return;
        }
        let bytes = std::mem::take(&mut self.bytes);
        let font = self.tables.fonts.get(&self.state.font);
        if let Some(Font { is_symbol: true, name, .. }) = font {
            let code = |b: &u8| symbol(0xF000 | u32::from(*b), Some(name)).unwrap_or('\u{FFFD}');
            let text: String = bytes.iter().map(code).collect();
            return self.text(&text);
        }
        let encoding = font.and_then(|font| font.encoding).unwrap_or(self.tables.encoding);
        let (text, _) = encoding.decode_without_bom_handling(&bytes);
        self.text(&text);
    }

    fn symbol(&mut self, symbol: u8) {
        if symbol == b'*' {
            self.starred = true;
            return;
        }
        let text = match symbol {
            b'~' => "\u{A0}",
            b'-' => "\u{AD}",
            b'_' => "-",
            b'\\' => "\\",
            b'{' => "{",
            b'}' => "}",
            b'\t' => "\t",
            _ => return,
        };
        if self.skip > 0 {
            self.skip -= 1;
            return;
        }
        self.flush();
        self.text(text);
    }

    fn unicode(&mut self, number: i32) {
        self.flush();
        self.skip = self.state.fallback;
        let unit = number as u16;
        if unit < 0x20 {
            return; // No letter, and nothing that a page shows.
        }
        let text = match (self.high.take(), unit) {
            (_, 0xD800..=0xDBFF) => return self.high = Some(unit),
            (Some(high), 0xDC00..=0xDFFF) => String::from_utf16_lossy(&[high, unit]),
            // Symbol fonts lie where Unicode has no letters.
            (_, 0xF000..=0xF0FF) => {
                let font = self.tables.fonts.get(&self.state.font).map(|font| font.name.as_str());
                symbol(u32::from(unit), font).unwrap_or('\u{FFFD}').to_string()
            }
            _ => String::from_utf16_lossy(&[unit]),
        };
        self.text(&text);
    }

    fn text(&mut self, text: &str) {
        match self.state.target {
            Target::Skip => return,
            Target::Marker => {
                self.body.marker.get_or_insert_default().push_str(text);
                return;
            }
            Target::CommentAuthor => return self.comment_author.push_str(text),
            Target::CommentDate => return self.comment_date.push_str(text),
            Target::CommentStart => drop(self.commented_open.insert(text.trim().to_owned())),
            Target::CommentEnd => drop(self.commented_open.remove(text.trim())),
            Target::CommentRef => text.trim().clone_into(&mut self.comment_ref),
            Target::Text => {}
        }
        if self.state.target != Target::Text {
            return;
        }
        for id in &self.commented_open {
            self.commented.entry(id.clone()).or_default().push_str(text);
        }
        let changes = self.changes();
        self.note_change(changes.last(), text);
        if self.is_dropped() {
            return;
        }
        let Some(why) = self.why() else {
            self.push(text, &changes);
            self.hidden_goes_on &= text.trim().is_empty();
            return;
        };
        self.part.hide(text, why, self.hidden_goes_on);
        self.hidden_goes_on = true;
    }

    /// The changes that what is written now stands under.
    fn changes(&self) -> Vec<Change> {
        let State { deleted, inserted, moved, author, time, .. } = self.state;
        let author = usize::try_from(author).ok().and_then(|at| self.tables.authors.get(at));
        let author = author.map_or("", String::as_str);
        let kinds = [
            inserted.then_some(if moved { RemarkKind::MovedHere } else { RemarkKind::Insertion }),
            deleted.then_some(if moved { RemarkKind::MovedAway } else { RemarkKind::Deletion }),
        ];
        let changes = kinds.into_iter().flatten();
        changes.map(|kind| Change::new(kind, author, &tables::time(time))).collect()
    }

    /// Appends to the line what is shown.
    fn push(&mut self, text: &str, changes: &[Change]) {
        if self.view != View::Redline {
            return self.body.line.push_str(text);
        }
        let Story { line, marks, .. } = &mut self.body;
        match changes.last().filter(|change| change.kind == RemarkKind::MovedAway) {
            Some(change) if self.told.contains(change) => {}
            Some(change) => {
                marks.close(line);
                line.push_str(&change.trace());
                self.told.push(change.clone());
            }
            None => {
                marks.turn(line, changes);
                line.push_str(&redline::plain(text));
            }
        }
    }

    /// Keeps tracked changes as facts.
    fn note_change(&mut self, change: Option<&Change>, text: &str) {
        match (change, self.part.remarks.last_mut()) {
            (Some(_), Some(last)) if self.remark.as_ref() == change => last.text.push_str(text),
            (Some(Change { kind, author, date, .. }), _) if !text.trim().is_empty() => {
                let remark = Remark::new(*kind, author, date, text);
                self.part.remarks.push(Remark { block: self.block_index(), ..remark });
            }
            (Some(_), _) => return,
            (None, _) => {}
        }
        self.remark = change.cloned();
    }

    /// The block that is being put together.
    fn block_index(&self) -> Option<u32> {
        let blocks = self.outer.first().unwrap_or(&self.body).pieces.len();
        u32::try_from(blocks).ok()
    }

    /// Whether this view leaves the text out.
    fn is_dropped(&self) -> bool {
        match self.view {
            View::Accepted => self.state.deleted,
            View::Original => self.state.inserted,
            View::Redline => false,
        }
    }

    /// Why a reader of the page does not see what is written now.
    fn why(&self) -> Option<&'static str> {
        let state = &self.state;
        let white = self.tables.colours.get(usize::try_from(state.colour).ok()?) == Some(&[255; 3]);
        let on_ground = state.has_ground
            || state.paragraph.has_ground
            || state.paragraph.in_table
            || !self.outer.is_empty();
        match () {
            () if state.hidden => Some("hidden font (\\v)"),
            () if state.half_points < HALF_POINTS_MIN => Some("under 2 pt"),
            () if white && !on_ground => Some("white on white"),
            () => None,
        }
    }

    // ---- control words ----

    fn word(&mut self, word: &str, number: Option<i32>, starred: bool) {
        if word == "u" {
            return self.unicode(number.unwrap_or(0));
        }
        if self.skip > 0 && !matches!(word, "bin" | "uc") {
            self.skip -= 1;
            return;
        }
        self.flush();
        let on = number != Some(0);
        let value = number.unwrap_or(0);
        let state = &mut self.state;
        match word {
            "uc" => state.fallback = usize::try_from(value).unwrap_or(1).min(64),
            "f" => state.font = value,
            "v" => state.hidden = on,
            "fs" => state.half_points = number.unwrap_or(24),
            "cf" => state.colour = value,
            "cb" | "highlight" | "chcbpat" | "chshdng" => state.has_ground = value != 0,
            "cbpat" | "shading" => state.paragraph.has_ground = value != 0,
            "deleted" => state.deleted = on,
            "revised" => state.inserted = on,
            "mvf" => (state.deleted, state.moved) = (on, on),
            "mvt" => (state.inserted, state.moved) = (on, on),
            "revauth" | "revauthdel" | "mvauth" => state.author = value,
            "revdttm" | "revdttmdel" | "mvdate" => state.time = value,
            "plain" => {
                let fallback = state.fallback;
                (state.hidden, state.half_points, state.colour) = (false, 24, 0);
                (state.has_ground, state.moved) = (false, false);
                (state.deleted, state.inserted) = (false, false);
                (state.font, state.fallback) = (self.tables.default_font, fallback);
            }
            "pard" => state.paragraph = Paragraph::default(),
            "intbl" => state.paragraph.in_table = true,
            "s" => state.paragraph.style = value,
            "ls" => state.paragraph.list = value,
            "outlinelevel" => state.paragraph.outline = u8::try_from(value).ok().filter(|l| *l < 9),
            _ if self.printed(word) => {}
            _ => self.destination(word, starred),
        }
    }

    /// Words that are characters or ends of something. Returns whether this was one.
    fn printed(&mut self, word: &str) -> bool {
        let text = match word {
            "tab" => "\t",
            "line" | "softline" => "\n",
            "emdash" => "—",
            "endash" => "–",
            "emspace" | "enspace" | "qmspace" => " ",
            "bullet" => "•",
            "lquote" => "‘",
            "rquote" => "’",
            "ldblquote" => "“",
            "rdblquote" => "”",
            "zwj" | "zwnj" | "ltrmark" | "rtlmark" => "",
            "chftn" => {
                self.note_mark();
                ""
            }
            "par" | "sect" | "page" | "column" | "nestcell"
                if self.state.target == Target::Text =>
            {
                let changes = self.changes();
                if word == "par" && !changes.is_empty() {
                    self.note_change(changes.last(), PARAGRAPH_MARK);
                }
                if word == "par" && self.is_dropped() {
                    // A removed paragraph mark: the next one goes on.
                    return true;
                }
                if word == "par" && self.view == View::Redline {
                    if !changes.is_empty() {
                        self.push(PARAGRAPH_MARK, &changes);
                    }
                    if self.state.deleted {
                        self.push("\n", &[]);
                        return true;
                    }
                }
                self.end_paragraph();
                ""
            }
            "cell" if self.state.target == Target::Text => {
                self.state.paragraph.in_table = true;
                self.end_paragraph();
                let cell = std::mem::take(&mut self.body.cell);
                self.body.row.push(cell);
                ""
            }
            "row" if self.state.target == Target::Text => {
                self.end_row();
                ""
            }
            "trowd" => {
                self.body.is_header = false;
                ""
            }
            "trhdr" => {
                self.body.is_header = true;
                ""
            }
            _ => return false,
        };
        if !text.is_empty() {
            self.text(text);
        }
        true
    }

    fn destination(&mut self, word: &str, starred: bool) {
        let skipped = self.state.target == Target::Skip;
        match word {
            "ud" if starred => self.state.target = self.state.outer,
            "upr" => self.leave_out(),
            _ if skipped => {}
            "footnote" => {
                self.begin_story(StoryKind::Note { is_endnote: false });
            }
            "ftnalt" => {
                self.state.story = match self.state.story {
                    Some(StoryKind::Note { .. }) => Some(StoryKind::Note { is_endnote: true }),
                    other => other,
                }
            }
            "header" | "headerl" | "headerr" | "headerf" => {
                self.begin_story(StoryKind::Margin(Role::PageHeader));
            }
            "footer" | "footerl" | "footerr" | "footerf" => {
                self.begin_story(StoryKind::Margin(Role::PageFooter));
            }
            "annotation" => {
                self.begin_story(StoryKind::Comment);
            }
            "atrfstart" => self.state.target = Target::CommentStart,
            "atrfend" => self.state.target = Target::CommentEnd,
            "atnref" => self.state.target = Target::CommentRef,
            "atnauthor" => {
                self.comment_author.clear();
                self.state.target = Target::CommentAuthor;
            }
            "atndate" | "atntime" => {
                self.comment_date.clear();
                self.state.target = Target::CommentDate;
            }
            "shptxt" | "dptxbxtext" => self.begin_story(StoryKind::TextBox),
            "listtext" | "pntext" => {
                self.state.target = Target::Marker;
                (self.state.hidden, self.state.half_points) = (false, 24);
                self.body.marker = None;
            }
            "pict" => {
                self.part.pictures += 1;
                self.leave_out();
            }
            "objdata" => {
                self.part.unread.push("an embedded object".to_owned());
                self.leave_out();
            }
            // Groups that hold what is read, though they are marked as ones that may be passed over.
            "shpinst" | "shppict" | "shp" | "shpgrp" | "object" | "result" | "field"
            | "fldrslt" | "ebcstart" | "do" | "cs" | "rtf" | "pgdsc" => {}
            "fonttbl" | "colortbl" | "stylesheet" | "info" | "fldinst" | "nonshppict"
            | "nonesttables" | "pnseclvl" | "pn" | "sp" | "xe" | "tc" | "tcn" | "rxe" | "txe"
            | "bkmkstart" | "bkmkend" | "datafield" | "formfield" | "ftnsep" | "ftnsepc"
            | "ftncn" | "aftnsep" | "aftnsepc" | "aftncn" | "template" | "filetbl"
            | "listtable" | "revtbl" | "listoverridetable" | "rsidtbl" | "themedata"
            | "colorschememapping" | "datastore" | "latentstyles" | "xmlnstbl" | "mmathPr"
            | "generator" | "private" | "docvar" | "objclass" | "objname" | "fname" | "falt"
            | "panose" | "atnid" | "atnicn" | "atnparent" | "shprslt" => self.leave_out(),
            _ if starred => self.leave_out(),
            _ => {}
        }
    }

    fn leave_out(&mut self) {
        if self.state.target != Target::Skip {
            self.state.outer = self.state.target;
            self.state.target = Target::Skip;
        }
    }

    // ---- stories, paragraphs, rows ----

    fn begin_story(&mut self, kind: StoryKind) {
        if self.state.target != Target::Text || self.state.story.is_some() || self.is_dropped() {
            return self.leave_out();
        }
        let outer = std::mem::take(&mut self.body);
        self.outer.push(outer);
        self.state.story = Some(kind);
        self.state.paragraph = Paragraph::default();
        (self.state.hidden, self.state.deleted, self.state.inserted) = (false, false, false);
        self.remark = None;
    }

    fn end_story(&mut self, kind: StoryKind) {
        self.end_row();
        self.state.paragraph.in_table = false;
        self.end_paragraph();
        let Some(outer) = self.outer.pop() else { return };
        let mut pieces = std::mem::replace(&mut self.body, outer).pieces;
        match kind {
            StoryKind::TextBox => self.body.boxes.append(&mut pieces),
            StoryKind::Margin(role) => {
                let pieces = pieces.into_iter().map(|piece| Piece { role, ..piece }).collect();
                self.margins.push((role, pieces));
            }
            StoryKind::Note { is_endnote } => {
                let number = self.note_counts[usize::from(is_endnote)];
                let mut mark = (number > 0).then(|| superscript(number));
                let note = |piece: Piece| match mark.take() {
                    Some(mark) => {
                        let text = format!("{mark} {}", piece.text.trim_start());
                        Piece { role: Role::Note, text, label: Some(mark) }
                    }
                    None => Piece { role: Role::Note, ..piece },
                };
                self.notes.push((is_endnote, pieces.into_iter().map(note).collect()));
            }
            StoryKind::Comment => {
                let texts: Vec<String> = pieces.into_iter().map(|piece| piece.text).collect();
                let date = self.comment_date.trim().parse().map(tables::time).unwrap_or_default();
                let author = std::mem::take(&mut self.comment_author);
                let id = std::mem::take(&mut self.comment_ref);
                let anchor = self.commented.remove(&id).unwrap_or_default().trim().to_owned();
                let text = texts.join("\n");
                let remark = Remark::new(RemarkKind::Comment, &author, &date, text.trim());
                if !remark.text.is_empty() {
                    if self.view == View::Redline {
                        self.body.marks.close(&mut self.body.line);
                        let shown = redline::comment(&author, &date, &anchor, &text);
                        self.body.line.push_str(&shown);
                    }
                    let block = self.block_index();
                    self.part.remarks.push(Remark { anchor, block, ..remark });
                }
                self.comment_date.clear();
            }
        }
        self.remark = None;
    }

    /// The automatic number of a note: where the text mentions it, it is counted; in the note itself
    /// it is printed anyway.
    fn note_mark(&mut self) {
        if self.state.target != Target::Text {
            return;
        }
        if self.outer.is_empty() {
            self.note_counts[0] += 1;
            let mark = superscript(self.note_counts[0]);
            self.text(&mark);
        }
    }

    fn end_paragraph(&mut self) {
        self.flush();
        self.body.marks.close(&mut self.body.line);
        let line = std::mem::take(&mut self.body.line);
        let marker = self.body.marker.take();
        let paragraph = &self.state.paragraph;
        let text = line.trim();
        self.remark = None;
        if !text.is_empty() {
            let heading = paragraph.outline.map(|level| level + 1);
            let heading = heading.or_else(|| self.tables.headings.get(&paragraph.style).copied());
            let marker = marker.map(|marker| marker.trim().to_owned()).filter(|m| !m.is_empty());
            if marker.is_none() && paragraph.list > 0 {
                self.part.unread.push("the number of a list paragraph".to_owned());
            }
            let role = match (heading, &marker) {
                (Some(level), _) => Role::Heading(level),
                (None, Some(_)) => Role::ListItem,
                (None, None) => Role::Paragraph,
            };
            let piece = match marker {
                Some(marker) => {
                    let label = marker.trim_end_matches(['.', ':', ',']).trim_end();
                    let label = label.contains(char::is_alphanumeric).then(|| label.to_owned());
                    Piece { role, text: format!("{marker} {text}"), label }
                }
                None => Piece { role, text: text.to_owned(), label: printed_label(text) },
            };
            match self.state.paragraph.in_table {
                true => self.body.cell.push(piece),
                false => {
                    // A table without the end of its last row.
                    if !self.body.row.is_empty() || !self.body.cell.is_empty() {
                        self.end_row();
                    }
                    self.body.pieces.push(piece);
                }
            }
        }
        let boxes = std::mem::take(&mut self.body.boxes);
        match self.state.paragraph.in_table {
            true => self.body.cell.extend(boxes),
            false => self.body.pieces.extend(boxes),
        }
    }

    fn end_row(&mut self) {
        let mut row = std::mem::take(&mut self.body.row);
        let cell = std::mem::take(&mut self.body.cell);
        if !cell.is_empty() {
            row.push(cell);
        }
        if !row.is_empty() {
            lay_out_row(row, self.body.is_header, &mut self.body.pieces);
        }
    }
}

/// The encoding of the file where a font names none.
fn encoding_of(number: i32) -> &'static Encoding {
    code_page(number).unwrap_or(WINDOWS_1252)
}
