//! Bytes → `Warned<Document>`. Pure: no paths, no processes; it runs inside the parsing child.

mod document;
mod layers;
mod page_builder;
mod pdf;

pub use document::{Block, Document, Hidden, Page, PageState, Remark, RemarkKind, Role};
pub use layers::OffsetMap;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::{Format, Limits, Warned};

/// Version of the rules that make text out of bytes. A change makes documents due again.
pub const TEXT_RULES: u32 = 1;

/// Why a document could not be read at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub kind: RefusalKind,
    /// What, where and the way out; a sentence without a final dot.
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// A password is needed.
    Encrypted,
    /// No reader for this format.
    Unsupported,
    /// Not what its format asks for, beyond repair.
    Damaged,
    /// A limit of `Limits` was reached.
    Limit,
    /// Nothing in it.
    Empty,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// What the reader needs to know beside the bytes.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Tried after the empty user password.
    pub password: Option<String>,
}

/// Reads `bytes` as `format`.
///
/// # Errors
/// A `Refusal` where nothing can be read; everything less is a warning.
pub fn extract(
    bytes: &[u8],
    format: Format,
    options: &Options,
    limits: &Limits,
) -> Result<Warned<Document>, Refusal> {
    if format == Format::Pdf {
        return pdf::read(bytes, options, limits);
    }
    Err(Refusal { kind: RefusalKind::Unsupported, message: format!("no reader for {format} yet") })
}
