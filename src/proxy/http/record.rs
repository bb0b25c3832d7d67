//! What is remembered of a request until it has been logged.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::cluster::Host;
use crate::name::ClusterName;
use crate::route::Flags;
use crate::telemetry::counters::HttpCounters;

use super::trace::trace_id;

/// What is remembered of a request until it has been logged.
#[derive(Debug)]
pub(in crate::proxy) struct Record {
    /// When its head was whole.
    pub(in crate::proxy) started: Instant,
    /// When it had wholly gone upstream.
    pub(in crate::proxy) forwarded: Option<Instant>,
    /// When the whole response had come.
    pub(in crate::proxy) answered: Option<Instant>,
    /// Bytes of its body.
    pub(in crate::proxy) body_received: u64,
    /// Bytes of the response's body that went downstream.
    pub(in crate::proxy) body_sent: u64,
    /// What went downstream; 0 when nothing did.
    pub(in crate::proxy) status: u16,
    /// What went wrong.
    pub(in crate::proxy) flags: Flags,
    /// The host that was chosen last.
    pub(in crate::proxy) host: Option<Arc<Host>>,
    /// The connection to it.
    pub(in crate::proxy) upstream_id: Option<u64>,
    /// Where it was sent.
    pub(in crate::proxy) cluster: Option<ClusterName>,
    /// Who answered.
    pub(in crate::proxy) origin: Origin,
    /// Whether the downstream did not get all of its response.
    pub(in crate::proxy) reset: bool,
    /// The request's number in this process.
    pub(in crate::proxy) id: u64,
    /// Once somebody has asked.
    trace_id: OnceCell<String>,
}

/// Who answered a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Origin {
    /// An upstream, or nobody.
    Upstream,
    /// The proxy itself.
    Local,
}

impl Record {
    /// A request that begins.
    pub(in crate::proxy) fn new(started: Instant, id: u64) -> Self {
        Self {
            started,
            forwarded: None,
            answered: None,
            body_received: 0,
            body_sent: 0,
            status: 0,
            flags: Flags::default(),
            host: None,
            upstream_id: None,
            cluster: None,
            origin: Origin::Upstream,
            reset: false,
            id,
            trace_id: OnceCell::new(),
        }
    }

    /// What finds this request in other logs.
    pub(in crate::proxy) fn trace_id(&self) -> &str {
        self.trace_id.get_or_init(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let begun = now
                .unwrap_or_default()
                .saturating_sub(self.started.elapsed());
            trace_id(begun.as_millis())
        })
    }

    /// Of the time until `finished`, what the proxy took itself: until the request had gone out,
    /// and from when the response had come (MOSN 1.4).
    pub(in crate::proxy) fn process_time(&self, finished: Duration) -> Duration {
        let out = self.forwarded.map_or(finished, |at| at - self.started);
        let back = self.answered.map_or(Duration::ZERO, |at| {
            finished.saturating_sub(at - self.started)
        });
        out + back
    }

    /// Counts it in `counters`, once it is over.
    pub(in crate::proxy) fn count(&self, counters: &HttpCounters) {
        let time = self.started.elapsed();
        counters.end(self.status, time, self.process_time(time));
        if self.reset {
            counters.count_reset();
        }
        if self.flags.is_failure_of_proxy() {
            counters.count_failed();
        }
    }
}
