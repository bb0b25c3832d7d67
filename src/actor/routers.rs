//! The only writer of the route tables.
//!
//! In: routers of the plan, from the root. Out: a new table in the [`Tables`], which every request
//! reads without asking. Nothing is sent, and the tables belong to the root, so a crash here loses
//! none of them.

use std::collections::HashMap;
use std::sync::Arc;

use actix::prelude::*;
use arc_swap::ArcSwap;

use crate::actor::slot::{Slot, Unavailable};
use crate::actor::supervisor::{Life, run};
use crate::config;
use crate::name::RouterName;
use crate::route::Table;

/// The current table of every router. Read by all, written by [`Routers`] alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tables(Arc<ArcSwap<HashMap<RouterName, Arc<Table>>>>);

impl Tables {
    /// The table of that router.
    #[must_use]
    pub(crate) fn find(&self, name: &RouterName) -> Option<Arc<Table>> {
        self.0.load().get(name).cloned()
    }
}

/// Starts the actor, fills `slot` with the door to it, and writes to `tables`.
pub(super) fn start(tables: Tables, slot: &Slot<Handle>) -> Life {
    let (address, life) = run(|_| Routers { tables });
    slot.fill(Handle(address));
    life
}

/// The only way in.
#[derive(Clone)]
pub(super) struct Handle(Addr<Routers>);

/// Makes tables of routers. Requests under way keep the table that they started with.
///
/// # Errors
///
/// [`Unavailable`] when the actor did not come back in time; then nothing, or all of it, is done.
pub(super) async fn put(
    routers: &Slot<Handle>,
    changed: Vec<Arc<config::Router>>,
) -> Result<(), Unavailable> {
    routers
        .ask(|handle| handle.0.send(Put(changed.clone())))
        .await
}

/// Takes tables away that no listener names any more.
///
/// # Errors
///
/// As [`put`].
pub(super) async fn remove(
    routers: &Slot<Handle>,
    names: Vec<RouterName>,
) -> Result<(), Unavailable> {
    routers
        .ask(|handle| handle.0.send(Remove(names.clone())))
        .await
}

struct Routers {
    tables: Tables,
}

impl Actor for Routers {
    type Context = Context<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
struct Put(Vec<Arc<config::Router>>);

impl Handler<Put> for Routers {
    type Result = ();

    fn handle(&mut self, Put(changed): Put, _: &mut Context<Self>) {
        let mut tables = HashMap::clone(&self.tables.0.load());
        for router in changed {
            tables.insert(router.name.clone(), Arc::new(Table::new(router)));
        }
        self.tables.0.store(Arc::new(tables));
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Remove(Vec<RouterName>);

impl Handler<Remove> for Routers {
    type Result = ();

    fn handle(&mut self, Remove(names): Remove, _: &mut Context<Self>) {
        let mut tables = HashMap::clone(&self.tables.0.load());
        tables.retain(|name, _| !names.contains(name));
        self.tables.0.store(Arc::new(tables));
    }
}
