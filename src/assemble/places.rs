//! Whose law a clause names, read out of its words: small on purpose, and what it cannot read it does not guess.

use super::lexical::squeeze;

/// Countries by the words for what is theirs, in lower case: "subject to Swiss law".
const OF_COUNTRIES: [(&str, &str); 24] = [
    ("american", "United States"),
    ("australian", "Australia"),
    ("austrian", "Austria"),
    ("belgian", "Belgium"),
    ("canadian", "Canada"),
    ("chinese", "China"),
    ("danish", "Denmark"),
    ("dutch", "Netherlands"),
    ("english", "England"),
    ("finnish", "Finland"),
    ("french", "France"),
    ("german", "Germany"),
    ("indian", "India"),
    ("irish", "Ireland"),
    ("israeli", "Israel"),
    ("italian", "Italy"),
    ("japanese", "Japan"),
    ("norwegian", "Norway"),
    ("polish", "Poland"),
    ("portuguese", "Portugal"),
    ("scottish", "Scotland"),
    ("spanish", "Spain"),
    ("swedish", "Sweden"),
    ("swiss", "Switzerland"),
];
/// What stands beside a place's name and is no part of it, even in a text that is all in capitals.
const NO_PLACES: [&str; 34] = [
    "all",
    "and",
    "any",
    "applicable",
    "as",
    "but",
    "by",
    "civil",
    "common",
    "contract",
    "except",
    "excluding",
    "federal",
    "for",
    "governing",
    "governs",
    "in",
    "irrespective",
    "no",
    "of",
    "or",
    "regardless",
    "shall",
    "state",
    "such",
    "that",
    "the",
    "this",
    "to",
    "under",
    "where",
    "which",
    "with",
    "without",
];
/// Words of a place's name at most.
const PLACE_WORDS_MAX: usize = 3;

/// The state or country whose law a clause names: "the laws of the State of New York" is `New York`, and so is
/// "New York law"; "Swiss law" is `Switzerland`. The federation beside one of its states is not meant.
pub(super) fn place(text: &str) -> Option<String> {
    let text = squeeze(text);
    let words: Vec<&str> = text.split(' ').collect();
    let after = (0..words.len()).filter(|at| {
        matches!(bare(words[*at]).to_ascii_lowercase().as_str(), "law" | "laws")
            && words.get(at + 1).is_some_and(|next| is_of(next))
    });
    let after = after.filter_map(|at| place_at(&words[at + 2..]));
    // "Law" in capitals is mostly a heading's.
    let before = (0..words.len()).filter(|at| matches!(bare(words[*at]), "law" | "laws"));
    let before = before.filter_map(|at| place_before(&words[..at]));
    // "the laws, but not the rules of conflict, of the State of Delaware"
    let kinds = (0..words.len()).filter(|at| is_kind_of_place(&words[*at..]));
    let kinds = kinds.filter_map(|at| place_at(&words[at..]));
    let named: Vec<String> = after.chain(before).chain(kinds).collect();
    let federation = |name: &&String| name.starts_with("United States");
    named.iter().find(|name| !federation(name)).or(named.first()).cloned()
}

const KINDS_OF_PLACES: [&str; 7] =
    ["commonwealth", "duchy", "kingdom", "province", "republic", "state", "territory"];

/// Whether `words` begin with "State of" or the like.
fn is_kind_of_place(words: &[&str]) -> bool {
    let kind = |word: &&str| KINDS_OF_PLACES.contains(&bare(word).to_ascii_lowercase().as_str());
    words.first().is_some_and(kind) && words.get(1).is_some_and(|next| is_of(next))
}

fn begins_name(word: &str) -> bool {
    let is_no_place = || NO_PLACES.contains(&bare(word).to_lowercase().as_str());
    word.starts_with(char::is_uppercase) && !is_no_place()
}

fn is_of(word: &str) -> bool {
    bare(word).eq_ignore_ascii_case("of")
}

fn bare(word: &str) -> &str {
    word.trim_matches(|c: char| !c.is_alphanumeric())
}

/// The name that `words` begin with, after what kind of place it is: `the State of`, `the Federal Republic of`.
fn place_at(words: &[&str]) -> Option<String> {
    let mut at = usize::from(words.first().is_some_and(|word| word.eq_ignore_ascii_case("the")));
    let capital = |at: usize| words.get(at).is_some_and(|word| begins_name(word));
    let kind =
        (at..words.len().min(at + PLACE_WORDS_MAX)).find(|at| is_kind_of_place(&words[*at..]));
    if let Some(kind) = kind.filter(|kind| (at..*kind).all(capital)) {
        at = kind + 2;
    }
    let mut name: Vec<&str> = Vec::new();
    while capital(at) && name.len() < PLACE_WORDS_MAX {
        name.push(bare(words[at]));
        let links = match (bare(words[at]), words.get(at + 1)) {
            ("England", Some(&"and")) | ("District", Some(&"of")) => capital(at + 2),
            _ => false,
        };
        if links {
            name.extend([words[at + 1], bare(words[at + 2])]);
            break;
        }
        if !words[at].ends_with(char::is_alphanumeric) {
            break;
        }
        at += 1;
    }
    (!name.is_empty()).then(|| name.join(" "))
}

/// The name that `words` end with: of a place, or of what is a country's.
fn place_before(words: &[&str]) -> Option<String> {
    let names = |word: &&&str| begins_name(word) && word.ends_with(char::is_alphanumeric);
    let mut name: Vec<&str> =
        words.iter().rev().take_while(names).take(PLACE_WORDS_MAX).copied().collect();
    name.reverse();
    let last = name.last()?.to_ascii_lowercase();
    let country = OF_COUNTRIES.iter().find(|(of, _)| *of == last);
    Some(country.map_or_else(|| name.join(" "), |(_, country)| (*country).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_the_state_that_a_clause_names() {
        let law = "governed by the laws of the State of New York, without regard to its conflicts";
        assert_eq!(place(law).as_deref(), Some("New York"));
        assert_eq!(place("under the law of Japan.").as_deref(), Some("Japan"));
        assert_eq!(place("the laws of the land"), None);
        for (law, named) in [
            ("determined in accordance with New York law, without its choice of law", "New York"),
            (
                "is subject exclusively to Swiss law, to the exclusion of its conflict rules",
                "Switzerland",
            ),
            ("German law applies.", "Germany"),
            ("controlled by the laws of, the State of Minnesota.", "Minnesota"),
            ("the internal laws, not the law of conflicts, of the State of Ohio", "Ohio"),
            ("the laws of New York; each submits to the courts of the State of Ohio", "New York"),
            ("the laws of the United States and the State of California", "California"),
            ("the laws of the United States of America", "United States"),
            ("the laws of England and Wales and the courts of London", "England and Wales"),
            ("the laws of the District of Columbia", "District of Columbia"),
            ("under the laws of the Province of British Columbia, Canada", "British Columbia"),
            (
                "GOVERNED BY THE LAWS OF THE STATE OF DELAWARE WITHOUT REGARD TO CONFLICTS",
                "DELAWARE",
            ),
            ("the law of the People’s Republic of China", "China"),
            ("Governing Law. This is governed by the laws of Texas and Bolt agrees", "Texas"),
        ] {
            assert_eq!(place(law).as_deref(), Some(named), "{law}");
        }
        assert_eq!(place("10. Governing Law. Contract Law applies as the law requires."), None);
    }
}
