//! What the root owns, and how a change of the plan is carried out.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Semaphore, watch};

use super::alter::{Ledger, QUEUE};
use super::fit::{EventLogs, event_logs, fit};
use super::steps::Steps;
use super::upgrade::Succession;
use super::{ApplyError, Options, Running, totals};
use crate::actor::arrivals::Arrivals;
use crate::actor::checks::{Checks, Means, Probing};
use crate::actor::clusters::{self, Shelf};
use crate::actor::listeners::{self, Board, Edition, Post};
use crate::actor::logger;
use crate::actor::metrics::Counts;
use crate::actor::resolvers;
use crate::actor::root;
use crate::actor::routers::{self, Tables};
use crate::actor::slot::Slot;
use crate::actor::subscribers::Subscribers;
use crate::actor::supervisor::{self, ChildSpec, View};
use crate::actor::threads::Threads;
use crate::actor::upgrade::Inheritance;
use crate::actor::view::{ClusterView, ListenerView, Overview};
use crate::actor::workers::{self, Doors};
use crate::config::{self, Change, Plan, diff};
use crate::lifecycle::State;
use crate::name::ListenerName;
use crate::net::Legacy;
use crate::proxy::http::Fitting;
use crate::supervise::{Restart, Shutdown};

/// How long the workers may take to end, each of them within its own deadline.
const FAREWELL: Duration = Duration::from_secs(5);

/// What the root owns. Handlers share it; `turn` lets one change through at a time.
pub(super) struct House {
    pub(super) options: Options,
    /// What runs, published.
    pub(super) running: Arc<ArcSwap<Running>>,
    pub(super) ledger: RefCell<Ledger>,
    /// How many more changes may wait.
    pub(super) queue: Semaphore,
    pub(super) state: Rc<Cell<State>>,
    /// The same, for the doors.
    pub(super) state_seen: watch::Sender<State>,
    /// Whether the admin door is this process', published.
    pub(super) admin_open: watch::Sender<bool>,
    /// How many connections were left when the tree began to stop; `None` before that.
    pub(super) left: watch::Sender<Option<u64>>,
    /// How many more connections the process takes.
    pub(super) admission: Arc<Semaphore>,
    pub(super) shelf: Shelf,
    pub(super) board: Board,
    /// What comes from the predecessor.
    pub(super) arrivals: Arrivals,
    pub(super) tables: Tables,
    pub(super) numbers: Arc<AtomicU64>,
    pub(super) clusters: Slot<clusters::Handle>,
    resolvers: resolvers::Doors,
    routers: Slot<routers::Handle>,
    listeners: Slot<listeners::Handle>,
    pub(super) logger: Slot<logger::Handle>,
    /// With all they know of hosts.
    pub(super) checks: Checks,
    pub(super) subscribers: Subscribers,
    workers: Doors,
    /// With the connections, which no crash of a worker ends.
    pub(super) threads: Threads,
    pub(super) tree: Slot<View>,
    pub(super) turn: tokio::sync::Mutex<()>,
    pub(super) succession: Succession,
}

impl House {
    /// # Errors
    ///
    /// When what was inherited is not what was offered.
    pub(super) fn new(
        options: Options,
        inheritance: Option<Inheritance>,
        given: Legacy,
    ) -> Result<Self, std::io::Error> {
        let state = Rc::new(Cell::new(State::Starting));
        let succession = Succession::new(&options, &state, inheritance, given)?;
        let board = Board::default();
        if succession.is_successor() {
            board.hold();
        }
        let (workers, threads) = (Doors::new(options.workers), Threads::new(options.workers));
        let running = Running::nothing(options.keeping.version);
        let (clusters, logger) = (Slot::default(), Slot::default());
        let checks = Checks::new(Means {
            clusters: clusters.clone(),
            logger: logger.clone(),
            book: options.book.clone(),
            log: options.log.clone(),
        });
        if succession.is_successor() {
            checks.leave_to(Probing::Predecessors);
        }
        let shelf = Shelf::default();
        let resolvers = resolvers::Doors::new(shelf.clone(), clusters.clone(), &options.log);
        Ok(Self {
            running: Arc::new(ArcSwap::from_pointee(running)),
            ledger: RefCell::new(Ledger::new(options.keeping.base)),
            queue: Semaphore::new(QUEUE),
            state,
            state_seen: watch::Sender::new(State::Starting),
            admin_open: watch::Sender::new(!succession.is_successor()),
            left: watch::Sender::new(None),
            admission: Arc::new(Semaphore::new(options.max_connections)),
            options,
            resolvers,
            shelf,
            board,
            arrivals: Arrivals::default(),
            tables: Tables::default(),
            numbers: Arc::default(),
            clusters,
            routers: Slot::default(),
            listeners: Slot::default(),
            logger,
            checks,
            subscribers: Subscribers::default(),
            workers,
            threads,
            tree: Slot::default(),
            turn: tokio::sync::Mutex::default(),
            succession,
        })
    }

    /// Where everything that is counted can be read.
    pub(super) fn counts(&self) -> Counts {
        Counts {
            shelf: self.shelf.clone(),
            board: self.board.window(),
            tables: self.tables.clone(),
        }
    }

    /// The tree as data. The order is that of dependency: whoever is asked starts before those
    /// who ask, and what accepts from the world starts last and stops first.
    pub(super) fn specs(&self, door: root::Handle) -> Vec<ChildSpec> {
        let Options {
            workers,
            access,
            log,
            ..
        } = self.options.clone();
        let orders = self.orders();
        let logger = self.logger.clone();
        let (checks, checkers) = (self.checks.clone(), supervisor::Slot::<View>::default());
        let (tables, routers) = (self.tables.clone(), self.routers.clone());
        let (board, listeners) = (self.board.clone(), self.listeners.clone());
        let inherited = Rc::clone(&self.succession.inherited);
        let (doors, subtree) = (self.workers.clone(), supervisor::Slot::<View>::default());
        let (threads, filled) = (self.threads.clone(), subtree.clone());
        let admin = self.admin(door);
        let mut specs = vec![
            ChildSpec::permanent("logger", move || {
                logger::start(log.clone(), access.clone(), &logger)
            }),
            self.clusters_spec(),
            self.resolvers.child(),
            ChildSpec::permanent("health", checkers.filled_by(move || checks.start()))
                .supervisor(checkers),
            ChildSpec::permanent("routers", move || routers::start(tables.clone(), &routers)),
            ChildSpec::permanent("listeners", move || {
                listeners::start(board.clone(), Rc::clone(&inherited), workers, &listeners)
            }),
            ChildSpec::starting("workers", Restart::Permanent, move || {
                let (doors, threads) = (doors.clone(), threads.clone());
                workers::start(orders.clone(), doors, threads, filled.clone())
            })
            .supervisor(subtree)
            .shutdown(Shutdown::Drain(FAREWELL)),
        ];
        specs.extend(self.succession.spec());
        specs.extend(admin);
        specs
    }

    fn clusters_spec(&self) -> ChildSpec {
        let (shelf, clusters) = (self.shelf.clone(), self.clusters.clone());
        let (subscribers, logger) = (self.subscribers.clone(), self.logger.clone());
        let log = self.options.log.clone();
        ChildSpec::permanent("clusters", move || {
            clusters::start(
                shelf.clone(),
                subscribers.clone(),
                log.clone(),
                logger.clone(),
                &clusters,
            )
        })
    }

    /// Carries changes out, all or none of them.
    pub(super) async fn apply(
        &self,
        running: &Plan,
        wanted: &Plan,
        changes: &[Change],
    ) -> Result<(), ApplyError> {
        match self.state.get() {
            state if state.takes_changes() => {}
            State::Draining { .. }
            | State::Leaving { .. }
            | State::Lingering { .. }
            | State::Stopping
            | State::Stopped => return Err(ApplyError::Draining),
            _ => return Err(ApplyError::Upgrading),
        }
        self.started().await?;
        let steps = Steps::of(changes);
        // What the world may refuse comes first: then there is nothing to undo.
        let prepared = self.prepare(&steps).await?;
        if let Err(error) = self.carry_out(steps, prepared).await {
            self.undo(wanted, running).await;
            return Err(error);
        }
        for change in changes {
            slog::info!(self.options.log, "{change}"; "tag" => "plan");
        }
        Ok(())
    }

    /// Waits until the tree stands; it does at once but for the first change.
    pub(super) async fn started(&self) -> Result<(), ApplyError> {
        let tree = self.tree.get().ok_or(ApplyError::Ended)?;
        let step = "start";
        tree.started().await.map_err(|error| ApplyError::Step {
            step,
            reason: error.to_string(),
        })
    }

    /// Undoes, the same way, what was already done of a change that failed.
    pub(super) async fn undo(&self, wanted: &Plan, running: &Plan) {
        let back = Steps::of(&diff(wanted, running));
        let undone = match self.prepare(&back).await {
            Ok(prepared) => self.carry_out(back, prepared).await,
            Err(error) => Err(error),
        };
        if let Err(error) = undone {
            let log = &self.options.log;
            slog::error!(log, "a change that failed could not be undone either: {error}"; "tag" => "plan");
        }
    }

    /// Opens what has to be opened: logs and sockets.
    async fn prepare(&self, steps: &Steps) -> Result<Prepared, ApplyError> {
        let changed = self.fit_all(&steps.changed).await?;
        let wanted = self.fit_all(&steps.bind).await?;
        let event_logs = event_logs(&self.options, &steps.clusters).await?;
        let leaving = steps.taken_down.clone();
        let added = listeners::bind(&self.listeners, wanted, leaving).await?;
        Ok(Prepared {
            added,
            changed,
            event_logs,
        })
    }

    async fn fit_all(
        &self,
        listeners: &[Arc<config::Listener>],
    ) -> Result<Vec<Arc<Fitting>>, ApplyError> {
        let mut fittings = Vec::with_capacity(listeners.len());
        for listener in listeners {
            let fitting = fit(&self.options, Arc::clone(listener)).await?;
            fittings.push(Arc::new(fitting));
        }
        Ok(fittings)
    }

    /// Does all that is left once everything is open; nothing of it should fail.
    async fn carry_out(&self, steps: Steps, prepared: Prepared) -> Result<(), ApplyError> {
        let Prepared {
            added,
            changed,
            event_logs,
        } = prepared;
        let only_hosts = self.is_only_hosts(&steps);
        clusters::put(&self.clusters, steps.clusters.clone())
            .await
            .map_err(ApplyError::step("clusters"))?;
        let names = steps.clusters.iter().map(|cluster| &cluster.name);
        self.resolvers.follow(names).await;
        if only_hosts {
            // Who reads the shelf, or hears what is new on it, needs no other word.
            return Ok(());
        }
        self.check(event_logs).await?;
        routers::put(&self.routers, steps.routers)
            .await
            .map_err(ApplyError::step("routers"))?;
        let edition = Edition {
            added: added.clone(),
            changed,
            removed: steps.taken_down,
            ..Edition::default()
        };
        self.publish(edition).await?;
        self.say_where(&added);
        routers::remove(&self.routers, steps.routers_removed)
            .await
            .map_err(ApplyError::step("removed routers"))?;
        if !steps.clusters_removed.is_empty() {
            let removed = clusters::remove(&self.clusters, steps.clusters_removed.clone()).await;
            removed.map_err(ApplyError::step("removed clusters"))?;
            self.resolvers.follow(steps.clusters_removed.iter()).await;
            self.check(EventLogs::new()).await?;
            self.reconcile().await?;
        }
        Ok(())
    }

    /// Makes the health checks be those of the clusters on the shelf.
    async fn check(&self, event_logs: EventLogs) -> Result<(), ApplyError> {
        let done = self.checks.follow(&self.shelf, event_logs).await;
        done.map_err(|reason| ApplyError::Step {
            step: "health checks",
            reason,
        })
    }

    /// Whether nothing changes but clusters that are there already, and not how they are checked.
    fn is_only_hosts(&self, steps: &Steps) -> bool {
        let is_checked_alike = |to: &Arc<config::Cluster>| {
            let current = self.shelf.find(&to.name);
            let check = current.map(|current| current.load().settings.health_check.clone());
            check.is_some_and(|check| check == to.health_check)
        };
        steps.is_only_clusters() && steps.clusters.iter().all(is_checked_alike)
    }

    /// Says where each new listener accepts: a port 0 in the plan is a real one here.
    fn say_where(&self, added: &[Arc<Post>]) {
        for post in added {
            let name = &post.settings().name;
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

    /// Connections that a listener has now.
    pub(super) fn connections_of(&self, name: &ListenerName) -> u64 {
        let posts = self.board.posts();
        let post = posts.iter().find(|post| post.settings().name == *name);
        post.map_or(0, |post| ListenerView::of(post).totals.connections_active)
    }

    pub(super) async fn overview(&self) -> Result<Overview, ApplyError> {
        let tree = self.tree.get().ok_or(ApplyError::Ended)?;
        let counts = self.counts();
        Ok(Overview {
            clusters: counts.clusters(),
            listeners: counts.listeners(),
            tree: tree.tree().await.map_err(|_| ApplyError::Ended)?,
        })
    }

    /// Takes every listener down and waits until the last connection has ended.
    pub(super) async fn empty(&self) {
        let turn = self.turn.lock().await;
        let posts = self.board.posts();
        let removed = posts
            .iter()
            .map(|post| post.settings().name.clone())
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
        if let Some(desk) = &self.succession.desk {
            desk.finish_moves().await;
        }
    }

    /// Ends what outlives the tree, and says what the hosts have carried.
    pub(super) async fn close(&self) {
        self.threads.end().await;
        for line in totals::lines(&ClusterView::all(&self.shelf)) {
            slog::info!(self.options.log, "{line}"; "tag" => "upstream");
        }
    }
}

/// What was opened for a change.
struct Prepared {
    added: Vec<Arc<Post>>,
    changed: Vec<Arc<Fitting>>,
    event_logs: EventLogs,
}
