//! Sending over a stream.

use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;
use std::task::{Context, Poll, ready};

use nix::sys::socket::{MsgFlags, send, sendmsg};
use socket2::SockRef;

use super::{Kind, Stream, at_once, settle};

/// What follows the bytes of a send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sequel {
    /// More bytes, now or later, or none.
    #[default]
    Open,
    /// The end of the stream: [`Stream::end`] is called before anything is waited for, so that it
    /// goes out in the segment of the last bytes. A segment of its own costs both sides as much as
    /// a small answer does.
    End,
}

impl Sequel {
    fn flags(self) -> MsgFlags {
        match self {
            Self::Open => MsgFlags::MSG_NOSIGNAL,
            Self::End => MsgFlags::MSG_NOSIGNAL.union(MORE),
        }
    }
}

/// `MSG_MORE`, of which nix does not know.
const MORE: MsgFlags = MsgFlags::from_bits_retain(libc::MSG_MORE);

impl Stream {
    /// Sends what the socket takes of `bytes`, at least one byte.
    pub fn poll_send(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send_before(cx, bytes, Sequel::Open)
    }

    /// As [`poll_send`](Self::poll_send), of bytes behind which comes `sequel`.
    pub fn poll_send_before(
        &self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        sequel: Sequel,
    ) -> Poll<io::Result<usize>> {
        let fd = self.socket.as_raw_fd();
        self.poll_put(cx, bytes.len(), || send(fd, bytes, sequel.flags()))
    }

    /// Sends what the socket takes of these, one behind the other, in one call; at least one byte.
    /// Behind them comes `sequel`.
    pub fn poll_send_all(
        &self,
        cx: &mut Context<'_>,
        parts: [&[u8]; 3],
        sequel: Sequel,
    ) -> Poll<io::Result<usize>> {
        let fd = self.socket.as_raw_fd();
        let all = parts.iter().map(|part| part.len()).sum();
        let parts = parts.map(IoSlice::new);
        let put = || sendmsg::<()>(fd, &parts, &[], sequel.flags(), None);
        self.poll_put(cx, all, put)
    }

    /// Has `put` send so many bytes, or a part of them.
    fn poll_put(
        &self,
        cx: &mut Context<'_>,
        all: usize,
        mut put: impl FnMut() -> nix::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.before_send();
        if !self.tells_of_room()
            && let Some(result) = at_once(&mut put)
        {
            self.after_send(&result);
            return Poll::Ready(result);
        }
        self.look_again(cx);
        self.room(|watch| {
            loop {
                let mut guard = ready!(watch.poll_write_ready(cx))?;
                if let Some(result) = settle(put(), &mut guard, |&n| n < all) {
                    self.after_send(&result);
                    return Poll::Ready(result);
                }
            }
        })?
    }

    pub(super) fn before_send(&self) {
        if self.kind.get() == Kind::SentOnce {
            self.hasten();
        }
    }

    pub(super) fn after_send(&self, result: &io::Result<usize>) {
        if self.kind.get() == Kind::Unsent && result.is_ok() {
            self.kind.set(Kind::SentOnce);
        }
    }

    /// Has small pieces sent at once from now on.
    ///
    /// Linux holds a piece back only while a small one before it is not acknowledged, so the first
    /// send of a connection goes out whole whatever is set.
    pub(super) fn hasten(&self) {
        if matches!(self.kind.get(), Kind::Unsent | Kind::SentOnce) {
            self.kind.set(Kind::Prompt);
            // A connection that is gone refuses; the next call tells why.
            let _ = SockRef::from(&self.socket).set_tcp_nodelay(true);
        }
    }
}
