//! One entry as one line of canonical JSON, and back. Knows bytes and types; not what may follow what.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::event::{Event, RESERVED};
use crate::base::Digest;
use crate::base::limits::LOG_LINE_BYTES_MAX;

/// Version of the format that this program writes and reads.
pub const VERSION: u64 = 1;

/// Integers stay exact in every JSON reader (RFC 8259 section 6).
const INTEGER_MAX: i64 = (1 << 53) - 1;

/// Objects and lists within one another, the entry itself counted.
const DEPTH_MAX: usize = 8;

/// 16 random bytes, as 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Random(String);

/// Which run of the program wrote an entry.
pub type RunId = Random;

impl Random {
    pub fn from_bytes(bytes: [u8; 16]) -> Random {
        Random(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Random {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Random, D::Error> {
        let text = String::deserialize(deserializer)?;
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == 32 && text.bytes().all(hex) {
            Ok(Random(text))
        } else {
            Err(D::Error::custom("32 lower-case hexadecimal digits expected"))
        }
    }
}

/// What every entry says, and the event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// `VERSION`.
    pub v: u64,
    /// Place in the log, from 0; the leaf's index in the tree.
    pub seq: u64,
    /// Leaf of the entry before.
    pub prev: Digest,
    /// RFC 3339, UTC, milliseconds: always 24 characters, so that order of text is order of time.
    pub ts: String,
    /// Milliseconds since the writing process began; never runs backwards within a run.
    pub mono_ms: u64,
    pub run: RunId,
    pub salt: Random,
    #[serde(flatten)]
    pub event: Event,
}

/// Why a line is no entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineError {
    /// Not a JSON object in UTF-8: what a torn write leaves.
    Unreadable(String),
    /// A JSON object, but not in the one form that the format allows.
    NotCanonical(String),
    /// Canonical, but a field is missing or of the wrong type, or the kind is unknown.
    Fields(String),
}

impl Entry {
    /// The line, without the line end.
    pub fn to_line(&self) -> Result<Vec<u8>, LineError> {
        let value = serde_json::to_value(self).map_err(|e| LineError::Fields(e.to_string()))?;
        canonical(&value)
    }

    /// Reads a line (without the line end). Fields that this version does not know are allowed: they
    /// are under the hash like all others.
    pub fn from_line(line: &[u8]) -> Result<Entry, LineError> {
        let unreadable = |e: &dyn fmt::Display| LineError::Unreadable(e.to_string());
        if line.len() > LOG_LINE_BYTES_MAX {
            return Err(LineError::NotCanonical(format!("longer than {LOG_LINE_BYTES_MAX} bytes")));
        }
        let text = std::str::from_utf8(line).map_err(|e| unreadable(&e))?;
        let map: Map<String, Value> = serde_json::from_str(text).map_err(|e| unreadable(&e))?;
        let value = Value::Object(map);
        if canonical(&value)? != line {
            return Err(LineError::NotCanonical("keys, spaces, numbers or escapes differ".into()));
        }
        let entry = Entry::deserialize(&value).map_err(|e| LineError::Fields(e.to_string()))?;
        if entry.event == Event::Reserved {
            let word = value.get("event").and_then(Value::as_str).unwrap_or("");
            if !RESERVED.contains(&word) {
                return Err(LineError::Fields(format!("no kind of entry is called {word:?}")));
            }
        } else if !is_plain(&value) {
            // serde takes lists for structs and numbers for names; the format does not.
            let understood =
                serde_json::to_value(&entry).map_err(|e| LineError::Fields(e.to_string()))?;
            if !covers(&value, &understood) {
                return Err(LineError::Fields("a field has the wrong type".into()));
            }
        }
        if entry.v != VERSION {
            return Err(LineError::Fields(format!("version {} (known: {VERSION})", entry.v)));
        }
        if !is_time(&entry.ts) {
            return Err(LineError::Fields(format!("ts {:?} is not a time", entry.ts)));
        }
        Ok(entry)
    }
}

/// The canonical bytes: compact, keys ASCII and sorted by byte, integers within 2^53 - 1, no null, no
/// booleans. A subset of RFC 8785.
fn canonical(value: &Value) -> Result<Vec<u8>, LineError> {
    let mut out = Vec::with_capacity(512);
    write(value, 1, &mut out).map_err(|why| LineError::NotCanonical(why.into()))?;
    Ok(out)
}

fn write(value: &Value, depth: usize, out: &mut Vec<u8>) -> Result<(), &'static str> {
    if depth > DEPTH_MAX {
        return Err("nested too deep");
    }
    match value {
        Value::Null | Value::Bool(_) => return Err("null, true and false are not used"),
        Value::Number(number) => {
            let integer = number.as_i64().ok_or("a number is not an integer, or too large")?;
            if !(-INTEGER_MAX..=INTEGER_MAX).contains(&integer) {
                return Err("a number is larger than 2^53 - 1");
            }
            out.extend_from_slice(integer.to_string().as_bytes());
        }
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(item, depth + 1, out)?;
            }
            out.push(b']');
        }
        Value::Object(map) => {
            let mut pairs: Vec<_> = map.iter().collect();
            pairs.sort_unstable_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
            out.push(b'{');
            for (index, (key, item)) in pairs.into_iter().enumerate() {
                if !key.is_ascii() {
                    return Err("a key is not ASCII");
                }
                if index > 0 {
                    out.push(b',');
                }
                write_string(key, out);
                out.push(b':');
                write(item, depth + 1, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

/// RFC 8785 section 3.2.2.2: only quote, backslash and the controls below U+0020 are escaped.
fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x09 => out.extend_from_slice(b"\\t"),
            0x0a => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            0x0d => out.extend_from_slice(b"\\r"),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Whether nothing in the entry can be taken for something else: strings, integers, and lists of objects of
/// these. Most entries are so, and need not be written again to be compared.
fn is_plain(entry: &Value) -> bool {
    let is_scalar = |value: &Value| value.is_string() || value.is_i64();
    let of_scalars = |value: &Value| match value {
        Value::Object(map) => map.values().all(is_scalar),
        _ => false,
    };
    let Value::Object(map) = entry else { return false };
    map.get("event").is_some_and(Value::is_string)
        && map.values().all(|value| match value {
            Value::Array(items) => items.iter().all(of_scalars),
            value => is_scalar(value),
        })
}

/// Whether everything in `part` stands in `whole` alike; objects of `whole` may hold more.
fn covers(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part
            .iter()
            .all(|(key, item)| whole.get(key).is_some_and(|of_whole| covers(of_whole, item))),
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(a, b)| covers(a, b))
        }
        (whole, part) => whole == part,
    }
}

/// `2026-01-31T23:59:59.999Z`, with month 1 to 12 and day 1 to 31.
pub(super) fn is_time(text: &str) -> bool {
    const SHAPE: &[u8; 24] = b"dddd-dd-ddTdd:dd:dd.dddZ";
    let bytes = text.as_bytes();
    let shaped = bytes.len() == SHAPE.len()
        && bytes.iter().zip(SHAPE).all(|(&byte, &shape)| match shape {
            b'd' => byte.is_ascii_digit(),
            _ => byte == shape,
        });
    let two = |at: usize| (bytes[at] - b'0') * 10 + (bytes[at + 1] - b'0');
    shaped
        && (1..=12).contains(&two(5))
        && (1..=31).contains(&two(8))
        && two(11) < 24
        && two(14) < 60
        && two(17) < 60
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line with `fields` in place of the last ones.
    fn line(fields: &str) -> String {
        let zeros = "0".repeat(32);
        format!(
            "{{\"before\":\"\",\"event\":\"clock_step\",\"mono_ms\":1,\"prev\":\"{zeros}{zeros}\",\
             \"run\":\"{zeros}\",\"salt\":\"{zeros}\",\"seq\":1,{fields}}}"
        )
    }

    const TIME: &str = "\"ts\":\"2026-01-31T23:59:59.999Z\"";

    fn read(fields: &str) -> Result<Entry, LineError> {
        Entry::from_line(line(fields).as_bytes())
    }

    #[test]
    fn a_line_reads_back_and_unknown_fields_are_let_through() {
        let known = format!("{TIME},\"v\":1");
        let entry = read(&known).unwrap();
        assert_eq!(entry.to_line().unwrap(), line(&known).into_bytes());
        assert_eq!(read(&format!("{known},\"zz\":[-1,\"ü\\u0007\\n\"]")).unwrap(), entry);
    }

    #[test]
    fn one_entry_has_one_form() {
        let not_canonical = |fields: &str| {
            let result = read(fields);
            assert!(matches!(result, Err(LineError::NotCanonical(_))), "{fields}: {result:?}");
        };
        for end in [
            "\"v\": 1",
            "\"v\":1.0",
            "\"v\":1,\"v\":1",
            "\"v\":1,\"a\":1",
            "\"v\":1,\"z\":-0",
            "\"v\":1,\"z\":9007199254740992",
            "\"v\":1,\"z\":null",
            "\"v\":1,\"z\":true",
            "\"v\":1,\"z\":\"\\u0041\"",
            "\"v\":1,\"z\":\"\\/\"",
            "\"v\":1,\"z\":\"\\u000A\"",
            "\"v\":1,\"ü\":1",
            "\"v\":1,\"z\":[[[[[[[[1]]]]]]]]",
        ] {
            not_canonical(&format!("{TIME},{end}"));
        }
        not_canonical(&format!("\"v\":1,{TIME}"));
        not_canonical(&format!("{TIME},\"v\":1,\"z\":\"{}\"", "x".repeat(LOG_LINE_BYTES_MAX)));
    }

    #[test]
    fn what_is_no_object_is_unreadable_and_what_lacks_fields_says_so() {
        for text in ["", "[]", "{", "{}x", "1", "{\"v\":1e999}"] {
            let result = Entry::from_line(text.as_bytes());
            assert!(matches!(result, Err(LineError::Unreadable(_))), "{text}: {result:?}");
        }
        assert!(matches!(Entry::from_line(b"{\"v\":\"\xff\"}"), Err(LineError::Unreadable(_))));
        let shown =
            ["2026-13-01T00:00:00.000Z", "2026-01-01T00:00:00Z", "2026-01-01 00:00:00.000Z"];
        for end in shown.map(|ts| format!("\"ts\":\"{ts}\",\"v\":1")).into_iter().chain([
            format!("{TIME},\"v\":2"),
            format!("{TIME},\"v\":\"1\""),
            TIME.to_string(),
        ]) {
            assert!(matches!(read(&end), Err(LineError::Fields(_))), "{end}");
        }
    }
}
