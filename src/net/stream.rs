//! A connected stream socket, TCP or unix.

use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{SpliceFFlags, splice};
use nix::sys::socket::{MsgFlags, recv, send};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

use super::Pipe;

/// A connected stream socket, TCP or unix, registered with the worker that made it.
///
/// One type for both families, so that a relay is one, and a descriptor can be spliced or handed
/// over. Events are edge-triggered: a call that moves less than it could proves the socket empty
/// or full, so the next one waits for an event instead of asking the kernel again.
#[derive(Debug)]
pub struct Stream {
    io: AsyncFd<OwnedFd>,
}

impl Stream {
    /// Takes a connected, non-blocking stream socket.
    ///
    /// # Errors
    ///
    /// When the worker's reactor cannot take one more; the socket is closed.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            io: register(socket)?,
        })
    }

    /// The socket without its registration, as another worker or process would take it.
    #[must_use]
    pub fn into_socket(self) -> OwnedFd {
        self.io.into_inner()
    }

    /// Receives what is there, at most a whole buffer; 0 is the end of the peer's stream.
    pub fn poll_recv(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let fd = self.io.as_raw_fd();
        loop {
            let mut guard = ready!(self.io.poll_read_ready(cx))?;
            let result = recv(fd, buffer, MsgFlags::empty());
            // 0 is no proof of emptiness that anyone waits on: the stream has ended. And a read
            // stops short at urgent data.
            let emptied = |&n: &usize| 0 < n && n < buffer.len() && !self.is_urgent();
            if let Some(result) = settle(result, &mut guard, emptied) {
                return Poll::Ready(result);
            }
        }
    }

    /// Sends what the socket takes of `bytes`, at least one byte.
    pub fn poll_send(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let fd = self.io.as_raw_fd();
        loop {
            let mut guard = ready!(self.io.poll_write_ready(cx))?;
            let result = send(fd, bytes, MsgFlags::MSG_NOSIGNAL);
            if let Some(result) = settle(result, &mut guard, |&n| n < bytes.len()) {
                return Poll::Ready(result);
            }
        }
    }

    /// Receives into a pipe within the kernel; 0 is the end of the peer's stream.
    ///
    /// The pipe must be empty: a full one could not be told from an empty socket.
    pub fn poll_splice_from(
        &self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
    ) -> Poll<io::Result<usize>> {
        debug_assert!(pipe.is_empty(), "only the socket may be what blocks");
        loop {
            let mut guard = ready!(self.io.poll_read_ready(cx))?;
            let result = splice(&self.io, None, pipe.writer(), None, pipe.capacity(), SPLICE);
            // However little came, the pipe's slots may be what ended the call.
            if let Some(result) = settle(result, &mut guard, |_| false) {
                return Poll::Ready(result.inspect(|&n| pipe.filled(n)));
            }
        }
    }

    /// Sends what the socket takes out of a pipe that is not empty.
    pub fn poll_splice_to(&self, cx: &mut Context<'_>, pipe: &mut Pipe) -> Poll<io::Result<usize>> {
        debug_assert!(!pipe.is_empty(), "only the socket may be what blocks");
        loop {
            let mut guard = ready!(self.io.poll_write_ready(cx))?;
            let result = splice(pipe.reader(), None, &self.io, None, pipe.len(), SPLICE);
            if let Some(result) = settle(result, &mut guard, |_| false) {
                return Poll::Ready(result.inspect(|&n| pipe.drained(n)));
            }
        }
    }

    /// Whether the peer has sent urgent data, which may not be spliced. Once so, always so.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.io.try_io(Interest::PRIORITY, |_| Ok(())).is_ok()
    }

    /// Whether the peer, as far as is known, has neither sent anything unread nor closed.
    ///
    /// It costs no system call where the last receive has emptied the socket and nothing has come
    /// since; otherwise one, which takes nothing out.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        // A receive of a whole buffer leaves the socket marked as readable, empty or not.
        let look = |io: &OwnedFd| Ok(recv(io.as_raw_fd(), &mut [0], MsgFlags::MSG_PEEK)?);
        let seen = self.io.try_io(Interest::READABLE, look);
        seen.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Waits until a connection that was begun is made, or has failed.
    ///
    /// # Errors
    ///
    /// Why it failed.
    pub async fn connected(&self) -> io::Result<()> {
        let closed = poll_fn(|cx| {
            let ready = ready!(self.io.poll_write_ready(cx))?.ready();
            Poll::Ready(io::Result::Ok(ready.is_write_closed()))
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
        SockRef::from(&self.io).shutdown(Shutdown::Write)
    }

    /// Makes closing a reset: the peer sees that the connection was cut, not finished. Bytes that
    /// are not yet sent are lost.
    pub fn reset_on_close(&self) {
        // A socket that refuses is closed all the same.
        let _ = SockRef::from(&self.io).set_linger(Some(Duration::ZERO));
    }

    /// The error that the socket holds, which is thereby cleared.
    ///
    /// # Errors
    ///
    /// That error.
    pub fn take_error(&self) -> io::Result<()> {
        match SockRef::from(&self.io).take_error()? {
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
        Ok(SockRef::from(&self.io).local_addr()?.as_socket())
    }

    /// The address of the peer; `None` for a unix socket.
    ///
    /// # Errors
    ///
    /// When the connection is gone.
    pub fn peer_address(&self) -> io::Result<Option<SocketAddr>> {
        Ok(SockRef::from(&self.io).peer_addr()?.as_socket())
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

const SPLICE: SpliceFFlags = SpliceFFlags::SPLICE_F_MOVE.union(SpliceFFlags::SPLICE_F_NONBLOCK);

/// What a call's result says about readiness, which is cleared when there is none left; `None`
/// says to wait and call again.
fn settle(
    result: nix::Result<usize>,
    guard: &mut AsyncFdReadyGuard<'_, OwnedFd>,
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

/// Registers a descriptor for reading, writing, and word of urgent data.
#[expect(unsafe_code, reason = "tokio asks for a promise about the descriptor")]
fn register(socket: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    let interest = Interest::READABLE | Interest::WRITABLE | Interest::PRIORITY;
    // SAFETY: the `OwnedFd` is open, moves into the `AsyncFd`, and is not replaced while there.
    unsafe { AsyncFd::register_with_interest(socket, interest) }
        .map_err(|refused| refused.into_parts().1)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    use tokio::io::AsyncWriteExt;
    use tokio::time::timeout;

    use super::*;
    use crate::net::testing::tcp;

    /// Waits until the reactor has told of what the peer did.
    async fn told(stream: &Stream) {
        let ready = poll_fn(|cx| stream.io.poll_read_ready(cx).map_ok(drop));
        let told = timeout(Duration::from_secs(20), ready).await;
        told.expect("the reactor tells").unwrap();
    }

    #[actix::test]
    async fn a_stream_is_quiet_until_the_peer_sends_or_closes() {
        let (stream, mut peer) = tcp().await;
        assert!(stream.is_quiet());

        peer.write_all(b"ab").await.unwrap();
        told(&stream).await;
        assert!(!stream.is_quiet());

        // Exactly what was there: nothing proves that it was all.
        let mut buffer = [0; 2];
        let received = poll_fn(|cx| stream.poll_recv(cx, &mut buffer)).await;
        assert_eq!(received.unwrap(), 2);
        assert!(stream.is_quiet());

        // Now that it is known to be empty, only an event makes it ask the kernel again.
        let sent = SockRef::from(&peer).send(b"c").unwrap();
        assert!(stream.is_quiet());
        told(&stream).await;
        assert!(!stream.is_quiet());

        let received = poll_fn(|cx| stream.poll_recv(cx, &mut buffer)).await;
        assert_eq!(received.unwrap(), sent);
        drop(peer);
        told(&stream).await;
        assert!(!stream.is_quiet());
        assert!(!stream.is_quiet());
    }

    #[actix::test]
    async fn a_reset_stream_is_not_quiet() {
        let (stream, peer) = tcp().await;
        SockRef::from(&peer)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(peer);
        told(&stream).await;
        assert!(!stream.is_quiet());
    }

    #[actix::test]
    async fn what_follows_urgent_data_needs_no_further_event() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        peer.write_all(b"abc").unwrap();
        SockRef::from(&peer).send_out_of_band(b"!").unwrap();
        peer.write_all(b"def").unwrap();
        let stream = Stream::new(socket.into()).unwrap();
        let mut heard = Vec::new();
        while heard.len() < 6 {
            let mut buffer = [0; 100];
            let received = poll_fn(|cx| stream.poll_recv(cx, &mut buffer));
            let received = timeout(Duration::from_secs(20), received).await;
            let len = received.expect("the rest comes").unwrap();
            heard.extend_from_slice(&buffer[..len]);
        }
        assert_eq!(heard, b"abcdef");
    }
}
