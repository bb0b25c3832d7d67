//! A connected stream socket, TCP or unix.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use socket2::{Domain, SockRef, Type};
use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

use super::original::original_destination;

mod asleep;
mod peek;
mod sending;
mod splicing;
mod watch;

pub use asleep::Asleep;
pub use peek::Peeked;
pub use sending::Sequel;
use watch::{Asked, Place, is_urgent, poll_word};

/// A connected stream socket, TCP or unix, that belongs to the worker that made it.
///
/// One type for both families, so that a relay is one, and a descriptor can be spliced or handed
/// over. Events are edge-triggered: a call that moves less than it could proves the socket empty
/// or full, so the next one waits for an event instead of asking the kernel again.
///
/// One that was just accepted is unknown to the reactor until something is waited for: a peer whose
/// request is there, and who wants one answer, costs neither the two calls nor any wake-up.
#[derive(Debug)]
pub struct Stream {
    /// Its place in the reactor, which is given back before the socket is closed.
    place: Place,
    socket: OwnedFd,
    /// What that is for.
    asked: Cell<Asked>,
    kind: Cell<Kind>,
    reading: Cell<Reading>,
    /// Whether bytes are there that the reactor will not tell of again, since they were looked at.
    peeked: Cell<bool>,
}

/// What is known of a socket and its sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Perhaps a unix socket.
    Any,
    /// TCP, and small pieces are sent at once.
    Prompt,
    /// TCP; nothing was sent yet, so nothing can be held back for it.
    Unsent,
    /// TCP; from now on small pieces would wait for the one before to be acknowledged.
    SentOnce,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Open,
    /// Nothing was left when it was last read, and no reactor tells of more yet.
    Emptied,
    /// The last byte has been read; asking again would only tell of the end.
    Ended,
}

/// What is known of a peer without reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It has sent bytes that are not read yet.
    More,
    /// It has ended its stream, perhaps behind bytes that are not read yet. It may want an answer.
    Ended,
    /// Its connection is reset: nobody is there.
    Gone,
}

impl Stream {
    /// Takes a connected, non-blocking stream socket, and registers it with this worker.
    ///
    /// # Errors
    ///
    /// When the worker's reactor cannot take one more; the socket is closed.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        Self::of(socket, Kind::Any)
    }

    /// Takes a TCP socket with `TCP_NODELAY` that was just accepted: most often its peer has said
    /// something already. It is registered once anything is waited for.
    #[must_use]
    pub fn accepted_tcp(socket: OwnedFd) -> Self {
        Self::unwatched(socket, Kind::Prompt)
    }

    /// As [`new`](Self::new), of a TCP socket over which nothing was sent: it gets its `TCP_NODELAY`
    /// before the second send, which the first does not need.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    pub fn unsent_tcp(socket: OwnedFd) -> io::Result<Self> {
        let stream = Self::unwatched(socket, Kind::Unsent);
        stream.room(|_| ())?;
        Ok(stream)
    }

    /// As [`unsent_tcp`](Self::unsent_tcp), where the connection is made already: it is registered
    /// once anything is waited for, which that the socket takes bytes is not.
    #[must_use]
    pub fn made_tcp(socket: OwnedFd) -> Self {
        let stream = Self::unwatched(socket, Kind::Unsent);
        // Most peers speak only when they are asked something.
        stream.reading.set(Reading::Emptied);
        stream
    }

    fn of(socket: OwnedFd, kind: Kind) -> io::Result<Self> {
        let stream = Self::unwatched(socket, kind);
        stream.words(|_| ())?;
        Ok(stream)
    }

    fn unwatched(socket: OwnedFd, kind: Kind) -> Self {
        Self {
            place: Place::default(),
            socket,
            asked: Cell::default(),
            kind: Cell::new(kind),
            reading: Cell::new(Reading::Open),
            peeked: Cell::new(false),
        }
    }

    /// Whether the reactor knows of it.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.asked.get() != Asked::Nothing
    }

    /// Where the connection was meant to go that the kernel redirected here; `None` when it was not.
    #[must_use]
    pub fn original_destination(&self) -> Option<SocketAddr> {
        original_destination(self.socket.as_fd())
    }

    /// The socket without its registration, as another worker or process would take it.
    #[must_use]
    pub fn into_socket(self) -> OwnedFd {
        self.hasten();
        drop(self.place);
        self.socket
    }

    /// As [`new`](Self::new), of a socket that was [carried](Self::carry) by another process.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and when it is no stream socket.
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    pub fn carried(socket: OwnedFd) -> io::Result<Self> {
        let known = SockRef::from(&socket);
        if known.r#type()? != Type::STREAM {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let kind = match known.domain()? {
            Domain::UNIX => Kind::Any,
            _ => Kind::Prompt,
        };
        known.set_nonblocking(true)?;
        Self::of(socket, kind)
    }

    /// The socket once more, for another process to go on with; closing this one then ends nothing.
    ///
    /// # Errors
    ///
    /// When this process is out of descriptors.
    pub fn carry(&self) -> io::Result<OwnedFd> {
        self.hasten();
        self.socket.try_clone()
    }

    /// Receives what is there, at most a whole buffer; 0 is the end of the peer's stream.
    pub fn poll_recv(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.reading.get() == Reading::Ended {
            return Poll::Ready(Ok(0));
        }
        let fd = self.socket.as_raw_fd();
        if !self.is_watched()
            && self.reading.get() == Reading::Open
            && let Some(result) = at_once(|| recv(fd, buffer, MsgFlags::empty()))
        {
            if result.as_ref().is_ok_and(|&n| 0 < n && n < buffer.len()) {
                self.reading.set(Reading::Emptied);
            }
            return Poll::Ready(result);
        }
        if self.peeked.take()
            && let Ok(read @ 1..) = recv(fd, buffer, MsgFlags::empty())
        {
            return Poll::Ready(Ok(read));
        }
        self.words(|watch| self.poll_recv_told(cx, buffer, watch))?
    }

    /// Receives once the reactor has told of anything.
    fn poll_recv_told(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        watch: &AsyncFd<RawFd>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(watch.poll_read_ready(cx))?;
            let told = guard.ready();
            let result = recv(self.socket.as_raw_fd(), buffer, MsgFlags::empty());
            // 0 is no proof of emptiness that anyone waits on: the stream has ended. And a read
            // stops short at urgent data.
            let emptied = |&n: &usize| 0 < n && n < buffer.len() && !is_urgent(watch);
            // What is told of the peer's last word before the socket is emptied stays so.
            if told.is_read_closed() && result.as_ref().is_ok_and(emptied) && self.ends_well(watch)
            {
                self.reading.set(Reading::Ended);
            }
            if let Some(result) = settle(result, &mut guard, emptied) {
                return Poll::Ready(result);
            }
        }
    }

    /// Whether the end that was told is the end of the stream: no reset, and no more to read.
    ///
    /// A unix socket's read stops short at descriptors that are sent along, too.
    fn ends_well(&self, watch: &AsyncFd<RawFd>) -> bool {
        self.kind.get() != Kind::Any && watch.try_io(Interest::ERROR, |_| Ok(())).is_err()
    }

    /// Waits until the peer says anything: bytes, or that it is gone. Reads nothing, and asks the
    /// kernel nothing.
    pub fn poll_word(&self, cx: &mut Context<'_>) -> Poll<io::Result<Word>> {
        self.words(|watch| poll_word(cx, watch))?
    }

    /// Whether the peer has sent urgent data, which may not be spliced. Once so, always so.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.told(is_urgent).unwrap_or(false)
    }

    /// Whether bytes have come that are not read yet. Asks the kernel: the reactor may not have told
    /// of them yet.
    #[must_use]
    pub fn has_unread(&self) -> bool {
        has_unread(&self.socket)
    }

    /// Bytes that were sent and that the peer has not acknowledged; 0 where that is not known.
    #[must_use]
    #[expect(unsafe_code, reason = "nix has no call for it")]
    pub fn unacknowledged(&self) -> u64 {
        let mut bytes: libc::c_int = 0;
        // SAFETY: the descriptor is open, and the call writes one integer to a place that has it.
        let asked = unsafe { libc::ioctl(self.socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
        match asked {
            0 => u64::try_from(bytes).unwrap_or(0),
            _ => 0,
        }
    }

    /// Whether the peer has ended its stream and every byte of it has been read. Asks the kernel.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.reading.get() == Reading::Ended
            || recv(self.socket.as_raw_fd(), &mut [0], MsgFlags::MSG_PEEK) == Ok(0)
    }

    /// Whether the peer, as far as is known, has neither sent anything unread nor closed.
    ///
    /// It costs no system call where the last receive has emptied the socket and the reactor has
    /// told of nothing since; otherwise one, which takes nothing out.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        // A receive of a whole buffer leaves the socket marked as readable, empty or not.
        let look = |&fd: &RawFd| Ok(recv(fd, &mut [0], MsgFlags::MSG_PEEK)?);
        let seen = self.told(|watch| watch.try_io(Interest::READABLE, look));
        let seen = seen.unwrap_or_else(|| look(&self.socket.as_raw_fd()));
        seen.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Waits until a connection that was begun is made, or has failed.
    ///
    /// # Errors
    ///
    /// Why it failed.
    pub async fn connected(&self) -> io::Result<()> {
        let closed = poll_fn(|cx| {
            let told =
                self.room(|watch| watch.poll_write_ready(cx).map_ok(|guard| guard.ready()))?;
            Poll::Ready(io::Result::Ok(ready!(told)?.is_write_closed()))
        });
        // Only a socket that failed is closed for writing; the others need not be asked.
        if closed.await? {
            self.take_error()?;
        }
        Ok(())
    }

    /// Tells the peer that nothing more will come, and goes on receiving.
    ///
    /// # Errors
    ///
    /// When the connection is already gone.
    pub fn shutdown_write(&self) -> io::Result<()> {
        SockRef::from(&self.socket).shutdown(Shutdown::Write)
    }

    /// Tells the peer that nothing more will come, as [`shutdown_write`](Self::shutdown_write); it
    /// may be gone.
    pub fn end(&self) {
        let _gone = self.shutdown_write();
    }

    /// Makes closing a reset: the peer sees that the connection was cut, not finished. Bytes that
    /// are not yet sent are lost.
    pub fn reset_on_close(&self) {
        // A socket that refuses is closed all the same.
        let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
    }

    /// The error that the socket holds, which is thereby cleared.
    ///
    /// # Errors
    ///
    /// That error.
    pub fn take_error(&self) -> io::Result<()> {
        match SockRef::from(&self.socket).take_error()? {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// The address of this end; `None` for a unix socket.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn local_address(&self) -> io::Result<Option<SocketAddr>> {
        Ok(SockRef::from(&self.socket).local_addr()?.as_socket())
    }

    /// The address of the peer; `None` for a unix socket.
    ///
    /// # Errors
    ///
    /// When the connection is gone.
    pub fn peer_address(&self) -> io::Result<Option<SocketAddr>> {
        Ok(SockRef::from(&self.socket).peer_addr()?.as_socket())
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn has_unread(socket: &impl AsFd) -> bool {
    let fd = socket.as_fd().as_raw_fd();
    recv(fd, &mut [0], MsgFlags::MSG_PEEK).is_ok_and(|peeked| peeked > 0)
}

/// What a call's result says about readiness, which is cleared when there is none left; `None`
/// says to wait and call again.
fn settle(
    result: nix::Result<usize>,
    guard: &mut AsyncFdReadyGuard<'_, RawFd>,
    exhausted: impl FnOnce(&usize) -> bool,
) -> Option<io::Result<usize>> {
    match result {
        Ok(n) => {
            if exhausted(&n) {
                guard.clear_ready();
            }
            Some(Ok(n))
        }
        Err(Errno::EAGAIN) => {
            guard.clear_ready();
            None
        }
        Err(Errno::EINTR) => None,
        Err(error) => Some(Err(error.into())),
    }
}

/// What a call says that is made before anything is waited for; `None` when there is something to
/// wait for.
fn at_once(mut call: impl FnMut() -> nix::Result<usize>) -> Option<io::Result<usize>> {
    loop {
        match call() {
            Ok(n) => return Some(Ok(n)),
            Err(Errno::EAGAIN) => return None,
            Err(Errno::EINTR) => {}
            Err(error) => return Some(Err(error.into())),
        }
    }
}

#[cfg(test)]
mod tests;
