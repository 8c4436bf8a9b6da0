//! The answers of one document → one checked `Record`. `run` drives it: `Work::new` gives the first
//! requests, `Work::accept` takes completions in any order and may give more (the reduce step of a
//! summary), and `Work::record` is the same whatever that order was.

mod candidates;
mod clauses;
mod coverage;
mod evidence;
mod extraction;
pub mod flags;
mod lexical;
mod names;
mod normal;
mod record;
mod score;
mod summary;
#[cfg(test)]
mod tests;
mod work;

pub use record::{
    Competing, Coverage, Evidence, FieldAnswer, HiddenText, LeftOut, MadeWith, PageCoverage, Point,
    Ranked, Record, RecordSource, Remark, RemarkKind, Summary, Tokens,
};
pub use score::{Labels, Score, score};
pub use work::{Work, WorkSource, unread};
