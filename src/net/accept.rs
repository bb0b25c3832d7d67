//! Accepting, also when the process is out of descriptors.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use socket2::SockAddr;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep_until};

use super::{Listening, Stream};

/// Out of descriptors, accepting faster frees none; waiting longer would be felt after they are.
const PAUSE: Duration = Duration::from_millis(50);

/// Clients wait in the queue for so long before they are turned away: a short shortage costs no
/// connection, a long one must not leave them hanging.
const PATIENCE: Duration = Duration::from_secs(1);

/// Clients turned away between two pauses: keeps the cost under a hundredth of a core.
const SHED_PER_PAUSE: u32 = 64;

/// How often a lasting shortage is reported.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// A connection that was accepted.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub stream: Stream,
    /// Who called; `None` over a unix socket.
    pub peer: Option<SocketAddr>,
}

/// Why nothing could be accepted.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The process or the system is out of descriptors or memory. Reported once a second while it
    /// lasts; accept again at once, the acceptor does the waiting.
    #[error("cannot accept: {error}; {shed} connections turned away since the last report")]
    Exhausted {
        /// What the system said.
        error: io::Error,
        /// Connections turned away since the last report.
        shed: u32,
    },
    /// The socket is unfit for accepting, and stays so.
    #[error("cannot accept any more: {0}")]
    Fatal(io::Error),
}

/// What a failure to accept calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// That one connection is lost; there may be others.
    Retry,
    /// Nothing is waiting.
    Empty,
    /// There is no room for a connection now.
    Exhausted,
    /// There never will be a connection.
    Fatal,
}

impl Refusal {
    /// What an error of accept(2), or of registering what was accepted, calls for.
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        match error
            .raw_os_error()
            .map_or(Errno::UnknownErrno, Errno::from_raw)
        {
            Errno::EAGAIN => Self::Empty,
            // A network error of the new connection is passed on by Linux; accept(2) says to take
            // it for EAGAIN. EPERM comes from a firewall's rule.
            Errno::ECONNABORTED
            | Errno::EHOSTDOWN
            | Errno::EHOSTUNREACH
            | Errno::EINTR
            | Errno::ENETDOWN
            | Errno::ENETUNREACH
            | Errno::ENONET
            | Errno::ENOPROTOOPT
            | Errno::EPERM
            | Errno::EPROTO
            | Errno::ETIMEDOUT => Self::Retry,
            Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM | Errno::ENOSPC => {
                Self::Exhausted
            }
            _ => Self::Fatal,
        }
    }
}

/// Accepts from one listening socket, for one worker.
#[derive(Debug)]
pub struct Acceptor {
    io: AsyncFd<Arc<Listening>>,
    /// A descriptor to give up when there is no other, so that a waiting client can be accepted
    /// and thereby turned away.
    reserve: Option<OwnedFd>,
    shortage: Option<Shortage>,
    reported: Option<Instant>,
    shed: u32,
}

/// A time without descriptors.
#[derive(Clone, Copy, Debug)]
struct Shortage {
    since: Instant,
    resume: Instant,
}

impl Acceptor {
    /// Registers a listening socket with the worker that calls this.
    ///
    /// # Errors
    ///
    /// When the worker's reactor cannot take one more.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn new(listening: Arc<Listening>) -> io::Result<Self> {
        Ok(Self {
            io: register(listening)?,
            reserve: open_reserve(),
            shortage: None,
            reported: None,
            shed: 0,
        })
    }

    /// Waits until there may be a connection to accept.
    ///
    /// # Errors
    ///
    /// When the worker's reactor has ended.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn ready(&self) -> io::Result<()> {
        if let Some(shortage) = self.shortage {
            sleep_until(shortage.resume).await;
        }
        self.io.readable().await.map(drop)
    }

    /// Accepts the next connection.
    ///
    /// While the process is out of descriptors clients wait in the kernel's queue; after a second
    /// of that they are turned away, a few at a time.
    ///
    /// # Errors
    ///
    /// [`AcceptError::Exhausted`], after which to accept again; [`AcceptError::Fatal`].
    ///
    /// # Cancel safety
    ///
    /// Safe: what is accepted is returned at once.
    pub async fn accept(&mut self) -> Result<Accepted, AcceptError> {
        loop {
            if let Some(shortage) = self.shortage {
                sleep_until(shortage.resume).await;
            }
            let error = match poll_fn(|cx| self.poll_accept(cx)).await {
                Ok(accepted) => {
                    self.shortage = None;
                    return Ok(accepted);
                }
                Err(error) => error,
            };
            match Refusal::of(&error) {
                Refusal::Empty | Refusal::Retry => {}
                Refusal::Exhausted => self.endure(Instant::now(), error)?,
                Refusal::Fatal => return Err(AcceptError::Fatal(error)),
            }
        }
    }

    /// Accepts a connection that waits now, also one of which the reactor has not heard yet; `None`
    /// when none does.
    ///
    /// # Errors
    ///
    /// Why none can be accepted; nothing waits for that to change.
    pub fn accept_now(&self) -> io::Result<Option<Accepted>> {
        loop {
            let error = match self.try_accept() {
                Ok(accepted) => return Ok(Some(accepted)),
                Err(error) => error,
            };
            match Refusal::of(&error) {
                Refusal::Retry => {}
                Refusal::Empty => return Ok(None),
                Refusal::Exhausted | Refusal::Fatal => return Err(error),
            }
        }
    }

    fn try_accept(&self) -> io::Result<Accepted> {
        let (socket, peer) = accept(self.io.as_raw_fd())?;
        let peer = peer.as_socket();
        // It has inherited `TCP_NODELAY`.
        let stream = match peer {
            Some(_) => Stream::accepted_tcp(socket),
            None => Stream::new(socket)?,
        };
        Ok(Accepted { stream, peer })
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        loop {
            let mut guard = ready!(self.io.poll_read_ready(cx))?;
            match self.try_accept() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => guard.clear_ready(),
                other => return Poll::Ready(other),
            }
        }
    }

    /// Goes without descriptors for another pause; an error is the report that is due.
    fn endure(&mut self, now: Instant, error: io::Error) -> Result<(), AcceptError> {
        let resume = now + PAUSE;
        let shortage = self.shortage.get_or_insert(Shortage { since: now, resume });
        shortage.resume = resume;
        if now >= shortage.since + PATIENCE {
            self.turn_away();
        }
        if self
            .reported
            .is_some_and(|reported| now < reported + REPORT_EVERY)
        {
            return Ok(());
        }
        self.reported = Some(now);
        let shed = std::mem::take(&mut self.shed);
        Err(AcceptError::Exhausted { error, shed })
    }

    /// Accepts with the reserve descriptor, and closes at once.
    fn turn_away(&mut self) {
        self.reserve = None;
        for _ in 0..SHED_PER_PAUSE {
            if accept(self.io.as_raw_fd()).is_err() {
                break;
            }
            self.shed += 1;
        }
        self.reserve = open_reserve();
    }
}

/// Nothing can be done without a reserve but to wait; the next shortage tries again.
fn open_reserve() -> Option<OwnedFd> {
    open(
        "/dev/null",
        OFlag::O_RDONLY | OFlag::O_CLOEXEC,
        Mode::empty(),
    )
    .ok()
}

/// accept4(2): the connection is non-blocking and closed on exec without a further call.
#[expect(
    unsafe_code,
    reason = "no safe call returns the peer and sets both flags at once"
)]
fn accept(listening: RawFd) -> io::Result<(OwnedFd, SockAddr)> {
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: storage and length are those of `try_init`, which the kernel fills; the descriptor
    // that it returns is open and nobody else's.
    unsafe {
        SockAddr::try_init(|storage, length| {
            match libc::accept4(listening, storage.cast(), length, flags) {
                -1 => Err(io::Error::last_os_error()),
                fd => Ok(OwnedFd::from_raw_fd(fd)),
            }
        })
    }
}

/// Registers a listening socket for accepting.
#[expect(unsafe_code, reason = "tokio asks for a promise about the descriptor")]
fn register(listening: Arc<Listening>) -> io::Result<AsyncFd<Arc<Listening>>> {
    // SAFETY: a `Listening` holds one open descriptor all its life, and the `Arc` keeps it alive.
    unsafe { AsyncFd::register_with_interest(listening, Interest::READABLE) }
        .map_err(|refused| refused.into_parts().1)
}

#[cfg(test)]
mod tests;
