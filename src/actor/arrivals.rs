//! Connections that have come from the predecessor process, on their way to a worker.
//!
//! The receiving ends belong to the halls of the workers' threads, so that no crash of a worker loses
//! a connection that waits there.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::actor::listeners::Post;
use crate::config;
use crate::protocol::http1::Rest;
use crate::proxy::Packed;
use crate::upstream::{Handed, HandedTrunk, Held};

/// Connections that may wait at one worker; while it is full, the predecessor waits.
const QUEUE: usize = 64;

/// A connection that has come from the predecessor.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// A client's.
    Downstream(Box<Downstream>),
    /// One to a host, between two requests.
    Idle(Box<Handed>),
    /// One to a host that requests share, for the worker of this number.
    Shared(usize, Box<HandedTrunk>),
}

/// A client's connection that has come from the predecessor.
#[derive(Debug)]
pub(crate) struct Downstream {
    /// The listener that it came by.
    pub post: Arc<Post>,
    /// Its place among those that the process takes.
    pub permit: OwnedSemaphorePermit,
    /// For how long it may be idle; `None` is for ever.
    pub idle_timeout: Option<Duration>,
    /// For how long it has been.
    pub quiet: Duration,
    /// What it is.
    pub what: What,
}

/// What has come.
#[derive(Debug)]
pub(crate) enum What {
    /// An HTTP/1 connection between two requests, and what came of the next one.
    Http1 {
        /// Downstream's.
        socket: OwnedFd,
        /// What it remembers.
        rest: Rest,
        /// What it said of its next request.
        unread: Vec<u8>,
    },
    /// A connection of which it is not known yet what it speaks: nothing of it was read.
    Untold {
        /// Downstream's.
        socket: OwnedFd,
        /// For how long it was waited for.
        waited: Duration,
    },
    /// A connection between two frames of RPC, and what came of the next one.
    Rpc {
        /// Downstream's.
        socket: OwnedFd,
        /// The name of its protocol.
        speaks: &'static str,
        /// What it said of its next frame.
        unread: Vec<u8>,
    },
    /// Two connections whose bytes are relayed.
    Pair {
        /// Downstream's, then upstream's.
        sockets: [OwnedFd; 2],
        /// What they are apart from that.
        pair: Box<Pair>,
    },
}

/// Two connections whose bytes are relayed.
#[derive(Debug)]
pub(crate) struct Pair {
    /// Counts it on its host.
    pub held: Held,
    /// The cluster of its host.
    pub cluster: Arc<config::Cluster>,
    /// Whether it was an HTTP request.
    pub is_tunnel: bool,
    /// What it goes on with.
    pub packed: Packed,
    /// Bytes that its host had sent before.
    pub sent: u64,
}

/// The ways to all workers. A clone is the same set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arrivals(Arc<Ways>);

#[derive(Debug, Default)]
struct Ways {
    workers: ArcSwap<Vec<mpsc::Sender<Arrival>>>,
    turn: AtomicUsize,
}

impl Arrivals {
    /// A way to one more worker.
    pub(super) fn join(&self) -> mpsc::Receiver<Arrival> {
        let (new, arrivals) = mpsc::channel(QUEUE);
        self.0.workers.rcu(|others| {
            // Who is gone has dropped the other end.
            let there = others.iter().filter(|one| !one.is_closed());
            there.chain([&new]).cloned().collect::<Vec<_>>()
        });
        arrivals
    }

    /// How many workers there are.
    pub(super) fn workers(&self) -> usize {
        let workers = self.0.workers.load();
        workers.iter().filter(|one| !one.is_closed()).count()
    }

    /// A place at the worker of this number, where it has one now.
    pub(super) fn place_at(&self, number: usize) -> Place {
        let workers = self.0.workers.load();
        let mut there = workers.iter().filter(|one| !one.is_closed());
        let worker: Option<mpsc::Sender<_>> = there.nth(number).cloned();
        Place {
            permit: worker.and_then(|worker| worker.try_reserve_owned().ok()),
            turns: None,
        }
    }

    /// A place at the worker whose turn it is; waits while that one has as many as it takes. Its turn is
    /// over when the place is used.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub(super) async fn place(&self) -> Place {
        let workers = self.0.workers.load_full();
        let there: Vec<_> = workers.iter().filter(|one| !one.is_closed()).collect();
        let turn = self.0.turn.load(Relaxed);
        let permit = match there.get(turn % there.len().max(1)) {
            // Whose thread dies with it would have died with the connection a moment later.
            Some(worker) => mpsc::Sender::clone(worker).reserve_owned().await.ok(),
            None => None,
        };
        let turns = Some(self.clone());
        Place { permit, turns }
    }

    /// It is the next worker's turn.
    pub(super) fn pass(&self) {
        self.0.turn.fetch_add(1, Relaxed);
    }
}

/// A place for a connection at a worker.
#[derive(Debug)]
pub(super) struct Place {
    permit: Option<mpsc::OwnedPermit<Arrival>>,
    /// Where the turn goes on with its use.
    turns: Option<Arrivals>,
}

impl Place {
    /// Sends a connection there. Where no worker is left it ends.
    pub(super) fn put(self, arrival: Arrival) {
        if let Some(permit) = self.used() {
            permit.send(arrival);
        }
    }

    fn used(self) -> Option<mpsc::OwnedPermit<Arrival>> {
        if let Some(turns) = self.turns {
            turns.pass();
        }
        self.permit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix::test]
    async fn a_turn_is_over_when_its_place_is_used() {
        let arrivals = Arrivals::default();
        let workers = [arrivals.join(), arrivals.join(), arrivals.join()];
        let mut order = vec![];
        for _ in 0..6 {
            // Whoever waits for a connection asks for a place more often than one comes.
            for _ in 0..2 {
                drop(arrivals.place().await);
            }
            let place = arrivals.place().await.used().unwrap();
            let taken = |worker: &mpsc::Receiver<Arrival>| worker.capacity() < QUEUE;
            order.push(workers.iter().position(taken).unwrap());
            drop(place);
        }
        assert_eq!(order, [0, 1, 2, 0, 1, 2]);
    }
}
