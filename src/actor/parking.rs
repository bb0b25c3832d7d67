//! Downstream connections that rest, without an actor, a task or a buffer for any of them.
//!
//! It belongs to the hall of a thread. A connection that has rested for a while leaves its actor
//! and waits here; when its peer speaks, the roster hears of it first and has an actor go on with
//! it. What is kept of a connection is a small record that owns all that it needs.

use std::cell::{OnceCell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use slab::Slab;
use tokio::sync::OwnedSemaphorePermit;

use crate::name::ConnectionId;
use crate::net::{Asleep, Lookout, Stream};
use crate::proxy::http::{Addresses, Stage};
use crate::telemetry::counters::ListenerCounters;

/// A connection that rests, and what it goes on with. Dropping it closes the connection.
pub(super) struct Parked {
    /// Its socket.
    pub socket: Asleep,
    /// What it is apart from that.
    pub past: Past,
}

impl Parked {
    /// Whether it is owed an answer, though its listener drains: it was never served, or has just
    /// spoken.
    pub(super) fn may_be_served(&self) -> bool {
        self.past.stage == Stage::BeforeFirst || self.socket.has_unread()
    }
}

/// What a connection remembers while it is parked.
pub(super) struct Past {
    /// Its number.
    pub id: ConnectionId,
    /// How far it has come.
    pub stage: Stage,
    /// Its ends, if anybody has asked.
    pub addresses: Option<Box<Addresses>>,
    /// For how long it may rest; `None` is for ever.
    pub idle_timeout: Option<Duration>,
    /// For how long it has rested.
    pub quiet: Duration,
    /// Its place among those that the process takes.
    pub permit: OwnedSemaphorePermit,
    /// Which listener it came by.
    pub generation: u64,
    /// Counts its end.
    pub counted: Counted,
}

/// A connection that counts as open: dropping this counts it as closed.
pub(super) struct Counted(Option<Arc<ListenerCounters>>);

impl Counted {
    /// One that its listener has counted.
    pub(super) fn new(counters: &Arc<ListenerCounters>) -> Self {
        Self(Some(Arc::clone(counters)))
    }

    /// Leaves the counting to somebody else.
    pub(super) fn hand_over(mut self) {
        self.0 = None;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(counters) = &self.0 {
            counters.closed.fetch_add(1, Relaxed);
        }
    }
}

/// The parked connections of one thread. A clone is the same place.
#[derive(Clone, Default)]
pub(super) struct Parking(Rc<Inner>);

#[derive(Default)]
struct Inner {
    /// Made when the first connection comes.
    lookout: OnceCell<Lookout>,
    parked: RefCell<Slab<Parked>>,
    /// Whoever waits for the lookout to be made.
    keeper: RefCell<Option<Waker>>,
}

impl Parking {
    /// Takes a connection that rests.
    ///
    /// # Errors
    ///
    /// Where it cannot be watched it is given back as it was.
    pub(super) fn park(&self, stream: Stream, past: Past) -> Result<(), Box<(Stream, Past)>> {
        let mut all = self.0.parked.borrow_mut();
        let place = all.vacant_entry();
        let watched = self
            .lookout()
            .and_then(|lookout| lookout.add(&stream, place.key() as u64));
        if watched.is_err() {
            return Err(Box::new((stream, past)));
        }
        let socket = stream.sleep();
        place.insert(Parked { socket, past });
        Ok(())
    }

    fn lookout(&self) -> io::Result<&Lookout> {
        if let Some(lookout) = self.0.lookout.get() {
            return Ok(lookout);
        }
        let made = Lookout::new()?;
        if let Some(keeper) = self.0.keeper.take() {
            keeper.wake();
        }
        Ok(self.0.lookout.get_or_init(|| made))
    }

    /// Waits for connections whose peers have spoken or gone, and gives them away.
    pub(super) fn poll_spoken(&self, cx: &mut Context<'_>) -> Poll<Vec<Parked>> {
        let Some(lookout) = self.0.lookout.get() else {
            self.0.keeper.replace(Some(cx.waker().clone()));
            return Poll::Pending;
        };
        let mut heard = Vec::new();
        if ready!(lookout.poll_word(cx, &mut heard)).is_err() {
            // The reactor ends, and all that is on this thread with it.
            return Poll::Pending;
        }
        let keys = heard
            .into_iter()
            .filter_map(|key| usize::try_from(key).ok());
        Poll::Ready(self.take(keys))
    }

    /// Gives away those that came by the listener of this generation.
    pub(super) fn leave(&self, generation: u64) -> Vec<Parked> {
        let is_of = |parked: &Parked| parked.past.generation == generation;
        let keys = self.keys(|parked| is_of(parked));
        self.take(keys)
    }

    /// The places of those that came by the listener of this generation.
    pub(super) fn places(&self, generation: u64) -> Vec<usize> {
        self.keys(|parked| parked.past.generation == generation)
    }

    /// Gives away the one at a place, if it came by the listener of this generation.
    pub(super) fn leave_one(&self, place: usize, generation: u64) -> Option<Parked> {
        let is_of = |parked: &Parked| parked.past.generation == generation;
        let is_there = self.0.parked.borrow().get(place).is_some_and(is_of);
        is_there.then(|| self.take([place]).pop())?
    }

    /// So much time has passed: closes those that have rested for too long.
    pub(super) fn sweep(&self, tick: Duration) {
        let overdue = self.keys(|Parked { past, .. }| {
            past.quiet += tick;
            past.idle_timeout.is_some_and(|limit| past.quiet > limit)
        });
        for Parked { past, .. } in self.take(overdue) {
            if let Some(counters) = &past.counted.0 {
                counters.idle_closed.fetch_add(1, Relaxed);
            }
        }
    }

    fn keys(&self, mut wanted: impl FnMut(&mut Parked) -> bool) -> Vec<usize> {
        let mut all = self.0.parked.borrow_mut();
        let wanted = |(key, parked): (usize, &mut Parked)| wanted(parked).then_some(key);
        all.iter_mut().filter_map(wanted).collect()
    }

    fn take(&self, keys: impl IntoIterator<Item = usize>) -> Vec<Parked> {
        let mut all = self.0.parked.borrow_mut();
        let taken = keys.into_iter().filter_map(|key| all.try_remove(key));
        let taken: Vec<_> = taken.collect();
        if let Some(lookout) = self.0.lookout.get() {
            let sockets = taken.iter().map(|parked| &parked.socket);
            sockets.for_each(|socket| lookout.remove(socket));
        }
        if all.is_empty() {
            *all = Slab::new();
        }
        taken
    }
}
