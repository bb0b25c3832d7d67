//! What the root owns, and how a change of the plan is carried out.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use super::{ApplyError, Options, totals};
use crate::actor::clusters::{self, Shelf};
use crate::actor::listeners::{self, BindError, Board, Edition, Post};
use crate::actor::logger;
use crate::actor::slot::Slot;
use crate::actor::supervisor::{self, ChildSpec, View};
use crate::actor::threads::Threads;
use crate::actor::view::{ClusterView, ListenerView, Overview};
use crate::actor::worker::Orders;
use crate::actor::workers::{self, Doors};
use crate::config::{self, Change, Plan, diff};
use crate::lifecycle::State;
use crate::name::{ClusterName, ListenerName};
use crate::supervise::{Restart, Shutdown};

/// How long the workers may take to end, each of them within its own deadline.
const FAREWELL: Duration = Duration::from_secs(5);

/// What the root owns. Handlers share it; `turn` lets one change through at a time.
pub(super) struct House {
    pub(super) options: Options,
    pub(super) plan: RefCell<Plan>,
    pub(super) state: Cell<State>,
    /// How many connections were left when the tree began to stop; `None` before that.
    pub(super) left: watch::Sender<Option<u64>>,
    /// How many more connections the process takes.
    admission: Arc<Semaphore>,
    shelf: Shelf,
    board: Board,
    pub(super) clusters: Slot<clusters::Handle>,
    listeners: Slot<listeners::Handle>,
    logger: Slot<logger::Handle>,
    workers: Doors,
    /// With the connections, which no crash of a worker ends.
    threads: Threads,
    pub(super) tree: Slot<View>,
    pub(super) turn: tokio::sync::Mutex<()>,
}

impl House {
    pub(super) fn new(options: Options) -> Self {
        let workers = Doors::new(options.workers);
        let threads = Threads::new(options.workers);
        Self {
            plan: RefCell::default(),
            state: Cell::new(State::Starting),
            left: watch::Sender::new(None),
            admission: Arc::new(Semaphore::new(options.max_connections)),
            options,
            shelf: Shelf::default(),
            board: Board::default(),
            clusters: Slot::default(),
            listeners: Slot::default(),
            logger: Slot::default(),
            workers,
            threads,
            tree: Slot::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// The tree as data. The order is that of dependency: whoever is asked starts before those
    /// who ask, and what accepts from the world starts last and stops first.
    pub(super) fn specs(&self) -> Vec<ChildSpec> {
        let Options {
            workers,
            drain_time,
            log,
            ..
        } = self.options.clone();
        let orders = Orders {
            index: 0,
            shelf: self.shelf.clone(),
            board: self.board.clone(),
            admission: Arc::clone(&self.admission),
            drain_time,
            logger: self.logger.clone(),
            log: log.clone(),
        };
        let logger = self.logger.clone();
        let (shelf, clusters) = (self.shelf.clone(), self.clusters.clone());
        let (board, listeners) = (self.board.clone(), self.listeners.clone());
        let (doors, subtree) = (self.workers.clone(), supervisor::Slot::<View>::default());
        let (threads, filled) = (self.threads.clone(), subtree.clone());
        vec![
            ChildSpec::permanent("logger", move || logger::start(log.clone(), &logger)),
            ChildSpec::permanent("clusters", move || {
                clusters::start(shelf.clone(), &clusters)
            }),
            ChildSpec::permanent("listeners", move || {
                listeners::start(board.clone(), workers, &listeners)
            }),
            ChildSpec::starting("workers", Restart::Permanent, move || {
                let (doors, threads) = (doors.clone(), threads.clone());
                workers::start(orders.clone(), doors, threads, filled.clone())
            })
            .supervisor(subtree)
            .shutdown(Shutdown::Drain(FAREWELL)),
        ]
    }

    pub(super) async fn apply(&self, wanted: Plan) -> Result<Vec<Change>, ApplyError> {
        if !matches!(self.state.get(), State::Starting | State::Running) {
            return Err(ApplyError::Draining);
        }
        self.started().await?;
        let running = self.plan.borrow().clone();
        let changes = diff(&running, &wanted);
        let mut steps = Steps::of(&changes);
        // What the world may refuse comes first: then there is nothing to undo.
        let added = self.bind(&mut steps).await?;
        if let Err(error) = self.carry_out(steps, added).await {
            self.undo(&wanted, &running).await;
            return Err(error);
        }
        for change in &changes {
            slog::info!(self.options.log, "{change}"; "tag" => "plan");
        }
        self.plan.replace(wanted);
        Ok(changes)
    }

    /// Waits until the tree stands; it does at once but for the first change.
    async fn started(&self) -> Result<(), ApplyError> {
        let tree = self.tree.get().ok_or(ApplyError::Ended)?;
        let step = "start";
        tree.started().await.map_err(|error| ApplyError::Step {
            step,
            reason: error.to_string(),
        })
    }

    /// Undoes, the same way, what was already done of a change that failed.
    async fn undo(&self, wanted: &Plan, running: &Plan) {
        let mut back = Steps::of(&diff(wanted, running));
        let undone = match self.bind(&mut back).await {
            Ok(added) => self.carry_out(back, added).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = undone {
            let log = &self.options.log;
            slog::error!(log, "a change that failed could not be undone either: {error}"; "tag" => "plan");
        }
    }

    async fn bind(&self, steps: &mut Steps) -> Result<Vec<Arc<Post>>, BindError> {
        let wanted = std::mem::take(&mut steps.bind);
        listeners::bind(&self.listeners, wanted, steps.taken_down.clone()).await
    }

    /// Does all that is left once sockets are bound; nothing of it should fail.
    async fn carry_out(&self, steps: Steps, added: Vec<Arc<Post>>) -> Result<(), ApplyError> {
        clusters::put(&self.clusters, steps.put)
            .await
            .map_err(ApplyError::step("clusters"))?;
        let edition = Edition {
            added: added.clone(),
            changed: steps.changed,
            removed: steps.taken_down,
        };
        self.publish(edition).await?;
        self.say_where(&added);
        if !steps.removed.is_empty() {
            let removed = clusters::remove(&self.clusters, steps.removed).await;
            removed.map_err(ApplyError::step("removed clusters"))?;
            self.reconcile().await?;
        }
        Ok(())
    }

    /// Says where each new listener accepts: a port 0 in the plan is a real one here.
    fn say_where(&self, added: &[Arc<Post>]) {
        for post in added {
            let name = &post.settings.load().name;
            if let Some(address) = post.local_address() {
                slog::info!(self.options.log, "listener `{name}` listens on {address}"; "tag" => "listener");
            }
        }
    }

    pub(super) async fn publish(&self, edition: Edition) -> Result<(), ApplyError> {
        let published = listeners::publish(&self.listeners, edition).await;
        published.map_err(ApplyError::step("listeners"))?;
        self.reconcile().await
    }

    pub(super) async fn reconcile(&self) -> Result<(), ApplyError> {
        let done = self.workers.reconcile().await;
        done.map_err(|reason| ApplyError::Step {
            step: "workers",
            reason,
        })
    }

    pub(super) async fn overview(&self) -> Result<Overview, ApplyError> {
        let tree = self.tree.get().ok_or(ApplyError::Ended)?;
        Ok(Overview {
            clusters: ClusterView::all(&self.shelf),
            listeners: self
                .board
                .posts()
                .iter()
                .map(|post| ListenerView::of(post))
                .collect(),
            tree: tree.tree().await.map_err(|_| ApplyError::Ended)?,
        })
    }

    /// Takes every listener down and waits until the last connection has ended.
    pub(super) async fn empty(&self) {
        let turn = self.turn.lock().await;
        let posts = self.board.posts();
        let removed = posts
            .iter()
            .map(|post| post.settings.load().name.clone())
            .collect();
        if let Err(error) = self
            .publish(Edition {
                removed,
                ..Edition::default()
            })
            .await
        {
            slog::error!(self.options.log, "while taking the listeners down: {error}");
        }
        drop(turn);
        self.workers.drained().await;
    }

    /// Ends what outlives the tree, and says what the hosts have carried.
    pub(super) async fn close(&self) {
        self.threads.end().await;
        for line in totals::lines(&ClusterView::all(&self.shelf)) {
            slog::info!(self.options.log, "{line}"; "tag" => "upstream");
        }
    }

    /// Connections that the process has open.
    pub(super) fn connections(&self) -> u64 {
        let taken = self
            .options
            .max_connections
            .saturating_sub(self.admission.available_permits());
        taken as u64
    }
}

/// The changes of one plan, sorted by who carries them out.
#[derive(Default)]
struct Steps {
    put: Vec<Arc<config::Cluster>>,
    removed: Vec<ClusterName>,
    bind: Vec<Arc<config::Listener>>,
    changed: Vec<Arc<config::Listener>>,
    taken_down: Vec<ListenerName>,
}

impl Steps {
    fn of(changes: &[Change]) -> Self {
        let mut steps = Self::default();
        for change in changes {
            match change.clone() {
                Change::AddCluster(cluster) => steps.put.push(cluster),
                Change::UpdateCluster { to, .. } => steps.put.push(to),
                Change::RemoveCluster(name) => steps.removed.push(name),
                Change::AddListener(listener) => steps.bind.push(listener),
                Change::UpdateListener { from, to } if rebinds(&from, &to) => {
                    steps.taken_down.push(from.name.clone());
                    steps.bind.push(to);
                }
                Change::UpdateListener { to, .. } => steps.changed.push(to),
                Change::RemoveListener(name) => steps.taken_down.push(name),
                Change::AddRouter(_)
                | Change::UpdateRouter { .. }
                | Change::RemoveRouter(_)
                | Change::Server(_) => {}
            }
        }
        steps
    }
}

/// Whether the new settings need another socket; all others hold for the next connection.
fn rebinds(from: &config::Listener, to: &config::Listener) -> bool {
    (&from.address, from.bind) != (&to.address, to.bind)
}
