//! The way by which connections leave for the successor process.
//!
//! Who offers one keeps it, untouched, until it hears what became of it, which the other end of the
//! queue tells in any case: also by ending.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};

use crate::actor::supervisor::Key;
use crate::protocol::handover::{Carried, Kind};

/// Offers that may wait; who finds it full waits.
const QUEUE: usize = 64;

/// Connections of a lane that are called from their rest at a time: while one waits, its peer does.
const AT_ONCE: usize = 16;

/// What has become of a connection that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the successor's; closing it here ends nothing.
    Moved,
    /// It stays here.
    Stays,
}

/// A connection that is offered to the successor.
#[derive(Debug)]
pub(crate) struct Offered {
    /// What it is.
    pub carried: Carried,
    /// Bytes that were read and not passed on.
    pub payload: Vec<u8>,
    /// Its sockets once more.
    pub sockets: Vec<OwnedFd>,
    /// Whoever has it; hears that it stays when this is dropped.
    pub answer: oneshot::Sender<Verdict>,
}

/// What a connection shows of itself as it leaves.
#[derive(Debug)]
pub(crate) struct Leaving {
    /// What it is.
    pub kind: Kind,
    /// Bytes that were read and not passed on.
    pub payload: Vec<u8>,
    /// Its sockets once more.
    pub sockets: Vec<OwnedFd>,
    /// Bytes that it has moved from downstream and to downstream.
    pub moved: (u64, u64),
    /// For how long it may be idle; `None` is for ever.
    pub idle_timeout: Option<Duration>,
    /// For how long it has been.
    pub quiet: Duration,
}

/// Makes a queue of offers.
pub(crate) fn queue() -> (mpsc::Sender<Offered>, mpsc::Receiver<Offered>) {
    mpsc::channel(QUEUE)
}

/// The way by which the connections of one listener leave for the successor, or idle ones to hosts.
#[derive(Clone, Debug)]
pub(crate) struct Mover {
    /// The listener's, of what was offered to the successor.
    place: Option<usize>,
    offers: mpsc::Sender<Offered>,
}

impl Mover {
    /// That of the listener at this place of what was offered to the successor.
    pub(crate) fn new(place: usize, offers: mpsc::Sender<Offered>) -> Self {
        let place = Some(place);
        Self { place, offers }
    }

    /// That of connections which belong to no listener.
    pub(crate) fn of_idle(&self) -> Self {
        Self {
            place: None,
            offers: self.offers.clone(),
        }
    }

    /// Whether anything can still leave by it.
    pub(crate) fn is_open(&self) -> bool {
        !self.offers.is_closed()
    }

    /// Offers a connection, and waits for what becomes of it. Until then nobody may touch it.
    ///
    /// # Cancel safety
    ///
    /// Not safe: the connection may have been moved, and has to be closed.
    pub(crate) async fn offer(&self, leaving: Leaving) -> Verdict {
        let Leaving {
            kind,
            payload,
            sockets,
            moved,
            idle_timeout,
            quiet,
        } = leaving;
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let carried = Carried {
            listener: self.place,
            kind,
            moved,
            idle_millis: idle_timeout.map(millis),
            quiet_millis: millis(quiet),
        };
        let (answer, answered) = oneshot::channel();
        let offered = Offered {
            carried,
            payload,
            sockets,
            answer,
        };
        match self.offers.send(offered).await {
            Ok(()) => answered.await.unwrap_or(Verdict::Stays),
            Err(_) => Verdict::Stays,
        }
    }
}

/// A connection that is still to be called.
#[derive(Clone, Copy, Debug)]
pub(super) enum Next {
    /// By its place where the worker's connections rest.
    Parked(usize),
    /// By its name in its lane.
    Running(Key),
}

/// How far a lane is with moving its connections.
#[derive(Debug, Default)]
pub(super) struct Moving {
    queue: RefCell<VecDeque<Next>>,
    under_way: Cell<usize>,
    /// Told when there may be room for one more.
    news: Notify,
    /// Told when nobody is left to be called.
    called: Notify,
}

impl Moving {
    /// Has these called one after the other.
    pub(super) fn begin(&self, all: impl Iterator<Item = Next>) {
        self.queue.borrow_mut().extend(all);
        self.news.notify_one();
    }

    /// Calls nobody any more; who was not called yet is returned.
    pub(super) fn end(&self) -> VecDeque<Next> {
        self.called.notify_waiters();
        self.queue.take()
    }

    /// How many may be called now.
    pub(super) fn room(&self) -> usize {
        AT_ONCE.saturating_sub(self.under_way.get())
    }

    /// Who is to be called next.
    pub(super) fn next(&self) -> Option<Next> {
        let mut queue = self.queue.borrow_mut();
        let next = queue.pop_front();
        if queue.is_empty() {
            self.called.notify_waiters();
        }
        next
    }

    /// One is on its way until the guard is dropped.
    pub(super) fn on_the_way(&self) -> impl Drop + '_ {
        self.under_way.set(self.under_way.get() + 1);
        OnTheWay(self)
    }

    /// Waits until there may be room for one more.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    /// Waits until nobody is left to be called.
    pub(super) async fn all_called(&self) {
        // One thread: nothing goes between the look and the wait.
        while !self.queue.borrow().is_empty() {
            self.called.notified().await;
        }
    }

    /// Whether nobody is left to be called.
    pub(super) fn is_done(&self) -> bool {
        self.queue.borrow().is_empty()
    }
}

struct OnTheWay<'m>(&'m Moving);

impl Drop for OnTheWay<'_> {
    fn drop(&mut self) {
        let Self(moving) = self;
        moving.under_way.set(moving.under_way.get() - 1);
        moving.news.notify_one();
    }
}
