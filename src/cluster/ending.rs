//! How connections to a host end.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// How a connection to a host ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// It was never open.
    #[default]
    Unopened,
    /// This process closes it, with nothing under way.
    Local,
    /// The host has closed it, with nothing under way.
    Remote,
    /// This process closes it in the middle of a request.
    LocalAmidRequest,
    /// The host has closed it in the middle of a request.
    RemoteAmidRequest,
}

/// How connections that this process has closed are called in a tally.
pub(super) const CLOSED_HERE: &str = "connections_closed_here";

/// How many connections to a host have ended in which way.
#[derive(Debug, Default)]
pub(super) struct Endings {
    local: AtomicU64,
    remote: AtomicU64,
    local_amid_request: AtomicU64,
    remote_amid_request: AtomicU64,
}

impl Endings {
    /// Connections that have ended so.
    pub(super) fn of(&self, ending: Ending) -> u64 {
        self.counter(ending)
            .map_or(0, |counter| counter.load(Relaxed))
    }

    /// Shows each counter with its name in a tally.
    pub(super) fn each(&self, show: &mut dyn FnMut(&'static str, &AtomicU64)) {
        show(CLOSED_HERE, &self.local);
        show("connections_closed_by_host", &self.remote);
        show("connections_cut_here", &self.local_amid_request);
        show("connections_cut_by_host", &self.remote_amid_request);
    }

    pub(super) fn count(&self, ending: Ending) {
        if let Some(counter) = self.counter(ending) {
            counter.fetch_add(1, Relaxed);
        }
    }

    fn counter(&self, ending: Ending) -> Option<&AtomicU64> {
        Some(match ending {
            Ending::Unopened => return None,
            Ending::Local => &self.local,
            Ending::Remote => &self.remote,
            Ending::LocalAmidRequest => &self.local_amid_request,
            Ending::RemoteAmidRequest => &self.remote_amid_request,
        })
    }
}
