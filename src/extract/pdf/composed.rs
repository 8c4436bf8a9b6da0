//! Characters that are drawn as two glyphs, one over the other: a letter and its accent, a sign and its stroke.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// How far apart (in sizes) the middles of a letter and of its accent may be.
const ACCENT_NEAR: f32 = 0.3;

/// Signs that TeX draws as two.
const OVERLAID: [(char, char, char); 7] = [
    ('c', '©', '©'),
    ('R', '©', '®'),
    ('∼', '=', '≅'),
    ('=', '∼', '≅'),
    ('≁', '=', '≇'),
    ('/', '∈', '∉'),
    // The bar has no width, and the arrow begins where it stands.
    ('↦', '→', '↦'),
];

/// The stroke that turns "=" into "≠".
const STROKE: char = '\u{338}';

/// The bar that crosses an l: TeX draws it before the small one and at the start of the capital.
const BAR: char = '\u{337}';

/// A glyph where it stands along its line, in points.
#[derive(Clone, Copy)]
pub(super) struct Placed {
    pub(super) text: char,
    pub(super) along: f32,
    pub(super) advance: f32,
}

impl Placed {
    fn middle(self) -> f32 {
        self.along + self.advance / 2.0
    }
}

/// What `first` and then `second`, letters of at most `size`, show together: a character, and an accent for it where
/// there is no character with that accent. None where they stand beside each other.
pub(super) fn composed(first: Placed, second: Placed, size: f32) -> Option<(char, Option<char>)> {
    let between_middles = (first.middle() - second.middle()).abs();
    let between_starts = (first.along - second.along).abs();
    let near = ACCENT_NEAR * size;
    if first.text == BAR {
        let gap = (second.along - first.along - first.advance).abs();
        let crosses = gap.min(between_starts) <= near;
        return match second.text {
            'L' if crosses => Some(('Ł', None)),
            'l' if crosses => Some(('ł', None)),
            _ => None,
        };
    }
    let pair = (first.text, second.text);
    if let Some(&(.., sign)) = OVERLAID.iter().find(|&&(a, b, _)| (a, b) == pair) {
        let apart = if first.advance == 0.0 { between_starts } else { between_middles };
        return (apart <= near).then_some((sign, None));
    }
    let (mark, letter, apart) = match (combining(first.text), combining(second.text)) {
        // The stroke has no width and strikes what follows.
        (Some(STROKE), None) => (STROKE, second.text, between_starts),
        (Some(mark), None) => (mark, second.text, between_middles),
        // The last letters of a ligature have no place of their own.
        (None, Some(mark)) if first.advance > 0.0 => (mark, first.text, between_middles),
        _ => return None,
    };
    let fits = letter.is_alphabetic() || mark == STROKE;
    if !fits || apart > near {
        return None;
    }
    let letter = match letter {
        'ı' => 'i',
        'ȷ' => 'j',
        letter => letter,
    };
    let mut composed = [letter, mark].into_iter().nfc();
    Some((composed.next()?, composed.next()))
}

/// The combining form of an accent that fonts also have as a glyph of its own.
fn combining(accent: char) -> Option<char> {
    Some(match accent {
        '`' | '\u{2cb}' => '\u{300}',
        '\u{b4}' | '\u{2ca}' => '\u{301}',
        '\u{2c6}' => '\u{302}',
        '\u{2dc}' => '\u{303}',
        '\u{af}' | '\u{2c9}' => '\u{304}',
        '\u{2d8}' => '\u{306}',
        '\u{2d9}' => '\u{307}',
        '\u{a8}' => '\u{308}',
        '\u{2da}' => '\u{30a}',
        '\u{2dd}' => '\u{30b}',
        '\u{2c7}' => '\u{30c}',
        '\u{b8}' => '\u{327}',
        '\u{2db}' => '\u{328}',
        '\u{300}'..='\u{36f}' | '\u{20d0}'..='\u{20ff}' if is_combining_mark(accent) => accent,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(first: (char, f32), second: (char, f32, f32)) -> Option<String> {
        let first = Placed { text: first.0, along: 50.0, advance: first.1 };
        let second = Placed { text: second.0, along: second.1, advance: second.2 };
        composed(first, second, 10.0).map(|(c, mark)| [c].into_iter().chain(mark).collect())
    }

    #[test]
    fn two_glyphs_over_one_another_are_one_character_and_beside_one_another_two() {
        for (first, second, read) in [
            (('c', 5.0), ('©', 47.5, 10.0), Some("©")),
            (('∼', 7.8), ('=', 50.0, 7.8), Some("≅")),
            (('≁', 7.8), ('=', 50.0, 7.8), Some("≇")),
            (('/', 5.0), ('∈', 49.4, 6.7), Some("∉")),
            (('↦', 0.0), ('→', 50.0, 10.0), Some("↦")),
            (('\u{338}', 0.0), ('=', 50.0, 7.8), Some("≠")),
            (('\u{337}', 2.8), ('L', 49.6, 6.2), Some("Ł")),
            (('\u{337}', 2.8), ('l', 52.8, 2.8), Some("ł")),
            (('\u{2dc}', 5.0), ('z', 50.5, 4.7), Some("z\u{303}")),
            (('a', 5.0), ('\u{b4}', 55.0, 3.3), None),
            (('i', 0.0), ('\u{b4}', 50.0, 3.3), None),
            (('/', 5.0), ('∈', 55.0, 6.7), None),
        ] {
            assert_eq!(drawn(first, second).as_deref(), read, "{first:?} {second:?}");
        }
    }
}
