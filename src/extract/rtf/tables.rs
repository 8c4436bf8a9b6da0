//! The tables at the start of an RTF file: fonts, colours, styles, authors of changes, properties. Read
//! in a pass of their own, since text may refer to any of them.

use std::collections::{BTreeMap, HashMap};

use encoding_rs::Encoding;

use super::encoding_of;
use super::tokens::{Token, Tokens};

/// Entries of one table beyond this are left out.
const ENTRIES_MAX: usize = 65_536;

#[derive(Debug)]
pub(super) struct Tables {
    pub(super) encoding: &'static Encoding,
    pub(super) default_font: i32,
    pub(super) fonts: HashMap<i32, Font>,
    pub(super) colours: Vec<[u8; 3]>,
    /// Heading levels by the number of the style.
    pub(super) headings: HashMap<i32, u8>,
    pub(super) authors: Vec<String>,
    pub(super) properties: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
pub(super) struct Font {
    pub(super) name: String,
    pub(super) encoding: Option<&'static Encoding>,
    /// Its characters are pictures.
    pub(super) is_symbol: bool,
}

/// Which table a group is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Outside,
    Fonts,
    Colours,
    Styles,
    Authors,
    Info,
    Property(&'static str),
    Skip,
}

impl Tables {
    pub(super) fn of(bytes: &[u8]) -> Tables {
        let mut tables = Tables {
            encoding: encoding_rs::WINDOWS_1252,
            default_font: 0,
            fonts: HashMap::new(),
            colours: Vec::new(),
            headings: HashMap::new(),
            authors: Vec::new(),
            properties: BTreeMap::new(),
        };
        let mut entry = Entry::default();
        // Depth of groups, and the table with the depth at which it began; a table does not lie in
        // another one, but what is left out does.
        let (mut depth, mut at) = (0usize, vec![(0usize, At::Outside)]);
        let mut starred = false;
        for token in Tokens::new(bytes) {
            let place = at.last().map_or(At::Outside, |(_, place)| *place);
            let was_starred = std::mem::take(&mut starred);
            match token {
                Token::Open => depth += 1,
                Token::Close => {
                    tables.close(place, &mut entry, depth == at.last().map_or(0, |(d, _)| *d));
                    depth = depth.saturating_sub(1);
                    while at.len() > 1 && at.last().is_some_and(|(begun, _)| *begun > depth) {
                        at.pop();
                    }
                }
                Token::Symbol(b'*') => starred = true,
                Token::Symbol(_) => {}
                Token::Byte(b';') if !matches!(place, At::Property(_) | At::Skip) => {
                    tables.end_entry(place, &mut entry)
                }
                Token::Byte(byte) => match place {
                    At::Outside | At::Skip | At::Info | At::Colours => {}
                    _ if entry.skip > 0 => entry.skip -= 1,
                    _ if entry.name.len() < 4096 => entry.name.push(byte),
                    _ => {}
                },
                Token::Word(word, number) => {
                    let inner = match (place, word) {
                        (At::Outside, "fonttbl") => Some(At::Fonts),
                        (At::Outside, "colortbl") => Some(At::Colours),
                        (At::Outside, "stylesheet") => Some(At::Styles),
                        (At::Outside, "revtbl") => Some(At::Authors),
                        (At::Outside, "info") => Some(At::Info),
                        (At::Info, "title") => Some(At::Property("title")),
                        (At::Info, "author") => Some(At::Property("author")),
                        (At::Info, "subject") => Some(At::Property("subject")),
                        (At::Fonts, "panose" | "falt" | "fname" | "fontemb") => Some(At::Skip),
                        (At::Styles, "cs" | "ts" | "ds") if was_starred => Some(At::Skip),
                        (At::Styles, "keycode") => Some(At::Skip),
                        _ => None,
                    };
                    if let Some(inner) = inner {
                        at.push((depth, inner));
                        // What is left out lies inside an entry, which goes on after it.
                        if inner != At::Skip {
                            entry = Entry::default();
                        }
                        continue;
                    }
                    tables.word(place, word, number.unwrap_or(0), &mut entry);
                }
            }
        }
        tables
    }

    fn word(&mut self, place: At, word: &str, value: i32, entry: &mut Entry) {
        match (place, word) {
            (At::Outside, "ansicpg") => self.encoding = encoding_of(value),
            (At::Outside, "mac") => self.encoding = encoding_rs::MACINTOSH,
            (At::Outside, "deff") => self.default_font = value,
            (At::Fonts, "f") => entry.number = value,
            (At::Fonts, "fcharset") => {
                entry.is_symbol = value == 2;
                entry.encoding = charset(value);
            }
            (At::Fonts, "cpg") => entry.encoding = code_page(value),
            (At::Styles, "s") => entry.number = value,
            (At::Styles, "outlinelevel") => entry.outline = u8::try_from(value).ok(),
            (At::Colours, "red") => entry.colour[0] = value as u8,
            (At::Colours, "green") => entry.colour[1] = value as u8,
            (At::Colours, "blue") => entry.colour[2] = value as u8,
            (At::Property(_) | At::Authors | At::Fonts | At::Styles, "u") => {
                let c = char::from_u32(u32::from(value as u16)).unwrap_or('\u{FFFD}');
                // Names are kept as bytes of the file's encoding; a letter outside of it is rare.
                let letter = c.to_string();
                let (bytes, _, _) = self.encoding.encode(&letter);
                entry.name.extend(bytes.iter());
                entry.skip = 1;
            }
            _ => {}
        }
    }

    /// A semicolon ended an entry.
    fn end_entry(&mut self, place: At, entry: &mut Entry) {
        let entry = std::mem::take(entry);
        let name = self.encoding.decode_without_bom_handling(&entry.name).0.trim().to_owned();
        match place {
            At::Fonts if self.fonts.len() < ENTRIES_MAX => {
                let Entry { number, encoding, is_symbol, .. } = entry;
                self.fonts.insert(number, Font { name, encoding, is_symbol });
            }
            At::Colours if self.colours.len() < ENTRIES_MAX => self.colours.push(entry.colour),
            At::Styles if self.headings.len() < ENTRIES_MAX => {
                let name = name.to_lowercase();
                let named = match name.as_str() {
                    "title" => Some(1),
                    name => {
                        name.strip_prefix("heading ").and_then(|level| level.trim().parse().ok())
                    }
                };
                let level =
                    entry.outline.filter(|level| *level < 9).map(|level| level + 1).or(named);
                if let Some(level) = level.filter(|level: &u8| (1..=9).contains(level)) {
                    self.headings.insert(entry.number, level);
                }
            }
            At::Authors if self.authors.len() < ENTRIES_MAX => self.authors.push(name),
            _ => {}
        }
    }

    /// A group ended; `is_own`: the one that began the table.
    fn close(&mut self, place: At, entry: &mut Entry, is_own: bool) {
        if let At::Property(word) = place
            && is_own
        {
            let bytes = std::mem::take(&mut entry.name);
            let value = self.encoding.decode_without_bom_handling(&bytes).0.trim().to_owned();
            if !value.is_empty() {
                self.properties.entry(word.to_owned()).or_insert(value);
            }
        }
    }
}

/// An entry of a table while it is read.
#[derive(Default)]
struct Entry {
    number: i32,
    name: Vec<u8>,
    encoding: Option<&'static Encoding>,
    is_symbol: bool,
    colour: [u8; 3],
    outline: Option<u8>,
    skip: usize,
}

/// The encoding of a Windows code page, where it is known.
pub(super) fn code_page(number: i32) -> Option<&'static Encoding> {
    let label = match number {
        437 | 850 | 0 | 1 => return None,
        874 => "windows-874".to_owned(),
        932 => "shift_jis".to_owned(),
        936 => "gbk".to_owned(),
        949 => "euc-kr".to_owned(),
        950 => "big5".to_owned(),
        1250..=1258 => format!("windows-{number}"),
        10000 => "macintosh".to_owned(),
        65001 => "utf-8".to_owned(),
        _ => return None,
    };
    Encoding::for_label(label.as_bytes())
}

/// The encoding of a font's character set (RTF 1.9.1, `\fcharset`).
fn charset(number: i32) -> Option<&'static Encoding> {
    code_page(match number {
        0 => 1252,
        77 => 10000,
        128 => 932,
        129 => 949,
        134 => 936,
        136 => 950,
        161 => 1253,
        162 => 1254,
        163 => 1258,
        177 => 1255,
        178 => 1256,
        186 => 1257,
        204 => 1251,
        222 => 874,
        238 => 1250,
        _ => return None,
    })
}

/// A time in the form of `\revdttm`: bits for minute, hour, day, month and year since 1900.
pub(super) fn time(packed: i32) -> String {
    let bits = |shift: u32, count: u32| (packed as u32 >> shift) & ((1 << count) - 1);
    let (minute, hour, day, month, year) =
        (bits(0, 6), bits(6, 5), bits(11, 5), bits(16, 4), 1900 + bits(20, 9));
    if month == 0 || day == 0 {
        return String::new();
    }
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:00")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_through_groups_and_left_out_ones() {
        let tables = Tables::of(
            b"{\\rtf1\\ansicpg1250\\deff1{\\fonttbl{\\f0\\fcharset204{\\*\\panose 02} Cyr;}{\\f1\\fcharset2 Wingdings;}}\
              {\\colortbl;\\red255\\green255\\blue255;}{\\stylesheet{\\s3\\outlinelevel1 x;}{\\*\\cs4 heading 9;}{\\s5 heading 3;}}\
              {\\*\\revtbl{Unknown;}{J\\'f6rg;}}{\\info{\\title A \\'8a; b}{\\author C}}}",
        );
        assert_eq!(tables.encoding.name(), "windows-1250");
        assert_eq!(tables.fonts[&0].encoding.map(Encoding::name), Some("windows-1251"));
        assert_eq!((tables.fonts[&0].name.as_str(), tables.fonts[&1].is_symbol), ("Cyr", true));
        assert_eq!(tables.colours, [[0; 3], [255; 3]]);
        assert_eq!(tables.headings, HashMap::from([(3, 2), (5, 3)]));
        assert_eq!(tables.authors, ["Unknown", "Jörg"]);
        assert_eq!(tables.properties["title"], "A Š; b");
        assert_eq!(tables.properties["author"], "C");
        assert_eq!(time(667064972), "2024-02-19T10:12:00");
    }
}
