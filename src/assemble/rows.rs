//! A table whose rows are documents of their own: what is counted of the rows as they are answered, and the
//! record of the whole. The rows' own answers stand in the table.

use super::flags;
use super::record::{
    Coverage, FieldAnswer, HiddenText, MadeWith, PageCoverage, Record, Rows, Tokens,
};
use super::work::{WorkSource, record_source};
use crate::base::{Digest, Outcome, Warned};
use crate::extract::Survey;

/// What is known of the first rows of a table. Carried from run to run, so it holds sums and digests only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowsTally {
    pub rows: u64,
    /// Rows with a question that has no whole answer.
    pub partial: u64,
    /// Rows with a flag at any field.
    pub flagged: u64,
    pub tokens_read: u64,
    pub tokens_sent: u64,
    pub tokens: Tokens,
    /// Over the digests of the rows' texts, and of their transcripts: of the one before and the row's.
    pub text: Digest,
    pub transcript: Digest,
}

impl Default for RowsTally {
    fn default() -> RowsTally {
        let nothing = Digest([0; 32]);
        RowsTally {
            rows: 0,
            partial: 0,
            flagged: 0,
            tokens_read: 0,
            tokens_sent: 0,
            tokens: Tokens::default(),
            text: nothing,
            transcript: nothing,
        }
    }
}

impl RowsTally {
    /// Counts the next row: its record, if it has one, and the digest of its text.
    pub fn take(&mut self, record: Option<&Record>, text: &Digest) {
        let chained = |before: &Digest, next: &Digest| {
            Digest::of_parts([before.0.as_slice(), next.0.as_slice()])
        };
        let transcript = record.and_then(|record| record.made_with.transcript);
        self.rows += 1;
        self.text = chained(&self.text, text);
        self.transcript = chained(&self.transcript, &transcript.unwrap_or(Digest([0; 32])));
        let whole = |record: &Record| matches!(record.outcome, Outcome::Done | Outcome::Refused);
        self.partial += u64::from(!record.is_some_and(whole));
        let Some(record) = record else {
            self.flagged += 1;
            return;
        };
        self.flagged += u64::from(record.fields.values().any(is_flagged));
        self.tokens_read += record.coverage.tokens_read;
        self.tokens_sent += record.coverage.tokens_sent;
        self.tokens.prompt += record.tokens.prompt;
        self.tokens.answer += record.tokens.answer;
    }
}

fn is_flagged(answer: &serde_json::Value) -> bool {
    answer["flags"].as_array().is_some_and(|flags| !flags.is_empty())
}

/// The answer of a row that the model could not be asked about.
pub fn unasked() -> FieldAnswer {
    FieldAnswer {
        value: serde_json::Value::Null,
        raw: None,
        evidence: Vec::new(),
        margin: None,
        flags: vec![flags::NOT_ALL_ASKED.to_owned()],
        competing: Vec::new(),
    }
}

/// The record of a table all of whose rows were counted; `table` is where they stand, below the output
/// folder.
pub fn rows_record(
    source: &WorkSource,
    survey: &Warned<Survey>,
    tally: &RowsTally,
    table: String,
    made_with: MadeWith,
) -> Record {
    let found = &survey.output;
    let mut reasons: Vec<String> =
        found.unread.iter().map(|(name, why)| format!("sheet \"{name}\": {why}")).collect();
    if tally.partial > 0 {
        reasons.push(format!(
            "{} of {} rows have a question without a whole answer; their flags say which",
            tally.partial, tally.rows
        ));
    }
    let page =
        |page: usize, label: &str, state: &str, reason: &str, characters, hidden| PageCoverage {
            page: page as u32 + 1,
            label: label.to_owned(),
            state: state.to_owned(),
            reason: reason.to_owned(),
            characters,
            unmapped: 0,
            picture_percent: 0,
            hidden,
            origin: String::new(),
            unread_picture: false,
            confidence: None,
        };
    let read = found.sheets.iter().enumerate().map(|(at, sheet)| {
        page(at, &sheet.name, "read", "", sheet.characters, sheet.hidden.len() as u32)
    });
    let unread = found
        .unread
        .iter()
        .enumerate()
        .map(|(at, (name, why))| page(found.sheets.len() + at, name, "skipped", why, 0, 0));
    let hidden = found.sheets.iter().enumerate().flat_map(|(at, sheet)| {
        sheet.hidden.iter().map(move |hidden| HiddenText {
            page: at as u32 + 1,
            why: hidden.why.clone(),
            text: hidden.text.clone(),
        })
    });
    Record {
        source: record_source(source, (found.sheets.len() + found.unread.len()) as u32),
        outcome: if reasons.is_empty() { Outcome::Done } else { Outcome::Partial },
        reason: reasons.join("; "),
        coverage: Coverage {
            pages: read.chain(unread).collect(),
            chunks: u32::try_from(tally.rows).unwrap_or(u32::MAX),
            tokens_read: tally.tokens_read,
            tokens_sent: tally.tokens_sent,
            ranked: Vec::new(),
            left_out: Vec::new(),
        },
        summary: None,
        rows: Some(Rows {
            count: tally.rows,
            partial: tally.partial,
            flagged: tally.flagged,
            table,
        }),
        fields: serde_json::Map::new(),
        warnings: survey.warnings.clone(),
        hidden: hidden.collect(),
        remarks: Vec::new(),
        made_with: MadeWith { transcript: Some(tally.transcript), ..made_with },
        tokens: tally.tokens,
    }
}
