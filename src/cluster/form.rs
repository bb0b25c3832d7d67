//! How well a host did lately, and since when it is at work.

use std::sync::LazyLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// A point in time that fits in a word, so that workers can share it. The default one is before
/// all others, and stands for "never".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// The moment of an instant. What was before the first one that was ever asked for counts as
    /// that one.
    #[must_use]
    pub fn of(instant: Instant) -> Self {
        static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);
        let since = instant.saturating_duration_since(*FIRST).as_nanos();
        Self(u64::try_from(since).unwrap_or(u64::MAX).max(1))
    }

    /// From `earlier` to this; none when that is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// So much later.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

/// How a request went at a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// It was answered with a status below 400.
    Good,
    /// With one from 400 to 499.
    ClientError,
    /// With one from 500 on, or not at all.
    ServerError,
}

impl Grade {
    /// What a status says.
    #[must_use]
    pub fn of(status: u16) -> Self {
        match status {
            500.. => Self::ServerError,
            400.. => Self::ClientError,
            _ => Self::Good,
        }
    }
}

/// How well a host did lately. Shared as [`Load`](super::Load) is, of which it is a part.
///
/// Latencies and shares of errors are averages in which older values fade. Two workers that note
/// something in the same moment may lose one of the two: of averages over thousands that is no
/// loss, and it keeps the cache line from being fought over.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct Form {
    latency: Average,
    client_errors: Average,
    server_errors: Average,
    noted: AtomicU64,
    works_since: AtomicU64,
}

const _: () = assert!(size_of::<Form>() == 64, "one cache line a host");

impl Form {
    /// Notes how a request went, and how long it took where that is known. What was noted before
    /// counts `1 / e` after so long as `memory` says.
    ///
    /// A latency above the average becomes the average at once; lower ones pull it down little by
    /// little. A host that becomes slow is known within one answer.
    pub fn note(&self, now: Moment, took: Option<Duration>, grade: Grade, memory: Duration) {
        let kept = self.kept(now, memory);
        if let Some(took) = took {
            let nanos = took.as_nanos() as f64;
            match self.latency.get() {
                // The first, or a peak. A latency of 0 would be none.
                average if nanos > average * kept => self.latency.set(nanos.max(1.0)),
                _ => self.latency.fade(kept, nanos),
            }
        }
        let share = |of| if grade == of { 1.0 } else { 0.0 };
        self.client_errors.fade(kept, share(Grade::ClientError));
        self.server_errors.fade(kept, share(Grade::ServerError));
        self.noted.store(now.0, Relaxed);
    }

    /// The latency lately, in nanoseconds; `None` when none was ever noted.
    #[must_use]
    pub fn latency(&self) -> Option<f64> {
        Some(self.latency.get()).filter(|latency| *latency > 0.0)
    }

    /// How much of what was noted last still counts, from 1 down to 0.
    #[must_use]
    pub fn kept(&self, now: Moment, memory: Duration) -> f64 {
        match self.noted.load(Relaxed) {
            0 => 0.0,
            noted => (-(now.since(Moment(noted)).as_secs_f64() / memory.as_secs_f64())).exp(),
        }
    }

    /// Shares of the answers lately that were client errors, and server errors.
    #[must_use]
    pub fn errors(&self) -> (f64, f64) {
        (self.client_errors.get(), self.server_errors.get())
    }

    /// Since when the host may be chosen without a break; [`Moment::default`] when nobody said.
    #[must_use]
    pub fn works_since(&self) -> Moment {
        Moment(self.works_since.load(Relaxed))
    }

    /// Notes that the host may be chosen from now on.
    pub fn works(&self, since: Moment) {
        self.works_since.store(since.0, Relaxed);
    }
}

/// An average in which older values fade.
#[derive(Debug, Default)]
struct Average(AtomicU64);

impl Average {
    fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Relaxed))
    }

    fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Relaxed);
    }

    fn fade(&self, kept: f64, value: f64) {
        self.set(self.get() * kept + value * (1.0 - kept));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: Duration = Duration::from_secs(6);

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u32) -> Moment {
        Moment(1).after(SECOND * seconds)
    }

    #[test]
    fn a_peak_counts_at_once_and_fades() {
        let form = Form::default();
        assert_eq!(form.latency(), None);
        form.note(at(0), Some(SECOND / 1000), Grade::Good, MEMORY);
        form.note(at(1), Some(SECOND), Grade::Good, MEMORY);
        assert_eq!(form.latency(), Some(1e9));

        form.note(
            at(1).after(MEMORY),
            Some(Duration::ZERO),
            Grade::Good,
            MEMORY,
        );
        let left = form.latency().unwrap() / 1e9;
        assert!((left - (-1.0_f64).exp()).abs() < 1e-6, "{left}");

        let kept = [1, 6, 60].map(|memory| form.kept(at(8), SECOND * memory));
        assert!(
            kept.is_sorted() && kept[0] < 0.4 && kept[2] > 0.9,
            "{kept:?}"
        );
    }

    #[test]
    fn shares_of_errors_follow_the_answers() {
        let form = Form::default();
        for second in 0..10_000 {
            let grade = match second % 4 {
                0 => Grade::of(503),
                1 => Grade::of(404),
                _ => Grade::of(200),
            };
            form.note(
                at(0).after(SECOND * second / 100),
                Some(SECOND / 1000),
                grade,
                MEMORY,
            );
        }
        let (client, server) = form.errors();
        assert!(
            (0.15..0.35).contains(&client) && (0.15..0.35).contains(&server),
            "{client} {server}"
        );
    }

    #[test]
    fn moments_are_ordered_as_instants_are() {
        // No instant is before the first that was asked for.
        let _ = Moment::of(Instant::now());
        let first = Instant::now();
        let (early, late) = (Moment::of(first), Moment::of(first + SECOND));
        assert!(Moment::default() < early && early < late);
        assert_eq!(late.since(early), SECOND);
        assert_eq!(early.since(late), Duration::ZERO);
    }
}
