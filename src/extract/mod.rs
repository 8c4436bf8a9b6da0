//! Bytes → `Warned<Document>`. Pure: no paths, no processes; it runs inside the parsing child.

mod archive;
mod attachment;
mod biff;
mod biff_facts;
mod cell_formats;
mod clauses;
mod compound;
mod container;
mod csv;
mod document;
mod docx;
mod eml;
mod encoding;
mod formula;
mod functions;
mod hidden_lines;
mod html;
mod labels;
mod layers;
mod number_format;
mod ods;
mod odt;
mod page_builder;
mod pages;
mod parts;
mod pdf;
mod pptx;
mod print;
mod redline;
mod rows;
mod rtf;
mod shared_formula;
mod sheet;
mod sheet_facts;
mod table;
mod text;
mod xml;

pub use archive::{Archive, Entry};
pub use document::{
    Block, Document, Hidden, Page, PageFacts, PageState, Remark, RemarkKind, Role, TextOrigin,
};
pub use layers::OffsetMap;
pub use print::Layer;
pub use rows::{
    Mark, Piece, RecordStart, Row, Seekable, SheetSurvey, Survey, piece, row_document, survey,
};

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::{Format, Limits, Warned};

/// Version of the rules that make text out of bytes. A change makes documents due again.
///
/// 2: cells of ODS and XLS files as they are displayed, and hidden rows and columns of XLS kept apart.
/// 3: clause numbers below levels that were passed over; imported parts (`w:altChunk`) of DOCX read.
/// 4: hidden text, forms, ruled tables, columns, accents and right-to-left text of PDF; hyphens of the typesetter.
/// 5: footnotes of PDF after the text of their page; vertical columns as paragraphs; characters of composite
///    fonts that Adobe's collections know; no space for a line end between Chinese or Japanese characters.
/// 6: ligatures of PDF as their letters, tall signs and fractions in their line, footnotes above the page number.
/// 7: of PDF no space behind a lowered quotation mark, Arabic figures as they run, words that text recognition spread,
///    footnotes with raised marks after the text.
pub const TEXT_RULES: u32 = 8;

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

impl Refusal {
    fn new(kind: RefusalKind, message: impl Into<String>) -> Refusal {
        Refusal { kind, message: message.into() }
    }

    fn damaged(message: impl Into<String>) -> Refusal {
        Refusal::new(RefusalKind::Damaged, message)
    }

    fn limit(message: impl Into<String>) -> Refusal {
        Refusal::new(RefusalKind::Limit, message)
    }
}

/// What text recognition found on a page of which `picture` gave the picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recognized {
    /// Counted from 1.
    pub page: u32,
    /// Tesseract's table (TSV): a row for each word, with its place in the picture and its confidence.
    pub table: String,
}

/// What the reader needs to know beside the bytes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Options {
    /// Tried after the empty user password.
    pub password: Option<String>,
    /// Which side of a document's tracked changes is its text.
    pub view: View,
    /// Pages that are only pictures, as text recognition read them.
    pub recognized: Vec<Recognized>,
    /// The page of which the picture is wanted too; see `picture`.
    #[serde(skip)]
    pub picture_of: Option<u32>,
}

impl Options {
    /// What they are to a document that is attached to another, after whose first `before` pages its own
    /// follow.
    fn inside(&self, before: u32) -> Options {
        let within = |page: u32| page.checked_sub(before).filter(|&page| page > 0);
        let recognized = self.recognized.iter().filter_map(|found| {
            Some(Recognized { page: within(found.page)?, table: found.table.clone() })
        });
        Options {
            password: self.password.clone(),
            view: self.view,
            recognized: recognized.collect(),
            picture_of: self.picture_of.and_then(within),
        }
    }
}

/// How tracked changes are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// As if every change had been accepted: what the model reads.
    #[default]
    Accepted,
    /// As if every change had been rejected.
    Original,
    /// Both, each change marked with its author and date.
    Redline,
}

/// The picture of page `page` of the document, or of a PDF attached to it, for text recognition: a binary grey
/// map (PGM, `P5`).
///
/// # Errors
/// A `Refusal` where there is no such page, or it is none of a PDF.
pub fn picture(
    bytes: &[u8],
    format: Format,
    page: u32,
    options: &Options,
    limits: &Limits,
) -> Result<Vec<u8>, Refusal> {
    if format == Format::Pdf
        && let Some(picture) = pdf::picture(bytes, page, options)?
    {
        return Ok(picture);
    }
    // It is attached: the way to it leads through the whole document.
    let options = Options { picture_of: Some(page), ..options.clone() };
    let document = extract(bytes, format, &options, limits)?.output;
    let mut pages = document.pages.into_iter();
    let picture = pages.find(|found| found.number == page).and_then(|page| page.picture);
    picture.ok_or_else(|| Refusal::damaged(format!("page {page} is none of a PDF, or not there")))
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
    if bytes.len() as u64 > limits.input_bytes_max {
        return Err(Refusal::limit(format!(
            "{} bytes, more than the {} that are read; split the file",
            bytes.len(),
            limits.input_bytes_max
        )));
    }
    if bytes.is_empty() {
        return Err(Refusal::new(RefusalKind::Empty, "the file is empty"));
    }
    let mut read = read_as(bytes, format, options, limits)?;
    clauses::assign(&mut read.output);
    Ok(read)
}

fn read_as(
    bytes: &[u8],
    format: Format,
    options: &Options,
    limits: &Limits,
) -> Result<Warned<Document>, Refusal> {
    match format {
        Format::Pdf => pdf::read(bytes, options, limits),
        Format::Docx => docx::read(bytes, options, limits),
        Format::Xlsx | Format::Xlsb | Format::Xls | Format::Ods => {
            sheet::read(bytes, format, limits)
        }
        Format::Csv | Format::Tsv => csv::read(bytes, format, limits),
        Format::Eml => eml::read(bytes, options, limits),
        Format::Odt => odt::read(bytes, options, limits),
        Format::Rtf => rtf::read(bytes, options, limits),
        Format::Pptx => pptx::read(bytes, limits),
        Format::Html => html::read(bytes, options, limits),
        Format::Text | Format::Markdown => text::read(bytes, format, limits),
        other => Err(Refusal::new(RefusalKind::Unsupported, way_out(other))),
    }
}

/// Why a format is not read, and what a person can do about it.
fn way_out(format: Format) -> String {
    let advice = match format {
        Format::Doc => "save it as DOCX",
        Format::Msg => "save it as EML, or its text and its attachments as files of their own",
        Format::Zip => "unpack it into the input folder",
        Format::Image => "run a text recognition over it and save the result as PDF",
        _ => "convert it to PDF, DOCX, XLSX, CSV or text",
    };
    match format {
        Format::Unknown => format!("not a format that is known here; {advice}"),
        format => format!("no reader for {format} yet; {advice}"),
    }
}
