//! Looking at what has come without taking it.

use std::io;
use std::os::fd::AsRawFd;
use std::task::{Context, Poll, ready};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

use super::Stream;

/// What was looked at and is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peeked {
    /// So many bytes.
    pub bytes: usize,
    /// Nothing will follow them.
    pub ended: bool,
}

impl Stream {
    /// Looks at what is there and leaves it there, once that is more than `known` bytes, fills the
    /// buffer, or is the last: unless the peer says more, a look that told nothing new is not made
    /// again.
    pub fn poll_peek(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        known: usize,
    ) -> Poll<io::Result<Peeked>> {
        let fd = self.socket.as_raw_fd();
        // An earlier look has left them, and nobody will tell of them again.
        if known == 0
            && self.peeked.get()
            && let Ok(bytes @ 1..) = recv(fd, buffer, MsgFlags::MSG_PEEK)
        {
            let ended = false;
            return Poll::Ready(Ok(Peeked { bytes, ended }));
        }
        self.words(|watch| {
            loop {
                let mut guard = ready!(watch.poll_read_ready(cx))?;
                let ended = guard.ready().is_read_closed();
                match recv(fd, buffer, MsgFlags::MSG_PEEK) {
                    Ok(bytes) if ended || bytes == 0 || bytes > known || bytes == buffer.len() => {
                        let ended = ended || bytes == 0;
                        return Poll::Ready(Ok(Peeked { bytes, ended }));
                    }
                    Ok(_) => {
                        self.peeked.set(true);
                        guard.clear_ready();
                    }
                    Err(Errno::EAGAIN) => guard.clear_ready(),
                    Err(Errno::EINTR) => {}
                    Err(error) => return Poll::Ready(Err(error.into())),
                }
            }
        })?
    }
}
