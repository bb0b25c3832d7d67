//! A downstream connection that speaks HTTP/1: request after request, until one side has enough.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use memchr::memchr;
use tokio::time::{Instant, timeout};

use crate::config::HttpProxy;
use crate::name::{ClusterName, ConnectionId};
use crate::net::{Stream, with_scratch};
use crate::protocol::http1::{HeadLimits, Parsed, Refusal, Request};

use super::exchange::{After, Exchange, Received};
use super::linger::linger;
use super::reply::Asked;
use super::spare::Lent;
use super::unheard;
use super::{Addresses, Connection, Setting};

/// How a connection left HTTP.
#[derive(Debug)]
pub enum Served {
    /// It is over.
    Closed,
    /// It rests, and is to wait for its next request elsewhere.
    Leaves(Leave),
    /// It is between two requests, and is to move to another process.
    Moves(Leave),
    /// It has become a relay to this upstream.
    Tunnel(Tunnel),
}

/// A connection between two requests; with this it goes on.
#[derive(Debug)]
pub struct Leave {
    /// The peer that called.
    pub stream: Stream,
    /// What it said of its next request, which is nothing when it rests.
    pub unread: Vec<u8>,
    /// The connection's number.
    pub id: ConnectionId,
    /// Its ends, if anybody has asked.
    pub addresses: Option<Addresses>,
    /// How far it has come.
    pub stage: Stage,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It was accepted, and is owed an answer.
    BeforeFirst,
    /// It was served.
    Between,
}

/// Two connections whose bytes go through as they are from now on.
#[derive(Debug)]
pub struct Tunnel {
    /// The peer that called.
    pub downstream: Stream,
    /// What it said already beyond its request.
    pub from_downstream: Vec<u8>,
    /// The cluster of the peer that we called.
    pub cluster: ClusterName,
    /// That peer.
    pub upstream: crate::upstream::Pooled,
    /// What it said already beyond its response's head.
    pub from_upstream: Vec<u8>,
}

/// What came from a downstream that was waited for.
enum Heard {
    Request(Received),
    /// What came is no request; when that began.
    Refused(Refusal, Instant, Asked),
    /// A head was begun then, and not ended in time.
    Slow(Instant, Asked),
    /// Nothing will come: closed, reset, or said goodbye to.
    Nothing,
    /// Nothing has come, and it is to be waited for elsewhere.
    Leave,
    /// What comes is another process' to serve.
    Move,
}

/// Serves requests until the connection is over, or becomes a tunnel.
///
/// Between two requests it holds no buffer. When the listener drains, it ends at the next rest.
///
/// # Cancel safety
///
/// Dropping the future closes the connection, and resets nothing but what was under way.
pub async fn serve<S: Setting>(mut connection: Connection<S>) -> Served {
    let mut unread = std::mem::take(&mut connection.unread);
    let mut stage = connection.stage;
    loop {
        let heard = next(&connection, &mut unread, stage).await;
        let after = match heard {
            // Boxed: most connections rest most of the time.
            Heard::Request(received) => Box::pin(Exchange::run(&connection, received)).await,
            Heard::Refused(refusal, since, asked) => {
                Box::pin(unheard::refuse(&connection, refusal, since, asked)).await
            }
            Heard::Slow(since, asked) => {
                Box::pin(unheard::too_slow(&connection, since, asked)).await
            }
            Heard::Nothing => return Served::Closed,
            Heard::Leave => return Served::Leaves(leave(connection, unread, stage)),
            Heard::Move => return Served::Moves(leave(connection, unread, stage)),
        };
        stage = Stage::Between;
        match after {
            After::Next(rest) => unread = without_empty_lines(rest),
            After::Close => return closed(&connection.stream),
            After::Linger => {
                Box::pin(linger(&connection.stream)).await;
                return Served::Closed;
            }
            After::Reset => {
                connection.stream.reset_on_close();
                return Served::Closed;
            }
            After::Tunnel {
                rest,
                cluster,
                upstream,
                from_upstream,
            } => {
                return Served::Tunnel(Tunnel {
                    downstream: connection.stream,
                    from_downstream: rest,
                    cluster,
                    upstream,
                    from_upstream,
                });
            }
        }
    }
}

/// Ends our side: the last bytes may wait for that. Closing alone would lose them if the peer, of
/// which nothing was expected, has said something after all.
fn closed(stream: &Stream) -> Served {
    stream.end();
    Served::Closed
}

fn leave<S>(connection: Connection<S>, unread: Vec<u8>, stage: Stage) -> Leave {
    Leave {
        stream: connection.stream,
        unread,
        id: connection.id,
        addresses: connection.addresses.into_inner(),
        stage,
    }
}

/// What an old client sends behind a body is no request (RFC 9112 section 2.2).
fn without_empty_lines(mut rest: Vec<u8>) -> Vec<u8> {
    let lines = rest.chunks(2).take_while(|line| line == b"\r\n").take(2);
    let empty = 2 * lines.count();
    if empty > 0 {
        rest.drain(..empty);
    }
    rest
}

/// Waits for the next request.
async fn next<S: Setting>(connection: &Connection<S>, unread: &mut Vec<u8>, stage: Stage) -> Heard {
    if !unread.is_empty() && connection.is_to_move() {
        return Heard::Move;
    }
    if unread.is_empty() {
        let heard = match poll_fn(|cx| poll_rest(connection, cx, unread)).await {
            Rested::Heard(heard) => heard,
            Rested::Called => Box::pin(last_word(connection, unread, stage)).await,
        };
        if let Some(heard) = heard {
            return heard;
        }
    } else if let Some(heard) = parse(connection, unread, None) {
        unread.clear();
        return heard;
    }
    Box::pin(rest_of_head(connection, unread)).await
}

/// What ended a rest.
enum Rested {
    /// As [`poll_first`].
    Heard(Option<Heard>),
    /// The lane says goodbye.
    Called,
}

/// Waits for the first bytes of a head, or for a call of those who look after the connection.
fn poll_rest<S: Setting>(
    connection: &Connection<S>,
    cx: &mut Context<'_>,
    unread: &mut Vec<u8>,
) -> Poll<Rested> {
    let bell = &connection.flow.bell;
    if let Poll::Ready(heard) = poll_first(connection, cx, unread) {
        bell.rise();
        return Poll::Ready(Rested::Heard(heard));
    }
    if connection.is_to_end() {
        bell.rise();
        return Poll::Ready(Rested::Called);
    }
    if connection.is_to_move() {
        bell.rise();
        return Poll::Ready(Rested::Heard(Some(Heard::Move)));
    }
    match bell.rest(cx.waker()) {
        true => Poll::Ready(Rested::Heard(Some(Heard::Leave))),
        false => Poll::Pending,
    }
}

/// How long a connection that was never served may take for its request once the lane drains,
/// where the listener has no deadline for that.
const LAST_REQUEST: Duration = Duration::from_secs(10);

/// What the downstream says before it is said goodbye to: a request that is here already, though
/// the reactor may not have told of it, or the first one of a connection that was just accepted.
async fn last_word<S: Setting>(
    connection: &Connection<S>,
    unread: &mut Vec<u8>,
    stage: Stage,
) -> Option<Heard> {
    if stage == Stage::Between && !connection.stream.has_unread() {
        return Some(Heard::Nothing);
    }
    let fitting = connection.setting.fitting();
    let deadline = fitting.proxy().and_then(|proxy| proxy.deadlines.head);
    let first = poll_fn(|cx| poll_first(connection, cx, unread));
    let heard = timeout(deadline.unwrap_or(LAST_REQUEST), first).await;
    heard.unwrap_or(Some(Heard::Nothing))
}

/// The first bytes of a head. Most often that is the whole request: then it was never copied but
/// into its own buffer. `None`: more has to come, and what came is in `unread`.
fn poll_first<S: Setting>(
    connection: &Connection<S>,
    cx: &mut Context<'_>,
    unread: &mut Vec<u8>,
) -> Poll<Option<Heard>> {
    with_scratch(|scratch| {
        let Ok(received) = ready!(connection.stream.poll_recv(cx, scratch)) else {
            return Poll::Ready(Some(Heard::Nothing));
        };
        connection.flow.add_received(received);
        let input = &scratch[..received];
        if input.is_empty() {
            return Poll::Ready(Some(Heard::Nothing));
        }
        let heard = parse(connection, input, None);
        if heard.is_none() {
            unread.extend_from_slice(input);
        }
        Poll::Ready(heard)
    })
}

/// Waits for the rest of a head, for as long as a head may take, and only until the connection is
/// called to move.
async fn rest_of_head<S: Setting>(connection: &Connection<S>, unread: &mut Vec<u8>) -> Heard {
    let deadline = connection
        .setting
        .fitting()
        .proxy()
        .and_then(|proxy| proxy.deadlines.head);
    let since = Instant::now();
    let rest = async {
        loop {
            let before = unread.len();
            match poll_fn(|cx| poll_more_or_call(connection, cx, unread)).await {
                Some(Ok(0) | Err(_)) => return Heard::Nothing,
                Some(Ok(_)) => {}
                None => return Heard::Move,
            }
            // Without a line's end no head ends, and a long one is refused for its length.
            let is_news =
                memchr(b'\n', &unread[before..]).is_some() || unread.len() > before + 1024;
            if (is_news || unread.len() >= head_limit(connection))
                && let Some(heard) = parse(connection, unread, Some(since))
            {
                return heard;
            }
        }
    };
    let heard = match deadline {
        Some(deadline) => match timeout(deadline, rest).await {
            Ok(heard) => heard,
            // Empty lines alone ask for nothing, and an answer to them would pass for the next one.
            Err(_) if unread.iter().all(|byte| b"\r\n".contains(byte)) => Heard::Nothing,
            Err(_) => Heard::Slow(since, Asked::by(unread)),
        },
        None => rest.await,
    };
    if !matches!(heard, Heard::Move) {
        unread.clear();
    }
    heard
}

/// As [`poll_more`]; `None` when the connection is called to move before more has come.
fn poll_more_or_call<S: Setting>(
    connection: &Connection<S>,
    cx: &mut Context<'_>,
    unread: &mut Vec<u8>,
) -> Poll<Option<io::Result<usize>>> {
    if let Poll::Ready(more) = poll_more(connection, cx, unread) {
        return Poll::Ready(Some(more));
    }
    let is_called = connection.flow.bell.poll_call(cx).is_ready();
    match is_called && connection.is_to_move() {
        true => Poll::Ready(None),
        false => Poll::Pending,
    }
}

fn head_limit<S: Setting>(connection: &Connection<S>) -> usize {
    let fitting = connection.setting.fitting();
    fitting.proxy().map_or(0, |proxy| proxy.limits.head_bytes)
}

fn poll_more<S: Setting>(
    connection: &Connection<S>,
    cx: &mut Context<'_>,
    unread: &mut Vec<u8>,
) -> Poll<io::Result<usize>> {
    with_scratch(|scratch| {
        let received = ready!(connection.stream.poll_recv(cx, scratch))?;
        connection.flow.add_received(received);
        unread.extend_from_slice(&scratch[..received]);
        Poll::Ready(Ok(received))
    })
}

/// Reads a head at the beginning of `input`, which began to come just now or at `since`; `None`
/// when it is not whole.
fn parse<S: Setting>(
    connection: &Connection<S>,
    input: &[u8],
    since: Option<Instant>,
) -> Option<Heard> {
    let fitting = connection.setting.fitting();
    // It was changed into another kind of listener: new connections see to that.
    let Some(HttpProxy { limits, .. }) = fitting.proxy() else {
        return Some(Heard::Nothing);
    };
    let limits = HeadLimits {
        bytes: limits.head_bytes,
        fields: limits.fields,
    };
    let mut request = Lent::<Request>::new();
    match request.parse(input, &limits) {
        Ok(Parsed::Partial) => None,
        Ok(Parsed::Whole(len)) => Some(Heard::Request(Received {
            request,
            rest: input[len..].to_vec(),
            at: Instant::now(),
            fitting,
        })),
        Err(refusal) => {
            let since = since.unwrap_or_else(Instant::now);
            Some(Heard::Refused(refusal, since, Asked::by(input)))
        }
    }
}
