//! When which host is probed next.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// First probes that may start at one time. More than that are a large cluster, or many small ones
/// at a start.
const BURST: u32 = 64;

/// From one first probe to the next beyond those: a thousand a second load nobody, and ten
/// thousand hosts have all been asked within ten seconds.
const GAP: Duration = Duration::from_millis(1);

/// Who is due, and when. Of those due at one time, who was entered first comes first.
#[derive(Debug)]
pub struct Schedule<T> {
    due: BinaryHeap<Reverse<Entry<T>>>,
    entered: u64,
}

#[derive(Debug)]
struct Entry<T> {
    at: Instant,
    /// Given once.
    turn: u64,
    who: T,
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.turn).cmp(&(other.at, other.turn))
    }
}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.turn == other.turn
    }
}

impl<T> Eq for Entry<T> {}

impl<T> Default for Schedule<T> {
    fn default() -> Self {
        Self {
            due: BinaryHeap::new(),
            entered: 0,
        }
    }
}

impl<T> Schedule<T> {
    /// Enters someone, who is due at a time.
    pub fn enter(&mut self, who: T, at: Instant) {
        self.entered += 1;
        let turn = self.entered;
        self.due.push(Reverse(Entry { at, turn, who }));
    }

    /// When the next one is due.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse(entry)| entry.at)
    }

    /// Takes out one who is due.
    pub fn take(&mut self, now: Instant) -> Option<T> {
        self.next().filter(|at| *at <= now)?;
        self.due.pop().map(|Reverse(entry)| entry.who)
    }
}

/// Spreads first probes, of all clusters together, so that ten thousand hosts are not asked at
/// once. Later probes of a host follow its own results, and so stay spread.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    /// When the last of those let through so far would have been due at one each gap.
    taken: Option<Instant>,
}

impl Pace {
    /// When the first probe of a host takes place that is wanted at a time: then, unless too many
    /// are wanted then.
    #[must_use]
    pub fn place(&mut self, wanted: Instant) -> Instant {
        let taken = self.taken.map_or(wanted, |taken| taken.max(wanted)) + GAP;
        self.taken = Some(taken);
        let earliest = taken.checked_sub(GAP * BURST);
        earliest.map_or(wanted, |earliest| earliest.max(wanted))
    }
}

/// When a host is probed after a result: `share`, from 0 to below 1, says how much of the jitter is
/// added.
#[must_use]
pub fn after(result: Instant, interval: Duration, jitter: Duration, share: f64) -> Instant {
    result + interval + jitter.mul_f64(share.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn who_is_due_first_comes_first() {
        let now = Instant::now();
        let mut schedule = Schedule::default();
        for (who, seconds) in [("late", 3), ("b", 1), ("a", 1), ("soon", 0)] {
            schedule.enter(who, now + SECOND * seconds);
        }
        assert_eq!(schedule.next(), Some(now));
        assert_eq!(schedule.take(now), Some("soon"));
        assert_eq!(schedule.take(now), None);
        let later = now + SECOND * 2;
        assert_eq!(schedule.take(later), Some("b"));
        assert_eq!(schedule.take(later), Some("a"));
        assert_eq!(schedule.take(later), None);
        assert_eq!(schedule.next(), Some(now + SECOND * 3));
    }

    #[test]
    fn a_small_cluster_is_probed_when_it_wants_to_be() {
        let wanted = Instant::now() + SECOND;
        let mut pace = Pace::default();
        for host in 0..BURST {
            assert_eq!(pace.place(wanted), wanted, "host {host}");
        }
    }

    #[test]
    fn ten_thousand_first_probes_are_spread() {
        let wanted = Instant::now();
        let mut pace = Pace::default();
        let places: Vec<_> = (0..10_000).map(|_| pace.place(wanted)).collect();

        let last = *places.last().unwrap() - wanted;
        assert!(last < SECOND * 10 && last > SECOND * 9, "{last:?}");
        for window in places.windows(BURST as usize + 100) {
            let (first, last) = (window[0], window[window.len() - 1]);
            assert!(last - first >= GAP * 99, "a burst of {}", window.len());
        }
    }

    #[test]
    fn a_burst_may_come_again_after_a_pause() {
        let wanted = Instant::now();
        let mut pace = Pace::default();
        let crowd: Vec<_> = (0..BURST * 2).map(|_| pace.place(wanted)).collect();
        assert!(crowd[crowd.len() - 1] > wanted);

        let later = wanted + SECOND;
        assert!((0..BURST).all(|_| pace.place(later) == later));
    }

    proptest! {
        /// However many are wanted whenever: nobody is early, and no span of time has more than a
        /// burst and one each gap.
        #[test]
        fn no_wishes_make_a_burst(wishes in proptest::collection::vec(0_u64..2_000, 1..600)) {
            let start = Instant::now();
            let mut wishes = wishes;
            wishes.sort_unstable();
            let mut pace = Pace::default();
            let mut places = Vec::new();
            for wish in wishes {
                let wanted = start + Duration::from_millis(wish);
                let place = pace.place(wanted);
                prop_assert!(place >= wanted);
                places.push(place);
            }
            for (from, &first) in places.iter().enumerate() {
                for (count, &last) in places[from..].iter().enumerate() {
                    let allowed = GAP * u32::try_from(count + 1).unwrap();
                    prop_assert!(last - first + GAP * BURST >= allowed);
                }
            }
        }

        #[test]
        fn the_next_probe_comes_within_the_interval_and_its_jitter(
            interval in 1_u64..100_000,
            jitter in 0_u64..10_000,
            share in 0.0..1.0,
        ) {
            let now = Instant::now();
            let (interval, jitter) = (Duration::from_millis(interval), Duration::from_millis(jitter));
            let next = after(now, interval, jitter, share);
            prop_assert!(next >= now + interval && next <= now + interval + jitter);
        }
    }
}
