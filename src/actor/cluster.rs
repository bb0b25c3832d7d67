//! One cluster on one worker: answers which host takes a connection or a request.
//!
//! In: [`PickHost`] from this worker's connections. Out: a lease, which counts on the host until
//! it is dropped. The host set is read from the cluster's slot, so a restart loses only the
//! balancer's place in its turn.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use actix::prelude::*;
use futures::future::OptionFuture;
use rand::rngs::SmallRng;

use crate::actor::clusters::{Current, Snapshot};
use crate::actor::slot::Slot;
use crate::actor::supervisor::{Life, run};
use crate::cluster::{
    Ask, Balances, Clue, Duty, Evidence, Health, Host, Lease, Nobody, TakenFrom, Work,
};
use crate::name::ClusterName;
use crate::upstream::{Hosts, PickError, Picked};

/// Asks that may wait at once; far above what one worker accepts in one turn of its loop.
const MAILBOX: usize = 4096;

/// Starts the actor on the current worker and fills `slot` with the door to it.
pub(super) fn start(current: Current, slot: &Slot<Handle>) -> Life {
    let (address, life) = run(|_| Cluster::new(current));
    slot.fill(Handle(address));
    life
}

/// The only way in.
#[derive(Clone)]
pub(super) struct Handle(Addr<Cluster>);

/// This worker's clusters by name. Shared by its connections; written as clusters come and go.
#[derive(Clone, Default)]
pub(super) struct Directory(Rc<RefCell<Doors>>);

type Doors = HashMap<ClusterName, Door, foldhash::fast::RandomState>;

/// The way to one cluster.
struct Door {
    slot: Slot<Handle>,
    /// Says what of a piece of work the cluster has a use for.
    current: Current,
}

impl Directory {
    /// The slot of a cluster that is about to start.
    pub(super) fn enter(&self, name: ClusterName, current: &Current) -> Slot<Handle> {
        let mut doors = self.0.borrow_mut();
        let known = doors.get(&name).map(|door| door.slot.clone());
        let slot = known.unwrap_or_default();
        let door = Door {
            slot: slot.clone(),
            current: Arc::clone(current),
        };
        doors.insert(name, door);
        slot
    }

    /// Forgets a cluster.
    pub(super) fn strike(&self, name: &ClusterName) {
        self.0.borrow_mut().remove(name);
    }

    /// Forgets every cluster whose name does not please `stays`.
    pub(super) fn retain(&self, stays: impl Fn(&ClusterName) -> bool) {
        self.0.borrow_mut().retain(|name, _| stays(name));
    }
}

impl Hosts for Directory {
    fn clue(&self, cluster: &ClusterName, evidence: &impl Evidence) -> Clue {
        let doors = self.0.borrow();
        let Some(Door { current, .. }) = doors.get(cluster) else {
            return Clue::default();
        };
        Clue::of(&current.load().settings, evidence)
    }

    async fn pick(
        &self,
        cluster: &ClusterName,
        tried: &[Arc<Host>],
        work: Work,
        clue: &Clue,
    ) -> Result<Picked, PickError> {
        let question = |Handle(address): &Handle| {
            address.send(PickHost {
                tried: tried.to_vec(),
                work,
                clue: clue.clone(),
            })
        };
        // Every request comes here: nothing is cloned where the first life that is asked answers,
        // and what is awaited has no second place in the future, whose size counts.
        let first = OptionFuture::from({
            let doors = self.0.borrow();
            let door = doors.get(cluster).ok_or(PickError::UnknownCluster)?;
            door.slot.ask_now(question)
        });
        if let Some(Ok(picked)) = first.await {
            return picked;
        }
        let slot = self.0.borrow().get(cluster).map(|door| door.slot.clone());
        let slot = slot.ok_or(PickError::UnknownCluster)?;
        let asked = Box::pin(slot.ask(|door| question(&door)));
        asked.await.unwrap_or(Err(PickError::Unavailable))
    }
}

struct Cluster {
    current: Current,
    /// The snapshot that `balances` were made for.
    seen: Arc<Snapshot>,
    balances: Balances,
    rng: SmallRng,
}

impl Cluster {
    fn new(current: Current) -> Self {
        let mut rng = rand::make_rng::<SmallRng>();
        let seen = current.load_full();
        let (settings, hosts) = (Arc::clone(&seen.settings), Arc::clone(&seen.hosts));
        let balances = Balances::new(settings, hosts, &mut rng);
        Self {
            current,
            seen,
            balances,
            rng,
        }
    }

    /// Follows the slot.
    fn refresh(&mut self) {
        let latest = self.current.load();
        if Arc::ptr_eq(&latest, &self.seen) {
            return;
        }
        self.seen = Arc::clone(&latest);
        let settings = Arc::clone(&self.seen.settings);
        let hosts = Arc::clone(&self.seen.hosts);
        self.balances.renew(settings, hosts, &mut self.rng);
    }
}

impl Actor for Cluster {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

#[derive(Message)]
#[rtype(result = "Result<Picked, PickError>")]
struct PickHost {
    tried: Vec<Arc<Host>>,
    work: Work,
    clue: Clue,
}

impl Handler<PickHost> for Cluster {
    type Result = Result<Picked, PickError>;

    fn handle(
        &mut self,
        PickHost { tried, work, clue }: PickHost,
        _: &mut Context<Self>,
    ) -> Self::Result {
        self.refresh();
        let ask = Ask::at(&Instant::now).excluding(&tried).with(&clue);
        let taken = self.balances.pick(&ask, &mut self.rng);
        let taken = taken.map_err(|nobody| match nobody {
            Nobody::Eligible => no_host(&self.seen, &tried),
            Nobody::Known => PickError::NoDestination,
            Nobody::Matches => PickError::NoSubset,
        })?;
        if taken.from == TakenFrom::Fallback {
            self.seen.limits.count_subset_fallback();
        }
        Ok(Picked {
            lease: Lease::new(taken.host, work),
            settings: Arc::clone(&self.seen.settings),
            limits: Arc::clone(&self.seen.limits),
        })
    }
}

/// Why there is none. A host that drains may be healthy or not: it drains.
fn no_host(snapshot: &Snapshot, tried: &[Arc<Host>]) -> PickError {
    let hosts = snapshot.hosts.hosts();
    if hosts.is_empty()
        && let Some((name, reason)) = snapshot.names.blame(&snapshot.settings)
    {
        return PickError::Unresolved { name, reason };
    }
    let (draining, serving): (Vec<_>, Vec<_>) =
        hosts.iter().partition(|host| host.duty() == Duty::Draining);
    let unhealthy = |host: &&&Arc<Host>| host.health() == Health::Unhealthy;
    PickError::NoHost {
        hosts: hosts.len(),
        unhealthy: serving.iter().filter(unhealthy).count(),
        draining: draining.len(),
        tried: tried.len(),
    }
}
