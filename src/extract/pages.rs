//! Pages of what has no pages of its own: blocks in, and a new page wherever the one before is full.
//! Keeps offsets small and the page limits true for text files, tables and long DOCX bodies.

use super::document::{Page, PageState, Role};
use super::page_builder::PageBuilder;
use crate::base::{Limits, Warning};

/// Blocks of one part (a sheet, a file, a story of a DOCX), cut into pages where needed.
pub(super) struct Pages {
    label: String,
    /// Number of the next page to be begun.
    number: u32,
    /// Bytes after which a new page is begun.
    page_bytes: usize,
    pages_max: usize,
    /// Repeated at the top of each later page, as a spreadsheet prints its title rows.
    header: Option<String>,
    current: Option<PageBuilder>,
    finished: Vec<Page>,
    blocks_dropped: usize,
}

impl Pages {
    /// Pages named `label` (then `label (2)` and so on), the first numbered `number`, each cut at
    /// about `page_bytes` and never over the limits.
    pub(super) fn new(
        number: u32,
        label: impl Into<String>,
        page_bytes: usize,
        limits: &Limits,
    ) -> Pages {
        let label = label.into();
        let builder = PageBuilder::new(number, label.clone());
        Pages {
            label,
            number: number + 1,
            page_bytes: page_bytes.min(limits.page_bytes_max / 2).max(1),
            pages_max: limits.pages_max.max(1),
            header: None,
            current: Some(builder),
            finished: Vec::new(),
            blocks_dropped: 0,
        }
    }

    /// Appends a block; one that is longer than a page is cut at white space.
    pub(super) fn block(&mut self, role: Role, text: &str, label: Option<String>) {
        if role == Role::TableHeader {
            self.header = Some(text.to_owned());
        }
        let mut label = label;
        let mut rest = text;
        while rest.len() > self.page_bytes {
            let (piece, after) = rest.split_at(cut_at(rest, self.page_bytes));
            self.place(role, piece, label.take());
            rest = after;
        }
        self.place(role, rest, label);
    }

    fn place(&mut self, role: Role, text: &str, label: Option<String>) {
        let full = self
            .current
            .as_ref()
            .is_none_or(|page| page.len() > 0 && page.len() + text.len() > self.page_bytes);
        if full {
            self.new_page();
        }
        match &mut self.current {
            Some(page) => page.block(role, text, label, None),
            None => self.blocks_dropped += 1,
        }
    }

    pub(super) fn hidden(&mut self, text: impl Into<String>, why: impl Into<String>) {
        if let Some(page) = &mut self.current {
            page.hidden(text, why);
        }
    }

    /// Ends the page; what follows stands on the next.
    pub(super) fn new_page(&mut self) {
        self.finished.extend(self.current.take().map(|page| page.finish(PageState::Read)));
        if self.number as usize > self.pages_max {
            return;
        }
        let label = format!("{} ({})", self.label, self.finished.len() + 1);
        let mut page = PageBuilder::new(self.number, label);
        if let Some(header) = &self.header {
            page.block(Role::TableHeader, header, None, None);
        }
        self.current = Some(page);
        self.number += 1;
    }

    /// The pages; the last one says so where blocks found no place any more.
    pub(super) fn finish(mut self, warnings: &mut Vec<Warning>) -> Vec<Page> {
        self.finished.extend(self.current.take().map(|page| page.finish(PageState::Read)));
        if self.blocks_dropped > 0 {
            let why = format!(
                "{} blocks of \"{}\" lie beyond the {} pages that are read; split the file",
                self.blocks_dropped, self.label, self.pages_max
            );
            let last = self.finished.last().map_or(1, |page| page.number);
            warnings.push(Warning::page(last, why.clone()));
            let page = PageBuilder::new(last + 1, self.label.clone());
            self.finished.push(page.finish(PageState::Skipped(why)));
        }
        self.finished
    }
}

/// Where a text longer than `limit` bytes is cut: after the last white space that still fits, else
/// at the last character that does.
fn cut_at(text: &str, limit: usize) -> usize {
    let mut end = limit;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let space = text[..end].char_indices().rev().find(|(_, c)| c.is_whitespace());
    match space {
        Some((at, c)) if at > 0 => at + c.len_utf8(),
        _ if end > 0 => end,
        // A page smaller than its first character: take the character.
        _ => text.chars().next().map_or(text.len(), char::len_utf8),
    }
}
