//! Local time as text, computed once a second.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Seconds since the epoch as a clock on the wall would count them in `zone`.
pub(super) fn local_seconds(zone: &TimeZone, since_epoch: Duration) -> i64 {
    let seconds = i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX);
    let offset = Timestamp::from_second(seconds).map_or(0, |at| zone.to_offset(at).seconds());
    seconds.saturating_add(i64::from(offset))
}

/// Time since the epoch; zero on a clock that stands before it.
pub(super) fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// The current second as text. Asking the zone and dividing a date costs ten times as much as
/// copying 19 bytes.
#[derive(Debug)]
pub(super) struct Clock {
    /// The log whose zone this text is in.
    owner: u64,
    second: u64,
    /// `2026-01-31 10:00:00`
    text: String,
    /// `+02:00`
    offset: String,
}

impl Clock {
    pub(super) const fn new() -> Self {
        Self {
            owner: 0,
            second: u64::MAX,
            text: String::new(),
            offset: String::new(),
        }
    }

    /// Date and time, and the offset from UTC, of `since_epoch` in `zone`, which is the zone of
    /// the log `owner`.
    pub(super) fn read(
        &mut self,
        owner: u64,
        zone: &TimeZone,
        since_epoch: Duration,
    ) -> (&str, &str) {
        let second = since_epoch.as_secs();
        if self.second != second || self.owner != owner {
            let at = Timestamp::from_second(i64::try_from(second).unwrap_or(0))
                .unwrap_or_default()
                .to_zoned(zone.clone());
            self.text = at.strftime("%Y-%m-%d %H:%M:%S").to_string();
            self.offset = at.strftime("%:z").to_string();
            (self.owner, self.second) = (owner, second);
        }
        (&self.text, &self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_local_and_changes_with_the_second() {
        let zone = TimeZone::fixed(jiff::tz::offset(8));
        let mut clock = Clock::new();

        let first = clock.read(1, &zone, Duration::from_millis(1_700_000_000_999));
        assert_eq!(first, ("2023-11-15 06:13:20", "+08:00"));
        let next = clock.read(1, &zone, Duration::from_secs(1_700_000_001));
        assert_eq!(next, ("2023-11-15 06:13:21", "+08:00"));
    }

    #[test]
    fn two_logs_on_one_thread_keep_their_zones() {
        let mut clock = Clock::new();
        let at = Duration::from_secs(1_700_000_000);
        let east = TimeZone::fixed(jiff::tz::offset(8));

        assert_eq!(clock.read(1, &east, at).0, "2023-11-15 06:13:20");
        assert_eq!(
            clock.read(2, &TimeZone::UTC, at),
            ("2023-11-14 22:13:20", "+00:00")
        );
    }
}
