//! Local replies: answers that the proxy makes itself.

use std::future::poll_fn;
use std::io;
use std::task::{Poll, ready};

use crate::config::{Causes, Deadlines};
use crate::net::{Sequel, Stream};
use crate::protocol::http1::{Fields, Framing, standard_reason, write_status_line};

use super::pace::Pace;
use super::transfer::Unsent;
use super::trouble::Trouble;
use crate::proxy::setback::Setback;

/// The field that names the cause of a local reply.
pub(super) const CAUSE: &str = "x-banyan-cause";

/// A local reply, before it is written.
#[derive(Debug, Default)]
pub(super) struct LocalReply {
    pub(super) status: u16,
    pub(super) fields: Fields,
    pub(super) body: Vec<u8>,
}

impl LocalReply {
    /// What the request gets for `trouble`.
    pub(super) fn of(trouble: &Trouble, causes: Causes) -> Self {
        let status = trouble.status();
        let mut reply = Self {
            status,
            ..Self::default()
        };
        if let Trouble::Setback(Setback::Filtered(filtered)) = trouble {
            reply.body.extend_from_slice(&filtered.body);
            return reply.typed();
        }
        reply
            .body
            .extend_from_slice(standard_reason(status).as_bytes());
        if causes == Causes::Named {
            let cause = cause(trouble);
            reply.fields.push(CAUSE.as_bytes(), cause.as_bytes());
            reply.body.extend_from_slice(b": ");
            reply.body.extend_from_slice(cause.as_bytes());
        }
        reply.body.push(b'\n');
        reply.typed()
    }

    fn typed(mut self) -> Self {
        if !self.body.is_empty() {
            self.fields
                .push(b"Content-Type", b"text/plain; charset=utf-8");
        }
        self
    }

    /// A text with a status.
    pub(super) fn text(status: u16, body: &str) -> Self {
        let reply = Self {
            status,
            body: body.as_bytes().to_vec(),
            ..Self::default()
        };
        reply.typed()
    }

    /// Sends it, at the pace at which responses have to be taken.
    ///
    /// # Errors
    ///
    /// When it did not wholly go out.
    pub(super) async fn send(
        &self,
        stream: &Stream,
        ends: Ends,
        method: Asked,
        deadlines: Deadlines,
    ) -> io::Result<()> {
        let mut unsent = Unsent::default();
        self.write(unsent.buffer(), ends, method);
        let length = unsent.len() as u64;
        let mut pace = Pace::new(deadlines);
        poll_fn(|cx| {
            if let Poll::Ready(sent) = unsent.poll_flush(cx, stream, ends.sequel()) {
                return Poll::Ready(sent);
            }
            let left = unsent.len() as u64;
            let taken = || length.saturating_sub(left + stream.unacknowledged());
            ready!(pace.poll_too_slow(cx, taken, true));
            Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
        })
        .await
    }

    /// Appends it to `out` as it goes over the wire.
    fn write(&self, out: &mut Vec<u8>, ends: Ends, method: Asked) {
        write_status_line(out, self.status, standard_reason(self.status).as_bytes());
        self.fields.write_to(out);
        if !self.is_bare() {
            Framing::Length(self.body.len() as u64).write_to(out);
        }
        out.extend_from_slice(ends.field());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(self.sent_body(method));
    }

    /// The body as far as it is sent.
    pub(super) fn sent_body(&self, method: Asked) -> &[u8] {
        match method == Asked::Head || self.is_bare() {
            true => b"",
            false => &self.body,
        }
    }

    /// Whether it has neither a body nor a length (RFC 9110 sections 15.2, 15.3.5, 15.4.5).
    fn is_bare(&self) -> bool {
        self.status < 200 || matches!(self.status, 204 | 304)
    }
}

/// Whether a body is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// By HEAD: none.
    Head,
    /// By any other method.
    Other,
}

impl Asked {
    /// By what has come of a head that is none, or not whole.
    pub(super) fn by(mut input: &[u8]) -> Self {
        while let Some(rest) = input.strip_prefix(b"\r\n") {
            input = rest;
        }
        match input.starts_with(b"HEAD ") {
            true => Self::Head,
            false => Self::Other,
        }
    }
}

/// What is said about the connection's future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    /// It goes on, which goes without saying in HTTP/1.1.
    No,
    /// It goes on, which an HTTP/1.0 client has to be told.
    NoAsTold,
    /// It ends with this response.
    Yes,
}

impl Ends {
    /// What comes behind the response.
    pub(super) fn sequel(self) -> Sequel {
        match self {
            Self::No | Self::NoAsTold => Sequel::Open,
            Self::Yes => Sequel::End,
        }
    }

    pub(super) fn field(self) -> &'static [u8] {
        match self {
            Self::No => b"",
            Self::NoAsTold => b"Connection: keep-alive\r\n",
            Self::Yes => b"Connection: close\r\n",
        }
    }
}

/// The cause in words that may stand in a field: printable ASCII of a bounded length.
fn cause(trouble: &Trouble) -> String {
    const LONGEST: usize = 200;
    let text = trouble.to_string();
    let printable = text.chars().map(|c| match c {
        ' '..='~' => c,
        _ => '?',
    });
    printable.take(LONGEST).collect()
}
