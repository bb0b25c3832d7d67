//! How a connection that rests is called.

use std::cell::{Cell, RefCell};
use std::task::{Context, Poll, Waker};

/// Calls a connection that rests between two requests, and shows whether it does.
///
/// Who looks after connections rings it. It is cheap where it hangs unused: a rest registers with
/// nobody, and a connection that is busy hears at its next rest.
#[derive(Debug, Default)]
pub struct Bell {
    waker: RefCell<Option<Waker>>,
    state: Cell<State>,
    leaves: Cell<bool>,
    stays: Cell<bool>,
    looks: Cell<bool>,
    moves: Cell<bool>,
    has_left: Cell<bool>,
}

/// What a connection does, as far as whoever rings has to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Busy,
    /// It waits for an answer, and would not notice if its peer left.
    Blind,
    Rests,
}

impl Bell {
    /// Whether the connection rests.
    #[must_use]
    pub fn rests(&self) -> bool {
        self.state.get() == State::Rests
    }

    /// Has the connection look around, if it rests.
    pub fn ring(&self) {
        if self.rests() {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Has a connection look whether its peer is still there, if it does not do so by itself.
    pub fn ring_to_look(&self) {
        if self.state.get() == State::Blind {
            self.looks.set(true);
            self.wake();
        }
    }

    /// Wishes that the connection goes on waiting outside of its actor, if it still rests and can
    /// do so.
    pub fn ring_to_leave(&self) {
        if self.stays.get() {
            return;
        }
        self.leaves.set(true);
        self.ring();
    }

    /// Has a relay, or a connection that has not told yet what it speaks, stop where it can go on in
    /// another process.
    pub fn ring_to_move(&self) {
        self.moves.set(true);
        self.wake();
    }

    /// Waits until the connection is to stop, and go on in another process. It is told once.
    pub fn poll_call(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.moves.take() {
            return Poll::Ready(());
        }
        self.remember(cx.waker());
        Poll::Pending
    }

    /// Whether the connection waits outside of its actor now.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.has_left.get()
    }

    /// Notes that it does.
    pub fn note_left(&self) {
        self.has_left.set(true);
    }

    /// The connection rests, and wants to be called by `waker`; whether it is to leave.
    pub(super) fn rest(&self, waker: &Waker) -> bool {
        if self.leaves.take() {
            self.state.set(State::Busy);
            return true;
        }
        self.state.set(State::Rests);
        self.remember(waker);
        false
    }

    /// The connection waits for an answer and would rather not look at its peer; whether it is to,
    /// since the answer takes its time. Else it is called by `waker` when it is.
    pub(super) fn has_to_look(&self, waker: &Waker) -> bool {
        if !self.looks.get() {
            self.state.set(State::Blind);
            self.remember(waker);
        }
        self.looks.get()
    }

    fn remember(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }

    /// The connection waits here whatever comes, and wants to be called by `waker`.
    pub(super) fn stay(&self, waker: &Waker) {
        self.stays.set(true);
        self.leaves.set(false);
        self.rest(waker);
    }

    /// The connection rests no more.
    pub(super) fn rise(&self) {
        self.state.set(State::Busy);
        self.leaves.set(false);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Calls(AtomicU32);

    impl Wake for Calls {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn a_connection_that_stays_is_called_and_never_sent_away() {
        let calls = Arc::new(Calls::default());
        let waker = Waker::from(Arc::clone(&calls));
        let bell = Bell::default();
        bell.stay(&waker);

        bell.ring_to_leave();
        assert_eq!((bell.rests(), calls.0.load(Relaxed)), (true, 0));
        bell.ring();
        assert_eq!((bell.rests(), calls.0.load(Relaxed)), (true, 1));
    }

    #[test]
    fn a_connection_that_rests_is_sent_away_once() {
        let waker = Waker::from(Arc::new(Calls::default()));
        let bell = Bell::default();
        assert!(!bell.rest(&waker));
        bell.ring_to_leave();
        assert!(bell.rest(&waker) && !bell.rests());
        assert!(!bell.rest(&waker) && bell.rests());
    }
}
