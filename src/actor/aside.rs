//! Work that no connection waits for, as actors that live as long as it lasts: copies of requests, and
//! what moves the bytes of upstream connections that requests share.
//!
//! In: nothing. Out: a panic, to the logger. They are never restarted.

use std::future::Future;
use std::pin::Pin;

use actix::prelude::*;
use slog::Level;

use crate::actor::logger::{self, Event};
use crate::actor::supervisor::Group;
use crate::supervise::Exit;
use crate::upstream::Driver;

type Work = Pin<Box<dyn Future<Output = ()>>>;

/// A copy of a request.
pub(super) struct Aside(Option<Work>);

impl Aside {
    pub(super) fn of(work: Work) -> Self {
        Self(Some(work))
    }
}

impl Actor for Aside {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        run(self.0.take(), self, ctx);
    }
}

/// What moves the bytes of an upstream connection.
pub(super) struct Trunk(Option<Work>);

impl Trunk {
    pub(super) fn driven(driver: Driver) -> Self {
        Self(Some(driver))
    }
}

impl Actor for Trunk {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        run(self.0.take(), self, ctx);
    }
}

fn run<A: Actor<Context = Context<A>>>(work: Option<Work>, actor: &A, ctx: &mut Context<A>) {
    if let Some(work) = work {
        ctx.spawn(work.into_actor(actor).map(|(), _, ctx| ctx.stop()));
    }
}

/// A group of such work, of which `what` is said when one of it panics.
pub(super) fn group(
    what: &'static str,
    logger: impl Fn() -> Option<logger::Handle> + 'static,
) -> Group {
    Group::new(move |_, exit| {
        if let Exit::Panic(text) = exit
            && let Some(logger) = logger()
        {
            logger.note(Event {
                level: Level::Error,
                tag: "mosn.proxy.panic",
                kind: what.to_owned(),
                text: format!("{what} panicked: {text}"),
            });
        }
    })
}
