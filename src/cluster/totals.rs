//! What several hosts have carried together.

use std::ops::AddAssign;

use crate::telemetry::metrics::Distribution;

use super::{Ending, Load};

/// What one or several hosts carry, and have carried. Counts are read while they change, so they
/// need not add up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each is the sum of what `Load` says under its name"
)]
pub struct Totals {
    pub active_connections: u64,
    pub active_requests: u64,
    pub connections: u64,
    pub connect_failures: u64,
    pub requests: u64,
    pub responses_succeeded: u64,
    pub responses_failed: u64,
    pub strays: u64,
    pub response_nanos: u64,
    pub timeouts: u64,
    pub received_bytes: u64,
    pub sent_bytes: u64,
    pub local_resets: u64,
    pub remote_resets: u64,
    pub closed_here: u64,
    pub closed_by_host: u64,
    pub cut_here: u64,
    pub cut_by_host: u64,
    pub reconnects: u64,
    pub goodbyes: u64,
    pub durations: Distribution,
}

impl AddAssign<&Self> for Totals {
    fn add_assign(&mut self, other: &Self) {
        self.active_connections += other.active_connections;
        self.active_requests += other.active_requests;
        self.connections += other.connections;
        self.connect_failures += other.connect_failures;
        self.requests += other.requests;
        self.responses_succeeded += other.responses_succeeded;
        self.responses_failed += other.responses_failed;
        self.strays += other.strays;
        self.response_nanos += other.response_nanos;
        self.timeouts += other.timeouts;
        self.received_bytes += other.received_bytes;
        self.sent_bytes += other.sent_bytes;
        self.local_resets += other.local_resets;
        self.remote_resets += other.remote_resets;
        self.closed_here += other.closed_here;
        self.closed_by_host += other.closed_by_host;
        self.cut_here += other.cut_here;
        self.cut_by_host += other.cut_by_host;
        self.reconnects += other.reconnects;
        self.goodbyes += other.goodbyes;
        self.durations += &other.durations;
    }
}

impl AddAssign<&Load> for Totals {
    fn add_assign(&mut self, load: &Load) {
        self.active_connections += load.active_connections();
        self.active_requests += load.active_requests();
        self.connections += load.connections();
        self.connect_failures += load.connect_failures();
        self.requests += load.requests();
        self.responses_succeeded += load.responses_succeeded();
        self.responses_failed += load.responses_failed();
        self.strays += load.strays();
        self.response_nanos += load.response_nanos();
        self.timeouts += load.timeouts();
        self.received_bytes += load.received_bytes();
        self.sent_bytes += load.sent_bytes();
        self.local_resets += load.local_resets();
        self.remote_resets += load.remote_resets();
        self.closed_here += load.ended(Ending::Local);
        self.closed_by_host += load.ended(Ending::Remote);
        self.cut_here += load.ended(Ending::LocalAmidRequest);
        self.cut_by_host += load.ended(Ending::RemoteAmidRequest);
        self.reconnects += load.reconnects();
        self.goodbyes += load.goodbyes();
        if let Some(durations) = load.durations() {
            self.durations += durations;
        }
    }
}
