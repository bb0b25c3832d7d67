//! Numbers that the data path counts and everyone may read.
//!
//! Each worker counts in its own; a reader sums them, so that no cache line is fought over.

use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;

/// What one worker counted at one listener. Alone on its cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ListenerCounters {
    /// Connections accepted.
    pub connections: AtomicU64,
    /// Connections that ended.
    pub closed: AtomicU64,
    /// Connections closed because they moved no byte for too long.
    pub idle_closed: AtomicU64,
    /// Connections that got no upstream.
    pub failed: AtomicU64,
    /// Bytes that came from downstream.
    pub received_bytes: AtomicU64,
    /// Bytes that went downstream.
    pub sent_bytes: AtomicU64,
}

/// The sum over the workers at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ListenerTotals {
    /// Connections that are open.
    pub connections_active: u64,
    /// Connections accepted.
    pub connections_total: u64,
    /// Connections closed because they moved no byte for too long.
    pub connections_idle_closed: u64,
    /// Connections that got no upstream.
    pub connections_failed: u64,
    /// Bytes that came from downstream. A connection's are counted once a second, and at its end.
    pub bytes_received: u64,
    /// Bytes that went downstream, as `bytes_received`.
    pub bytes_sent: u64,
}

impl AddAssign<&ListenerCounters> for ListenerTotals {
    fn add_assign(&mut self, counted: &ListenerCounters) {
        // Read in this order a connection may be counted as active that has just ended, never
        // the reverse, which would wrap.
        let closed = counted.closed.load(Relaxed);
        let total = counted.connections.load(Relaxed);
        self.connections_active += total.saturating_sub(closed);
        self.connections_total += total;
        self.connections_idle_closed += counted.idle_closed.load(Relaxed);
        self.connections_failed += counted.failed.load(Relaxed);
        self.bytes_received += counted.received_bytes.load(Relaxed);
        self.bytes_sent += counted.sent_bytes.load(Relaxed);
    }
}
