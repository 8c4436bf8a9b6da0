//! The answers of one document → one checked `Record`.

mod record;

pub use record::{
    Coverage, Evidence, FieldAnswer, HiddenText, MadeWith, PageCoverage, Point, Record,
    RecordSource, Summary, Tokens,
};
