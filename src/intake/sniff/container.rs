//! Containers named by the names in them: ZIP (APPNOTE 6.3.10) and OLE2 ([MS-CFB] 9.0). Both lists are
//! read within `SNIFF_DIRECTORY_BYTES`; nothing is inflated, and no name is followed.

use super::{Content, ReadAt};
use crate::base::Format;
use crate::base::limits::SNIFF_DIRECTORY_BYTES;

/// Names a ZIP by its entries.
pub(super) fn zip(head: &[u8], file: &dyn ReadAt, bytes: u64, promised: Option<Format>) -> Content {
    if let Some(format) = open_document(head) {
        return Content::plain(format);
    }
    let (names, whole) = match central_names(file, bytes) {
        Some(names) => (names, true),
        None => (local_names(head), false),
    };
    let has = |prefix: &[u8]| names.iter().any(|name| name.starts_with(prefix));
    let format = match () {
        () if has(b"word/") => Some(Format::Docx),
        () if has(b"xl/workbook.bin") => Some(Format::Xlsb),
        () if has(b"xl/") => Some(Format::Xlsx),
        () if has(b"ppt/") => Some(Format::Pptx),
        // Its media type is not where ODF wants it: the ending says of which kind it is.
        () if has(b"content.xml") && has(b"META-INF/manifest.xml") => {
            promised.filter(|promised| matches!(promised, Format::Odt | Format::Ods))
        }
        () => None,
    };
    let mut content = Content::plain(format.unwrap_or(Format::Zip));
    if !whole {
        // Cut off: its own names may lie beyond the cut, and then the ending is all there is.
        let of_zip = promised.filter(|promised| {
            matches!(promised, Format::Docx | Format::Xlsx | Format::Ods | Format::Xlsb)
        });
        content.format = format.or(of_zip).unwrap_or(Format::Zip);
        content.note = "the container's list of contents is missing: it looks cut off".to_owned();
    }
    content
}

/// The media type that ODF puts first and uncompressed (ODF 1.3 part 2, 3.3).
fn open_document(head: &[u8]) -> Option<Format> {
    const NAME: &[u8] = b"mimetypeapplication/vnd.oasis.opendocument.";
    let kind = head.get(30..)?.strip_prefix(NAME)?;
    if kind.starts_with(b"spreadsheet") {
        Some(Format::Ods)
    } else if kind.starts_with(b"text") {
        Some(Format::Odt)
    } else {
        None
    }
}

/// The names of the central directory; none where there is no such directory.
fn central_names(file: &dyn ReadAt, bytes: u64) -> Option<Vec<Vec<u8>>> {
    // The end record is 22 bytes and a comment of at most 65,535.
    let tail_bytes = bytes.min(22 + 65_535);
    let mut tail = vec![0; usize::try_from(tail_bytes).ok()?];
    file.read_exact_at(&mut tail, bytes - tail_bytes).ok()?;
    let end = tail.windows(4).rposition(|window| window == b"PK\x05\x06")?;
    let field = |at: usize| Some(u64::from(u32_le(&tail, end + at)?));
    let (length, offset) = (field(12)?, field(16)?);
    // ZIP64 sets these to all ones; such a file has more than a document's worth of entries, but the
    // directory still ends where the end records begin.
    let end_at = bytes - tail_bytes + end as u64;
    let start = if offset == u64::from(u32::MAX) { end_at.checked_sub(length)? } else { offset };
    let length = end_at.checked_sub(start)?.min(SNIFF_DIRECTORY_BYTES as u64);
    let mut directory = vec![0; usize::try_from(length).ok()?];
    file.read_exact_at(&mut directory, start).ok()?;

    let mut names = Vec::new();
    let mut rest = directory.as_slice();
    while rest.starts_with(b"PK\x01\x02") && rest.len() >= 46 {
        let length = |at: usize| usize::from(u16::from_le_bytes([rest[at], rest[at + 1]]));
        let (name, extra, comment) = (length(28), length(30), length(32));
        let Some(bytes) = rest.get(46..46 + name) else { break };
        names.push(bytes.to_vec());
        rest = rest.get(46 + name + extra + comment..).unwrap_or_default();
    }
    Some(names)
}

/// The names in local headers among the first bytes, for a container without its directory.
fn local_names(head: &[u8]) -> Vec<Vec<u8>> {
    let starts = head.windows(4).enumerate().filter(|(_, window)| *window == b"PK\x03\x04");
    starts
        .filter_map(|(at, _)| {
            let length =
                usize::from(u16::from_le_bytes([*head.get(at + 26)?, *head.get(at + 27)?]));
            head.get(at + 30..at + 30 + length).map(<[u8]>::to_vec)
        })
        .collect()
}

/// Names an OLE2 file by its streams.
pub(super) fn ole2(head: &[u8], file: &dyn ReadAt, promised: Option<Format>) -> Content {
    let names = stream_names(head, file).unwrap_or_default();
    let has = |name: &str| names.iter().any(|stream| stream == name);
    if has("EncryptedPackage") {
        // A whole OOXML file, encrypted: only the ending says of which kind.
        let inner = promised.filter(|format| {
            matches!(format, Format::Docx | Format::Xlsx | Format::Xlsb | Format::Pptx)
        });
        let format = inner.unwrap_or(Format::Docx);
        return Content { format, note: String::new(), encrypted: true };
    }
    Content::plain(if has("WordDocument") {
        Format::Doc
    } else if has("Workbook") || has("Book") {
        Format::Xls
    } else if names.iter().any(|name| name.starts_with("__properties_version1")) {
        Format::Msg
    } else if names.is_empty() && matches!(promised, Some(Format::Doc | Format::Xls | Format::Msg))
    {
        promised.unwrap_or(Format::Unknown) // Its directory is gone; the reader will say so.
    } else {
        Format::Unknown
    })
}

/// The names of all streams and storages, from the directory's chain of sectors.
fn stream_names(head: &[u8], file: &dyn ReadAt) -> Option<Vec<String>> {
    let shift = u16::from_le_bytes([*head.get(30)?, *head.get(31)?]);
    if !matches!(shift, 9 | 12) {
        return None;
    }
    let sector_bytes = 1usize << shift;
    let read = |sector: u32| -> Option<Vec<u8>> {
        let mut bytes = vec![0; sector_bytes];
        file.read_exact_at(&mut bytes, (u64::from(sector) + 1) << shift).ok()?;
        Some(bytes)
    };
    let mut sector = u32_le(head, 48)?;
    let mut names = Vec::new();
    for _ in 0..SNIFF_DIRECTORY_BYTES / sector_bytes {
        let Some(directory) = read(sector) else { break };
        for entry in directory.chunks_exact(128) {
            let length = usize::from(u16::from_le_bytes([entry[64], entry[65]]));
            if entry[66] == 0 || !(2..=64).contains(&length) {
                continue;
            }
            let pairs = entry[..length - 2].chunks_exact(2);
            let units: Vec<u16> =
                pairs.map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
            names.push(String::from_utf16_lossy(&units));
        }
        // The next sector stands in the FAT, whose first 109 sectors the header lists; a directory
        // that needs more of them is longer than what is looked at.
        let per_sector = sector_bytes / 4;
        let nth = sector as usize / per_sector;
        let next = (nth < 109)
            .then(|| read(u32_le(head, 76 + 4 * nth)?))
            .flatten()
            .and_then(|fat| u32_le(&fat, 4 * (sector as usize % per_sector)));
        match next {
            Some(next) if next < 0xffff_fff0 => sector = next,
            _ => break,
        }
    }
    Some(names)
}

fn u32_le(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}
