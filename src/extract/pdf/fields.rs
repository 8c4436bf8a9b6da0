//! Form fields (ISO 32000-2, 12.7): each value beside its field's full name, with or without an
//! appearance. What a field shows counts; a stored value that says something else is reported.

use hayro_interpret::hayro_syntax::object::{
    Array, Dict, Name, Object, Rect as PdfRect, String as PdfString,
};
use hayro_interpret::hayro_syntax::page::Page;
use hayro_interpret::kurbo::{Affine, Rect};

use super::blocks::BlockText;
use super::glyphs::Glyph;
use super::layout;
use super::properties::text_string;
use crate::extract::Role;

/// Fields nested deeper are damage.
const DEPTH_MAX: usize = 16;

const NOT_SHOWN: u32 = 1 << 1 | 1 << 5;
const PASSWORD: u32 = 1 << 13;
const RADIO: u32 = 1 << 15;
const PUSH_BUTTON: u32 = 1 << 16;

/// The fields of `page`, and of `shown` (what its annotations draw) the glyphs that belong to none.
pub(super) fn read(
    page: &Page<'_>,
    mut shown: Vec<Glyph>,
    hidden: &mut Vec<(String, String)>,
) -> (Vec<BlockText>, Vec<Glyph>) {
    let mut blocks = Vec::new();
    for widget in widgets(page) {
        let place = place(page, &widget);
        let is_inside = |glyph: &Glyph| place.inflate(1.0, 1.0).contains(glyph.core().center());
        let (inside, outside): (Vec<Glyph>, _) = shown.iter().partition(|glyph| is_inside(glyph));
        let drawn = layout::plain_text(&layout::lines(&inside));
        let Some(entry) = entry(&widget, &drawn, hidden) else { continue };
        // A button's caption stays with what other annotations draw; a field's value is said once.
        shown = outside;
        let text = format!("{}: {entry}", name(&widget));
        if widget.get::<u32>("F").unwrap_or(0) & NOT_SHOWN != 0 {
            hidden.push((text, "a form field that is not shown".to_owned()));
            continue;
        }
        let place = [place.x0, place.y0, place.x1, place.y1].map(|edge| edge as f32);
        blocks.push(BlockText { role: Role::FormField, text, label: None, place });
    }
    (blocks, shown)
}

fn widgets<'a>(page: &Page<'a>) -> Vec<Dict<'a>> {
    let Some(annotations) = page.raw().get::<Array<'_>>("Annots") else { return Vec::new() };
    let is_widget = |dict: &Dict<'_>| {
        dict.get::<Name<'_>>("Subtype").is_some_and(|name| name.as_str() == "Widget")
    };
    annotations.iter::<Dict<'_>>().filter(is_widget).collect()
}

/// Where an annotation stands on the page as it is shown.
pub(super) fn place(page: &Page<'_>, annotation: &Dict<'_>) -> Rect {
    let rect = annotation.get::<PdfRect>("Rect").unwrap_or(PdfRect::ZERO);
    Affine::new(page.initial_transform(false).as_coeffs())
        .transform_rect_bbox(Rect::new(rect.x0, rect.y0, rect.x1, rect.y1))
}

/// What `get` finds nearest from `field` up.
fn inherited<'a, T>(field: &Dict<'a>, get: impl Fn(&Dict<'a>) -> Option<T>) -> Option<T> {
    let mut field = field.clone();
    for _ in 0..DEPTH_MAX {
        if let Some(value) = get(&field) {
            return Some(value);
        }
        field = field.get::<Dict<'_>>("Parent")?;
    }
    None
}

/// The full name: the partial names from the root down.
fn name(field: &Dict<'_>) -> String {
    let mut parts = Vec::new();
    let mut next = Some(field.clone());
    for _ in 0..DEPTH_MAX {
        let Some(field) = next else { break };
        parts.extend(field.get::<PdfString<'_>>("T").map(|part| text_string(part.as_bytes())));
        next = field.get::<Dict<'_>>("Parent");
    }
    parts.reverse();
    match parts.is_empty() {
        true => "unnamed field".to_owned(),
        false => parts.join("."),
    }
}

/// What stands in the field, if anything is to be said of it.
fn entry(field: &Dict<'_>, drawn: &str, hidden: &mut Vec<(String, String)>) -> Option<String> {
    let flags = inherited(field, |f| f.get::<u32>("Ff")).unwrap_or(0);
    match inherited(field, |f| f.get::<Name<'_>>("FT"))?.as_str() {
        "Btn" if flags & PUSH_BUTTON != 0 => None,
        "Btn" => button(field, flags & RADIO != 0),
        // The box on the page may say more than the signature.
        "Sig" => Some(format!("{}\n{}", signature(field)?, drawn.trim()).trim_end().to_owned()),
        "Tx" if flags & PASSWORD != 0 => None,
        _ => {
            let value = values(field)?;
            let (stored, drawn) = (value.trim(), drawn.trim());
            if drawn.is_empty() || is_within(drawn, stored) {
                return (!stored.is_empty()).then(|| stored.to_owned());
            }
            if stored.chars().filter(|c| c.is_alphabetic()).count() > 3 {
                let why = "a stored value of a form field that shows something else";
                hidden.push((format!("{}: {stored}", name(field)), why.to_owned()));
            }
            Some(drawn.to_owned())
        }
    }
}

/// Whether all that is drawn is the stored text or, where the field is too small, a part of it.
fn is_within(drawn: &str, stored: &str) -> bool {
    let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    letters(stored).contains(&letters(drawn))
}

/// Text, or the chosen options as they are displayed.
fn values(field: &Dict<'_>) -> Option<String> {
    let chosen: Vec<String> = match inherited(field, |f| f.get::<Object<'_>>("V")) {
        Some(Object::String(text)) => vec![text_string(text.as_bytes())],
        Some(Object::Name(name)) => vec![name.as_str().to_owned()],
        Some(Object::Stream(text)) => vec![text_string(&text.decoded_data().ok()?)],
        Some(Object::Array(texts)) => {
            texts.iter::<PdfString<'_>>().map(|text| text_string(text.as_bytes())).collect()
        }
        // Nothing stored: what is drawn is all there is.
        _ => return Some(String::new()),
    };
    let options = inherited(field, |f| f.get::<Array<'_>>("Opt"));
    let displayed = |value: String| {
        let pairs = options.iter().flat_map(|options| options.iter::<Array<'_>>());
        let mut texts = pairs.map(|pair| {
            pair.iter::<PdfString<'_>>()
                .map(|text| text_string(text.as_bytes()))
                .collect::<Vec<_>>()
        });
        let pair = texts.find(|pair| pair.first() == Some(&value));
        pair.and_then(|pair| pair.get(1).cloned()).unwrap_or(value)
    };
    let lines: Vec<String> = chosen.into_iter().map(displayed).collect();
    Some(lines.join(", ").replace("\r\n", "\n").replace('\r', "\n"))
}

/// A check box says whether it is set; of radio buttons only the chosen one speaks.
fn button(field: &Dict<'_>, is_radio: bool) -> Option<String> {
    let state =
        field.get::<Name<'_>>("AS").or_else(|| inherited(field, |f| f.get::<Name<'_>>("V")));
    let on = state.as_ref().map(|state| state.as_str()).filter(|&state| state != "Off");
    match (on, is_radio) {
        (Some(state), true) => Some(state.to_owned()),
        (None, true) => None,
        (Some("Yes" | "On" | "1"), false) => Some("[x]".to_owned()),
        (Some(state), false) => Some(format!("[x] {state}")),
        (None, false) => Some("[ ]".to_owned()),
    }
}

/// Who signed, when and why, as the signature states it; whether it holds is not checked.
fn signature(field: &Dict<'_>) -> Option<String> {
    let value = inherited(field, |f| f.get::<Dict<'_>>("V"))?;
    let parts = [("Name", "signed by "), ("M", "on "), ("Reason", "reason: "), ("Location", "at ")];
    let stated = parts.iter().filter_map(|(key, lead)| {
        let text = text_string(value.get::<PdfString<'_>>(key)?.as_bytes());
        let text = text.trim();
        (!text.is_empty()).then(|| format!("{lead}{text}"))
    });
    let stated: Vec<String> = stated.collect();
    Some(match stated.is_empty() {
        true => "signed (not checked)".to_owned(),
        false => format!("{} (not checked)", stated.join(", ")),
    })
}
