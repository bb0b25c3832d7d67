//! One message on its way from one peer to the other: what is yet to be sent, and its body.
//!
//! The body is read into the worker's scratch buffer, decoded there and sent from there; only what
//! the receiver did not take is kept, and nothing more is read before that is gone.

use std::io;
use std::task::{Context, Poll, ready};

use crate::net::{Sequel, Stream, with_scratch};
use crate::protocol::http1::{
    Body, Decoder, Framing, Malformed, Progress, write_chunk_size, write_last_chunk,
};

use super::spare;

/// Data below this is copied behind a head, to go out in the same call from one buffer.
const SMALL: usize = 4096;

/// What one transfer moves before others have their turn.
const TURN_BYTES: usize = 1024 * 1024;

/// Bytes that a socket has yet to take.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    bytes: Vec<u8>,
    sent: usize,
    begun: bool,
}

impl Unsent {
    /// Where to append what is to be sent.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = spare::take();
        }
        &mut self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes yet to be sent.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Whether a socket has taken a part of it, and not all.
    pub(super) fn is_torn(&self) -> bool {
        self.sent > 0 && !self.is_empty()
    }

    /// Whether a socket has taken any byte.
    fn is_begun(&self) -> bool {
        self.begun
    }

    /// Sends until all is sent.
    pub(super) fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        sink: &Stream,
        sequel: Sequel,
    ) -> Poll<io::Result<()>> {
        while self.sent < self.bytes.len() {
            let rest = &self.bytes[self.sent..];
            self.sent += ready!(sink.poll_send_before(cx, rest, sequel))?;
            self.begun = true;
        }
        self.forget();
        Poll::Ready(Ok(()))
    }

    /// Sends this, `data` and its tail behind it, as much as the socket takes at once, and keeps
    /// the rest.
    fn send_with(
        &mut self,
        cx: &mut Context<'_>,
        sink: &Stream,
        [data, tail]: [&[u8]; 2],
        sequel: Sequel,
    ) -> io::Result<()> {
        let before = self.len();
        let parts = [&self.bytes[self.sent..], data, tail];
        let taken = match sink.poll_send_all(cx, parts, sequel) {
            Poll::Ready(taken) => taken?,
            Poll::Pending => 0,
        };
        self.begun |= taken > 0;
        if taken < before {
            self.sent += taken;
            self.bytes.extend_from_slice(data);
            self.bytes.extend_from_slice(tail);
            return Ok(());
        }
        self.forget();
        let taken = taken - before;
        for rest in [
            &data[taken.min(data.len())..],
            &tail[taken.saturating_sub(data.len())..],
        ] {
            if !rest.is_empty() {
                self.buffer().extend_from_slice(rest);
            }
        }
        Ok(())
    }

    fn forget(&mut self) {
        self.sent = 0;
        spare::give(std::mem::take(&mut self.bytes));
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        self.forget();
    }
}

/// What could not go on.
#[derive(Debug)]
pub(super) enum Broken {
    /// The body is not what its framing says.
    Malformed(Malformed),
    /// The sink's connection failed.
    Sink,
    /// The source's connection failed.
    Source,
    /// The body is longer than is allowed.
    TooLong,
    /// The source ended before the body did.
    Truncated,
}

/// Whose turn it is, for whoever watches the pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    /// The source has nothing.
    ForSource,
    /// The sink takes nothing.
    ForSink,
}

/// A message whose head is written, and whose body follows.
#[derive(Debug)]
pub(super) struct Transfer {
    decoder: Decoder,
    framing: Framing,
    limit: Option<u64>,
    /// Bytes of the body that came, without their framing.
    payload: u64,
    ended: bool,
    spoiled: bool,
    sequel: Sequel,
    pub(super) unsent: Unsent,
    pub(super) waits: Waits,
}

impl Transfer {
    /// A message with a body that comes as `body` and goes as `framing`; longer than `limit` it
    /// is broken.
    pub(super) fn new(body: Body, framing: Framing, limit: Option<u64>) -> Self {
        Self {
            decoder: Decoder::new(body),
            framing,
            limit,
            payload: 0,
            ended: body == Body::None || body == Body::Length(0),
            spoiled: false,
            sequel: Sequel::Open,
            unsent: Unsent::default(),
            waits: Waits::ForSource,
        }
    }

    /// Leaves out trailers of these names, which commas tell apart.
    pub(super) fn leave_out(&mut self, names: &[u8]) {
        self.decoder.leave_out(names);
    }

    /// Bytes of the body that came so far.
    pub(super) fn payload(&self) -> u64 {
        self.payload
    }

    /// How much of it the sink has taken, near enough: what is on its way there counts as not taken.
    pub(super) fn taken(&self, sink: &Stream) -> u64 {
        let on_the_way = self.unsent.len() as u64 + sink.unacknowledged();
        self.payload.saturating_sub(on_the_way)
    }

    /// Whether the whole body has come, though perhaps not gone.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether a socket has taken any byte of the message.
    pub(super) fn has_sent(&self) -> bool {
        self.unsent.is_begun()
    }

    /// Whether the sink can tell half a body from a whole one.
    pub(super) fn is_framed(&self) -> bool {
        !matches!(self.framing, Framing::UntilClose)
    }

    /// Makes it fail after what it has yet to send: the rest of the body is nonsense.
    pub(super) fn spoil(&mut self) {
        self.spoiled = true;
    }

    /// Says what comes behind it.
    pub(super) fn followed_by(&mut self, sequel: Sequel) {
        self.sequel = sequel;
    }

    /// What comes behind the bytes that are about to go out.
    fn sequel(&self) -> Sequel {
        match self.ended {
            true => self.sequel,
            false => Sequel::Open,
        }
    }

    /// Whether all of it has gone.
    pub(super) fn is_done(&self) -> bool {
        self.ended && self.unsent.is_empty()
    }

    /// Takes what has come of the body, to be sent with the head; how much of it that was.
    pub(super) fn feed(&mut self, input: &[u8]) -> Result<usize, Broken> {
        self.decode(input, |this, [data, tail], _| {
            this.unsent.buffer().extend_from_slice(data);
            this.unsent.buffer().extend_from_slice(tail);
            Ok(())
        })
    }

    /// As [`Self::feed`], and sends at once what is large.
    pub(super) fn carry(
        &mut self,
        cx: &mut Context<'_>,
        sink: &Stream,
        input: &[u8],
    ) -> Result<usize, Broken> {
        self.decode(input, |this, parts @ [data, tail], sequel| {
            if data.len() < SMALL {
                this.unsent.buffer().extend_from_slice(data);
                this.unsent.buffer().extend_from_slice(tail);
                return Ok(());
            }
            let sent = this.unsent.send_with(cx, sink, parts, sequel);
            sent.map_err(|_| Broken::Sink)
        })
    }

    fn decode(
        &mut self,
        input: &[u8],
        mut put: impl FnMut(&mut Self, [&[u8]; 2], Sequel) -> Result<(), Broken>,
    ) -> Result<usize, Broken> {
        let mut used = 0;
        while !self.ended {
            let rest = &input[used..];
            let step = self.decoder.decode(rest).map_err(Broken::Malformed)?;
            let data = &rest[step.data.clone()];
            if !data.is_empty() {
                self.payload += data.len() as u64;
                if self.limit.is_some_and(|limit| self.payload > limit) {
                    return Err(Broken::TooLong);
                }
                let is_chunk = matches!(self.framing, Framing::Chunked);
                if is_chunk {
                    write_chunk_size(self.unsent.buffer(), data.len());
                }
                let sequel = match step.state {
                    Progress::End => self.sequel,
                    Progress::More => Sequel::Open,
                };
                put(self, [data, if is_chunk { b"\r\n" } else { b"" }], sequel)?;
            }
            used += step.consumed;
            match step.state {
                Progress::End => self.end(),
                Progress::More if step.consumed == 0 => break,
                Progress::More => {}
            }
        }
        Ok(used)
    }

    fn end(&mut self) {
        self.ended = true;
        if matches!(self.framing, Framing::Chunked) {
            write_last_chunk(self.unsent.buffer(), self.decoder.trailers());
        }
    }

    /// Moves the body until it has ended and the sink has taken everything. `heard` sees what is
    /// received, before it is decoded; what follows the body goes to `rest`.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &Stream,
        sink: &Stream,
        rest: &mut Vec<u8>,
        mut heard: impl FnMut(&[u8]),
    ) -> Poll<Result<(), Broken>> {
        let mut turn = 0;
        loop {
            self.waits = Waits::ForSink;
            ready!(self.unsent.poll_flush(cx, sink, self.sequel())).map_err(|_| Broken::Sink)?;
            if self.spoiled {
                return Poll::Ready(Err(Broken::Truncated));
            }
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            if turn >= TURN_BYTES {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.waits = Waits::ForSource;
            let read = with_scratch(|scratch| {
                let received = ready!(source.poll_recv(cx, scratch)).map_err(|_| Broken::Source)?;
                let input = &scratch[..received];
                heard(input);
                if input.is_empty() {
                    self.decoder.eof().map_err(|_| Broken::Truncated)?;
                    self.end();
                } else {
                    let used = self.carry(cx, sink, input)?;
                    rest.extend_from_slice(&input[used..]);
                }
                Poll::Ready(Ok(received))
            });
            turn += ready!(read)?;
        }
    }
}

/// How long a body's payload is and how many bytes of `input` are the body, if it is whole there.
pub(super) fn measure(body: Body, input: &[u8]) -> Option<(u64, usize)> {
    let mut decoder = Decoder::new(body);
    let (mut payload, mut used) = (0, 0);
    if matches!(body, Body::None | Body::Length(0)) {
        return Some((0, 0));
    }
    loop {
        let step = decoder.decode(&input[used..]).ok()?;
        payload += step.data.len() as u64;
        used += step.consumed;
        match step.state {
            Progress::End => return Some((payload, used)),
            Progress::More if step.consumed == 0 => return None,
            Progress::More => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::net::testing::tcp;

    #[actix::test]
    async fn what_lies_in_the_kernel_is_not_taken() {
        const LENGTH: usize = 4 << 20;
        let (ours, mut peer) = tcp().await;
        let mut transfer = Transfer::new(
            Body::Length(LENGTH as u64),
            Framing::Length(LENGTH as u64),
            None,
        );
        transfer.feed(&vec![b'x'; LENGTH]).unwrap();
        let send = async |transfer: &mut Transfer| {
            std::future::poll_fn(|cx| {
                Poll::Ready(transfer.unsent.poll_flush(cx, &ours, Sequel::Open))
            })
            .await
        };
        while !transfer.unsent.is_torn() {
            assert!(send(&mut transfer).await.is_pending());
            tokio::task::yield_now().await;
        }

        let arrived = transfer.taken(&ours);
        let left = transfer.unsent.len() as u64;
        assert!(arrived < LENGTH as u64 - left, "{arrived}, {left}");
        let mut received = vec![0; LENGTH];
        let (mut sent, mut read) = (Poll::Pending, 0);
        while read < LENGTH {
            read += peer.read(&mut received[read..]).await.unwrap();
            if sent.is_pending() {
                sent = send(&mut transfer).await.map(drop);
            }
        }

        while transfer.taken(&ours) < LENGTH as u64 {
            tokio::task::yield_now().await;
        }
    }
}
