//! One request on one upstream connection.
//!
//! ```text
//! sending ──▶ waiting ──▶ delivering ──▶ done: the connections go on, or one of them closes
//!    │           │             │
//!    ├───────────┴──▶ missed   └──▶ cut
//!    └─ early answer ──▶ delivering, and still sending
//! ```

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use memchr::memchr;
use tokio::time::{Instant, timeout_at};

use crate::cluster::{Conduct, Grade};
use crate::net::{Sequel, Word, with_scratch};
use crate::protocol::http1::{
    Asked, Framing, HeadLimits, Malformed, Method, Parsed, Response, Version, write_status_line,
};
use crate::proxy::setback::Setback;
use crate::route::{Outcome, Replay};
use crate::upstream::{Picked, Pooled};

use super::Setting;
use super::course::Course;
use super::exchange::{After, Exchange, Stop};
use super::expect::{Continue, Patience};
use super::pace::{Pace, Stall};
use super::reply::Ends;
use super::spare::Lent;
use super::transfer::{Broken, Transfer, Unsent, Waits};
use super::tried::{Miss, Missed, Ran, Tried};
use super::trouble::Trouble;

/// What a response's head may measure.
const HEAD: HeadLimits = HeadLimits {
    bytes: 64 * 1024,
    fields: 256,
};

/// Interim responses that wait for the downstream; beyond this no more are read.
const INTERIM_BYTES: usize = 16 * 1024;

/// What a response's head calls for.
pub(super) enum Headed {
    /// The response goes downstream.
    Deliver,
    /// Another host is asked.
    Again,
    /// The connection is no HTTP any more.
    Switch,
}

/// What becomes of the part of a request that has not been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// It is sent as it comes.
    Wanted,
    /// The upstream takes no more of it, or it is none.
    Unwanted,
    /// It came too slowly beside an early answer, which may do without it.
    TooSlow,
}

/// One request on one upstream connection.
pub(super) struct Attempt<'t, 'c, 'r, S: Setting> {
    pub(super) exchange: &'t mut Exchange<'c, S>,
    pub(super) course: &'t mut Course<'r>,
    pub(super) picked: &'t Picked,
    pub(super) upstream: Pooled,
    pub(super) upload: Transfer,
    /// What the downstream said behind its request.
    pub(super) next: Vec<u8>,
    /// Whether the rest of the request is still sent.
    pub(super) rest: Rest,
    written: bool,
    /// The part of a response's head that has come.
    head: Vec<u8>,
    pub(super) response: Lent<Response>,
    pub(super) download: Option<Transfer>,
    /// What the upstream said behind its response.
    pub(super) extra: Vec<u8>,
    /// Whether the downstream is still watched for its end.
    pub(super) watching: bool,
    /// How long a client that expects a 100 still waits for the upstream's.
    pub(super) patience: Patience,
    /// Interim responses on their way downstream.
    pub(super) interim: Unsent,
    pub(super) ends: Ends,
}

impl<'t, 'c, 'r, S: Setting> Attempt<'t, 'c, 'r, S> {
    /// Writes the request's head, with what has come of its body.
    pub(super) fn new(
        exchange: &'t mut Exchange<'c, S>,
        course: &'t mut Course<'r>,
        picked: &'t Picked,
        upstream: Pooled,
    ) -> Result<Self, Stop> {
        let body = exchange.request.body;
        let mut upload = Transfer::new(body, Framing::from(body), exchange.body_limit());
        upload.leave_out(exchange.request.named_by_connection());
        exchange.write_head(course, Some(picked.lease.host()), upload.unsent.buffer());
        let used = upload.feed(&exchange.intake.bytes);
        let used = used.map_err(|broken| request_trouble(exchange, broken))?;
        let next = exchange.intake.bytes[used..].to_vec();
        Ok(Self {
            exchange,
            course,
            picked,
            upstream,
            upload,
            next,
            rest: Rest::Wanted,
            written: false,
            head: Vec::new(),
            response: Lent::new(),
            download: None,
            extra: Vec::new(),
            watching: true,
            patience: Patience::default(),
            interim: Unsent::default(),
            ends: Ends::No,
        })
    }

    /// Sends the request and delivers the response, as far as that goes. It is lent to its future,
    /// since it is large; [`end`](Self::end) says what came of it.
    pub(super) async fn run(&mut self) -> Result<Ran, Missed> {
        let headed = match self.headed().await {
            Ok(headed) => headed,
            Err(miss) => {
                // What has begun to go downstream cannot be taken back.
                self.exchange.is_muddled |= self.interim.is_torn();
                return Err(Missed {
                    written: self.written,
                    answered: !self.head.is_empty(),
                    miss,
                });
            }
        };
        match headed {
            Headed::Deliver => Ok(Ran::Delivered(self.deliver().await)),
            Headed::Switch => Ok(Ran::Switched(self.switch().await)),
            Headed::Again => Ok(Ran::Refused),
        }
    }

    /// What became of this try.
    pub(super) fn end(self, ran: Ran) -> Tried {
        match ran {
            Ran::Delivered(delivered) => Tried::Done(self.delivered(delivered)),
            Ran::Switched(Ok(())) => Tried::Done(After::Tunnel {
                rest: self.next,
                cluster: self.course.cluster.clone(),
                upstream: self.upstream,
                from_upstream: self.extra,
            }),
            Ran::Switched(Err(_)) => Tried::Done(After::Close),
            Ran::Refused => {
                self.picked.lease.load().count_failure();
                let answered = Conduct::Answered(self.response.status);
                self.exchange.judge(self.picked, answered);
                let host = self.picked.lease.host().to_string();
                let status = self.response.status;
                let sent = self.exchange.record.forwarded;
                let took = sent.map(|sent| sent.elapsed());
                self.picked.grade(Grade::of(status), took);
                Tried::Refused(status, Setback::UpstreamStatus { host, status })
            }
        }
    }

    /// Sends the request and waits for the response's head.
    async fn headed(&mut self) -> Result<Headed, Miss> {
        let deadlines = self.exchange.proxy().deadlines;
        let mut pace = Pace::new(deadlines);
        let silence = [
            deadlines.upstream_silence,
            self.course.tries.timeouts.global,
        ];
        let mut stall = Stall::new(silence.into_iter().flatten().min());
        if let Some(headed) = poll_fn(|cx| self.poll_send(cx, &mut pace, &mut stall)).await? {
            return Ok(headed);
        }
        self.watching = self.next.is_empty();
        let now = Instant::now();
        self.exchange.record.forwarded = Some(now);
        self.exchange.record.body_received = self.upload.payload();
        self.course.tries.begin(now);
        let limit = self.course.tries.limit(now);
        let head = poll_fn(|cx| self.poll_head(cx));
        match limit {
            None => head.await,
            Some((at, after, outcome)) => match timeout_at(at, head).await {
                Ok(headed) => headed,
                Err(_) => Err(Miss::TimedOut(after, outcome)),
            },
        }
    }

    /// Sends the request; `Some` when the answer came first.
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        pace: &mut Pace,
        stall: &mut Stall,
    ) -> Poll<Result<Option<Headed>, Miss>> {
        match self.poll_upload(cx) {
            Poll::Ready(Ok(())) => return Poll::Ready(Ok(None)),
            // Nobody is there any more.
            Poll::Ready(Err(Broken::Source)) => return Poll::Ready(Err(Miss::Gone)),
            Poll::Ready(Err(broken)) => {
                let trouble = request_trouble(self.exchange, broken);
                return Poll::Ready(Err(Miss::Request(trouble)));
            }
            Poll::Pending => {}
        }
        // The downstream is being read: its end is noticed there.
        self.watching = false;
        self.poll_continue(cx);
        if let Poll::Ready(headed) = self.poll_head(cx) {
            return Poll::Ready(headed.map(Some));
        }
        let payload = self.upload.payload();
        let waits = self.upload.waits == Waits::ForSource;
        let taken = || self.upload.taken(&self.upstream);
        if let Poll::Ready(after) = stall.poll(cx, taken, !waits) {
            return Poll::Ready(Err(Miss::TimedOut(after, Outcome::GlobalTimedOut)));
        }
        // A client that waits for a word of the upstream's is not slow.
        ready!(pace.poll_too_slow(cx, || payload, waits && !self.awaits_continue()));
        Poll::Ready(Err(Miss::Request(Trouble::BodyTooSlow)))
    }

    /// Moves the request upstream. An upstream that takes no more may have said why: then the rest
    /// of the request does not matter.
    pub(super) fn poll_upload(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if self.rest != Rest::Wanted {
            return Poll::Ready(Ok(()));
        }
        let connection = self.exchange.connection;
        let most = self.exchange.proxy().limits.kept_body_bytes;
        let (intake, flow) = (&mut self.exchange.intake, &connection.flow);
        let moved = self.upload.poll(
            cx,
            &connection.stream,
            &self.upstream,
            &mut self.next,
            |input| {
                flow.add_received(input.len());
                intake.keep(input, most);
            },
        );
        self.written |= self.upload.has_sent();
        match moved {
            Poll::Ready(Err(Broken::Sink)) => {
                self.rest = Rest::Unwanted;
                Poll::Ready(Ok(()))
            }
            other => other,
        }
    }

    /// Waits for the head of the final response, and passes interim ones on.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Headed, Miss>> {
        loop {
            let stream = &self.exchange.connection.stream;
            match self.interim.poll_flush(cx, stream, Sequel::Open) {
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Miss::Gone)),
                Poll::Pending if self.interim.len() > INTERIM_BYTES => return Poll::Pending,
                _ => {}
            }
            if self.watching
                && let Poll::Ready(word) = self.exchange.connection.poll_word(cx)
            {
                self.watching = false;
                match word {
                    Ok(Word::More) => {}
                    Ok(Word::Ended) => {
                        let stream = &self.exchange.connection.stream;
                        self.exchange.is_last |= self.next.is_empty() && stream.is_exhausted();
                    }
                    Ok(Word::Gone) | Err(_) => return Poll::Ready(Err(Miss::Gone)),
                }
            }
            let heard = with_scratch(|scratch| {
                let received = self.upstream.poll_recv(cx, scratch);
                match ready!(received) {
                    Err(_) => Poll::Ready(Err(Miss::Reset)),
                    Ok(0) => Poll::Ready(Err(Miss::Closed)),
                    Ok(received) => Poll::Ready(self.hear(cx, &scratch[..received])),
                }
            });
            if let Some(headed) = ready!(heard)? {
                return Poll::Ready(Ok(headed));
            }
        }
    }

    /// Reads what came of the response; `None` when the head of the final one is not whole.
    fn hear(&mut self, cx: &mut Context<'_>, input: &[u8]) -> Result<Option<Headed>, Miss> {
        let joined;
        let mut input = input;
        if !self.head.is_empty() {
            self.head.extend_from_slice(input);
            // Without a line's end no head ends, and a long one is refused for its length: what
            // comes byte by byte must not be read as often.
            if memchr(b'\n', input).is_none() && self.head.len() < HEAD.bytes {
                return Ok(None);
            }
            joined = std::mem::take(&mut self.head);
            input = &joined;
        }
        let asked = match self.exchange.request.method {
            Method::Head => Asked::Head,
            Method::Connect => Asked::Connect,
            _ => Asked::Other,
        };
        loop {
            let parsed = self.response.parse(input, &HEAD, asked);
            let Parsed::Whole(len) = parsed.map_err(Miss::Malformed)? else {
                self.head = input.to_vec();
                return Ok(None);
            };
            input = &input[len..];
            let status = self.response.status;
            if status >= 200 && self.response.says_close {
                self.picked.lease.load().count_goodbye();
            }
            match status {
                101 => return self.switches(input).map(Some),
                100..200 => self.inform(),
                200..300 if asked == Asked::Connect => return self.switches(input).map(Some),
                _ if self.is_tried_again(status) => return Ok(Some(Headed::Again)),
                _ => return self.begin(cx, input).map(Some),
            }
            if input.is_empty() {
                return Ok(None);
            }
        }
    }

    /// Passes an interim response on; HTTP/1.0 knows none (RFC 9110 section 15.2).
    fn inform(&mut self) {
        if self.exchange.request.version == Version::Http10 {
            return;
        }
        if self.response.status == 100 {
            match self.exchange.continues {
                // It has one already, perhaps ours.
                Continue::Given => return,
                Continue::Awaited => self.exchange.continues = Continue::Given,
                Continue::Unasked => {}
            }
        }
        let out = self.interim.buffer();
        write_status_line(out, self.response.status, self.response.reason());
        self.response.fields.strip_hop_by_hop();
        self.response.fields.strip_framing();
        self.response.fields.write_to(out);
        out.extend_from_slice(b"\r\n");
    }

    /// Whether this response is dropped for another host's. If so, there is room for the retry;
    /// else the downstream gets this one.
    fn is_tried_again(&mut self, status: u16) -> bool {
        let exchange = &self.exchange;
        if !exchange.intake.whole || !self.upload.is_done() || !self.interim.is_empty() {
            return false;
        }
        let policy = &self.course.forward.retry;
        let replay = Replay::of(exchange.request.method_text());
        let ended = (Outcome::Status(status), replay);
        let flags = &mut self.exchange.record.flags;
        self.course.tries.go_on(policy, self.picked, ended, flags)
    }

    fn switches(&mut self, rest: &[u8]) -> Result<Headed, Miss> {
        let unasked = self.response.status == 101 && self.course.upgrade.is_none();
        // Half a request must not run into the tunnel.
        if unasked || !self.upload.is_done() {
            return Err(Miss::Malformed(Malformed::StatusLine));
        }
        self.extra.extend_from_slice(rest);
        Ok(Headed::Switch)
    }
}

/// What a request is answered whose body could not be forwarded.
fn request_trouble<S: Setting>(exchange: &Exchange<'_, S>, broken: Broken) -> Trouble {
    match broken {
        Broken::Malformed(error) => Trouble::BodyMalformed(error),
        Broken::TooLong => exchange.too_long(),
        Broken::Sink | Broken::Source | Broken::Truncated => Trouble::BodyTruncated,
    }
}
