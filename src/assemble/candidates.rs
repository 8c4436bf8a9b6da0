//! What may be the answer to a field, found by code: clauses, dates, names and title lines of the
//! document, the likeliest first. The model is then asked of each whether it is; so every quote is a
//! passage of the document, whatever the model says.

use std::collections::BTreeSet;
use std::ops::Range;

use super::clauses::{Clause, Clauses};
use super::lexical::{key, trimmed};
use super::names::{Name, names};
use super::normal::placed_dates;
use super::tables;
use crate::chunk::Chunk;
use crate::extract::Document;
use crate::jobs::{DayOrder, Field, FieldType, Position, QuoteForm};

/// Candidates of one field that may be asked about.
const CANDIDATES_MAX: usize = 6;
/// Bytes at its beginning in which a document says what it is, and who makes it when.
const OPENING_BYTES: usize = 5000;
/// Bytes in which it names itself.
const TITLE_BYTES: usize = 1800;
/// Bytes at its end in which it is signed.
const SIGNATURE_BYTES: usize = 2500;
/// Likeness of a name from which on the opening is taken to name the parties, and that of the names then
/// asked about.
const PARTY_CERTAIN: u64 = 3;
const PARTY_POSSIBLE: u64 = 2;
/// What a candidate in its field's place is worth: more than all its words.
const IN_PLACE: u64 = 1_000_000;

/// What a candidate is worth that the document itself calls by the field's name.
const DEFINED: u64 = 4_000_000;

/// One possible answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Index of the chunk.
    pub chunk: usize,
    /// Bytes of the chunk's text.
    pub quote: Range<usize>,
    /// What the model is shown: the passage under its heading.
    pub shown: String,
    /// By which it was ranked.
    pub score: u64,
    /// The answer itself, where it is a table.
    pub table: Option<serde_json::Value>,
}

/// The candidates of `field`, the likeliest first.
pub(super) fn candidates(
    field: &Field,
    (document, chunks): (&Document, &[Chunk]),
    clauses: &Clauses,
    order: Option<DayOrder>,
) -> Vec<Candidate> {
    let mut found = match (field.value, field.quote) {
        (FieldType::Table, _) => tables::candidates(field, document, chunks),
        (FieldType::Title, _) => titles(chunks),
        (FieldType::Party, QuoteForm::Value) => parties(chunks, clauses),
        (FieldType::Date, QuoteForm::Value) => dates(field, chunks, clauses, order),
        _ => sentences(field, chunks, clauses),
    };
    found.sort_by_key(|one| (std::cmp::Reverse(one.score), one.chunk, one.quote.start));
    let mut seen = BTreeSet::new();
    found.retain(|one| seen.insert(key(&chunks[one.chunk].text[one.quote.clone()])));
    found.truncate(CANDIDATES_MAX);
    found
}

fn sentences(field: &Field, chunks: &[Chunk], clauses: &Clauses) -> Vec<Candidate> {
    let bytes: usize = chunks.iter().map(|chunk| chunk.text.len()).sum();
    let hits = clauses.ranked(field).into_iter();
    hits.map(|hit| {
        let clause = clauses.get(hit.clause);
        let score = hit.score + in_place(field, clause.before, bytes);
        of_clause(clause, clause.range.clone(), chunks, score)
    })
    .collect()
}

/// The dates of the clauses that hold one of the field's phrases; of a clause that names none, the
/// clause, where it speaks of a date ("on the date of the last signature").
fn dates(
    field: &Field,
    chunks: &[Chunk],
    clauses: &Clauses,
    order: Option<DayOrder>,
) -> Vec<Candidate> {
    let bytes: usize = chunks.iter().map(|chunk| chunk.text.len()).sum();
    let mut found = Vec::new();
    for hit in clauses.ranked(field) {
        let clause = clauses.get(hit.clause);
        let text = &chunks[clause.chunk].text[clause.range.clone()];
        let score = hit.score + in_place(field, clause.before, bytes);
        let dates = placed_dates(text, order);
        for (place, _) in &dates {
            let quote = clause.range.start + place.start..clause.range.start + place.end;
            let defined = if defines(&text[place.end..], field) { DEFINED } else { 0 };
            found.push(of_clause(clause, quote, chunks, score + defined));
        }
        if dates.is_empty() && BY_REFERENCE.iter().any(|words| clause.holds(words)) {
            found.push(of_clause(clause, clause.range.clone(), chunks, score / 4));
        }
    }
    found
}

/// How a clause names a date that stands elsewhere.
const BY_REFERENCE: [&str; 6] = [
    "date hereof",
    "date first",
    "date of last",
    "date of the last",
    "date noted",
    "date of signature",
];

/// Whether what follows a date gives it a name that is one of the field's phrases: `(the "Effective
/// Date")`.
fn defines(after: &str, field: &Field) -> bool {
    let Some(definition) = after.trim_start_matches([' ', ',']).strip_prefix('(') else {
        return false;
    };
    let definition = definition.split(')').next().unwrap_or_default();
    let name = key(definition);
    field.phrases.iter().any(|phrase| name.contains(&key(phrase)))
}

fn in_place(field: &Field, before: usize, bytes: usize) -> u64 {
    let opens = before < OPENING_BYTES;
    let signs = before + SIGNATURE_BYTES > bytes;
    match field.position {
        Position::Opening if opens => IN_PLACE,
        Position::Opening if signs => IN_PLACE / 2,
        _ => 0,
    }
}

fn of_clause(clause: &Clause, quote: Range<usize>, chunks: &[Chunk], score: u64) -> Candidate {
    let text = &chunks[clause.chunk].text;
    let passage = &text[clause.range.clone()];
    let shown = match &clause.heading {
        Some(heading) => format!("{}\n{passage}", &text[heading.clone()]),
        None => passage.to_owned(),
    };
    Candidate { chunk: clause.chunk, quote, shown, score, table: None }
}

/// The names where the document opens, those that look most like a party's first; where it opens with
/// none, where it is signed.
fn parties(chunks: &[Chunk], clauses: &Clauses) -> Vec<Candidate> {
    let bytes: usize = chunks.iter().map(|chunk| chunk.text.len()).sum();
    let within = |place: &dyn Fn(usize) -> bool| -> Vec<Candidate> {
        let mut found = Vec::new();
        for at in (0..clauses.len()).filter(|at| place(clauses.get(*at).before)) {
            let clause = clauses.get(at);
            let text = &chunks[clause.chunk].text[clause.range.clone()];
            for Name { range, likeness } in names(text) {
                let quote = clause.range.start + range.start..clause.range.start + range.end;
                found.push(of_clause(clause, quote, chunks, likeness));
            }
        }
        found
    };
    let mut opening = within(&|before| before < OPENING_BYTES);
    if !opening.iter().any(|one| one.score >= PARTY_CERTAIN) {
        return within(&|before| before + SIGNATURE_BYTES > bytes);
    }
    opening.retain(|one| one.score >= PARTY_POSSIBLE);
    opening
}

/// The lines where the document opens that may be its title, in their order.
fn titles(chunks: &[Chunk]) -> Vec<Candidate> {
    let Some(first) = chunks.first() else { return Vec::new() };
    let end = first.text.floor_char_boundary(TITLE_BYTES);
    let shown = &first.text[..end];
    let mut found = Vec::new();
    let mut start = 0;
    for line in shown.split_inclusive('\n') {
        let range = trimmed(shown, start..start + line.len());
        start += line.len();
        for title in title_in(&shown[range.clone()]) {
            let quote = range.start + title.start..range.start + title.end;
            let text = &shown[quote.clone()];
            let capitals = !text.chars().any(char::is_lowercase);
            let named = TITLE_WORDS.iter().any(|word| text.to_lowercase().contains(word));
            let score = 2 * u64::from(named) + u64::from(capitals);
            if score > 0 && !text.to_lowercase().starts_with("this ") {
                let shown = shown.to_owned();
                found.push(Candidate { chunk: 0, quote, shown, score, table: None });
            }
        }
    }
    found
}

/// What a document that has a title is mostly called.
const TITLE_WORDS: [&str; 16] = [
    "agreement",
    "contract",
    "amendment",
    "lease",
    "license",
    "licence",
    "deed",
    "policy",
    "terms",
    "addendum",
    "memorandum",
    "statement",
    "invoice",
    "report",
    "letter",
    "order",
];
const TITLE_WORDS_MAX: usize = 20;

/// The runs of a line that may be a title: the whole of a short line, and of any line the first words
/// that are all in capitals up to the last word that a title ends with.
fn title_in(line: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let count = line.split_whitespace().count();
    if (1..=TITLE_WORDS_MAX).contains(&count) && !line.ends_with([';', ':', ',']) {
        found.push(0..line.len());
    }
    // "SERVICES AGREEMENT This Agreement is made …", or with an exhibit's number before.
    let mut run: Option<Range<usize>> = None;
    let mut runs = Vec::new();
    let mut at = 0;
    for word in line.split_inclusive(char::is_whitespace) {
        let bare = word.trim_end();
        let capital =
            bare.chars().any(char::is_alphabetic) && !bare.chars().any(char::is_lowercase);
        let joins = capital || matches!(bare, "&" | "-" | "–") && run.is_some();
        match (&mut run, joins) {
            (Some(run), true) => run.end = at + bare.len(),
            (None, true) => run = Some(at..at + bare.len()),
            (_, false) => runs.extend(run.take()),
        }
        at += word.len();
    }
    runs.extend(run);
    for run in runs {
        let text = line[run.clone()].to_lowercase();
        let ends = TITLE_WORDS.iter().filter_map(|word| text.rfind(word).map(|at| at + word.len()));
        let several = line[run.clone()].split_whitespace().count() > 1;
        if let Some(end) = ends.max().filter(|_| several) {
            let title = trimmed(line, run.start..run.start + end);
            if !found.contains(&title) {
                found.push(title);
            }
        }
    }
    found
}
