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
use rand::rngs::SmallRng;

use crate::actor::clusters::{Current, Snapshot};
use crate::actor::slot::Slot;
use crate::actor::supervisor::{Life, run};
use crate::cluster::{Balance, Duty, Health, Host, Lease, Work};
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

type Doors = HashMap<ClusterName, Slot<Handle>, foldhash::fast::RandomState>;

impl Directory {
    /// The slot of a cluster that is about to start.
    pub(super) fn enter(&self, name: ClusterName) -> Slot<Handle> {
        self.0.borrow_mut().entry(name).or_default().clone()
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
    async fn pick(
        &self,
        cluster: &ClusterName,
        tried: &[Arc<Host>],
        work: Work,
    ) -> Result<Picked, PickError> {
        let question = |Handle(address): &Handle| {
            address.send(PickHost {
                tried: tried.to_vec(),
                work,
            })
        };
        // Every request comes here: nothing is cloned where the first life that is asked answers.
        let asked = {
            let doors = self.0.borrow();
            let slot = doors.get(cluster).ok_or(PickError::UnknownCluster)?;
            slot.ask_now(question)
        };
        if let Some(asked) = asked
            && let Ok(picked) = asked.await
        {
            return picked;
        }
        let slot = self.0.borrow().get(cluster).cloned();
        let slot = slot.ok_or(PickError::UnknownCluster)?;
        let asked = slot.ask(|door| question(&door));
        asked.await.unwrap_or(Err(PickError::Unavailable))
    }
}

struct Cluster {
    current: Current,
    /// The snapshot that `balance` was made for.
    seen: Arc<Snapshot>,
    balance: Balance,
    rng: SmallRng,
}

impl Cluster {
    fn new(current: Current) -> Self {
        let mut rng = rand::make_rng::<SmallRng>();
        let seen = current.load_full();
        let balance = Balance::new(seen.settings.balancer, Arc::clone(&seen.hosts), &mut rng);
        Self {
            current,
            seen,
            balance,
            rng,
        }
    }

    /// Follows the slot; hosts that stay keep their turn, unless the balancer is another one.
    fn refresh(&mut self) {
        let latest = self.current.load();
        if Arc::ptr_eq(&latest, &self.seen) {
            return;
        }
        let before = std::mem::replace(&mut self.seen, Arc::clone(&latest));
        let hosts = Arc::clone(&self.seen.hosts);
        let balancer = self.seen.settings.balancer;
        if before.settings.balancer == balancer {
            self.balance.renew(hosts, &mut self.rng);
        } else {
            self.balance = Balance::new(balancer, hosts, &mut self.rng);
        }
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
}

impl Handler<PickHost> for Cluster {
    type Result = Result<Picked, PickError>;

    fn handle(
        &mut self,
        PickHost { tried, work }: PickHost,
        _: &mut Context<Self>,
    ) -> Self::Result {
        self.refresh();
        let picked = self.balance.pick(&tried, Instant::now(), &mut self.rng);
        let host = picked.ok_or_else(|| no_host(&self.seen, &tried))?;
        Ok(Picked {
            lease: Lease::new(Arc::clone(host), work),
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
