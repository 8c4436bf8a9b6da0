//! A place in a document's verbatim layer.

use serde::{Deserialize, Serialize};

/// UTF-8 bytes `start..end` of the verbatim text of one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    /// Counted from 1. A sheet of a workbook and a part of a DOCX count as pages.
    pub page: u32,
    pub start: u32,
    pub end: u32,
}
