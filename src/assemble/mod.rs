//! The answers of one document → one checked `Record`. `run` drives it: `Work::new` gives the first
//! requests, `Work::accept` takes completions in any order and may give more (the reduce step of a
//! summary), and `Work::record` is the same whatever that order was.

mod coverage;
mod evidence;
mod extraction;
pub mod flags;
mod lexical;
mod normal;
mod record;
mod summary;
#[cfg(test)]
mod tests;
mod work;

pub use record::{
    Competing, Coverage, Evidence, FieldAnswer, HiddenText, LeftOut, MadeWith, PageCoverage, Point,
    Record, RecordSource, Remark, RemarkKind, Summary, Tokens,
};
pub use work::{Work, WorkSource, unread};
