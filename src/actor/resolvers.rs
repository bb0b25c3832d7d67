//! One resolver for each cluster that asks for names, below a supervisor of its own.
//!
//! In: nothing. Out: nothing; the root adds and removes children through [`Doors`], which it owns,
//! and a life that follows on a crash reads the shelf.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::actor::clusters::{self, Current, Shelf};
use crate::actor::resolver::{self, Means};
use crate::actor::slot::Slot;
use crate::actor::supervisor::{self, ChildSpec, Life, View};
use crate::cluster::asked;
use crate::config;
use crate::name::ClusterName;
use crate::supervise::{Policy, Strategy};

/// When resolvers fail so often all of them start anew.
const POLICY: Policy = Policy {
    strategy: Strategy::OneForOne,
    max_restarts: 20,
    within: Duration::from_secs(10),
};

/// Lookups of names that may be under way at once; each takes a socket or two.
const LOOKUPS: usize = 256;

/// How long a change waits for the first answers: a request that comes right after it finds hosts,
/// and a DNS server that is silent keeps nobody from starting.
const FIRST_ANSWERS: Duration = Duration::from_secs(1);

/// The resolvers there are, and the way to them.
#[derive(Clone)]
pub(super) struct Doors {
    means: Means,
    shelf: Shelf,
    running: Rc<RefCell<HashMap<ClusterName, Door>>>,
    supervisor: Rc<RefCell<Option<supervisor::Handle>>>,
}

/// The way to one resolver, and the cluster that it is for.
#[derive(Clone)]
struct Door {
    current: Current,
    slot: Slot<resolver::Handle>,
}

/// Starts the supervisor, with a resolver for each cluster on the shelf that asks for names.
fn start(doors: &Doors, subtree: &supervisor::Slot<View>) -> Life {
    doors.running.borrow_mut().clear();
    let clusters = doors.shelf.all();
    let asking = clusters
        .values()
        .filter(|current| asks(&current.load().settings));
    let specs = asking.map(|current| doors.enter(current)).collect();
    let log = doors.means.log.clone();
    let (handle, life) = supervisor::start("resolvers", POLICY, specs, log);
    subtree.fill(handle.view());
    doors.supervisor.replace(Some(handle));
    life
}

fn asks(settings: &config::Cluster) -> bool {
    asked(settings).next().is_some()
}

fn id(name: &ClusterName) -> String {
    format!("resolver {name}")
}

impl Doors {
    /// Doors to no resolver yet.
    pub(super) fn new(shelf: Shelf, clusters: Slot<clusters::Handle>, log: &slog::Logger) -> Self {
        let means = Means {
            clusters,
            lookups: Arc::new(Semaphore::new(LOOKUPS)),
            log: log.clone(),
        };
        Self {
            means,
            shelf,
            running: Rc::default(),
            supervisor: Rc::default(),
        }
    }

    /// The supervisor of the resolvers, as a child of the root.
    pub(super) fn child(&self) -> ChildSpec {
        let (doors, subtree) = (self.clone(), supervisor::Slot::default());
        let filled = subtree.clone();
        ChildSpec::permanent("resolvers", move || start(&doors, &filled)).supervisor(subtree)
    }

    /// Enters a resolver and says how it is started.
    fn enter(&self, current: &Current) -> ChildSpec {
        let name = current.load().settings.name.clone();
        let door = Door {
            current: Arc::clone(current),
            slot: Slot::default(),
        };
        self.running.borrow_mut().insert(name.clone(), door.clone());
        let means = self.means.clone();
        ChildSpec::permanent(id(&name), move || {
            resolver::start(Arc::clone(&door.current), means.clone(), &door.slot)
        })
    }

    /// Makes the resolvers of these clusters be what the shelf says, and waits a little for what
    /// they find. No other cluster is looked at.
    pub(super) async fn follow(&self, changed: impl Iterator<Item = &ClusterName>) {
        let mut running = Vec::new();
        for name in changed {
            running.extend(self.follow_one(name).await);
        }
        let answers = join_all(running.iter().map(resolver::follow));
        // Whoever is late goes on by itself.
        let _ = timeout(FIRST_ANSWERS, answers).await;
    }

    /// Adds or removes the resolver of a cluster; the way to the one that runs then.
    async fn follow_one(&self, name: &ClusterName) -> Option<Slot<resolver::Handle>> {
        let wanted = self.shelf.find(name);
        let wanted = wanted.filter(|current| asks(&current.load().settings));
        let running = self.running.borrow().get(name).cloned();
        // Between two lives of the supervisor nothing is to be done: the next one reads the shelf.
        let supervisor = self.supervisor.borrow().clone()?;
        let stays = match (&running, &wanted) {
            (Some(door), Some(wanted)) => Arc::ptr_eq(&door.current, wanted),
            _ => false,
        };
        if running.is_some() && !stays {
            self.running.borrow_mut().remove(name);
            let _ = supervisor.remove(&id(name)).await;
        }
        let wanted = wanted?;
        if !stays {
            let spec = self.enter(&wanted);
            let _ = supervisor.add(spec).await;
        }
        let running = self.running.borrow();
        running.get(name).map(|door| door.slot.clone())
    }
}
