//! How long things took: counts in buckets of growing width.

use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Buckets for each doubling, as a power of two: no value is off by more than a sixteenth.
const STEPS: u32 = 3;

/// Nanoseconds of the finest step, as a power of two: nothing that is timed here is quicker.
const UNIT: u32 = 10;

/// Doublings that are told apart: up to a quarter of an hour.
const DOUBLINGS: u32 = 30;

const BUCKETS: usize = ((DOUBLINGS - STEPS + 1) << STEPS) as usize;

/// Counts durations by length. Any number of threads may count and read.
///
/// Takes 1.8 KiB, and one addition for each count.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    least: AtomicU64,
    most: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
            least: AtomicU64::new(u64::MAX),
            most: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn count(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket_of(nanos)].fetch_add(1, Relaxed);
        self.extend(nanos);
    }

    /// As [`Self::count`], where only one thread ever counts: no line is locked.
    pub fn count_alone(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = &self.buckets[bucket_of(nanos)];
        bucket.store(bucket.load(Relaxed).wrapping_add(1), Relaxed);
        self.extend(nanos);
    }

    /// Counts so many more in the bucket of a duration, in nanoseconds.
    pub(super) fn credit(&self, nanos: u64, count: u64) {
        self.buckets[bucket_of(nanos)].fetch_add(count, Relaxed);
    }

    /// Has it reach as far as these durations, in nanoseconds.
    pub(super) fn reach(&self, least: u64, most: u64) {
        self.least.fetch_min(least, Relaxed);
        self.most.fetch_max(most, Relaxed);
    }

    /// The shortest and the longest duration, in nanoseconds.
    pub(super) fn ends(&self) -> (u64, u64) {
        (self.least.load(Relaxed), self.most.load(Relaxed))
    }

    /// From where on each bucket counts that has counted anything, in nanoseconds, and how many.
    pub(super) fn counted(&self) -> impl Iterator<Item = (u64, u64)> {
        let counts = self.buckets.iter().map(|bucket| bucket.load(Relaxed));
        let counts = counts.enumerate().filter(|(_, count)| *count > 0);
        counts.map(|(index, count)| (bounds(index).0, count))
    }

    fn extend(&self, nanos: u64) {
        // Seldom true after the first few: two loads are all that it costs then.
        if nanos < self.least.load(Relaxed) {
            self.least.fetch_min(nanos, Relaxed);
        }
        if nanos > self.most.load(Relaxed) {
            self.most.fetch_max(nanos, Relaxed);
        }
    }
}

/// What a [`Histogram`] had counted at one moment; several add up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    buckets: Box<[u64; BUCKETS]>,
    least: u64,
    most: u64,
}

impl Default for Distribution {
    fn default() -> Self {
        Self {
            buckets: Box::new([0; BUCKETS]),
            least: u64::MAX,
            most: 0,
        }
    }
}

impl AddAssign<&Histogram> for Distribution {
    fn add_assign(&mut self, counted: &Histogram) {
        for (sum, bucket) in self.buckets.iter_mut().zip(&counted.buckets) {
            *sum += bucket.load(Relaxed);
        }
        self.least = self.least.min(counted.least.load(Relaxed));
        self.most = self.most.max(counted.most.load(Relaxed));
    }
}

impl AddAssign<&Self> for Distribution {
    fn add_assign(&mut self, other: &Self) {
        for (sum, bucket) in self.buckets.iter_mut().zip(other.buckets.iter()) {
            *sum += bucket;
        }
        self.least = self.least.min(other.least);
        self.most = self.most.max(other.most);
    }
}

impl Distribution {
    /// How many were counted.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Whether none was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buckets.iter().all(|count| *count == 0)
    }

    /// The shortest, in nanoseconds; 0 when there is none.
    #[must_use]
    pub fn least(&self) -> u64 {
        match self.least {
            u64::MAX => 0,
            least => least,
        }
    }

    /// The longest, in nanoseconds; 0 when there is none.
    #[must_use]
    pub fn most(&self) -> u64 {
        self.most
    }

    /// What `percent` of all are not longer than, in nanoseconds; 0 when there is none.
    ///
    /// Off by a sixteenth at most, and never beyond the shortest or the longest.
    #[must_use]
    pub fn percentile(&self, percent: u8) -> u64 {
        let len = self.len();
        let rank = (len * u64::from(percent)).div_ceil(100).max(1);
        let mut before = 0;
        for (index, &count) in self.buckets.iter().enumerate() {
            if count > 0 && before + count >= rank {
                let (from, to) = bounds(index);
                // As if those of one bucket were evenly spread over it.
                let share = u128::from(to - from) * u128::from(rank - before) / u128::from(count);
                let value = from + u64::try_from(share).unwrap_or(0);
                return value.clamp(self.least(), self.most);
            }
            before += count;
        }
        0
    }

    /// How many took no longer than `bound`; those of the bucket that it cuts count if most of
    /// the bucket does.
    #[must_use]
    pub fn within(&self, bound: Duration) -> u64 {
        let nanos = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        let counted = self.buckets.iter().enumerate();
        let shorter = counted.take_while(|(index, _)| {
            let (from, to) = bounds(*index);
            from + (to - from) / 2 <= nanos
        });
        shorter.map(|(_, count)| count).sum()
    }
}

fn bucket_of(nanos: u64) -> usize {
    let units = nanos >> UNIT;
    if units < 1 << STEPS {
        return usize::try_from(units).unwrap_or(0);
    }
    let doubling = units.ilog2();
    let step = (units >> (doubling - STEPS)) & ((1 << STEPS) - 1);
    let index = (u64::from(doubling - STEPS + 1) << STEPS) + step;
    usize::try_from(index).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// From where on, and below what, a bucket counts, in nanoseconds.
fn bounds(index: usize) -> (u64, u64) {
    let from = |index: usize| {
        let steps = 1_u64 << STEPS;
        let index = index as u64;
        let units = match index >> STEPS {
            0 => index,
            doubling => (steps + (index & (steps - 1))) << (doubling - 1),
        };
        units << UNIT
    };
    (from(index), from(index + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(nanos: impl IntoIterator<Item = u64>) -> Distribution {
        let histogram = Histogram::default();
        for nanos in nanos {
            histogram.count(Duration::from_nanos(nanos));
        }
        let mut distribution = Distribution::default();
        distribution += &histogram;
        distribution
    }

    #[test]
    fn every_length_falls_into_the_bucket_whose_bounds_have_it() {
        for power in 0..40 {
            for off in [0_u64, 1, 3, 7] {
                let nanos = (1_u64 << power) + (off << power >> 3);
                let (from, to) = bounds(bucket_of(nanos));
                assert!((from..to).contains(&nanos), "{nanos}: {from}..{to}");
                assert!(power < 14 || (to - from) * 8 <= from, "{nanos}");
            }
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn a_percentile_is_off_by_a_sixteenth_at_most() {
        let all = of((1..=10_000).map(|n| n * 10_000));
        for (percent, exact) in [(1, 1e6), (50, 5e7), (90, 9e7), (99, 9.9e7)] {
            let told = all.percentile(percent) as f64;
            assert!((told / exact - 1.0).abs() < 1.0 / 16.0, "{percent}: {told}");
        }
        assert_eq!((all.least(), all.most()), (10_000, 100_000_000));
        assert_eq!(all.percentile(100), 100_000_000);
    }

    #[test]
    fn nothing_counted_is_nothing_told() {
        let none = Distribution::default();
        assert!(none.is_empty());
        assert_eq!((none.least(), none.most(), none.percentile(99)), (0, 0, 0));
    }

    #[test]
    fn one_value_is_every_percentile() {
        let one = of([123_456_789]);
        for percent in [0, 1, 50, 100] {
            assert_eq!(one.percentile(percent), 123_456_789);
        }
    }

    #[test]
    fn distributions_add_up() {
        let mut sum = of([1_000_000; 3]);
        sum += &of([8_000_000; 1]);
        assert_eq!(
            (sum.len(), sum.least(), sum.most()),
            (4, 1_000_000, 8_000_000)
        );
        assert_eq!(sum.within(Duration::from_millis(2)), 3);
        assert_eq!(sum.within(Duration::from_secs(1)), 4);
    }
}
