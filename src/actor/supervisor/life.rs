//! Starts one actor in a task of its own and holds it: every end of it is seen and told apart.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::guard::{End, Guarded, Report, text_of};
use crate::supervise::Exit;

/// How long another arbiter may take to run a start; a thread that is blocked for longer counts
/// as dead.
const ARBITER_ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// Starts an actor on the current arbiter.
///
/// The actor runs until it stops, fails through its [`Fate`], panics, or its [`Life`] is dropped.
/// A panicked or killed actor's `stopped` is not called: what must be released is released by
/// `Drop`.
///
/// # Panics
///
/// Outside an actix system, and when `make` does.
pub fn run<A>(make: impl FnOnce(Fate) -> A) -> (Addr<A>, Life)
where
    A: Actor<Context = Context<A>>,
{
    run_as(None, make)
}

/// Starts an actor that tests know by `label` instead of by its type.
pub(super) fn run_as<A>(label: Option<&str>, make: impl FnOnce(Fate) -> A) -> (Addr<A>, Life)
where
    A: Actor<Context = Context<A>>,
{
    let fate = Fate::default();
    let context = Context::new();
    let address = context.address();
    let (sender, exit) = oneshot::channel();
    let report = Reporter {
        fate: fate.clone(),
        sender: Some(sender),
    };
    let guarded = Guarded::new(context, make(fate.clone()), report, label);
    let task = tokio::task::spawn_local(guarded).abort_handle();
    let exit = Ending::Awaited(exit);
    let leash = Leash { task, fate };
    (address, Life { exit, leash })
}

/// Starts an actor, or a whole subtree, on another arbiter.
///
/// `start` runs there; what it returns must be able to travel. The end of the arbiter is an exit
/// of the child like any other.
///
/// # Errors
///
/// [`Exit::Abort`] when the arbiter has ended or does not answer within five seconds,
/// [`Exit::Panic`] when `start` panicked. Nothing runs there afterwards.
///
/// # Cancel safety
///
/// Dropping the future kills what `start` starts or has started.
pub async fn run_on<H: Send + 'static>(
    arbiter: &ArbiterHandle,
    start: impl FnOnce() -> (H, Life) + Send + 'static,
) -> Result<(H, Life), Exit> {
    let (reply, answer) = oneshot::channel();
    arbiter.spawn_fn(move || {
        if !reply.is_closed() {
            let started = catch_unwind(AssertUnwindSafe(start));
            // Nobody waits any more: the life travels no further, and its drop kills the child.
            let _ = reply.send(started.map_err(|payload| Exit::Panic(text_of(&*payload))));
        }
    });
    match timeout(ARBITER_ANSWERS_WITHIN, answer).await {
        Ok(Ok(started)) => started,
        Ok(Err(_)) => Err(Exit::Abort("its arbiter has ended".to_owned())),
        Err(_) => Err(Exit::Abort("its arbiter does not answer".to_owned())),
    }
}

/// A running actor, as its supervisor holds it; dropping it kills the actor.
///
/// It may be sent to other arbiters.
#[must_use = "dropping a life kills the actor"]
pub struct Life {
    exit: Ending,
    leash: Leash,
}

impl Life {
    /// Waits until the actor has ended and has been dropped.
    ///
    /// # Cancel safety
    ///
    /// It is cancel safe, and once it has answered it answers the same again.
    pub async fn ended(&mut self) -> Exit {
        let exit = match &mut self.exit {
            Ending::Awaited(exit) => exit.await.unwrap_or_else(|_| unreported()),
            Ending::Known(exit) => return exit.clone(),
        };
        self.exit = Ending::Known(exit.clone());
        exit
    }

    /// Tells the actor that it should end: its [`Fate::stop_requested`] answers.
    pub fn request_stop(&self) {
        self.leash.request_stop();
    }

    /// Ends the actor without its consent, at its next await.
    pub fn kill(&self) {
        self.leash.kill();
    }

    /// Takes the life apart, so that its end may be awaited beside other ends.
    pub(super) fn split(self) -> (Leash, impl Future<Output = Exit> + 'static) {
        let Self { exit, leash } = self;
        let exit = async move {
            match exit {
                Ending::Awaited(exit) => exit.await.unwrap_or_else(|_| unreported()),
                Ending::Known(exit) => exit,
            }
        };
        (leash, exit)
    }
}

impl fmt::Debug for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Life").finish_non_exhaustive()
    }
}

enum Ending {
    Awaited(oneshot::Receiver<Exit>),
    Known(Exit),
}

fn unreported() -> Exit {
    Exit::Abort("its task was lost".to_owned())
}

/// The holding half of a [`Life`]; dropping it kills the actor.
#[derive(Debug)]
pub(super) struct Leash {
    task: AbortHandle,
    fate: Fate,
}

impl Leash {
    pub(super) fn request_stop(&self) {
        self.fate.0.stop.cancel();
    }

    pub(super) fn kill(&self) {
        self.fate.0.killed.store(true, Ordering::Release);
        self.task.abort();
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What an actor and its supervisor know of each other: how it says why it stops, and hears that
/// it should.
#[derive(Clone, Debug, Default)]
pub struct Fate(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    killed: AtomicBool,
    reason: OnceLock<String>,
    stop: CancellationToken,
}

impl Fate {
    /// Stops the actor; its supervisor sees [`Exit::Fail`] with this reason, or with an earlier
    /// one.
    pub fn fail(&self, ctx: &mut impl ActorContext, reason: String) {
        // The first reason is the cause; those after it are its consequences.
        let _ = self.0.reason.set(reason);
        ctx.stop();
    }

    /// Waits until the supervisor wishes the actor to end.
    ///
    /// Any task of the actor may await it. An actor that never does is killed when its
    /// [`Shutdown`](crate::supervise::Shutdown) says so.
    ///
    /// # Cancel safety
    ///
    /// It is cancel safe.
    pub async fn stop_requested(&self) {
        self.0.stop.cancelled().await;
    }

    /// Whether the supervisor wishes the actor to end.
    #[must_use]
    pub fn is_stop_requested(&self) -> bool {
        self.0.stop.is_cancelled()
    }
}

/// Tells the holder of the [`Life`] how it ended.
struct Reporter {
    fate: Fate,
    sender: Option<oneshot::Sender<Exit>>,
}

impl Report for Reporter {
    fn ended(&mut self, end: End) {
        let exit = match end {
            End::Dropped if self.fate.0.killed.load(Ordering::Acquire) => {
                Exit::Abort("killed".to_owned())
            }
            End::Dropped => Exit::Abort("its arbiter has ended".to_owned()),
            End::Panicked(text) => Exit::Panic(text),
            End::Stopped => self
                .fate
                .0
                .reason
                .get()
                .map_or(Exit::Normal, |reason| Exit::Fail(reason.clone())),
        };
        if let Some(sender) = self.sender.take() {
            // Nobody awaits it: its supervisor has gone first.
            let _ = sender.send(exit);
        }
    }
}
