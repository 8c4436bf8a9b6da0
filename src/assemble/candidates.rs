//! What may be the answer to a field, found by code: clauses, dates, names and title lines of the
//! document, the likeliest first. The model is then asked of each whether it is; so every quote is a
//! passage of the document, whatever the model says.

use std::collections::BTreeSet;
use std::ops::Range;

use super::clauses::{Clause, Clauses, phrases_in};
use super::lexical::{key, trimmed, words};
use super::names::{Name, names};
use super::normal::{amounts, is_side, placed_dates};
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
    /// The answer itself, where code reads it: a table, or what stands behind a label.
    pub value: Option<serde_json::Value>,
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
    let mut found = Vec::new();
    for hit in clauses.ranked(field) {
        let clause = clauses.get(hit.clause);
        let mut score = hit.score + in_place(field, clause.before, bytes);
        let text = &chunks[clause.chunk].text[clause.range.clone()];
        if field.value == FieldType::Money {
            let lines = amount_lines(text, field);
            if !lines.is_empty() {
                found.extend(lines.into_iter().map(|(line, held)| {
                    let quote = clause.range.start + line.start..clause.range.start + line.end;
                    let shown = text[line].to_owned();
                    let score = score + held * LINE_PHRASE;
                    Candidate { chunk: clause.chunk, quote, shown, score, value: None }
                }));
                continue;
            }
            // "Fees are due at once" names none.
            if amounts(text).is_empty() {
                score /= 4;
            }
        }
        if field.value == FieldType::Text {
            let cells = labelled_cells(text, field);
            if !cells.is_empty() {
                found.extend(cells.into_iter().map(|cell| Candidate {
                    chunk: clause.chunk,
                    quote: clause.range.start + cell.place.start
                        ..clause.range.start + cell.place.end,
                    shown: text[cell.place.clone()].to_owned(),
                    score: score + cell.held * LINE_PHRASE,
                    value: cell.value.map(serde_json::Value::String),
                }));
                continue;
            }
        }
        let quote = clause.range.start + number_before(text)..clause.range.end;
        found.push(of_clause(clause, quote, chunks, score));
    }
    found
}

/// Words of a cell of a form at most; running text has longer lines.
const CELL_WORDS_MAX: usize = 10;

/// A cell of a form that holds one of a field's phrases.
struct Cell {
    place: Range<usize>,
    /// How many of the phrases.
    held: u64,
    /// What stands behind the label, where it has one.
    value: Option<String>,
}

/// Where a clause is a form, cell by cell or line by line, as letters and invoices begin, the cells that hold
/// one of the field's phrases: "Invoice no. 4711". None of running text.
fn labelled_cells(text: &str, field: &Field) -> Vec<Cell> {
    let cells = form_cells(text);
    let held =
        |place: &Range<usize>| phrases_in(&words(&text[place.clone()]), &field.phrases) as u64;
    let cell = |at: usize| {
        let mut place = cells[at].clone();
        let held = held(&place);
        if held == 0 {
            return None;
        }
        let label = label_end(&text[place.clone()], field);
        // A label by itself is of what stands beside or below it.
        if label == Some(place.len()) {
            place.end = cells.get(at + 1)?.end;
        }
        let value = label.map(|label| text[place.start + label..place.end].trim().to_owned());
        Some(Cell { place, held, value })
    };
    (0..cells.len()).filter_map(cell).collect()
}

/// The cells of a text that is nothing but short ones: two at least, none of which goes on in the next line.
fn form_cells(text: &str) -> Vec<Range<usize>> {
    let mut cells: Vec<Range<usize>> = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let mut at = start;
        start += line.len();
        if line.trim_start().starts_with(char::is_lowercase) && !cells.is_empty() {
            return Vec::new();
        }
        // Tabs, and blanks where columns are kept apart with them.
        for part in line.split_inclusive("  ").flat_map(|part| part.split_inclusive('\t')) {
            let cell = trimmed(text, at..at + part.len());
            at += part.len();
            if !cell.is_empty() {
                cells.push(cell);
            }
        }
    }
    let short = |cell: &Range<usize>| words(&text[cell.clone()]).len() <= CELL_WORDS_MAX;
    if cells.len() < 2 || !cells.iter().all(short) { Vec::new() } else { cells }
}

/// Bytes of the label that a cell begins with: up to its colon, or one of the field's phrases.
fn label_end(cell: &str, field: &Field) -> Option<usize> {
    if let Some(colon) = cell.find(": ").or_else(|| cell.strip_suffix(':').map(str::len)) {
        let label = words(&cell[..colon]);
        return (phrases_in(&label, &field.phrases) > 0).then_some(colon + 1);
    }
    let mut end = 0;
    let ends = cell.split_inclusive(char::is_whitespace).map(|word| {
        end += word.len();
        end
    });
    let is_label = |end: &usize| {
        let label = key(&cell[..*end]);
        field.phrases.iter().any(|phrase| key(phrase) == label)
    };
    ends.filter(is_label).last()
}

/// What a phrase in an amount's own line is worth.
const LINE_PHRASE: u64 = 1000;

/// Where a clause is a list of amounts, one a line, as invoices end with, the lines that hold one of the field's
/// phrases, and how many. None of any other clause.
fn amount_lines(text: &str, field: &Field) -> Vec<(Range<usize>, u64)> {
    let mut start = 0;
    let lines = text.split_inclusive('\n').map(|line| {
        start += line.len();
        trimmed(text, start - line.len()..start)
    });
    let lines: Vec<_> = lines.filter(|line| !amounts(&text[line.clone()]).is_empty()).collect();
    if lines.len() < 2 {
        return Vec::new();
    }
    let held = |line: Range<usize>| {
        let held = phrases_in(&words(&text[line.clone()]), &field.phrases) as u64;
        (held > 0).then_some((line, held))
    };
    lines.into_iter().filter_map(held).collect()
}

/// Bytes of the number that a clause opens with, which is no part of what it says: `12.3 `, `(a) `, `iv) `.
pub(super) fn number_before(text: &str) -> usize {
    let Some((number, rest)) = text.split_once(char::is_whitespace) else { return 0 };
    let bare = number.trim_matches(['(', ')', '.', '§']);
    let counts = bare.starts_with(|c: char| c.is_ascii_digit())
        && bare.chars().all(|c| c.is_ascii_digit() || c == '.');
    let marked = number.ends_with([')', '.']) || number.contains('.');
    let letters = bare.len() == 1 || bare.chars().all(|c| matches!(c, 'i' | 'v' | 'x'));
    let lettered =
        number.ends_with(')') && letters && bare.chars().all(|c| c.is_ascii_alphabetic());
    match bare.len() < 8 && (counts && marked || lettered) {
        true => text.len() - rest.trim_start().len(),
        false => 0,
    }
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
    if field.position == Position::Opening {
        found.extend(dated_lines(chunks, order));
    }
    found
}

/// Words of a line that is there for its date: "Nantes, den 25. Januar 2021".
const DATED_LINE_WORDS_MAX: usize = 6;
/// Bytes before and after such a line that say what its date is of.
const AROUND_BYTES: usize = 200;

/// The dates of short lines where the document opens or is signed, as letters have them. They come after the
/// dates that a phrase stands beside.
fn dated_lines(chunks: &[Chunk], order: Option<DayOrder>) -> Vec<Candidate> {
    let bytes: usize = chunks.iter().map(|chunk| chunk.text.len()).sum();
    let (mut found, mut before) = (Vec::new(), 0);
    for (index, chunk) in chunks.iter().enumerate() {
        let mut start = chunk.repeated;
        for line in chunk.text[chunk.repeated..].split_inclusive('\n') {
            let range = start..start + line.len();
            start = range.end;
            before += line.len();
            let score = match before {
                _ if before < OPENING_BYTES => IN_PLACE / 4,
                _ if before + SIGNATURE_BYTES > bytes => IN_PLACE / 8,
                _ => continue,
            };
            if words(line).len() > DATED_LINE_WORDS_MAX {
                continue;
            }
            let from = chunk.text.floor_char_boundary(range.start.saturating_sub(AROUND_BYTES));
            let to = chunk.text.floor_char_boundary(range.end + AROUND_BYTES);
            let shown = &chunk.text[trimmed(&chunk.text, from..to)];
            found.extend(placed_dates(line, order).into_iter().map(|(place, _)| Candidate {
                chunk: index,
                quote: range.start + place.start..range.start + place.end,
                shown: shown.to_owned(),
                score,
                value: None,
            }));
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
    Candidate { chunk: clause.chunk, quote, shown, score, value: None }
}

/// The names where the document opens, those that look most like a party's first; where it opens with
/// none, where it is signed. "Landlord" is one only where no name stands there.
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
        let side = |one: &Candidate| is_side(&chunks[one.chunk].text[one.quote.clone()]);
        if found.iter().any(|one| one.score >= PARTY_POSSIBLE && !side(one)) {
            found.retain(|one| !side(one));
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
            let named = words(text).iter().any(|word| names_a_document(word));
            let score = 2 * u64::from(named) + u64::from(capitals);
            if score > 0 && !text.to_lowercase().starts_with("this ") {
                let shown = shown.to_owned();
                found.push(Candidate { chunk: 0, quote, shown, score, value: None });
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

/// Whether a word is one of them, or ends with one: "Sublease", "Agreements", not "Letterhead".
fn names_a_document(word: &str) -> bool {
    let ends = |title: &&str| word.ends_with(title) || word.trim_end_matches('s').ends_with(title);
    TITLE_WORDS.iter().any(ends)
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_quoted_by_the_cell_that_holds_the_value() {
        let phrases = ["invoice no", "invoice number", "invoice", "your order"];
        let field = Field {
            phrases: phrases.map(String::from).into(),
            ..Field::new("number", "Which number?", FieldType::Text)
        };
        let read = |text: &str| -> Vec<(String, Option<String>)> {
            let cells = labelled_cells(text, &field).into_iter();
            cells.map(|cell| (text[cell.place].to_owned(), cell.value)).collect()
        };
        let pair = |cell: &str, value: &str| (cell.to_owned(), Some(value.to_owned()));
        assert_eq!(
            read(
                "Invoice No: NG-204    Date: 12 March 2021\tYour order: PO 7731\nBill to: Acorn Ltd"
            ),
            [pair("Invoice No: NG-204", "NG-204"), pair("Your order: PO 7731", "PO 7731")]
        );
        assert_eq!(
            read("Invoice number 2022-1183\nCustomer 40017"),
            [pair("Invoice number 2022-1183", "2022-1183")]
        );
        assert_eq!(
            read("Invoice no.\t4711\nCustomer\t12"),
            [pair("Invoice no.\t4711", "4711")],
            "a label by itself is of the cell beside it"
        );
        for text in [
            "The invoice is due within thirty days of its receipt by the\nbuyer of the goods.",
            "Please pay this invoice by wire to the account that is\nnamed below.",
            "Invoice no. 4711",
        ] {
            assert!(labelled_cells(text, &field).is_empty(), "{text}");
        }
    }

    #[test]
    fn of_a_list_of_amounts_the_line_is_quoted_that_a_phrase_stands_in() {
        let text = "Subtotal  £493.00\nVAT 20%  £98.60\nTotal due  £591.60";
        let field = Field {
            phrases: vec!["total".into(), "total due".into()],
            ..Field::new("total", "What is to be paid?", FieldType::Money)
        };
        let last = text.find("Total due").unwrap();
        assert_eq!(amount_lines(text, &field), [(last..text.len(), 2)]);
        assert!(amount_lines("The total due\nis £591.60.", &field).is_empty(), "it is a sentence");
    }

    #[test]
    fn a_date_in_a_line_of_its_own_is_found_where_a_letter_opens_and_where_it_is_signed() {
        let filler = "The tenant keeps all rooms clean at all times.\n".repeat(200);
        let text =
            format!("Nantes, 25.01.2021\n\nDear Sirs,\n{filler}2 March 2021\n{filler}4 May 2021\n");
        let chunk =
            Chunk { number: 1, text: text.clone(), pieces: Vec::new(), tokens: 0, repeated: 0 };
        let found = dated_lines(&[chunk], Some(DayOrder::DayFirst));
        let dates: Vec<&str> = found.iter().map(|one| &text[one.quote.clone()]).collect();
        assert_eq!(dates, ["25.01.2021", "4 May 2021"]);
        assert!(found[0].score > found[1].score && found[0].shown.contains("Dear Sirs,"));
    }

    #[test]
    fn the_number_of_a_clause_is_no_part_of_its_quote() {
        for (text, says) in [
            ("5.1 This lease ends.", "This lease ends."),
            ("12. This lease ends.", "This lease ends."),
            ("(a)  by notice;", "by notice;"),
            ("iv) by notice", "by notice"),
            ("30 days before its end", "30 days before its end"),
            ("2024 ends it", "2024 ends it"),
            ("A party may go.", "A party may go."),
            ("(the tenant) pays", "(the tenant) pays"),
            ("3.", "3."),
        ] {
            assert_eq!(&text[number_before(text)..], says);
        }
    }
}
