//! Bytes from a downstream connection to an upstream one, and back.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::cluster::{Departure, Host};
use crate::net::Stream;
use crate::protocol::handover::Halves;

use super::Bell;
use super::way::{Broken, Way};

/// Which peer of a proxied connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that called us.
    Downstream,
    /// The one we called.
    Upstream,
}

/// Bytes that a connection has moved so far, and how it is called when it rests.
///
/// Shared with whoever looks after connections: they set no timers of their own.
#[derive(Debug, Default)]
pub struct Flow {
    /// From downstream, taken by upstream.
    pub received: Cell<u64>,
    /// From upstream, taken by downstream.
    pub sent: Cell<u64>,
    /// Rung when something is wished of it; a relay never rests, and only stops to move.
    pub bell: Bell,
    /// What is asked of whoever watches: the host that is at work for it.
    carried_by: RefCell<Option<Arc<Departure>>>,
}

impl Flow {
    /// Counts bytes that came from downstream.
    pub fn add_received(&self, bytes: usize) {
        self.received.set(self.received.get() + bytes as u64);
    }

    /// Counts bytes that went downstream.
    pub fn add_sent(&self, bytes: usize) {
        self.sent.set(self.sent.get() + bytes as u64);
    }

    /// A host is at work for it, or none any more.
    pub fn carried_by(&self, host: Option<&Host>) {
        self.carried_by
            .replace(host.map(|host| Arc::clone(host.departure())));
    }

    /// Whether the host that is at work for it had to be done by `now`.
    #[must_use]
    pub fn is_overdue(&self, now: Instant) -> bool {
        let carried_by = self.carried_by.borrow();
        carried_by.as_ref().is_some_and(|host| host.is_overdue(now))
    }

    /// Bytes moved in either direction: a watcher that sees it unchanged saw no progress.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.received.get() + self.sent.get()
    }
}

/// How a relayed connection ended.
#[derive(Debug)]
pub struct Ended {
    /// Whose doing it was: the side that failed, or else the one that closed first.
    pub by: Side,
    /// Whether it was finished or cut.
    pub end: End,
}

/// Whether a connection was finished or cut.
#[derive(Debug)]
pub enum End {
    /// Both sides said all that they had to say.
    Closed,
    /// One side reset its connection; so was the other's.
    Reset,
    /// One side's connection failed; the other's was reset.
    Failed(io::Error),
    /// Neither: it was called by its [`Bell`] and has stopped. It goes on when it is polled again,
    /// or in another process.
    Called,
}

/// What a relay that has stopped goes on with in another process, beside its two sockets.
#[derive(Debug, PartialEq, Eq)]
pub struct Packed {
    /// What is read no more, since it has ended.
    pub halves: Halves,
    /// Bytes that upstream is still to get, then those that downstream is.
    pub payload: Vec<u8>,
}

/// Relays bytes both ways until both sides have closed, or one fails.
///
/// * A side that closes its writing half is still answered.
/// * Of a side that takes bytes slowly, not more than a buffer's worth is kept; the other side is not
///   read meanwhile.
/// * A side that is reset has the other reset, once what it had sent is passed on.
///
/// Dropping it, also when it is done, closes both connections, unless another process has them too.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Relay {
    downstream: Stream,
    upstream: Stream,
    flow: Rc<Flow>,
    up: Option<Way>,
    down: Option<Way>,
    first: Option<Side>,
    gone: Option<(Side, io::Error)>,
}

impl Relay {
    /// Takes both connections. What passes between them is counted in `flow`.
    pub fn new(downstream: Stream, upstream: Stream, flow: Rc<Flow>) -> Self {
        Self {
            downstream,
            upstream,
            flow,
            up: Some(Way::new()),
            down: Some(Way::new()),
            first: None,
            gone: None,
        }
    }

    /// Sends first what was already received on either side.
    pub fn after(mut self, from_downstream: Vec<u8>, from_upstream: Vec<u8>) -> Self {
        self.up = Some(Way::after(from_downstream));
        self.down = Some(Way::after(from_upstream));
        self
    }

    /// What it goes on with elsewhere. Nothing of it is lost here: who has packed may go on.
    ///
    /// # Errors
    ///
    /// When it cannot go on anywhere, or cannot be packed now.
    pub fn pack(&mut self) -> io::Result<Packed> {
        if !may_move(self.gone.is_some(), self.up.is_some(), self.down.is_some()) {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let mut payload = Vec::new();
        let mut unsent = |way: &mut Option<Way>| {
            if let Some(way) = way {
                payload.extend_from_slice(way.unsent()?);
            }
            io::Result::Ok(payload.len())
        };
        let up = unsent(&mut self.up)?;
        unsent(&mut self.down)?;
        let halves = Halves {
            up,
            up_open: self.up.is_some(),
            down_open: self.down.is_some(),
        };
        Ok(Packed { halves, payload })
    }

    /// The sockets once more, downstream's first, for another process to go on with.
    ///
    /// # Errors
    ///
    /// When this process is out of descriptors.
    pub fn carry(&self) -> io::Result<[OwnedFd; 2]> {
        Ok([self.downstream.carry()?, self.upstream.carry()?])
    }

    /// Goes on with what another process has [packed](Self::pack).
    pub fn unpacked(mut self, packed: Packed) -> Self {
        let Packed {
            halves,
            mut payload,
        } = packed;
        let down = payload.split_off(halves.up.min(payload.len()));
        self.up = halves.up_open.then(|| Way::after(payload));
        self.down = halves.down_open.then(|| Way::after(down));
        self.first = match (halves.up_open, halves.down_open) {
            (false, _) => Some(Side::Downstream),
            (_, false) => Some(Side::Upstream),
            (true, true) => None,
        };
        self
    }

    /// Notes that the direction which reads `source` is over; `Some` when that is the end of all.
    fn over(&mut self, source: Side, result: Result<(), Broken>) -> Option<Ended> {
        let (way, sink, last) = match source {
            Side::Downstream => (&mut self.up, &self.upstream, self.down.is_none()),
            Side::Upstream => (&mut self.down, &self.downstream, self.up.is_none()),
        };
        *way = None;
        let first = *self.first.get_or_insert(source);
        match result {
            // Both streams are closed now, which says the same as a half-close. It may also be no
            // end at all: a write that ran into a reset takes note of it in `gone`, and reading
            // from that side then tells of an end like any other.
            Ok(()) if last => {}
            Ok(()) => {
                if let Err(error) = sink.shutdown_write() {
                    self.gone = Some((source.other(), error));
                }
            }
            // Nothing more can come from a side that cannot be read.
            Err(Broken::Source(error)) => return Some(self.cut(source, error)),
            // A side that cannot be written may have spoken before it went: that goes on first.
            Err(Broken::Sink(error)) => self.gone = Some((source.other(), error)),
        }
        if !last {
            return None;
        }
        Some(match self.gone.take() {
            Some((side, error)) => self.cut(side, error),
            None => Ended {
                by: first,
                end: End::Closed,
            },
        })
    }

    fn cut(&self, by: Side, error: io::Error) -> Ended {
        match by {
            Side::Downstream => self.upstream.reset_on_close(),
            Side::Upstream => self.downstream.reset_on_close(),
        }
        let end = match error.kind() {
            io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::NotConnected => End::Reset,
            _ => End::Failed(error),
        };
        Ended { by, end }
    }
}

impl Future for Relay {
    type Output = Ended;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        let this = self.get_mut();
        if this.flow.bell.poll_call(cx).is_ready() {
            return Poll::Ready(Ended {
                by: Side::Downstream,
                end: End::Called,
            });
        }
        if let Some(up) = &mut this.up
            && let Poll::Ready(result) =
                up.poll(cx, &this.downstream, &this.upstream, &this.flow.received)
            && let Some(ended) = this.over(Side::Downstream, result)
        {
            return Poll::Ready(ended);
        }
        if let Some(down) = &mut this.down
            && let Poll::Ready(result) =
                down.poll(cx, &this.upstream, &this.downstream, &this.flow.sent)
            && let Some(ended) = this.over(Side::Upstream, result)
        {
            return Poll::Ready(ended);
        }
        Poll::Pending
    }
}

/// Whether a pair can go on in another process: neither side has failed, and there is something
/// left to pass on.
fn may_move(has_failed: bool, up_open: bool, down_open: bool) -> bool {
    !has_failed && (up_open || down_open)
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Downstream => Self::Upstream,
            Self::Upstream => Self::Downstream,
        }
    }
}

#[cfg(test)]
mod tests;
