//! Watching sockets that rest for their peers' next word, with neither a task nor a buffer for any
//! of them.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::task::{Context, Poll, ready};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Sockets that are heard of in one call.
const BATCH: usize = 128;

/// Watches sockets that rest. The worker's reactor watches this one instead of each of them, and
/// only the kernel holds memory for one that is watched.
#[derive(Debug)]
pub struct Lookout {
    io: AsyncFd<Watched>,
}

/// The sockets, as a descriptor of their own.
#[derive(Debug)]
struct Watched(Epoll);

impl AsRawFd for Watched {
    fn as_raw_fd(&self) -> RawFd {
        self.0.0.as_raw_fd()
    }
}

impl Lookout {
    /// Watches nothing yet; registered with the worker that calls this.
    ///
    /// # Errors
    ///
    /// When the process is out of descriptors, or the worker's reactor cannot take one more.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn new() -> io::Result<Self> {
        let watched = Watched(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?);
        Ok(Self {
            io: register(watched)?,
        })
    }

    /// Watches a socket until it is [taken away](Self::remove) or closed. `key` names it.
    ///
    /// # Errors
    ///
    /// When the system watches as many descriptors as it may.
    pub fn add(&self, socket: impl AsFd, key: u64) -> io::Result<()> {
        let events = EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP;
        let watched = &self.io.get_ref().0;
        Ok(watched.add(socket, EpollEvent::new(events, key))?)
    }

    /// Watches a socket no more.
    pub fn remove(&self, socket: impl AsFd) {
        // One that is not watched is what was wished.
        let _ = self.io.get_ref().0.delete(socket);
    }

    /// Waits until any peer says something, or is gone, and adds the keys of such sockets to
    /// `heard`. Each has to be taken away before the next call: it is told once.
    ///
    /// # Errors
    ///
    /// When the worker's reactor has ended.
    pub fn poll_word(&self, cx: &mut Context<'_>, heard: &mut Vec<u64>) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.io.poll_read_ready(cx))?;
            let mut events = [EpollEvent::empty(); BATCH];
            let count = match self.io.get_ref().0.wait(&mut events, EpollTimeout::ZERO) {
                Err(Errno::EINTR) => continue,
                waited => waited?,
            };
            if count < BATCH {
                guard.clear_ready();
            }
            if count > 0 {
                heard.extend(events[..count].iter().map(EpollEvent::data));
                return Poll::Ready(Ok(()));
            }
        }
    }
}

#[expect(unsafe_code, reason = "tokio asks for a promise about the descriptor")]
fn register(watched: Watched) -> io::Result<AsyncFd<Watched>> {
    // SAFETY: a `Watched` holds one open descriptor all its life.
    unsafe { AsyncFd::register_with_interest(watched, Interest::READABLE) }
        .map_err(|refused| refused.into_parts().1)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use futures::FutureExt;

    use super::*;

    async fn heard(lookout: &Lookout) -> Vec<u64> {
        let mut heard = Vec::new();
        poll_fn(|cx| lookout.poll_word(cx, &mut heard))
            .await
            .unwrap();
        heard.sort_unstable();
        heard
    }

    #[tokio::test]
    async fn whoever_speaks_or_leaves_is_heard_of_and_nobody_else() {
        let lookout = Lookout::new().unwrap();
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for key in 0..300 {
            let (our, their) = UnixStream::pair().unwrap();
            lookout.add(&our, key).unwrap();
            ours.push(our);
            theirs.push(Some(their));
        }
        assert_eq!(heard(&lookout).now_or_never(), None);

        theirs[7].as_mut().unwrap().write_all(b"x").unwrap();
        theirs[290] = None;

        let first = heard(&lookout).await;
        assert_eq!(first, [7, 290]);
        first
            .iter()
            .for_each(|&key| lookout.remove(&ours[key as usize]));
        assert_eq!(heard(&lookout).now_or_never(), None);
    }

    #[tokio::test]
    async fn more_words_than_one_call_takes_are_all_heard() {
        let lookout = Lookout::new().unwrap();
        let pairs: Vec<_> = (0..300).map(|_| UnixStream::pair().unwrap()).collect();
        for (key, (our, _)) in pairs.iter().enumerate() {
            lookout.add(our, key as u64).unwrap();
        }
        for (_, their) in &pairs {
            (&*their).write_all(b"x").unwrap();
        }

        let mut all = Vec::new();
        while all.len() < pairs.len() {
            for key in heard(&lookout).await {
                lookout.remove(&pairs[key as usize].0);
                all.push(key);
            }
        }

        all.sort_unstable();
        assert_eq!(all, (0..300).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn what_was_said_before_the_watch_began_is_heard() {
        let lookout = Lookout::new().unwrap();
        assert_eq!(heard(&lookout).now_or_never(), None);
        let (our, mut their) = UnixStream::pair().unwrap();
        their.write_all(b"x").unwrap();

        lookout.add(&our, 5).unwrap();

        assert_eq!(heard(&lookout).await, [5]);
    }
}
