//! The leases by which work counts on its host for as long as it lasts.

use std::ops::Deref;
use std::sync::Arc;

use super::ending::Ending;
use super::host::Host;

/// What a lease counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A connection, from before it is opened until it is closed.
    Connection,
    /// A connection whose bytes are relayed as they are: it is its own one request, so that either
    /// least-loaded choice counts it.
    Relay,
    /// A request, until its response has ended.
    Request,
}

impl Work {
    pub(super) fn is_connection(self) -> bool {
        matches!(self, Self::Connection | Self::Relay)
    }

    pub(super) fn is_request(self) -> bool {
        matches!(self, Self::Request | Self::Relay)
    }
}

/// A chosen host, which counts one more active connection or request while this lives.
///
/// Dropping it gives the count back, however the work ended. It cannot be cloned, so nothing is
/// counted twice.
#[derive(Debug)]
#[must_use = "dropping the lease gives the host back at once"]
pub struct Lease {
    host: Arc<Host>,
    work: Work,
    ending: Ending,
}

impl Lease {
    /// Counts `host` up by one piece of `work`.
    pub fn new(host: Arc<Host>, work: Work) -> Self {
        host.load().begin(work);
        let ending = Ending::default();
        Self { host, work, ending }
    }

    /// Counts `host` up by a piece of `work` that another process has begun, and counted.
    pub fn resumed(host: Arc<Host>, work: Work) -> Self {
        host.load().resume(work);
        let ending = Ending::default();
        Self { host, work, ending }
    }

    /// Says how the connection that it counts ends, once it is open. The last word counts.
    pub fn ends(&mut self, ending: Ending) {
        self.ending = ending;
    }

    /// The host, for callers that keep it after the lease.
    #[must_use]
    pub fn host(&self) -> &Arc<Host> {
        &self.host
    }
}

impl Deref for Lease {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.host
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.host.load().end(self.work, self.ending);
    }
}

#[cfg(test)]
mod tests {
    use super::super::host::tests::host;
    use super::*;
    use crate::telemetry::tally::Tally;

    #[test]
    fn a_lease_counts_its_host_while_it_lives() {
        let host = Arc::new(host(1, 1));
        let first = Lease::new(host.clone(), Work::Connection);
        let second = Lease::new(host.clone(), Work::Request);
        assert_eq!(host.load().active_connections(), 1);
        assert_eq!(host.load().active_requests(), 1);

        drop((first, second));

        assert_eq!(host.load().active_connections(), 0);
        assert_eq!(host.load().active_requests(), 0);
        assert_eq!((host.load().connections(), host.load().requests()), (1, 1));
    }

    #[test]
    fn a_connection_that_was_open_ends_in_one_way() {
        const WAYS: [Ending; 4] = [
            Ending::Local,
            Ending::Remote,
            Ending::LocalAmidRequest,
            Ending::RemoteAmidRequest,
        ];
        let host = Arc::new(host(1, 1));
        drop(Lease::new(host.clone(), Work::Connection));
        assert_eq!(WAYS.map(|way| host.load().ended(way)), [0; 4]);
        for (at, way) in WAYS.into_iter().enumerate() {
            let mut lease = Lease::new(host.clone(), Work::Connection);
            lease.ends(Ending::Local);
            lease.ends(way);
            drop(lease);
            let mut expected = [1, 1, 1, 1];
            expected[at + 1..].fill(0);
            assert_eq!(WAYS.map(|way| host.load().ended(way)), expected);
        }
    }

    #[test]
    fn a_relay_counts_as_a_connection_and_as_its_request() {
        let host = Arc::new(host(1, 1));
        let lease = Lease::new(host.clone(), Work::Relay);
        let load = host.load();
        assert_eq!((load.active_connections(), load.active_requests()), (1, 1));

        drop(lease);

        assert_eq!((load.active_connections(), load.active_requests()), (0, 0));
    }

    #[test]
    fn work_that_another_process_has_begun_counts_while_it_lasts_and_as_it_ends() {
        let host = Arc::new(host(1, 1));
        let mut lease = Lease::resumed(host.clone(), Work::Relay);
        let load = host.load();
        assert_eq!((load.active_connections(), load.active_requests()), (1, 1));
        assert!(Tally::of(&**load).is_empty());

        lease.ends(Ending::Local);
        drop(lease);

        assert_eq!((load.connections(), load.requests()), (0, 0));
        assert_eq!(load.ended(Ending::Local), 1);
    }

    #[test]
    fn a_panic_gives_the_lease_back() {
        let host = Arc::new(host(1, 1));
        let leased = host.clone();
        let result = std::panic::catch_unwind(move || {
            let _lease = Lease::new(leased, Work::Connection);
            panic!("the holder of a lease");
        });
        assert!(result.is_err());
        assert_eq!(host.load().active_connections(), 0);
    }
}
