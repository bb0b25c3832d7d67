//! Durations and sizes as h2load reads and writes them.

use std::time::Duration;

use crate::config::GoDuration;

/// Reads a duration: seconds, or Go's syntax.
///
/// # Errors
///
/// A sentence that says what is wrong.
pub(crate) fn lasting(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u32>() {
        return Ok(Duration::from_secs(seconds.into()));
    }
    let parsed = GoDuration::parse(text).map_err(|error| error.to_string())?;
    parsed
        .to_std()
        .ok_or_else(|| "it is less than nothing".to_owned())
}

/// Reads a number of bytes, which may end in `K`, `M` or `G`.
///
/// # Errors
///
/// A sentence that says what is wrong.
pub(crate) fn bytes(text: &str) -> Result<usize, String> {
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1 << 10),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 1 << 20),
        Some(b'g' | b'G') => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    let number: usize = digits
        .parse()
        .map_err(|_| "it is no number of bytes".to_owned())?;
    number
        .checked_mul(unit)
        .filter(|&bytes| bytes <= 1 << 30)
        .ok_or_else(|| "it is more than 1G".to_owned())
}

/// Nanoseconds as `131us`, `12.69ms` or `10.00s`.
pub(super) fn time(nanoseconds: f64) -> String {
    let microseconds = nanoseconds / 1e3;
    if microseconds >= 1e6 {
        format!("{:.2}s", microseconds / 1e6)
    } else if microseconds >= 1e3 {
        format!("{:.2}ms", microseconds / 1e3)
    } else {
        format!("{microseconds:.0}us")
    }
}

/// Bytes as `999`, `390.61K`, `24.11M`; the `B` is the caller's.
pub(super) fn size(bytes: f64) -> String {
    for (letter, unit) in [("G", 1u64 << 30), ("M", 1 << 20), ("K", 1 << 10)] {
        if bytes >= unit as f64 {
            return format!("{:.2}{letter}", bytes / unit as f64);
        }
    }
    format!("{bytes:.0}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_seconds_or_gos() {
        for (text, millis) in [("10", 10_000), ("250ms", 250), ("1m30s", 90_000)] {
            assert_eq!(lasting(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "x", "-1s", "10x"] {
            assert!(lasting(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_may_have_a_unit() {
        for (text, expected) in [("0", 0), ("1198", 1198), ("2K", 2048), ("1m", 1 << 20)] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for text in ["", "K", "-1", "2G", "99999999999999999999"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn figures_are_written_as_sofaload_writes_them() {
        for (nanoseconds, expected) in [
            (131_000.0, "131us"),
            (1_090_000.0, "1.09ms"),
            (12_690_400.0, "12.69ms"),
            (10_000_000_000.0, "10.00s"),
        ] {
            assert_eq!(time(nanoseconds), expected);
        }
        for (bytes, expected) in [
            (999.0, "999"),
            (399_980.0, "390.61K"),
            (25_278_736.0, "24.11M"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }
}
