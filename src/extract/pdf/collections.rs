//! What the fonts of a page say of characters that no glyph of theirs carries. Where a composite font without
//! ToUnicode numbers its glyphs as one of Adobe's character collections does (Japan1, GB1, CNS1, Korea1), the
//! collection knows the character (ISO 32000-2, 9.10.2); hayro asks it for fonts that are not embedded. Where
//! Type 3 fonts name every glyph by its code, as TeX's bitmaps do, the code is the character's; in some fonts of TeX
//! it is by the font's name.

use std::collections::BTreeMap;

use hayro_interpret::font::OutlineGlyph;
use hayro_interpret::hayro_cmap::{BfString, CMap, CMapName, CidFamily, load_embedded};
use hayro_interpret::hayro_syntax::object::{
    Array, Dict, Name, Object, Stream, String as PdfString,
};
use hayro_interpret::hayro_syntax::page::Page;

use super::tex;

/// Forms in one another whose fonts are looked for.
const DEPTH_MAX: usize = 8;

/// Fonts and forms of a page that are looked at.
const LOOKED_AT_MAX: usize = 2000;

/// Such fonts of one page, by name.
#[derive(Default)]
pub(super) struct Collections {
    fonts: BTreeMap<String, Collected>,
    /// Its Type 3 fonts, and how many of them name every glyph by its code ("a36"), as the bitmaps of TeX do.
    type3: usize,
    numbered: usize,
    /// Names of its Type 1 fonts of TeX with glyphs that only their codes tell.
    tex: Vec<String>,
    /// Whether it has Type 1 fonts that say nothing of their characters and may be anybody's.
    has_others: bool,
}

struct Collected {
    /// Codes to glyph numbers.
    encoding: CMap,
    /// Glyph numbers to characters.
    characters: CMap,
}

impl Collections {
    /// Those that `page` names, itself and in its forms.
    pub(super) fn of_page(page: &Page<'_>) -> Collections {
        let mut collections = Collections::default();
        let resources = page.resources();
        let mut left = LOOKED_AT_MAX;
        collections.add_fonts(&resources.fonts, &mut left);
        collections.add_forms(&resources.x_objects, DEPTH_MAX, &mut left);
        collections
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fonts.is_empty() && self.tex.is_empty() && !self.is_numbered()
    }

    /// Whether a code of the page's Type 3 fonts is all that is known of a glyph: then it is a character's.
    pub(super) fn is_numbered(&self) -> bool {
        self.type3 > 0 && self.numbered == self.type3
    }

    /// What `glyph` stands for, if its font is one of them.
    pub(super) fn character(&self, glyph: &OutlineGlyph) -> Option<BfString> {
        let font = self.fonts.get(&glyph.font_data()?.postscript_name?)?;
        let code = glyph.char_code();
        let number = (1..=4).find_map(|bytes| font.encoding.lookup_cid_code(code, bytes))?;
        font.characters.lookup_bf_string(number)
    }

    /// What a glyph of the page's fonts of TeX says, nothing for a piece of a drawing; none where the fonts do not
    /// agree on its code.
    pub(super) fn of_tex(&self, glyph: &OutlineGlyph) -> Option<BfString> {
        let code = glyph.char_code();
        let mut found = self.tex.iter().filter_map(|name| tex::character(name, code));
        let text = found.next()?;
        let is_sure = found.all(|other| other == text) && !self.has_others;
        // hayro keeps the programs of Type 1 fonts to itself.
        (is_sure && glyph.font_data().is_none()).then(|| BfString::String(text.to_owned()))
    }

    fn add_fonts(&mut self, fonts: &Dict<'_>, left: &mut usize) {
        for name in fonts.keys() {
            *left = left.saturating_sub(1);
            if *left == 0 {
                return;
            }
            let Some(font) = fonts.get::<Dict<'_>>(name.as_ref()) else { continue };
            let kind = font.get::<Name<'_>>("Subtype");
            let kind = kind.as_ref().map_or("", |kind| kind.as_str());
            if kind == "Type1" {
                let name = font.get::<Name<'_>>("BaseFont");
                let name = name.as_ref().map_or("", |name| without_mark(name.as_str()));
                if tex::is_known(name) && !self.tex.iter().any(|known| known == name) {
                    self.tex.push(name.to_owned());
                }
                self.has_others |= !tex::is_of_tex(name) && !font.contains_key("ToUnicode");
            } else if kind == "Type3" {
                self.type3 += 1;
                self.numbered += usize::from(names_are_codes(&font).unwrap_or(false));
            } else if let Some((name, collected)) = collected(&font) {
                self.fonts.entry(name).or_insert(collected);
            }
        }
    }

    fn add_forms(&mut self, forms: &Dict<'_>, depth: usize, left: &mut usize) {
        for name in forms.keys() {
            *left = left.saturating_sub(1);
            if *left == 0 || depth == 0 {
                return;
            }
            let form = forms.get::<Stream<'_>>(name.as_ref());
            if let Some(resources) = form.and_then(|it| it.dict().get::<Dict<'_>>("Resources")) {
                let within = |key: &str| resources.get::<Dict<'_>>(key).unwrap_or_default();
                self.add_fonts(&within("Font"), left);
                self.add_forms(&within("XObject"), depth - 1, left);
            }
        }
    }
}

/// Whether every glyph of the Type 3 `font` is called "a" and its code.
fn names_are_codes(font: &Dict<'_>) -> Option<bool> {
    let differences =
        font.get::<Dict<'_>>("Encoding")?.get::<Array<'_>>("Differences")?.iter::<Object<'_>>();
    let mut code = 0;
    for entry in differences {
        match entry {
            Object::Number(number) => code = number.as_i64(),
            Object::Name(name) => {
                let named = name.as_str().strip_prefix('a').and_then(|n| n.parse::<i64>().ok());
                if named != Some(code) && name.as_str() != ".notdef" {
                    return Some(false);
                }
                code += 1;
            }
            _ => return None,
        }
    }
    Some(true)
}

/// The name of a font without the mark of a subset.
fn without_mark(name: &str) -> &str {
    match name.split_once('+') {
        Some((mark, name)) if mark.len() == 6 => name,
        _ => name,
    }
}

/// The name of `font` without the mark of a subset, and its maps; none for other fonts.
fn collected(font: &Dict<'_>) -> Option<(String, Collected)> {
    if font.get::<Name<'_>>("Subtype")?.as_str() != "Type0" || font.contains_key("ToUnicode") {
        return None;
    }
    let base = font.get::<Name<'_>>("BaseFont")?;
    let name = without_mark(base.as_str());
    let descendant = font.get::<Array<'_>>("DescendantFonts")?.iter::<Dict<'_>>().next()?;
    let encoding = match font.get::<Object<'_>>("Encoding")? {
        Object::Name(name) => match CMapName::from_bytes(name.as_ref()) {
            CMapName::IdentityH | CMapName::IdentityV => CMap::identity_h(),
            known => CMap::parse(load_embedded(known)?, load_embedded)?,
        },
        Object::Stream(stream) => CMap::parse(&stream.decoded_data().ok()?, load_embedded)?,
        _ => return None,
    };
    // A predefined encoding names its collection; Identity leaves that to the font.
    let of_encoding = encoding.metadata().character_collection.as_ref();
    let family = match of_encoding.and_then(|collection| collection.family.ucs2_cmap()) {
        Some(known) => known,
        None => {
            let system = descendant.get::<Dict<'_>>("CIDSystemInfo")?;
            let text = |key: &str| system.get::<PdfString<'_>>(key);
            let (registry, ordering) = (text("Registry")?, text("Ordering")?);
            CidFamily::from_registry_ordering(registry.as_bytes(), ordering.as_bytes())
                .ucs2_cmap()?
        }
    };
    let characters = CMap::parse(load_embedded(family)?, load_embedded)?;
    Some((name.to_owned(), Collected { encoding, characters }))
}
