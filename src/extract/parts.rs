//! A document that is put together part by part (a body, its notes, a slide, an attachment): each part
//! becomes a page, or several where it is long. Says of each part what was not read in it.

use super::document::{Hidden, Page, PageState, Remark, RemarkKind, Role};
use super::labels::printed_label;
use super::page_builder::PageBuilder;
use super::pages::Pages;
use crate::base::{Limits, Warning};

/// A page of what has no pages of its own: a few printed ones, so that places in it stay small.
const PAGE_BYTES: usize = 64 * 1024;

/// A finished block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) role: Role,
    pub(super) text: String,
    pub(super) label: Option<String>,
}

impl Piece {
    /// A piece whose clause number, if any, stands in its text.
    pub(super) fn plain(role: Role, text: impl Into<String>) -> Piece {
        let text = text.into();
        let label = printed_label(&text);
        Piece { role, text, label }
    }
}

/// What a reader found in one part.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) pieces: Vec<Piece>,
    pub(super) hidden: Vec<Hidden>,
    pub(super) remarks: Vec<Remark>,
    /// Pictures and embedded objects, whose inside is not read.
    pub(super) pictures: usize,
    /// What else was not read, one entry each time.
    pub(super) unread: Vec<String>,
    /// Why reading ended before the part did.
    pub(super) cut: Option<String>,
}

impl Part {
    /// Keeps text apart that a reader of the page does not see; what hides it for the same reason is
    /// one entry as long as nothing shown stands between.
    pub(super) fn hide(&mut self, text: &str, why: &str, goes_on: bool) {
        match self.hidden.last_mut() {
            Some(last) if goes_on && last.why == why => last.text.push_str(text),
            _ if text.trim().is_empty() => {}
            _ => self.hidden.push(Hidden { text: text.to_owned(), why: why.to_owned() }),
        }
    }

    pub(super) fn remark(&mut self, kind: RemarkKind, author: &str, date: &str, text: &str) {
        if text.trim().is_empty() {
            return;
        }
        self.remarks.push(Remark::new(kind, author, date, text.trim()));
    }
}

/// The pages so far.
pub(super) struct Parts<'a> {
    pub(super) pages: Vec<Page>,
    pub(super) remarks: Vec<Remark>,
    pub(super) warnings: Vec<Warning>,
    limits: &'a Limits,
}

impl<'a> Parts<'a> {
    pub(super) fn new(limits: &'a Limits) -> Parts<'a> {
        Parts { pages: Vec::new(), remarks: Vec::new(), warnings: Vec::new(), limits }
    }

    /// Whether another page still fits.
    pub(super) fn has_room(&self) -> bool {
        self.pages.len() < self.limits.pages_max
    }

    /// Appends the pages of a part, and what is to be said of it. At least one page, so that a part
    /// with nothing in it is seen as such. `whole`: never cut but where the page limit asks for it.
    pub(super) fn push(&mut self, label: &str, part: Part, whole: bool) {
        let number = self.pages.len() as u32 + 1;
        let Part { pieces, hidden, remarks, pictures, unread, cut } = part;
        let page_bytes = if whole { usize::MAX } else { PAGE_BYTES };
        let mut pages = Pages::new(number, label, page_bytes, self.limits);
        for piece in pieces {
            pages.block(piece.role, &piece.text, piece.label);
        }
        for hidden in hidden {
            pages.hidden(hidden.text, hidden.why);
        }
        let mut pages = pages.finish(&mut self.warnings);
        if pages.len() == 1 && pages[0].state == PageState::Empty && pictures > 0 {
            pages[0].state = PageState::ImageOnly;
        }
        let has_hidden = pages.iter().any(|page| !page.hidden.is_empty());
        // Where a part is cut into pages its blocks are counted anew.
        let counted = pages.len() == 1;
        self.remarks.extend(remarks.into_iter().map(|remark| Remark {
            page: number,
            block: remark.block.filter(|_| counted),
            ..remark
        }));
        self.pages.append(&mut pages);
        if has_hidden {
            let message = "hidden text is on it, which the model does not read";
            self.warnings.push(Warning::page(number, message));
        }
        if pictures > 0 {
            let message = match pictures {
                1 => "1 picture or embedded object is not read".to_owned(),
                many => format!("{many} pictures or embedded objects are not read"),
            };
            self.warnings.push(Warning::page(number, message));
        }
        let mut unread = unread;
        unread.sort();
        for group in unread.chunk_by(|a, b| a == b) {
            let times =
                if group.len() > 1 { format!(" ({} times)", group.len()) } else { String::new() };
            self.warnings.push(Warning::page(number, format!("not read: {}{times}", group[0])));
        }
        if let Some(why) = cut {
            self.skipped(label, why);
        }
    }

    /// Appends a page that could not be read, and why.
    pub(super) fn skipped(&mut self, label: &str, why: String) {
        let number = self.pages.len() as u32 + 1;
        self.warnings.push(Warning::page(number, why.clone()));
        if self.has_room() {
            self.pages.push(PageBuilder::new(number, label).finish(PageState::Skipped(why)));
        }
    }

    /// Whether nothing at all was found: no text, no picture, nothing hidden, nothing skipped.
    pub(super) fn is_blank(&self) -> bool {
        let blank = |page: &Page| page.state == PageState::Empty && page.hidden.is_empty();
        self.pages.iter().all(blank)
    }
}

/// A row of cells as one block. A row with a table in it, or with one cell, is there for the layout:
/// what it holds stands for itself.
pub(super) fn lay_out_row(cells: Vec<Vec<Piece>>, header: bool, pieces: &mut Vec<Piece>) {
    let is_row = |piece: &Piece| matches!(piece.role, Role::TableRow | Role::TableHeader);
    if cells.len() == 1 || cells.iter().flatten().any(is_row) {
        pieces.extend(cells.into_iter().flatten());
        return;
    }
    let text = |pieces: &Vec<Piece>| {
        let texts = pieces.iter().map(|piece| piece.text.replace('\t', " "));
        texts.collect::<Vec<_>>().join("\n")
    };
    let texts: Vec<String> = cells.iter().map(text).collect();
    let label = cells.first().and_then(|cell| cell.first()).and_then(|piece| piece.label.clone());
    let role = if header { Role::TableHeader } else { Role::TableRow };
    pieces.push(Piece { role, text: texts.join("\t"), label });
}
