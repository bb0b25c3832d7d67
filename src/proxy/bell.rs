//! How a connection that rests is called.

use std::cell::{Cell, RefCell};
use std::task::Waker;

/// Calls a connection that rests between two requests, and shows whether it does.
///
/// Who looks after connections rings it. It is cheap where it hangs unused: a rest registers with
/// nobody, and a connection that is busy hears at its next rest.
#[derive(Debug, Default)]
pub struct Bell {
    waker: RefCell<Option<Waker>>,
    rests: Cell<bool>,
    leaves: Cell<bool>,
    has_left: Cell<bool>,
}

impl Bell {
    /// Whether the connection rests.
    #[must_use]
    pub fn rests(&self) -> bool {
        self.rests.get()
    }

    /// Has the connection look around, if it rests.
    pub fn ring(&self) {
        if self.rests.get()
            && let Some(waker) = &*self.waker.borrow()
        {
            waker.wake_by_ref();
        }
    }

    /// Wishes that the connection goes on waiting outside of its actor, if it still rests.
    pub fn ring_to_leave(&self) {
        self.leaves.set(true);
        self.ring();
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
            self.rests.set(false);
            return true;
        }
        self.rests.set(true);
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
        false
    }

    /// The connection rests no more.
    pub(super) fn rise(&self) {
        self.rests.set(false);
        self.leaves.set(false);
    }
}
