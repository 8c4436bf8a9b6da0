//! The figures and names that a text states, each in one form, and whether a source states them too: the
//! check of a summary that needs no judge. What words mean it does not know: that a figure stands in the
//! source does not say that it is the right one.

use std::collections::BTreeSet;
use std::ops::Range;

use super::lexical::key;
use super::normal::{self, DateReading, placed_dates, shifted, small_number, unit_of_time, zeros};
use crate::jobs::DayOrder;

/// What can be compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    /// ISO 8601, with or without the day.
    Date(String),
    /// Currency, or none where only the number is known; the number in plain digits.
    Amount(String, String),
    Percent(String),
    /// Months, days, business days or hours: `P1Y` is `12` of `M`.
    Time(u64, char),
    Number(String),
    /// Words in lower case, one space between.
    Name(String),
}

/// A figure or name as a text writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stated {
    pub written: String,
    claim: Claim,
}

/// Tokens before a unit of time in which its number stands ("thirty (30) calendar days").
const UNIT_REACH: usize = 6;
/// What stands before a word of time in capitals and is no name.
const NO_NAMES: [&str; 24] = [
    "a", "all", "an", "any", "at", "both", "by", "each", "either", "for", "if", "in", "it", "no",
    "on", "such", "that", "the", "there", "these", "they", "this", "upon", "under",
];
/// Words after which a sentence's first word is what does something.
const VERBS: [&str; 6] = ["shall", "must", "may", "will", "agrees", "pays"];

/// What a source states, to be asked about.
pub(super) struct Ground {
    claims: BTreeSet<Claim>,
    /// All its words, with one space between and around.
    key: String,
}

impl Ground {
    /// What `text` states; `order` decides on 03/04/2019.
    pub(super) fn new(text: &str, order: Option<DayOrder>) -> Ground {
        let tokens = tokens(text);
        let mut claims: BTreeSet<Claim> = BTreeSet::new();
        for (_, reading) in placed_dates(text, order) {
            if let DateReading::Iso(date) = reading {
                claims.insert(Claim::Date(date));
            }
        }
        for figure in figures(text, &tokens) {
            // A figure is a number too, whatever stands beside it.
            claims.insert(Claim::Number(figure.number.clone()));
            claims.insert(figure.claim);
        }
        for (number, unit) in times(&tokens) {
            claims.insert(Claim::Time(number, unit));
        }
        Ground { claims, key: key(text) }
    }

    /// Of what `text` states, how much there is, and what the source does not bear, as written.
    pub(super) fn check(&self, text: &str, order: Option<DayOrder>) -> (u32, Vec<String>) {
        let stated = stated(text, order);
        let count = stated.len() as u32;
        let unborne = stated.into_iter().filter(|one| !self.bears(&one.claim));
        (count, unborne.map(|one| one.written).collect())
    }

    fn bears(&self, claim: &Claim) -> bool {
        let holds = |claim: Claim| self.claims.contains(&claim);
        match claim {
            Claim::Date(date) => {
                let later = self.claims.range(Claim::Date(date.clone())..).next();
                matches!(later, Some(Claim::Date(known)) if known.starts_with(date.as_str()))
            }
            Claim::Amount(currency, number) => {
                let same = |known: &str| {
                    let dollars = |word: &str| word == "$" || word.ends_with('D');
                    known == currency
                        || (known == "$" || currency == "$") && dollars(known) && dollars(currency)
                };
                let mut amounts = self.claims.iter().filter_map(|known| match known {
                    Claim::Amount(of, known) if known == number => Some(of),
                    _ => None,
                });
                match amounts.next() {
                    None => holds(Claim::Number(number.clone())),
                    Some(first) => same(first) || amounts.any(|of| same(of)),
                }
            }
            Claim::Name(name) => {
                let known = |name: &str| {
                    let stem = name.strip_suffix('s').unwrap_or(name);
                    [format!(" {name} "), format!(" {stem} "), format!(" {name}s ")]
                        .iter()
                        .any(|words| self.key.contains(words.as_str()))
                };
                // Two names side by side: "Tenant Pinecrest Dental Group".
                let parted = |(at, _): (usize, char)| known(&name[..at]) && known(&name[at + 1..]);
                known(name) || name.char_indices().filter(|(_, c)| *c == ' ').any(parted)
            }
            other => holds(other.clone()),
        }
    }
}

/// The figures and names that `text` states, in order: dates, then other figures, then names.
fn stated(text: &str, order: Option<DayOrder>) -> Vec<Stated> {
    let tokens = tokens(text);
    let mut found = Vec::new();
    let mut taken: Vec<Range<usize>> = Vec::new();
    for (place, reading) in placed_dates(text, order) {
        if let DateReading::Iso(date) = reading {
            found.push(Stated { written: text[place.clone()].into(), claim: Claim::Date(date) });
            taken.push(place);
        }
    }
    let free = |range: &Range<usize>, taken: &[Range<usize>]| {
        taken.iter().all(|other| range.end <= other.start || other.end <= range.start)
    };
    for figure in figures(text, &tokens) {
        // In words only with what is counted: "one of the parties" is no figure.
        let bare_words = figure.in_words && matches!(figure.claim, Claim::Number(_));
        if !bare_words && free(&figure.place, &taken) {
            let written = text[figure.place.clone()].to_owned();
            found.push(Stated { written, claim: figure.claim });
            taken.push(figure.place);
        }
    }
    for place in names(text, &tokens) {
        if free(&place, &taken) {
            let written = text[place].to_owned();
            let claim = Claim::Name(key(&written).trim().to_owned());
            found.push(Stated { written, claim });
        }
    }
    found
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Digits with the commas and dots between them.
    Number,
    Word,
    Mark,
}

struct Token<'t> {
    text: &'t str,
    start: usize,
    kind: Kind,
}

impl Token<'_> {
    fn end(&self) -> usize {
        self.start + self.text.len()
    }

    fn is(&self, word: &str) -> bool {
        self.text.eq_ignore_ascii_case(word)
    }
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens: Vec<Token<'_>> = Vec::new();
    let mut chars = text.char_indices().peekable();
    let bytes = text.as_bytes();
    while let Some((start, c)) = chars.next() {
        if c.is_whitespace() {
            continue;
        }
        let kind = match c {
            c if c.is_ascii_digit() => Kind::Number,
            c if c.is_alphabetic() => Kind::Word,
            _ => Kind::Mark,
        };
        let mut end = start + c.len_utf8();
        while let Some(&(at, c)) = chars.peek() {
            let goes_on = match kind {
                Kind::Number => {
                    let mark = matches!(c, ',' | '.');
                    c.is_ascii_digit() || mark && bytes.get(at + 1).is_some_and(u8::is_ascii_digit)
                }
                Kind::Word => c.is_alphabetic(),
                Kind::Mark => false,
            };
            if !goes_on {
                break;
            }
            end = at + c.len_utf8();
            chars.next();
        }
        tokens.push(Token { text: &text[start..end], start, kind });
    }
    tokens
}

/// A number with what it counts.
struct Figure {
    place: Range<usize>,
    number: String,
    claim: Claim,
    in_words: bool,
}

fn figures(text: &str, tokens: &[Token<'_>]) -> Vec<Figure> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let Some((number, used, in_words)) = number_at(tokens, at) else {
            at += 1;
            continue;
        };
        let next = |by: usize| tokens.get(at + used + by);
        let word = |by: usize| next(by).map_or("", |token| token.text);
        let percent = word(0) == "%" || word(0).eq_ignore_ascii_case("percent");
        let per_cent = word(0).eq_ignore_ascii_case("per") && word(1).eq_ignore_ascii_case("cent");
        let unit = (0..=2).find_map(|by| time_unit(tokens, at + used + by).map(|unit| (by, unit)));
        // "thirty (30) days", "30 calendar days", "12-month"
        let unit = unit.filter(|(by, _)| {
            (0..*by).all(|by| {
                ["-", "(", ")", "calendar", "business", "working", "banking", "full", "consecutive"]
                    .iter()
                    .any(|word| next(by).is_some_and(|token| token.is(word)))
            })
        });
        let currency = at.checked_sub(1).and_then(|before| currency(tokens[before].text));
        let (start, currency) = match currency {
            Some(currency) => (tokens[at - 1].start, Some(currency)),
            None => (tokens[at].start, currency_word(word(0))),
        };
        let last = tokens[at + used - 1].end();
        let (end, claim) = match (percent, per_cent, unit) {
            (true, ..) => (next(0).map_or(last, Token::end), Claim::Percent(number.clone())),
            (_, true, _) => (next(1).map_or(last, Token::end), Claim::Percent(number.clone())),
            (.., Some((by, unit))) => match number.parse() {
                Ok(count) => {
                    let (count, unit) = in_base(count, unit);
                    (next(by).map_or(last, Token::end), Claim::Time(count, unit))
                }
                Err(_) => (last, Claim::Number(number.clone())),
            },
            _ => match currency {
                Some(currency) => (last, Claim::Amount(currency.to_owned(), number.clone())),
                None => (last, Claim::Number(number.clone())),
            },
        };
        let start = match claim {
            Claim::Amount(..) => start,
            _ => tokens[at].start,
        };
        debug_assert!(text.is_char_boundary(start) && text.is_char_boundary(end));
        found.push(Figure { place: start..end, number, claim, in_words });
        at += used;
    }
    found
}

/// A number at `tokens[at]` in plain digits, the tokens it takes, and whether it is written in words.
fn number_at(tokens: &[Token<'_>], at: usize) -> Option<(String, usize, bool)> {
    let scale = |at: usize| zeros(&tokens.get(at)?.text.to_ascii_lowercase());
    let first = tokens.get(at)?;
    match first.kind {
        Kind::Number => match scale(at + 1) {
            Some(zeros) => Some((shifted(&plain(first.text), zeros), 2, false)),
            None => Some((plain(first.text), 1, false)),
        },
        Kind::Word => spelled(tokens, at).map(|(number, used)| (number.to_string(), used, true)),
        Kind::Mark => None,
    }
}

/// "1,000.50" as `1000.5`, "007" as `7`; of "4.2.1" the marks stay.
fn plain(written: &str) -> String {
    let digits = written.replace(',', "");
    if digits.matches('.').count() > 1 { digits } else { shifted(&digits, 0) }
}

/// A whole number in English words: "twenty-four", "one hundred and fifty thousand".
fn spelled(tokens: &[Token<'_>], at: usize) -> Option<(u64, usize)> {
    let (mut total, mut group, mut used) = (0u64, 0u64, 0);
    let word = |at: usize| {
        let token = tokens.get(at).filter(|token| token.kind != Kind::Number)?;
        Some(token.text.to_ascii_lowercase())
    };
    let mut next = at;
    while let Some(text) = word(next) {
        let small = small_number(&text).map(u64::from);
        let joins = used > 0 && (text == "-" || text == "and");
        match (text.as_str(), small) {
            (_, Some(small)) if group % 100 == 0 || group % 10 == 0 && small < 10 => group += small,
            ("hundred", _) if (1..100).contains(&group) => group *= 100,
            ("thousand", _) if group > 0 => {
                total += group * 1_000;
                group = 0;
            }
            ("million", _) if group > 0 => {
                total += group * 1_000_000;
                group = 0;
            }
            _ if joins && word(next + 1).is_some_and(|text| small_number(&text).is_some()) => {
                // "twenty - four" goes on, "five and six" is two numbers.
                if text == "and" && group % 100 != 0 {
                    break;
                }
                next += 1;
                continue;
            }
            _ => break,
        }
        next += 1;
        used = next - at;
    }
    (used > 0).then_some((total + group, used))
}

/// Every length of time of a source, its number up to a few words before the unit.
fn times(tokens: &[Token<'_>]) -> Vec<(u64, char)> {
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let Some(unit) = time_unit(tokens, at) else { continue };
        for from in at.saturating_sub(UNIT_REACH)..at {
            if let Some((number, used, _)) = number_at(tokens, from)
                && from + used <= at
                && let Ok(number) = number.parse()
            {
                found.push(in_base(number, unit));
            }
        }
    }
    found
}

/// The unit of time that a token is: of business days `B`.
fn time_unit(tokens: &[Token<'_>], at: usize) -> Option<char> {
    let word = tokens.get(at)?.text.to_ascii_lowercase();
    let before = at.checked_sub(1).map_or("", |at| tokens[at].text);
    let business = ["business", "working", "banking"];
    let in_business = business.iter().any(|word| before.eq_ignore_ascii_case(word));
    unit_of_time(&word).map(|unit| if unit == 'D' && in_business { 'B' } else { unit })
}

/// Years in months and weeks in days, which they are whatever the calendar.
fn in_base(count: u64, unit: char) -> (u64, char) {
    match unit {
        'Y' => (count.saturating_mul(12), 'M'),
        'W' => (count.saturating_mul(7), 'D'),
        _ => (count, unit),
    }
}

fn currency(mark: &str) -> Option<&'static str> {
    Some(match mark {
        "$" => "$",
        "¥" => "JPY",
        word => return currency_word(word).filter(|_| !word.is_ascii() || word.len() == 3),
    })
}

fn currency_word(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "$" | "dollar" | "dollars" => "$",
        "pounds" => "GBP",
        word => return normal::currency(word),
    })
}

/// Runs of words that begin with a capital. A sentence's first word counts only with others after it, or
/// as what does something ("Lessor shall").
fn names(text: &str, tokens: &[Token<'_>]) -> Vec<Range<usize>> {
    let capital = |at: usize| {
        tokens.get(at).is_some_and(|token| {
            token.kind == Kind::Word && token.text.starts_with(char::is_uppercase)
        })
    };
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if !capital(at) {
            at += 1;
            continue;
        }
        let opens = at == 0 || matches!(tokens[at - 1].text, "." | "!" | "?" | ":" | ";" | "•");
        let mut end = at + 1;
        loop {
            let beside = |a: usize, b: usize| {
                let gap = &text[tokens[a].end()..tokens[b].start];
                gap.is_empty() || gap == " "
            };
            if capital(end) && beside(end - 1, end) {
                end += 1;
            } else if tokens.get(end).is_some_and(|link| matches!(link.text, "of" | "&"))
                && capital(end + 1)
            {
                end += 2;
            } else {
                break;
            }
        }
        let mut start = at;
        let bare = |token: &Token<'_>| NO_NAMES.iter().any(|word| token.is(word));
        while start < end && bare(&tokens[start]) {
            start += 1;
        }
        let acts = tokens.get(end).is_some_and(|next| VERBS.iter().any(|verb| next.is(verb)));
        let alone = opens && start == at && end - start == 1 && !acts;
        if start < end && !alone {
            found.push(tokens[start].start..tokens[end - 1].end());
        }
        at = end;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "SECOND AMENDMENT TO LEASE. This Amendment is made as of September 1, 2023 between \
        Calloway Street Holdings LLC (“Landlord”) and PINECREST DENTAL GROUP, P.C. (“Tenant”). The term is \
        extended by sixty (60) months. Tenant pays $1,000.00 a month, or five percent (5%) of net sales, and \
        a fee of One Hundred Fifty Thousand Dollars. Notice: thirty (30) days. Cure: ten (10) business days. \
        The State of Oregon governs. See Section 4.2.";

    fn unborne(text: &str) -> Vec<String> {
        Ground::new(SOURCE, None).check(text, None).1
    }

    #[test]
    fn what_the_source_states_in_other_forms_is_borne() {
        for text in [
            "Pinecrest Dental Group, P.C. pays 1000 dollars, USD 1,000 each month.",
            "Notice of 30 days or thirty days; cure in 10 business days.",
            "Made on 2023-09-01, in September 2023.",
            "The Tenant’s term grows by five years, 60 months.",
            "5% or 5 percent or five per cent of sales; $150,000.",
            "Landlord Calloway Street Holdings LLC; Section 4.2; the State of Oregon.",
            "Payment is due. It must be paid. Both parties agree.",
        ] {
            assert_eq!(unborne(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn what_it_does_not_state_is_named_as_written() {
        for (text, wrong) in [
            ("Rent is $1,500 a month.", "$1,500"),
            ("It costs €1,000.", "€1,000"),
            ("Made on September 2, 2023.", "September 2, 2023"),
            ("Notice is 60 days.", "60 days"),
            ("Cure within 10 days.", "10 days"),
            ("It ends after two years.", "two years"),
            ("A share of 30% of sales.", "30%"),
            ("The parties are Acme Corp and the Tenant.", "Acme Corp"),
            ("Lessor shall repair.", "Lessor"),
            ("See Section 7.", "Section 7"),
        ] {
            let found = unborne(text);
            assert!(found.iter().any(|one| wrong.contains(one.as_str())), "{text}: {found:?}");
        }
    }

    #[test]
    fn figures_and_names_are_counted() {
        let count = |text: &str| Ground::new(SOURCE, None).check(text, None).0;
        assert_eq!(count("Nothing is said."), 0);
        assert_eq!(count("Tenant pays $1,000.00 on September 1, 2023 to the Landlord."), 4);
    }
}
