//! A response on its way downstream.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::{Conduct, Ending, Grade};
use crate::net::{Sequel, Word};
use crate::protocol::http1::{Body, Framing, Persistence, Version, write_status_line};
use crate::proxy::Side;
use crate::route::Flags;

use super::Setting;
use super::attempt::{Attempt, Headed, Rest};
use super::exchange::After;
use super::pace::{Pace, Stall};
use super::reply::Ends;
use super::transfer::{Broken, Transfer, Waits};
use super::tried::Miss;

/// How fast both sides have to be meanwhile.
struct Watch {
    upload: Pace,
    download: Pace,
    stall: Stall,
}

/// A response that did not wholly go downstream.
pub(super) struct Cut {
    after: After,
    /// Whose doing that was.
    by: Side,
}

impl Cut {
    fn new(after: After, by: Side) -> Self {
        Self { after, by }
    }
}

impl<S: Setting> Attempt<'_, '_, '_, S> {
    /// Writes the response's head, with what has come of its body.
    pub(super) fn begin(&mut self, cx: &mut Context<'_>, rest: &[u8]) -> Result<Headed, Miss> {
        let is_new = self.exchange.request.version == Version::Http11;
        let body = self.response.body;
        let framing = match body {
            Body::None | Body::Length(_) => Framing::from(body),
            Body::Chunked | Body::UntilClose if is_new => Framing::Chunked,
            Body::Chunked | Body::UntilClose => Framing::UntilClose,
        };
        let status = self.response.status;
        // A client that is answered while it still speaks is told to stop.
        let goes_on = framing != Framing::UntilClose && self.upload.has_ended();
        self.ends = self.exchange.ends(goes_on && self.rest == Rest::Wanted);
        self.exchange.record.status = status;
        let mut download = Transfer::new(body, framing, None);
        download.followed_by(self.ends.sequel());
        download.leave_out(self.response.named_by_connection());
        // Interim responses go first.
        download.unsent = std::mem::take(&mut self.interim);
        let fields = &mut self.response.fields;
        let is_chunked = fields.get("transfer-encoding").is_some();
        fields.strip_hop_by_hop();
        // Without its body a response may well say what that would be (RFC 9110 section 8.6).
        let tells = body == Body::None && status != 204;
        if !tells {
            fields.strip_framing();
        }
        let routed = Some((self.course.table, Some(self.course.found)));
        self.exchange.dress(status, fields, routed);
        let out = download.unsent.buffer();
        write_status_line(out, status, self.response.reason());
        self.response.fields.write_to(out);
        match tells && is_chunked && is_new {
            true => Framing::Chunked.write_to(out),
            false => framing.write_to(out),
        }
        out.extend_from_slice(self.ends.field());
        out.extend_from_slice(b"\r\n");
        let head = out.len();
        match download.carry(cx, &self.exchange.connection.stream, rest) {
            Ok(used) => self.extra.extend_from_slice(&rest[used..]),
            Err(Broken::Malformed(error)) if !download.has_sent() => {
                self.exchange.is_last = true;
                return Err(Miss::Malformed(error));
            }
            Err(Broken::Malformed(_)) => download.spoil(),
            Err(_) => return Err(Miss::Gone),
        }
        let sent = head + usize::try_from(download.payload()).unwrap_or(usize::MAX);
        self.exchange.connection.flow.add_sent(sent);
        self.download = Some(download);
        Ok(Headed::Deliver)
    }

    /// Moves the response's body downstream, and goes on sending the request's.
    pub(super) async fn deliver(&mut self) -> Result<(), Cut> {
        let deadlines = self.exchange.proxy().deadlines;
        let mut watch = Watch {
            upload: Pace::new(deadlines),
            download: Pace::new(deadlines),
            stall: Stall::new(deadlines.upstream_silence),
        };
        poll_fn(|cx| self.poll_deliver(cx, &mut watch)).await
    }

    /// Counts the response, and says what becomes of both connections.
    pub(super) fn delivered(mut self, delivered: Result<(), Cut>) -> After {
        let download = self.download.take().expect("it was begun");
        let now = Instant::now();
        let record = &mut self.exchange.record;
        record.answered = Some(now);
        record.body_sent = download.payload();
        record.body_received = self.upload.payload();
        self.score(&delivered, now);
        let record = &mut self.exchange.record;
        let persistence = self.response.persistence;
        let is_open = self.response.body != Body::UntilClose;
        self.exchange.response = Some(self.response);
        if let Err(Cut { after, by }) = delivered {
            record.body_sent -= record.body_sent.min(download.unsent.len() as u64);
            self.upstream.is_cut(match by {
                Side::Upstream if !record.flags.contains(Flags::TIMED_OUT) => {
                    Ending::RemoteAmidRequest
                }
                _ => Ending::LocalAmidRequest,
            });
            match by {
                Side::Downstream => record.reset = true,
                Side::Upstream if record.flags.contains(Flags::TIMED_OUT) => {}
                Side::Upstream => {
                    record.flags |= Flags::REMOTE_RESET;
                    let load = self.picked.lease.load();
                    load.count_request_lost();
                    load.count_remote_reset();
                }
            }
            return after;
        }
        if self.upload.is_done()
            && is_open
            && persistence == Persistence::Keep
            && self.extra.is_empty()
        {
            let idle = self.picked.settings.idle_timeout;
            let pools = self.exchange.connection.setting.pools();
            pools.give(self.upstream, idle, now.into_std());
        }
        let ended = self.upload.has_ended();
        match self.ends {
            Ends::No | Ends::NoAsTold if ended => After::Next(self.next),
            _ if ended && self.next.is_empty() && self.exchange.connection.stream.is_quiet() => {
                After::Close
            }
            _ => After::Linger,
        }
    }

    /// Counts the response, and takes note of how the host behaved.
    fn score(&self, delivered: &Result<(), Cut>, now: Instant) {
        let status = self.response.status;
        let record = &self.exchange.record;
        let sent = record.forwarded.unwrap_or(record.started);
        let load = self.picked.lease.load();
        let took = now - sent;
        load.count_response(status, took);
        let is_cut = matches!(delivered, Err(cut) if cut.by == Side::Upstream);
        let (conduct, grade) = match is_cut {
            true => (Conduct::Failed, Grade::ServerError),
            false => (Conduct::Answered(status), Grade::of(status)),
        };
        self.picked.grade(grade, Some(took));
        self.exchange.judge_at(self.picked, conduct, now);
    }

    fn poll_deliver(&mut self, cx: &mut Context<'_>, watch: &mut Watch) -> Poll<Result<(), Cut>> {
        let connection = self.exchange.connection;
        let download = self.download.as_mut().expect("it was begun");
        let before = download.payload();
        let moved = download.poll(
            cx,
            &self.upstream,
            &connection.stream,
            &mut self.extra,
            |_| {},
        );
        let payload = download.payload();
        let waits = download.waits;
        let moved_bytes = usize::try_from(payload - before).unwrap_or(usize::MAX);
        connection.flow.add_sent(moved_bytes);
        match moved {
            Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
            Poll::Ready(Err(Broken::Sink)) => {
                return Poll::Ready(Err(Cut::new(After::Close, Side::Downstream)));
            }
            Poll::Ready(Err(_)) => return Poll::Ready(Err(self.cut_short())),
            Poll::Pending => {}
        }
        self.poll_beside(cx, &mut watch.upload);
        if waits == Waits::ForSource && self.poll_gone(cx).is_ready() {
            return Poll::Ready(Err(Cut::new(After::Close, Side::Downstream)));
        }
        let moved = || payload + self.upload.payload();
        if let Poll::Ready(after) = watch.stall.poll(cx, moved, waits == Waits::ForSource) {
            return Poll::Ready(Err(self.given_up(after)));
        }
        let download = self.download.as_ref().expect("it was begun");
        // The kernel takes more than the peer does: what counts is what arrives there.
        let taken = || download.taken(&connection.stream);
        let too_slow = watch
            .download
            .poll_too_slow(cx, taken, waits == Waits::ForSink);
        ready!(too_slow);
        Poll::Ready(Err(Cut::new(After::Reset, Side::Downstream)))
    }

    /// Goes on sending the request beside its early answer. A client may stop there, as it should
    /// where it is refused: a rest that is too slow is not waited for, but ends nothing by itself.
    fn poll_beside(&mut self, cx: &mut Context<'_>, pace: &mut Pace) {
        if self.upload.is_done() || self.rest != Rest::Wanted {
            return;
        }
        if let Poll::Ready(Err(_)) = self.poll_upload(cx) {
            self.rest = Rest::Unwanted;
        }
        let payload = self.upload.payload();
        let waits = !self.upload.has_ended() && self.upload.waits == Waits::ForSource;
        if pace.poll_too_slow(cx, || payload, waits).is_ready() {
            self.rest = Rest::TooSlow;
        }
        if self.rest != Rest::Wanted {
            // Half a request must not pass for a whole one: its connection closes.
            self.ends = Ends::Yes;
        }
    }

    /// The end of a response of which nothing more came for so long: the upstream's doing, unless
    /// it waits for a rest of the request that came too slowly.
    fn given_up(&mut self, after: Duration) -> Cut {
        if self.rest == Rest::TooSlow {
            return Cut::new(After::Reset, Side::Downstream);
        }
        self.note_silence(after);
        self.cut_short()
    }

    /// The end of a response that is not whole: without framing only a reset tells it from one
    /// that is.
    fn cut_short(&self) -> Cut {
        let is_framed = self.download.as_ref().is_some_and(Transfer::is_framed);
        let after = match is_framed {
            true => After::Close,
            false => After::Reset,
        };
        Cut::new(after, Side::Upstream)
    }

    /// Ready when nobody is there any more who could read the response. Otherwise that would show
    /// only once there is more of it.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.watching {
            return Poll::Pending;
        }
        let word = ready!(self.exchange.connection.poll_word(cx));
        self.watching = false;
        match word {
            Ok(Word::More | Word::Ended) => Poll::Pending,
            Ok(Word::Gone) | Err(_) => Poll::Ready(()),
        }
    }

    fn note_silence(&mut self, after: Duration) {
        self.exchange.record.flags |= Flags::TIMED_OUT;
        self.picked.lease.load().count_timeout();
        let (cluster, host) = (&self.course.cluster, self.picked.lease.host());
        let text = format!(
            "cluster `{cluster}`: host {host}: nothing came of the rest of its response for {after:?}"
        );
        let kind = host.to_string();
        self.exchange.note("proxy.upstream_silent", kind, &text);
    }

    /// Tells the downstream that the protocol is another one now.
    pub(super) async fn switch(&mut self) -> io::Result<()> {
        let out = self.interim.buffer();
        write_status_line(out, self.response.status, self.response.reason());
        let upgrade = self.response.fields.get("upgrade").map(<[u8]>::to_vec);
        let status = self.response.status;
        let fields = &mut self.response.fields;
        fields.strip_hop_by_hop();
        fields.strip_framing();
        let routed = Some((self.course.table, Some(self.course.found)));
        self.exchange.dress(status, fields, routed);
        fields.write_to(out);
        if self.response.status == 101 {
            let protocol = upgrade.as_ref().or(self.course.upgrade.as_ref());
            out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: ");
            out.extend_from_slice(protocol.map_or(&[][..], Vec::as_slice));
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        let stream = &self.exchange.connection.stream;
        self.exchange.record.status = self.response.status;
        self.exchange.judge(self.picked, Conduct::Answered(status));
        poll_fn(|cx| self.interim.poll_flush(cx, stream, Sequel::Open)).await
    }
}
