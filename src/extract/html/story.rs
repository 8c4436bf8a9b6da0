//! A tree of HTML → blocks of text, as a browser without scripts shows them (WHATWG HTML 15, rendering).

use super::super::View;
use super::super::document::{RemarkKind, Role};
use super::super::docx::format_number;
use super::super::parts::{Part, Piece, lay_out_row};
use super::super::redline::{self, Change, Marks};
use super::Page;
use super::style::{STEPS_MAX, Sheet, colour, pixels};
use super::tree::{Kind, ROOT, Tree};
use crate::base::Limits;

/// Letters lower than this, in CSS pixels (2 pt), are not read by anyone.
const SIZE_MIN: f32 = 96.0 / 72.0 * 2.0;

/// Text whose colour differs by no more in any channel from what it stands on is not seen.
const CLOSE: u8 = 16;

/// What lies further off than this, in CSS pixels, lies off the page.
const OFF_PAGE: f32 = -500.0;

/// Columns that one cell may span here; browsers stop at 1000.
const SPAN_MAX: usize = 32;

pub(super) fn read(tree: &Tree, view: View, limits: &Limits) -> Page {
    let mut sheet = Sheet::default();
    let mut part = Part { cut: tree.cut.clone(), ..Part::default() };
    let mut properties = std::collections::BTreeMap::new();
    for node in tree.elements() {
        match tree.name(node) {
            "style" => sheet.add(&tree.text(node)),
            "link" if is_word(tree, node, "rel", "stylesheet") => {
                part.unread.push("a linked style sheet, and what it hides".to_owned());
            }
            "title" if tree.is_html(node) => {
                let title = tree.text(node).split_whitespace().collect::<Vec<_>>().join(" ");
                if !title.is_empty() {
                    properties.entry("title".to_owned()).or_insert(title);
                }
            }
            "meta" if is_word(tree, node, "name", "author") => {
                if let Some(author) = tree.attribute(node, "content") {
                    properties.entry("author".to_owned()).or_insert_with(|| author.to_owned());
                }
            }
            _ => {}
        }
    }
    let mut story = Story {
        tree,
        sheet,
        steps: STEPS_MAX,
        view,
        depth_max: 2 * limits.html_depth_max,
        part,
        pieces: Vec::new(),
        line: String::new(),
        role: Role::Paragraph,
        marker: None,
        lists: Vec::new(),
        hidden_goes_on: false,
        hidden_breaks: false,
        marks: Marks::default(),
        change: None,
    };
    story.children(ROOT, &Look::default(), 0);
    story.end_block();
    let Story { mut part, pieces, steps, .. } = story;
    part.pieces = pieces;
    if steps == 0 {
        part.unread.push("the rest of the style rules: there are too many".to_owned());
    }
    Page { part, properties }
}

fn is_word(tree: &Tree, node: usize, attribute: &str, word: &str) -> bool {
    tree.attribute(node, attribute)
        .is_some_and(|value| value.split_ascii_whitespace().any(|w| w.eq_ignore_ascii_case(word)))
}

/// How text looks at one place.
#[derive(Clone, Debug)]
struct Look {
    /// Height of letters in CSS pixels.
    em: f32,
    colour: Option<[u8; 3]>,
    /// What is behind the text; none where that is a picture or not known.
    ground: Option<[u8; 3]>,
    /// `visibility`, which an element inside can take back.
    visible: bool,
    /// Why nothing inside is shown, whatever it says itself.
    hidden: Option<&'static str>,
    /// White space is kept.
    pre: bool,
    is_block: Option<bool>,
    no_marker: bool,
}

impl Default for Look {
    fn default() -> Look {
        Look {
            em: 16.0,
            colour: Some([0; 3]),
            ground: Some([255; 3]),
            visible: true,
            hidden: None,
            pre: false,
            is_block: None,
            no_marker: false,
        }
    }
}

impl Look {
    /// Why a reader of the page does not see text that looks so.
    fn why(&self) -> Option<&'static str> {
        if self.hidden.is_some() {
            return self.hidden;
        }
        if !self.visible {
            return Some("visibility:hidden");
        }
        if self.em < SIZE_MIN {
            return Some("under 2 pt");
        }
        let (Some(text), Some(ground)) = (self.colour, self.ground) else { return None };
        let close = text.iter().zip(ground).all(|(a, b)| a.abs_diff(b) <= CLOSE);
        close.then_some(if ground == [255; 3] { "white on white" } else { "colour of its ground" })
    }

    /// The look inside an element with these attributes and declarations.
    fn inside(&self, tree: &Tree, node: usize, declarations: &[(String, String)]) -> Look {
        let mut look = Look { is_block: None, ..self.clone() };
        let name = tree.name(node);
        let shown = |value: &str| colour(&value.to_ascii_lowercase());
        let attribute = |name: &str| tree.attribute(node, name).and_then(shown);
        if let Some(Some(ground)) = attribute("bgcolor") {
            look.ground = Some(ground);
        }
        if tree.attribute(node, "background").is_some() {
            look.ground = None;
        }
        if let Some(Some(text)) = attribute(if name == "body" { "text" } else { "color" }) {
            look.colour = Some(text);
        }
        if matches!(name, "pre" | "textarea" | "listing" | "xmp") {
            look.pre = true;
        }
        if look.hidden.is_none() {
            look.hidden = match name {
                "noscript" => Some("noscript"),
                "dialog" if tree.attribute(node, "open").is_none() => Some("closed dialog"),
                _ if tree.attribute(node, "hidden").is_some() => Some("hidden attribute"),
                _ => None,
            };
        }
        let value = |property: &str| {
            let found = declarations.iter().rev().find(|(name, _)| name == property);
            found.map(|(_, value)| value.as_str())
        };
        for (property, value) in declarations {
            look.declare(self.em, property, value);
        }
        if look.hidden.is_none() {
            look.hidden = hides(&value, look.em);
        }
        look
    }

    fn declare(&mut self, em: f32, property: &str, value: &str) {
        match property {
            "font-size" => {
                let named = match value {
                    "smaller" => Some(em * 0.83),
                    "larger" => Some(em * 1.2),
                    "initial" | "medium" => Some(16.0),
                    "xx-small" | "x-small" | "small" => Some(10.0),
                    "large" | "x-large" | "xx-large" => Some(20.0),
                    _ => pixels(value, em),
                };
                self.em = named.unwrap_or(self.em);
            }
            "color" => match colour(value) {
                // Transparent letters are seen no more than those in the colour of their ground.
                Some(None) => self.colour = self.ground.or(Some([255; 3])),
                Some(known) => self.colour = known,
                None if value == "inherit" || value == "currentcolor" => {}
                None => self.colour = None,
            },
            "background" | "background-color" | "background-image" => {
                if value.contains("url(") || value.contains("gradient") {
                    self.ground = None;
                    return;
                }
                let whole = colour(value);
                let known = whole.or_else(|| value.split_whitespace().find_map(colour));
                match known {
                    Some(Some(ground)) => self.ground = Some(ground),
                    Some(None) => {}
                    None if matches!(value, "none" | "inherit" | "initial" | "unset") => {}
                    None => self.ground = None,
                }
            }
            "visibility" => self.visible = !matches!(value, "hidden" | "collapse"),
            "white-space" => self.pre = value.starts_with("pre") && value != "pre-line",
            "display" => match value {
                "block" | "flex" | "grid" | "list-item" | "table" | "table-row" | "flow-root" => {
                    self.is_block = Some(true);
                }
                "inline" | "contents" => self.is_block = Some(false),
                _ => {}
            },
            "list-style" | "list-style-type" => {
                self.no_marker = value.split_whitespace().any(|word| word == "none");
            }
            _ => {}
        }
    }
}

/// What an element's own declarations hide for good.
fn hides<'v>(value: &impl Fn(&str) -> Option<&'v str>, em: f32) -> Option<&'static str> {
    let length = |property: &str| value(property).and_then(|value| pixels(value, em));
    if value("display") == Some("none") {
        return Some("display:none");
    }
    if value("opacity").and_then(|value| value.parse::<f32>().ok()).is_some_and(|o| o < 0.05) {
        return Some("opacity:0");
    }
    let cuts = ["overflow", "overflow-x", "overflow-y"]
        .iter()
        .any(|property| value(property).is_some_and(|v| v.contains("hidden") || v == "clip"));
    let has_no_size = ["width", "height", "max-width", "max-height"]
        .iter()
        .any(|property| length(property).is_some_and(|length| length <= 1.0));
    if cuts && has_no_size {
        return Some("no size");
    }
    let clip = value("clip").unwrap_or("").replace([' ', ','], "");
    if ["rect(0000)", "rect(0px0px0px0px)", "rect(1px1px1px1px)"].contains(&&*clip)
        || value("clip-path").is_some_and(|v| matches!(v, "inset(50%)" | "inset(100%)"))
    {
        return Some("clipped away");
    }
    let floats = value("position").is_some_and(|v| matches!(v, "absolute" | "fixed"));
    let is_off = |property: &str| length(property).is_some_and(|length| length <= OFF_PAGE);
    let off = (floats && ["left", "top", "right", "bottom"].iter().any(|p| is_off(p)))
        || ["text-indent", "margin-left", "margin-top"].iter().any(|p| is_off(p));
    off.then_some("off the page")
}

/// A list that is open.
struct List {
    /// None for bullets, else the number of the next item.
    next: Option<i64>,
    step: i64,
    kind: &'static str,
}

struct Story<'a> {
    tree: &'a Tree,
    sheet: Sheet,
    steps: usize,
    view: View,
    depth_max: usize,
    part: Part,
    pieces: Vec<Piece>,
    /// The block being put together.
    line: String,
    role: Role,
    /// The number or bullet that the next block begins with.
    marker: Option<String>,
    lists: Vec<List>,
    /// Whether hidden text goes on with the last piece of it, and whether on a new line.
    hidden_goes_on: bool,
    hidden_breaks: bool,
    /// Changes that are open in the line, where the view shows them.
    marks: Marks,
    /// Inside `<ins>` or `<del>`: which, when, and the text so far.
    change: Option<(RemarkKind, String, String)>,
}

impl Story<'_> {
    fn children(&mut self, node: usize, look: &Look, depth: usize) {
        if depth > self.depth_max {
            let message = format!(
                "elements are nested deeper than {}: what is inside is not read",
                self.depth_max
            );
            self.part.cut.get_or_insert(message);
            return;
        }
        let tree = self.tree;
        for &child in tree.children(node) {
            match tree.kind(child) {
                Kind::Text(text) => self.text(text, look),
                Kind::Element { .. } => self.element(child, look, depth + 1),
                Kind::Other => {}
            }
        }
    }

    fn element(&mut self, node: usize, outer: &Look, depth: usize) {
        let tree = self.tree;
        let name = tree.name(node);
        // Never shown and never text (15.3.1), whatever a style says.
        if matches!(
            name,
            "head"
                | "title"
                | "script"
                | "style"
                | "template"
                | "noembed"
                | "noframes"
                | "desc"
                | "metadata"
                | "annotation"
                | "annotation-xml"
                | "datalist"
                | "param"
                | "rp"
        ) {
            return;
        }
        let declarations = self.sheet.of(tree, node, &mut self.steps);
        let look = outer.inside(tree, node, &declarations);
        match name {
            "br" => self.line_end(&look),
            "img" | "video" | "audio" | "canvas" | "embed" | "object" | "iframe" | "frame" => {
                let is_dot = |size: &str| matches!(tree.attribute(node, size), Some("0" | "1"));
                if look.why().is_none() && !(is_dot("width") || is_dot("height")) {
                    self.part.pictures += 1;
                }
                // What stands inside is for browsers that cannot show the object.
            }
            "input" | "select" | "textarea" => self.form_field(node, name, &look),
            "table" => self.table(node, &look, depth),
            "ul" | "ol" | "menu" | "dir" => self.list(node, name, &look, depth),
            "li" => self.item(node, &look, depth),
            "ins" | "del" => self.changed(node, name, &look, depth),
            "q" => {
                self.text("“", &look);
                self.children(node, &look, depth);
                self.text("”", &look);
            }
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                let level = name.as_bytes()[1] - b'0';
                self.block(Role::Heading(level), |story| story.children(node, &look, depth));
            }
            _ if look.is_block.unwrap_or_else(|| is_block(name)) => {
                let role = self.role;
                self.block(role, |story| story.children(node, &look, depth));
            }
            _ => self.children(node, &look, depth),
        }
    }

    /// Reads something that stands in lines of its own.
    fn block(&mut self, role: Role, read: impl FnOnce(&mut Self)) {
        self.end_block();
        let before = std::mem::replace(&mut self.role, role);
        read(self);
        self.end_block();
        self.role = before;
    }

    fn end_block(&mut self) {
        self.hidden_breaks = true;
        self.marks.close(&mut self.line);
        let line = std::mem::take(&mut self.line);
        let text = line.trim_matches(|c: char| c.is_ascii_whitespace());
        if text.is_empty() {
            return;
        }
        let piece = match self.marker.take() {
            Some(marker) => {
                let label = marker.trim_end_matches('.');
                let label = label.contains(char::is_alphanumeric).then(|| label.to_owned());
                Piece { role: self.role, text: format!("{marker} {text}"), label }
            }
            None => Piece::plain(self.role, text),
        };
        self.pieces.push(piece);
    }

    fn line_end(&mut self, look: &Look) {
        if look.why().is_some() {
            self.hidden_breaks = true;
            return;
        }
        let end = self.line.trim_end_matches(' ').len();
        self.line.truncate(end);
        self.line.push('\n');
    }

    fn text(&mut self, text: &str, look: &Look) {
        let why = look.why();
        if let Some((_, _, changed)) = &mut self.change
            && why.is_none()
        {
            squeeze(text, look.pre, changed);
        }
        let dropped = match (&self.change, self.view) {
            (Some((kind, _, _)), View::Accepted) => *kind == RemarkKind::Deletion,
            (Some((kind, _, _)), View::Original) => *kind == RemarkKind::Insertion,
            (Some(_), View::Redline) | (None, _) => false,
        };
        if dropped && why.is_none() {
            return;
        }
        let Some(why) = why else {
            if self.view == View::Redline {
                let changes =
                    self.change.iter().map(|(kind, date, _)| Change::new(*kind, "", date));
                let changes: Vec<Change> = changes.collect();
                self.marks.turn(&mut self.line, &changes);
                squeeze(&redline::plain(text), look.pre, &mut self.line);
            } else {
                squeeze(text, look.pre, &mut self.line);
            }
            self.hidden_goes_on &= text.trim().is_empty();
            return;
        };
        let goes_on = self.hidden_goes_on;
        let mut squeezed = String::new();
        let last = self.part.hidden.last().filter(|last| goes_on && last.why == why);
        if last.is_some() && self.hidden_breaks && !text.trim().is_empty() {
            squeezed.push('\n');
        } else if last.is_some_and(|last| !last.text.ends_with(char::is_whitespace)) {
            // A letter before, so that the white space between two pieces is kept.
            squeezed.push('x');
        }
        let kept = usize::from(squeezed.starts_with('x'));
        squeeze(text, look.pre, &mut squeezed);
        self.part.hide(&squeezed[kept..], why, goes_on);
        if !text.trim().is_empty() {
            (self.hidden_goes_on, self.hidden_breaks) = (true, false);
        }
    }

    fn changed(&mut self, node: usize, name: &str, look: &Look, depth: usize) {
        let kind = if name == "ins" { RemarkKind::Insertion } else { RemarkKind::Deletion };
        let date = self.tree.attribute(node, "datetime").unwrap_or("").to_owned();
        let outer = self.change.replace((kind, date, String::new()));
        if is_block_change(self.tree, node) {
            let role = self.role;
            self.block(role, |story| story.children(node, look, depth));
        } else {
            self.children(node, look, depth);
        }
        if let Some((kind, date, text)) = std::mem::replace(&mut self.change, outer) {
            self.part.remark(kind, "", &date, &text);
        }
    }

    // ---- lists ----

    fn list(&mut self, node: usize, name: &str, look: &Look, depth: usize) {
        let number = |attribute: &str| {
            self.tree.attribute(node, attribute).and_then(|value| value.trim().parse::<i64>().ok())
        };
        let reversed = self.tree.attribute(node, "reversed").is_some();
        let tree = self.tree;
        let items =
            || tree.children(node).iter().filter(|child| tree.name(**child) == "li").count();
        let first = number("start").unwrap_or(if reversed { items() as i64 } else { 1 });
        let kind = match tree.attribute(node, "type") {
            Some("a") => "lowerLetter",
            Some("A") => "upperLetter",
            Some("i") => "lowerRoman",
            Some("I") => "upperRoman",
            _ => "decimal",
        };
        let next = (name == "ol").then_some(first);
        self.end_block();
        self.lists.push(List { next, step: if reversed { -1 } else { 1 }, kind });
        self.children(node, look, depth);
        self.lists.pop();
        self.end_block();
    }

    fn item(&mut self, node: usize, look: &Look, depth: usize) {
        self.end_block();
        let stated = self.tree.attribute(node, "value").and_then(|value| value.trim().parse().ok());
        let is_shown = look.hidden.is_none();
        let marker = match self.lists.last_mut() {
            Some(List { next: Some(next), step, kind }) if is_shown => {
                let number = stated.unwrap_or(*next);
                *next = number.saturating_add(*step);
                format!("{}.", format_number(number, kind))
            }
            _ => "•".to_owned(),
        };
        let before = std::mem::replace(&mut self.marker, (!look.no_marker).then_some(marker));
        self.block(Role::ListItem, |story| story.children(node, look, depth));
        self.marker = before;
    }

    // ---- tables and forms ----

    fn table(&mut self, node: usize, look: &Look, depth: usize) {
        self.end_block();
        let mut rows = Vec::new();
        self.rows(node, look, false, depth, &mut rows);
        // What a cell above still covers: columns with the rows left, from the left.
        let mut covered: Vec<usize> = Vec::new();
        for (row, look, in_head) in rows {
            let mut cells: Vec<Vec<Piece>> = Vec::new();
            let mut is_header = in_head;
            let tree = self.tree;
            let elements: Vec<usize> = tree.children(row).to_vec();
            let all_heads = elements.iter().all(|cell| matches!(tree.name(*cell), "th" | ""));
            is_header |= all_heads && elements.iter().any(|cell| tree.name(*cell) == "th");
            for cell in elements {
                if !matches!(tree.name(cell), "td" | "th") {
                    continue;
                }
                let declarations = self.sheet.of(tree, cell, &mut self.steps);
                let look = look.inside(tree, cell, &declarations);
                let pieces = self.aside(|story| story.children(cell, &look, depth + 1));
                if look.hidden.is_some() {
                    continue;
                }
                fill_covered(&mut cells, &mut covered);
                let span = |name: &str| -> usize {
                    tree.attribute(cell, name).and_then(|n| n.trim().parse().ok()).unwrap_or(1)
                };
                let (columns, rows) = (span("colspan").clamp(1, SPAN_MAX), span("rowspan").max(1));
                for column in 0..columns {
                    let at = cells.len();
                    if covered.len() <= at {
                        covered.resize(at + 1, 0);
                    }
                    covered[at] = rows - 1;
                    cells.push(if column == 0 { pieces.clone() } else { Vec::new() });
                }
            }
            fill_covered(&mut cells, &mut covered);
            let is_wide = cells.iter().filter(|cell| !cell.is_empty()).count() > 1;
            if !is_wide && cells.iter().flatten().count() > 0 && cells.len() > 1 {
                // One cell over the whole width is a line of its own where it holds several blocks.
                let filled: Vec<Vec<Piece>> =
                    cells.iter().filter(|cell| cell.len() > 1).cloned().collect();
                if !filled.is_empty() {
                    self.pieces.extend(filled.into_iter().flatten());
                    continue;
                }
            }
            lay_out_row(cells, is_header, &mut self.pieces);
        }
    }

    /// The rows of a table with their looks and whether they head it; a caption stands before them.
    fn rows(
        &mut self,
        node: usize,
        look: &Look,
        in_head: bool,
        depth: usize,
        found: &mut Vec<(usize, Look, bool)>,
    ) {
        let tree = self.tree;
        for &child in tree.children(node) {
            let name = tree.name(child);
            if name.is_empty() {
                continue;
            }
            let declarations = self.sheet.of(tree, child, &mut self.steps);
            let look = look.inside(tree, child, &declarations);
            match name {
                "tr" => found.push((child, look, in_head)),
                "thead" | "tbody" | "tfoot" => {
                    self.rows(child, &look, name == "thead", depth, found);
                }
                "caption" => {
                    let role = self.role;
                    self.block(role, |story| story.children(child, &look, depth + 1));
                }
                _ => {}
            }
        }
    }

    /// Reads something with blocks of its own and hands them back.
    fn aside(&mut self, read: impl FnOnce(&mut Self)) -> Vec<Piece> {
        let pieces = std::mem::take(&mut self.pieces);
        let line = std::mem::take(&mut self.line);
        let marks = std::mem::take(&mut self.marks);
        let marker = self.marker.take();
        let role = std::mem::replace(&mut self.role, Role::Paragraph);
        self.hidden_breaks = true;
        read(self);
        self.end_block();
        (self.line, self.marks, self.marker, self.role) = (line, marks, marker, role);
        std::mem::replace(&mut self.pieces, pieces)
    }

    /// What a form field shows as the page is opened.
    fn form_field(&mut self, node: usize, name: &str, look: &Look) {
        let tree = self.tree;
        let kind = tree.attribute(node, "type").unwrap_or("text").to_ascii_lowercase();
        let text = match (name, kind.as_str()) {
            ("input", "hidden" | "password" | "image" | "file") => return,
            ("input", "checkbox") => mark(tree, node, "☒", "☐"),
            ("input", "radio") => mark(tree, node, "◉", "○"),
            ("input", _) => tree.attribute(node, "value").unwrap_or("").to_owned(),
            ("textarea", _) => tree.text(node),
            _ => {
                let mut options = Vec::new();
                let mut open = vec![node];
                while let Some(at) = open.pop() {
                    open.extend(tree.children(at).iter().rev());
                    if tree.name(at) == "option" {
                        options.push(at);
                    }
                }
                let is_chosen = |option: &&usize| tree.attribute(**option, "selected").is_some();
                let chosen = options.iter().find(is_chosen).or(options.first());
                chosen.map_or_else(String::new, |option| tree.text(*option))
            }
        };
        self.text(&text, look);
    }
}

fn mark(tree: &Tree, node: usize, on: &str, off: &str) -> String {
    if tree.attribute(node, "checked").is_some() { on } else { off }.to_owned()
}

/// Empty cells for the columns that a cell above still covers.
fn fill_covered(cells: &mut Vec<Vec<Piece>>, covered: &mut [usize]) {
    while let Some(rows) = covered.get_mut(cells.len()).filter(|rows| **rows > 0) {
        *rows -= 1;
        cells.push(Vec::new());
    }
}

/// Appends text, its white space collapsed unless it is kept.
fn squeeze(text: &str, pre: bool, line: &mut String) {
    if pre {
        line.push_str(&text.replace("\r\n", "\n"));
        return;
    }
    for c in text.chars() {
        if !c.is_ascii_whitespace() {
            line.push(c);
        } else if !line.is_empty() && !line.ends_with([' ', '\n']) {
            line.push(' ');
        }
    }
}

fn is_block_change(tree: &Tree, node: usize) -> bool {
    tree.children(node).iter().any(|child| is_block(tree.name(*child)))
}

/// Elements that stand in lines of their own unless a style says otherwise (15.3.3).
fn is_block(name: &str) -> bool {
    matches!(
        name,
        "html"
            | "body"
            | "address"
            | "article"
            | "aside"
            | "blockquote"
            | "center"
            | "details"
            | "dialog"
            | "dd"
            | "div"
            | "dl"
            | "dt"
            | "fieldset"
            | "figcaption"
            | "figure"
            | "footer"
            | "form"
            | "header"
            | "hgroup"
            | "hr"
            | "legend"
            | "listing"
            | "main"
            | "nav"
            | "noscript"
            | "option"
            | "optgroup"
            | "p"
            | "plaintext"
            | "pre"
            | "search"
            | "section"
            | "summary"
            | "xmp"
            | "ul"
            | "ol"
            | "li"
            | "table"
            | "h1"
            | "h2"
            | "h3"
            | "h4"
            | "h5"
            | "h6"
            | "tr"
            | "caption"
    )
}
