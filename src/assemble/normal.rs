//! Dates, durations, amounts and party names in one form each, read out of words by code. Small on
//! purpose: what it cannot read it does not guess.

use std::ops::Range;

use super::lexical::{squeeze, words};
use crate::jobs::DayOrder;

/// One reading of a date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DateReading {
    /// `2019-03-04`, `2019-03` where no day is named, or `2019` where day and month were left blank.
    Iso(String),
    /// Day and month cannot be told apart.
    Ambiguous,
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

const SMALL_NUMBERS: [&str; 20] = [
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
const TENS: [&str; 8] =
    ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
const ORDINALS: [&str; 20] = [
    "zeroth",
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
    "seventeenth",
    "eighteenth",
    "nineteenth",
];

/// Words, numbers and single marks of a text, lower case, white space dropped.
pub(super) fn tokens(text: &str) -> Vec<String> {
    placed_tokens(text).0
}

/// The same, with the bytes that each stands for.
fn placed_tokens(text: &str) -> (Vec<String>, Vec<Range<usize>>) {
    let mut tokens: Vec<String> = Vec::new();
    let mut places: Vec<Range<usize>> = Vec::new();
    let mut last = ' ';
    for (at, c) in text.char_indices() {
        let end = at + c.len_utf8();
        let joins = match tokens.last() {
            _ if !c.is_alphanumeric() || !last.is_alphanumeric() => false,
            _ => c.is_numeric() == last.is_numeric(),
        };
        match tokens.last_mut() {
            Some(token) if joins => {
                token.extend(c.to_lowercase());
                places.last_mut().expect("each token has a place").end = end;
            }
            _ if c.is_whitespace() => {}
            _ => {
                tokens.push(c.to_lowercase().collect());
                places.push(at..end);
            }
        }
        last = c;
    }
    (tokens, places)
}

/// Every date in `text`, in order. `order` decides on 03/04/2019.
pub(super) fn dates(text: &str, order: Option<DayOrder>) -> Vec<DateReading> {
    placed_dates(text, order).into_iter().map(|(_, reading)| reading).collect()
}

/// Every date in `text` with the bytes that write it, in order.
pub(super) fn placed_dates(
    text: &str,
    order: Option<DayOrder>,
) -> Vec<(Range<usize>, DateReading)> {
    let (tokens, places) = placed_tokens(text);
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match date_at(&tokens[at..], order) {
            Some((reading, used)) => {
                found.push((places[at].start..places[at + used - 1].end, reading));
                at += used;
            }
            None => at += 1,
        }
    }
    found
}

/// The order that a document's own numeric dates are written in: what every one of them that can be
/// read in one way only says.
pub(super) fn day_order<'t>(texts: impl Iterator<Item = &'t str>) -> Option<DayOrder> {
    let (mut day_first, mut month_first) = (false, false);
    for text in texts {
        let tokens = tokens(text);
        for five in tokens.windows(5).filter(|five| five[1] == "/" && five[3] == "/") {
            let number = |at: usize| five[at].parse::<u32>().ok();
            let (Some(a), Some(b)) = (number(0), number(2)) else { continue };
            day_first |= (13..=31).contains(&a) && (1..=12).contains(&b);
            month_first |= (13..=31).contains(&b) && (1..=12).contains(&a);
        }
    }
    match (day_first, month_first) {
        (true, false) => Some(DayOrder::DayFirst),
        (false, true) => Some(DayOrder::MonthFirst),
        _ => None,
    }
}

/// A date that begins with the first token, and how many tokens it takes.
fn date_at(tokens: &[String], order: Option<DayOrder>) -> Option<(DateReading, usize)> {
    let token = |at: usize| tokens.get(at).map_or("", String::as_str);
    // 2019-03-04, 3/4/2019, 4.3.2019
    let (mark, number) = (token(1), |at: usize| token(at).parse::<u32>().ok());
    if matches!(mark, "-" | "/" | ".") && token(3) == mark {
        let (a, b, c) = (number(0)?, number(2)?, number(4)?);
        let reading = match (token(0).len(), token(4).len()) {
            (4, 1..=2) => iso(a, b, c)?,
            (1..=2, 4) if mark == "." || a > 12 => iso(c, b, a)?,
            (1..=2, 4) if b > 12 || a == b => iso(c, a, b)?,
            (1..=2, 4) if order == Some(DayOrder::DayFirst) => iso(c, b, a)?,
            (1..=2, 4) if order == Some(DayOrder::MonthFirst) => iso(c, a, b)?,
            (1..=2, 4) => DateReading::Ambiguous,
            // The century is nobody's to guess.
            (1..=2, 2) if mark == "/" && (1..=31).contains(&a) && (1..=31).contains(&b) => {
                DateReading::Ambiguous
            }
            _ => return None,
        };
        return Some((reading, 5));
    }
    // March 4th, 2019; March 2019
    if let Some(month) = month(token(0)) {
        let mut at = 1 + usize::from(token(1) == ".");
        let day = day_at(&tokens[at.min(tokens.len())..]);
        at += day.map_or(0, |(_, used)| used);
        at += usize::from(token(at) == ",");
        let year = year(token(at))?;
        let reading = match day {
            Some((day, _)) => iso(year, month, day)?,
            None => DateReading::Iso(format!("{year:04}-{month:02}")),
        };
        return Some((reading, at + 1));
    }
    if let Some(blank) = blank_at(tokens) {
        return Some(blank);
    }
    // 4 March 2019; 4th day of March, 2019
    let (day, mut at) = day_at(tokens)?;
    at += usize::from(token(at) == "day");
    at += usize::from(token(at) == "of");
    let month = month(token(at))?;
    at += 1 + usize::from(token(at + 1) == ".");
    at += usize::from(token(at) == ",");
    at += usize::from(token(at) == "of") + usize::from(token(at) == "in");
    let year = year(token(at))?;
    Some((iso(year, month, day)?, at + 1))
}

/// A date whose day, or day and month, were left blank: `____ day of ____, 2015`, `___ March, 2015`. What is
/// there is read.
fn blank_at(tokens: &[String]) -> Option<(DateReading, usize)> {
    let token = |at: usize| tokens.get(at).map_or("", String::as_str);
    let after_line = |at: usize| at + (at..).take_while(|at| token(*at) == "_").count();
    let mut at = after_line(0);
    if at < 2 {
        return None;
    }
    at += usize::from(is_ordinal_ending(token(at)));
    let of_month = token(at) == "day" && token(at + 1) == "of";
    at += if of_month { 2 } else { 0 };
    let month = month(token(at));
    if !of_month && month.is_none() {
        return None;
    }
    at = if month.is_some() { at + 1 } else { after_line(at) };
    at += usize::from(token(at) == ",");
    let year = year(token(at))?;
    let reading = match month {
        Some(month) => format!("{year:04}-{month:02}"),
        None => format!("{year:04}"),
    };
    Some((DateReading::Iso(reading), at + 1))
}

fn iso(year: u32, month: u32, day: u32) -> Option<DateReading> {
    let date = jiff::civil::Date::new(year as i16, month as i8, day as i8).ok()?;
    Some(DateReading::Iso(date.to_string()))
}

fn month(word: &str) -> Option<u32> {
    let at = MONTHS.iter().position(|month| {
        *month == word
            || word == "sept" && month.starts_with(word)
            || word.len() == 3 && month.starts_with(word)
    })?;
    Some(at as u32 + 1)
}

fn year(word: &str) -> Option<u32> {
    word.parse().ok().filter(|year| word.len() == 4 && (1800..2200).contains(year))
}

/// Whether a token is what makes the number before it an ordinal: "4" and "th".
fn is_ordinal_ending(token: &str) -> bool {
    matches!(token, "st" | "nd" | "rd" | "th")
}

/// A day of the month at the first token: "4", "4th", "fourth", "twenty-first".
fn day_at(tokens: &[String]) -> Option<(u32, usize)> {
    let token = |at: usize| tokens.get(at).map_or("", String::as_str);
    if let Ok(day) = token(0).parse::<u32>() {
        let suffix = is_ordinal_ending(token(1));
        return ((1..=31).contains(&day)).then_some((day, 1 + usize::from(suffix)));
    }
    let ordinal = |word: &str| ORDINALS.iter().position(|known| *known == word);
    if let Some(day) = ordinal(token(0)) {
        return (day > 0).then_some((day as u32, 1));
    }
    match (token(0), token(1)) {
        ("twentieth", _) => Some((20, 1)),
        ("thirtieth", _) => Some((30, 1)),
        (tens @ ("twenty" | "thirty"), "-") => {
            let ones = ordinal(token(2)).filter(|ones| (1..10).contains(ones))? as u32;
            Some((if tens == "twenty" { 20 } else { 30 } + ones, 3))
        }
        _ => None,
    }
}

/// Every length of time in `text` as ISO 8601 (`P30D`, `P3Y`), in order. Business days are none: how
/// long they are depends on a calendar.
pub(super) fn durations(text: &str) -> Vec<String> {
    let tokens = tokens(text);
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if token == "anniversary" {
            found.extend(ordinal_before(&tokens[..at]).map(|years| format!("P{years}Y")));
        }
        let Some(letter) = unit_of_time(token).filter(|letter| *letter != 'H') else { continue };
        // "thirty (30) calendar days", "12-month", "one year"
        let before = &tokens[at.saturating_sub(5)..at];
        let skipped = |token: &&String| matches!(token.as_str(), ")" | "-" | "calendar");
        let number = before.iter().rev().find(|token| !skipped(token));
        if let Some(number) = number.and_then(|number| small_number(number)) {
            let tens = before.len().checked_sub(3).map(|at| &before[at..]);
            let tens = tens.filter(|last| last[1] == "-" && TENS.contains(&last[0].as_str()));
            let tens = tens.and_then(|last| small_number(&last[0])).filter(|_| number < 10);
            found.push(format!("P{}{letter}", number + tens.unwrap_or(0)));
        }
    }
    found
}

/// The number that the last tokens count by: "second", "second (2nd)", "10th".
fn ordinal_before(tokens: &[String]) -> Option<u32> {
    let bare: Vec<&String> =
        tokens.iter().rev().take(5).filter(|token| !matches!(token.as_str(), "(" | ")")).collect();
    let number = match bare.as_slice() {
        [suffix, number, ..] if is_ordinal_ending(suffix) => number.parse().ok(),
        [word, ..] => ORDINALS.iter().position(|known| known == word).map(|at| at as u32),
        [] => None,
    };
    number.filter(|number| *number > 0)
}

/// The unit of time that a word in lower case names, by its letter.
pub(super) fn unit_of_time(word: &str) -> Option<char> {
    Some(match word.strip_suffix('s').unwrap_or(word) {
        "hour" => 'H',
        "day" => 'D',
        "week" => 'W',
        "month" => 'M',
        "year" => 'Y',
        _ => return None,
    })
}

/// How many zeros a word in lower case puts after the number before it ("$5 million", "$2 mm").
pub(super) fn zeros(word: &str) -> Option<usize> {
    Some(match word {
        "thousand" => 3,
        "million" | "mio" | "mm" => 6,
        "billion" | "bn" => 9,
        _ => return None,
    })
}

/// A whole number in digits or as one English word below a hundred.
pub(super) fn small_number(word: &str) -> Option<u32> {
    let named = SMALL_NUMBERS.iter().position(|known| *known == word);
    let tens = || TENS.iter().position(|known| *known == word).map(|at| (at + 2) * 10);
    named.or_else(tens).map(|number| number as u32).or_else(|| word.parse().ok())
}

/// Every amount of money in `text` as `CUR amount`: `USD 1000000`, `EUR 12.50`. A bare `$` stays `$`:
/// whose dollars they are, the words do not say.
pub(super) fn amounts(text: &str) -> Vec<String> {
    let tokens = tokens(text);
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let Some((number, used)) = decimal_at(&tokens[at..]) else {
            at += 1;
            continue;
        };
        let mut end = at + used;
        let zeros = tokens.get(end).and_then(|word| zeros(word));
        end += usize::from(zeros.is_some());
        let currency = currency_before(&tokens[..at]).or_else(|| currency_after(&tokens[end..]));
        if let Some(currency) = currency {
            found.push(format!("{currency} {}", shifted(&number, zeros.unwrap_or(0))));
        }
        at = end;
    }
    found
}

fn currency_before(tokens: &[String]) -> Option<&'static str> {
    let back = |n: usize| tokens.len().checked_sub(n).map_or("", |at| tokens[at].as_str());
    match back(1) {
        "$" if back(2) == "us" || (back(2) == "." && back(3) == "s" && back(5) == "u") => {
            Some("USD")
        }
        "$" if matches!(back(2), "c" | "ca" | "cad") => Some("CAD"),
        "$" if matches!(back(2), "a" | "au" | "aud") => Some("AUD"),
        "$" => Some("$"),
        "¥" => Some("¥"),
        word => currency(word),
    }
}

fn currency_after(tokens: &[String]) -> Option<&'static str> {
    let token = |at: usize| tokens.get(at).map_or("", String::as_str);
    match token(0) {
        "u" if token(2) == "s" && token(4).starts_with("dollar") => Some("USD"),
        "us" if token(1).starts_with("dollar") => Some("USD"),
        "dollars" | "dollar" | "$" => Some("$"),
        word => currency(word),
    }
}

/// The currency that a word in lower case, or a mark that is of one currency only, names.
pub(super) fn currency(word: &str) -> Option<&'static str> {
    Some(match word {
        "usd" => "USD",
        "eur" | "euro" | "euros" | "€" => "EUR",
        "gbp" | "£" => "GBP",
        "chf" => "CHF",
        "jpy" | "yen" => "JPY",
        "cad" => "CAD",
        "aud" => "AUD",
        "cny" | "rmb" => "CNY",
        "inr" | "₹" => "INR",
        _ => return None,
    })
}

/// A number at the first token, as digits with at most one dot; none where its separators can be read
/// in two ways.
fn decimal_at(tokens: &[String]) -> Option<(String, usize)> {
    let is_digits = |at: usize| {
        tokens.get(at).is_some_and(|token| token.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if !is_digits(0) {
        return None;
    }
    let mut groups = vec![tokens[0].as_str()];
    let mut marks: Vec<&str> = Vec::new();
    let mut at = 1;
    while tokens.get(at).is_some_and(|mark| mark == "," || mark == ".") && is_digits(at + 1) {
        marks.push(&tokens[at]);
        groups.push(&tokens[at + 1]);
        at += 2;
    }
    let last = *groups.last()?;
    let mixed = marks.iter().any(|mark| *mark != marks[0]);
    let decimal = match marks.as_slice() {
        [] => false,
        _ if mixed => marks[..marks.len() - 1].iter().all(|mark| *mark != marks[marks.len() - 1]),
        [_] => last.len() != 3,
        _ => false,
    };
    if marks == ["."] && last.len() == 3 {
        return None; // 1.500 is a thousand and a half, or one and a half
    }
    let whole = if decimal { &groups[..groups.len() - 1] } else { &groups[..] };
    if whole[1..].iter().any(|group| group.len() != 3) {
        return None;
    }
    let whole = whole.concat();
    let number = if decimal { format!("{whole}.{last}") } else { whole };
    Some((number, at))
}

/// `number` times ten to the `zeros`, without needless zeros.
pub(super) fn shifted(number: &str, zeros: usize) -> String {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{part:0<zeros$}");
    let (whole, part) = digits.split_at(whole.len() + zeros);
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    match part.trim_end_matches('0') {
        "" => whole.to_owned(),
        _ => format!("{whole}.{part}"),
    }
}

/// A party's name without what only describes it: `Acme Corp., a Delaware corporation ("Acme")` and
/// `LICENSOR Acme Corp.` are `Acme Corp.`.
pub(super) fn party(text: &str) -> String {
    let mut name = squeeze(text);
    name.drain(..role_before(&name));
    for mark in [" (", ", a ", ", an ", ", having ", ", with ", " whose ", ", hereinafter"] {
        if let Some(at) = name.find(mark).filter(|at| *at > 0) {
            name.truncate(at);
        }
    }
    name.trim_matches([' ', ',', ';', ':', '"', '“', '”', '\'']).to_owned()
}

/// Words for a side of a contract, as forms and tables put them before its name.
const SIDES: [&str; 41] = [
    "agent",
    "assignee",
    "assignor",
    "borrower",
    "buyer",
    "client",
    "company",
    "consultant",
    "contractor",
    "customer",
    "discloser",
    "distributor",
    "employee",
    "employer",
    "franchisee",
    "franchisor",
    "grantee",
    "grantor",
    "guarantor",
    "landlord",
    "lender",
    "lessee",
    "lessor",
    "licensee",
    "licensor",
    "manufacturer",
    "owner",
    "parties",
    "party",
    "provider",
    "purchaser",
    "recipient",
    "representative",
    "reseller",
    "seller",
    "sponsor",
    "subcontractor",
    "supplier",
    "tenant",
    "undersigned",
    "vendor",
];

/// Words that tell one side from the other.
const WHICH_SIDE: [&str; 10] = [
    "contracting",
    "disclosing",
    "each",
    "either",
    "first",
    "other",
    "receiving",
    "second",
    "such",
    "the",
];

/// Whether a name only says which side is meant: "Landlord", "the Disclosing Party".
pub(super) fn is_side(name: &str) -> bool {
    let words = words(name);
    let one_or_more = |word: &str, side: &str| word == side || word.strip_suffix('s') == Some(side);
    let side = |word: &str| SIDES.iter().any(|side| one_or_more(word, side));
    words.iter().any(|word| side(word))
        && words.iter().all(|word| side(word) || WHICH_SIDE.contains(&word.as_str()))
}

/// Bytes of the words for its side that stand before a name: in capitals before a word that is not, or
/// before a colon. Of a name all in capitals nobody could tell where it begins.
pub(super) fn role_before(name: &str) -> usize {
    let mut at = 0;
    for word in name.split_inclusive(char::is_whitespace) {
        let side = word.trim_end();
        let bare = side.trim_end_matches(':');
        let capitals = !bare.chars().any(char::is_lowercase);
        if !capitals || !SIDES.contains(&bare.to_lowercase().as_str()) {
            break;
        }
        at += word.len();
        let next = name[at..].split_whitespace().next().unwrap_or_default();
        if side.ends_with(':') || next.chars().any(char::is_lowercase) {
            return at;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iso_dates(text: &str) -> Vec<String> {
        dates(text, None)
            .into_iter()
            .map(|reading| match reading {
                DateReading::Iso(date) => date,
                DateReading::Ambiguous => "?".into(),
            })
            .collect()
    }

    #[test]
    fn dates_are_read_as_contracts_write_them() {
        for (text, date) in [
            ("effective March 4, 2019.", "2019-03-04"),
            ("Sept. 1st 2020", "2020-09-01"),
            ("this 4th day of March, 2019", "2019-03-04"),
            ("the twenty-first day of May 2001", "2001-05-21"),
            ("the first day of January, 1999", "1999-01-01"),
            ("4 March 2019", "2019-03-04"),
            ("2019-03-04", "2019-03-04"),
            ("31/12/2019", "2019-12-31"),
            ("12/31/2019", "2019-12-31"),
            ("04.03.2019", "2019-03-04"),
            ("03/04/2019", "?"),
            ("3/21/08", "?"),
            ("in March 2019", "2019-03"),
            ("this ____ day of __________, 2015", "2015"),
            ("this ___th day of March, 2015", "2015-03"),
        ] {
            assert_eq!(iso_dates(text), [date], "{text}");
        }
        assert_eq!(iso_dates("from May 1, 2010 to April 30, 2012"), ["2010-05-01", "2012-04-30"]);
        for text in [
            "____ day of ____, 20__",
            "Name ______ 2015 x",
            "February 30, 2019",
            "you may 2 times",
            "clause 3.4.20",
            "99/99/2019",
            "",
        ] {
            assert!(iso_dates(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn day_and_month_are_told_apart_by_the_task_or_by_the_document() {
        let american = ["signed 03/04/2019", "due 12/31/2019"];
        assert_eq!(day_order(american.into_iter()), Some(DayOrder::MonthFirst));
        assert_eq!(day_order(["31/12/2019"].into_iter()), Some(DayOrder::DayFirst));
        assert_eq!(day_order(["03/04/2019", "1/2/3"].into_iter()), None);
        assert_eq!(day_order(["31/12/2019", "12/31/2019"].into_iter()), None);
        let read = |order| dates("03/04/2019", Some(order));
        assert_eq!(read(DayOrder::DayFirst), [DateReading::Iso("2019-04-03".into())]);
        assert_eq!(read(DayOrder::MonthFirst), [DateReading::Iso("2019-03-04".into())]);
    }

    #[test]
    fn durations_are_read_in_words_and_digits() {
        assert_eq!(durations("thirty (30) days' notice"), ["P30D"]);
        assert_eq!(durations("a 12-month period, then one year"), ["P12M", "P1Y"]);
        assert_eq!(durations("twenty-four months"), ["P24M"]);
        assert_eq!(durations("on the second anniversary of the Effective Date"), ["P2Y"]);
        assert_eq!(durations("until the third (3rd) anniversary of it"), ["P3Y"]);
        assert_eq!(durations("on each anniversary; the first party"), Vec::<String>::new());
        assert_eq!(durations("five business days; each year"), Vec::<String>::new());
    }

    #[test]
    fn amounts_keep_the_currency_that_is_named() {
        assert_eq!(amounts("US$1,000,000.00 and $ 5.5 million"), ["USD 1000000", "$ 5500000"]);
        assert_eq!(amounts("EUR 1.234,50 or 500 euros"), ["EUR 1234.50", "EUR 500"]);
        assert_eq!(amounts("U.S. $250,000"), ["USD 250000"]);
        assert_eq!(amounts("USD 0.05"), ["USD 0.05"]);
        for text in ["EUR 1.500", "12 months", "section 4.2", "€ 1,00,000"] {
            assert!(amounts(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn a_party_is_its_name() {
        assert_eq!(party("Acme Corp., a Delaware corporation (\"Acme\")"), "Acme Corp.");
        assert_eq!(party("“Bolt Ltd”"), "Bolt Ltd");
        assert_eq!(party("LANDLORD Calloway Street Holdings LLC"), "Calloway Street Holdings LLC");
        assert_eq!(party("BUYER: ACME CORP."), "ACME CORP.");
        for name in
            ["CONTRACTOR SUPPLY COMPANY INC", "Company Store Ltd", "TENANT", "Tenant Mary Poe"]
        {
            assert_eq!(party(name), name, "nothing here says where a name begins");
        }
        for side in
            ["Landlord", "the Disclosing Party", "COMPANY", "Receiving Parties", "(“Licensee”)"]
        {
            assert!(is_side(side), "{side}");
        }
        for name in ["Landlord Mary Poe", "The Other Company Store", "Owners Bank", "The First", ""]
        {
            assert!(!is_side(name), "{name}");
        }
    }
}
