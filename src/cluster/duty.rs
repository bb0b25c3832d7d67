//! Whether a host is given work, and until when its connections may last when it is not.

use std::sync::LazyLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// Whether a host is given new work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Duty {
    /// It is, while it is healthy.
    #[default]
    Serving,
    /// It is not, however healthy: it is to be left in peace.
    Draining,
}

/// Until when the connections to a host may last: shared, as its load is, by every worker and every
/// snapshot that has the host, so that who holds a connection need not look for a newer one.
///
/// It orders nothing else in memory, so all access is relaxed.
#[derive(Debug, Default)]
pub struct Departure(AtomicU64);

/// The host stays.
const STAYS: u64 = 0;

/// The host leaves, and its connections may last. All else is milliseconds of [`CLOCK`].
const LEAVES: u64 = u64::MAX;

/// What deadlines are counted from: an atomic cannot hold an [`Instant`].
static CLOCK: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Departure {
    /// The host is given no more work: idle connections to it are of no use. Those in use are to
    /// end by `deadline`, if there is one.
    pub fn leave(&self, deadline: Option<Instant>) {
        let leaves = deadline.map_or(LEAVES, |deadline| {
            let after = deadline.saturating_duration_since(*CLOCK).as_millis();
            u64::try_from(after).unwrap_or(LEAVES).max(STAYS + 1)
        });
        self.0.store(leaves, Relaxed);
    }

    /// The host is given work again.
    pub fn stay(&self) {
        self.0.store(STAYS, Relaxed);
    }

    /// Whether the host is given no more work.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.0.load(Relaxed) != STAYS
    }

    /// Whether the connections in use had to end by `now`.
    #[must_use]
    pub fn is_overdue(&self, now: Instant) -> bool {
        match self.0.load(Relaxed) {
            STAYS | LEAVES => false,
            leaves => now.saturating_duration_since(*CLOCK) >= Duration::from_millis(leaves),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_leaves_says_until_when_its_connections_may_last() {
        let (host, now) = (Departure::default(), Instant::now());
        assert!(!host.is_leaving() && !host.is_overdue(now));

        host.leave(Some(now + Duration::from_secs(60)));
        assert!(host.is_leaving() && !host.is_overdue(now));
        assert!(host.is_overdue(now + Duration::from_secs(61)));

        host.leave(None);
        let late = now + Duration::from_secs(1 << 30);
        assert!(host.is_leaving() && !host.is_overdue(late));

        host.stay();
        assert!(!host.is_leaving() && !host.is_overdue(late));
    }
}
