//! Annotations (ISO 32000-2, 12.5): notes, replies and marks as remarks with their author; free text that
//! has no appearance as text. What annotations draw is `glyphs`', form fields are `fields`'.

use hayro_interpret::hayro_syntax::object::{Array, Dict, Name, String as PdfString};
use hayro_interpret::hayro_syntax::page::Page;
use hayro_interpret::kurbo::{Affine, Point, Rect};

use super::blocks::BlockText;
use super::glyphs::{Glyph, Layer};
use super::properties::text_string;
use super::{fields, layout};
use crate::extract::{Remark, RemarkKind, Role};

/// Of a longer marked passage the beginning says which it is.
const MARKED_CHARS_MAX: usize = 300;

const NOT_SHOWN: u32 = 1 << 1 | 1 << 5;

#[derive(Default)]
pub(super) struct Annotations {
    pub(super) remarks: Vec<Remark>,
    /// Text that a reader of the page draws from the annotation itself.
    pub(super) without_appearance: Vec<BlockText>,
    /// What annotations say that no reader of the page is shown.
    pub(super) hidden: Vec<(String, String)>,
}

/// The annotations of `page`, on which `drawn` stands.
pub(super) fn read(page: &Page<'_>, drawn: &[Glyph]) -> Annotations {
    let mut found = Annotations::default();
    let Some(annotations) = page.raw().get::<Array<'_>>("Annots") else { return found };
    for annotation in annotations.iter::<Dict<'_>>() {
        let Some(subtype) = annotation.get::<Name<'_>>("Subtype") else { continue };
        let text = text(&annotation, "Contents");
        let not_shown = annotation.get::<u32>("F").unwrap_or(0) & NOT_SHOWN != 0;
        match subtype.as_str() {
            // Links and pop-ups repeat what others say; files and fields are read elsewhere.
            "Widget" | "Link" | "Popup" | "FileAttachment" | "Movie" | "Screen" => {}
            _ if not_shown => {
                if !text.is_empty() {
                    found.hidden.push((text, "an annotation that is not shown".to_owned()));
                }
            }
            "FreeText" if annotation.contains_key("AP") => {}
            "FreeText" => {
                let place = fields::place(page, &annotation);
                let place = [place.x0, place.y0, place.x1, place.y1].map(|edge| edge as f32);
                let role = Role::Annotation;
                found.without_appearance.push(BlockText { role, text, label: None, place });
            }
            kind => {
                let marked = marked(page, &annotation, drawn);
                let text = match kind {
                    "StrikeOut" if text.is_empty() && !marked.is_empty() => "struck out".to_owned(),
                    _ => text,
                };
                found.remarks.extend(remark(&annotation, text, marked));
            }
        }
    }
    found
}

fn text(annotation: &Dict<'_>, key: &str) -> String {
    let text = annotation.get::<PdfString<'_>>(key);
    let text = text.map(|text| text_string(text.as_bytes())).unwrap_or_default();
    text.replace("\r\n", "\n").replace('\r', "\n").trim().to_owned()
}

fn remark(annotation: &Dict<'_>, text: String, anchor: String) -> Option<Remark> {
    (!text.is_empty()).then(|| Remark {
        kind: RemarkKind::Comment,
        page: 1,
        author: self::text(annotation, "T"),
        date: self::text(annotation, "M"),
        text,
        anchor,
        block: None,
        clause: None,
    })
}

/// The text under a mark's quadrilaterals.
fn marked(page: &Page<'_>, annotation: &Dict<'_>, drawn: &[Glyph]) -> String {
    let Some(numbers) = annotation.get::<Array<'_>>("QuadPoints") else { return String::new() };
    let numbers: Vec<f32> = numbers.iter::<f32>().collect();
    let to_page = Affine::new(page.initial_transform(false).as_coeffs());
    let point = |pair: &[f32]| to_page * Point::new(pair[0].into(), pair[1].into());
    let quads: Vec<Rect> = numbers
        .chunks_exact(8)
        .map(|quad| {
            let first = Rect::from_points(point(&quad[0..2]), point(&quad[2..4]));
            first.union(Rect::from_points(point(&quad[4..6]), point(&quad[6..8])))
        })
        .collect();
    let is_marked = |glyph: &&Glyph| {
        let at = glyph.core().center();
        glyph.layer == Layer::Visible && quads.iter().any(|quad| quad.contains(at))
    };
    let glyphs: Vec<Glyph> = drawn.iter().filter(is_marked).copied().collect();
    let text = layout::plain_text(&layout::lines(&glyphs)).replace('\n', " ");
    text.chars().take(MARKED_CHARS_MAX).collect()
}
