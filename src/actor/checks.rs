//! The subtree of health checks: a child for each cluster that has one.
//!
//! What a check knows of its hosts belongs to the root ([`Checks`]), so killing a checker, or the
//! whole subtree, forgets nothing: the next life goes on where the one before was.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::MailboxError;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::actor::clusters::{self, Current, Shelf};
use crate::actor::health_checker;
use crate::actor::logger;
use crate::actor::slot::Slot;
use crate::actor::supervisor::{self, AddError, ChildSpec, Life, RemoveError, View};
use crate::cluster::{Outcome, Pace, Streak, Thresholds};
use crate::config::{EventFormat, HealthCheck, HostAddress};
use crate::name::ClusterName;
use crate::protocol::handover::ChartState;
use crate::supervise::{Policy, Strategy};
use crate::telemetry::access_log::Log;
use crate::upstream::Book;

/// The subtree gives up, and starts afresh, when its children fail so often.
const POLICY: Policy = Policy {
    strategy: Strategy::OneForOne,
    max_restarts: 20,
    within: Duration::from_secs(10),
};

/// Probes that may be under way at once in the process, each with a socket; more wait their turn.
/// Ten thousand hosts that keep silent for the default second, in the default interval of fifteen,
/// need seven hundred.
const MOST_PROBES: usize = 1024;

/// How long it may take to say what a probe has found.
const CONCLUDES_WITHIN: Duration = Duration::from_millis(500);

/// What every check is made from.
#[derive(Clone)]
pub(super) struct Means {
    /// Whom to tell of turns.
    pub clusters: Slot<clusters::Handle>,
    /// Whom to tell of results.
    pub logger: Slot<logger::Handle>,
    /// Where names of hosts lead.
    pub book: Book,
    /// Where exits and restarts are written.
    pub log: slog::Logger,
}

/// All checks of the process. They belong to the root; a clone is the same set.
#[derive(Clone)]
pub(super) struct Checks(Rc<Inner>);

struct Inner {
    means: Means,
    running: RefCell<BTreeMap<ClusterName, Rc<Check>>>,
    supervisor: Slot<supervisor::Handle>,
    probes: Arc<Semaphore>,
    pace: RefCell<Pace>,
    probing: watch::Sender<Probing>,
    /// How many results are being concluded.
    concluding: watch::Sender<usize>,
    /// What a predecessor knows of hosts, until a check begins with it.
    inherited: RefCell<Charts>,
}

/// A result that is being concluded.
pub(super) struct Conclusion(Checks);

impl Drop for Conclusion {
    fn drop(&mut self) {
        let Self(checks) = self;
        checks.0.concluding.send_modify(|under_way| *under_way -= 1);
    }
}

/// What a predecessor knows of hosts.
pub(super) type Charts = HashMap<(ClusterName, HostAddress), ChartState>;

/// Which process probes the hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probing {
    /// This one.
    Ours,
    /// The predecessor still does.
    Predecessors,
    /// The successor does from now on.
    Successors,
}

/// The check of one cluster: its settings, and what it knows of each host.
pub(super) struct Check {
    pub(super) cluster: ClusterName,
    pub(super) settings: HealthCheck,
    pub(super) current: Current,
    /// Where results are written.
    pub(super) log: Option<(Log, EventFormat)>,
    charts: RefCell<HashMap<HostAddress, Chart>>,
    /// Tells a host from an earlier one of its address.
    serial: Cell<u64>,
}

/// What is known of one host.
#[derive(Clone, Debug)]
pub(super) struct Chart {
    pub(super) serial: u64,
    pub(super) streak: Streak,
    /// When it is probed next; in the past while it is being probed.
    pub(super) due: Instant,
}

impl Chart {
    /// Goes on with what a predecessor knows.
    fn inherited(serial: u64, state: ChartState, now: Instant) -> Self {
        let streak = state.passed.map(|passed| {
            let outcome = match passed {
                true => Outcome::Passed,
                false => Outcome::Failed,
            };
            Streak::known(
                outcome,
                state.length,
                Duration::from_millis(state.first_millis),
            )
        });
        // Beyond what a clock can tell is no time to wait for.
        let due = now.checked_add(Duration::from_millis(state.due_millis));
        Self {
            serial,
            streak: streak.unwrap_or_default(),
            due: due.unwrap_or(now),
        }
    }

    fn state(&self, now: Instant) -> ChartState {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let latest = self.streak.latest();
        ChartState {
            passed: latest.map(|outcome| outcome == Outcome::Passed),
            length: self.streak.length(),
            first_millis: self.streak.first_seen().map_or(0, millis),
            due_millis: millis(self.due.saturating_duration_since(now)),
        }
    }
}

impl Checks {
    pub(super) fn new(means: Means) -> Self {
        Self::with_probes(means, MOST_PROBES)
    }

    pub(super) fn with_probes(means: Means, probes: usize) -> Self {
        Self(Rc::new(Inner {
            means,
            running: RefCell::default(),
            supervisor: Slot::default(),
            probes: Arc::new(Semaphore::new(probes)),
            pace: RefCell::default(),
            probing: watch::Sender::new(Probing::Ours),
            concluding: watch::Sender::new(0),
            inherited: RefCell::default(),
        }))
    }

    /// Leaves the hosts to another process: none is probed here.
    pub(super) fn leave_to(&self, other: Probing) {
        self.0.probing.send_replace(other);
    }

    /// Leaves the hosts to the successor, and waits until what was found out of them is said and
    /// logged; not for long.
    ///
    /// Two processes that probe at a time would both find that a host has turned.
    pub(super) async fn hand_over(&self) {
        self.leave_to(Probing::Successors);
        let mut concluding = self.0.concluding.subscribe();
        let concluded = concluding.wait_for(|under_way| *under_way == 0);
        let _ = timeout(CONCLUDES_WITHIN, concluded).await;
    }

    /// Probes on: there is no successor.
    pub(super) fn take_back(&self) {
        self.0.probing.send_if_modified(|probing| {
            let was_left = *probing == Probing::Successors;
            if was_left {
                *probing = Probing::Ours;
            }
            was_left
        });
    }

    /// A result is being concluded until this is dropped.
    pub(super) fn conclusion(&self) -> Conclusion {
        self.0.concluding.send_modify(|under_way| *under_way += 1);
        Conclusion(self.clone())
    }

    /// Takes the hosts over from the predecessor. What it knows of one, the check goes on with.
    pub(super) fn take_over(&self) {
        self.0.probing.send_if_modified(|probing| {
            let is_theirs = *probing == Probing::Predecessors;
            if is_theirs {
                *probing = Probing::Ours;
            }
            is_theirs
        });
    }

    /// Notes what the predecessor knows of hosts.
    pub(super) fn inherit(&self, charts: Charts) {
        self.0.inherited.borrow_mut().extend(charts);
    }

    /// Waits until the hosts are probed here.
    pub(super) async fn ours(&self) {
        let mut probing = self.0.probing.subscribe();
        // The sender is ours.
        let _ = probing.wait_for(|probing| *probing == Probing::Ours).await;
    }

    /// Whether the hosts are probed here.
    pub(super) fn are_ours(&self) -> bool {
        *self.0.probing.borrow() == Probing::Ours
    }

    /// What is known of the hosts of a cluster.
    pub(super) fn states(&self, cluster: &ClusterName) -> HashMap<HostAddress, ChartState> {
        let now = tokio::time::Instant::now().into_std();
        let running = self.0.running.borrow();
        let charts = running.get(cluster).map(|check| check.charts());
        let charts = charts.into_iter().flatten();
        charts
            .map(|(address, chart)| (address, chart.state(now)))
            .collect()
    }

    /// Starts the subtree with the checks there are.
    pub(super) fn start(&self) -> (View, Life) {
        let checks: Vec<_> = self.0.running.borrow().values().cloned().collect();
        let specs = checks.iter().map(|check| self.spec(check)).collect();
        let log = self.0.means.log.clone();
        let (handle, life) = supervisor::start("health", POLICY, specs, log);
        let view = handle.view();
        self.0.supervisor.fill(handle);
        (view, life)
    }

    /// Makes the checks be those of the clusters on the shelf. A check whose settings are as before
    /// goes on; `logs` has the logs of those that are new.
    ///
    /// # Errors
    ///
    /// In words, when the subtree did not come back in time.
    pub(super) async fn follow(
        &self,
        shelf: &Shelf,
        mut logs: HashMap<ClusterName, (Log, EventFormat)>,
    ) -> Result<(), String> {
        let clusters = shelf.all();
        let wanted = |check: &Check| {
            let current = clusters.get(&check.cluster);
            current.is_some_and(|current| {
                Arc::ptr_eq(current, &check.current)
                    && current.load().settings.health_check.as_ref() == Some(&check.settings)
            })
        };
        let stale: Vec<_> = {
            let running = self.0.running.borrow();
            let stale = running.values().filter(|check| !wanted(check));
            stale.map(|check| check.cluster.clone()).collect()
        };
        for cluster in stale {
            self.0.running.borrow_mut().remove(&cluster);
            self.remove(&cluster).await?;
        }
        for (name, current) in clusters.iter() {
            let Some(settings) = current.load().settings.health_check.clone() else {
                continue;
            };
            if !self.0.running.borrow().contains_key(name) {
                let check = Rc::new(Check {
                    cluster: name.clone(),
                    settings,
                    current: Arc::clone(current),
                    log: logs.remove(name),
                    charts: RefCell::default(),
                    serial: Cell::default(),
                });
                // First: a subtree that restarts meanwhile starts it, too.
                let known = Rc::clone(&check);
                self.0.running.borrow_mut().insert(name.clone(), known);
                self.add(&check).await?;
            }
        }
        Ok(())
    }

    fn spec(&self, check: &Rc<Check>) -> ChildSpec {
        let (checks, check) = (self.clone(), Rc::clone(check));
        ChildSpec::permanent(id(&check.cluster), move || {
            health_checker::start(checks.clone(), Rc::clone(&check))
        })
    }

    async fn add(&self, check: &Rc<Check>) -> Result<(), String> {
        let added = self.0.supervisor.ask(|supervisor| async move {
            match supervisor.add(self.spec(check)).await {
                Ok(()) | Err(AddError::Duplicate(_)) => Ok(Ok(())),
                Err(AddError::Gone) => Err(MailboxError::Closed),
                Err(error) => Ok(Err(error.to_string())),
            }
        });
        added.await.map_err(|unavailable| unavailable.to_string())?
    }

    async fn remove(&self, cluster: &ClusterName) -> Result<(), String> {
        let removed = self.0.supervisor.ask(|supervisor| async move {
            match supervisor.remove(&id(cluster)).await {
                Ok(()) | Err(RemoveError::NotFound) => Ok(()),
                Err(RemoveError::Gone) => Err(MailboxError::Closed),
            }
        });
        removed.await.map_err(|unavailable| unavailable.to_string())
    }

    pub(super) fn means(&self) -> &Means {
        &self.0.means
    }

    /// How many more probes may be under way.
    pub(super) fn probes(&self) -> &Arc<Semaphore> {
        &self.0.probes
    }
}

fn id(cluster: &ClusterName) -> String {
    format!("check {cluster}")
}

impl Check {
    pub(super) fn thresholds(&self) -> Thresholds {
        Thresholds {
            healthy: self.settings.healthy_threshold,
            unhealthy: self.settings.unhealthy_threshold,
        }
    }

    /// Makes the charts be those of the cluster's hosts. Returns the new ones, each with its first
    /// probe placed.
    pub(super) fn renew(&self, checks: &Checks, now: Instant) -> Vec<(HostAddress, Chart)> {
        let snapshot = self.current.load();
        let mut charts = self.charts.borrow_mut();
        let hosts = snapshot.hosts.hosts();
        let there: HashSet<_> = hosts.iter().map(|host| host.address()).collect();
        charts.retain(|address, _| there.contains(address));
        let mut pace = checks.0.pace.borrow_mut();
        let mut new = Vec::new();
        for host in hosts {
            if charts.contains_key(host.address()) {
                continue;
            }
            self.serial.set(self.serial.get() + 1);
            let serial = self.serial.get();
            let key = (self.cluster.clone(), host.address().clone());
            let chart = match checks.0.inherited.borrow_mut().remove(&key) {
                Some(state) => Chart::inherited(serial, state, now),
                None => Chart {
                    serial,
                    streak: Streak::default(),
                    due: pace.place(now + self.settings.initial_delay),
                },
            };
            charts.insert(host.address().clone(), chart.clone());
            new.push((host.address().clone(), chart));
        }
        new
    }

    /// What is known of all hosts.
    pub(super) fn charts(&self) -> Vec<(HostAddress, Chart)> {
        let charts = self.charts.borrow();
        let charts = charts.iter();
        charts
            .map(|(address, chart)| (address.clone(), chart.clone()))
            .collect()
    }

    /// Changes what is known of a host; `None` when it has gone, be there another of its address.
    pub(super) fn with<T>(
        &self,
        address: &HostAddress,
        serial: u64,
        change: impl FnOnce(&mut Chart) -> T,
    ) -> Option<T> {
        let mut charts = self.charts.borrow_mut();
        let chart = charts.get_mut(address);
        chart.filter(|chart| chart.serial == serial).map(change)
    }
}
