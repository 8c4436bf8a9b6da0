//! What characters of the private use area mean that Adobe's glyph list gives to glyph names ("corporate use
//! subarea", Adobe Glyph List 2.0): small capitals, old-style and raised figures, pieces of tall brackets.

/// The character that `c` is another form of; `c` where it is none of these.
pub(super) fn standard(c: char) -> char {
    match c {
        // Small capitals and old-style figures lie as the characters of Latin 1 do.
        '\u{f721}'..='\u{f7ff}' => u8::try_from(u32::from(c) - 0xf700).map_or(c, char::from),
        '\u{f6be}' => 'ȷ',
        '\u{f6c9}' => '\u{b4}',
        '\u{f6ca}' => '\u{2c7}',
        '\u{f6cb}' => '\u{a8}',
        '\u{f6ce}' => '`',
        '\u{f6cf}' => '\u{2dd}',
        '\u{f6d0}' => '\u{af}',
        '\u{f6d9}' | '\u{f8e9}' => '©',
        '\u{f6da}' | '\u{f8e8}' => '®',
        '\u{f6db}' | '\u{f8ea}' => '™',
        '\u{f6dc}' => '1',
        '\u{f6de}' => '—',
        '\u{f6df}' | '\u{f6e0}' => '¢',
        '\u{f6e1}' | '\u{f6e2}' => ',',
        '\u{f6e3}' | '\u{f6e4}' => '$',
        '\u{f6e5}' | '\u{f6e6}' => '-',
        '\u{f6e7}' | '\u{f6e8}' => '.',
        '\u{f6e9}'..='\u{f6f3}' => SUPERIOR[(u32::from(c) - 0xf6e9) as usize],
        '\u{f8e6}'..='\u{f8fe}' => PIECES[(u32::from(c) - 0xf8e6) as usize],
        c => c,
    }
}

/// Raised letters, from U+F6E9.
const SUPERIOR: [char; 11] = ['a', 'b', 'd', 'e', 'i', 'l', 'm', 'o', 'r', 's', 't'];

/// From U+F8E6; Unicode has most of them since its version 3.2.
const PIECES: [char; 25] = [
    '⏐', '⎯', '®', '©', '™', '⎛', '⎜', '⎝', '⎡', '⎢', '⎣', '⎧', '⎨', '⎩', '⎪', '⎮', '⎞', '⎟', '⎠',
    '⎤', '⎥', '⎦', '⎫', '⎬', '⎭',
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_characters_are_these_characters() {
        // By glyph name: zerooldstyle, Asmall, Odieresissmall, dotlessj, parenlefttp, bracerightbt, esuperior.
        let forms = "\u{f730}\u{f761}\u{f7f6}\u{f6be}\u{f8eb}\u{f8fe}\u{f6ec}";
        assert_eq!(forms.chars().map(standard).collect::<String>(), "0aöȷ⎛⎭e");
        // Of a symbol font, by code.
        assert_eq!(standard('\u{f0b7}'), '\u{f0b7}');
    }
}
