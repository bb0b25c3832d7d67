//! A cheap supervisor of many short-lived children that are never restarted, such as connections.
//!
//! It is a plain value, inside an actor or outside of all. Each child costs one task and one entry of a
//! slab: nothing watches it, its own guard reports its end. A panic of one leaves the others.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use actix::prelude::*;
use slab::Slab;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::guard::{End, Guarded, Report};
use crate::supervise::Exit;

/// The children; dropping it kills them all.
pub struct Group {
    shared: Rc<Shared>,
}

impl Group {
    /// An empty group; `on_exit` hears of the end of each child, once, after the child has been
    /// dropped, also when the group is gone by then.
    ///
    /// It runs inside the child's task: it must be short and must not panic.
    pub fn new(on_exit: impl Fn(Key, Exit) + 'static) -> Self {
        Self {
            shared: Rc::new(Shared {
                children: RefCell::default(),
                left: Notify::new(),
                on_exit: Box::new(on_exit),
                serial: Cell::new(0),
                stop: CancellationToken::new(),
            }),
        }
    }

    /// Starts a child on the current arbiter.
    ///
    /// # Panics
    ///
    /// Outside an actix system, and when `make` does; then there is no child.
    pub fn run<A>(&self, make: impl FnOnce(Member) -> A) -> Addr<A>
    where
        A: Actor<Context = Context<A>>,
    {
        let member = self.shared.clone().admit();
        let key = member.key;
        let seat = Seat(member.clone());
        let actor = make(member);
        let context = Context::new();
        let address = context.address();
        let task = tokio::task::spawn_local(Guarded::new(context, actor, seat, None));
        self.shared
            .with(key, |child| child.spawned(task.abort_handle()));
        address
    }

    /// How many children live.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.children.borrow().len()
    }

    /// Whether no child lives.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tells every child, and those to come, that it should end: [`Member::stop_requested`]
    /// answers.
    pub fn request_stop(&self) {
        self.shared.stop.cancel();
    }

    /// Ends every child without its consent, at its next await.
    pub fn kill_all(&self) {
        self.shared.kill_all();
    }

    /// Ends one child without its consent; nothing happens when it has ended.
    pub fn kill(&self, key: Key) {
        self.shared.with(key, Child::kill);
    }

    /// Waits until at most `len` children live.
    ///
    /// The future does not borrow the group, but keeps its table.
    ///
    /// # Cancel safety
    ///
    /// It is cancel safe.
    pub fn reaches(&self, len: usize) -> impl Future<Output = ()> + use<> {
        let shared = self.shared.clone();
        async move {
            // One thread: nobody leaves between the look and the registration of the wait.
            while shared.children.borrow().len() > len {
                shared.left.notified().await;
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.shared.kill_all();
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// Names one child of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    at: u32,
    /// Tells the child from earlier ones at the same place.
    serial: u32,
}

/// What a child and its group know of each other.
#[derive(Clone)]
pub struct Member {
    shared: Rc<Shared>,
    key: Key,
}

impl Member {
    /// The child's name in the group.
    #[must_use]
    pub fn key(&self) -> Key {
        self.key
    }

    /// Stops the child; `on_exit` hears [`Exit::Fail`] with this reason, or with an earlier one.
    pub fn fail(&self, ctx: &mut impl ActorContext, reason: &str) {
        self.shared.with(self.key, |child| {
            child.reason.get_or_insert_with(|| reason.into());
        });
        ctx.stop();
    }

    /// Waits until the group wishes its children to end.
    ///
    /// # Cancel safety
    ///
    /// It is cancel safe.
    pub async fn stop_requested(&self) {
        self.shared.stop.cancelled().await;
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Member").field(&self.key).finish()
    }
}

struct Shared {
    /// Never borrowed while a child, `make` or `on_exit` runs.
    children: RefCell<Slab<Child>>,
    left: Notify,
    on_exit: Box<dyn Fn(Key, Exit)>,
    serial: Cell<u32>,
    stop: CancellationToken,
}

impl Shared {
    fn admit(self: Rc<Self>) -> Member {
        let serial = self.serial.get();
        self.serial.set(serial.wrapping_add(1));
        let at = self.children.borrow_mut().insert(Child::new(serial));
        let at = u32::try_from(at).expect("each child holds memory: there are not 2^32 of them");
        let key = Key { at, serial };
        Member { shared: self, key }
    }

    fn with(&self, key: Key, change: impl FnOnce(&mut Child)) {
        let mut children = self.children.borrow_mut();
        let child = children.get_mut(key.at as usize);
        if let Some(child) = child.filter(|child| child.serial == key.serial) {
            change(child);
        }
    }

    fn remove(&self, key: Key) -> Option<Child> {
        let mut children = self.children.borrow_mut();
        let at = key.at as usize;
        let is_there = children.get(at)?.serial == key.serial;
        is_there.then(|| children.remove(at))
    }

    fn kill_all(&self) {
        for (_, child) in &mut *self.children.borrow_mut() {
            child.kill();
        }
    }
}

struct Child {
    killed: bool,
    reason: Option<Box<str>>,
    serial: u32,
    /// `None` until it has been spawned.
    task: Option<AbortHandle>,
}

impl Child {
    fn new(serial: u32) -> Self {
        Self {
            killed: false,
            reason: None,
            serial,
            task: None,
        }
    }

    fn spawned(&mut self, task: AbortHandle) {
        if self.killed {
            task.abort();
        }
        self.task = Some(task);
    }

    fn kill(&mut self) {
        self.killed = true;
        if let Some(task) = &self.task {
            task.abort();
        }
    }

    fn exit(self, end: End) -> Exit {
        match end {
            End::Dropped if self.killed => Exit::Abort("killed".to_owned()),
            End::Dropped => Exit::Abort("its arbiter has ended".to_owned()),
            End::Panicked(text) => Exit::Panic(text),
            End::Stopped => self
                .reason
                .map_or(Exit::Normal, |reason| Exit::Fail(reason.into())),
        }
    }
}

/// A child's place in the table: whatever becomes of the child, it is given back.
pub(super) struct Seat(Member);

impl Seat {
    fn leave(&self) -> Option<Child> {
        let child = self.0.shared.remove(self.0.key)?;
        self.0.shared.left.notify_waiters();
        Some(child)
    }
}

impl Report for Seat {
    fn ended(&mut self, end: End) {
        if let Some(child) = self.leave() {
            (self.0.shared.on_exit)(self.0.key, child.exit(end));
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
    }
}
