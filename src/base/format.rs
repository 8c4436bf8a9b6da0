//! The kinds of file that are known by content, read or not.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A file format, named by content in `intake` and read in `extract`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    Pdf,
    Docx,
    Xlsx,
    Xls,
    Ods,
    Csv,
    Tsv,
    Text,
    Markdown,
    Html,
    Eml,
    Odt,
    Rtf,
    Pptx,
    Xlsb,
    // Known by name, refused by name.
    Doc,
    Msg,
    Zip,
    Image,
    /// Nothing that this program knows.
    Unknown,
}

impl Format {
    /// The word used in records, task files and messages.
    pub fn word(self) -> &'static str {
        match self {
            Format::Pdf => "pdf",
            Format::Docx => "docx",
            Format::Xlsx => "xlsx",
            Format::Xls => "xls",
            Format::Ods => "ods",
            Format::Csv => "csv",
            Format::Tsv => "tsv",
            Format::Text => "text",
            Format::Markdown => "markdown",
            Format::Xlsb => "xlsb",
            Format::Doc => "doc",
            Format::Html => "html",
            Format::Eml => "eml",
            Format::Msg => "msg",
            Format::Pptx => "pptx",
            Format::Odt => "odt",
            Format::Rtf => "rtf",
            Format::Zip => "zip",
            Format::Image => "image",
            Format::Unknown => "unknown",
        }
    }

    /// The format that a word of a task file names.
    pub fn from_word(word: &str) -> Option<Format> {
        Format::READ.into_iter().find(|format| format.word() == word)
    }

    /// The formats that `extract` reads.
    pub const READ: [Format; 15] = [
        Format::Pdf,
        Format::Docx,
        Format::Xlsx,
        Format::Xls,
        Format::Ods,
        Format::Csv,
        Format::Tsv,
        Format::Text,
        Format::Markdown,
        Format::Html,
        Format::Eml,
        Format::Odt,
        Format::Rtf,
        Format::Pptx,
        Format::Xlsb,
    ];

    pub fn is_read(self) -> bool {
        Format::READ.contains(&self)
    }

    /// Whether pages are sheets of rows.
    pub fn is_table(self) -> bool {
        matches!(
            self,
            Format::Xlsx | Format::Xls | Format::Ods | Format::Xlsb | Format::Csv | Format::Tsv
        )
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
