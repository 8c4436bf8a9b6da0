//! One field's answers, over all chunks or over the candidates asked, → one `FieldAnswer`: values
//! normalized and checked against their quotes, agreement counted, what competes kept.

use std::collections::BTreeSet;

use serde_json::Value;

use super::candidates::Candidate;
use super::evidence::evidence;
use super::flags;
use super::lexical::{derives, key, squeeze};
use super::normal::{DateReading, amounts, dates, durations, is_side, party, placed_dates};
use super::places::place;
use super::record::{Competing, Evidence, FieldAnswer};
use crate::base::limits::OCR_CONFIDENCE_LOW;
use crate::chunk::Chunk;
use crate::extract::{Document, PageState, TextOrigin};
use crate::jobs::{DayOrder, Field, FieldType, QuoteForm};
use crate::prompt::{CheckReply, FieldReply, Found};

/// A decision nearer than this (thousandths of a logit) is a flag: the odds are below e to one.
const LOW_MARGIN_MILLI: i64 = 1000;
/// Passages kept as evidence of one value.
const EVIDENCE_MAX: usize = 5;
/// Other values kept.
const COMPETING_MAX: usize = 8;

/// Passages kept as evidence of one clause: those that the model was surest of.
const CLAUSES_MAX: usize = 3;

/// Less sure than the best by more than this (thousandths of a logit), a passage is no evidence beside it.
const BESIDE_BEST_MILLI: i64 = 1500;
/// What a place further down in the order of candidates costs, in thousandths of a logit.
const RANK_COST_MILLI: i64 = 150;
/// What it costs that no date, duration or amount can be made of a passage.
const NOT_NORMALIZED_MILLI: i64 = 300;

/// A value that one chunk or candidate gave.
struct Stated {
    /// Index of the chunk.
    chunk: usize,
    value: Value,
    raw: Option<String>,
    evidence: Vec<Evidence>,
    margin: Option<i64>,
    flags: BTreeSet<&'static str>,
}

impl Stated {
    /// Whether nothing speaks against it.
    fn clean(&self) -> bool {
        let against = [flags::NO_EVIDENCE, flags::NOT_IN_QUOTE, flags::CUT_SHORT];
        !against.iter().any(|flag| self.flags.contains(flag))
    }

    fn place(&self) -> (u32, u32) {
        self.evidence.first().map_or((u32::MAX, u32::MAX), |first| (first.page, first.start))
    }

    fn agrees(&self, other: &Stated, of: FieldType) -> bool {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let (a, b) = (key(&text(&self.value)), key(&text(&other.value)));
        match of {
            FieldType::Text | FieldType::Party | FieldType::Title => {
                let (short, long) = if a.len() < b.len() { (&a, &b) } else { (&b, &a) };
                short.len() >= 5 && long.contains(short.as_str()) || a == b
            }
            _ => a == b,
        }
    }
}

/// What a field's answer is read from, beside the replies.
#[derive(Clone, Copy)]
pub(super) struct Ground<'a> {
    pub document: &'a Document,
    pub chunks: &'a [Chunk],
    /// How 03/04/2019 is read.
    pub order: Option<DayOrder>,
}

/// Merges the replies of the chunks, one for each (none where a chunk gave no answer).
pub(super) fn merge(
    field: &Field,
    ground: Ground<'_>,
    replies: &[Option<FieldReply>],
) -> FieldAnswer {
    let mut candidates = Vec::new();
    for (index, reply) in replies.iter().enumerate() {
        for found in reply.iter().flat_map(|reply| &reply.found) {
            let margin = reply.as_ref().and_then(|reply| reply.margin);
            candidates.push(stated(field, ground, index, found, margin));
        }
    }
    let side = |one: &Stated| one.value.as_str().is_some_and(is_side);
    if field.value == FieldType::Party && candidates.iter().any(|one| one.clean() && !side(one)) {
        candidates.retain(|one| !side(one));
    }
    let mut groups = grouped(candidates, field.value);
    groups.sort_by_cached_key(|group| rank(group, field.value));
    let taken = if field.many { many(&mut groups) } else { groups.len().min(1) };
    let rest = groups.split_off(taken);
    let margin = replies.iter().flatten().filter_map(|reply| reply.margin).min();
    let all_asked = replies.iter().all(Option::is_some);
    let mut answer = closed(field, ground.document, (groups, rest), margin, all_asked);
    if answer.margin.is_some_and(|margin| margin < LOW_MARGIN_MILLI) {
        flag(&mut answer, flags::LOW_MARGIN);
    }
    answer
}

/// Merges what was said of the candidates asked (none where one got no answer): those that the model
/// takes by the field's margin, the surest first.
pub(super) fn settle(
    field: &Field,
    ground: Ground<'_>,
    asked: &[(&Candidate, Option<CheckReply>)],
) -> FieldAnswer {
    let mut weighed: Vec<(i64, Stated)> = Vec::new();
    let mut nearest: Option<i64> = None;
    for (rank, (candidate, reply)) in (0..).zip(asked) {
        let Some(reply) = reply else { continue };
        if reply.margin < field.margin_min {
            nearest = nearest.max(Some(reply.margin));
            continue;
        }
        let quote = ground.chunks[candidate.chunk].text[candidate.quote.clone()].to_owned();
        let raw = match field.value {
            FieldType::YesNo => Some("Yes".to_owned()),
            // "shall commence on … and end on …": of several dates, the last is the end.
            FieldType::Date if field.quote == QuoteForm::Sentence => {
                let dates = placed_dates(&quote, ground.order);
                dates.last().map(|(place, _)| quote[place.clone()].to_owned())
            }
            _ => reply.option.clone(),
        };
        let found = Found { quote, place: Some(candidate.quote.clone()), raw, cut: false };
        let mut one = stated(field, ground, candidate.chunk, &found, Some(reply.margin));
        if let Some(value) = &candidate.value {
            one.value = value.clone();
        }
        let costs = RANK_COST_MILLI * rank
            + if one.flags.contains(flags::NOT_NORMALIZED) { NOT_NORMALIZED_MILLI } else { 0 };
        weighed.push((reply.margin - costs, one));
    }
    weighed.sort_by_key(|(weight, one)| (!one.clean(), std::cmp::Reverse(*weight)));
    let best = weighed.first().map_or(0, |(weight, _)| *weight);
    weighed.retain(|(weight, _)| field.many || best - weight <= BESIDE_BEST_MILLI);
    let mut taken: Vec<Stated> = weighed.into_iter().map(|(_, one)| one).collect();
    let by_clause = field.quote == QuoteForm::Sentence
        && matches!(field.value, FieldType::Text | FieldType::YesNo | FieldType::Place);
    let (groups, rest) = if field.many {
        taken.sort_by_key(Stated::place);
        (grouped(taken, field.value), Vec::new())
    } else if by_clause {
        taken.truncate(CLAUSES_MAX);
        (if taken.is_empty() { Vec::new() } else { vec![taken] }, Vec::new())
    } else {
        let mut groups = grouped(taken, field.value);
        let rest = groups.split_off(groups.len().min(1));
        (groups, rest)
    };
    let all_asked = asked.iter().all(|(_, reply)| reply.is_some());
    let mut answer = closed(field, ground.document, (groups, rest), nearest, all_asked);
    let unsure = |margin: i64| (margin - field.margin_min).abs() < LOW_MARGIN_MILLI;
    if answer.margin.is_some_and(unsure) {
        flag(&mut answer, flags::LOW_MARGIN);
    }
    answer
}

/// The answer of the groups taken and those left, with their flags; where none is taken, `margin` is
/// its margin.
fn closed(
    field: &Field,
    document: &Document,
    (groups, rest): (Vec<Vec<Stated>>, Vec<Vec<Stated>>),
    margin: Option<i64>,
    all_asked: bool,
) -> FieldAnswer {
    let mut answer = FieldAnswer {
        value: Value::Null,
        raw: None,
        evidence: Vec::new(),
        margin: None,
        flags: Vec::new(),
        competing: Vec::new(),
    };
    let mut found: BTreeSet<&'static str> = BTreeSet::new();
    if groups.is_empty() {
        answer.margin = margin;
        if document.pages.iter().any(|page| unread(&page.state)) {
            found.insert(flags::PAGE_SKIPPED);
        }
    } else {
        take(&mut answer, &mut found, field.many, &groups);
        if !rest.is_empty() {
            found.insert(flags::COMPETING_VALUES);
        }
        let hidden = |at: &Evidence| !document.pages[at.page as usize - 1].hidden.is_empty();
        if answer.evidence.iter().any(hidden) {
            found.insert(flags::HIDDEN_TEXT_NEARBY);
        }
        let unsure = |at: &Evidence| {
            let facts = &document.pages[at.page as usize - 1].facts;
            facts.origin == TextOrigin::Ocr
                && facts.confidence.is_some_and(|confidence| confidence < OCR_CONFIDENCE_LOW)
        };
        if answer.evidence.iter().any(unsure) {
            found.insert(flags::UNSURE_OCR);
        }
    }
    if !all_asked {
        found.insert(flags::NOT_ALL_ASKED);
    }
    answer.flags = found.iter().map(|flag| (*flag).to_owned()).collect();
    flags::sort(&mut answer.flags);
    answer.competing = rest.into_iter().take(COMPETING_MAX).map(competing).collect();
    answer
}

fn flag(answer: &mut FieldAnswer, flag: &str) {
    answer.flags.push(flag.to_owned());
    flags::sort(&mut answer.flags);
}

fn unread(state: &PageState) -> bool {
    matches!(state, PageState::ImageOnly | PageState::Skipped(_))
}

/// Fills `answer` from the groups that are taken.
fn take(
    answer: &mut FieldAnswer,
    found: &mut BTreeSet<&'static str>,
    many: bool,
    groups: &[Vec<Stated>],
) {
    let best: Vec<&Stated> = groups.iter().filter_map(|group| group.first()).collect();
    for candidate in &best {
        found.extend(&candidate.flags);
    }
    answer.value = match (many, best.as_slice()) {
        (false, [only]) => only.value.clone(),
        _ => best.iter().map(|candidate| candidate.value.clone()).collect(),
    };
    let raw: Vec<&str> = best.iter().filter_map(|candidate| candidate.raw.as_deref()).collect();
    answer.raw = (!raw.is_empty()).then(|| raw.join("; "));
    answer.margin = best.iter().filter_map(|candidate| candidate.margin).min();
    // The best passage of each value first, then the passages that agree.
    let others = groups.iter().flat_map(|group| group.iter().skip(1));
    for candidate in best.iter().copied().chain(others) {
        for evidence in &candidate.evidence {
            if answer.evidence.len() < EVIDENCE_MAX.max(best.len())
                && !answer.evidence.contains(evidence)
            {
                answer.evidence.push(evidence.clone());
            }
        }
    }
}

fn competing(group: Vec<Stated>) -> Competing {
    let mut group = group.into_iter();
    let best = group.next().expect("a group begins with the candidate that opened it");
    let (value, raw, margin) = (best.value, best.raw, best.margin);
    Competing { value, raw, evidence: best.evidence, margin }
}

/// Candidates that agree, together; in each group the best first.
fn grouped(candidates: Vec<Stated>, of: FieldType) -> Vec<Vec<Stated>> {
    let mut groups: Vec<Vec<Stated>> = Vec::new();
    for candidate in candidates {
        match groups.iter_mut().find(|group| group[0].agrees(&candidate, of)) {
            Some(group) => group.push(candidate),
            None => groups.push(vec![candidate]),
        }
    }
    for group in &mut groups {
        group.sort_by_key(|one| {
            (!one.clean(), one.flags.len(), -one.margin.unwrap_or(0), one.place())
        });
    }
    groups
}

/// Smallest is best: evidence in order, more chunks that agree; then the earlier place for parties
/// and dates, which a document names where it opens, and the clearer decision for the rest.
fn rank(group: &[Stated], of: FieldType) -> (bool, usize, i64, (u32, u32)) {
    let chunks: BTreeSet<usize> = group.iter().map(|one| one.chunk).collect();
    let margin = group.iter().filter_map(|one| one.margin).max().unwrap_or(0);
    let place = group.iter().map(Stated::place).min().unwrap_or_default();
    let by_place = matches!(of, FieldType::Party | FieldType::Date);
    let clean = group.iter().any(Stated::clean);
    (!clean, usize::MAX - chunks.len(), if by_place { 0 } else { -margin }, place)
}

/// Sorts the values of a field with several: first those that stand in the first chunk that states
/// any, or in more than one chunk, by their place. Their number.
fn many(groups: &mut [Vec<Stated>]) -> usize {
    let sound = |group: &&Vec<Stated>| group.iter().any(Stated::clean);
    let any_clean = groups.iter().any(|group| group.iter().any(Stated::clean));
    let first = groups.iter().filter(|group| !any_clean || sound(group));
    let Some(first) = first.flatten().map(|one| one.chunk).min() else { return 0 };
    let belongs = |group: &Vec<Stated>| {
        let chunks: BTreeSet<usize> = group.iter().map(|one| one.chunk).collect();
        (!any_clean || sound(&group)) && (chunks.contains(&first) || chunks.len() > 1)
    };
    let place = |group: &Vec<Stated>| group.iter().map(Stated::place).min();
    groups.sort_by_cached_key(|group| (!belongs(group), place(group)));
    groups.iter().filter(|group| belongs(group)).count()
}

fn stated(
    field: &Field,
    ground: Ground<'_>,
    index: usize,
    found: &Found,
    margin: Option<i64>,
) -> Stated {
    let raw = found.raw.as_deref();
    let (value, mut flags) = valued(field.value, raw, &found.quote, ground.order);
    let evidence = match &found.place {
        Some(place) => evidence(ground.document, &ground.chunks[index], place.clone(), None),
        None => Vec::new(),
    };
    if evidence.is_empty() {
        flags.insert(flags::NO_EVIDENCE);
    }
    if found.cut {
        flags.insert(flags::CUT_SHORT);
    }
    Stated { chunk: index, value, raw: found.raw.clone(), evidence, margin, flags }
}

/// The value that a quote and the model's words for it come to, and what speaks against it.
fn valued(
    of: FieldType,
    raw: Option<&str>,
    quote: &str,
    order: Option<DayOrder>,
) -> (Value, BTreeSet<&'static str>) {
    let mut flags = BTreeSet::new();
    let words = squeeze(raw.unwrap_or(quote));
    let iso = |text: &str| iso_dates(text, order);
    let read: &dyn Fn(&str) -> Vec<String> = match of {
        FieldType::YesNo => return (Value::Bool(words.eq_ignore_ascii_case("yes")), flags),
        // A table's own value is its candidate's.
        FieldType::Choice | FieldType::Table => return (Value::String(words), flags),
        FieldType::Place => match place(&words) {
            Some(place) => return (Value::String(place), flags),
            None => return valued(FieldType::Text, raw, quote, order),
        },
        FieldType::Text | FieldType::Title if derives(&words, quote) => {
            return (Value::String(words), flags);
        }
        FieldType::Text | FieldType::Title => {
            flags.insert(flags::VALUE_FROM_QUOTE);
            return (Value::String(squeeze(quote)), flags);
        }
        FieldType::Party => {
            let value = party(&words);
            if !key(quote).contains(&key(&value)) {
                flags.insert(flags::NOT_IN_QUOTE);
            }
            return (Value::String(value), flags);
        }
        FieldType::Date => &iso,
        FieldType::Duration => &durations,
        FieldType::Money => &amounts,
    };
    let in_quote: BTreeSet<String> = read(quote).into_iter().collect();
    let in_words = read(&words);
    let only = in_quote.first().filter(|_| in_quote.len() == 1);
    let value = match (in_words.iter().find(|value| in_quote.contains(*value)), only) {
        (Some(value), _) => value.clone(),
        // "three years after that date" is an answer though no date can be made of it.
        (None, _) if in_words.is_empty() && key(quote).contains(&key(&words)) => {
            let ambiguous =
                of == FieldType::Date && dates(&words, order).contains(&DateReading::Ambiguous);
            flags.insert(if ambiguous { flags::AMBIGUOUS_DATE } else { flags::NOT_NORMALIZED });
            words
        }
        (None, Some(only)) => {
            flags.insert(flags::VALUE_FROM_QUOTE);
            only.clone()
        }
        (None, None) => {
            flags.insert(flags::NOT_IN_QUOTE);
            if in_words.is_empty() {
                flags.insert(flags::NOT_NORMALIZED);
            }
            in_words.into_iter().next().unwrap_or(words)
        }
    };
    (Value::String(value), flags)
}

fn iso_dates(text: &str, order: Option<DayOrder>) -> Vec<String> {
    let iso = |reading| match reading {
        DateReading::Iso(date) => Some(date),
        DateReading::Ambiguous => None,
    };
    dates(text, order).into_iter().filter_map(iso).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(of: FieldType, raw: &str, quote: &str) -> (String, Vec<&'static str>) {
        let (value, flags) = valued(of, Some(raw), quote, None);
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (text, flags.into_iter().collect())
    }

    #[test]
    fn a_value_is_what_its_quote_bears() {
        let quote = "dated as of March 4, 2019";
        assert_eq!(read(FieldType::Date, "2019-03-04", quote), ("2019-03-04".into(), vec![]));
        assert_eq!(
            read(FieldType::Date, "May 1, 2020", quote),
            ("2019-03-04".into(), vec![flags::VALUE_FROM_QUOTE])
        );
        assert_eq!(
            read(FieldType::Date, "May 1, 2020", "on the date first written above"),
            ("2020-05-01".into(), vec![flags::NOT_IN_QUOTE])
        );
        assert_eq!(
            read(FieldType::Date, "03/04/2019", "made on 03/04/2019"),
            ("03/04/2019".into(), vec![flags::AMBIGUOUS_DATE])
        );
        assert_eq!(
            read(FieldType::Date, "three years after it", "ends three years after it begins"),
            ("three years after it".into(), vec![flags::NOT_NORMALIZED])
        );
        assert_eq!(
            read(FieldType::Money, "$1 million", "shall not exceed $1,000,000"),
            ("$ 1000000".into(), vec![])
        );
        assert_eq!(
            read(FieldType::Party, "Acme Inc., a company", "between Acme, Inc. and Bolt"),
            ("Acme Inc.".into(), vec![])
        );
        assert_eq!(
            read(FieldType::Text, "New York", "the laws of Ohio"),
            ("the laws of Ohio".into(), vec![flags::VALUE_FROM_QUOTE])
        );
        assert_eq!(read(FieldType::YesNo, "Yes", "may assign"), ("true".into(), vec![]));
    }
}
