//! What the pools of one proxy's workers ask of each other: to make room.
//!
//! A limit of connections holds for all workers together, and what is idle on one of them counts
//! too. A worker that finds a cluster full has another one close an idle connection; until that is
//! closed nothing is opened, so the limit is never exceeded.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::cluster::Limits;

/// Pleas that may wait at one worker; whoever finds no room goes without.
const PLEAS: usize = 64;

/// How long a worker may take to answer a plea: the wait for a part of it that restarts.
const PATIENCE: Duration = Duration::from_secs(1);

/// The pools of all workers. A clone is the same circle.
#[derive(Clone, Debug, Default)]
pub struct Neighbours(Arc<ArcSwap<Vec<Neighbour>>>);

#[derive(Clone, Debug)]
struct Neighbour {
    pleas: mpsc::Sender<Plea>,
    idle: Arc<AtomicUsize>,
}

/// Someone asks that an idle connection of a cluster be closed.
#[derive(Debug)]
pub(super) struct Plea {
    /// Those of the cluster.
    pub(super) limits: Arc<Limits>,
    /// Told whether one was.
    pub(super) answer: oneshot::Sender<bool>,
}

impl Neighbours {
    /// Takes a place among them for a pool in which so many connections are `idle`; what the others
    /// will ask of it.
    pub(super) fn join(&self, idle: &Arc<AtomicUsize>) -> mpsc::Receiver<Plea> {
        let (pleas, heard) = mpsc::channel(PLEAS);
        let new = Neighbour {
            pleas,
            idle: Arc::clone(idle),
        };
        self.0.rcu(|others| {
            // Who is gone has dropped the other end.
            let there = others.iter().filter(|one| !one.pleas.is_closed());
            there.chain([&new]).cloned().collect::<Vec<_>>()
        });
        heard
    }

    /// Has the others close one idle connection of the cluster with these limits; whether one was.
    pub(super) async fn plead(&self, limits: &Arc<Limits>, mine: &Arc<AtomicUsize>) -> bool {
        let others = self.0.load_full();
        let with_idle =
            |one: &&Neighbour| !Arc::ptr_eq(&one.idle, mine) && one.idle.load(Relaxed) > 0;
        for other in others.iter().filter(with_idle) {
            let (answer, answered) = oneshot::channel();
            let limits = Arc::clone(limits);
            if other.pleas.try_send(Plea { limits, answer }).is_err() {
                continue;
            }
            if let Ok(Ok(true)) = timeout(PATIENCE, answered).await {
                return true;
            }
        }
        false
    }
}
