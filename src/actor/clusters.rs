//! The only writer of every cluster's host set.
//!
//! In: changes of the plan and drains from the root; turns of health from it and from health checkers;
//! hosts that fail, from any worker; what became known of a name, from its resolver. Out: a new
//! [`Snapshot`] in the cluster's slot of the [`Shelf`], which every worker reads without asking; each
//! turn, to those who have subscribed. The shelf belongs to the root, so a crash here loses neither
//! hosts nor health nor counts.

mod ejections;
mod found;
mod shelf;
mod snapshot;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use actix::prelude::*;
use arc_swap::ArcSwap;

use crate::actor::logger;
use crate::actor::slot::{Slot, Unavailable};
use crate::actor::subscribers::{self, Subscribers};
use crate::actor::supervisor::{Life, run};
use crate::cluster::{Duty, Health, Host, Known, Moment, Reason, Standing, asked};
use crate::config;
use crate::name::ClusterName;
use ejections::Returns;
pub(super) use found::{Found, take_over};
pub(super) use shelf::Current;
pub(crate) use shelf::Shelf;
pub(crate) use snapshot::Snapshot;

/// Reports that may wait; a host whose report is refused comes up again.
const MAILBOX: usize = 1024;

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

/// Tells what became known of a name; it counts if the cluster still asks for the name.
///
/// # Errors
///
/// As [`put`].
pub(super) async fn named(
    clusters: &Slot<Handle>,
    cluster: &ClusterName,
    name: &Arc<str>,
    known: &Known,
) -> Result<(), Unavailable> {
    let named = || Named {
        cluster: cluster.clone(),
        name: Arc::clone(name),
        known: known.clone(),
    };
    clusters.ask(|handle| handle.0.send(named())).await
}

/// Lets one host drain, or serve again; `false` when there is no such host.
///
/// # Errors
///
/// As [`put`].
pub(super) async fn assign(clusters: &Slot<Handle>, order: Assign) -> Result<bool, Unavailable> {
    clusters.ask(|handle| handle.0.send(order.clone())).await
}

/// A host is to drain, or to serve again.
#[derive(Clone, Debug, Message)]
#[rtype(result = "bool")]
pub(super) struct Assign {
    /// The cluster.
    pub cluster: ClusterName,
    /// Its host.
    pub address: config::HostAddress,
    /// What it is to do.
    pub duty: Duty,
    /// By when the connections of one that drains have to end, if ever.
    pub deadline: Option<Instant>,
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
    /// A host, in the latest snapshot of its cluster.
    fn find(
        &self,
        cluster: &ClusterName,
        address: &config::HostAddress,
    ) -> Option<(Current, Arc<Snapshot>, Arc<Host>)> {
        let current = self.shelf.find(cluster)?;
        let latest = current.load_full();
        let host = Arc::clone(latest.hosts.find(address)?);
        Some((current, latest, host))
    }

    /// Makes `after` the latest snapshot, and says in the log when that begins or ends a panic.
    fn publish(&self, current: &Current, after: Snapshot) {
        let now = Moment::of(Instant::now());
        after.hosts.note_recovered(&current.load().hosts, now);
        after.hosts.prepare(after.settings.balancer);
        let before = current.swap(Arc::new(after));
        let after = current.load();
        // Idle connections to the hosts that it lacks are of no use.
        let gone = before.hosts.gone(&after.hosts);
        gone.for_each(|host| host.departure().leave(None));
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
        let shelf = self.shelf.all();
        let (known, new): (Vec<_>, Vec<_>) = changed
            .into_iter()
            .partition(|settings| shelf.contains_key(&settings.name));
        for settings in known {
            let current = &shelf[&settings.name];
            let after = current.load().with_settings(settings);
            self.publish_settings(current, after);
        }
        // A change of hosts costs nothing for the other clusters: only new ones touch the shelf.
        if !new.is_empty() {
            let mut shelf = HashMap::clone(&shelf);
            shelf.extend(new.into_iter().map(|settings| {
                let name = settings.name.clone();
                (
                    name,
                    Arc::new(ArcSwap::from_pointee(Snapshot::new(settings))),
                )
            }));
            self.shelf.store(shelf);
        }
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Remove(Vec<ClusterName>);

impl Handler<Remove> for Clusters {
    type Result = ();

    fn handle(&mut self, Remove(names): Remove, _: &mut Context<Self>) {
        let mut shelf = HashMap::clone(&self.shelf.all());
        let gone: Vec<_> = names.iter().filter_map(|name| shelf.remove(name)).collect();
        self.shelf.store(shelf);
        for cluster in gone {
            let hosts = &cluster.load().hosts;
            hosts
                .hosts()
                .iter()
                .for_each(|host| host.departure().leave(None));
        }
    }
}

impl Handler<HealthTurned> for Clusters {
    type Result = bool;

    fn handle(&mut self, turn: HealthTurned, _: &mut Context<Self>) -> bool {
        let Some((current, before, host)) = self.find(&turn.cluster, &turn.address) else {
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

#[derive(Message)]
#[rtype(result = "()")]
struct Named {
    cluster: ClusterName,
    name: Arc<str>,
    known: Known,
}

impl Handler<Named> for Clusters {
    type Result = ();

    fn handle(&mut self, named: Named, _: &mut Context<Self>) {
        let Some(current) = self.shelf.find(&named.cluster) else {
            return;
        };
        let before = current.load();
        if asked(&before.settings).any(|name| *name == named.name) {
            let after = before.with_name(named.name, named.known);
            match Arc::ptr_eq(&before.hosts, &after.hosts) {
                true => self.publish(&current, after),
                false => self.publish_settings(&current, after),
            }
        }
    }
}

impl Handler<Assign> for Clusters {
    type Result = bool;

    fn handle(&mut self, order: Assign, _: &mut Context<Self>) -> bool {
        let Some((current, before, host)) = self.find(&order.cluster, &order.address) else {
            return false;
        };
        let hosts = before.hosts.with_duty(&order.address, order.duty);
        self.publish(&current, before.with_hosts(hosts));
        match order.duty {
            Duty::Serving => host.departure().stay(),
            Duty::Draining => host.departure().leave(order.deadline),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Balancer, Cluster, Host};

    fn log() -> slog::Logger {
        slog::Logger::root(slog::Discard, slog::o!())
    }

    #[actix::test]
    async fn no_choice_waits_for_a_table_of_a_cluster_or_of_its_subsets() {
        let (shelf, slot) = (Shelf::default(), Slot::default());
        let _life = start(
            shelf.clone(),
            Subscribers::default(),
            log(),
            Slot::default(),
            &slot,
        );
        let host = |port: u16, zone: &str| Host {
            metadata: [("zone".to_owned(), zone.to_owned())].into(),
            ..Host::new(std::net::SocketAddr::from(([127, 0, 0, 1], port)).into())
        };
        let mut settings = Cluster::new("origins", [host(1, "a"), host(2, "b")]);
        settings.balancer = Balancer::Maglev;
        settings.subsets = Some(config::Subsets {
            selectors: vec![vec!["zone".to_owned()]],
            fallback: config::Fallback::Any,
        });
        let name = settings.name.clone();
        put(&slot, vec![Arc::new(settings.clone())]).await.unwrap();
        let is_prepared = || {
            let current = shelf.find(&name).unwrap().load_full();
            current.hosts.is_prepared(current.settings.balancer)
        };
        assert!(is_prepared());

        settings.hosts.push(host(3, "c"));
        put(&slot, vec![Arc::new(settings)]).await.unwrap();
        assert!(is_prepared());
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
