//! A stream that rests, and is watched by no reactor of its own.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::{Kind, Stream, has_unread};

/// A stream that rests: a socket that no reactor knows.
#[derive(Debug)]
pub struct Asleep {
    socket: OwnedFd,
    kind: Kind,
}

impl Asleep {
    /// Registers it with the worker that calls this.
    ///
    /// # Errors
    ///
    /// When the worker's reactor cannot take one more; the socket is closed.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn wake(self) -> io::Result<Stream> {
        Stream::of(self.socket, self.kind)
    }

    /// Whether bytes have come that are not read yet. Asks the kernel.
    #[must_use]
    pub fn has_unread(&self) -> bool {
        has_unread(&self.socket)
    }
}

impl AsFd for Asleep {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Stream {
    /// The socket without its registration, to be woken again.
    ///
    /// Nothing may be known to have come that is not read yet.
    #[must_use]
    pub fn sleep(self) -> Asleep {
        drop(self.place);
        Asleep {
            kind: self.kind.get(),
            socket: self.socket,
        }
    }
}
