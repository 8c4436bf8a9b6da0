//! A record as a page for a person.
use crate::assemble::Record;
pub(super) fn page(record: &Record) -> String {
    let _ = record;
    String::new()
}
