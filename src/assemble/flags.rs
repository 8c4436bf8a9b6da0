//! What a reviewer should look at first. One word and one sentence for each flag that a field's
//! answer can carry; no other flag is ever written.

/// The quote has no place in the document, or there is none.
pub const NO_EVIDENCE: &str = "no_evidence";
/// The value cannot be read out of the quote that is said to support it.
pub const NOT_IN_QUOTE: &str = "not_in_quote";
/// The model's own words did not follow from its quote; the value was read out of the quote by code.
pub const VALUE_FROM_QUOTE: &str = "value_from_quote";
/// No date, duration or amount could be made of the words; the value is as written.
pub const NOT_NORMALIZED: &str = "not_normalized";
/// A date such as 03/04/2019, whose day and month cannot be told apart; the value is as written.
pub const AMBIGUOUS_DATE: &str = "ambiguous_date";
/// Other chunks of the document gave other values; they are kept under `competing`.
pub const COMPETING_VALUES: &str = "competing_values";
/// The model nearly decided otherwise on whether this is stated.
pub const LOW_MARGIN: &str = "low_margin";
/// The answer reached its limit of tokens and is a prefix.
pub const CUT_SHORT: &str = "cut_short";
/// A chunk of the document gave no answer to this question.
pub const NOT_ALL_ASKED: &str = "not_all_asked";
/// The page of the quote holds text that its reader does not see.
pub const HIDDEN_TEXT_NEARBY: &str = "hidden_text_nearby";
/// The page of the quote was recognized in a picture, and not surely.
pub const UNSURE_OCR: &str = "unsure_ocr";
/// A page of the document was not read, and the answer may stand there.
pub const PAGE_SKIPPED: &str = "page_skipped";

/// Every flag with what it tells a reviewer, in the order of urgency.
pub const ALL: [(&str, &str); 12] = [
    (NO_EVIDENCE, "no passage of the document supports the value"),
    (NOT_IN_QUOTE, "the value does not follow from the quote"),
    (COMPETING_VALUES, "other parts of the document gave other values"),
    (AMBIGUOUS_DATE, "day and month of the date cannot be told apart"),
    (CUT_SHORT, "the answer was cut at its limit of tokens"),
    (NOT_ALL_ASKED, "a part of the document gave no answer to this question"),
    (PAGE_SKIPPED, "a page of the document was not read"),
    (UNSURE_OCR, "the page of the quote was recognized in a picture, with low confidence"),
    (HIDDEN_TEXT_NEARBY, "the page of the quote holds hidden text"),
    (LOW_MARGIN, "the model nearly decided otherwise"),
    (VALUE_FROM_QUOTE, "the value was read out of the quote by code, against the model's words"),
    (NOT_NORMALIZED, "the value stands as written, not in a normal form"),
];

/// The most urgent first.
pub(super) fn sort(flags: &mut [String]) {
    flags.sort_by_key(|flag| ALL.iter().position(|(known, _)| known == flag));
}
