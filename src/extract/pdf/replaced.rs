//! Replacement text (`ActualText`, ISO 32000-2, 14.9.4). What is printed counts; the replacement helps
//! where glyphs carry no character, and is reported where it says something else than the print.

use hayro_interpret::hayro_syntax::object::{Dict, String as PdfString};
use unicode_normalization::UnicodeNormalization;

use super::glyphs::{Glyph, Layer};
use super::properties::text_string;

/// More letters than this that are not printed are no ligature, hyphen or bullet.
const LETTERS_AT_ODDS: usize = 3;

#[derive(Default)]
pub(super) struct Replaced {
    /// For each open marked content: its replacement, and how many glyphs stood before it.
    open: Vec<Option<(String, usize)>>,
    /// Replacements that say something else than what is printed.
    pub(super) hidden: Vec<String>,
}

impl Replaced {
    pub(super) fn begin(&mut self, properties: Option<&Dict<'_>>, glyphs: usize) {
        let text = properties.and_then(|dict| dict.get::<PdfString<'_>>("ActualText"));
        self.open.push(text.map(|text| (text_string(text.as_bytes()), glyphs)));
    }

    pub(super) fn end(&mut self, glyphs: &mut Vec<Glyph>, unmapped: &mut usize) {
        let Some(Some((text, from))) = self.open.pop() else { return };
        let Some(printed) = glyphs.get(from..).filter(|printed| !printed.is_empty()) else {
            return;
        };
        let unknown = printed.iter().filter(|glyph| is_unknown(glyph.text)).count();
        if unknown > 0 && !text.trim().is_empty() {
            if let Some(replacement) = spread(&text, printed) {
                *unmapped -= unknown.min(*unmapped);
                glyphs.truncate(from);
                glyphs.extend(replacement);
            }
            return;
        }
        if printed.iter().any(|glyph| glyph.layer == Layer::Visible) {
            let letters = letters(text.chars());
            let shown = self::letters(printed.iter().map(|glyph| glyph.text));
            if letters != shown && letters.chars().count() > LETTERS_AT_ODDS && unknown == 0 {
                self.hidden.push(text);
            }
        }
    }
}

/// No character is known, or only the font knows what it means.
fn is_unknown(c: char) -> bool {
    matches!(c, '\u{fffd}' | '\u{e000}'..='\u{f8ff}')
}

fn letters(text: impl Iterator<Item = char>) -> String {
    text.nfkc().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// `text` in place of the glyphs `printed`; none where these are not one line.
fn spread(text: &str, printed: &[Glyph]) -> Option<Vec<Glyph>> {
    let (first, last) = (printed.first()?, printed.last()?);
    let across =
        |glyph: &Glyph| ((glyph.x - first.x) * first.dy - (glyph.y - first.y) * first.dx).abs();
    let along = |glyph: &Glyph| {
        (glyph.x - first.x) * first.dx + (glyph.y - first.y) * first.dy + glyph.advance
    };
    if printed.iter().any(|glyph| across(glyph) > 0.5 * first.size) || along(last) < 0.0 {
        return None;
    }
    let characters: Vec<char> = text.chars().filter(|c| !c.is_control()).collect();
    let step = along(last) / characters.len().max(1) as f32;
    let place = |(index, text): (usize, char)| {
        let at = step * index as f32;
        let (x, y) = (first.x + at * first.dx, first.y + at * first.dy);
        Glyph { text, x, y, advance: step, ..*first }
    };
    Some(characters.into_iter().enumerate().map(place).collect())
}
