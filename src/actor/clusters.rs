//! The only writer of every cluster's host set.
//!
//! In: changes of the plan from the root; turns of health from it and from health checkers; hosts that
//! fail, from any worker. Out: a new [`Snapshot`] in the cluster's slot of the [`Shelf`], which every
//! worker reads without asking; each turn, to those who have subscribed. The shelf belongs to the
//! root, so a crash here loses neither hosts nor health nor counts.

mod ejections;

use std::collections::HashMap;
use std::sync::Arc;

use actix::prelude::*;
use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::actor::logger;
use crate::actor::slot::{Slot, Unavailable};
use crate::actor::subscribers::{self, Subscribers};
use crate::actor::supervisor::{Life, run};
use crate::cluster::{Health, Host, HostSet, Limits, Reason, Standing};
use crate::config;
use crate::name::ClusterName;
use crate::telemetry::checks::CheckCounters;
use ejections::Returns;

/// Reports that may wait; a host whose report is refused comes up again.
const MAILBOX: usize = 1024;

/// One cluster at one moment. Never changed: a change makes a new snapshot.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// What the plan says of it.
    pub settings: Arc<config::Cluster>,
    /// Its hosts, their health and their load.
    pub hosts: Arc<HostSet>,
    /// What it carries, whatever its settings and hosts become.
    pub limits: Arc<Limits>,
    /// What its health check counted, likewise.
    pub checks: Arc<CheckCounters>,
    /// Told when settings or hosts have become others; a turn of health is no news here.
    pub renewed: Arc<watch::Sender<()>>,
}

impl Snapshot {
    pub(super) fn new(settings: Arc<config::Cluster>) -> Self {
        Self {
            hosts: Arc::new(ruled(HostSet::new(&settings.hosts), &settings)),
            settings,
            limits: Arc::default(),
            checks: Arc::default(),
            renewed: Arc::new(watch::Sender::new(())),
        }
    }

    /// The next one, with other settings, and the hosts that they name.
    fn with_settings(&self, settings: Arc<config::Cluster>) -> Self {
        let hosts = ruled(self.hosts.with_hosts(&settings.hosts), &settings);
        Self {
            settings,
            ..self.with_hosts(hosts)
        }
    }

    /// The same cluster with other hosts.
    fn with_hosts(&self, hosts: HostSet) -> Self {
        Self {
            settings: Arc::clone(&self.settings),
            hosts: Arc::new(hosts),
            limits: Arc::clone(&self.limits),
            checks: Arc::clone(&self.checks),
            renewed: Arc::clone(&self.renewed),
        }
    }

    /// The next one, after a word for or against a host; `None` when it is no news.
    fn turned(&self, turn: &HealthTurned) -> Option<Self> {
        let host = self.hosts.find(&turn.address)?;
        // A check that has gone meanwhile has nothing to say any more.
        let is_heard = turn.reason != Reason::FailedCheck || self.settings.health_check.is_some();
        let is_news = host.flags().of(turn.reason) != turn.health;
        (is_heard && is_news).then(|| {
            let hosts = &self.hosts;
            self.with_hosts(hosts.with_health(&turn.address, turn.reason, turn.health))
        })
    }
}

/// Where the latest snapshot of one cluster is found.
pub(super) type Current = Arc<ArcSwap<Snapshot>>;

/// The current snapshot of every cluster. Read by all, written by [`Clusters`] alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shelf(Arc<ArcSwap<HashMap<ClusterName, Current>>>);

impl Shelf {
    /// Every cluster there is now.
    #[must_use]
    pub(crate) fn all(&self) -> Arc<HashMap<ClusterName, Current>> {
        self.0.load_full()
    }

    /// Whether any cluster has this very host.
    #[must_use]
    pub(crate) fn has(&self, host: &Host) -> bool {
        let clusters = self.0.load();
        let mut all = clusters.values().map(|current| current.load());
        all.any(|cluster| {
            let found = cluster.hosts.find(host.address());
            found.is_some_and(|found| found.is(host))
        })
    }

    /// The cluster of that name.
    #[must_use]
    pub(crate) fn find(&self, name: &ClusterName) -> Option<Current> {
        self.0.load().get(name).cloned()
    }
}

/// Starts the actor, fills `slot` with the door to it, writes to `shelf`, and tells `subscribers`.
pub(super) fn start(
    shelf: Shelf,
    subscribers: Subscribers,
    log: slog::Logger,
    logger: Slot<logger::Handle>,
    slot: &Slot<Handle>,
) -> Life {
    let (address, life) = run(|_| Clusters {
        shelf,
        subscribers,
        log,
        logger,
        returns: Returns::default(),
    });
    slot.fill(Handle(address));
    life
}

/// The only way in.
#[derive(Clone)]
pub(super) struct Handle(Addr<Clusters>);

/// Puts `clusters` on the shelf. Hosts that stay keep their health and their counts.
///
/// # Errors
///
/// [`Unavailable`] when the actor did not come back in time; then nothing, or all of it, is done.
pub(super) async fn put(
    clusters: &Slot<Handle>,
    changed: Vec<Arc<config::Cluster>>,
) -> Result<(), Unavailable> {
    clusters
        .ask(|handle| handle.0.send(Put(changed.clone())))
        .await
}

/// Takes clusters off the shelf. Connections to their hosts live on.
///
/// # Errors
///
/// As [`put`].
pub(super) async fn remove(
    clusters: &Slot<Handle>,
    names: Vec<ClusterName>,
) -> Result<(), Unavailable> {
    clusters
        .ask(|handle| handle.0.send(Remove(names.clone())))
        .await
}

/// Lets someone speak for or against one host; `false` when there is no such host.
///
/// # Errors
///
/// As [`put`].
pub(super) async fn turn(
    clusters: &Slot<Handle>,
    turned: HealthTurned,
) -> Result<bool, Unavailable> {
    clusters.ask(|handle| handle.0.send(turned.clone())).await
}

/// Someone speaks for or against a host.
#[derive(Clone, Debug, Message)]
#[rtype(result = "bool")]
pub(super) struct HealthTurned {
    /// The cluster.
    pub cluster: ClusterName,
    /// Its host.
    pub address: config::HostAddress,
    /// Who speaks.
    pub reason: Reason,
    /// What is said.
    pub health: Health,
}

impl HealthTurned {
    /// What subscribers hear of it, when the host is of this health after it.
    fn told(self, health: Health) -> subscribers::HealthTurned {
        subscribers::HealthTurned {
            cluster: self.cluster,
            address: self.address,
            reason: self.reason,
            says: self.health,
            health,
        }
    }
}

struct Clusters {
    shelf: Shelf,
    subscribers: Subscribers,
    /// Where turns are written.
    log: slog::Logger,
    /// Where goes what may happen very often.
    logger: Slot<logger::Handle>,
    returns: Returns,
}

impl Clusters {
    /// Makes `after` the latest snapshot, and says in the log when that begins or ends a panic.
    fn publish(&self, current: &Current, after: Snapshot) {
        let before = current.swap(Arc::new(after));
        let after = current.load();
        let panics = |of: &Snapshot| of.hosts.standing() == Standing::Panic;
        let (name, hosts) = (&after.settings.name, &after.hosts);
        let (healthy, all) = (hosts.healthy_count(), hosts.hosts().len());
        match (panics(&before), panics(&after)) {
            (false, true) => slog::warn!(self.log,
                "cluster `{name}`: {healthy} of {all} hosts are healthy, below the panic threshold \
                 of {} %: all are used", after.settings.panic_threshold; "tag" => "panic_threshold"),
            (true, false) => slog::info!(self.log,
                "cluster `{name}`: {healthy} of {all} hosts are healthy: the panic is over";
                "tag" => "panic_threshold"),
            _ => {}
        }
    }

    /// The same after something has begun, or ceased, to speak against a host; says so.
    fn publish_turn(&self, current: &Current, after: Snapshot, turn: HealthTurned) {
        let host = after.hosts.find(&turn.address);
        let health = host.map_or(turn.health, |host| host.health());
        self.publish(current, after);
        self.subscribers.tell(&turn.told(health));
    }

    /// The same after a change of settings or hosts, which may have taken back what was said of
    /// hosts that stay.
    fn publish_settings(&self, current: &Current, after: Snapshot) {
        let (before, renewed) = (current.load_full(), Arc::clone(&after.renewed));
        self.publish(current, after);
        renewed.send_replace(());
        let after = current.load();
        for was in before.hosts.hosts() {
            for reason in was.flags().reasons() {
                let is = after.hosts.find(was.address()).filter(|is| is.is(was));
                if let Some(is) = is.filter(|is| is.flags().of(reason) == Health::Healthy) {
                    let turn = HealthTurned {
                        cluster: after.settings.name.clone(),
                        address: was.address().clone(),
                        reason,
                        health: Health::Healthy,
                    };
                    self.subscribers.tell(&turn.told(is.health()));
                }
            }
        }
    }
}

impl Actor for Clusters {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX);
        self.resume_ejections(ctx);
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Put(Vec<Arc<config::Cluster>>);

impl Handler<Put> for Clusters {
    type Result = ();

    fn handle(&mut self, Put(changed): Put, _: &mut Context<Self>) {
        let mut shelf = HashMap::clone(&self.shelf.all());
        for settings in changed {
            if let Some(current) = shelf.get(&settings.name) {
                let before = current.load();
                let after = before.with_settings(settings);
                self.publish_settings(current, after);
            } else {
                let name = settings.name.clone();
                let snapshot = Snapshot::new(settings);
                shelf.insert(name, Arc::new(ArcSwap::from_pointee(snapshot)));
            }
        }
        self.shelf.0.store(Arc::new(shelf));
    }
}

/// The hosts by the rules that these settings have for all of them. Nobody would ever take back what
/// a check, or a judge, that has gone has said.
fn ruled(hosts: HostSet, settings: &config::Cluster) -> HostSet {
    let mut hosts = hosts.with_panic_threshold(settings.panic_threshold);
    if settings.health_check.is_none() {
        hosts = hosts.without(Reason::FailedCheck);
    }
    match settings.outlier_detection {
        Some(_) => hosts,
        None => hosts.pardoned(),
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Remove(Vec<ClusterName>);

impl Handler<Remove> for Clusters {
    type Result = ();

    fn handle(&mut self, Remove(names): Remove, _: &mut Context<Self>) {
        let mut shelf = HashMap::clone(&self.shelf.all());
        for name in &names {
            shelf.remove(name);
        }
        self.shelf.0.store(Arc::new(shelf));
    }
}

impl Handler<HealthTurned> for Clusters {
    type Result = bool;

    fn handle(&mut self, turn: HealthTurned, _: &mut Context<Self>) -> bool {
        let Some(current) = self.shelf.find(&turn.cluster) else {
            return false;
        };
        let before = current.load();
        let Some(host) = before.hosts.find(&turn.address) else {
            return false;
        };
        if turn.health == Health::Healthy {
            // Who is said to be well again need not wait until its rest is over.
            host.load().forgive();
        }
        if let Some(after) = before.turned(&turn) {
            self.publish_turn(&current, after, turn);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Cluster, Host};

    fn log() -> slog::Logger {
        slog::Logger::root(slog::Discard, slog::o!())
    }

    #[actix::test]
    async fn what_a_cluster_carries_outlives_every_change_of_it() {
        let (shelf, slot) = (Shelf::default(), Slot::default());
        let _life = start(
            shelf.clone(),
            Subscribers::default(),
            log(),
            Slot::default(),
            &slot,
        );
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        let host = Host::new(address.into());
        let mut settings = Cluster::new("origins", [host.clone()]);
        let name = settings.name.clone();
        put(&slot, vec![Arc::new(settings.clone())]).await.unwrap();
        let current = shelf.find(&name).unwrap();
        let _permit = current.load().limits.request(None);

        settings.limits.requests = Some(1);
        put(&slot, vec![Arc::new(settings)]).await.unwrap();
        let turned = HealthTurned {
            cluster: name,
            address: host.address,
            reason: Reason::Commanded,
            health: Health::Unhealthy,
        };
        let turned = turn(&slot, turned).await;

        assert_eq!(turned, Ok(true));
        let latest = current.load();
        assert_eq!(latest.settings.limits.requests, Some(1));
        assert_eq!(latest.limits.requests(), 1);
    }
}
