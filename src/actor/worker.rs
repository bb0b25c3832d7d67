//! One worker: a thread with this worker's share of every cluster and every listener.
//!
//! In: [`Reconcile`] from the root, whenever shelf or board changed; [`Drained`]. Out: cluster
//! actors and lanes started and removed, so that they are what shelf and board say. A worker that
//! restarts reads the same shelf and board: it needs to be told nothing. The connections of its
//! life before wait for it in the hall of its thread.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::{Notify, Semaphore};

use crate::actor::arrivals::Arrivals;
use crate::actor::cluster;
use crate::actor::clusters::{self, Current, Shelf};
use crate::actor::connections::Admitted;
use crate::actor::hall::Hall;
use crate::actor::lane::{self, Lane, State};
use crate::actor::listeners::{Board, Post};
use crate::actor::logger;
use crate::actor::routers::Tables;
use crate::actor::slot::{Slot, Unavailable};
use crate::actor::supervisor::{self, ChildSpec, Life, View, run};
use crate::name::ClusterName;
use crate::supervise::{Policy, Strategy};
use crate::upstream::{Book, Neighbours};

/// A worker gives up, and starts afresh, when its children fail so often.
const POLICY: Policy = Policy {
    strategy: Strategy::OneForOne,
    max_restarts: 20,
    within: Duration::from_secs(10),
};

/// How often connections at rest and access logs are looked after.
const TICK: Duration = Duration::from_secs(1);

/// What every worker is made from.
#[derive(Clone)]
pub(super) struct Orders {
    /// Which worker this is, from 0.
    pub index: usize,
    /// The clusters there are.
    pub shelf: Shelf,
    /// Who judges hosts that fail.
    pub clusters: Slot<clusters::Handle>,
    /// The pools of all workers.
    pub neighbours: Neighbours,
    /// Where names of hosts lead.
    pub book: Book,
    /// What comes from the predecessor.
    pub arrivals: Arrivals,
    /// The listeners there are.
    pub board: Board,
    /// The routes there are.
    pub tables: Tables,
    /// Where connections and requests get their numbers.
    pub numbers: Arc<AtomicU64>,
    /// How many more connections the process takes.
    pub admission: Arc<Semaphore>,
    /// How long the connections of a listener that was taken down may last.
    pub drain_time: Duration,
    /// Where the events of connections go.
    pub logger: Slot<logger::Handle>,
    /// Where exits and restarts are written.
    pub log: slog::Logger,
}

/// Starts the worker on the current arbiter, whose hall this is, and fills `slot` with the door to
/// it.
pub(super) fn start(orders: &Orders, hall: Hall, slot: &Slot<Handle>) -> (View, Life) {
    let crew = Crew {
        orders: orders.clone(),
        hall,
        clusters: Rc::default(),
        lanes: Rc::default(),
        supervisor: Rc::default(),
        closing: Rc::default(),
        gone: Rc::default(),
        turn: Rc::new(tokio::sync::Mutex::new(())),
    };
    crew.hall
        .join(&orders.neighbours, &orders.book, &orders.arrivals);
    let (roster, door) = (crew.clone(), slot.clone());
    let roster = ChildSpec::permanent("roster", move || Roster::start(roster.clone(), &door));
    let (clusters, posts) = (orders.shelf.all(), orders.board.posts());
    crew.hall
        .directory()
        .retain(|name| clusters.contains_key(name));
    let clusters = clusters
        .iter()
        .map(|(name, current)| crew.cluster(name, current));
    let lanes = posts.iter().filter_map(|post| crew.lane(post));
    let lanes = crew.left_over(&posts).into_iter().chain(lanes);
    // Connections ask clusters, so lanes come last and go first.
    let specs = std::iter::once(roster)
        .chain(clusters)
        .chain(lanes)
        .collect();
    let name = format!("worker {}", orders.index);
    let (handle, life) = supervisor::start(name, POLICY, specs, orders.log.clone());
    let view = handle.view();
    crew.supervisor.replace(Some(handle));
    (view, life)
}

/// The only way in.
#[derive(Clone)]
pub(super) struct Handle(Addr<Roster>);

/// Makes the worker be what shelf and board say; when it answers, it accepts on every new
/// listener and on no old one.
///
/// # Errors
///
/// In words, when a child could not be started or the worker did not answer in time.
pub(super) async fn reconcile(worker: &Slot<Handle>) -> Result<(), String> {
    let answer = worker.ask(|handle| handle.0.send(Reconcile)).await;
    answer.map_err(|unavailable| unavailable.to_string())?
}

/// Waits until no connection is left on a listener that was taken down, without any deadline: the
/// process drains.
///
/// # Errors
///
/// [`Unavailable`] when the worker ended meanwhile and did not come back.
pub(super) async fn drained(worker: &Slot<Handle>) -> Result<(), Unavailable> {
    worker.ask(|handle| handle.0.send(Drained)).await
}

/// What a worker consists of. It belongs to the worker's supervisor, not to its roster.
#[derive(Clone)]
struct Crew {
    orders: Orders,
    hall: Hall,
    clusters: Rc<RefCell<HashMap<ClusterName, Current>>>,
    lanes: Rc<RefCell<Vec<Lane>>>,
    supervisor: Rc<RefCell<Option<supervisor::Handle>>>,
    /// Whether the process drains: then the root's deadline holds, and no lane has its own.
    closing: Rc<Cell<bool>>,
    /// Told when a lane that was taken down has gone.
    gone: Rc<Notify>,
    /// One reconciliation at a time: each sees what the one before it did.
    turn: Rc<tokio::sync::Mutex<()>>,
}

impl Crew {
    /// Enters a cluster and says how its actor is started.
    fn cluster(&self, name: &ClusterName, current: &Current) -> ChildSpec {
        let slot = self.hall.directory().enter(name.clone(), current);
        let current = Arc::clone(current);
        self.clusters
            .borrow_mut()
            .insert(name.clone(), Arc::clone(&current));
        ChildSpec::permanent(cluster_id(name), move || {
            cluster::start(Arc::clone(&current), &slot)
        })
    }

    /// Enters a lane and says how it is started; `None` when the listener has no socket here.
    fn lane(&self, post: &Arc<Post>) -> Option<ChildSpec> {
        post.socket(self.orders.index, 0)?;
        let admitted = self.hall.admitted(post, &self.orders);
        let state = match post.is_paused() {
            true => State::Paused,
            false => State::Accepting,
        };
        Some(self.take_on(admitted, state))
    }

    /// Lanes for the connections of listeners that were taken down in the life before.
    fn left_over(&self, posts: &[Arc<Post>]) -> Vec<ChildSpec> {
        let stays = |admitted: &Admitted| {
            let generation = admitted.post().generation;
            posts.iter().any(|post| post.generation == generation)
        };
        let mut left = self.hall.all();
        left.retain(|admitted| !stays(admitted));
        left.into_iter()
            .map(|admitted| self.take_on(admitted, State::Draining))
            .collect()
    }

    fn take_on(&self, admitted: Rc<Admitted>, state: State) -> ChildSpec {
        let (lane, spec) = lane::child(admitted, state, &self.orders);
        self.lanes.borrow_mut().push(lane);
        spec
    }

    async fn reconcile(&self) -> Result<(), String> {
        let _turn = self.turn.lock().await;
        let supervisor = self.supervisor.borrow().clone();
        let supervisor = supervisor.ok_or("the worker is still starting")?;
        self.reconcile_clusters(&supervisor).await?;
        self.hall.sweep_pools();
        self.hall.part();
        self.reconcile_lanes(&supervisor).await
    }

    async fn reconcile_clusters(&self, supervisor: &supervisor::Handle) -> Result<(), String> {
        let wanted = self.orders.shelf.all();
        let stale: Vec<_> = {
            let running = self.clusters.borrow();
            let stays = |name: &ClusterName, current: &Current| {
                wanted
                    .get(name)
                    .is_some_and(|wanted| Arc::ptr_eq(wanted, current))
            };
            running
                .iter()
                .filter(|(name, current)| !stays(name, current))
                .map(|(n, _)| n.clone())
                .collect()
        };
        for name in stale {
            // An id that is not there any more was removed by an earlier, interrupted turn.
            let _ = supervisor.remove(&cluster_id(&name)).await;
            self.hall.directory().strike(&name);
            self.clusters.borrow_mut().remove(&name);
        }
        for (name, current) in wanted.iter() {
            if !self.clusters.borrow().contains_key(name) {
                let spec = self.cluster(name, current);
                supervisor
                    .add(spec)
                    .await
                    .map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }

    async fn reconcile_lanes(&self, supervisor: &supervisor::Handle) -> Result<(), String> {
        let wanted = self.orders.board.posts();
        let up = self
            .lanes
            .borrow()
            .iter()
            .filter(|lane| lane.is_up())
            .cloned()
            .collect::<Vec<_>>();
        for lane in up {
            if !wanted
                .iter()
                .any(|post| post.generation == lane.generation())
            {
                lane.stop_accepting().await;
            } else {
                lane.follow().await?;
            }
        }
        self.draining()
            .iter()
            .for_each(|lane| lane.admitted().remind());
        // Only now: a new lane may have got the socket of an old one, and a worker can watch each
        // socket but once.
        for post in wanted.iter() {
            let runs = self
                .lanes
                .borrow()
                .iter()
                .any(|lane| lane.generation() == post.generation);
            if !runs && let Some(spec) = self.lane(post) {
                supervisor
                    .add(spec)
                    .await
                    .map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }

    /// Removes a lane that was taken down as soon as it is empty, or its time is over.
    async fn see_off(&self, lane: Lane) {
        let admitted = lane.admitted();
        let emptied = admitted.emptied_within(self.orders.drain_time).await;
        if !emptied && self.closing.get() {
            admitted.emptied().await;
        }
        let supervisor = self.supervisor.borrow().clone();
        if let Some(supervisor) = supervisor {
            let _ = supervisor.remove(lane.id()).await;
        }
        admitted.end().await;
        self.hall.forget(lane.generation());
        self.lanes
            .borrow_mut()
            .retain(|other| other.generation() != lane.generation());
        self.gone.notify_waiters();
    }

    /// Waits until every lane that was taken down has gone.
    async fn seen_off(&self) {
        // One thread: nothing goes between the look and the wait.
        while !self.draining().is_empty() {
            self.gone.notified().await;
        }
    }

    fn draining(&self) -> Vec<Lane> {
        self.lanes
            .borrow()
            .iter()
            .filter(|lane| !lane.is_up())
            .cloned()
            .collect()
    }
}

fn cluster_id(name: &ClusterName) -> String {
    format!("cluster {name}")
}

struct Roster {
    crew: Crew,
}

impl Roster {
    fn start(crew: Crew, slot: &Slot<Handle>) -> Life {
        let (address, life) = run(|_| Self { crew });
        slot.fill(Handle(address));
        life
    }

    /// Watches the lanes that drain; each is watched once, whichever reconciliation began it.
    fn see_off(&self, ctx: &mut Context<Self>) {
        for lane in self.crew.draining() {
            if lane.watch() {
                let crew = self.crew.clone();
                ctx.spawn(async move { crew.see_off(lane).await }.into_actor(self));
            }
        }
    }
}

impl Actor for Roster {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.crew.draining().iter().for_each(Lane::unwatch);
        self.see_off(ctx);
        ctx.run_interval(TICK, |this, _| this.crew.hall.tick(TICK));
        let hall = self.crew.hall.clone();
        ctx.spawn(poll_fn(move |cx| hall.poll_keep(cx)).into_actor(self));
        let hall = self.crew.hall.clone();
        ctx.spawn(async move { hall.move_idle().await }.into_actor(self));
        let hall = self.crew.hall.clone();
        ctx.spawn(async move { hall.move_shared().await }.into_actor(self));
    }
}

#[derive(Message)]
#[rtype(result = "Result<(), String>")]
struct Reconcile;

impl Handler<Reconcile> for Roster {
    type Result = ResponseActFuture<Self, Result<(), String>>;

    fn handle(&mut self, Reconcile: Reconcile, _: &mut Context<Self>) -> Self::Result {
        let crew = self.crew.clone();
        let work = async move { crew.reconcile().await }.into_actor(self);
        Box::pin(work.map(|done, this, ctx| {
            this.see_off(ctx);
            done
        }))
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Drained;

impl Handler<Drained> for Roster {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, Drained: Drained, _: &mut Context<Self>) -> Self::Result {
        self.crew.closing.set(true);
        let crew = self.crew.clone();
        let drained = async move {
            crew.seen_off().await;
            crew.hall.moved_idle().await;
        };
        Box::pin(drained.into_actor(self))
    }
}

#[cfg(test)]
mod tests;
