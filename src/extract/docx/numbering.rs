//! Clause numbers as Word prints them, computed from `numbering.xml` (ECMA-376 part 1, 17.9). Knows
//! counters and formats; which paragraph counts is decided by the reader of the text.

use std::collections::{HashMap, HashSet};

use super::super::xml::{Element, Ns};
use super::styles::Styles;
use super::styles::is_on;

const LEVELS: usize = 9;

/// `numbering.xml` as understood: every `w:num` with its levels resolved.
#[derive(Debug, Default)]
pub(super) struct Numbering {
    nums: HashMap<String, Num>,
}

#[derive(Debug)]
struct Num {
    /// Nums of one abstract numbering count on together.
    abstract_id: String,
    levels: [Option<Level>; LEVELS],
    start_override: [Option<i64>; LEVELS],
}

#[derive(Clone, Debug)]
struct Level {
    start: i64,
    format: String,
    /// With `%1` to `%9` for the numbers.
    text: String,
    /// What stands between number and text.
    suffix: &'static str,
    /// The level (counted from 1) whose use starts this one again; 0 for never.
    restart: Option<u8>,
    /// All numbers in Arabic digits.
    legal: bool,
    style: Option<String>,
}

/// A paragraph's number, as printed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Number {
    /// "4.2", "(a)", "•"; may be empty.
    pub(super) text: String,
    pub(super) suffix: &'static str,
    pub(super) is_bullet: bool,
}

/// Where each list stands. One for each story: body, notes and headers count on their own.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// By abstract numbering: the last number of each level, none where it starts anew.
    counts: HashMap<String, [Option<i64>; LEVELS]>,
    /// Nums whose override has been applied.
    seen: HashSet<String>,
}

impl Numbering {
    pub(super) fn of(root: &Element, styles: &Styles) -> Numbering {
        let all = |name: &'static str| root.elements().filter(move |element| element.is_word(name));
        let abstracts: HashMap<&str, &Element> = all("abstractNum")
            .filter_map(|element| Some((element.word("abstractNumId")?, element)))
            .collect();
        let abstract_of = |num: &Element| num.child_val("abstractNumId").map(str::to_owned);
        let abstract_by_num: HashMap<&str, String> =
            all("num").filter_map(|num| Some((num.word("numId")?, abstract_of(num)?))).collect();
        let mut nums = HashMap::new();
        for num in all("num") {
            let (Some(id), Some(mut abstract_id)) = (num.word("numId"), abstract_of(num)) else {
                continue;
            };
            let Some(mut definition) = abstracts.get(abstract_id.as_str()).copied() else {
                continue;
            };
            // A numbering that only points to a numbering style is that style's numbering.
            let linked = definition
                .child_val("numStyleLink")
                .and_then(|style| abstract_by_num.get(styles.num_id(style)?));
            if let Some(linked) = linked
                && let Some(found) = abstracts.get(linked.as_str())
            {
                (abstract_id, definition) = (linked.clone(), found);
            }
            let mut levels: [Option<Level>; LEVELS] = Default::default();
            read_levels(definition, &mut levels);
            let mut start_override = [None; LEVELS];
            for over in num.elements().filter(|element| element.is_word("lvlOverride")) {
                let Some(level) = level_index(over) else { continue };
                let start = over.child_val("startOverride").and_then(|start| start.parse().ok());
                start_override[level] = start;
                read_levels(over, &mut levels);
            }
            nums.insert(id.to_owned(), Num { abstract_id, levels, start_override });
        }
        Numbering { nums }
    }

    /// The level of numbering `num_id` that is linked to the style.
    pub(super) fn linked_level(&self, num_id: &str, style: &str) -> Option<u8> {
        let levels = &self.nums.get(num_id)?.levels;
        let is_linked = |level: &Option<Level>| {
            level.as_ref().is_some_and(|level| level.style.as_deref() == Some(style))
        };
        levels.iter().position(is_linked).map(|level| level as u8)
    }

    /// Counts one paragraph and gives its number; none where there is no such list.
    pub(super) fn next(&self, counters: &mut Counters, num_id: &str, level: u8) -> Option<Number> {
        let num = self.nums.get(num_id)?;
        let at = usize::from(level).min(LEVELS - 1);
        let definition = num.levels[at].as_ref()?;
        let start = |level: usize| num.levels[level].as_ref().map_or(1, |level| level.start);
        let counts = counters.counts.entry(num.abstract_id.clone()).or_default();
        // An override starts its level anew once, where its num first uses a level that has one; what
        // comes later counts on, as LibreOffice prints it.
        let over = num.start_override[at].filter(|_| counters.seen.insert(num_id.to_owned()));
        // Levels above that no paragraph has used yet are taken as used once.
        for (above, count) in counts.iter_mut().enumerate().take(at) {
            count.get_or_insert_with(|| start(above));
        }
        counts[at] = Some(match (over, counts[at]) {
            (Some(start), _) => start,
            (None, Some(count)) => count.saturating_add(1),
            (None, None) => start(at),
        });
        for (deeper, count) in counts.iter_mut().enumerate().skip(at + 1) {
            let restart = num.levels[deeper].as_ref().and_then(|level| level.restart);
            if at < restart.map_or(deeper, usize::from) {
                *count = None;
            }
        }
        let value = |level: usize| counts[level].unwrap_or_else(|| start(level));
        Some(num.print(definition, value))
    }
}

impl Num {
    fn print(&self, definition: &Level, value: impl Fn(usize) -> i64) -> Number {
        let suffix = definition.suffix;
        if definition.format == "bullet" {
            let text = definition.text.chars().map(bullet).collect();
            return Number { text, suffix, is_bullet: true };
        }
        let mut text = String::new();
        let mut rest = definition.text.as_str();
        while let Some(at) = rest.find('%') {
            text.push_str(&rest[..at]);
            let digit = rest[at + 1..].chars().next().and_then(|c| c.to_digit(10));
            let Some(level) = digit.filter(|digit| (1..=LEVELS as u32).contains(digit)) else {
                text.push('%');
                rest = &rest[at + 1..];
                continue;
            };
            let level = level as usize - 1;
            let format = match &self.levels[level] {
                // A bullet is no part of a number below it.
                Some(level) if level.format == "bullet" => "none",
                Some(level) if definition.legal && level.format != "none" => match &*level.format {
                    "decimalZero" => "decimalZero",
                    _ => "decimal",
                },
                Some(level) => &level.format,
                None => "decimal",
            };
            text.push_str(&format_number(value(level), format));
            rest = &rest[at + 2..];
        }
        text.push_str(rest);
        Number { text, suffix, is_bullet: false }
    }
}

fn level_index(element: &Element) -> Option<usize> {
    element.word("ilvl")?.parse().ok().filter(|level| *level < LEVELS)
}

fn read_levels(parent: &Element, levels: &mut [Option<Level>; LEVELS]) {
    for element in parent.elements().filter(|element| element.is_word("lvl")) {
        let Some(index) = level_index(element) else { continue };
        // Newer formats ("001") stand in a choice with `w14`; its fallback is plain decimal.
        let nested = element
            .elements()
            .find(|child| child.ns == Ns::Compatibility && &*child.name == "AlternateContent");
        let choice = nested.and_then(|nested| nested.elements().next());
        let format =
            element.child("numFmt").or_else(|| choice.and_then(|choice| choice.child("numFmt")));
        levels[index] = Some(Level {
            start: element.child_val("start").and_then(|start| start.parse().ok()).unwrap_or(0),
            format: match format.and_then(|format| format.word("val")) {
                Some("custom") => format.and_then(|f| f.word("format")).unwrap_or("decimal"),
                Some(known) => known,
                None => "decimal",
            }
            .to_owned(),
            text: match element.child("lvlText") {
                Some(text) if text.word("null").is_some_and(is_on) => "",
                Some(text) => text.word("val").unwrap_or(""),
                None => "",
            }
            .to_owned(),
            suffix: if element.child_val("suff") == Some("nothing") { "" } else { " " },
            restart: element.child_val("lvlRestart").and_then(|level| level.parse().ok()),
            legal: super::styles::toggle(Some(element), "isLgl").unwrap_or(false),
            style: element.child_val("pStyle").map(str::to_owned),
        });
    }
}

/// A bullet as Unicode: the usual fonts for them (Symbol, Wingdings) live in the private area.
pub(in super::super) fn bullet(c: char) -> char {
    match c {
        '\u{F0B7}' | '\u{F06C}' | '\u{F09F}' => '•',
        '\u{F0A7}' | '\u{F06E}' => '▪',
        '\u{F06F}' | '\u{F0A8}' | '\u{F071}' => '☐',
        '\u{F0FE}' => '☑',
        '\u{F078}' | '\u{F0FD}' => '☒',
        '\u{F0D8}' | '\u{F0E8}' => '➢',
        '\u{F0FC}' => '✓',
        '\u{F076}' => '❖',
        'o' => '○',
        '\u{E000}'..='\u{F8FF}' => '•',
        other => other,
    }
}

/// A number in one of the formats of `ST_NumberFormat` (17.18.59); those of other scripts, which are
/// not written here, come out in Arabic digits.
pub(in super::super) fn format_number(value: i64, format: &str) -> String {
    match format {
        "none" => String::new(),
        "upperRoman" => roman(value),
        "lowerRoman" => roman(value).to_lowercase(),
        "upperLetter" => letters(value),
        "lowerLetter" => letters(value).to_lowercase(),
        "decimalZero" => format!("{value:02}"),
        "001, 002, 003, ..." => format!("{value:03}"),
        "0001, 0002, 0003, ..." => format!("{value:04}"),
        "00001, 00002, 00003, ..." => format!("{value:05}"),
        "ordinal" => ordinal(value),
        "cardinalText" => capitalized(&cardinal_text(value)),
        "ordinalText" => capitalized(&ordinal_text(value)),
        "numberInDash" => format!("- {value} -"),
        "hex" => format!("{value:X}"),
        "chicago" => {
            let signs = ["*", "†", "‡", "§"];
            let (round, sign) = ((value - 1).max(0) / 4 + 1, (value - 1).rem_euclid(4));
            signs[sign as usize].repeat(round.min(8) as usize)
        }
        "decimalEnclosedCircle" if (1..=20).contains(&value) => {
            char::from_u32(0x245F + value as u32).map_or(String::new(), String::from)
        }
        _ => value.to_string(),
    }
}

/// Past 4999 there is no plain Roman numeral.
fn roman(value: i64) -> String {
    const SIGNS: [(i64, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    if !(1..5000).contains(&value) {
        return value.to_string();
    }
    let mut rest = value;
    let mut text = String::new();
    for (worth, sign) in SIGNS {
        while rest >= worth {
            text.push_str(sign);
            rest -= worth;
        }
    }
    text
}

/// A … Z, AA, BB … ZZ, AAA: the letter is repeated, as Word does, not counted on in base 26.
fn letters(value: i64) -> String {
    // Word wraps at 780, which is 30 rounds of the alphabet.
    if !(1..=780).contains(&value) {
        return value.to_string();
    }
    let letter = b'A' + ((value - 1) % 26) as u8;
    char::from(letter).to_string().repeat(((value - 1) / 26 + 1) as usize)
}

fn ordinal(value: i64) -> String {
    let ending = match (value % 100, value % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    format!("{value}{ending}")
}

const UNITS: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 10] =
    ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

fn cardinal_text(value: i64) -> String {
    match value {
        0..20 => UNITS[value as usize].to_owned(),
        20..100 if value % 10 == 0 => TENS[value as usize / 10].to_owned(),
        20..100 => format!("{}-{}", TENS[value as usize / 10], UNITS[value as usize % 10]),
        100..1000 if value % 100 == 0 => format!("{} hundred", UNITS[value as usize / 100]),
        100..1000 => {
            format!("{} hundred {}", UNITS[value as usize / 100], cardinal_text(value % 100))
        }
        _ => value.to_string(),
    }
}

fn ordinal_text(value: i64) -> String {
    let text = cardinal_text(value);
    let start = text.rfind([' ', '-']).map_or(0, |at| at + 1);
    let (head, last) = text.split_at(start);
    let last = match last {
        "one" => "first".to_owned(),
        "two" => "second".to_owned(),
        "three" => "third".to_owned(),
        "five" => "fifth".to_owned(),
        "eight" => "eighth".to_owned(),
        "nine" => "ninth".to_owned(),
        "twelve" => "twelfth".to_owned(),
        word if word.ends_with('y') => format!("{}ieth", &word[..word.len() - 1]),
        word => format!("{word}th"),
    };
    format!("{head}{last}")
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::super::super::xml;
    use super::*;
    use crate::base::Limits;

    fn numbering(levels: &str, nums: &str) -> Numbering {
        let part = format!(
            "<x:numbering xmlns:x='http://schemas.openxmlformats.org/wordprocessingml/2006/main'>\
             <x:abstractNum x:abstractNumId='0'>{levels}</x:abstractNum>{nums}</x:numbering>"
        );
        let parsed = xml::parse("numbering.xml", part.as_bytes(), &Limits::default());
        Numbering::of(
            &parsed.unwrap_or_else(|refusal| panic!("{refusal}")).root,
            &Styles::default(),
        )
    }

    fn level(ilvl: u8, format: &str, text: &str, more: &str) -> String {
        format!(
            "<x:lvl x:ilvl='{ilvl}'><x:start x:val='1'/><x:numFmt x:val='{format}'/>{more}\
             <x:lvlText x:val='{text}'/></x:lvl>"
        )
    }

    fn texts(numbering: &Numbering, paragraphs: &[(&str, u8)]) -> Vec<String> {
        let mut counters = Counters::default();
        let next = |&(num, level): &(&str, u8)| {
            numbering.next(&mut counters, num, level).map_or("-".to_owned(), |number| number.text)
        };
        paragraphs.iter().map(next).collect()
    }

    const ONE: &str = "<x:num x:numId='1'><x:abstractNumId x:val='0'/></x:num>";

    #[test]
    fn deeper_levels_start_again_and_legal_style_prints_digits() {
        let levels = level(0, "upperRoman", "Article %1", "")
            + &level(1, "decimal", "%1.%2", "<x:isLgl/>")
            + &level(2, "lowerLetter", "(%3)", "");
        let list = numbering(&levels, ONE);
        let found = texts(
            &list,
            &[("1", 0), ("1", 1), ("1", 2), ("1", 2), ("1", 1), ("1", 2), ("1", 0), ("1", 1)],
        );
        assert_eq!(found, ["Article I", "1.1", "(a)", "(b)", "1.2", "(a)", "Article II", "2.1"]);
    }

    #[test]
    fn a_level_that_never_restarts_counts_on() {
        let levels = level(0, "decimal", "%1.", "")
            + &level(1, "decimal", "%2)", "<x:lvlRestart x:val='0'/>");
        let list = numbering(&levels, ONE);
        let found = texts(&list, &[("1", 0), ("1", 1), ("1", 0), ("1", 1)]);
        assert_eq!(found, ["1.", "1)", "2.", "2)"]);
    }

    #[test]
    fn a_level_that_was_passed_over_counts_as_used() {
        // As LibreOffice 7.4 prints it (`soffice --headless --convert-to txt:Text`).
        let levels = level(0, "decimal", "%1.", "")
            + &level(1, "decimal", "%1.%2", "")
            + &level(2, "lowerLetter", "%1.%2(%3)", "");
        let found =
            texts(&numbering(&levels, ONE), &[("1", 2), ("1", 1), ("1", 0), ("1", 2), ("1", 1)]);
        assert_eq!(found, ["1.1(a)", "1.2", "2.", "2.1(a)", "2.2"]);
    }

    #[test]
    fn nums_of_one_list_count_on_unless_they_override_the_start() {
        let nums = format!(
            "{ONE}<x:num x:numId='2'><x:abstractNumId x:val='0'/></x:num>\
             <x:num x:numId='3'><x:abstractNumId x:val='0'/><x:lvlOverride x:ilvl='0'>\
             <x:startOverride x:val='5'/></x:lvlOverride></x:num>"
        );
        let list = numbering(&level(0, "decimal", "%1.", ""), &nums);
        let found = texts(&list, &[("1", 0), ("2", 0), ("3", 0), ("3", 0), ("1", 0), ("9", 0)]);
        assert_eq!(found, ["1.", "2.", "5.", "6.", "7.", "-"]);
    }

    #[test]
    fn an_override_counts_once_and_only_for_its_level() {
        // As LibreOffice 7.4 prints it (`soffice --headless --convert-to txt:Text`).
        let levels = level(0, "decimal", "%1.", "") + &level(1, "decimal", "%1.%2", "");
        let over = |level: u8, start: u8| {
            format!(
                "<x:lvlOverride x:ilvl='{level}'><x:startOverride x:val='{start}'/></x:lvlOverride>"
            )
        };
        let nums = format!(
            "{ONE}<x:num x:numId='2'><x:abstractNumId x:val='0'/>{}{}</x:num>",
            over(0, 1),
            over(1, 5)
        );
        let list = numbering(&levels, &nums);
        let found = texts(
            &list,
            &[("1", 0), ("1", 0), ("1", 1), ("2", 1), ("2", 1), ("2", 0), ("2", 1), ("1", 0)],
        );
        assert_eq!(found, ["1.", "2.", "2.1", "2.5", "2.6", "3.", "3.1", "4."]);
    }

    #[test]
    fn number_formats_are_words_and_letters_as_in_word() {
        for (value, format, text) in [
            (4, "lowerRoman", "iv"),
            (27, "upperLetter", "AA"),
            (28, "lowerLetter", "bb"),
            (7, "decimalZero", "07"),
            (12, "ordinal", "12th"),
            (22, "ordinal", "22nd"),
            (21, "cardinalText", "Twenty-one"),
            (20, "ordinalText", "Twentieth"),
            (3, "ordinalText", "Third"),
            (3, "none", ""),
            (3, "chicago", "‡"),
            (0, "upperRoman", "0"),
        ] {
            assert_eq!(format_number(value, format), text, "{format}");
        }
    }
}
