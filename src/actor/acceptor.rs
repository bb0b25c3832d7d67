//! Accepts for one listener on one worker.
//!
//! In: the wish to stop. Out: each socket, to what the lane has admitted. It accepts again only
//! when those have had a turn and the process may take one more, so a full proxy leaves its
//! clients waiting in the kernel. When it is asked to stop it takes what is queued and ends, so
//! that closing the socket resets no client.

use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use actix::prelude::*;
use futures::FutureExt;
use slog::Level;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::actor::connections::{Accepted, Admitted};
use crate::actor::listeners::Post;
use crate::actor::logger::{self, Event};
use crate::actor::slot::Slot;
use crate::actor::supervisor::{Fate, Life, run};
use crate::net::{self, AcceptError, Listening};

/// Sockets admitted in one turn: enough to spread its cost, few enough that the connections before
/// them are served meanwhile.
const BATCH: usize = 16;

/// What an acceptor works with.
#[derive(Clone)]
pub(super) struct Duty {
    /// The listener it accepts for.
    pub post: Arc<Post>,
    /// The worker it accepts on.
    pub worker: usize,
    /// Which of the worker's sockets of the listener it accepts from.
    pub socket: usize,
    /// Where the sockets go.
    pub admitted: Rc<Admitted>,
    /// How many more connections the process takes.
    pub admission: Arc<Semaphore>,
    /// Where events go.
    pub logger: Slot<logger::Handle>,
}

/// Starts the actor on the current worker.
pub(super) fn start(duty: Duty) -> Life {
    run(|fate| Acceptor { duty, fate }).1
}

struct Acceptor {
    duty: Duty,
    fate: Fate,
}

impl Actor for Acceptor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let work = self.duty.clone().accept(self.fate.clone()).into_actor(self);
        ctx.spawn(work.map(|ended, this, ctx| match ended {
            Ok(()) => ctx.stop(),
            Err(reason) => this.fate.fail(ctx, reason),
        }));
    }
}

impl Duty {
    /// Accepts until asked to stop; fails when the socket is lost.
    async fn accept(self, fate: Fate) -> Result<(), String> {
        // A listener that was taken down meanwhile has no socket any more.
        let Some(socket) = self.post.socket(self.worker, self.socket) else {
            return Ok(());
        };
        // After a crash further up the life before this one may not be gone yet.
        let _alone = self.admitted.accepting(self.socket).lock_owned().await;
        let mut acceptor = self.watch(socket)?;
        let stop = fate.stop_requested();
        tokio::pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                taken = self.take(&mut acceptor) => taken?,
            }
        }
        // What is queued is another process' then.
        if self.post.is_paused() {
            return Ok(());
        }
        loop {
            let queued = self.last_queued(&acceptor);
            if queued.is_empty() {
                return Ok(());
            }
            self.admit(queued).await;
        }
    }

    fn watch(&self, socket: Arc<Listening>) -> Result<net::Acceptor, String> {
        net::Acceptor::new(socket).map_err(|error| self.said(&error))
    }

    fn said(&self, what: &dyn std::fmt::Display) -> String {
        format!("listener `{}`: {what}", self.post.settings().name)
    }

    /// Waits for one connection, takes those that are there already too, and admits them.
    async fn take(&self, acceptor: &mut net::Acceptor) -> Result<(), String> {
        // Whoever has nobody to let in must keep no place from the others.
        let waiting = acceptor.ready().await;
        waiting.map_err(|error| self.said(&error))?;
        let permit = self.permit().await;
        let first = match acceptor.accept().now_or_never() {
            Some(Ok(first)) => first.stream,
            Some(Err(error @ AcceptError::Exhausted { .. })) => {
                self.note(Event::exhausted(self.said(&error)));
                return Ok(());
            }
            Some(Err(error)) => return Err(error.to_string()),
            // Another worker took it, or the acceptor waits for descriptors.
            None => return Ok(()),
        };
        let accepted = vec![Accepted {
            stream: first,
            permit,
        }];
        self.admit(self.and_queued(accepted, acceptor)).await;
        Ok(())
    }

    /// Adds the connections that are there already, up to a batch of them.
    fn and_queued(
        &self,
        mut accepted: Vec<Accepted>,
        acceptor: &mut net::Acceptor,
    ) -> Vec<Accepted> {
        while accepted.len() < BATCH
            && let Ok(permit) = Arc::clone(&self.admission).try_acquire_owned()
            && let Some(next) = acceptor.accept().now_or_never()
        {
            match next {
                Ok(next) => accepted.push(Accepted {
                    stream: next.stream,
                    permit,
                }),
                Err(error) => {
                    // It is told once a second only, so that nobody else may hear of it.
                    self.note(Event::exhausted(self.said(&error)));
                    break;
                }
            }
        }
        accepted
    }

    /// A batch of those connections that are there as the socket is about to close. The reactor may
    /// not have told of them yet.
    fn last_queued(&self, acceptor: &net::Acceptor) -> Vec<Accepted> {
        let mut queued = Vec::new();
        while queued.len() < BATCH
            && let Ok(permit) = Arc::clone(&self.admission).try_acquire_owned()
            && let Ok(Some(next)) = acceptor.accept_now()
        {
            queued.push(Accepted {
                stream: next.stream,
                permit,
            });
        }
        queued
    }

    /// Waits until the process may take one more connection.
    async fn permit(&self) -> OwnedSemaphorePermit {
        if let Ok(permit) = Arc::clone(&self.admission).try_acquire_owned() {
            return permit;
        }
        self.note(Event {
            level: Level::Warning,
            tag: "listener.accept",
            kind: "connection limit".to_owned(),
            text: self.said(&"the connection limit is reached; clients wait"),
        });
        let permit = Arc::clone(&self.admission).acquire_owned().await;
        permit.expect("nobody closes the semaphore")
    }

    /// Admits connections, and lets them run before it returns.
    async fn admit(&self, accepted: Vec<Accepted>) {
        accepted
            .into_iter()
            .for_each(|one| self.admitted.admit(one));
        // Tokio's `yield_now` would ask the reactor first, which costs a call.
        let mut waited = false;
        std::future::poll_fn(|cx| {
            if std::mem::replace(&mut waited, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    fn note(&self, event: Event) {
        if let Some(logger) = self.logger.get() {
            logger.note(event);
        }
    }
}
