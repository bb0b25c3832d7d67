//! A downstream connection whose requests come and are answered in any order.
//!
//! Frames that arrive together are handled in one turn, and answers that are ready together leave in
//! one write. Nothing more is read while too much is under way or waits to be written: the peer
//! then waits, and nobody else.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, Sleep, sleep};

use crate::config::Goaway;
use crate::net::{give_way, with_scratch};
use crate::protocol::rpc::{Flaw, Inbox, Kind, Malformed, Message, code};
use crate::proxy::http::record::{Origin, Record};
use crate::proxy::http::{Connection, Leave, Stage, unheard};
use crate::upstream::Spoken;

use super::bonds::Bond;
use super::exchange::Exchange;
use super::hub::Hub;
use super::setting::Carrier;

/// Requests of one connection that may be under way before no more are read.
const MOST_UNDER_WAY: usize = 1024;

/// Bytes of requests under way before no more are read.
const MOST_HELD: usize = 1 << 20;

/// How long a client that was told that the connection ends may take to leave.
const FAREWELL: Duration = Duration::from_secs(1);

/// For how long a connection that is to move reads no more requests, so that it comes to a rest.
const HOLD: Duration = Duration::from_secs(1);

/// How a connection left.
#[derive(Debug)]
pub enum Served {
    /// It is over.
    Closed,
    /// It is between two frames, and is to move to another process.
    Moves(Leave),
}

/// Serves requests until the connection is over, or is to move to another process.
///
/// When the listener drains, it says so where the protocol can, and ends at the next rest. When
/// connections move, what is under way is answered first.
///
/// # Cancel safety
///
/// Dropping the future closes the connection, and gives up what was under way.
pub async fn serve<S: Carrier>(mut connection: Connection<S>) -> Served {
    let fitting = connection.setting.fitting();
    let known = fitting.codecs.find(connection.speaks);
    let (Some(rpc), Some(known)) = (fitting.rpc(), known) else {
        return Served::Closed;
    };
    let unread = std::mem::take(&mut connection.unread);
    let hub = Hub::new(
        connection,
        Spoken {
            codec: known.codec,
            most: rpc.frame_bytes,
        },
    );
    drop(fitting);
    let mut under_way = FuturesUnordered::new();
    let mut reader = Reader::default();
    let mut fresh = Vec::new();
    if let Err(malformed) = reader.take(&hub, &unread, &mut fresh) {
        reader.refuse(&hub, malformed);
    }
    drop(unread);
    let turns = poll_fn(|cx| {
        reader.is_sated = false;
        loop {
            while let Poll::Ready(Some(())) = under_way.poll_next_unpin(cx) {}
            if reader.poll(&hub, under_way.len(), &mut fresh, cx) || !fresh.is_empty() {
                let (at, fitting) = (Instant::now(), hub.connection.setting.fitting());
                let run = |message| Exchange::run(&hub, message, Arc::clone(&fitting), at);
                under_way.extend(fresh.drain(..).map(run));
                continue;
            }
            reader.heed(&hub, under_way.len(), cx);
            if reader.is_sated {
                give_way(cx);
            }
            return match reader.poll_write(&hub, cx) {
                // There is room again: more may be read.
                Write::Moved => continue,
                Write::Stands => reader.poll_end(&hub, under_way.len()),
                Write::Broken => Poll::Ready(End::Over),
            };
        }
    });
    let end = turns.await;
    drop(under_way);
    match end {
        End::Over => Served::Closed,
        End::Moves => moves(hub, reader.inbox),
    }
}

fn moves<S: Carrier>(hub: Hub<S>, inbox: Inbox) -> Served {
    let connection = hub.connection;
    let leave = Leave {
        stream: connection.stream,
        unread: inbox.into_unread(),
        id: connection.id,
        addresses: connection.addresses.into_inner(),
        stage: Stage::Between,
    };
    Served::Moves(leave)
}

/// What ended the turns.
enum End {
    Over,
    Moves,
}

/// What became of a write.
enum Write {
    /// What was read no further may be read on.
    Moved,
    /// Nothing changed, or nobody waited for it.
    Stands,
    /// The peer is gone.
    Broken,
}

/// What comes from the downstream.
#[derive(Default)]
struct Reader {
    inbox: Inbox,
    reading: Reading,
    /// Whether it has read as much as is fair before others get their turn.
    is_sated: bool,
    farewell: Farewell,
    departure: Departure,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Reading {
    #[default]
    Open,
    /// Too much waits.
    Paused,
    /// Nothing more is read: the peer has ended, or said what is no frame.
    Ended,
    /// Nobody is there.
    Broken,
}

/// How far the end that the lane wishes has come.
#[derive(Default)]
enum Farewell {
    #[default]
    Unsaid,
    /// The client may take so long to leave.
    Said(Pin<Box<Sleep>>),
    /// It ends at the next rest.
    Over,
}

/// How far the move that the lane wishes has come.
#[derive(Default)]
enum Departure {
    #[default]
    Unasked,
    /// Nothing is read for so long, and what is under way is answered.
    Holds(Pin<Box<Sleep>>),
    /// That takes too long: others are not to wait for it. It moves if it comes to a rest.
    ReadsOn,
}

impl Reader {
    /// Reads what is there; whether that was anything. Requests go to `fresh`.
    fn poll<S: Carrier>(
        &mut self,
        hub: &Hub<S>,
        under_way: usize,
        fresh: &mut Vec<Message>,
        cx: &mut Context<'_>,
    ) -> bool {
        if self.is_sated || !matches!(self.reading, Reading::Open | Reading::Paused) {
            return false;
        }
        if self.holds(hub, cx) {
            return false;
        }
        let has_room = hub.out.borrow().has_room();
        if under_way >= MOST_UNDER_WAY || hub.held.get() >= MOST_HELD || !has_room {
            self.reading = Reading::Paused;
            return false;
        }
        self.reading = Reading::Open;
        let connection = &hub.connection;
        with_scratch(|scratch| {
            let received = match connection.stream.poll_recv(cx, scratch) {
                Poll::Pending => return false,
                Poll::Ready(Ok(0)) => {
                    self.reading = Reading::Ended;
                    return false;
                }
                Poll::Ready(Err(_)) => {
                    self.reading = Reading::Broken;
                    return false;
                }
                Poll::Ready(Ok(received)) => received,
            };
            connection.flow.add_received(received);
            self.is_sated = received == scratch.len();
            if let Err(malformed) = self.take(hub, &scratch[..received], fresh) {
                self.refuse(hub, malformed);
            }
            true
        })
    }

    /// Whether nothing is read, since the connection is to move and has not come to a rest.
    fn holds<S: Carrier>(&mut self, hub: &Hub<S>, cx: &mut Context<'_>) -> bool {
        if !hub.is_to_move() {
            return false;
        }
        if let Departure::Unasked = self.departure {
            self.departure = Departure::Holds(Box::pin(sleep(HOLD)));
        }
        let Departure::Holds(time) = &mut self.departure else {
            return false;
        };
        if time.as_mut().poll(cx).is_pending() {
            return true;
        }
        self.departure = Departure::ReadsOn;
        say_goaway(hub);
        false
    }

    /// Takes the frames of a piece.
    fn take<S: Carrier>(
        &mut self,
        hub: &Hub<S>,
        input: &[u8],
        fresh: &mut Vec<Message>,
    ) -> Result<(), Malformed> {
        let mut wrong = Ok(());
        let Spoken { codec, most } = hub.spoken;
        self.inbox.take(codec, most, input, &mut |message| {
            let asker = message.frame.asker;
            match message.frame.kind {
                _ if wrong.is_err() => {}
                Kind::Request | Kind::OneWay => fresh.push(message),
                Kind::Heartbeat => hub.answer(|out| codec.acknowledge(&asker, out)),
                // A client that leaves does so by closing.
                Kind::GoAway | Kind::HeartbeatAck => {}
                // We have asked nothing.
                Kind::Response => wrong = Err(Malformed::from(Flaw::Type)),
            }
        })?;
        wrong
    }

    /// What came is no frame: what was asked before is still answered, and nothing more is read.
    fn refuse<S: Carrier>(&mut self, hub: &Hub<S>, malformed: Malformed) {
        self.reading = Reading::Ended;
        if let Some(asker) = malformed.asker {
            hub.answer(|out| hub.codec().reply(&asker, code::CODEC, b"", out));
        }
        let setting = &hub.connection.setting;
        let fitting = setting.fitting();
        setting.counters().begin();
        let mut record = Record::new(Instant::now(), setting.next_id());
        record.status = code::CODEC;
        record.origin = Origin::Local;
        unheard::tell(&hub.connection, &fitting, &record);
        let listener = fitting.listener.name.to_string();
        let id = hub.connection.id.0;
        let text =
            format!("[{id},-,-] listener `{listener}`: what a client sent is refused: {malformed}");
        hub.note("mosn.proxy.codec_error", listener, text);
    }

    /// Heeds the wish of the lane that connections end.
    fn heed<S: Carrier>(&mut self, hub: &Hub<S>, under_way: usize, cx: &mut Context<'_>) {
        hub.connection.flow.bell.stay(cx.waker());
        match hub.bonds.poll(cx) {
            Bond::Holds if !hub.is_to_end() => return,
            Bond::Holds | Bond::Loosens => {}
            Bond::Broken => return self.stop_reading(),
        }
        if matches!(self.farewell, Farewell::Unsaid) {
            self.farewell = match say_goaway(hub) {
                true => Farewell::Said(Box::pin(sleep(FAREWELL))),
                false => Farewell::Over,
            };
        }
        if let Farewell::Said(time) = &mut self.farewell
            && time.as_mut().poll(cx).is_ready()
        {
            self.farewell = Farewell::Over;
        }
        let rests = under_way == 0 && self.inbox.is_empty();
        if matches!(self.farewell, Farewell::Over)
            && rests
            && self.reading == Reading::Open
            && !hub.connection.stream.has_unread()
        {
            self.reading = Reading::Ended;
        }
    }

    fn stop_reading(&mut self) {
        if matches!(self.reading, Reading::Open | Reading::Paused) {
            self.reading = Reading::Ended;
        }
    }

    fn poll_write<S: Carrier>(&mut self, hub: &Hub<S>, cx: &mut Context<'_>) -> Write {
        let mut out = hub.out.borrow_mut();
        let before = out.sent();
        let flushed = out.poll_flush(cx, &hub.connection.stream);
        let sent = usize::try_from(out.sent() - before).unwrap_or(usize::MAX);
        hub.connection.flow.add_sent(sent);
        match flushed {
            Poll::Ready(Err(_)) => Write::Broken,
            _ if sent > 0 && self.reading == Reading::Paused && out.has_room() => Write::Moved,
            _ => Write::Stands,
        }
    }

    /// Ready when the connection is over.
    fn poll_end<S: Carrier>(&self, hub: &Hub<S>, under_way: usize) -> Poll<End> {
        let rests = under_way == 0 && hub.out.borrow().is_empty();
        match self.reading {
            Reading::Broken => Poll::Ready(End::Over),
            Reading::Ended if rests => Poll::Ready(End::Over),
            Reading::Open | Reading::Paused if rests && hub.is_to_move() => Poll::Ready(End::Moves),
            _ => Poll::Pending,
        }
    }
}

/// Says that the connection ends, where the protocol can and is to; whether it does.
fn say_goaway<S: Carrier>(hub: &Hub<S>) -> bool {
    let fitting = hub.connection.setting.fitting();
    let says = fitting.rpc().is_some_and(|rpc| rpc.goaway == Goaway::Said);
    match says.then(|| hub.codec().goaway(1)).flatten() {
        Some(word) => {
            hub.answer(|out| out.extend_from_slice(&word));
            true
        }
        None => false,
    }
}
