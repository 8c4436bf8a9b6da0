//! Sizes ("6GiB") and durations ("2m") as people write them.

use std::time::Duration;

const SIZES: [(&str, u64); 8] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

const DURATIONS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// The bytes that a text like "256MiB" or "1.5 GiB" names.
pub fn bytes(text: &str) -> Option<u64> {
    scaled(text, &SIZES)
}

/// The duration that a text like "90s", "2m" or "1.5h" names.
pub fn duration(text: &str) -> Option<Duration> {
    scaled(text, &DURATIONS).map(Duration::from_millis)
}

/// A decimal number with at most three places, times the unit after it. Exact or none: no float.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = (&text[..end], text[end..].trim_start());
    let scale = units.iter().find(|(name, _)| *name == unit)?.1;
    let (whole, places) = number.split_once('.').unwrap_or((number, ""));
    if places.len() > 3 || (number.contains('.') && places.is_empty()) {
        return None;
    }
    let thousandths: u64 =
        if places.is_empty() { 0 } else { format!("{places:0<3}").parse().ok()? };
    let fraction = scale.checked_mul(thousandths)? / 1000;
    whole.parse::<u64>().ok()?.checked_mul(scale)?.checked_add(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_read_as_people_write_them() {
        assert_eq!(bytes("6GiB"), Some(6 << 30));
        assert_eq!(bytes("1.5 MiB"), Some(3 << 19));
        assert_eq!(bytes("300 MB"), Some(300_000_000));
        assert_eq!(duration("2m"), Some(Duration::from_secs(120)));
        assert_eq!(duration("1.5h"), Some(Duration::from_secs(5400)));
        assert_eq!(duration("0s"), Some(Duration::ZERO));
    }

    #[test]
    fn what_is_not_a_number_and_a_known_unit_is_none() {
        for text in ["", "6", "GiB", "6 gib", "-1s", "1.s", "1.2345s", "99999999999TiB", "1h30m"] {
            assert_eq!((bytes(text), duration(text)), (None, None), "{text:?}");
        }
    }
}
