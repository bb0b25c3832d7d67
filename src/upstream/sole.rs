//! A connection to a host that one request has to itself, and the next one after it.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use crate::cluster::{self, Load};
use crate::net::{give_way, with_scratch};
use crate::protocol::rpc::{Flaw, Inbox, Kind, Message};

use super::outbox::Outbox;
use super::outcome::{Answer, End, Ending, Sent, Told};
use super::pool::Pooled;
use super::trunks::{READS, Spoken};

/// One request on a connection of its own.
///
/// Dropping it closes the connection, so that an answer which comes too late is nobody's.
pub struct Sole {
    /// Until it has left.
    upstream: Option<Pooled>,
    talk: Talk,
}

/// What is said on it.
struct Talk {
    spoken: Spoken,
    /// What the request is called here; no two on one connection have the same name.
    id: u64,
    inbox: Inbox,
    out: Outbox,
    received: u64,
    /// Whether the host does what it may.
    fit: Fit,
}

/// Whether another request may follow on a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fit {
    ForMore,
    /// The host wants no more, or has said what nobody asked.
    ForThisOne,
}

impl Sole {
    /// A request that is about to be sent, with another header block where one is given.
    #[must_use]
    pub fn new(
        upstream: Pooled,
        spoken: Spoken,
        message: &Message,
        headers: Option<&[u8]>,
    ) -> Self {
        let id = upstream.served() % spoken.codec.last_id() + 1;
        let mut out = Outbox::default();
        out.append(|out| {
            let (frame, bytes) = (&message.frame, &message.bytes);
            spoken.codec.relay(frame, bytes, id, headers, out);
        });
        Self {
            upstream: Some(upstream),
            talk: Talk {
                spoken,
                id,
                inbox: Inbox::default(),
                out,
                received: 0,
                fit: Fit::ForMore,
            },
        }
    }

    /// Sends the request; it wants no answer.
    ///
    /// # Errors
    ///
    /// The end of the connection, before all of it was sent.
    pub async fn tell(&mut self) -> Result<(), Ending> {
        let sent = poll_fn(|cx| match &self.upstream {
            Some(upstream) => self.talk.out.poll_flush(cx, upstream),
            None => Poll::Ready(Ok(())),
        });
        match sent.await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.ended(End::Reset)),
        }
    }

    /// Sends the request, and waits for its answer for as long as that takes.
    pub async fn ask(&mut self) -> Answer {
        let answer = poll_fn(|cx| match &self.upstream {
            Some(upstream) => self.talk.poll_answer(cx, upstream),
            None => Poll::Ready(Err(End::Left)),
        });
        match answer.await {
            Ok(message) => Answer::Response(message),
            Err(end) => Answer::Ended(self.ended(end)),
        }
    }

    /// The connection, for another request; `None` where none may follow.
    #[must_use]
    pub fn into_kept(mut self) -> Option<Pooled> {
        let is_clean = self.talk.inbox.is_empty() && self.talk.out.is_empty();
        match self.talk.fit == Fit::ForMore && is_clean {
            true => self.leave(),
            false => {
                let ending = cluster::Ending::Local;
                self.leave()?.is_cut(ending);
                None
            }
        }
    }

    fn ended(&mut self, why: End) -> Ending {
        let is_remote = matches!(why, End::Closed | End::Reset);
        // What was kept may be closed by its host at any time, which is no failure.
        let is_kept = self.upstream.as_ref().is_some_and(Pooled::is_reused);
        let told = match is_remote && is_kept && self.talk.received == 0 {
            true => Told::Later,
            false => Told::First,
        };
        if let Some(upstream) = &mut self.upstream {
            upstream.is_cut(match is_remote {
                true => cluster::Ending::RemoteAmidRequest,
                false => cluster::Ending::LocalAmidRequest,
            });
        }
        // Counted, and closed.
        drop(self.leave());
        let sent = match self.talk.out.sent() {
            0 => Sent::Nothing,
            _ => Sent::Something,
        };
        Ending { why, sent, told }
    }

    fn leave(&mut self) -> Option<Pooled> {
        let upstream = self.upstream.take()?;
        let load = upstream.host().load();
        load.count_bytes(self.talk.received, self.talk.out.sent());
        Some(upstream)
    }
}

impl Talk {
    fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        upstream: &Pooled,
    ) -> Poll<Result<Message, End>> {
        for _ in 0..READS {
            if let Poll::Ready(Err(_)) = self.out.poll_flush(cx, upstream) {
                return Poll::Ready(Err(End::Reset));
            }
            let heard = with_scratch(|scratch| {
                let received = match ready!(upstream.poll_recv(cx, scratch)) {
                    Ok(0) => return Poll::Ready(Err(End::Closed)),
                    Ok(received) => received,
                    Err(_) => return Poll::Ready(Err(End::Reset)),
                };
                self.received += received as u64;
                Poll::Ready(self.hear(&scratch[..received], upstream.host().load()))
            });
            if let Some(answer) = ready!(heard)? {
                return Poll::Ready(Ok(answer));
            }
        }
        give_way(cx);
        Poll::Pending
    }

    /// What came; the answer, if it is there.
    fn hear(&mut self, input: &[u8], load: &Load) -> Result<Option<Message>, End> {
        let Spoken { codec, most } = self.spoken;
        let (id, out, fit) = (self.id, &mut self.out, &mut self.fit);
        let (mut answer, mut wrong) = (None, None);
        let taken = self.inbox.take(codec, most, input, &mut |message| {
            let asker = message.frame.asker;
            match message.frame.kind {
                Kind::Response if asker.id == id && answer.is_none() => answer = Some(message),
                Kind::Response => {
                    *fit = Fit::ForThisOne;
                    load.count_stray();
                }
                Kind::Heartbeat => out.offer(|out| codec.acknowledge(&asker, out)),
                Kind::HeartbeatAck => {}
                Kind::GoAway => *fit = Fit::ForThisOne,
                // A host that asks is none.
                Kind::Request | Kind::OneWay => wrong = Some(Flaw::Type),
            }
        });
        let wrong = wrong.or_else(|| taken.err().map(|malformed| malformed.flaw));
        match (answer, wrong) {
            // What follows an answer spoils the connection, and not the answer.
            (Some(answer), wrong) => {
                if wrong.is_some() {
                    self.fit = Fit::ForThisOne;
                }
                Ok(Some(answer))
            }
            (None, Some(flaw)) => Err(End::Malformed(flaw)),
            (None, None) => Ok(None),
        }
    }
}

impl Drop for Sole {
    fn drop(&mut self) {
        if let Some(mut upstream) = self.leave() {
            upstream.is_cut(cluster::Ending::LocalAmidRequest);
        }
    }
}
