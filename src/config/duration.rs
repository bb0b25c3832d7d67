//! Durations in Go's syntax: `1h30m`, `1.5s`, `250ms`.

use std::fmt;
use std::time::Duration;

use super::raw::quote;

/// A signed number of nanoseconds, as Go's `time.Duration`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration(i64);

/// Why a text is no duration; worded as in Go.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not numbers with units, or beyond what 64 bits of nanoseconds hold (292 years).
    #[error("invalid duration {}", quote(.0))]
    Invalid(String),
    /// A number without a unit.
    #[error("missing unit in duration {}", quote(.0))]
    MissingUnit(String),
    /// A unit that Go does not know.
    #[error("unknown unit {} in duration {}", quote(.unit), quote(.text))]
    UnknownUnit {
        /// The unit as written.
        unit: String,
        /// The whole text.
        text: String,
    },
}

impl GoDuration {
    /// Reads an optional sign and one or more decimal numbers with units, or a bare `0`.
    ///
    /// # Errors
    ///
    /// [`DurationError`], where Go has one.
    pub fn parse(text: &str) -> Result<Self, DurationError> {
        let invalid = || DurationError::Invalid(text.to_owned());
        let (negative, mut rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        if rest == "0" {
            return Ok(Self(0));
        }
        if rest.is_empty() {
            return Err(invalid());
        }
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let number = Number::take(&mut rest).ok_or_else(invalid)?;
            let end = rest
                .find(|c: char| c == '.' || c.is_ascii_digit())
                .unwrap_or(rest.len());
            let (unit, after) = rest.split_at(end);
            rest = after;
            if unit.is_empty() {
                return Err(DurationError::MissingUnit(text.to_owned()));
            }
            let scale = scale(unit).ok_or_else(|| DurationError::UnknownUnit {
                unit: unit.to_owned(),
                text: text.to_owned(),
            })?;
            let part = number.times(scale).ok_or_else(invalid)?;
            total = total.checked_add(part).ok_or_else(invalid)?;
        }
        let total = i128::from(total) * if negative { -1 } else { 1 };
        i64::try_from(total).map(Self).map_err(|_| invalid())
    }

    /// The duration, unless it is negative.
    #[must_use]
    pub fn to_std(self) -> Option<Duration> {
        u64::try_from(self.0).ok().map(Duration::from_nanos)
    }

    /// Whether it is zero, which means the default in many places.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }
}

/// Digits, a point, digits; either side may be empty, not both.
struct Number<'a> {
    whole: &'a str,
    fraction: &'a str,
}

impl<'a> Number<'a> {
    fn take(rest: &mut &'a str) -> Option<Self> {
        let whole = take_digits(rest);
        let fraction = match rest.strip_prefix('.') {
            Some(after) => {
                *rest = after;
                take_digits(rest)
            }
            None => "",
        };
        let some = !whole.is_empty() || !fraction.is_empty();
        some.then_some(Self { whole, fraction })
    }

    fn times(&self, scale: u64) -> Option<u64> {
        let digits = |text: &str| match text {
            "" => Some(0),
            digits => digits.parse::<u64>().ok(),
        };
        // Digits beyond a nanosecond's share of an hour change nothing.
        let fraction = &self.fraction[..self.fraction.len().min(18)];
        let power = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
        let part = u128::from(digits(fraction)?) * u128::from(scale) / power;
        digits(self.whole)?
            .checked_mul(scale)?
            .checked_add(u64::try_from(part).ok()?)
    }
}

fn take_digits<'a>(rest: &mut &'a str) -> &'a str {
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (digits, after) = rest.split_at(end);
    *rest = after;
    digits
}

fn scale(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// As Go prints it: `1h30m0s`, `1.5s`, `250ms`, `0s`.
impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.unsigned_abs();
        if self.0 < 0 {
            f.write_str("-")?;
        }
        match nanos {
            0 => f.write_str("0s"),
            1..1_000 => write!(f, "{nanos}ns"),
            1_000..1_000_000 => write!(f, "{}µs", Decimal(nanos, 1_000)),
            1_000_000..1_000_000_000 => write!(f, "{}ms", Decimal(nanos, 1_000_000)),
            _ => {
                let (minutes, rest) = (nanos / 60_000_000_000, nanos % 60_000_000_000);
                if minutes >= 60 {
                    write!(f, "{}h", minutes / 60)?;
                }
                if minutes > 0 {
                    write!(f, "{}m", minutes % 60)?;
                }
                write!(f, "{}s", Decimal(rest, 1_000_000_000))
            }
        }
    }
}

impl From<Duration> for GoDuration {
    /// Saturates at 292 years.
    fn from(duration: Duration) -> Self {
        Self(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    }
}

/// A quotient with as many decimals as it needs.
struct Decimal(u64, u64);

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, unit) = *self;
        write!(f, "{}", number / unit)?;
        let rest = number % unit;
        if rest == 0 {
            return Ok(());
        }
        let width = unit.ilog10() as usize;
        let decimals = format!("{rest:0width$}");
        write!(f, ".{}", decimals.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_read_and_print_as_in_go() {
        for (text, nanos, printed) in [
            ("0", 0, "0s"),
            ("-0", 0, "0s"),
            ("0s", 0, "0s"),
            ("5ns", 5, "5ns"),
            ("1.5us", 1_500, "1.5µs"),
            ("2µs", 2_000, "2µs"),
            ("2μs", 2_000, "2µs"),
            ("250ms", 250_000_000, "250ms"),
            (".5s", 500_000_000, "500ms"),
            ("1.s", 1_000_000_000, "1s"),
            ("+90s", 90_000_000_000, "1m30s"),
            ("1h30m", 5_400_000_000_000, "1h30m0s"),
            ("-2s", -2_000_000_000, "-2s"),
            ("1h1ns", 3_600_000_000_001, "1h0m0.000000001s"),
            (
                "9223372036854775807ns",
                i64::MAX,
                "2562047h47m16.854775807s",
            ),
            (
                "-9223372036854775808ns",
                i64::MIN,
                "-2562047h47m16.854775808s",
            ),
            ("0.0000000000000000000001h", 0, "0s"),
        ] {
            assert_eq!(GoDuration::parse(text), Ok(GoDuration(nanos)), "{text}");
            assert_eq!(GoDuration(nanos).to_string(), printed);
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_in_go_words() {
        for (text, message) in [
            ("", "invalid duration \"\""),
            ("5", "missing unit in duration \"5\""),
            ("1.5", "missing unit in duration \"1.5\""),
            ("s", "invalid duration \"s\""),
            ("-", "invalid duration \"-\""),
            (".s", "invalid duration \".s\""),
            ("null", "invalid duration \"null\""),
            ("1 s", "unknown unit \" s\" in duration \"1 s\""),
            ("1d", "unknown unit \"d\" in duration \"1d\""),
            ("1S", "unknown unit \"S\" in duration \"1S\""),
            ("1e3s", "unknown unit \"e\" in duration \"1e3s\""),
            (
                "9223372036854775808ns",
                "invalid duration \"9223372036854775808ns\"",
            ),
            (
                "99999999999999999999h",
                "invalid duration \"99999999999999999999h\"",
            ),
            ("2562048h", "invalid duration \"2562048h\""),
        ] {
            assert_eq!(GoDuration::parse(text).unwrap_err().to_string(), message);
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(nanos: i64) {
            let duration = GoDuration(nanos);
            prop_assert_eq!(GoDuration::parse(&duration.to_string()), Ok(duration));
        }

        #[test]
        fn no_text_panics(text in "[-+.0-9a-zµ]{0,12}") {
            let _ = GoDuration::parse(&text);
        }
    }
}
