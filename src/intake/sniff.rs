//! A file's format by its content; by its ending only where content cannot tell (CSV, Markdown).
//!
//! Looks at the first bytes and at the name lists of ZIP and OLE2 containers, within bounds, and
//! inflates nothing: but for members of archives it runs outside the parsing child.

mod container;
mod text;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::base::Format;

/// What a file is, and what to say about it.
#[derive(Debug, PartialEq, Eq)]
pub struct Named {
    pub format: Format,
    /// Where name and content disagree; else empty.
    pub note: String,
    /// Why a file of this kind is not read, and the way out.
    pub refusal: Option<String>,
}

/// What can be read from anywhere: a file, or a member of an archive.
pub(super) trait ReadAt {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

impl ReadAt for File {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, buffer, offset)
    }
}

impl ReadAt for &[u8] {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let from = usize::try_from(offset).ok().and_then(|from| self.get(from..));
        let bytes = from.and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// Names the format of a file of `bytes` bytes that begins with `head`.
pub(super) fn name(path: &str, head: &[u8], file: &dyn ReadAt, bytes: u64) -> Named {
    let ending = ending(path);
    let promised = promised(&ending);
    if bytes == 0 {
        let format = promised.unwrap_or(Format::Unknown);
        let refusal = Some("the file is empty: 0 bytes".to_owned());
        return Named { format, note: String::new(), refusal };
    }
    let Content { format, mut note, encrypted } = by_content(head, file, bytes, promised);
    let family = |format| match format {
        // Text of any kind keeps what its ending promises.
        Format::Csv | Format::Tsv | Format::Markdown => Format::Text,
        other => other,
    };
    if note.is_empty()
        && let Some(promised) = promised
        && family(promised) != family(format)
    {
        note = match format {
            Format::Unknown => format!("named .{ending}, but nothing in it is {promised}"),
            _ => format!("named .{ending}, but its content is {format}: taken as {format}"),
        };
    }
    let refusal = if encrypted {
        Some(format!(
            "{format} encrypted with a password, which is not read yet: save it without one"
        ))
    } else {
        (!format.is_read()).then(|| unread(format, &ending, &note))
    };
    Named { format, note, refusal }
}

/// The lower-case ending, without the dot.
fn ending(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map_or(String::new(), |(_, ending)| ending.to_lowercase())
}

/// What an ending promises.
fn promised(ending: &str) -> Option<Format> {
    Some(match ending {
        "pdf" => Format::Pdf,
        "docx" | "docm" | "dotx" | "dotm" => Format::Docx,
        "xlsx" | "xlsm" | "xltx" | "xltm" => Format::Xlsx,
        "xls" | "xlt" => Format::Xls,
        "ods" | "ots" => Format::Ods,
        "csv" => Format::Csv,
        "tsv" | "tab" => Format::Tsv,
        "txt" | "text" | "log" => Format::Text,
        "md" | "markdown" => Format::Markdown,
        "xlsb" => Format::Xlsb,
        "doc" | "dot" => Format::Doc,
        "htm" | "html" | "xhtml" => Format::Html,
        "eml" => Format::Eml,
        "msg" => Format::Msg,
        "pptx" | "pptm" | "ppsx" => Format::Pptx,
        "odt" | "ott" => Format::Odt,
        "rtf" => Format::Rtf,
        "zip" => Format::Zip,
        "png" | "jpg" | "jpeg" | "gif" | "tif" | "tiff" | "bmp" | "webp" | "heic" => Format::Image,
        _ => return None,
    })
}

/// What content says.
struct Content {
    format: Format,
    note: String,
    encrypted: bool,
}

impl Content {
    fn plain(format: Format) -> Content {
        Content { format, note: String::new(), encrypted: false }
    }
}

fn by_content(head: &[u8], file: &dyn ReadAt, bytes: u64, promised: Option<Format>) -> Content {
    // ISO 32000-1, implementation note 13: readers take the header anywhere in the first 1024 bytes.
    let start = &head[..head.len().min(1024)];
    if start.windows(5).any(|window| window == b"%PDF-") {
        return Content::plain(Format::Pdf);
    }
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return container::zip(head, file, bytes, promised);
    }
    if head.starts_with(&[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1]) {
        return container::ole2(head, file, promised);
    }
    if head.starts_with(b"{\\rtf") {
        return Content::plain(Format::Rtf);
    }
    if is_image(head) {
        return Content::plain(Format::Image);
    }
    Content::plain(text::kind(head, promised))
}

fn is_image(head: &[u8]) -> bool {
    const MAGIC: [&[u8]; 7] = [
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        b"GIF87a",
        b"GIF89a",
        b"II*\0",
        b"MM\0*",
        b"\0\0\x01\0\x01\0",
    ];
    let boxed = |at: usize, words: &[&[u8]]| words.iter().any(|word| head[at..].starts_with(word));
    MAGIC.iter().any(|magic| head.starts_with(magic))
        || (head.len() >= 12 && head.starts_with(b"RIFF") && boxed(8, &[b"WEBP"]))
        || (head.len() >= 12 && boxed(4, &[b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypavif"]))
        // BMP: size of the info header (Windows: 40, 108, 124) at byte 14; "BM" alone begins texts.
        || (head.len() >= 18 && head.starts_with(b"BM") && boxed(14, &[b"(\0\0\0", b"l\0\0\0", b"|\0\0\0"]))
}

/// Why a format is refused, by name, and what to do.
fn unread(format: Format, ending: &str, note: &str) -> String {
    let way_out = match format {
        Format::Doc => "save it as DOCX or PDF",
        Format::Msg => "save it as EML or PDF, and its attachments beside it",
        Format::Zip if ending != "zip" => {
            return format!(
                "a ZIP container of a kind that is not read (.{ending}): make it a PDF"
            );
        }
        Format::Zip => "set `archives = true` in its job, or unpack it into the folder",
        Format::Image => "make it a PDF with a text layer",
        _ if note.is_empty() => return "its content is no format that is known".to_owned(),
        _ => return format!("its content is no format that is known ({note})"),
    };
    format!("{format} is not read yet: {way_out}")
}

#[cfg(test)]
mod tests;
