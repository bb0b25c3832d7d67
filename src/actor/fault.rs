//! Makes a chosen actor panic, or hold up its thread, so that tests can watch the tree mend itself.
//!
//! Compiled only for tests. Every supervised actor registers under its kind: the last word of its
//! type (`Cluster`), or a supervisor's name. The panic comes from inside the actor's own poll,
//! whichever arbiter it runs on, and so takes the way of any panic of its own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
#[expect(
    clippy::disallowed_types,
    reason = "tests reach into other arbiters; production has no such code"
)]
use std::sync::{Arc, Mutex, PoisonError};
use std::task;

use futures::task::AtomicWaker;

#[expect(clippy::disallowed_types, reason = "as above")]
static LIVE: Mutex<BTreeMap<(String, u64), Arc<Fuse>>> = Mutex::new(BTreeMap::new());
static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

/// Makes the longest-living actor of this kind panic with the text `injected fault in KIND`;
/// `false` when none lives.
pub fn panic_one(kind: &str) -> bool {
    panic_nth(kind, 0)
}

/// Makes the actor of this kind that `index` others are older than panic; `false` when there is
/// none.
pub fn panic_nth(kind: &str, index: usize) -> bool {
    with_live(|live| {
        let fuse = live.iter().filter(|((of, _), _)| of == kind).nth(index);
        fuse.map(|(_, fuse)| fuse.blow()).is_some()
    })
}

/// Makes the longest-living actor of this kind hold its thread up for good; `false` when none
/// lives.
pub fn hang_one(kind: &str) -> bool {
    with_live(|live| {
        let fuse = live.iter().find(|((of, _), _)| of == kind);
        fuse.map(|(_, fuse)| fuse.hang()).is_some()
    })
}

/// How many actors of this kind live.
#[must_use]
pub fn count(kind: &str) -> usize {
    with_live(|live| live.keys().filter(|(of, _)| of == kind).count())
}

/// Every kind of which an actor lives, in alphabetical order.
#[must_use]
pub fn kinds() -> Vec<String> {
    let mut kinds: Vec<_> = with_live(|live| live.keys().map(|(kind, _)| kind.clone()).collect());
    kinds.dedup();
    kinds
}

/// One actor's share of the hook.
pub(super) struct Switch {
    key: (String, u64),
    fuse: Arc<Fuse>,
}

impl Switch {
    pub(super) fn new(kind: &str) -> Self {
        let key = (kind.to_owned(), NEXT.fetch_add(1, Ordering::Relaxed));
        let fuse = Arc::new(Fuse::default());
        with_live(|live| live.insert(key.clone(), fuse.clone()));
        Self { key, fuse }
    }

    /// Panics when a test has asked for it.
    pub(super) fn check(&self, cx: &task::Context<'_>) {
        self.fuse.waker.register(cx.waker());
        while self.fuse.hung.load(Ordering::Acquire) {
            std::thread::park();
        }
        if self.fuse.blown.load(Ordering::Acquire) {
            panic!("injected fault in {}", self.key.0);
        }
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        with_live(|live| live.remove(&self.key));
    }
}

#[derive(Default)]
struct Fuse {
    blown: AtomicBool,
    hung: AtomicBool,
    waker: AtomicWaker,
}

impl Fuse {
    fn blow(&self) {
        self.blown.store(true, Ordering::Release);
        self.waker.wake();
    }

    fn hang(&self) {
        self.hung.store(true, Ordering::Release);
        self.waker.wake();
    }
}

fn with_live<T>(look: impl FnOnce(&mut BTreeMap<(String, u64), Arc<Fuse>>) -> T) -> T {
    look(&mut LIVE.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The last word of the type's name.
pub(super) fn kind_of<A>() -> &'static str {
    let name = std::any::type_name::<A>();
    let name = name.split('<').next().unwrap_or(name);
    name.rsplit("::").next().unwrap_or(name)
}
