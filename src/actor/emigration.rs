//! Upstream connections of one worker that nothing is under way on, on their way to the successor
//! process.
//!
//! They leave one after the other, the newest first, and those that requests give back meanwhile
//! behind them. Until one is offered, requests that are still served here may take it. The successor
//! has some of its own by then, and takes only as many more as make up what there was.
//!
//! Those that requests share leave when no client is left here that could use them, or when none has
//! for a while.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use crate::actor::mover::{Leaving, Mover, Verdict};
use crate::cluster::Host;
use crate::protocol::handover::{Idle, Kind, Shared, Upstream};
use crate::upstream::{Parted, Pools, Resting, Trunks};

/// How long a process that has nothing else left may take for those that are to move.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);

/// A shared connection leaves when it was not used for so long, and is looked at as often.
const RESTS_FOR: Duration = Duration::from_secs(1);

/// A shared connection of whose next frame more has come is closed instead.
const MOST_UNREAD: usize = 1024 * 1024;

/// By the address of a host's load, which the host keeps where it is.
type Crowds = HashMap<usize, (Arc<Host>, u64)>;

/// How idle upstream connections leave for the successor.
#[derive(Default)]
pub(super) struct Emigration {
    /// The way, once there is one.
    mover: RefCell<Option<Mover>>,
    begun: Notify,
    shared_begun: Notify,
    /// How many connections to each host there were as it began.
    crowds: RefCell<Crowds>,
    /// Whether all that were idle have left.
    is_empty: watch::Sender<bool>,
}

impl Emigration {
    /// There is a way: that of some listener's connections.
    pub(super) fn begin(&self, mover: &Mover, pools: &Pools) {
        let mut known = self.mover.borrow_mut();
        if known.is_none() {
            *known = Some(mover.of_idle());
            for host in pools.hosts() {
                self.crowd_of(&host);
            }
            self.begun.notify_one();
            self.shared_begun.notify_one();
        }
    }

    /// How many connections to this host there were as the moves began, or when it was asked first.
    fn crowd_of(&self, host: &Arc<Host>) -> u64 {
        let mut crowds = self.crowds.borrow_mut();
        let now = || (Arc::clone(host), host.load().active_connections());
        let key = Arc::as_ptr(host.load()).addr();
        crowds.entry(key).or_insert_with(now).1
    }

    /// Moves those that are idle, or will be, once there is a way and as long as it is open. Never
    /// ends.
    pub(super) async fn run(&self, pools: &Pools) {
        loop {
            let Some(mover) = self.way() else {
                self.begun.notified().await;
                continue;
            };
            let resting = match pools.any_now(Instant::now()) {
                Some(resting) => resting,
                None => {
                    self.is_empty.send_replace(true);
                    pools.any().await
                }
            };
            self.is_empty.send_replace(false);
            self.offer(&mover, pools, resting).await;
        }
    }

    /// Moves shared connections that are not used any more, once there is a way and as long as it is
    /// open. Never ends.
    pub(super) async fn run_shared(&self, trunks: &Trunks) {
        loop {
            match self.way() {
                Some(_) => sleep(RESTS_FOR).await,
                None => self.shared_begun.notified().await,
            }
            self.move_shared(trunks, RESTS_FOR).await;
        }
    }

    async fn move_shared(&self, trunks: &Trunks, rested: Duration) {
        let Some(mover) = self.way() else {
            return;
        };
        for parted in trunks.part(rested) {
            // One that has ended in this moment does not come.
            if let Ok(parted) = parted.await
                && let Ok(leaving) = leaving_shared(&parted)
                && mover.offer(leaving).await == Verdict::Moved
            {
                parted.has_moved();
            }
        }
    }

    fn way(&self) -> Option<Mover> {
        let mover = self.mover.borrow();
        mover.as_ref().filter(|mover| mover.is_open()).cloned()
    }

    async fn offer(&self, mover: &Mover, pools: &Pools, resting: Resting) {
        let verdict = match leaving(&resting, self.crowd_of(resting.host())) {
            Ok(leaving) => mover.offer(leaving).await,
            Err(_) => Verdict::Stays,
        };
        match verdict {
            Verdict::Moved => resting.has_moved(),
            // It is of no use there, and of little here.
            Verdict::Stays if mover.is_open() => drop(resting),
            Verdict::Stays => pools.put_back(resting),
        }
    }

    /// No client is left: moves all that can, and waits until it has; not for long.
    pub(super) async fn emptied(&self, trunks: &Trunks) {
        if self.way().is_some() {
            let shared = self.move_shared(trunks, Duration::ZERO);
            let _ = timeout(LEAVE_WITHIN, shared).await;
            let mut is_empty = self.is_empty.subscribe();
            let emptied = is_empty.wait_for(|is_empty| *is_empty);
            let _ = timeout(LEAVE_WITHIN, emptied).await;
        }
    }
}

/// With what one leaves, of so many to its host.
fn leaving(resting: &Resting, most: u64) -> std::io::Result<Leaving> {
    let upstream = Upstream {
        cluster: resting.cluster().to_string(),
        host: resting.host().to_string(),
    };
    Ok(Leaving {
        kind: Kind::Idle(Idle {
            upstream,
            speaks: resting.speaks().to_owned(),
            served: resting.served(),
            mark: resting.mark(),
            most,
        }),
        payload: Vec::new(),
        sockets: vec![resting.carry()?],
        moved: (0, 0),
        idle_timeout: resting.left(Instant::now()),
        quiet: Duration::ZERO,
    })
}

fn leaving_shared(parted: &Parted) -> std::io::Result<Leaving> {
    if parted.unread().len() > MOST_UNREAD {
        return Err(std::io::ErrorKind::FileTooLarge.into());
    }
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let memory = parted.memory();
    let upstream = Upstream {
        cluster: parted.cluster().to_string(),
        host: parted.host().to_string(),
    };
    Ok(Leaving {
        kind: Kind::Shared(Shared {
            upstream,
            speaks: parted.speaks().to_owned(),
            frame_bytes: parted.frame_bytes(),
            mark: parted.mark(),
            ids: (memory.count.next, memory.count.came_round),
            heartbeats: memory.heartbeats.clone(),
            heard_millis: millis(memory.beat.quiet),
            asked_millis: memory.beat.asked.map(millis),
            failed: memory.beat.failed,
        }),
        payload: parted.unread().to_vec(),
        sockets: vec![parted.carry()?],
        moved: (0, 0),
        idle_timeout: None,
        quiet: memory.idle,
    })
}
