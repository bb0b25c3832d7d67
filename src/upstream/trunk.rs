//! A connection to a host that many requests share.
//!
//! ```text
//! opening ──▶ open ──▶ leaving ──▶ ended       leaving: the peer has said goodbye; what is under
//!    │          │         │          ▲         way ends, and nothing new is begun
//!    └──────────┴─────────┴──────────┤
//!               └──▶ parting ────────┘         parting: it goes on in another process
//! ```
//!
//! Requests may be queued as soon as it is opening: when no connection is made, all of them hear
//! of that, and nothing of them was sent.

mod heartbeat;
mod moving;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::cluster::{self, Host, Lease, Permit};
use crate::protocol::rpc::{Codec, Flaw, Kind, Message};
use crate::streams::{Answered, Keepalive, Rhythm, Streams};

use super::outbox::Outbox;
use super::outcome::{Answer, End, Ending, Sent, Told};
use super::pool::identity;
use super::trunks::Parted;
pub use moving::Memory;

/// A connection to a host that many requests share. A clone is the same connection.
#[derive(Clone)]
pub struct Trunk(pub(super) Rc<Shared>);

pub(super) struct Shared {
    pub(super) codec: &'static dyn Codec,
    /// The longest frame that is read.
    pub(super) most: usize,
    pub(super) lease: Lease,
    /// Until it has ended.
    permit: Cell<Option<Permit>>,
    id: u64,
    streams: RefCell<Streams<Awaits>>,
    pub(super) out: RefCell<Outbox>,
    state: Cell<State>,
    /// Who is to have it when it parts.
    pub(super) heir: Cell<Option<oneshot::Sender<Parted>>>,
    /// Why it is to end, once that is wished from outside.
    pub(super) called_off: RefCell<Option<End>>,
    keepalive: RefCell<Keepalive>,
    /// Since when nothing is under way.
    idle_since: Cell<Instant>,
    /// How long that may last; `None` is for ever.
    idle_timeout: Cell<Option<Duration>>,
    driver: RefCell<Option<Waker>>,
    /// Whose own it is; woken when it is over, or is going to be.
    owner: RefCell<Option<Waker>>,
    /// Those who wait for room in `out`.
    waiting: RefCell<Vec<Waker>>,
    /// How it is counted when it has gone.
    pub(super) ending: Cell<cluster::Ending>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.lease.ends(self.ending.get());
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    Opening,
    Open,
    Leaving,
    Parting,
    Ended,
}

/// How a connection stands to the one whose own it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It takes requests, or is being opened.
    Serves,
    /// It takes no more.
    Leaves,
    /// It is over.
    Over,
    /// It was never open.
    Unopened,
}

/// What waits for an answer.
enum Awaits {
    Request {
        to: oneshot::Sender<Answer>,
        /// How many bytes were queued before its first.
        start: u64,
    },
    Heartbeat,
}

impl Trunk {
    pub(super) fn new(
        codec: &'static dyn Codec,
        most: usize,
        lease: Lease,
        permit: Permit,
        id: u64,
        now: Instant,
    ) -> Self {
        Self(Rc::new(Shared {
            codec,
            most,
            lease,
            permit: Cell::new(Some(permit)),
            id,
            streams: RefCell::new(Streams::new(codec.last_id())),
            out: RefCell::default(),
            state: Cell::new(State::Opening),
            heir: Cell::default(),
            called_off: RefCell::default(),
            keepalive: RefCell::new(Keepalive::new(Rhythm::default(), now)),
            idle_since: Cell::new(now),
            idle_timeout: Cell::new(None),
            driver: RefCell::default(),
            owner: RefCell::default(),
            waiting: RefCell::default(),
            ending: Cell::default(),
        }))
    }

    /// Its number among the upstream connections of this process, for logs; never used twice.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// The host as it was configured when the connection was begun.
    #[must_use]
    pub fn host(&self) -> &Host {
        self.0.lease.host()
    }

    /// Whether it leads there, in whatever snapshot the host is.
    #[must_use]
    pub fn is_to(&self, host: &Host) -> bool {
        identity(self.host()) == identity(host)
    }

    /// Whether it takes new requests.
    #[must_use]
    pub fn takes_requests(&self) -> bool {
        matches!(self.0.state.get(), State::Opening | State::Open)
    }

    /// Whether nobody has to wait before it sends a request.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.0.out.borrow().has_room() || !self.takes_requests()
    }

    /// Ready when there is room for another request. It is kept for nobody.
    pub fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_room() {
            return Poll::Ready(());
        }
        self.0.waiting.borrow_mut().push(cx.waker().clone());
        Poll::Pending
    }

    /// Sends a request, with another header block where one is given; it waits for its answer until
    /// `deadline`. `None` when the connection takes no more.
    #[must_use]
    pub fn ask(
        &self,
        message: &Message,
        headers: Option<&[u8]>,
        deadline: Option<Instant>,
    ) -> Option<Waiting> {
        if !self.takes_requests() {
            return None;
        }
        let (to, answer) = oneshot::channel();
        let start = self.0.out.borrow().queued();
        let awaits = Awaits::Request { to, start };
        let id = self.0.streams.borrow_mut().open(awaits, deadline)?;
        self.queue(message, id, headers);
        let trunk = self.clone();
        Some(Waiting { trunk, id, answer })
    }

    /// Sends a request that wants no answer; whether the connection took it.
    #[must_use]
    pub fn tell(&self, message: &Message, headers: Option<&[u8]>) -> bool {
        if !self.takes_requests() {
            return false;
        }
        // Its id is nobody's from the beginning: what answers it is late.
        let mut streams = self.0.streams.borrow_mut();
        let Some(id) = streams.open(Awaits::Heartbeat, None) else {
            return false;
        };
        streams.close(id);
        drop(streams);
        self.queue(message, id, headers);
        true
    }

    fn queue(&self, message: &Message, id: u64, headers: Option<&[u8]>) {
        self.0.out.borrow_mut().append(|out| {
            let (frame, bytes) = (&message.frame, &message.bytes);
            self.0.codec.relay(frame, bytes, id, headers, out);
        });
        self.wake();
    }

    /// How it stands; whoever asks hears of it when that changes.
    pub fn poll_standing(&self, cx: &Context<'_>) -> Standing {
        let standing = match self.0.state.get() {
            State::Opening | State::Open => Standing::Serves,
            State::Leaving | State::Parting => Standing::Leaves,
            State::Ended if self.0.ending.get() == cluster::Ending::Unopened => Standing::Unopened,
            State::Ended => Standing::Over,
        };
        remember(&self.0.owner, cx);
        standing
    }

    /// Ends it, whatever is under way.
    pub fn close(&self) {
        self.call_off(End::Left);
    }

    /// Wishes its end.
    pub(super) fn call_off(&self, why: End) {
        self.0.called_off.replace(Some(why));
        self.wake();
    }

    fn wake(&self) {
        if let Some(driver) = &*self.0.driver.borrow() {
            driver.wake_by_ref();
        }
    }

    pub(super) fn is_driven_by(&self, cx: &Context<'_>) {
        remember(&self.0.driver, cx);
    }

    pub(super) fn state(&self) -> State {
        self.0.state.get()
    }

    pub(super) fn opened(&self, now: Instant) {
        // It may have to make way before that.
        if self.state() == State::Opening {
            self.0.state.set(State::Open);
        }
        self.0.ending.set(cluster::Ending::Local);
        self.0.keepalive.borrow_mut().heard(now);
    }

    pub(super) fn heard(&self, now: Instant) {
        self.0.keepalive.borrow_mut().heard(now);
    }

    /// How many requests are under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.0.streams.borrow().len()
    }

    pub(super) fn expires_after(&self, idle_timeout: Option<Duration>) {
        self.0.idle_timeout.set(idle_timeout);
    }

    /// Whether nothing has been under way for too long.
    pub(super) fn is_stale(&self, now: Instant) -> bool {
        let idle = now.saturating_duration_since(self.0.idle_since.get());
        let limit = self.0.idle_timeout.get();
        self.under_way() == 0 && limit.is_some_and(|limit| idle > limit)
    }

    /// A frame has come.
    pub(super) fn take(&self, message: Message, now: Instant) -> Result<(), End> {
        let asker = message.frame.asker;
        match message.frame.kind {
            Kind::Response => self.deliver(asker.id, message, now),
            Kind::HeartbeatAck => self.acknowledged(asker.id),
            Kind::Heartbeat => self.acknowledge(&asker),
            Kind::GoAway => self.leave(),
            // A host that asks is none.
            Kind::Request | Kind::OneWay => return Err(End::Malformed(Flaw::Type)),
        }
        Ok(())
    }

    fn deliver(&self, id: u64, message: Message, now: Instant) {
        let answered = self.0.streams.borrow_mut().answer(id);
        match answered {
            Answered::Awaited(Awaits::Request { to, .. }) => {
                // Whoever gives up closes its id first.
                let _ = to.send(Answer::Response(message));
            }
            Answered::Awaited(Awaits::Heartbeat) => {}
            Answered::Late | Answered::Unknown => self.host().load().count_stray(),
        }
        self.rests(now);
    }

    /// The peer wants no more requests.
    fn leave(&self) {
        if self.takes_requests() {
            self.host().load().count_goodbye();
            self.makes_way();
            self.wake_owner();
        }
    }

    /// Tells those whose time is over, and says when the next one's is.
    pub(super) fn give_up_late(&self, now: Instant) -> Option<Instant> {
        let late = self.0.streams.borrow_mut().overdue(now);
        for awaits in late {
            if let Awaits::Request { to, .. } = awaits {
                let _ = to.send(Answer::TimedOut);
                self.rests(now);
            }
        }
        self.0.streams.borrow().next_deadline()
    }

    /// It is over: whoever waits hears why.
    pub(super) fn end(&self, why: &End) {
        if self.0.state.replace(State::Ended) == State::Ended {
            return;
        }
        self.0.permit.take();
        self.0.heir.take();
        let sent = self.0.out.borrow().sent();
        let mut told = Told::First;
        let all = self.0.streams.borrow_mut().close_all();
        for awaits in all {
            let Awaits::Request { to, start } = awaits else {
                continue;
            };
            let ending = Ending {
                why: why.clone(),
                sent: match start < sent {
                    true => Sent::Something,
                    false => Sent::Nothing,
                },
                told: std::mem::replace(&mut told, Told::Later),
            };
            let _ = to.send(Answer::Ended(ending));
        }
        self.wake_waiting();
        self.wake_owner();
    }

    fn wake_owner(&self) {
        if let Some(owner) = &*self.0.owner.borrow() {
            owner.wake_by_ref();
        }
    }

    pub(super) fn wake_waiting(&self) {
        let waiting = self.0.waiting.take();
        waiting.into_iter().for_each(Waker::wake);
    }

    fn rests(&self, now: Instant) {
        if self.0.streams.borrow().is_empty() {
            self.0.idle_since.set(now);
        }
    }
}

fn remember(whom: &RefCell<Option<Waker>>, cx: &Context<'_>) {
    let mut known = whom.borrow_mut();
    let is_known = known.as_ref().is_some_and(|one| one.will_wake(cx.waker()));
    if !is_known {
        *known = Some(cx.waker().clone());
    }
}

/// A request that waits for its answer. Dropping it gives up: the answer then comes too late.
pub struct Waiting {
    trunk: Trunk,
    id: u64,
    answer: oneshot::Receiver<Answer>,
}

impl Waiting {
    /// Waits for the answer, the request's deadline, or the end of the connection.
    pub async fn answer(mut self) -> Answer {
        let answer = (&mut self.answer).await;
        // Whoever drives the connection answers everybody before it goes.
        answer.unwrap_or(Answer::Ended(Ending {
            why: End::Abandoned,
            sent: Sent::Something,
            told: Told::Later,
        }))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // Once it is answered, its id may be another's.
        if !self.answer.is_terminated() {
            self.trunk.0.streams.borrow_mut().close(self.id);
            self.trunk.rests(tokio::time::Instant::now().into_std());
        }
    }
}
