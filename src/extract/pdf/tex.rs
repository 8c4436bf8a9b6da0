//! Characters of fonts of TeX whose glyphs have no name that says them: by the font's name and the code, which is
//! the same in every document (The TeXbook, appendix F, and the manuals of latexsym, amsfonts and wasysym).

/// What the glyph of a `code` in the font called `name` says; nothing where it is a piece of a drawing.
pub(super) fn character(name: &str, code: u32) -> Option<&'static str> {
    let Family { drawing, characters } = family(name)?;
    let found = characters.iter().find(|&&(own, _)| own == code).map(|&(_, text)| text);
    found.or(drawing.then_some(""))
}

/// Whether `character` knows the font called `name`.
pub(super) fn is_known(name: &str) -> bool {
    family(name).is_some()
}

/// Whether the font called `name` comes with TeX.
pub(super) fn is_of_tex(name: &str) -> bool {
    let stem = name.to_ascii_lowercase();
    let families = ["cm", "lm", "sf", "ec", "tc", "eu", "ms", "rsfs", "stmary"];
    is_known(name) || families.iter().any(|family| stem.starts_with(family))
}

/// What `code` is in every bitmap font of TeX that has it as a letter: the letters of ASCII, and the upper half of the
/// Cork encoding, which only fonts of text have.
pub(super) fn bitmap(code: u32) -> Option<char> {
    match char::from_u32(code)? {
        '\u{d7}' => Some('Œ'),
        '\u{f7}' => Some('œ'),
        '\u{ff}' => Some('ß'),
        '\u{df}' => None,
        c => (c.is_ascii_graphic() || ('À'..='þ').contains(&c)).then_some(c),
    }
}

struct Family {
    /// Its other glyphs are ends of arrows, pieces of lines and circles.
    drawing: bool,
    characters: &'static [(u32, &'static str)],
}

fn family(name: &str) -> Option<Family> {
    // CMSY10, LMMathSymbols10-Regular, XYATIP-Medium.
    let stem = name.split(|c: char| !c.is_ascii_alphabetic()).next()?.to_ascii_lowercase();
    let of = |characters| Some(Family { drawing: false, characters });
    match stem.as_str() {
        "cmsy" | "cmbsy" | "lmmathsymbols" => of(&[(55, "↦")]),
        "cmex" | "lmmathextension" => {
            of(&[(119, "‖"), (120, "↑"), (121, "↓"), (126, "⇑"), (127, "⇓")])
        }
        // A dashed arrow is two dashes and its end.
        "msam" => of(&[(57, ""), (75, "⇢"), (76, "⇠")]),
        "lasy" | "lasyb" => of(&LATEX),
        "wasy" | "wasyb" => of(&WALDI),
        "line" | "linew" | "lcircle" | "lcirclew" | "xyatip" | "xybtip" | "xybsql" | "xycirc"
        | "xydash" | "xycmat" | "xycmbt" | "xyeuat" | "xyeubt" => {
            Some(Family { drawing: true, characters: &[] })
        }
        _ => None,
    }
}

const LATEX: [(u32, &str); 11] = [
    (1, "⊲"),
    (2, "⊴"),
    (3, "⊳"),
    (4, "⊵"),
    (48, "℧"),
    (49, "⋈"),
    (50, "□"),
    (51, "◇"),
    (59, "⇝"),
    (60, "⊏"),
    (61, "⊐"),
];

#[rustfmt::skip]
const WALDI: [(u32, &str); 61] = [
    (1, "⊲"), (2, "⊴"), (3, "⊳"), (4, "⊵"), (7, "☎"), (8, "✓"), (11, "♪"), (15, "♫"), (16, "◀"), (17, "▶"),
    (18, "↯"), (19, "☊"), (20, "☋"), (23, "♈"), (24, "⌐"), (29, "∝"), (31, "⌀"), (32, "●"), (35, "○"), (36, "☾"),
    (37, "☽"), (39, "☿"), (44, "☺"), (45, "☻"), (47, "☹"), (49, "⋈"), (50, "□"), (51, "◇"), (52, "☒"), (54, "✠"),
    (59, "⇝"), (60, "⊏"), (61, "⊐"), (62, "≲"), (63, "≳"), (86, "☌"), (87, "☍"), (88, "♃"), (89, "♄"), (90, "♅"),
    (91, "♆"), (92, "♇"), (93, "♉"), (94, "♊"), (95, "♋"), (96, "♍"), (97, "♎"), (98, "♏"), (99, "♐"), (100, "♑"),
    (101, "♒"), (102, "♓"), (104, "‰"), (107, "ð"), (108, "ɔ"), (114, "∫"), (115, "∬"), (116, "∭"), (117, "∮"),
    (118, "∯"), (124, "¦"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_a_character_by_its_font() {
        assert_eq!(character("CMSY10", 55), Some("↦"));
        assert_eq!(character("LMMathSymbols10-Regular", 55), Some("↦"));
        assert_eq!(character("LASY10", 50), Some("□"));
        assert_eq!(character("XYATIP-Medium", 50), Some(""), "the end of an arrow");
        assert_eq!(character("CMSY10", 56), None);
        assert_eq!(character("LinePrinter", 50), None);
    }
}
