//! Talks to the process before this one and to the one after it.
//!
//! In: successors that call at the control socket, commands that ask for one, and what the root
//! lets say. Out: what was heard, told up to the root. It decides nothing: which word follows is the
//! lifecycle's. The control socket and everything that a talk has led to belong to the root, in the
//! `Desk`: when this actor dies a talk ends, which the other process takes as any other end, and
//! the next life answers at the same socket.

mod arriving;
mod desk;
mod holdings;
mod inherit;
mod launch;
mod moving;
mod outcomes;
mod predecessor;
mod successor;
mod tally;

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use futures::stream::{FuturesUnordered, StreamExt};

use crate::actor::slot::{Slot, Unavailable};
use crate::actor::supervisor::{Life, run};
pub(super) use desk::{Command, Desk, Estate, Told};
pub(super) use holdings::Holdings;
pub use inherit::{InheritError, Inheritance, inherit, report};
pub use launch::{Launch, Launched, Launcher};

/// Who calls is heard out one after the other beyond so many.
const CALLERS: usize = 16;

/// How upgrades are made. Who gives none has none.
#[derive(Clone)]
pub struct Upgrades {
    /// Where the control socket is.
    pub directory: PathBuf,
    /// How long a successor may take until it accepts (default 30 s).
    pub timeout: Duration,
    /// How long a successor that accepts must live before it is trusted (default 3 s).
    pub probation: Duration,
    /// Starts a successor; without it, only one that is started otherwise can be.
    pub launcher: Option<Launcher>,
}

impl Upgrades {
    /// Upgrades with the control socket in this directory.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            timeout: Duration::from_secs(30),
            probation: Duration::from_secs(3),
            launcher: None,
        }
    }
}

impl std::fmt::Debug for Upgrades {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upgrades")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

/// Starts the actor, and fills `slot` with the door to it.
pub(super) fn start(desk: Rc<Desk>, slot: &Slot<Handle>) -> Life {
    let (address, life) = run(|_| Upgrade { desk });
    slot.fill(Handle(address));
    life
}

/// The only way in.
#[derive(Clone)]
pub(super) struct Handle(Addr<Upgrade>);

/// Starts a successor as the launcher does without further orders; the log says what becomes of
/// it.
///
/// # Errors
///
/// [`Unavailable`] when the actor did not come back in time.
pub(super) async fn launch(upgrade: &Slot<Handle>) -> Result<(), Unavailable> {
    upgrade.ask(|handle| handle.0.send(Begin)).await
}

struct Upgrade {
    desk: Rc<Desk>,
}

impl Actor for Upgrade {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let desk = Rc::clone(&self.desk);
        if let Some(talk) = desk.predecessor.take() {
            ctx.spawn(successor::talk(Rc::clone(&desk), talk).into_actor(self));
        } else if desk.is_talking() {
            // Of the life before.
            ctx.spawn(Rc::clone(&desk).resume().into_actor(self));
        }
        ctx.spawn(answer(desk).into_actor(self));
    }
}

/// Answers whoever calls, from when this process is in charge until it is not any more.
async fn answer(desk: Rc<Desk>) {
    desk.in_charge().await;
    let mut callers = FuturesUnordered::new();
    loop {
        let Some(control) = desk.control() else {
            // Another one is in charge; who still talks is heard out.
            callers.by_ref().collect::<()>().await;
            return;
        };
        tokio::select! {
            called = control.accept(), if callers.len() < CALLERS => match called {
                Ok((talk, peer)) => callers.push(predecessor::hear(Rc::clone(&desk), talk, peer)),
                Err(error) => {
                    slog::warn!(desk.log, "control socket: {error}"; "tag" => "server");
                    // Out of descriptors, faster accepting frees none.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(()) = callers.next() => {}
            () = desk.left() => {}
        }
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Begin;

impl Handler<Begin> for Upgrade {
    type Result = ();

    fn handle(&mut self, Begin: Begin, ctx: &mut Context<Self>) {
        let launch = launch::launch(Rc::clone(&self.desk), Launch::default(), None);
        ctx.spawn(launch.into_actor(self));
    }
}
