//! One page on its own: its lines, what annotations and form fields add, what is hidden on it, and what is
//! to be said of it. Not what needs the other pages (running headers).

use std::borrow::Cow;
use std::collections::BTreeSet;

use hayro_interpret::InterpreterCache;
use hayro_interpret::hayro_syntax::page::Page as PdfPage;

use super::blocks::{self, BlockText};
use super::glyphs::{self, Glyph, Layer, PageGlyphs};
use super::layout::{self, Line};
use super::{annotations, fields, order, recognized, stacked, table};
use crate::base::Limits;
use crate::base::limits::OCR_CONFIDENCE_LOW;
use crate::extract::{PageFacts, PageState, Remark, Role, TextOrigin};

/// Share of a page that a picture must cover before unseen text on it is taken as its OCR layer,
/// and before a little text beside it is suspected not to be all there is.
const SCAN_COVER: f32 = 0.5;

/// Fewer visible characters than this on a page that is a picture: a stamp, not the page's text
/// (Apache Tika and kreuzberg decide alike, research/extraction.md section 4).
const STAMP_CHARS: usize = 64;

/// On a scanned page with a longer stamp the OCR layer holds at least so many times its characters.
const OCR_LAYER_TIMES: usize = 4;

/// Drawn shapes without text that make a page a picture and not merely a ruled or framed blank.
const SHAPES_OF_A_PICTURE: usize = 50;

/// A page between the layout of its own glyphs and what needs all pages.
pub(super) struct Sheet {
    pub(super) state: PageState,
    pub(super) facts: PageFacts,
    /// In points, as the page is shown.
    pub(super) height: f32,
    pub(super) lines: Vec<Line>,
    /// Form fields and what annotations show, after the page's own text.
    pub(super) around: Vec<BlockText>,
    pub(super) remarks: Vec<Remark>,
    /// Text and why it is hidden.
    pub(super) hidden: Vec<(String, String)>,
    pub(super) warnings: Vec<String>,
}

impl Sheet {
    pub(super) fn skipped(why: String) -> Sheet {
        Sheet {
            state: PageState::Skipped(why.clone()),
            facts: PageFacts::default(),
            height: 0.0,
            lines: Vec::new(),
            around: Vec::new(),
            remarks: Vec::new(),
            hidden: Vec::new(),
            warnings: vec![format!("not read: {why}")],
        }
    }
}

/// Reads `page`; `twin` is the same page with nothing switched off, `found` what text recognition found on it.
pub(super) fn read<'a>(
    page: &PdfPage<'a>,
    cache: &InterpreterCache<'a>,
    twin: Option<(&PdfPage<'a>, &InterpreterCache<'a>)>,
    found: Option<&str>,
    limits: &Limits,
) -> Sheet {
    let mut glyphs = match glyphs::of_page(page, cache, limits.page_bytes_max) {
        Ok(glyphs) => glyphs,
        Err(why) => return Sheet::skipped(why),
    };
    if let Some((twin, cache)) = twin
        && let Ok(twin) = glyphs::of_page(twin, cache, limits.page_bytes_max)
    {
        let extra = switched_off(&glyphs, &twin.drawn);
        glyphs.drawn.extend(extra);
    }
    let mut warnings = page_warnings(&glyphs);
    let count = |layers: &[Layer]| {
        let seen = glyphs.drawn.iter().filter(|g| layers.contains(&g.layer));
        seen.filter(|g| !g.text.is_whitespace()).count()
    };
    let visible = count(&[Layer::Visible]);
    let under = count(&[Layer::Invisible, Layer::UnderPicture]);
    let covered = glyphs.image_cover >= SCAN_COVER;
    let is_scan = covered && visible < STAMP_CHARS.max(under / OCR_LAYER_TIMES);
    let has_ocr_layer = is_scan && under > 0;
    if has_ocr_layer {
        warnings.push(format!(
            "a picture covers {:.0} % of it; its text is an invisible OCR layer (ocr_layer), not checked",
            glyphs.image_cover * 100.0
        ));
    }
    let is_ocr = |g: &Glyph| matches!(g.layer, Layer::Invisible | Layer::UnderPicture);
    let is_body = |g: &Glyph| g.layer == Layer::Visible || (has_ocr_layer && is_ocr(g));
    // On most pages everything is seen.
    let body: Cow<'_, [Glyph]> = match glyphs.drawn.iter().all(is_body) {
        true => Cow::Borrowed(&glyphs.drawn),
        false => glyphs.drawn.iter().filter(|glyph| is_body(glyph)).copied().collect(),
    };
    let lines = stacked::columns(table::lines(&body, &glyphs.rules));
    let mut lines = order::by_columns(lines);
    let mut hidden = hidden_texts(&glyphs.drawn, |g| !(has_ocr_layer && is_ocr(g)));
    hidden.extend(hidden_texts(&glyphs.annotations, |_| true));
    let replaced = glyphs.replaced.iter().cloned();
    hidden.extend(replaced.map(|text| (text, "replacement text that is not printed".to_owned())));

    let shown: Vec<Glyph> =
        glyphs.annotations.iter().filter(|g| g.layer == Layer::Visible).copied().collect();
    let annotations = annotations::read(page, &glyphs.drawn);
    hidden.extend(annotations.hidden);
    let (mut around, rest) = fields::read(page, shown, &mut hidden);
    for mut block in blocks::group(&layout::lines(&rest), |_| None) {
        block.role = Role::Annotation;
        around.push(block);
    }
    around.extend(annotations.without_appearance);
    for (_, why) in &hidden {
        warnings.push(format!("hidden text ({why}) is kept out of what the model reads"));
    }
    warnings.dedup();
    let found = found.map(|table| recognized::read(table, page.render_dimensions()));
    let mut is_recognized = false;
    if let Some(found) = &found {
        is_recognized = !found.lines.is_empty();
        warnings.extend(recognition_warning(found.confidence, is_recognized));
        lines = merged(lines, &found.lines);
    }
    let no_text = lines.is_empty() && around.is_empty();
    let is_unread_scan = is_scan && !has_ocr_layer && !is_recognized;
    let state = if !no_text {
        if is_unread_scan {
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
    let origin = match (has_ocr_layer, is_recognized) {
        (true, _) => TextOrigin::OcrLayer,
        (false, true) => TextOrigin::Ocr,
        (false, false) => TextOrigin::Print,
    };
    let facts = PageFacts {
        unmapped: glyphs.unmapped as u32,
        picture_percent: (glyphs.image_cover * 100.0).round() as u8,
        origin,
        unread_picture: is_unread_scan || state == PageState::ImageOnly,
        confidence: found.map(|found| found.confidence),
    };
    let remarks = annotations.remarks;
    Sheet { state, facts, height: glyphs.height, lines, around, remarks, hidden, warnings }
}

/// What is to be said of a page that text recognition was asked about.
fn recognition_warning(confidence: u8, found: bool) -> Option<String> {
    match (found, confidence < OCR_CONFIDENCE_LOW) {
        (false, _) => Some("text recognition found no text in its picture".to_owned()),
        (true, true) => Some(format!(
            "its text was recognized with a confidence of {confidence} % only (ocr): compare it with the picture"
        )),
        (true, false) => None,
    }
}

/// The recognized lines, after those that are printed beside the picture and were not recognized with it.
fn merged(printed: Vec<Line>, recognized: &[Line]) -> Vec<Line> {
    let letters = |text: &str| -> String {
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let all: String = recognized.iter().map(|line| letters(&line.text)).collect();
    let mut lines = printed;
    lines.retain(|line| !all.contains(&letters(&line.text)));
    lines.extend_from_slice(recognized);
    lines
}

/// What is hidden among `glyphs`, by reason.
fn hidden_texts(glyphs: &[Glyph], counts: impl Fn(&Glyph) -> bool) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    if glyphs.iter().all(|glyph| glyph.layer == Layer::Visible) {
        return texts;
    }
    for layer in Layer::HIDDEN {
        let out: Vec<Glyph> =
            glyphs.iter().filter(|g| g.layer == layer && counts(g)).copied().collect();
        if out.iter().any(|g| !g.text.is_whitespace()) {
            texts.push((layout::plain_text(&layout::lines(&out)), layer.why().to_owned()));
        }
    }
    texts
}

/// The glyphs that only the page with all layers has.
fn switched_off(page: &PageGlyphs, all: &[Glyph]) -> Vec<Glyph> {
    // Quarters of a point, so that rounding of a rewritten number does not matter.
    let key = |g: &Glyph| (g.text, (g.x * 4.0).round() as i32, (g.y * 4.0).round() as i32);
    let own: BTreeSet<_> = page.drawn.iter().map(key).collect();
    let extra = all.iter().filter(|glyph| !own.contains(&key(glyph)));
    extra.map(|glyph| Glyph { layer: Layer::SwitchedOff, ..*glyph }).collect()
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
