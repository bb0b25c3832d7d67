//! What a cluster carries at once, and the permits that keep it within its limits.

use std::sync::Arc;

use super::atomic::{AtomicU64, Relaxed};

/// Requests in progress, in percent, that may be tried again at one time.
const RETRY_PERCENT: u64 = 20;

/// So many may be tried again however few are in progress: a quiet cluster can use its retries.
const RETRIES_ALWAYS: u64 = 10;

/// Live counts of one cluster, shared by every worker and every snapshot of it.
///
/// The maxima are arguments: a change of the plan holds for the next permit and takes none back.
/// No count exceeds its maximum, not even for a moment; a permit is had or refused at once, and
/// nothing waits. The counts order nothing else in memory, so all access is relaxed.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct Limits {
    connections: AtomicU64,
    requests: AtomicU64,
    retries: AtomicU64,
    retries_begun: AtomicU64,
    connections_refused: AtomicU64,
    requests_refused: AtomicU64,
    retries_refused: AtomicU64,
    subset_fallbacks: AtomicU64,
}

impl Limits {
    /// Takes room for one upstream connection; `None` when `max` are open. No `max` is no limit.
    pub fn connection(self: &Arc<Self>, max: Option<u64>) -> Option<Permit> {
        self.permit(Kind::Connection, || max)
    }

    /// Takes room for one request; `None` when `max` are in progress. No `max` is no limit.
    pub fn request(self: &Arc<Self>, max: Option<u64>) -> Option<Permit> {
        self.permit(Kind::Request, || max)
    }

    /// Takes room for trying a request again; `None` when that is too much for the cluster.
    ///
    /// Besides `max`, retries have a budget: a fifth of the requests in progress, and ten in any
    /// case. When a whole cluster fails, its load thereby grows by a fifth at most, where a retry
    /// for each request would double it. The request keeps its own permit all the while.
    pub fn retry(self: &Arc<Self>, max: Option<u64>) -> Option<Permit> {
        let budget = || {
            let share = self.requests().saturating_mul(RETRY_PERCENT) / 100;
            let budget = share.max(RETRIES_ALWAYS);
            Some(max.map_or(budget, |max| max.min(budget)))
        };
        self.begin_retry(budget)
    }

    /// As [`Self::retry`], of a request of which no host has seen anything: it burdens none twice,
    /// so it needs no budget.
    pub fn retry_unsent(self: &Arc<Self>, max: Option<u64>) -> Option<Permit> {
        self.begin_retry(|| max)
    }

    fn begin_retry(self: &Arc<Self>, max: impl Fn() -> Option<u64>) -> Option<Permit> {
        let permit = self.permit(Kind::Retry, max);
        if permit.is_some() {
            self.retries_begun.fetch_add(1, Relaxed);
        }
        permit
    }

    /// Counts a choice that fell back from the subset that was asked for.
    pub fn count_subset_fallback(&self) {
        self.subset_fallbacks.fetch_add(1, Relaxed);
    }

    /// Choices that fell back from the subset that was asked for.
    #[must_use]
    pub fn subset_fallbacks(&self) -> u64 {
        self.subset_fallbacks.load(Relaxed)
    }

    /// Upstream connections that are open or being opened, idle ones too.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }

    /// Requests in progress.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// Requests that are being tried again now.
    #[must_use]
    pub fn retries(&self) -> u64 {
        self.retries.load(Relaxed)
    }

    /// Retries ever begun.
    #[must_use]
    pub fn retries_begun(&self) -> u64 {
        self.retries_begun.load(Relaxed)
    }

    /// Connections that were not opened because there were too many.
    #[must_use]
    pub fn connections_refused(&self) -> u64 {
        self.connections_refused.load(Relaxed)
    }

    /// Requests that were refused because there were too many.
    #[must_use]
    pub fn requests_refused(&self) -> u64 {
        self.requests_refused.load(Relaxed)
    }

    /// Retries that were not made because there were too many.
    #[must_use]
    pub fn retries_refused(&self) -> u64 {
        self.retries_refused.load(Relaxed)
    }

    /// Shows each count that never falls, with its name in a tally.
    pub(super) fn each(&self, show: &mut dyn FnMut(&'static str, &AtomicU64)) {
        show("retries", &self.retries_begun);
        show("connections_refused", &self.connections_refused);
        show("requests_refused", &self.requests_refused);
        show("retries_refused", &self.retries_refused);
        show("subset_fallbacks", &self.subset_fallbacks);
    }

    fn permit(self: &Arc<Self>, kind: Kind, max: impl Fn() -> Option<u64>) -> Option<Permit> {
        let raised = |now| max().is_none_or(|max| now < max).then_some(now + 1);
        if self
            .count(kind)
            .fetch_update(Relaxed, Relaxed, raised)
            .is_err()
        {
            self.refused(kind).fetch_add(1, Relaxed);
            return None;
        }
        let limits = Arc::clone(self);
        Some(Permit { limits, kind })
    }

    fn count(&self, kind: Kind) -> &AtomicU64 {
        match kind {
            Kind::Connection => &self.connections,
            Kind::Request => &self.requests,
            Kind::Retry => &self.retries,
        }
    }

    fn refused(&self, kind: Kind) -> &AtomicU64 {
        match kind {
            Kind::Connection => &self.connections_refused,
            Kind::Request => &self.requests_refused,
            Kind::Retry => &self.retries_refused,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Connection,
    Request,
    Retry,
}

/// Room for one connection, request or retry of a cluster, until this is dropped.
#[derive(Debug)]
#[must_use = "dropping the permit gives the room back at once"]
pub struct Permit {
    limits: Arc<Limits>,
    kind: Kind,
}

impl Permit {
    /// Whether it counts against these limits.
    #[must_use]
    pub fn is_of(&self, limits: &Arc<Limits>) -> bool {
        Arc::ptr_eq(&self.limits, limits)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limits.count(self.kind).fetch_sub(1, Relaxed);
    }
}
