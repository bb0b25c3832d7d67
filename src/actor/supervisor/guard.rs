//! Runs an actor's context so that no panic in it reaches the task that polls it.
//!
//! Left to itself a context that panicked is polled once more when it is dropped; an `async`
//! block that panicked before panics again there, and during an unwinding that aborts the
//! process. Here a panic is caught at the poll, the context is marked as terminated (which
//! spares it that last poll), and it is dropped under a second catch.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{self, Poll};

use actix::dev::ContextFut;
use actix::prelude::*;

#[cfg(any(test, feature = "fault-injection"))]
use crate::actor::fault;

/// An actor's whole life, as a future that never panics.
///
/// However it ends, its `report` is told once, after the actor has been dropped.
pub(super) struct Guarded<A, R>
where
    A: Actor<Context = Context<A>>,
    R: Report,
{
    context: Option<ContextFut<A, Context<A>>>,
    report: R,
    #[cfg(any(test, feature = "fault-injection"))]
    fault: fault::Switch,
}

/// Hears of the end of an actor.
pub(super) trait Report: Unpin {
    /// The actor has ended, and has been dropped.
    fn ended(&mut self, end: End);
}

/// How an actor's future ended; what that means is for its [`Report`] to say.
pub(super) enum End {
    /// Its task was dropped before it ended.
    Dropped,
    /// It panicked, with this text.
    Panicked(String),
    /// It stopped.
    Stopped,
}

impl<A, R> Guarded<A, R>
where
    A: Actor<Context = Context<A>>,
    R: Report,
{
    /// `label` is the name by which a test may have this actor panic.
    pub(super) fn new(context: Context<A>, actor: A, report: R, label: Option<&str>) -> Self {
        #[cfg(not(any(test, feature = "fault-injection")))]
        let _ = label;
        Self {
            context: Some(context.into_future(actor)),
            report,
            #[cfg(any(test, feature = "fault-injection"))]
            fault: fault::Switch::new(label.unwrap_or_else(|| fault::kind_of::<A>())),
        }
    }

    fn end(&mut self, end: End) {
        let Some(mut context) = self.context.take() else {
            return;
        };
        let dropped = catch_unwind(AssertUnwindSafe(move || {
            context.ctx().terminate();
            drop(context);
        }));
        self.report.ended(match (end, dropped) {
            (End::Panicked(first), _) => End::Panicked(first),
            (_, Err(payload)) => End::Panicked(text_of(&*payload)),
            (end, Ok(())) => end,
        });
    }
}

impl<A, R> Future for Guarded<A, R>
where
    A: Actor<Context = Context<A>>,
    R: Report,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let Some(context) = &mut this.context else {
            return Poll::Ready(());
        };
        let polled = catch_unwind(AssertUnwindSafe(|| {
            #[cfg(any(test, feature = "fault-injection"))]
            this.fault.check(cx);
            Pin::new(context).poll(cx)
        }));
        match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(())) => this.end(End::Stopped),
            Err(payload) => this.end(End::Panicked(text_of(&*payload))),
        }
        Poll::Ready(())
    }
}

impl<A, R> Drop for Guarded<A, R>
where
    A: Actor<Context = Context<A>>,
    R: Report,
{
    fn drop(&mut self) {
        self.end(End::Dropped);
    }
}

/// What a panic said, when it said it in text.
pub(super) fn text_of(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref().cloned())
        .unwrap_or_else(|| "(not a text)".to_owned())
}
