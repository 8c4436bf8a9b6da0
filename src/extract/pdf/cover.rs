//! What is drawn over text: glyphs under an opaque area are hidden, and a hidden glyph whose double is
//! seen at the same place says nothing of its own. Nor does what an edge cuts off a word.

use std::collections::BTreeMap;

use super::canvas::Canvas;
use super::glyphs::{Glyph, Layer};

/// Height of the strips (in points) in which glyphs are looked up.
const STRIP: f64 = 16.0;

/// How far (in sizes) a double may stand from its original: a shadow or the halo of a map's label.
const DOUBLE: f32 = 0.4;

/// Characters that an edge may cut off a word.
const CUT_MAX: usize = 4;

/// Marks the glyphs that lie under what was drawn later.
pub(super) fn hide_covered(glyphs: &mut [Glyph], canvas: &Canvas) {
    let mut areas = canvas.covers().peekable();
    if areas.peek().is_none() {
        return;
    }
    let strip = |y: f64| (y / STRIP).floor() as i64;
    let mut strips: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (index, glyph) in glyphs.iter().enumerate() {
        strips.entry(strip(glyph.core().center().y)).or_default().push(index);
    }
    for area in areas {
        let (low, high) = (strip(area.bounds.y0), strip(area.bounds.y1));
        for indices in strips.range(low..=high).map(|(_, indices)| indices) {
            for &index in indices.iter().take_while(|&&index| index < area.drawn_before) {
                let glyph = &mut glyphs[index];
                if glyph.layer == Layer::Visible && area.covers(glyph.core()) {
                    glyph.layer = if area.picture { Layer::UnderPicture } else { Layer::Covered };
                }
            }
        }
    }
}

/// Without hidden glyphs that are seen all the same because they are drawn a second time.
pub(super) fn without_doubles(mut glyphs: Vec<Glyph>) -> Vec<Glyph> {
    let doubles = |layer| {
        matches!(layer, Layer::Covered | Layer::UnderPicture | Layer::GroundColour | Layer::Clipped)
    };
    if !glyphs.iter().any(|glyph| doubles(glyph.layer)) {
        return glyphs;
    }
    let cell = |value: f32| (f64::from(value) / STRIP).floor() as i64;
    let mut seen: BTreeMap<(i64, i64), Vec<Glyph>> = BTreeMap::new();
    for glyph in glyphs.iter().filter(|glyph| glyph.layer == Layer::Visible) {
        seen.entry((cell(glyph.x), cell(glyph.y))).or_default().push(*glyph);
    }
    glyphs.retain(|glyph| {
        let near = DOUBLE * glyph.size;
        let is_double = |other: &Glyph| {
            other.text == glyph.text
                && (other.x - glyph.x).abs() <= near
                && (other.y - glyph.y).abs() <= near
        };
        let columns = cell(glyph.x - near)..=cell(glyph.x + near);
        let mut cells = columns
            .flat_map(|x| (cell(glyph.y - near)..=cell(glyph.y + near)).map(move |y| (x, y)));
        !(doubles(glyph.layer)
            && cells.any(|at| seen.get(&at).is_some_and(|glyphs| glyphs.iter().any(is_double))))
    });
    glyphs
}

/// Marks as seen what the edge of a clip or of the page cuts off a word that is seen else: that is damaged
/// print, and the word is read whole.
pub(super) fn mend_cut_words(glyphs: &mut [Glyph]) {
    let is_cut = |glyph: &Glyph| {
        matches!(glyph.layer, Layer::Clipped | Layer::OffPage) && !glyph.text.is_whitespace()
    };
    let is_seen = |glyph: &Glyph| glyph.layer == Layer::Visible;
    let mut start = 0;
    while let Some(at) = glyphs[start..].iter().position(is_cut) {
        let from = start + at;
        let end = from + glyphs[from..].iter().take_while(|glyph| is_cut(glyph)).count();
        let before = from > 0 && glyphs[from].goes_on(&glyphs[from - 1]);
        let before = before && is_seen(&glyphs[from - 1]);
        let after = glyphs.get(end).filter(|after| is_seen(after));
        let after = after.is_some_and(|after| after.goes_on(&glyphs[end - 1]));
        if end - from <= CUT_MAX && (before || after) {
            glyphs[from..end].iter_mut().for_each(|glyph| glyph.layer = Layer::Visible);
        }
        start = end;
    }
}
