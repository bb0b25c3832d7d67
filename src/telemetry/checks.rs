//! Numbers of health checks, which everyone may read.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;

use super::tally::Carried;

/// What the health check of one cluster counted. It outlives the check's actor, and every change of
/// its settings.
#[derive(Debug, Default)]
pub struct CheckCounters {
    /// Probes begun.
    pub attempt: AtomicU64,
    /// Probes that passed.
    pub success: AtomicU64,
    /// Probes that failed, those without an answer included.
    pub failure: AtomicU64,
    /// Probes that failed because the host answered so, or refused.
    pub active_failure: AtomicU64,
    /// Probes that failed because no answer came in time.
    pub network_failure: AtomicU64,
    /// Probes that this process could not make, for want of descriptors, say: they say nothing of
    /// the host.
    pub inconclusive: AtomicU64,
    /// Probes that had to wait because as many as may be were under way.
    pub waited: AtomicU64,
}

/// The same at one moment, by MOSN's names where it has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CheckTotals {
    /// Probes begun.
    pub attempt: u64,
    /// Probes that passed.
    pub success: u64,
    /// Probes that failed, those without an answer included.
    pub failure: u64,
    /// Probes that failed because the host answered so, or refused.
    pub active_failure: u64,
    /// Probes that failed because no answer came in time.
    pub network_failure: u64,
    /// Probes that this process could not make.
    pub inconclusive: u64,
    /// Probes that had to wait for others to end.
    pub waited: u64,
    /// Hosts that the check finds healthy now. The misspelling is MOSN's.
    pub healty: u64,
}

impl Carried for CheckCounters {
    fn each(&self, show: &mut dyn FnMut(&'static str, &AtomicU64)) {
        show("probes", &self.attempt);
        show("probes_passed", &self.success);
        show("probes_failed", &self.failure);
        show("probes_refused", &self.active_failure);
        show("probes_unanswered", &self.network_failure);
        show("probes_inconclusive", &self.inconclusive);
        show("probes_waited", &self.waited);
    }
}

impl CheckCounters {
    /// Counts one.
    pub fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Relaxed);
    }

    /// What was counted until now; `healthy` hosts are whoever holds the host set's to count.
    #[must_use]
    pub fn totals(&self, healthy: u64) -> CheckTotals {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        CheckTotals {
            attempt: read(&self.attempt),
            success: read(&self.success),
            failure: read(&self.failure),
            active_failure: read(&self.active_failure),
            network_failure: read(&self.network_failure),
            inconclusive: read(&self.inconclusive),
            waited: read(&self.waited),
            healty: healthy,
        }
    }
}
