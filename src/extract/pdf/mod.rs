//! PDF → `Document`. Three stages: `open` finds a way into the file, `glyphs` turns content streams into
//! glyphs with places, `layout` turns glyphs into lines and `blocks` lines into blocks. No stage looks
//! into the one before it, so a better layout touches no font.

mod blocks;
mod glyphs;
mod layout;
mod open;
mod properties;
mod unmapped;

use std::panic::{AssertUnwindSafe, catch_unwind};

use hayro_interpret::InterpreterCache;
use hayro_interpret::hayro_syntax::page::Page as PdfPage;

use self::glyphs::{Glyph, Layer, PageGlyphs};
use self::layout::Line;
use super::page_builder::PageBuilder;
use super::{Document, Options, Page, PageState, Refusal, RefusalKind, Role};
use crate::base::{Format, Limits, Warned, Warning};

/// Share of a page that a picture must cover before invisible text over it is taken as its OCR layer,
/// and before a little text beside it is suspected not to be all there is.
const SCAN_COVER: f32 = 0.5;

/// Fewer visible characters than this on a page that is a picture: a stamp, not the page's text
/// (Apache Tika and kreuzberg decide alike, research/extraction.md section 4).
const STAMP_CHARS: usize = 64;

/// Drawn shapes without text that make a page a picture and not merely a ruled or framed blank.
const SHAPES_OF_A_PICTURE: usize = 50;

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
    let Warned { output: pdf, mut warnings } = open::open(bytes, options)?;
    let found = pdf.pages();
    if found.len() > limits.pages_max {
        return Err(Refusal {
            kind: RefusalKind::Limit,
            message: format!(
                "the PDF has {} pages, and {} are allowed; split it",
                found.len(),
                limits.pages_max
            ),
        });
    }
    let mut cache = InterpreterCache::new();
    let mut sheets = Vec::with_capacity(found.len());
    for page in found.iter() {
        let sheet = catch_unwind(AssertUnwindSafe(|| read_page(page, &cache, limits)));
        sheets.push(sheet.unwrap_or_else(|_| {
            // The panic may have left a lock of the cache poisoned.
            cache = InterpreterCache::new();
            Sheet::skipped("the reader panicked on it".to_owned())
        }));
    }
    let furniture = blocks::Furniture::find(sheets.iter().map(|s| (s.lines.as_slice(), s.height)));
    let pages = sheets
        .into_iter()
        .enumerate()
        .map(|(index, sheet)| build_page(index as u32 + 1, sheet, &furniture, &mut warnings))
        .collect();
    let document = Document {
        format: Format::Pdf,
        pages,
        properties: properties::read(pdf.metadata()),
        remarks: Vec::new(),
    };
    Ok(Warned { output: document, warnings })
}

/// A page between the layout of its own glyphs and what needs all pages (running headers).
struct Sheet {
    state: PageState,
    /// In points, as the page is shown.
    height: f32,
    lines: Vec<Line>,
    /// Drawn by annotations: filled-in form fields, stamps, free text.
    annotation_lines: Vec<Line>,
    annotation_role: Role,
    /// Text and why it is hidden.
    hidden: Vec<(String, &'static str)>,
    warnings: Vec<String>,
}

impl Sheet {
    fn skipped(why: String) -> Sheet {
        Sheet {
            state: PageState::Skipped(why.clone()),
            height: 0.0,
            lines: Vec::new(),
            annotation_lines: Vec::new(),
            annotation_role: Role::Annotation,
            hidden: Vec::new(),
            warnings: vec![format!("not read: {why}")],
        }
    }
}

fn read_page<'a>(page: &PdfPage<'a>, cache: &InterpreterCache<'a>, limits: &Limits) -> Sheet {
    let glyphs = match glyphs::of_page(page, cache, limits.page_bytes_max) {
        Ok(glyphs) => glyphs,
        Err(why) => return Sheet::skipped(why),
    };
    let mut warnings = page_warnings(&glyphs);
    let visible = count_text(&glyphs.drawn, Layer::Visible);
    let invisible = count_text(&glyphs.drawn, Layer::Invisible);
    let is_scan = glyphs.image_cover >= SCAN_COVER && visible < STAMP_CHARS;
    let has_ocr_layer = is_scan && invisible > 0;
    if has_ocr_layer {
        warnings.push(format!(
            "a picture covers {:.0} % of it; its text is an invisible OCR layer (ocr_layer), not checked",
            glyphs.image_cover * 100.0
        ));
    }
    let is_body =
        |g: &Glyph| g.layer == Layer::Visible || (has_ocr_layer && g.layer == Layer::Invisible);
    let body: Vec<Glyph> = glyphs.drawn.iter().filter(|g| is_body(g)).copied().collect();
    let lines = layout::lines(&body);
    let annotation_lines = layout::lines(&glyphs.annotations);
    let mut hidden = Vec::new();
    for (layer, why) in [
        (Layer::Invisible, "invisible text mode"),
        (Layer::Tiny, "smaller than 2 points"),
        (Layer::OffPage, "outside of the page"),
    ] {
        if has_ocr_layer && layer == Layer::Invisible {
            continue;
        }
        let out: Vec<Glyph> = glyphs.drawn.iter().filter(|g| g.layer == layer).copied().collect();
        if out.iter().any(|g| !g.text.is_whitespace()) {
            hidden.push((layout::plain_text(&layout::lines(&out)), why));
        }
    }
    for (_, why) in &hidden {
        warnings.push(format!("hidden text ({why}) is kept out of what the model reads"));
    }
    let no_text = lines.is_empty() && annotation_lines.is_empty();
    let state = if !no_text {
        if is_scan && !has_ocr_layer {
            warnings.push(format!(
                "a picture covers {:.0} % of it and only {visible} characters of text were found",
                glyphs.image_cover * 100.0
            ));
        }
        PageState::Read
    } else if glyphs.images > 0 {
        PageState::ImageOnly
    } else if glyphs.shapes >= SHAPES_OF_A_PICTURE {
        warnings.push(format!("{} drawn shapes and no text", glyphs.shapes));
        PageState::ImageOnly
    } else {
        PageState::Empty
    };
    let annotation_role = if glyphs.only_widgets { Role::FormField } else { Role::Annotation };
    let height = glyphs.height;
    Sheet { state, height, lines, annotation_lines, annotation_role, hidden, warnings }
}

fn page_warnings(glyphs: &PageGlyphs) -> Vec<String> {
    let mut warnings = Vec::new();
    if glyphs.unmapped > 0 {
        warnings.push(format!(
            "{} glyphs have no known character; they stand as \u{fffd}",
            glyphs.unmapped
        ));
    }
    if glyphs.fonts_failed > 0 {
        warnings.push("a font could not be loaded; its text may be wrong or missing".to_owned());
    }
    warnings
}

fn count_text(glyphs: &[Glyph], layer: Layer) -> usize {
    glyphs.iter().filter(|g| g.layer == layer && !g.text.is_whitespace()).count()
}

fn build_page(
    number: u32,
    sheet: Sheet,
    furniture: &blocks::Furniture,
    warnings: &mut Vec<Warning>,
) -> Page {
    let mut page = PageBuilder::new(number, number.to_string());
    for block in blocks::group(&sheet.lines, |line| furniture.role(line, sheet.height)) {
        page.block(block.role, &block.text, block.label, Some(block.place));
    }
    for mut block in blocks::group(&sheet.annotation_lines, |_| None) {
        block.role = sheet.annotation_role;
        page.block(block.role, &block.text, block.label, Some(block.place));
    }
    for (text, why) in sheet.hidden {
        page.hidden(text, why);
    }
    warnings.extend(sheet.warnings.into_iter().map(|message| Warning::page(number, message)));
    page.finish(sheet.state)
}
