//! Whether a sentence says what its passage says, as far as words tell: who does something, and what is
//! denied. What else words mean it does not know.

use std::collections::BTreeSet;

use super::lexical::{is_function_word, stem, words};

/// Words after which somebody does, or lets do, something.
const MODALS: [&str; 6] = ["agree", "agrees", "may", "must", "shall", "will"];
/// What may stand between who acts and such a word.
const BETWEEN: [&str; 5] = ["also", "both", "each", "hereby", "then"];
/// Words that stand for whoever acts, so that nobody is named.
const NOBODY: [&str; 12] =
    ["and", "he", "it", "or", "she", "that", "there", "they", "this", "which", "who", "not"];
/// Words by which a sentence denies something without "not".
const OTHER_DENIALS: [&str; 7] = ["cannot", "except", "neither", "no", "none", "unless", "without"];

/// Whether `sentence` lets someone act whom its passage does not let act, or says of something that it is
/// where the passage says that it is not, or the other way round.
pub(super) fn departs(sentence: &str, passage: &str) -> bool {
    let (sentence, passage) = (words(sentence), words(passage));
    let acting = actors(&passage);
    let other_actor =
        !acting.is_empty() && actors(&sentence).iter().any(|actor| !acting.contains(actor));
    other_actor || turned(&sentence, &passage) || turned(&passage, &sentence)
}

/// Who acts, or lets act: the word before "shall" and its like, and after "by" where that is who does it.
fn actors(words: &[String]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for at in (0..words.len()).filter(|at| MODALS.contains(&words[*at].as_str())) {
        let before = words[..at].iter().rev().find(|word| !BETWEEN.contains(&word.as_str()));
        found.extend(before);
        // "Rent shall be paid by Tenant"
        if words.get(at + 1).is_some_and(|next| next == "be") {
            let by = words[at..].iter().position(|word| word == "by").map(|by| at + by + 1);
            let who = by.and_then(|by| words[by..].iter().find(|word| !is_function_word(word)));
            found.extend(who);
        }
    }
    let named = found.into_iter().filter(|word| !NOBODY.contains(&word.as_str()));
    named.map(|word| stem(word)).collect()
}

/// Whether a word that is denied in `denying` stands undenied in `other`, which denies nothing in another way.
fn turned(denying: &[String], other: &[String]) -> bool {
    if other.iter().any(|word| OTHER_DENIALS.contains(&word.as_str())) {
        return false;
    }
    let (denied, said) = denials(denying);
    let (denied_there, said_there) = denials(other);
    let only_denied = |word: &&String| !said.contains(*word);
    denied
        .iter()
        .filter(only_denied)
        .any(|word| said_there.contains(word) && !denied_there.contains(word))
}

/// The content words that a "not" stands before, and all others, without their endings.
fn denials(words: &[String]) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut denied, mut said) = (BTreeSet::new(), BTreeSet::new());
    let mut open = false;
    for word in words {
        open |= word == "not";
        if is_function_word(word) {
            continue;
        }
        let of = if open { &mut denied } else { &mut said };
        of.insert(stem(word));
        open = false;
    }
    (denied, said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_side_and_what_is_turned_round_are_found() {
        let inspects = "mPhase agrees to allow Lucent to inspect the uses of the logo.";
        let result = "It shall continue until the Manager determines that reconnecting shall not \
                      result in a recurrence of the event.";
        for (sentence, passage) in [
            ("Lucent must inspect the uses.", inspects),
            ("Each side must end the agreement.", "The Veoneer Parties shall cease to be a party."),
            ("It lasts until reconnecting will result in a recurrence.", result),
            ("The agreement is not renewed.", "The agreement is renewed for a year."),
            ("It may be assigned with consent.", "It may not be assigned with or before consent."),
        ] {
            assert!(departs(sentence, passage), "{sentence}");
        }
        for (sentence, passage) in [
            ("mPhase must allow inspection of the uses.", inspects),
            ("Tenant must pay rent monthly.", "Rent shall be paid monthly by the Tenant."),
            ("It ends when reconnecting will not result in a recurrence.", result),
            ("Neither party may assign it.", "A party may not assign it."),
            ("Rent is $1,200 a month.", "Tenant shall pay a rent of $1,200 each month."),
            ("The tenants must leave.", "Each Tenant shall leave the rooms."),
        ] {
            assert!(!departs(sentence, passage), "{sentence}");
        }
    }
}
