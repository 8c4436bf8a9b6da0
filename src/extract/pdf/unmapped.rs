//! Characters for glyphs that carry none: an embedded TrueType font's own `cmap`, read backwards.
//! Composite fonts without ToUnicode name glyphs by number, and this is where the number is a letter.

use std::collections::BTreeMap;

use hayro_interpret::font::OutlineGlyph;

/// The reversed `cmap` of each font program met on a page, keyed by the program's content.
#[derive(Default)]
pub(super) struct FontMaps {
    fonts: BTreeMap<u128, BTreeMap<u32, char>>,
}

impl FontMaps {
    /// The character of `glyph` by its font program, if that knows one.
    pub(super) fn character(&mut self, glyph: &OutlineGlyph) -> Option<char> {
        let id = glyph.glyph_id().to_u32();
        if id == 0 {
            return None;
        }
        let font = glyph.font_data()?;
        let map = self
            .fonts
            .entry(font.cache_key)
            .or_insert_with(|| reversed_cmap((*font.data).as_ref()).unwrap_or_default());
        map.get(&id).copied()
    }
}

/// Glyph number → character, the lowest character where several share a glyph.
fn reversed_cmap(font: &[u8]) -> Option<BTreeMap<u32, char>> {
    let cmap = table(font, b"cmap")?;
    let subtables = u16_at(cmap, 2)?;
    let mut map = BTreeMap::new();
    for index in 0..usize::from(subtables) {
        let record = 4 + 8 * index;
        let (platform, encoding) = (u16_at(cmap, record)?, u16_at(cmap, record + 2)?);
        // Unicode, or Windows with BMP or full repertoire.
        if platform != 0 && !(platform == 3 && matches!(encoding, 1 | 10)) {
            continue;
        }
        let subtable = cmap.get(u32_at(cmap, record + 4)? as usize..)?;
        // Damage in one subtable leaves what was read before it.
        let _ = match u16_at(subtable, 0)? {
            4 => read_format_4(subtable, &mut map),
            12 => read_format_12(subtable, &mut map),
            _ => None,
        };
    }
    Some(map)
}

/// Segments of 16-bit characters (OpenType, `cmap` format 4).
fn read_format_4(table: &[u8], map: &mut BTreeMap<u32, char>) -> Option<()> {
    let segments = usize::from(u16_at(table, 6)?) / 2;
    for segment in 0..segments {
        let end = u16_at(table, 14 + 2 * segment)?;
        let start = u16_at(table, 16 + 2 * (segments + segment))?;
        let delta = u16_at(table, 16 + 2 * (2 * segments + segment))?;
        let offset_at = 16 + 2 * (3 * segments + segment);
        let offset = usize::from(u16_at(table, offset_at)?);
        for code in start..=end {
            if code == u16::MAX {
                break;
            }
            let glyph = if offset == 0 {
                code.wrapping_add(delta)
            } else {
                match u16_at(table, offset_at + offset + 2 * usize::from(code - start)) {
                    Some(0) | None => continue,
                    Some(glyph) => glyph.wrapping_add(delta),
                }
            };
            insert(map, u32::from(glyph), u32::from(code));
        }
    }
    Some(())
}

/// Groups of 32-bit characters (OpenType, `cmap` format 12).
fn read_format_12(table: &[u8], map: &mut BTreeMap<u32, char>) -> Option<()> {
    for group in 0..u32_at(table, 12)? as usize {
        let at = 16 + 12 * group;
        let (start, end) = (u32_at(table, at)?, u32_at(table, at + 4)?);
        let first = u32_at(table, at + 8)?;
        // A font has at most 65,536 glyphs.
        for step in 0..=end.checked_sub(start)?.min(0xFFFF) {
            insert(map, first.checked_add(step)?, start + step);
        }
    }
    Some(())
}

fn insert(map: &mut BTreeMap<u32, char>, glyph: u32, code: u32) {
    // Private-use characters mean nothing outside of the font.
    if glyph != 0
        && !(0xE000..=0xF8FF).contains(&code)
        && let Some(c) = char::from_u32(code)
    {
        let known = map.entry(glyph).or_insert(c);
        *known = c.min(*known);
    }
}

fn table<'a>(font: &'a [u8], tag: &[u8; 4]) -> Option<&'a [u8]> {
    let count = usize::from(u16_at(font, 4)?);
    let record = (0..count).map(|i| 12 + 16 * i).find(|&at| font.get(at..at + 4) == Some(tag))?;
    let (start, len) = (u32_at(font, record + 8)? as usize, u32_at(font, record + 12)? as usize);
    font.get(start..start.checked_add(len)?)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A font with only a `cmap` of one format 4 subtable: A..C are glyphs 5..7, é is glyph 9.
    fn font() -> Vec<u8> {
        let words = |list: &[u16]| list.iter().flat_map(|w| w.to_be_bytes()).collect::<Vec<u8>>();
        let subtable = words(&[
            4,
            40,
            0,
            6,
            0,
            0,
            0, // format, length, language, 2 × segments, search fields
            0x43,
            0xE9,
            0xFFFF,
            0, // ends, pad
            0x41,
            0xE9,
            0xFFFF, // starts
            5u16.wrapping_sub(0x41),
            9u16.wrapping_sub(0xE9),
            1, // deltas
            0,
            0,
            0, // offsets
        ]);
        let mut cmap = words(&[0, 1, 3, 1, 0, 12]);
        cmap.extend(subtable);
        let mut font = words(&[0, 1, 1, 0, 0, 0]);
        font.extend(b"cmap\0\0\0\0");
        font.extend(28u32.to_be_bytes());
        font.extend((cmap.len() as u32).to_be_bytes());
        font.extend(cmap);
        font
    }

    #[test]
    fn a_glyph_number_leads_back_to_its_character() {
        let map = reversed_cmap(&font()).unwrap();
        let expected = [(5, 'A'), (6, 'B'), (7, 'C'), (9, 'é')];
        assert_eq!(map.into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_cut_font_is_no_panic() {
        let font = font();
        for cut in 0..font.len() {
            reversed_cmap(&font[..cut]);
        }
    }
}
