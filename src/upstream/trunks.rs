//! The shared connections of one worker, by host.

mod moving;

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::time::Sleep;

use crate::cluster::{Ending, Host, Lease, Limits, Permit, Work};
use crate::config;
use crate::net::{Stream, give_way, with_scratch};
use crate::protocol::rpc::{Codec, Inbox};

use super::outcome::End;
use super::pool::{identity, next_id};
use super::trunk::{State, Trunk};
use super::{Book, ConnectError, connect};
pub use moving::{HandedTrunk, Parted};

/// How often a connection is read before others get their turn.
pub(super) const READS: usize = 4;

/// More connections to a host than these are MOSN's word for one.
const TOO_MANY: u64 = 65_535;

/// The shared connections of one worker. A clone is the same.
#[derive(Clone, Default)]
pub struct Trunks(Rc<RefCell<All>>);

#[derive(Default)]
struct All {
    /// Where names lead; the first book is the only one.
    book: Option<Book>,
    /// Those that take requests, or did when they were last looked for; by place among those of
    /// their host.
    open: HashMap<Key, Vec<Option<Trunk>>, foldhash::fast::RandomState>,
    /// Those that take no more, and those that are one downstream connection's own.
    apart: Vec<Trunk>,
}

/// A host is told by its [`identity`]; a connection to it keeps it alive. Whoever reads shorter frames
/// than another cannot share its connection: what one has asked for would end what the other has.
type Key = (usize, &'static str, usize);

/// What opens a connection and moves its bytes until it ends: to be run, and not to be awaited.
pub type Driver = Pin<Box<dyn Future<Output = ()>>>;

impl Trunks {
    /// Has names lead where this book says. The first book is the only one.
    pub fn read(&self, book: &Book) {
        let known = &mut self.0.borrow_mut().book;
        known.get_or_insert_with(|| book.clone());
    }

    /// A connection to `host`: of those that there may be, the one whose turn it is. It may still be
    /// opening. When it was not there, it is driven by the future that comes with it.
    ///
    /// There are as many as [`places`] says.
    pub fn to(
        &self,
        host: &Arc<Host>,
        settings: &Arc<config::Cluster>,
        limits: &Arc<Limits>,
        spoken: Spoken,
        turn: u64,
    ) -> (Trunk, Option<Driver>) {
        let places = places(settings) as u64;
        let place = usize::try_from(turn % places).unwrap_or(0);
        let mut all = self.0.borrow_mut();
        let All { book, open, apart } = &mut *all;
        let row = open
            .entry((identity(host), spoken.codec.name(), spoken.most))
            .or_default();
        if row.len() <= place {
            row.resize_with(place + 1, || None);
        }
        if let Some(trunk) = &row[place]
            && trunk.takes_requests()
        {
            return (trunk.clone(), None);
        }
        apart.extend(row[place].take());
        let permit = limits
            .connection(None)
            .expect("without a limit there is always room");
        let (trunk, driver) = begin(host, settings, permit, spoken, book);
        row[place] = Some(trunk.clone());
        (trunk, Some(driver))
    }

    /// A new connection to `host`, which nobody else comes to share.
    pub fn own(
        &self,
        host: &Arc<Host>,
        settings: &Arc<config::Cluster>,
        permit: Permit,
        spoken: Spoken,
    ) -> (Trunk, Driver) {
        let mut all = self.0.borrow_mut();
        let All { book, apart, .. } = &mut *all;
        let (trunk, driver) = begin(host, settings, permit, spoken, book);
        apart.push(trunk.clone());
        (trunk, driver)
    }

    /// A second has passed: peers that say nothing are asked whether they are there, and what is of
    /// no use any more is closed.
    pub fn sweep(&self) {
        let now = now();
        let mut all = self.0.borrow_mut();
        let All { open, apart, .. } = &mut *all;
        open.retain(|_, row| {
            for place in &mut *row {
                if place.as_ref().is_some_and(|one| !one.takes_requests()) {
                    apart.extend(place.take());
                }
            }
            row.iter().any(Option::is_some)
        });
        apart.retain(|one| one.state() != State::Ended);
        for one in open.values().flatten().flatten().chain(&*apart) {
            look_at(one, now);
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        let all = self.0.borrow();
        let open = all.open.values().flatten().flatten();
        let is_there = |one: &&Trunk| one.state() != State::Ended;
        open.chain(&all.apart).filter(is_there).count()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How many connections to a host of this cluster requests share on each worker: as many as
/// `max_connections` says, one without it (MOSN 1.4).
#[must_use]
pub fn places(settings: &config::Cluster) -> usize {
    match settings.limits.connections {
        Some(places) if (1..TOO_MANY).contains(&places) => usize::try_from(places).unwrap_or(1),
        _ => 1,
    }
}

/// What is spoken over a connection.
#[derive(Clone, Copy)]
pub struct Spoken {
    /// The protocol.
    pub codec: &'static dyn Codec,
    /// The longest frame that is read.
    pub most: usize,
}

fn begin(
    host: &Arc<Host>,
    settings: &Arc<config::Cluster>,
    permit: Permit,
    spoken: Spoken,
    book: &mut Option<Book>,
) -> (Trunk, Driver) {
    let trunk = Trunk::new(
        spoken.codec,
        spoken.most,
        Lease::new(Arc::clone(host), Work::Connection),
        permit,
        next_id(),
        now(),
    );
    let book = book.get_or_insert_default().clone();
    let driver = Box::pin(drive(trunk.clone(), Arc::clone(settings), book));
    (trunk, driver)
}

fn look_at(trunk: &Trunk, now: Instant) {
    let departure = trunk.host().departure();
    let rests = trunk.under_way() == 0;
    if departure.is_overdue(now) || (departure.is_leaving() && rests) || trunk.is_stale(now) {
        return trunk.call_off(End::Left);
    }
    if rests {
        trunk.0.out.borrow_mut().rest();
    }
    trunk.keep_alive(now);
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Ends a connection whose driver is gone, however it went.
struct Ends(Trunk);

impl Drop for Ends {
    fn drop(&mut self) {
        let trunk = &self.0;
        if trunk.state() != State::Ended {
            trunk
                .0
                .ending
                .set(ending(&End::Abandoned, trunk.under_way()));
            trunk.end(&End::Abandoned);
        }
    }
}

async fn drive(trunk: Trunk, settings: Arc<config::Cluster>, book: Book) {
    let ends = Ends(trunk);
    let trunk = &ends.0;
    let mut alarm = Alarm::default();
    trunk.expires_after(settings.idle_timeout);
    match open(trunk, &settings, &book, &mut alarm).await {
        Ok(stream) => {
            trunk.opened(now());
            serve(trunk, settings, stream, Inbox::default(), alarm).await;
        }
        Err(end) => trunk.end(&end),
    }
}

/// Moves the bytes of an open connection until it ends, or goes on in another process.
async fn serve(
    trunk: &Trunk,
    settings: Arc<config::Cluster>,
    stream: Stream,
    mut inbox: Inbox,
    mut alarm: Alarm,
) {
    trunk.0.out.borrow_mut().keep_more();
    let mut moved = Moved::default();
    let over = poll_fn(|cx| {
        trunk.is_driven_by(cx);
        poll(trunk, &stream, &mut inbox, &mut moved, &mut alarm, cx)
    });
    let over = over.await;
    let sent = trunk.0.out.borrow().sent();
    trunk.host().load().count_bytes(moved.0, sent);
    match over {
        Over::Ends(end) => {
            trunk.0.ending.set(ending(&end, trunk.under_way()));
            trunk.end(&end);
        }
        Over::Parts => moving::part(trunk, settings, stream, inbox),
    }
}

/// What becomes of an open connection.
enum Over {
    Ends(End),
    /// It goes on in another process, where nothing is under way.
    Parts,
}

/// How what was open has ended, with so many requests under way.
fn ending(why: &End, under_way: usize) -> Ending {
    let is_remote = matches!(why, End::Closed | End::Reset);
    match (is_remote, under_way > 0) {
        (true, true) => Ending::RemoteAmidRequest,
        (true, false) => Ending::Remote,
        (false, true) => Ending::LocalAmidRequest,
        (false, false) => Ending::Local,
    }
}

/// Bytes that have come.
#[derive(Default)]
struct Moved(u64);

/// Connects; meanwhile the time of requests may be over.
async fn open(
    trunk: &Trunk,
    settings: &config::Cluster,
    book: &Book,
    alarm: &mut Alarm,
) -> Result<Stream, End> {
    let host = trunk.host();
    let mut connecting = pin!(connect(
        host.address(),
        settings.connect_timeout,
        settings.mark,
        book,
    ));
    let connected = poll_fn(|cx| {
        trunk.is_driven_by(cx);
        alarm.poll(trunk, now(), cx);
        if let Some(end) = trunk.0.called_off.take() {
            return Poll::Ready(Err(end));
        }
        connecting.as_mut().poll(cx).map(Ok)
    });
    connected.await?.map_err(|error| {
        if !matches!(error, ConnectError::Exhausted(_)) {
            host.load().count_connect_failure();
        }
        End::Unreached(Rc::new(error))
    })
}

/// Moves what can be moved; ready when the connection is over.
fn poll(
    trunk: &Trunk,
    stream: &Stream,
    inbox: &mut Inbox,
    moved: &mut Moved,
    alarm: &mut Alarm,
    cx: &mut Context<'_>,
) -> Poll<Over> {
    if let Some(end) = trunk.0.called_off.take() {
        return Poll::Ready(Over::Ends(end));
    }
    if trunk.state() == State::Parting {
        return Poll::Ready(Over::Parts);
    }
    // One look at the clock for all that this turn does.
    let now = now();
    if let Poll::Ready(end) = read(trunk, stream, inbox, moved, now, cx) {
        return Poll::Ready(Over::Ends(end));
    }
    let flushed = trunk.0.out.borrow_mut().poll_flush(cx, stream);
    if let Poll::Ready(Err(_)) = flushed {
        return Poll::Ready(Over::Ends(End::Reset));
    }
    if trunk.0.out.borrow().has_room() {
        trunk.wake_waiting();
    }
    alarm.poll(trunk, now, cx);
    let is_done = trunk.state() == State::Leaving && trunk.under_way() == 0;
    match is_done && flushed.is_ready() {
        true => Poll::Ready(Over::Ends(End::Left)),
        false => Poll::Pending,
    }
}

/// Reads what is there, as often as is fair; ready when nothing more will come.
fn read(
    trunk: &Trunk,
    stream: &Stream,
    inbox: &mut Inbox,
    moved: &mut Moved,
    now: Instant,
    cx: &mut Context<'_>,
) -> Poll<End> {
    for _ in 0..READS {
        let read = with_scratch(|scratch| {
            let received = match ready!(stream.poll_recv(cx, scratch)) {
                Ok(0) => return Poll::Ready(Err(End::Closed)),
                Ok(received) => received,
                Err(_) => return Poll::Ready(Err(End::Reset)),
            };
            moved.0 += received as u64;
            trunk.heard(now);
            Poll::Ready(take(trunk, inbox, &scratch[..received], now))
        });
        match ready!(read) {
            Ok(()) => {}
            Err(end) => return Poll::Ready(end),
        }
    }
    give_way(cx);
    Poll::Pending
}

fn take(trunk: &Trunk, inbox: &mut Inbox, input: &[u8], now: Instant) -> Result<(), End> {
    let mut wrong = None;
    let spoken = &trunk.0;
    let taken = inbox.take(spoken.codec, spoken.most, input, &mut |message| {
        if wrong.is_none() {
            wrong = trunk.take(message, now).err();
        }
    });
    match (wrong, taken) {
        (Some(end), _) => Err(end),
        (None, Err(malformed)) => Err(End::Malformed(malformed.flaw)),
        (None, Ok(())) => Ok(()),
    }
}

/// Rings when the time of a request is over: one timer for all of a connection, which is set anew
/// only when it rings, or for one that is due before.
#[derive(Default)]
struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    fn poll(&mut self, trunk: &Trunk, now: Instant, cx: &mut Context<'_>) {
        let mut now = now;
        loop {
            let Some(next) = trunk.give_up_late(now) else {
                return;
            };
            let next = next.into();
            let sleep = self
                .sleep
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(next)));
            if next < sleep.deadline() || sleep.is_elapsed() {
                sleep.as_mut().reset(next);
            }
            if sleep.as_mut().poll(cx).is_pending() {
                return;
            }
            now = self::now();
        }
    }
}

#[cfg(test)]
mod tests;
