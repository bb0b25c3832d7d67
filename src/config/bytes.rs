//! Byte sizes: `10MB`, `64k`.

use super::raw::quote;

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ByteSize(u64);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is not a byte size", quote(.0))]
pub(crate) struct ByteSizeError(String);

impl ByteSize {
    /// Reads digits and a unit in any letter case; units are powers of 1,024.
    pub(crate) fn parse(text: &str) -> Result<Self, ByteSizeError> {
        let error = || ByteSizeError(text.to_owned());
        let end = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (digits, unit) = text.split_at(end);
        let unit = unit.trim();
        // MOSN takes every other spelling of these.
        if matches!(unit, "Kb" | "Mb" | "Gb" | "Tb" | "Pb" | "Eb") {
            return Err(error());
        }
        let power = match unit.to_ascii_lowercase().as_str() {
            "" | "b" | "byte" | "bytes" => 0,
            "k" | "kb" | "kilo" | "kilobyte" | "kilobytes" => 1,
            "m" | "mb" | "mega" | "megabyte" | "megabytes" => 2,
            "g" | "gb" | "giga" | "gigabyte" | "gigabytes" => 3,
            "t" | "tb" | "tera" | "terabyte" | "terabytes" => 4,
            "p" | "pb" | "peta" | "petabyte" | "petabytes" => 5,
            "e" | "eb" | "exa" | "exabyte" | "exabytes" => 6,
            _ => return Err(error()),
        };
        let number: u64 = digits.parse().map_err(|_| error())?;
        number
            .checked_mul(1 << (10 * power))
            .map(Self)
            .ok_or_else(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_in_mosn() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("12b", Some(12)),
            ("10MB", Some(10 << 20)),
            ("1kilobytes", Some(1 << 10)),
            ("3g", Some(3 << 30)),
            ("1Mb", None),
            ("", None),
            ("MB", None),
            ("1.5k", None),
            ("-1k", None),
            ("16eb", None),
        ] {
            assert_eq!(ByteSize::parse(text).ok(), bytes.map(ByteSize), "{text}");
        }
    }
}
