//! The answers of one document → one checked `Record`. `run` drives it: `Work::new` gives the first
//! requests, `Work::accept` takes completions in any order and may give more (the reduce step of a
//! summary), and `Work::record` is the same whatever that order was.

mod candidates;
mod claims;
mod clauses;
mod columns;
mod coverage;
mod decimal;
mod evidence;
mod extraction;
mod fidelity;
pub mod flags;
mod inquiry;
mod lexical;
mod names;
mod normal;
mod places;
mod record;
mod rows;
mod score;
mod summary;
mod tables;
#[cfg(test)]
mod tests;
mod work;

pub use columns::lines as table_lines;
pub use inquiry::Inquiry;
pub use record::{
    Cell, ColumnFacts, Common, Competing, Coverage, Evidence, FactCheck, FieldAnswer, HiddenText,
    LeftOut, MadeWith, OcrFacts, PageCoverage, Point, Ranked, Record, RecordSource, Remark,
    RemarkKind, Rows, Summary, TableFacts, Tokens,
};
pub use rows::{RowsTally, rows_record, unasked};
pub use score::{LabelledRows, Labels, RowKey, Score, Scores, score};
pub use work::{Work, WorkSource, unread};
