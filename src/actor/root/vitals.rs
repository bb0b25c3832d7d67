//! What a door sees of the process without asking, and whether its threads live.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::{Semaphore, watch};

use super::house::House;
use super::{ApplyError, Handle, Root};
use crate::actor::admin;
use crate::actor::listeners::Window;
use crate::lifecycle::State;
use crate::name::ListenerName;
use crate::net::Listening;

/// What can be seen of the process without asking anyone.
#[derive(Clone)]
pub struct Vitals {
    state: watch::Receiver<State>,
    admission: Arc<Semaphore>,
    max_connections: usize,
    board: Window,
    admin: Option<admin::Options>,
}

impl std::fmt::Debug for Vitals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vitals").finish_non_exhaustive()
    }
}

/// The sockets of a listener that accepts.
#[derive(Clone, Debug)]
pub struct Bound {
    /// The listener.
    pub name: ListenerName,
    /// Told apart from an earlier listener of the same name.
    pub generation: u64,
    /// Each socket once; they stay open for as long as this is kept.
    pub sockets: Vec<Arc<Listening>>,
}

impl Vitals {
    /// Where the process is in its life, now and from now on.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Connections that are open, of listeners that were taken down too.
    #[must_use]
    pub fn connections(&self) -> u64 {
        let free = self.admission.available_permits();
        self.max_connections.saturating_sub(free) as u64
    }

    /// The listeners that have sockets.
    #[must_use]
    pub fn bound(&self) -> Vec<Bound> {
        let posts = self.board.posts();
        let bound = posts.iter().map(|post| Bound {
            name: post.settings().name.clone(),
            generation: post.generation,
            sockets: post.sockets(),
        });
        bound.filter(|bound| !bound.sockets.is_empty()).collect()
    }

    /// The sockets of the admin door, as those of listeners.
    #[must_use]
    pub fn doors(&self) -> Vec<Bound> {
        let doors = self.admin.iter().flat_map(admin::Options::bound);
        let bound = doors.map(|one| Bound {
            name: one.name,
            // Once let go of, it is bound no more.
            generation: 1,
            sockets: vec![one.socket],
        });
        bound.collect()
    }
}

impl House {
    pub(super) fn vitals(&self) -> Vitals {
        Vitals {
            state: self.state_seen.subscribe(),
            admission: Arc::clone(&self.admission),
            max_connections: self.options.max_connections,
            board: self.board.window(),
            admin: self.options.admin.clone(),
        }
    }
}

impl Handle {
    /// What can be seen of the process without asking.
    #[must_use]
    pub fn vitals(&self) -> &Vitals {
        &self.4
    }

    /// Asks every worker's thread for a sign of life; the workers whose threads gave none in time.
    ///
    /// # Errors
    ///
    /// [`ApplyError::Ended`] when the tree has ended.
    pub async fn silent_workers(&self, within: Duration) -> Result<Vec<usize>, ApplyError> {
        let silent = self.0.send(SilentWorkers(within)).await;
        silent.map_err(|_| ApplyError::Ended)
    }
}

#[derive(Message)]
#[rtype(result = "Vec<usize>")]
struct SilentWorkers(Duration);

impl Handler<SilentWorkers> for Root {
    type Result = ResponseActFuture<Self, Vec<usize>>;

    fn handle(
        &mut self,
        SilentWorkers(within): SilentWorkers,
        _: &mut Context<Self>,
    ) -> Self::Result {
        let house = Rc::clone(&self.house);
        Box::pin(async move { house.threads.silent(within).await }.into_actor(self))
    }
}
