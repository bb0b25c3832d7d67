//! The one supervisor: starts its children in order, restarts them as `supervise` decides, and
//! gives up when they fail too often.
//!
//! In: the end of each child; children to add and to remove, from whoever holds its [`Handle`].
//! Out: questions for their subtrees to those children that are supervisors. When it gives up it
//! fails like any other child, and the supervisor above it decides.
//!
//! `actix::Supervisor` is not used: it restarts an actor that stopped, never one that panicked.

mod engine;
mod group;
mod guard;
mod life;
mod spec;
mod table;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::supervise::Policy;
use engine::{Command, Engine};
use table::Table;

pub use group::{Group, Key, Member};
pub use life::{Fate, Life, run, run_on};
pub use spec::{ChildSpec, Slot};
pub use table::{Kind, Node, State};

/// Commands that wait while the supervisor starts or stops children; their senders wait beyond.
const COMMANDS: usize = 16;
/// How long the whole tree may take to describe itself; each level leaves its own answer a
/// quarter of what it was given.
const DESCRIBES_WITHIN: Duration = Duration::from_secs(1);

/// Starts a supervisor on the current arbiter; it starts `specs` in order.
///
/// It ends normally when it is asked to stop, after its children have, last to first. It fails
/// when one of `specs` cannot start, and when its children fail more often than `policy` admits.
/// Children never outlive it, however it ends.
///
/// # Panics
///
/// Outside an actix system.
pub fn start(
    name: impl Into<Arc<str>>,
    policy: Policy,
    specs: Vec<ChildSpec>,
    log: slog::Logger,
) -> (Handle, Life) {
    let name = name.into();
    let (commands, inbox) = mpsc::channel(COMMANDS);
    let (announce, started) = watch::channel(None);
    let (address, life) = life::run_as(Some(&name.clone()), |fate| {
        let table = Rc::new(RefCell::new(Table::new(specs)));
        let log = log.new(slog::o!("supervisor" => name.to_string()));
        let engine = Engine::new(
            name.clone(),
            policy,
            table.clone(),
            inbox,
            fate.clone(),
            log,
        );
        Supervisor {
            engine: Some((engine, announce)),
            fate,
            name,
            table,
        }
    });
    let view = View { address, started };
    (Handle { commands, view }, life)
}

/// A supervisor as seen from its own arbiter.
#[derive(Clone, Debug)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    view: View,
}

impl Handle {
    /// Starts one more child after all others.
    ///
    /// # Errors
    ///
    /// In each case the supervisor has no such child, except [`AddError::Duplicate`]: the one of
    /// that name is untouched.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped, the child may or may not be added.
    pub async fn add(&self, spec: ChildSpec) -> Result<(), AddError> {
        self.command(|reply| Command::Add(spec, reply))
            .await
            .unwrap_or(Err(AddError::Gone))
    }

    /// Stops a child as its [`Shutdown`](crate::supervise::Shutdown) says, waits until it has
    /// ended, and forgets it.
    ///
    /// Its name is free at once; siblings are served and restarted meanwhile.
    ///
    /// # Errors
    ///
    /// [`RemoveError::NotFound`] when there is no such child.
    ///
    /// # Cancel safety
    ///
    /// Once the command has been taken, the child ends even if nobody waits.
    pub async fn remove(&self, id: &str) -> Result<(), RemoveError> {
        self.command(|reply| Command::Remove(id.into(), reply))
            .await
            .unwrap_or(Err(RemoveError::Gone))
    }

    /// Waits until all children it was started with are up.
    ///
    /// # Errors
    ///
    /// [`StartError`] when the supervisor ended before that.
    pub async fn started(&self) -> Result<(), StartError> {
        self.view.started().await
    }

    /// Describes the supervisor and all below it.
    ///
    /// # Errors
    ///
    /// [`Gone`] when the supervisor has ended, or does not answer within a second.
    pub async fn tree(&self) -> Result<Node, Gone> {
        self.view.tree().await
    }

    /// What may travel to other arbiters.
    #[must_use]
    pub fn view(&self) -> View {
        self.view.clone()
    }

    async fn command<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.ok()?;
        answer.await.ok()
    }
}

/// A supervisor as seen from anywhere.
#[derive(Clone, Debug)]
pub struct View {
    address: Addr<Supervisor>,
    started: watch::Receiver<Started>,
}

type Started = Option<Result<(), StartError>>;

impl View {
    /// See [`Handle::started`].
    ///
    /// # Errors
    ///
    /// [`StartError`] when the supervisor ended before that.
    pub async fn started(&self) -> Result<(), StartError> {
        let mut started = self.started.clone();
        match started.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Err(StartError::Gone)),
            Err(_) => Err(StartError::Gone),
        }
    }

    /// See [`Handle::tree`].
    ///
    /// # Errors
    ///
    /// [`Gone`] when the supervisor has ended, or does not answer within a second.
    pub async fn tree(&self) -> Result<Node, Gone> {
        self.tree_within(DESCRIBES_WITHIN).await
    }

    async fn tree_within(&self, within: Duration) -> Result<Node, Gone> {
        match timeout(within, self.address.send(Tree { within })).await {
            Ok(Ok(node)) => Ok(node),
            _ => Err(Gone),
        }
    }
}

/// Why a child was not added.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AddError {
    /// A child of that name is there already.
    #[error("there is a child `{0}` already")]
    Duplicate(Arc<str>),
    /// It did not start.
    #[error("child `{id}` did not start: {reason}")]
    Failed {
        /// The child.
        id: Arc<str>,
        /// Why.
        reason: String,
    },
    /// The supervisor has ended, or ends.
    #[error("the supervisor has ended")]
    Gone,
}

/// The supervisor has ended.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the supervisor has ended")]
pub struct Gone;

/// Why a child was not removed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum RemoveError {
    /// The supervisor has ended, and its children with it.
    #[error("the supervisor has ended")]
    Gone,
    /// There is no child of that name.
    #[error("there is no such child")]
    NotFound,
}

/// Why a supervisor did not start.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum StartError {
    /// A child did not start; those before it have been stopped.
    #[error("child `{id}` did not start: {reason}")]
    Failed {
        /// The child.
        id: Arc<str>,
        /// Why.
        reason: String,
    },
    /// The supervisor was ended before all children were up.
    #[error("the supervisor has ended")]
    Gone,
}

#[derive(Debug)]
struct Supervisor {
    engine: Option<(Engine, watch::Sender<Started>)>,
    fate: Fate,
    name: Arc<str>,
    table: Rc<RefCell<Table>>,
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let Some((engine, announce)) = self.engine.take() else {
            return;
        };
        ctx.spawn(
            engine
                .run(announce)
                .into_actor(self)
                .map(|outcome, this, ctx| match outcome {
                    Ok(()) => ctx.stop(),
                    Err(reason) => this.fate.fail(ctx, reason),
                }),
        );
    }
}

/// Asks for the subtree, within a deadline that shrinks on the way down, so that the level that
/// waits in vain can still say so to the one above.
#[derive(Message)]
#[rtype(result = "Node")]
struct Tree {
    within: Duration,
}

impl Handler<Tree> for Supervisor {
    type Result = ResponseActFuture<Self, Node>;

    fn handle(&mut self, Tree { within }: Tree, _: &mut Context<Self>) -> Self::Result {
        let rows = self.table.borrow().rows();
        let name = self.name.clone();
        Box::pin(async move { table::describe(&name, rows, within * 3 / 4).await }.into_actor(self))
    }
}

#[cfg(test)]
mod tests;
