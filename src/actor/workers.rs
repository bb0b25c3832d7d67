//! The workers: one thread each, all alike.
//!
//! In: nothing; what concerns a worker is asked of it through its slot. Out: nothing. The threads
//! are the root's: a worker that restarts does so on its own, or on a new one when that has died.

use std::rc::Rc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::timeout;

use crate::actor::slot::Slot;
use crate::actor::supervisor::{self, ChildSpec, Life, StartError, View};
use crate::actor::threads::Threads;
use crate::actor::worker::{self, Orders};
use crate::supervise::{Exit, Policy, Restart, Shutdown, Strategy};

/// When workers fail so often the proxy as a whole has failed.
const POLICY: Policy = Policy {
    strategy: Strategy::OneForOne,
    max_restarts: 10,
    within: Duration::from_secs(30),
};

/// How long a worker may take to end its own children, each of which is killed at once.
const FAREWELL: Duration = Duration::from_secs(2);

/// How long a worker may take to follow a change: it starts actors, and takes what is queued at the
/// listeners that leave.
const RECONCILES_WITHIN: Duration = Duration::from_secs(10);

/// The doors to all workers, by index.
#[derive(Clone)]
pub(super) struct Doors(Rc<[Slot<worker::Handle>]>);

impl Doors {
    /// Doors for so many workers, all still closed.
    #[must_use]
    pub(super) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| Slot::default()).collect())
    }

    /// Makes every worker be what shelf and board say.
    ///
    /// # Errors
    ///
    /// The first worker that could not, or did not answer in time, in words; the others did.
    pub(super) async fn reconcile(&self) -> Result<(), String> {
        let in_time = |door| timeout(RECONCILES_WITHIN, worker::reconcile(door));
        let answers = join_all(self.0.iter().map(in_time)).await.into_iter();
        let late = |_| Err(format!("no answer within {RECONCILES_WITHIN:?}"));
        let answers = answers.map(|answer| answer.unwrap_or_else(late));
        let failed = answers
            .enumerate()
            .find_map(|(n, answer)| Some((n, answer.err()?)));
        failed.map_or(Ok(()), |(n, reason)| Err(format!("worker {n}: {reason}")))
    }

    /// Waits until no connection is left on a listener that was taken down.
    pub(super) async fn drained(&self) {
        // A worker that does not come back has no connections.
        join_all(self.0.iter().map(worker::drained)).await;
    }
}

/// Starts one worker a door; when it returns, every worker runs.
///
/// # Errors
///
/// How the supervisor ended, when a worker cannot be started or it panics meanwhile.
pub(super) async fn start(
    orders: Orders,
    doors: Doors,
    threads: Threads,
    subtree: supervisor::Slot<View>,
) -> Result<Life, Exit> {
    let spec = |(index, door): (usize, &Slot<worker::Handle>)| {
        let orders = Orders {
            index,
            ..orders.clone()
        };
        child(orders, door.clone(), threads.clone())
    };
    let specs = doors.0.iter().enumerate().map(spec).collect();
    let (handle, mut life) = supervisor::start("workers", POLICY, specs, orders.log.clone());
    subtree.fill(handle.view());
    match handle.started().await {
        Ok(()) => Ok(life),
        Err(error @ StartError::Failed { .. }) => Err(Exit::Fail(error.to_string())),
        // Its end knows why.
        Err(StartError::Gone) => Err(life.ended().await),
    }
}

fn child(orders: Orders, door: Slot<worker::Handle>, threads: Threads) -> ChildSpec {
    let id = format!("worker {}", orders.index);
    let subtree = supervisor::Slot::<View>::default();
    let filled = subtree.clone();
    let start = move || {
        let (orders, door, filled) = (orders.clone(), door.clone(), filled.clone());
        let threads = threads.clone();
        async move {
            let index = orders.index;
            let start = move |hall| worker::start(&orders, hall, &door);
            let (view, life) = threads.run(index, start).await?;
            filled.fill(view);
            Ok::<_, Exit>(life)
        }
    };
    ChildSpec::starting(id, Restart::Permanent, start)
        .supervisor(subtree)
        .shutdown(Shutdown::Drain(FAREWELL))
}
