//! Which listeners accept, for all to read.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;

use super::{Departed, Post};

/// Every listener that accepts. Read by all, written by [`Listeners`](super::Listeners) alone.
#[derive(Clone, Debug, Default)]
pub(in crate::actor) struct Board(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// At one stroke: a listener is in one of them, and in one only.
    current: ArcSwap<Current>,
    /// Counts posts made, so that none is taken for one that still drains.
    generations: AtomicU64,
    /// Whether new posts do not accept yet.
    held: AtomicBool,
}

/// The listeners that accept, and what those have counted that do no more.
#[derive(Debug, Default)]
pub(super) struct Current {
    pub(super) posts: Arc<Vec<Arc<Post>>>,
    pub(super) departed: Arc<Departed>,
}

impl Board {
    /// The listeners there are now.
    #[must_use]
    pub(in crate::actor) fn posts(&self) -> Arc<Vec<Arc<Post>>> {
        Arc::clone(&self.0.current.load().posts)
    }

    /// The same, and what those have counted that were taken down.
    pub(super) fn current(&self) -> Arc<Current> {
        self.0.current.load_full()
    }

    /// Replaces all of that at one stroke.
    pub(super) fn store(&self, current: Current) {
        self.0.current.store(Arc::new(current));
    }

    /// A number that no post has yet.
    pub(super) fn next_generation(&self) -> u64 {
        self.0.generations.fetch_add(1, Relaxed) + 1
    }

    /// Whether posts that are made now accept only when they are resumed.
    pub(super) fn holds(&self) -> bool {
        self.0.held.load(Relaxed)
    }

    /// Has posts that are made from now on accept only when they are resumed.
    pub(in crate::actor) fn hold(&self) {
        self.0.held.store(true, Relaxed);
    }

    /// Has posts that are made from now on accept at once.
    pub(in crate::actor) fn release(&self) {
        self.0.held.store(false, Relaxed);
    }

    /// A look at it that keeps no socket open once its owner has gone.
    #[must_use]
    pub(in crate::actor) fn window(&self) -> Window {
        Window(Arc::downgrade(&self.0))
    }
}

/// A look at the [`Board`] that keeps no socket open.
#[derive(Clone, Debug)]
pub(in crate::actor) struct Window(Weak<Inner>);

impl Window {
    /// The listeners there are now; none when the board has gone.
    #[must_use]
    pub(in crate::actor) fn posts(&self) -> Arc<Vec<Arc<Post>>> {
        self.all().0
    }

    /// The listeners there are now, and what those have counted that were taken down.
    #[must_use]
    pub(in crate::actor) fn all(&self) -> (Arc<Vec<Arc<Post>>>, Arc<Departed>) {
        let current = self.0.upgrade().map(|board| board.current.load_full());
        let current = current.unwrap_or_default();
        (Arc::clone(&current.posts), Arc::clone(&current.departed))
    }
}
