//! Text or not, and of which kind. Which encoding it is in is the reader's question.

use crate::base::Format;

/// Headers that mail software writes and people do not: a memo with To, From and Date is a text.
const MAIL_HEADERS: [&str; 5] =
    ["received", "message-id", "mime-version", "return-path", "delivered-to"];

/// Names a file that has no magic bytes, by its first bytes.
pub(super) fn kind(head: &[u8], promised: Option<Format>) -> Format {
    let Some(text) = latin(head) else {
        return Format::Unknown;
    };
    let start = text.trim_start().get(..256).unwrap_or(text.trim_start()).to_lowercase();
    let is_page = ["<!doctype html", "<html", "<head>", "<body"];
    if is_page.iter().any(|tag| start.starts_with(tag))
        || (start.starts_with("<?xml") && start.contains("<html"))
    {
        return Format::Html;
    }
    if is_mail(&text, promised == Some(Format::Eml)) {
        return Format::Eml;
    }
    match promised {
        Some(format @ (Format::Csv | Format::Tsv | Format::Markdown)) => format,
        _ => Format::Text,
    }
}

/// The first bytes as letters, one for each unit: enough to see ASCII words. None where it is no text.
fn latin(head: &[u8]) -> Option<String> {
    let wide = |bytes: &[u8], low: usize| -> Option<String> {
        let units =
            bytes.chunks_exact(2).map(|pair| u16::from(pair[low]) | u16::from(pair[1 - low]) << 8);
        let text: String =
            char::decode_utf16(units).map(|unit| unit.unwrap_or('\u{fffd}')).collect();
        is_clean(text.chars().map(u32::from)).then_some(text)
    };
    if let Some(bytes) = head.strip_prefix(b"\xef\xbb\xbf") {
        return latin(bytes);
    }
    if let Some(bytes) = head.strip_prefix(b"\xff\xfe") {
        return wide(bytes, 0);
    }
    if let Some(bytes) = head.strip_prefix(b"\xfe\xff") {
        return wide(bytes, 1);
    }
    // UTF-16 without its mark: every other byte of Latin text is zero.
    let zeros = |odd: usize| head.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    if even + odd > 0 {
        let pairs = head.len() / 2;
        return match () {
            () if pairs >= 8 && odd * 10 >= pairs * 7 && even * 20 <= pairs => wide(head, 0),
            () if pairs >= 8 && even * 10 >= pairs * 7 && odd * 20 <= pairs => wide(head, 1),
            () => None,
        };
    }
    is_clean(head.iter().map(|byte| u32::from(*byte)))
        .then(|| head.iter().map(|byte| char::from(*byte)).collect())
}

/// At most one control character in a hundred, beside those that texts have (tab, line ends, form
/// feed, DOS's end of file, and the escape of old printers).
fn is_clean(units: impl Iterator<Item = u32>) -> bool {
    let (mut all, mut control) = (0usize, 0usize);
    for unit in units {
        all += 1;
        let usual = matches!(unit, 0x09 | 0x0a | 0x0c | 0x0d | 0x1a | 0x1b);
        control += usize::from((unit < 0x20 || unit == 0x7f || unit == 0xfffd) && !usual);
    }
    control * 100 <= all
}

/// Whether the text begins with the header block of a mail (RFC 5322 2.2).
fn is_mail(text: &str, promised: bool) -> bool {
    let mut lines = text.lines().peekable();
    if lines.peek().is_some_and(|line| line.starts_with("From ")) {
        lines.next(); // The separator of mbox files.
    }
    let (mut by_software, mut all) = (0, 0);
    for line in lines.take(200) {
        if line.is_empty() {
            break;
        }
        if line.starts_with([' ', '\t']) && all > 0 {
            continue; // A folded header.
        }
        let name = line.split_once(':').map_or("", |(name, _)| name);
        let shaped = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if name.is_empty() || !shaped {
            return false;
        }
        all += 1;
        by_software += usize::from(MAIL_HEADERS.contains(&name.to_lowercase().as_str()));
    }
    all >= 2 && (by_software >= 1 || promised)
}
