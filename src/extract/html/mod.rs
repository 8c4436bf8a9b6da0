//! HTML → `Document`: what a browser shows as blocks of text, and what it does not show kept apart. No
//! layout and no scripts: what they or a linked style sheet would change is not seen here.

mod story;
mod style;
mod tree;

use std::collections::BTreeMap;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::document::Document;
use super::parts::{Part, Parts};
use super::{Options, Refusal, RefusalKind, View, encoding};
use crate::base::{Format, Limits, Warned, Warning};
use tree::Tree;

/// Bytes of a page's beginning in which it may name its encoding (WHATWG HTML 13.2.3.2).
const PRESCAN_BYTES: usize = 1024;

/// Reads an HTML page.
pub(super) fn read(
    bytes: &[u8],
    options: &Options,
    limits: &Limits,
) -> Result<Warned<Document>, Refusal> {
    let (text, name, warning) = decode(bytes, None)?;
    let page = page(&text, options.view, limits);
    let mut parts = Parts::new(limits);
    parts.warnings.extend(warning);
    parts.push("page", page.part, false);
    if parts.is_blank() {
        return Err(Refusal::new(RefusalKind::Empty, "the page has no text and no picture"));
    }
    let mut properties = page.properties;
    properties.insert("encoding".to_owned(), name.to_owned());
    let Parts { pages, remarks, warnings, .. } = parts;
    let document = Document { format: Format::Html, pages, properties, remarks };
    Ok(Warned { output: document, warnings })
}

/// A page as read.
pub(super) struct Page {
    pub(super) part: Part,
    /// Title and author.
    pub(super) properties: BTreeMap<String, String>,
}

pub(super) fn page(text: &str, view: View, limits: &Limits) -> Page {
    let tree = Tree::of(text, limits);
    story::read(&tree, view, limits)
}

/// The text of a page and the name of its encoding: by byte-order mark, by what was said on the way
/// (`charset`), by the page's own word, else as any text file.
pub(super) fn decode(
    bytes: &[u8],
    charset: Option<&str>,
) -> Result<(String, &'static str, Option<Warning>), Refusal> {
    let stated = charset.and_then(|label| Encoding::for_label(label.as_bytes()));
    let stated = match Encoding::for_bom(bytes) {
        Some(_) => None,
        None => stated.or_else(|| stated_in(bytes)),
    };
    let Some(encoding) = stated else {
        let decoded = encoding::decode(bytes)?;
        return Ok((decoded.text, decoded.encoding.name(), decoded.warning));
    };
    let (text, lost) = encoding.decode_without_bom_handling(bytes);
    let warning = lost.then(|| {
        let lost = text.matches('\u{FFFD}').count();
        Warning::document(format!("{lost} characters are not valid {}", encoding.name()))
    });
    Ok((text.into_owned(), encoding.name(), warning))
}

/// The encoding that a page names in a `<meta>` (or XML declaration) among its first bytes.
fn stated_in(bytes: &[u8]) -> Option<&'static Encoding> {
    let start = &bytes[..bytes.len().min(PRESCAN_BYTES)];
    let start: String = start.iter().map(|b| char::from(*b).to_ascii_lowercase()).collect();
    let declared = start.strip_prefix("<?xml").and_then(|rest| {
        let inside = rest.split_once("?>")?.0;
        Some(inside.split_once("encoding")?.1)
    });
    let meta = || {
        let metas = start.match_indices("<meta").map(|(at, _)| &start[at..]);
        let mut metas = metas.filter_map(|meta| meta.split('>').next()?.split_once("charset"));
        Some(metas.next()?.1)
    };
    let value = declared.or_else(meta)?.trim_start().strip_prefix('=')?;
    let value = value.trim_start_matches([' ', '"', '\'']);
    let end = value.find(|c: char| !(c.is_ascii_alphanumeric() || "-_:.+".contains(c)));
    let encoding = Encoding::for_label(&value.as_bytes()[..end.unwrap_or(value.len())])?;
    // What was read byte by byte to find this is no UTF-16.
    let is_wide = encoding == UTF_16LE || encoding == UTF_16BE;
    Some(if is_wide { UTF_8 } else { encoding })
}
