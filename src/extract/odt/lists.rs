//! Numbers and bullets of lists as they are printed (ODF 1.3 part 3, 5.3 and 16.31).

use std::collections::HashMap;

use super::super::docx::format_number;
use super::super::xml::Element;

const LEVELS: usize = 10;

/// A list style: what stands before the items of each level.
#[derive(Clone, Debug, Default)]
pub(super) struct ListStyle {
    levels: Vec<Option<Level>>,
}

#[derive(Clone, Debug)]
struct Level {
    /// None for bullets.
    format: Option<Format>,
    bullet: String,
    /// What stands between number and text.
    separator: &'static str,
}

#[derive(Clone, Debug)]
struct Format {
    /// "1", "a", "A", "i", "I" or empty.
    digits: String,
    letter_sync: bool,
    prefix: String,
    suffix: String,
    /// How many levels are shown, this one the last.
    shown: usize,
    start: i64,
    /// LibreOffice's own form of all this, with `%1%` for the numbers.
    pattern: Option<String>,
}

impl ListStyle {
    pub(super) fn of(style: &Element) -> ListStyle {
        let mut levels = vec![None; LEVELS];
        for element in style.elements() {
            let Some(level) = element.named("level").and_then(|level| level.parse::<usize>().ok())
            else {
                continue;
            };
            let number = |name: &str| element.named(name).and_then(|value| value.parse().ok());
            let separator = element
                .named_child("list-level-properties")
                .and_then(|properties| properties.named_child("list-level-label-alignment"))
                .and_then(|alignment| alignment.named("label-followed-by"));
            let separator = match separator {
                Some("nothing") => "",
                _ => " ",
            };
            let word = |name: &str| element.named(name).unwrap_or("").to_owned();
            let format = match &*element.name {
                "list-level-style-number" | "outline-level-style" => Some(Format {
                    digits: word("num-format"),
                    letter_sync: element.named("num-letter-sync") == Some("true"),
                    prefix: word("num-prefix"),
                    suffix: word("num-suffix"),
                    shown: number("display-levels").unwrap_or(1).clamp(1, LEVELS as i64) as usize,
                    start: number("start-value").unwrap_or(1),
                    pattern: element.named("num-list-format").map(str::to_owned),
                }),
                "list-level-style-bullet" => None,
                _ => continue,
            };
            // Bullets of symbol fonts lie where Unicode has no letters.
            let bullet = word("bullet-char");
            let is_letter = |c: char| !('\u{E000}'..='\u{F8FF}').contains(&c);
            let bullet = if bullet.chars().all(is_letter) { bullet } else { "•".to_owned() };
            if let Some(place) = level.checked_sub(1).and_then(|at| levels.get_mut(at)) {
                *place = Some(Level { format, bullet, separator });
            }
        }
        ListStyle { levels }
    }

    fn format(&self, level: usize) -> Option<&Format> {
        self.levels.get(level)?.as_ref()?.format.as_ref()
    }

    /// What is printed before an item of `level` (from 0), its separator included.
    fn label(&self, counts: &[Option<i64>; LEVELS], level: usize) -> String {
        let Some(Some(own)) = self.levels.get(level) else { return String::new() };
        let text = match &own.format {
            None => own.bullet.clone(),
            Some(format) => self.number(format, counts, level),
        };
        if text.is_empty() { text } else { text + own.separator }
    }

    fn number(&self, format: &Format, counts: &[Option<i64>; LEVELS], level: usize) -> String {
        let part = |at: usize| {
            let format = self.format(at)?;
            let digits = digits(counts[at].unwrap_or(format.start), format);
            (!digits.is_empty()).then_some(digits)
        };
        if let Some(pattern) = &format.pattern {
            let mut text = String::new();
            for (index, piece) in pattern.split('%').enumerate() {
                match piece.parse::<usize>() {
                    Ok(at @ 1..=LEVELS) if index % 2 == 1 => {
                        text.push_str(&part(at - 1).unwrap_or_default());
                    }
                    _ => text.push_str(piece),
                }
            }
            return if format.digits.is_empty() { String::new() } else { text };
        }
        if format.digits.is_empty() {
            return String::new();
        }
        let numbers: Vec<String> =
            (level + 1 - format.shown.min(level + 1)..=level).filter_map(part).collect();
        format!("{}{}{}", format.prefix, numbers.join("."), format.suffix)
    }
}

fn digits(value: i64, format: &Format) -> String {
    let word = match format.digits.as_str() {
        "" => return String::new(),
        "a" | "A" if !format.letter_sync && (27..=702).contains(&value) => {
            // AA, AB and so on; with letter-sync AA, BB, as the other formats have it.
            let letter = |n: i64| char::from(b'a' + (n % 26) as u8);
            let text: String = [letter((value - 27) / 26), letter(value - 1)].iter().collect();
            return if format.digits == "A" { text.to_uppercase() } else { text };
        }
        "a" => "lowerLetter",
        "A" => "upperLetter",
        "i" => "lowerRoman",
        "I" => "upperRoman",
        "1st" => "ordinal",
        _ => "decimal",
    };
    format_number(value, word)
}

/// Where each list of a story stands.
#[derive(Debug, Default)]
pub(super) struct Lists {
    counts: Vec<[Option<i64>; LEVELS]>,
    by_id: HashMap<String, usize>,
    by_style: HashMap<String, usize>,
    /// The headings that stand in no list.
    outline: [Option<i64>; LEVELS],
}

impl Lists {
    /// Begins a top-level list, or goes on with the one that it continues.
    pub(super) fn open(&mut self, list: &Element, style: &str) -> usize {
        let continued = list
            .named("continue-list")
            .and_then(|id| self.by_id.get(id))
            .or_else(|| match list.named("continue-numbering") {
                Some("true") => self.by_style.get(style),
                _ => None,
            })
            .copied();
        let index = continued.unwrap_or_else(|| {
            self.counts.push([None; LEVELS]);
            self.counts.len() - 1
        });
        if let Some(id) = list.named("id") {
            self.by_id.insert(id.to_owned(), index);
        }
        self.by_style.insert(style.to_owned(), index);
        index
    }

    /// Counts an item of `level` (from 0) and gives what is printed before it.
    pub(super) fn next(
        &mut self,
        list: usize,
        style: &ListStyle,
        level: usize,
        start: Option<i64>,
    ) -> String {
        let Some(counts) = self.counts.get_mut(list) else { return String::new() };
        count(counts, style, level, start)
    }

    /// The number of a heading of `level` (from 0) that stands in no list.
    pub(super) fn heading(&mut self, style: &ListStyle, level: usize) -> String {
        count(&mut self.outline, style, level, None)
    }
}

fn count(
    counts: &mut [Option<i64>; LEVELS],
    style: &ListStyle,
    level: usize,
    start: Option<i64>,
) -> String {
    let level = level.min(LEVELS - 1);
    let first = start.unwrap_or_else(|| style.format(level).map_or(1, |format| format.start));
    counts[level] = match (start, counts[level]) {
        (None, Some(before)) => Some(before.saturating_add(1)),
        _ => Some(first),
    };
    counts[level + 1..].fill(None);
    style.label(counts, level)
}
