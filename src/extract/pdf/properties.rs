//! The document information dictionary as text.

use std::collections::BTreeMap;

use hayro_interpret::hayro_syntax::metadata::Metadata;
use hayro_interpret::hayro_syntax::object::DateTime;

/// Title, author and the like, where stated and not blank.
pub(super) fn read(metadata: &Metadata) -> BTreeMap<String, String> {
    let texts = [
        ("title", &metadata.title),
        ("author", &metadata.author),
        ("subject", &metadata.subject),
        ("keywords", &metadata.keywords),
        ("creator", &metadata.creator),
        ("producer", &metadata.producer),
    ]
    .into_iter()
    .filter_map(|(name, bytes)| Some((name, text_string(bytes.as_deref()?))));
    let dates = [("created", &metadata.creation_date), ("modified", &metadata.modification_date)]
        .into_iter()
        .filter_map(|(name, date)| Some((name, iso_date((*date)?))));
    texts
        .chain(dates)
        .filter(|(_, text)| !text.trim().is_empty())
        .map(|(name, text)| (name.to_owned(), text))
        .collect()
}

/// A text string: UTF-16BE or UTF-8 by its mark, else PDFDocEncoding (ISO 32000-2, 7.9.2.2).
pub(super) fn text_string(bytes: &[u8]) -> String {
    match bytes {
        [0xFE, 0xFF, rest @ ..] => {
            let units: Vec<u16> =
                rest.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            String::from_utf16_lossy(&units)
        }
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        _ => bytes.iter().map(|&byte| doc_encoded(byte)).collect(),
    }
}

/// PDFDocEncoding (ISO 32000-2, annex D.2), which differs from Latin-1 in 0x18..0x1F and 0x80..0xA0.
fn doc_encoded(byte: u8) -> char {
    const LOW: [char; 8] = ['˘', 'ˇ', 'ˆ', '˙', '˝', '˛', '˚', '˜'];
    const HIGH: [char; 33] = [
        '•', '†', '‡', '…', '—', '–', 'ƒ', '⁄', '‹', '›', '−', '‰', '„', '“', '”', '‘', '’', '‚',
        '™', 'ﬁ', 'ﬂ', 'Ł', 'Œ', 'Š', 'Ÿ', 'Ž', 'ı', 'ł', 'œ', 'š', 'ž', '\u{fffd}', '€',
    ];
    match byte {
        0x18..=0x1F => LOW[usize::from(byte - 0x18)],
        0x80..=0xA0 => HIGH[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

fn iso_date(date: DateTime) -> String {
    let DateTime { year, month, day, hour, minute, second, .. } = date;
    let offset = match (date.utc_offset_hour, date.utc_offset_minute) {
        (0, 0) => "Z".to_owned(),
        (hours, minutes) => format!("{hours:+03}:{:02}", minutes),
    };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{offset}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_read_in_each_of_their_encodings() {
        assert_eq!(text_string(b"\xFE\xFF\x00L\x00\xE9"), "Lé");
        assert_eq!(text_string("\u{feff}Lé".as_bytes()), "Lé");
        assert_eq!(text_string(b"L\xE9 \x84 5 \xA0"), "Lé — 5 €");
    }
}
