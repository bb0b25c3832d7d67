//! What load to make.

use std::net::SocketAddr;
use std::time::Duration;

use super::target::Target;

/// What load to make.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) target: Target,
    /// Where the target's host is.
    pub(crate) address: SocketAddr,
    pub(crate) threads: usize,
    /// Of all threads; at least one each.
    pub(crate) connections: usize,
    /// Requests under way on a connection at most.
    pub(crate) streams: usize,
    pub(crate) pace: Pace,
    /// From the start of each thread; what is due in it is sent and not counted.
    pub(crate) warm_up: Duration,
    /// How long a connect may take, and a request from when it was due.
    pub(crate) timeout: Duration,
    pub(crate) ask: Ask,
}

impl Plan {
    /// How long requests that count are due, where that is known before.
    pub(super) fn due_for(&self) -> Duration {
        match self.pace {
            Pace::Closed { .. } => Duration::ZERO,
            Pace::Open {
                per_second,
                requests,
            } => Duration::from_secs_f64(requests as f64 / per_second as f64)
                .saturating_sub(self.warm_up),
        }
    }
}

/// When requests are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// As soon as one before is answered, until so many are sent or so much time is over.
    Closed {
        requests: Option<u64>,
        lasts: Option<Duration>,
    },
    /// At a fixed rate.
    Open { per_second: u64, requests: u64 },
}

/// What is asked. Empty means what the protocol asks by default.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    /// Fields to add, or to put in place of those that are there.
    pub(crate) fields: Vec<(String, String)>,
    /// The body of each request.
    pub(crate) body: Option<Vec<u8>>,
}
