//! What stays on a worker's thread whoever of its actors dies: the connections each lane has
//! admitted, those of them that rest, and the way by which they find clusters.
//!
//! A hall is as old as its thread, and owned by nobody on it. A worker that restarts finds the hall
//! as the life before left it, and its lanes go on with the connections that are there.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::actor::arrivals::{Arrival, Arrivals, Downstream};
use crate::actor::aside::{self, Trunk};
use crate::actor::cluster::Directory;
use crate::actor::connections::Admitted;
use crate::actor::emigration::Emigration;
use crate::actor::listeners::Post;
use crate::actor::logger;
use crate::actor::mover::Moving;
use crate::actor::parking::{Parked, Parking};
use crate::actor::setting::{Numbers, Setting};
use crate::actor::slot::Slot;
use crate::actor::supervisor::Group;
use crate::actor::worker::Orders;
use crate::telemetry::access_log::WorkerLines;
use crate::upstream::{Book, Neighbours, Pools, Trunks};

/// The hall of one worker's thread.
#[derive(Clone, Default)]
pub(super) struct Hall(Rc<Inner>);

#[derive(Default)]
struct Inner {
    /// One a listener, also of those that were taken down and drain.
    admitted: RefCell<Vec<Rc<Admitted>>>,
    parking: Parking,
    /// What comes from the predecessor.
    arrivals: RefCell<Option<mpsc::Receiver<Arrival>>>,
    directory: Directory,
    pools: Pools,
    /// How those of them that are idle leave for the successor.
    emigration: Emigration,
    trunks: Trunks,
    drivers: Drivers,
    lines: WorkerLines,
}

/// What moves the bytes of upstream connections that requests of many lanes share.
struct Drivers {
    group: Rc<Group>,
    /// Who is told of those that panic; the first logger is the only one.
    logger: Rc<OnceCell<Slot<logger::Handle>>>,
}

impl Default for Drivers {
    fn default() -> Self {
        let logger = Rc::new(OnceCell::<Slot<logger::Handle>>::new());
        let told = Rc::clone(&logger);
        let what = "what drives a connection to a host";
        Self {
            group: Rc::new(aside::group(what, move || told.get()?.get())),
            logger,
        }
    }
}

thread_local! {
    static HALL: Hall = Hall::default();
}

impl Hall {
    /// The one of this thread, on which there is one worker only.
    pub(super) fn here() -> Self {
        HALL.with(Self::clone)
    }

    /// This worker's clusters.
    pub(super) fn directory(&self) -> &Directory {
        &self.0.directory
    }

    /// Closes upstream connections as soon as their peers do, and has downstream ones that were
    /// parked go on when theirs speak. Never ready.
    pub(super) fn poll_keep(&self, cx: &mut Context<'_>) -> Poll<()> {
        while let Poll::Ready(spoken) = self.0.parking.poll_spoken(cx) {
            spoken.into_iter().for_each(|parked| self.resume(parked));
        }
        self.poll_arrivals(cx);
        self.0.pools.poll_keep(cx)
    }

    /// Serves what comes from the predecessor.
    fn poll_arrivals(&self, cx: &mut Context<'_>) {
        let mut arrivals = self.0.arrivals.borrow_mut();
        let Some(arrivals) = &mut *arrivals else {
            return;
        };
        while let Poll::Ready(Some(arrival)) = arrivals.poll_recv(cx) {
            match arrival {
                Arrival::Downstream(downstream) => self.arrive(*downstream),
                Arrival::Idle(handed) => {
                    // Where it cannot be watched it is closed, and the next request opens another.
                    let _ = self.0.pools.adopt(*handed, Instant::now());
                }
                Arrival::Shared(_, handed) => {
                    if let Ok(driver) = self.0.trunks.adopt(*handed) {
                        self.0.drivers.group.run(|_| Trunk::driven(driver));
                    }
                }
            }
        }
    }

    fn arrive(&self, downstream: Downstream) {
        let all = self.0.admitted.borrow().clone();
        let is_it = |one: &&Rc<Admitted>| Arc::ptr_eq(one.post(), &downstream.post);
        // One whose listener has been taken down meanwhile ends with it.
        if let Some(admitted) = all.iter().find(is_it) {
            admitted.arrive(downstream);
        }
    }

    /// Has idle upstream connections move to the successor, once any connection can.
    pub(super) fn part(&self) {
        let all = self.0.admitted.borrow();
        let mover = all.iter().find_map(|one| one.post().mover());
        if let Some(mover) = mover {
            self.0.emigration.begin(mover, &self.0.pools);
        }
    }

    /// Moves idle upstream connections to the successor, once and for as long as they are to. Never
    /// ends.
    pub(super) async fn move_idle(&self) {
        self.0.emigration.run(&self.0.pools).await;
    }

    /// The same of those that requests share.
    pub(super) async fn move_shared(&self) {
        self.0.emigration.run_shared(&self.0.trunks).await;
    }

    /// No client is left here: waits a moment for those to hosts that are to move.
    pub(super) async fn moved_idle(&self) {
        self.0.emigration.emptied(&self.0.trunks).await;
    }

    /// Lets the worker's pool and those of the others make room for one another, and read one book, and
    /// has the worker take its share of what the predecessor hands over.
    pub(super) fn join(&self, neighbours: &Neighbours, book: &Book, arrivals: &Arrivals) {
        self.0.pools.join(neighbours);
        self.0.pools.read(book);
        self.0.trunks.read(book);
        let mut joined = self.0.arrivals.borrow_mut();
        joined.get_or_insert_with(|| arrivals.join());
    }

    fn resume(&self, parked: Parked) {
        let generation = parked.past.generation;
        let all = self.0.admitted.borrow();
        let known = all.iter().find(|one| one.post().generation == generation);
        // One whose listener is forgotten has been closed.
        if let Some(admitted) = known {
            admitted.resume(parked);
        }
    }

    /// Closes the idle connections that are of no use, those to hosts that have left among them.
    pub(super) fn sweep_pools(&self) {
        self.0.pools.sweep(Instant::now());
    }

    /// So much time has passed: closes connections that are idle too long, and hands what was
    /// logged to the writers.
    pub(super) fn tick(&self, tick: Duration) {
        self.0.parking.sweep(tick);
        self.sweep_pools();
        self.0.trunks.sweep();
        self.0.lines.flush();
    }

    /// What came by this listener so far; nothing when it is new.
    pub(super) fn admitted(&self, post: &Arc<Post>, orders: &Orders) -> Rc<Admitted> {
        let mut all = self.0.admitted.borrow_mut();
        let known = |admitted: &&Rc<Admitted>| Arc::ptr_eq(admitted.post(), post);
        if let Some(known) = all.iter().find(known) {
            return Rc::clone(known);
        }
        self.0.drivers.logger.get_or_init(|| orders.logger.clone());
        let copies = orders.logger.clone();
        let admitted = Rc::new(Admitted::new(Setting {
            post: Arc::clone(post),
            counters: Arc::clone(&post.counters[orders.index]),
            requests: Arc::clone(&post.requests[orders.index]),
            directory: self.0.directory.clone(),
            judge: orders.clusters.clone(),
            pools: self.0.pools.clone(),
            trunks: self.0.trunks.clone(),
            drivers: Rc::clone(&self.0.drivers.group),
            tables: orders.tables.clone(),
            lines: self.0.lines.clone(),
            parking: self.0.parking.clone(),
            goodbye: Rc::default(),
            moving: Moving::default(),
            numbers: Numbers::of(Arc::clone(&orders.numbers)),
            aside: aside::group("a copy of a request", move || copies.get()),
            open: RefCell::default(),
            logger: orders.logger.clone(),
            log: orders.log.clone(),
        }));
        all.push(Rc::clone(&admitted));
        admitted
    }

    /// What came by any listener.
    pub(super) fn all(&self) -> Vec<Rc<Admitted>> {
        self.0.admitted.borrow().clone()
    }

    /// Forgets a listener, by its generation, of which nothing is left.
    pub(super) fn forget(&self, generation: u64) {
        let mut all = self.0.admitted.borrow_mut();
        all.retain(|admitted| admitted.post().generation != generation);
    }
}
