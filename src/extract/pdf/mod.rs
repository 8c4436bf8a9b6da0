//! PDF → `Document`. Stages: `open` finds a way into the file, `glyphs` turns content streams into glyphs
//! with places, `layout` turns glyphs into lines, `order` sets them in reading order and `blocks` makes
//! blocks of them; `forms`, `annotations`, `attachments` and `labels` read the objects around the pages. No
//! stage looks into the one before it, so a better layout touches no font. `picture` draws a page for text
//! recognition, and `recognized` makes lines of what that found.

mod annotations;
mod attachments;
mod bidi;
mod blocks;
mod canvas;
mod collections;
mod collector;
mod composed;
mod cover;
mod fields;
mod glyphs;
mod labels;
mod layout;
mod notes;
mod open;
mod order;
mod page;
mod picture;
mod private_use;
mod properties;
mod recognized;
mod replaced;
mod stacked;
mod table;
mod tex;
mod unmapped;
mod words;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use hayro_interpret::InterpreterCache;
use hayro_interpret::hayro_syntax::Pdf;

pub(super) use self::picture::picture;

use self::page::Sheet;
use super::page_builder::PageBuilder;
use super::parts::Parts;
use super::{Document, Options, Page, Recognized, Refusal, RefusalKind, Remark, Role};
use crate::base::{Format, Limits, Warned, Warning};

/// Text under this size (in points) is not there to be read by people.
const TINY_POINTS: f32 = 2.0;

/// Reads `bytes` as a PDF.
///
/// # Errors
/// A `Refusal` where the file is empty, locked, beyond repair, or has more pages than `limits` allow. A
/// page that cannot be read is a skipped page.
pub(super) fn read(
    bytes: &[u8],
    options: &Options,
    limits: &Limits,
) -> Result<Warned<Document>, Refusal> {
    let Warned { output: pdf, warnings } = open::open(bytes, options)?;
    let count = pdf.pages().len();
    if count > limits.pages_max {
        return Err(Refusal {
            kind: RefusalKind::Limit,
            message: format!(
                "the PDF has {count} pages, and {} are allowed; split it",
                limits.pages_max
            ),
        });
    }
    let all_layers = open::with_all_layers(bytes, options, &pdf);
    let sheets = sheets(&pdf, all_layers.as_ref(), &options.recognized, limits);
    let furniture = blocks::Furniture::find(sheets.iter().map(|s| (s.lines.as_slice(), s.height)));
    let names = labels::page_labels(&pdf);
    let mut parts = Parts::new(limits);
    parts.warnings = warnings;
    let words = Rc::new(words::seen_whole(sheets.iter().map(|sheet| sheet.lines.as_slice())));
    for (index, sheet) in sheets.into_iter().enumerate() {
        let number = index as u32 + 1;
        let label = names.get(index).cloned().unwrap_or_else(|| number.to_string());
        parts.remarks.extend(sheet.remarks.iter().map(|r| Remark { page: number, ..r.clone() }));
        let mut page = PageBuilder::new(number, label);
        page.words = Rc::clone(&words);
        let mut page = build_page(page, sheet, &furniture, &mut parts.warnings);
        if options.picture_of == Some(number) {
            page.picture = pdf.pages().get(index).map(picture::draw);
        }
        parts.pages.push(page);
    }
    attachments::read(&pdf, options, limits, &mut parts);
    let Parts { pages, remarks, warnings, .. } = parts;
    let properties = properties::read(pdf.metadata());
    let document = Document { format: Format::Pdf, pages, properties, remarks };
    Ok(Warned { output: document, warnings })
}

/// Every page on its own. `all_layers` is the same file with nothing switched off.
fn sheets(
    pdf: &Pdf,
    all_layers: Option<&Pdf>,
    recognized: &[Recognized],
    limits: &Limits,
) -> Vec<Sheet> {
    let mut cache = InterpreterCache::new();
    let mut twin_cache = InterpreterCache::new();
    let mut sheets = Vec::with_capacity(pdf.pages().len());
    for (index, page) in pdf.pages().iter().enumerate() {
        let twin = all_layers.and_then(|twin| twin.pages().get(index)).map(|p| (p, &twin_cache));
        let found = recognized.iter().find(|found| found.page as usize == index + 1);
        let found = found.map(|found| found.table.as_str());
        let sheet =
            catch_unwind(AssertUnwindSafe(|| page::read(page, &cache, twin, found, limits)));
        sheets.push(sheet.unwrap_or_else(|_| {
            // The panic may have left a lock of the caches poisoned.
            cache = InterpreterCache::new();
            twin_cache = InterpreterCache::new();
            Sheet::skipped("the reader panicked on it".to_owned())
        }));
    }
    sheets
}

fn build_page(
    mut page: PageBuilder,
    sheet: Sheet,
    furniture: &blocks::Furniture,
    warnings: &mut Vec<Warning>,
) -> Page {
    let zones = blocks::Zones::of(&sheet.lines, sheet.height);
    let running = |line: &layout::Line| furniture.role(line, &zones);
    let size = blocks::usual_size(&sheet.lines);
    let (body, notes) = notes::split(sheet.lines, size, |line| running(line).is_some());
    let mut body = blocks::group(&body, running);
    let under = notes.iter().map(|note| note.place[1]).fold(f32::MAX, f32::min);
    let is_foot =
        |block: &blocks::BlockText| block.role == Role::PageFooter || block.place[3] <= under + 1.0;
    let feet = body.iter().rev().take_while(|block| is_foot(block)).count();
    let feet = body.split_off(body.len() - feet);
    let notes = blocks::group(&notes, |_| Some(Role::Note));
    for block in body.into_iter().chain(notes).chain(feet).chain(sheet.around) {
        page.block(block.role, &block.text, block.label, Some(block.place));
    }
    for (text, why) in sheet.hidden {
        page.hidden(text, why);
    }
    page.facts = sheet.facts;
    let number = page.number();
    warnings.extend(sheet.warnings.into_iter().map(|message| Warning::page(number, message)));
    page.finish(sheet.state)
}
