//! A child as data: its name, how it starts, when it starts again, how it is stopped.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use super::{Life, View};
use crate::supervise::{Restart, Shutdown};

/// How long a supervisor that is stopped may take, unless its specification says otherwise.
const SUPERVISOR_STOPS_WITHIN: Duration = Duration::from_secs(5);
/// How long a start may take, unless its specification says otherwise.
const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// A child: how it starts, when it starts again, and how it is stopped.
///
/// Unless told otherwise, a child is killed when it must stop, and may take 30 seconds to start.
pub struct ChildSpec {
    pub(super) id: Arc<str>,
    pub(super) restart: Restart,
    pub(super) shutdown: Shutdown,
    pub(super) starts_within: Duration,
    pub(super) subtree: Option<Slot<View>>,
    pub(super) start: Box<dyn FnMut() -> Starting>,
}

pub(super) type Starting = LocalBoxFuture<'static, Result<Life, String>>;

impl ChildSpec {
    /// A child that is always started again.
    pub fn permanent(id: impl Into<Arc<str>>, start: impl FnMut() -> Life + 'static) -> Self {
        Self::immediate(id, Restart::Permanent, start)
    }

    /// A child that is never started again.
    pub fn temporary(id: impl Into<Arc<str>>, start: impl FnMut() -> Life + 'static) -> Self {
        Self::immediate(id, Restart::Temporary, start)
    }

    /// A child that is started again after an abnormal exit.
    pub fn transient(id: impl Into<Arc<str>>, start: impl FnMut() -> Life + 'static) -> Self {
        Self::immediate(id, Restart::Transient, start)
    }

    /// A child whose start waits for something, or can fail.
    ///
    /// The next sibling starts when this one has started. A start that fails, panics or takes
    /// longer than [`starts_within`](Self::starts_within) is an exit of the child. A start is
    /// dropped when the supervisor is stopped meanwhile.
    pub fn starting<F, E>(
        id: impl Into<Arc<str>>,
        restart: Restart,
        mut start: impl FnMut() -> F + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Life, E>> + 'static,
        E: fmt::Display,
    {
        Self {
            id: id.into(),
            restart,
            shutdown: Shutdown::Kill,
            starts_within: STARTS_WITHIN,
            subtree: None,
            start: Box::new(move || {
                start()
                    .map(|started| started.map_err(|error| error.to_string()))
                    .boxed_local()
            }),
        }
    }

    fn immediate(
        id: impl Into<Arc<str>>,
        restart: Restart,
        mut start: impl FnMut() -> Life + 'static,
    ) -> Self {
        Self::starting(id, restart, move || {
            std::future::ready(Ok::<_, String>(start()))
        })
    }

    /// How the child is stopped.
    #[must_use]
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.shutdown = shutdown;
        self
    }

    /// How long a start may take (default 30 s).
    #[must_use]
    pub fn starts_within(mut self, limit: Duration) -> Self {
        self.starts_within = limit;
        self
    }

    /// The child is a supervisor, whose view its start puts into `slot`; it is stopped by
    /// [`Shutdown::Drain`] of five seconds, unless [`shutdown`](Self::shutdown) is called after
    /// this.
    #[must_use]
    pub fn supervisor(mut self, slot: Slot<View>) -> Self {
        self.subtree = Some(slot);
        self.shutdown = Shutdown::Drain(SUPERVISOR_STOPS_WITHIN);
        self
    }
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec")
            .field("id", &self.id)
            .field("restart", &self.restart)
            .field("shutdown", &self.shutdown)
            .finish_non_exhaustive()
    }
}

/// A cell that an earlier child fills with its handle, for later siblings to read.
///
/// It keeps the handle of a child that has ended until the next life fills it anew.
#[derive(Debug)]
pub struct Slot<T>(Rc<RefCell<Option<T>>>);

impl<T> Slot<T> {
    /// Puts a value in, in place of an earlier one.
    pub fn fill(&self, value: T) {
        self.0.replace(Some(value));
    }
}

impl<T: Clone> Slot<T> {
    /// The latest value; `None` before the child's first start.
    #[must_use]
    pub fn get(&self) -> Option<T> {
        self.0.borrow().clone()
    }
}

impl<T: 'static> Slot<T> {
    /// A start that fills this slot each time it has started.
    pub fn filled_by(
        &self,
        mut start: impl FnMut() -> (T, Life) + 'static,
    ) -> impl FnMut() -> Life + 'static {
        let slot = self.clone();
        move || {
            let (value, life) = start();
            slot.fill(value);
            life
        }
    }
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(Rc::default())
    }
}
