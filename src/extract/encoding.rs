//! Bytes → text: byte-order marks, UTF-8, UTF-16, and a guess where nothing says which.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::Refusal;
use crate::base::Warning;

/// Bytes that are looked at to tell UTF-16 and binary files from text.
const SNIFF_BYTES: usize = 64 * 1024;

/// A decoded text and how it was decoded.
#[derive(Debug)]
pub(super) struct Decoded {
    /// Without byte-order mark; line ends are `\n`.
    pub(super) text: String,
    pub(super) encoding: &'static Encoding,
    /// What a person should know: a guess, or bytes that fit no character.
    pub(super) warning: Option<Warning>,
}

/// Decodes a text file.
///
/// Byte-order mark, else valid UTF-8, else UTF-16 by its zero bytes, else chardetng's guess.
///
/// # Errors
/// `Damaged` where the bytes are no text in any encoding.
pub(super) fn decode(bytes: &[u8]) -> Result<Decoded, Refusal> {
    if let Some((encoding, bom)) = Encoding::for_bom(bytes) {
        return Ok(finish(&bytes[bom..], encoding, false));
    }
    if let Some(encoding) = utf16_by_zeros(bytes) {
        return Ok(finish(bytes, encoding, true));
    }
    if looks_binary(bytes) {
        return Err(Refusal::damaged(
            "binary content under the name of a text file; give it the ending of what it is",
        ));
    }
    if std::str::from_utf8(bytes).is_ok() {
        return Ok(finish(bytes, UTF_8, false));
    }
    let mut detector = chardetng::EncodingDetector::new(chardetng::Iso2022JpDetection::Allow);
    detector.feed(bytes, true);
    let guess = detector.guess(None, chardetng::Utf8Detection::Allow);
    // Valid UTF-8 was excluded above. A cut-off or slightly damaged UTF-8 file stays one.
    let encoding = match guess {
        guess if guess == UTF_8 && !mostly_utf8(bytes) => WINDOWS_1252,
        guess => guess,
    };
    Ok(finish(bytes, encoding, true))
}

fn finish(bytes: &[u8], encoding: &'static Encoding, guessed: bool) -> Decoded {
    let (text, _) = encoding.decode_without_bom_handling(bytes);
    let lost = text.matches('\u{FFFD}').count();
    let message = match (guessed, lost) {
        (false, 0) => None,
        (true, 0) => Some(format!("the encoding was guessed to be {}", encoding.name())),
        (false, lost) => Some(format!("{lost} characters are not valid {}", encoding.name())),
        (true, lost) => Some(format!(
            "the encoding was guessed to be {}; {lost} characters fit it badly",
            encoding.name()
        )),
    };
    let text = if text.contains('\r') {
        text.replace("\r\n", "\n").replace('\r', "\n")
    } else {
        text.into_owned()
    };
    Decoded { text, encoding, warning: message.map(Warning::document) }
}

/// UTF-16 of mostly Latin text has zeros at every second byte, all on one side.
fn utf16_by_zeros(bytes: &[u8]) -> Option<&'static Encoding> {
    let sample = &bytes[..bytes.len().min(SNIFF_BYTES) & !1];
    let pairs = sample.len() / 2;
    let zeros = |side: usize| sample.iter().skip(side).step_by(2).filter(|&&b| b == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    if pairs >= 2 && odd * 2 > pairs && even * 20 < pairs {
        Some(UTF_16LE)
    } else if pairs >= 2 && even * 2 > pairs && odd * 20 < pairs {
        Some(UTF_16BE)
    } else {
        None
    }
}

/// A zero byte, or more than a hundredth of control characters that no text holds.
fn looks_binary(bytes: &[u8]) -> bool {
    let sample = &bytes[..bytes.len().min(SNIFF_BYTES)];
    let known = |b: u8| matches!(b, b'\t' | b'\n' | b'\r' | 0x0C | 0x1A | 0x1B | 0x20..);
    let control = sample.iter().filter(|&&b| !known(b)).count();
    sample.contains(&0) || control * 100 > sample.len()
}

fn mostly_utf8(bytes: &[u8]) -> bool {
    let high = bytes.iter().filter(|&&b| b >= 0x80).count();
    let lost = String::from_utf8_lossy(bytes).matches('\u{FFFD}').count();
    lost * 10 < high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_told_apart() {
        let plain = "Grüße aus Köln, 5 €\r\nund zurück";
        let utf16: Vec<u8> = plain.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let utf16_be: Vec<u8> = plain.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let windows = WINDOWS_1252.encode(plain).0.into_owned();
        for (bytes, name, warned) in [
            (plain.as_bytes().to_vec(), "UTF-8", false),
            ([b"\xEF\xBB\xBF", plain.as_bytes()].concat(), "UTF-8", false),
            ([b"\xFF\xFE".to_vec(), utf16.clone()].concat(), "UTF-16LE", false),
            (utf16, "UTF-16LE", true),
            (utf16_be, "UTF-16BE", true),
            (windows, "windows-1252", true),
        ] {
            let decoded = decode(&bytes).expect("text");
            assert_eq!(decoded.text, "Grüße aus Köln, 5 €\nund zurück", "{name}");
            assert_eq!(decoded.encoding.name(), name);
            assert_eq!(decoded.warning.is_some(), warned, "{name}");
        }
    }

    #[test]
    fn a_picture_is_no_text() {
        assert!(decode(b"\x89PNG\r\n\x1A\n\0\0\0\rIHDR").is_err());
        assert!(decode(b"PK\x03\x04\x14\0\x06\0").is_err());
    }
}
