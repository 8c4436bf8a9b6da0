//! Documents inside a document (attachments of a mail, imported parts of a DOCX): named by their content,
//! read by the same readers, appended as pages of the document that holds them or as a part of one of its
//! pages. One that cannot be read is a skipped page, or a warning.

use super::container::Container;
use super::document::Remark;
use super::parts::{Part, Parts, Piece};
use super::{Options, RefusalKind, extract, way_out};
use crate::base::{Format, Limits, Warned, Warning};

/// What attachments may still cost.
pub(super) struct Allowance {
    /// Documents that may still be opened, over all depths.
    pub(super) count: usize,
    /// Bytes of attachments that may still be opened: a container inside a container multiplies.
    pub(super) bytes: u64,
}

impl Allowance {
    pub(super) fn new(limits: &Limits) -> Allowance {
        Allowance { count: limits.attachments_max, bytes: limits.zip_total_bytes_max }
    }
}

/// Reads `bytes`, attached under `name`, and appends its pages to `parts`. `depth` says how many
/// documents it lies in.
pub(super) fn read(
    (name, mime): (&str, &str),
    bytes: &[u8],
    options: &Options,
    limits: &Limits,
    (depth, allowance): (usize, &mut Allowance),
    parts: &mut Parts<'_>,
) {
    let label = format!("attachment {name}");
    let skipped = |parts: &mut Parts<'_>, why: &str| {
        parts.skipped(&label, format!("attachment \"{name}\" is not read: {why}"));
    };
    if depth > limits.attachment_depth_max {
        let why = format!("it lies deeper than {} in one another", limits.attachment_depth_max);
        return skipped(parts, &why);
    }
    if allowance.count == 0 || allowance.bytes < bytes.len() as u64 {
        return skipped(parts, "the document holds too many attachments");
    }
    allowance.count -= 1;
    allowance.bytes -= bytes.len() as u64;
    let format = format_of(name, mime, bytes, limits);
    if !format.is_read() {
        return skipped(parts, &way_out(format));
    }
    // What the document inside may cost is what is left of this one's.
    let rest = Limits {
        pages_max: limits.pages_max.saturating_sub(parts.pages.len()).max(1),
        attachment_depth_max: limits.attachment_depth_max.saturating_sub(depth),
        attachments_max: allowance.count,
        zip_total_bytes_max: allowance.bytes,
        ..limits.clone()
    };
    let before = parts.pages.len() as u32;
    match extract(bytes, format, &options.inside(before), &rest) {
        Ok(Warned { output, warnings }) => {
            if !parts.has_room() {
                return skipped(parts, "the document has too many pages");
            }
            for mut page in output.pages {
                page.number += before;
                page.label = match page.label == (page.number - before).to_string() {
                    true => format!("{label}, page {}", page.label),
                    false => format!("{label}, {}", page.label),
                };
                parts.pages.push(page);
            }
            let remarks = output.remarks.into_iter();
            parts.remarks.extend(remarks.map(|r| Remark { page: r.page + before, ..r }));
            parts.warnings.extend(warnings.into_iter().map(|warning| Warning {
                page: Some(warning.page.unwrap_or(1) + before),
                message: format!("attachment \"{name}\": {}", warning.message),
            }));
        }
        Err(refusal) if refusal.kind == RefusalKind::Empty => {
            parts.warnings.push(Warning::document(format!("attachment \"{name}\": {refusal}")));
        }
        Err(refusal) => skipped(parts, &refusal.message),
    }
}

/// Reads `bytes`, called `name`, as a part of a page of the document that it lies in; what was said of it
/// is said of that document.
pub(super) fn part(
    name: &str,
    bytes: &[u8],
    options: &Options,
    limits: &Limits,
    allowance: &mut Allowance,
) -> (Option<Part>, Vec<Warning>) {
    let mut inside = Parts::new(limits);
    read((name, ""), bytes, options, limits, (1, allowance), &mut inside);
    let mut part = Part { remarks: inside.remarks, ..Part::default() };
    for page in inside.pages {
        for block in &page.blocks {
            let text = page.verbatim_of(block);
            let label = block.label.clone();
            part.pieces.push(Piece { role: block.role, text: text.to_owned(), label });
        }
        part.hidden.extend(page.hidden);
    }
    for remark in &mut part.remarks {
        remark.block = None;
    }
    let is_read = !part.pieces.is_empty() || !part.hidden.is_empty();
    let warnings = inside.warnings.into_iter().map(|warning| Warning::document(warning.message));
    (is_read.then_some(part), warnings.collect())
}

/// The format of attached bytes: by their content, by name and media type only where that cannot tell.
fn format_of(name: &str, mime: &str, bytes: &[u8], limits: &Limits) -> Format {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending).to_lowercase();
    let start = &bytes[..bytes.len().min(1024)];
    let holds = |mark: &[u8]| start.windows(mark.len()).any(|window| window == mark);
    if holds(b"%PDF-") {
        return Format::Pdf;
    }
    if bytes.starts_with(b"PK\x03\x04") {
        return format_of_zip(bytes, limits);
    }
    if bytes.starts_with(b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1") {
        let holds = |name: &str| {
            let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
            bytes.windows(name.len()).any(|window| window == name)
        };
        return match () {
            // The reader of DOCX says of what is encrypted that it is.
            () if holds("EncryptedPackage") => Format::Docx,
            () if holds("WordDocument") => Format::Doc,
            () if holds("Workbook") || holds("Book") => Format::Xls,
            () if holds("__properties_version1") => Format::Msg,
            () => Format::Unknown,
        };
    }
    if bytes.starts_with(b"{\\rtf") {
        return Format::Rtf;
    }
    if mime.starts_with("image/") {
        return Format::Image;
    }
    let start = String::from_utf8_lossy(start).trim_start().to_lowercase();
    let is_page = ["<!doctype html", "<html", "<head", "<body"];
    match (ending.as_str(), mime) {
        ("htm" | "html" | "xhtml", _) | (_, "text/html") => Format::Html,
        _ if is_page.iter().any(|tag| start.starts_with(tag)) => Format::Html,
        // A page saved with its pictures is a mail without letter head (RFC 2557).
        ("eml" | "mht" | "mhtml", _) | (_, "message/rfc822" | "message/global") => Format::Eml,
        ("csv", _) | (_, "text/csv") => Format::Csv,
        ("tsv" | "tab", _) | (_, "text/tab-separated-values") => Format::Tsv,
        ("md" | "markdown", _) | (_, "text/markdown") => Format::Markdown,
        ("txt" | "text" | "log", _) => Format::Text,
        (_, mime) if mime.starts_with("text/") => Format::Text,
        _ => Format::Unknown,
    }
}

fn format_of_zip(bytes: &[u8], limits: &Limits) -> Format {
    let Ok(mut container) = Container::open(bytes, limits) else { return Format::Zip };
    let mimetype = container.read("mimetype").ok().flatten().unwrap_or_default();
    let mimetype = String::from_utf8_lossy(&mimetype);
    match mimetype.strip_prefix("application/vnd.oasis.opendocument.") {
        Some(kind) if kind.starts_with("text") => Format::Odt,
        Some(kind) if kind.starts_with("spreadsheet") => Format::Ods,
        _ if container.has("word/") => Format::Docx,
        _ if container.has("xl/workbook.bin") => Format::Xlsb,
        _ if container.has("xl/") => Format::Xlsx,
        _ if container.has("ppt/") => Format::Pptx,
        _ => Format::Zip,
    }
}
