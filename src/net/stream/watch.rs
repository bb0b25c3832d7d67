//! The place of a stream in the reactor.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::task::{Context, Poll, ready};

use futures::FutureExt;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{Stream, Word};

/// The place of a stream in the reactor, if it has one. It is given back when this is dropped.
#[derive(Default)]
pub(super) struct Place(Cell<Option<AsyncFd<RawFd>>>);

/// What the reactor is asked to tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Asked {
    /// Nothing: it does not know the socket.
    #[default]
    Nothing,
    /// That the peer has said something.
    Words,
    /// And that there is room for more to be sent. It would tell so at once of most sockets, for
    /// nothing: so it is asked only once a send found no room.
    WordsAndRoom,
}

impl Place {
    /// Lends it to `look`, which must not come here again.
    fn lend<R>(&self, look: impl FnOnce(&AsyncFd<RawFd>) -> R) -> Option<R> {
        let io = self.0.take()?;
        let seen = look(&io);
        self.0.set(Some(io));
        Some(seen)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").finish_non_exhaustive()
    }
}

impl Stream {
    /// Looks at what the reactor has told; `None` when nothing was ever waited for.
    pub(super) fn told<R>(&self, look: impl FnOnce(&AsyncFd<RawFd>) -> R) -> Option<R> {
        self.place.lend(look)
    }

    /// The same, where the reactor is to tell of words from now on.
    pub(super) fn words<R>(&self, look: impl FnOnce(&AsyncFd<RawFd>) -> R) -> io::Result<R> {
        if self.asked.get() == Asked::Nothing {
            self.ask(Asked::Words)?;
        }
        Ok(self.told(look).expect("there is a place"))
    }

    /// The same, where it is to tell of room, too.
    pub(super) fn room<R>(&self, look: impl FnOnce(&AsyncFd<RawFd>) -> R) -> io::Result<R> {
        if !self.tells_of_room() {
            self.ask(Asked::WordsAndRoom)?;
        }
        Ok(self.told(look).expect("there is a place"))
    }

    /// Whether the reactor tells of room.
    pub(super) fn tells_of_room(&self) -> bool {
        self.asked.get() == Asked::WordsAndRoom
    }

    /// Has a task look once more at all that it waits for, if its place is about to be another one.
    pub(super) fn look_again(&self, cx: &Context<'_>) {
        if self.asked.get() == Asked::Words {
            cx.waker().wake_by_ref();
        }
    }

    fn ask(&self, asked: Asked) -> io::Result<()> {
        // The reactor takes a socket but once.
        self.asked.set(Asked::Nothing);
        self.place.0.take();
        let io = register(self.socket.as_raw_fd(), asked)?;
        self.place.0.set(Some(io));
        self.asked.set(asked);
        Ok(())
    }
}

/// As [`Stream::poll_word`].
pub(super) fn poll_word(cx: &mut Context<'_>, watch: &AsyncFd<RawFd>) -> Poll<io::Result<Word>> {
    let ready = ready!(watch.poll_read_ready(cx))?.ready();
    if !ready.is_read_closed() {
        return Poll::Ready(Ok(Word::More));
    }
    // A reset closes both directions, the end of the peer's stream only one.
    let is_gone = match watch.poll_write_ready(cx) {
        Poll::Ready(Ok(guard)) => guard.ready().is_write_closed(),
        Poll::Ready(Err(_)) => true,
        Poll::Pending => false,
    };
    Poll::Ready(Ok(if is_gone { Word::Gone } else { Word::Ended }))
}

/// As [`Stream::is_urgent`].
pub(super) fn is_urgent(watch: &AsyncFd<RawFd>) -> bool {
    // The first look is cheap, but the end of the peer's stream passes it, too.
    let told = || watch.ready(Interest::PRIORITY).now_or_never();
    watch.try_io(Interest::PRIORITY, |_| Ok(())).is_ok()
        && told().is_none_or(|told| told.is_ok_and(|guard| guard.ready().is_priority()))
}

/// Registers a descriptor, always for word of urgent data, too.
#[expect(unsafe_code, reason = "tokio asks for a promise about the descriptor")]
fn register(socket: RawFd, asked: Asked) -> io::Result<AsyncFd<RawFd>> {
    let words = Interest::READABLE | Interest::PRIORITY;
    let interest = match asked {
        Asked::Nothing | Asked::Words => words,
        Asked::WordsAndRoom => words | Interest::WRITABLE,
    };
    // SAFETY: it is the descriptor of a `Stream`, which closes it after this is dropped, and never
    // replaces it.
    unsafe { AsyncFd::register_with_interest(socket, interest) }
        .map_err(|refused| refused.into_parts().1)
}
