//! What stays on a worker's thread whoever of its actors dies: the connections each lane has
//! admitted, and the way by which they find clusters.
//!
//! A hall is as old as its thread, and owned by nobody on it. A worker that restarts finds the hall
//! as the life before left it, and its lanes go on with the connections that are there.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use crate::actor::cluster::Directory;
use crate::actor::connections::{Admitted, Setting};
use crate::actor::listeners::Post;
use crate::actor::worker::Orders;

/// The hall of one worker's thread.
#[derive(Clone, Default)]
pub(super) struct Hall(Rc<Inner>);

#[derive(Default)]
struct Inner {
    /// One a listener, also of those that were taken down and drain.
    admitted: RefCell<Vec<Rc<Admitted>>>,
    directory: Directory,
}

thread_local! {
    static HALL: Hall = Hall::default();
}

impl Hall {
    /// The one of this thread, on which there is one worker only.
    pub(super) fn here() -> Self {
        HALL.with(Self::clone)
    }

    /// This worker's clusters.
    pub(super) fn directory(&self) -> &Directory {
        &self.0.directory
    }

    /// What came by this listener so far; nothing when it is new.
    pub(super) fn admitted(&self, post: &Arc<Post>, orders: &Orders) -> Rc<Admitted> {
        let mut all = self.0.admitted.borrow_mut();
        let known = |admitted: &&Rc<Admitted>| Arc::ptr_eq(admitted.post(), post);
        if let Some(known) = all.iter().find(known) {
            return Rc::clone(known);
        }
        let admitted = Rc::new(Admitted::new(Setting {
            post: Arc::clone(post),
            counters: Arc::clone(&post.counters[orders.index]),
            directory: self.0.directory.clone(),
            logger: orders.logger.clone(),
            log: orders.log.clone(),
        }));
        all.push(Rc::clone(&admitted));
        admitted
    }

    /// What came by any listener.
    pub(super) fn all(&self) -> Vec<Rc<Admitted>> {
        self.0.admitted.borrow().clone()
    }

    /// Forgets a listener, by its generation, of which nothing is left.
    pub(super) fn forget(&self, generation: u64) {
        let mut all = self.0.admitted.borrow_mut();
        all.retain(|admitted| admitted.post().generation != generation);
    }
}
