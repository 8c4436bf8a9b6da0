//! Names of companies and persons in a text, told by how contracts write them. What looks like a name and
//! is none is the model's to turn down.

use std::ops::Range;

use super::normal::role_before;

/// A name and how much it looks like that of a party.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub range: Range<usize>,
    /// 0 to 9.
    pub likeness: u64,
}

/// Words that end a company's name, without dots.
const FORMS: [&str; 38] = [
    "inc",
    "incorporated",
    "llc",
    "llp",
    "lp",
    "ltd",
    "limited",
    "corp",
    "corporation",
    "co",
    "company",
    "plc",
    "gmbh",
    "ag",
    "kg",
    "se",
    "sa",
    "sas",
    "sarl",
    "spa",
    "srl",
    "bv",
    "nv",
    "ab",
    "as",
    "oy",
    "oyj",
    "aps",
    "sl",
    "lda",
    "ltda",
    "pty",
    "pte",
    "na",
    "pc",
    "trust",
    "partnership",
    "bank",
];
/// Words of a contract that stand in capitals and name nobody.
const NO_NAMES: [&str; 30] = [
    "this",
    "agreement",
    "the",
    "whereas",
    "section",
    "exhibit",
    "schedule",
    "article",
    "recitals",
    "witnesseth",
    "now",
    "therefore",
    "effective",
    "date",
    "amendment",
    "contract",
    "parties",
    "party",
    "in",
    "each",
    "all",
    "certain",
    "confidential",
    "page",
    "between",
    "and",
    "by",
    "background",
    "term",
    "terms",
];
const NAME_WORDS_MAX: usize = 12;

/// The names in `text`, in their order.
pub(super) fn names(text: &str) -> Vec<Name> {
    let words = spaced(text);
    let mut found = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let Some(end) = name_at(text, &words, at) else {
            at += 1;
            continue;
        };
        let start = words[at].start + opening_marks(&text[words[at].clone()]);
        let last = &text[words[end - 1].clone()];
        let range = start..words[end - 1].start + bare_len(last);
        let range = range.start + role_before(&text[range.clone()])..range.end;
        let bare = bare(&text[range.clone()]);
        let alone = bare.split_whitespace().all(no_name);
        if !alone && bare.chars().count() > 2 {
            let likeness = likeness(text, &range);
            found.push(Name { range, likeness });
        }
        at = end;
    }
    found
}

fn likeness(text: &str, range: &Range<usize>) -> u64 {
    let name = &text[range.clone()];
    let after = text[range.end..].trim_start_matches([',', '.', ' ', '\n']);
    let before = format!(" {}", text[..range.start].to_lowercase());
    let company =
        name.split_whitespace().count() > 1 && name.split_whitespace().last().is_some_and(is_form);
    let described = [
        "(\"",
        "(“",
        "(the",
        "(herein",
        "(\u{2018}",
        "(collectively",
        "(together",
        "(‘",
        "a ",
        "an ",
    ]
    .iter()
    .any(|mark| after.starts_with(mark))
        && text[range.end..].starts_with([',', ' ']);
    let between = ["between", "among", "by and "].iter().any(|word| before.contains(word));
    // "I, Mary Poe, agree …"
    let signs = [" i, ", "undersigned, "].iter().any(|word| before.ends_with(word));
    3 * u64::from(company) + 2 * (u64::from(described) + u64::from(between) + u64::from(signs))
}

/// One after the last word of the name that begins at word `at`.
fn name_at(text: &str, words: &[Range<usize>], at: usize) -> Option<usize> {
    let word = |at: usize| words.get(at).map_or("", |word| &text[word.clone()]);
    let first = word(at);
    let begins =
        |word: &str| word.trim_start_matches(['"', '“', '(']).starts_with(char::is_uppercase);
    if !begins(first) || no_name(first) {
        return None;
    }
    let mut end = at + 1;
    while end - at < NAME_WORDS_MAX && end < words.len() {
        let (last, next) = (word(end - 1), word(end));
        if last.ends_with([';', ':', ')', '”', '"'])
            || text[words[end - 1].end..words[end].start].contains('\n')
        {
            break;
        }
        let joins = if last.ends_with(',') {
            is_form(next)
        } else if is_form(last) {
            is_form(next)
                || next == "&" && is_form(word(end + 1))
                || next.starts_with("of") && begins(word(end + 1)) && bare(last) == "Bank"
        } else if last.ends_with('.') && bare(last).chars().count() > 3 {
            false
        } else {
            let link = matches!(next, "of" | "the" | "&" | "for" | "de" | "van" | "von" | "+");
            let elided =
                ["d'", "l'", "d’", "l’"].iter().any(|of| next.strip_prefix(of).is_some_and(begins));
            elided
                || begins(next)
                    && !next.starts_with(['(', '"', '“'])
                    && !next.eq_ignore_ascii_case("and")
                || next.starts_with(|c: char| c.is_ascii_digit())
                    && next.len() < 5
                    && !last.ends_with(',')
                || link && (begins(word(end + 1)) || word(end + 1) == "the")
        };
        if !joins {
            break;
        }
        end += 1;
    }
    Some(end)
}

fn spaced(text: &str) -> Vec<Range<usize>> {
    let mut at = 0;
    let words = text.split_inclusive(char::is_whitespace).map(|word| {
        let start = at;
        at += word.len();
        start..start + word.trim_end().len()
    });
    words.filter(|word| !word.is_empty()).collect()
}

fn opening_marks(word: &str) -> usize {
    word.len() - word.trim_start_matches(['"', '“', '(']).len()
}

/// A name's last word without the marks after it; the dot of "Inc." stays.
fn bare_len(word: &str) -> usize {
    let cut = word.trim_end_matches([',', ';', ':', ')', ']', '"', '”']);
    let dotted = is_form(cut) || bare(cut).chars().count() < 3;
    if dotted { cut.len() } else { cut.trim_end_matches('.').len() }
}

fn bare(word: &str) -> &str {
    word.trim_matches(|c: char| !c.is_alphanumeric())
}

fn is_form(word: &str) -> bool {
    let word: String = word.chars().filter(|c| c.is_alphanumeric()).collect();
    FORMS.contains(&word.to_lowercase().as_str()) && word.starts_with(char::is_uppercase)
}

fn no_name(word: &str) -> bool {
    NO_NAMES.contains(&bare(word).to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn likely(text: &str) -> Vec<&str> {
        let names = names(text).into_iter().filter(|name| name.likeness >= 3);
        names.map(|name| &text[name.range]).collect()
    }

    #[test]
    fn parties_are_named_as_contracts_name_them() {
        assert_eq!(
            likely(
                "This Agreement is made by and between Excite, Inc., a California corporation \
                 (\"Excite\"), and CyberShop, a Delaware corporation (\"Client\")."
            ),
            ["Excite, Inc.", "CyberShop"]
        );
        assert_eq!(
            likely(
                "entered into by ACME GmbH & Co. KG (the \"Company\"), and Alan Crane, an individual"
            ),
            ["ACME GmbH & Co. KG"]
        );
        assert_eq!(
            likely("between The Bank of Ohio, N.A. and Bolt Ltd. It begins on May 1, 2020."),
            ["Bank of Ohio, N.A.", "Bolt Ltd."]
        );
        assert_eq!(
            likely("between Société Atlantique d'Optique S.A.S. and Almeida Design Lda]"),
            ["Société Atlantique d'Optique S.A.S.", "Almeida Design Lda"]
        );
        let employee = "In consideration of my work for Bolt Ltd, I, Mary R. Poe, hereby agree";
        let names = names(employee).into_iter().filter(|name| name.likeness >= 2);
        let names: Vec<&str> = names.map(|name| &employee[name.range]).collect();
        assert_eq!(names, ["Bolt Ltd", "Mary R. Poe"]);
        assert_eq!(likely("WHEREAS, Section 4 of this Agreement"), Vec::<&str>::new());
        assert_eq!(
            likely("LANDLORD Calloway Street Holdings LLC\nTENANT\nMaple Dental Inc."),
            ["Calloway Street Holdings LLC", "Maple Dental Inc."]
        );
    }
}
