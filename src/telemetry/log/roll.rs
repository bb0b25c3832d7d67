//! When a log file is rolled and what the old one is called: values only, no files.

use std::path::{Path, PathBuf};

use jiff::civil::DateTime;

/// When a log file is rolled, and what becomes of the old ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roller {
    /// At multiples of so many hours of local time. Old files are never removed.
    Time {
        /// 1 to 24 (default 24).
        hours: u32,
        /// How many numbered files of one period there may be (default 10).
        keep: u32,
    },
    /// When a file would exceed a size.
    Size {
        /// Largest size of a file (default 1000 MiB).
        bytes: u64,
        /// Days after which an old file is removed; 0 keeps them.
        age_days: u32,
        /// Old files kept; 0 keeps all.
        keep: u32,
        /// Whether old files are compressed.
        compress: Compress,
    },
}

impl Default for Roller {
    fn default() -> Self {
        Self::Time {
            hours: 24,
            keep: 10,
        }
    }
}

/// Whether rolled files are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compress {
    /// Left as they are.
    #[default]
    Off,
    /// Gzipped.
    On,
}

/// The number of the period that a local time lies in. Rolling is due when it changes.
pub(super) fn period(local_seconds: i64, hours: u32) -> i64 {
    local_seconds.div_euclid(period_seconds(hours))
}

/// Seconds from a local time to the end of its period.
pub(super) fn until_next(local_seconds: i64, hours: u32) -> u64 {
    let length = period_seconds(hours);
    (length - local_seconds.rem_euclid(length)).unsigned_abs()
}

fn period_seconds(hours: u32) -> i64 {
    i64::from(hours.clamp(1, 24)) * 3600
}

/// What a file is called that was begun at `local_seconds`; `None` when `keep` names are taken.
pub(super) fn dated(
    file: &Path,
    local_seconds: i64,
    hours: u32,
    keep: u32,
    taken: impl Fn(&Path) -> bool,
) -> Option<PathBuf> {
    let begun = civil(local_seconds);
    let date = match hours {
        24 => begun.strftime("%Y-%m-%d"),
        _ => begun.strftime("%Y-%m-%d_%H"),
    };
    let first = PathBuf::from(format!("{}.{date}", file.display()));
    let numbered = (1..=keep).map(|n| PathBuf::from(format!("{}.{n}", first.display())));
    std::iter::once(first.clone())
        .chain(numbered)
        .find(|name| !taken(name))
}

/// What a file is called that grew too large at a local time: `mosn-2026-01-31T10-00-00.000.log`.
pub(super) fn stamped(file: &Path, local_seconds: i64, millis: u32) -> PathBuf {
    let (head, tail) = affixes(file);
    let at = civil(local_seconds).strftime("%Y-%m-%dT%H-%M-%S");
    file.with_file_name(format!("{head}{at}.{millis:03}{tail}"))
}

/// Whether `name` is one that [`stamped`] has given to an earlier `file`, compressed or not.
pub(super) fn is_stamped(file: &Path, name: &str) -> bool {
    let (head, tail) = affixes(file);
    let plain = name.strip_suffix(".gz").unwrap_or(name);
    plain
        .strip_prefix(&head)
        .and_then(|rest| rest.strip_suffix(&tail))
        .is_some_and(|stamp| DateTime::strptime("%Y-%m-%dT%H-%M-%S%.3f", stamp).is_ok())
}

fn affixes(file: &Path) -> (String, String) {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let tail = file
        .extension()
        .map(|extension| format!(".{}", extension.to_string_lossy()));
    (format!("{stem}-"), tail.unwrap_or_default())
}

fn civil(local_seconds: i64) -> DateTime {
    jiff::Timestamp::from_second(local_seconds)
        .unwrap_or_default()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .datetime()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2023-11-14 22:13:20
    const AT: i64 = 1_700_000_000;

    #[test]
    fn periods_are_multiples_of_local_hours() {
        assert_eq!(until_next(AT, 24), 3600 + 46 * 60 + 40);
        assert_eq!(until_next(AT, 1), 46 * 60 + 40);
        assert_eq!(period(AT + 3600 + 46 * 60 + 39, 24), period(AT, 24));
        assert_eq!(period(AT + 3600 + 46 * 60 + 40, 24), period(AT, 24) + 1);
    }

    #[test]
    fn a_day_is_named_by_date_and_hours_by_hour() {
        let file = Path::new("/l/mosn.log");
        let name = |hours| dated(file, AT, hours, 10, |_| false);
        assert_eq!(name(24), Some("/l/mosn.log.2023-11-14".into()));
        assert_eq!(name(2), Some("/l/mosn.log.2023-11-14_22".into()));
    }

    #[test]
    fn a_taken_name_is_numbered_up_to_keep() {
        let file = Path::new("/l/mosn.log");
        let second = dated(file, AT, 24, 2, |name| {
            name == Path::new("/l/mosn.log.2023-11-14")
        });
        assert_eq!(second, Some("/l/mosn.log.2023-11-14.1".into()));
        assert_eq!(dated(file, AT, 24, 2, |_| true), None);
    }

    #[test]
    fn a_full_file_is_named_before_its_extension() {
        let name = |file: &str| stamped(Path::new(file), AT, 7);
        assert_eq!(
            name("/l/mosn.log"),
            Path::new("/l/mosn-2023-11-14T22-13-20.007.log")
        );
        assert_eq!(
            name("/l/errors"),
            Path::new("/l/errors-2023-11-14T22-13-20.007")
        );
    }

    #[test]
    fn only_names_of_rolled_files_are_taken_for_rolled_files() {
        let rolled = |name| is_stamped(Path::new("/l/mosn.log"), name);
        assert!(rolled("mosn-2023-11-14T22-13-20.007.log"));
        assert!(rolled("mosn-2023-11-14T22-13-20.007.log.gz"));
        assert!(!rolled("mosn-access.log"));
        assert!(!rolled("mosn.log"));
        assert!(!rolled("mosn-2023-11-14T22-13-20.007.txt"));
    }
}
