//! When requests are to be sent, by one thread. Pure: it is told what time it is.

use std::time::{Duration, Instant};

use super::plan::Pace;

/// Timers do not go more often. What falls due between two is sent together.
const SHORTEST_TICK: Duration = Duration::from_micros(50);

/// The turns of one thread.
#[derive(Debug)]
pub(super) struct Turns {
    share: Share,
    start: Instant,
    taken: u64,
}

#[derive(Clone, Copy, Debug)]
enum Share {
    /// As soon as there is room.
    Closed { turns: u64, lasts: Duration },
    /// At a time of its own each, which is when its latency begins: whoever stalls pays for all
    /// that was due meanwhile.
    Open {
        turns: u64,
        first: Duration,
        period: Duration,
        due: u64,
    },
}

impl Turns {
    /// The share of thread `thread` of `threads`, from `start` on.
    pub(super) fn new(pace: &Pace, thread: usize, threads: usize, start: Instant) -> Self {
        let (thread, threads) = (thread as u64, threads as u64);
        // Those that are left over are the first threads'.
        let share = |turns: u64| turns / threads + u64::from(thread < turns % threads);
        let share = match *pace {
            Pace::Closed { requests, lasts } => Share::Closed {
                turns: requests.map_or(u64::MAX, share),
                lasts: lasts.unwrap_or(Duration::MAX),
            },
            Pace::Open {
                per_second,
                requests,
            } => Share::Open {
                turns: share(requests),
                first: Duration::from_nanos(thread * 1_000_000_000 / per_second),
                period: Duration::from_nanos(threads * 1_000_000_000 / per_second),
                due: 0,
            },
        };
        Self {
            share,
            start,
            taken: 0,
        }
    }

    /// How long after the start, and then how often, to look what is [`due`](Self::due).
    pub(super) fn ticks(&self) -> Option<(Duration, Duration)> {
        let Share::Open { first, period, .. } = self.share else {
            return None;
        };
        let period = period.max(Duration::from_nanos(1));
        let together = SHORTEST_TICK.as_nanos().div_ceil(period.as_nanos());
        Some((first, period * u32::try_from(together).unwrap_or(1)))
    }

    /// Makes due what is by `now`.
    pub(super) fn look(&mut self, now: Instant) {
        if let Share::Open {
            turns,
            first,
            period,
            ref mut due,
        } = self.share
        {
            // Before the start nothing is due: what was sent then would seem to be answered sooner.
            if let Some(since) = now.checked_duration_since(self.start + first) {
                let passed = since.as_nanos() / period.as_nanos().max(1) + 1;
                *due = u64::try_from(passed).unwrap_or(u64::MAX).min(turns);
            }
        }
    }

    /// Takes a turn; when it was to be sent.
    pub(super) fn take(&mut self, now: Instant) -> Option<Instant> {
        let due = self.peek(now)?;
        self.taken += 1;
        Some(due)
    }

    /// When the next turn was to be sent, if one is waiting.
    pub(super) fn peek(&self, now: Instant) -> Option<Instant> {
        match self.share {
            Share::Closed { turns, lasts } => {
                let ends = now.saturating_duration_since(self.start) >= lasts;
                (self.taken < turns && !ends).then_some(now)
            }
            Share::Open {
                first, period, due, ..
            } => (self.taken < due).then(|| {
                let nanoseconds = period.as_nanos().saturating_mul(self.taken.into());
                let nanoseconds = u64::try_from(nanoseconds).unwrap_or(u64::MAX);
                self.start + first + Duration::from_nanos(nanoseconds)
            }),
        }
    }

    /// Whether no turn is left, now or later.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        match self.share {
            Share::Closed { .. } => self.peek(now).is_none(),
            Share::Open { turns, .. } => self.taken >= turns,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(per_second: u64, requests: u64) -> Pace {
        Pace::Open {
            per_second,
            requests,
        }
    }

    #[test]
    fn a_late_thread_is_owed_every_turn_at_its_own_time() {
        let start = Instant::now();
        let mut turns = Turns::new(&open(1000, 20), 0, 1, start);
        let now = start + Duration::from_millis(7);
        turns.look(now);
        let mut taken = Vec::new();
        while let Some(due) = turns.take(now) {
            taken.push((due - start).as_millis());
        }
        assert_eq!(taken, [0, 1, 2, 3, 4, 5, 6, 7]);
        assert!(!turns.is_over(now));
    }

    #[test]
    fn threads_share_turns_and_take_them_in_between_each_other() {
        let start = Instant::now();
        let mut all = Vec::new();
        for thread in 0..3 {
            let mut turns = Turns::new(&open(1000, 10), thread, 3, start);
            let end = start + Duration::from_secs(1);
            turns.look(end);
            while let Some(due) = turns.take(end) {
                all.push((due - start).as_millis());
            }
            assert!(turns.is_over(end));
        }
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_is_due_before_its_time() {
        let start = Instant::now();
        let mut turns = Turns::new(&open(10, 10), 1, 2, start);
        turns.look(start + Duration::from_millis(99));
        assert_eq!(turns.take(start), None);
        turns.look(start + Duration::from_millis(100));
        assert_eq!(turns.take(start), Some(start + Duration::from_millis(100)));

        let mut turns = Turns::new(&open(10, 10), 0, 2, start + Duration::from_millis(1));
        turns.look(start);
        assert_eq!(turns.take(start), None);
    }

    #[test]
    fn a_closed_loop_ends_by_count_or_by_time() {
        let start = Instant::now();
        let closed = |requests, lasts| Pace::Closed { requests, lasts };
        let mut counted = Turns::new(&closed(Some(3), None), 1, 2, start);
        assert!(counted.take(start).is_some());
        assert!(counted.take(start).is_none() && counted.is_over(start));

        let second = Duration::from_secs(1);
        let mut timed = Turns::new(&closed(None, Some(second)), 0, 1, start);
        assert!(timed.take(start).is_some());
        assert!(timed.take(start + second).is_none() && timed.is_over(start + second));
    }

    #[test]
    fn high_rates_are_sent_in_batches() {
        let (_, tick) = Turns::new(&open(1_000_000, 1), 0, 1, Instant::now())
            .ticks()
            .unwrap();
        assert_eq!(tick, SHORTEST_TICK);
        let (first, tick) = Turns::new(&open(2000, 1), 1, 2, Instant::now())
            .ticks()
            .unwrap();
        assert_eq!((first.as_micros(), tick.as_micros()), (500, 1000));
    }
}
