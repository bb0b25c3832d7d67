//! What the sweep knows of one connection, and what it makes of that once a second.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::Instant;

use super::TICK;
use crate::proxy::Flow;
use crate::telemetry::counters::ListenerCounters;

/// What a connection shows of itself while it runs.
#[derive(Debug, Default)]
pub(in crate::actor) struct Progress {
    /// Bytes moved so far.
    pub flow: Rc<Flow>,
    /// For how long it may move none; `None` is for ever.
    pub idle_timeout: Cell<Option<Duration>>,
    /// For how long it had rested when it began, or when it is wished away.
    pub quiet: Cell<Duration>,
}

impl Progress {
    /// Of two limits the shorter one holds.
    pub(in crate::actor) fn also_limit(&self, idle_timeout: Option<Duration>) {
        let limits = [self.idle_timeout.get(), idle_timeout];
        self.idle_timeout.set(limits.into_iter().flatten().min());
    }
}

/// Why the sweep ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It has moved no byte for too long.
    Idle,
    /// Its host drains, and had to be done by now.
    HostDrained,
}

/// One connection as the sweep remembers it.
pub(super) struct Watch {
    pub(super) progress: Rc<Progress>,
    /// Bytes that were already added to the counters.
    received: u64,
    sent: u64,
    /// For how long it has moved none.
    pub(super) quiet: Duration,
}

impl Watch {
    pub(super) fn new(progress: Rc<Progress>) -> Self {
        Self {
            received: 0,
            sent: 0,
            quiet: progress.quiet.get(),
            progress,
        }
    }

    /// Adds what was moved since the last look to `counters`; whether that was anything.
    pub(super) fn settle(&mut self, counters: &ListenerCounters) -> bool {
        let (received, sent) = (
            self.progress.flow.received.get(),
            self.progress.flow.sent.get(),
        );
        let moved = (received - self.received, sent - self.sent);
        if moved == (0, 0) {
            return false;
        }
        counters.received_bytes.fetch_add(moved.0, Relaxed);
        counters.sent_bytes.fetch_add(moved.1, Relaxed);
        (self.received, self.sent) = (received, sent);
        true
    }

    /// One tick has passed; why the connection is to end, if it is. One that has rested throughout
    /// is wished away.
    pub(super) fn look(&mut self, counters: &ListenerCounters, now: Instant) -> Option<Why> {
        let moved = self.settle(counters);
        if self.progress.flow.is_overdue(now.into_std()) {
            return Some(Why::HostDrained);
        }
        if moved {
            self.quiet = Duration::ZERO;
            return None;
        }
        self.quiet += TICK;
        let limit = self.progress.idle_timeout.get();
        if limit.is_some_and(|limit| self.quiet > limit) {
            return Some(Why::Idle);
        }
        let bell = &self.progress.flow.bell;
        if bell.rests() {
            self.progress.quiet.set(self.quiet);
            bell.ring_to_leave();
        } else {
            bell.ring_to_look();
        }
        None
    }
}
