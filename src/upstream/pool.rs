//! The upstream connections of one worker, kept to be used again.

mod moving;

use std::cell::{OnceCell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::cluster::{Ending, Host, Lease, Limits, Permit, Work};
use crate::config;
use crate::name::ClusterName;
use crate::net::Stream;

use super::neighbours::{Neighbours, Plea};
use super::{Book, ConnectError, connect};
pub use moving::{Handed, Resting};

/// Idle connections that are kept for one host; of more than these the oldest is closed.
const MOST_IDLE: usize = if cfg!(test) { 8 } else { 1024 };

/// How long a connection may be idle whose cluster names no limit. MOSN has none; but an idle
/// connection that a firewall has forgotten costs the next request a timeout.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// The idle upstream connections of one worker, by host. A clone is the same pool.
///
/// The newest one is used first, so that what a burst has left over grows old and is closed. An
/// idle connection holds its socket and no buffer.
#[derive(Clone, Debug, Default)]
pub struct Pools(Rc<Kept>);

#[derive(Debug, Default)]
struct Kept {
    idle: RefCell<Idle>,
    /// How many that are, for the neighbours to see; written here alone.
    count: Arc<AtomicUsize>,
    /// Where others may be asked to make room.
    circle: OnceCell<Neighbours>,
    /// Where names lead.
    book: OnceCell<Book>,
    /// What they ask.
    pleas: RefCell<Option<mpsc::Receiver<Plea>>>,
    /// Whoever is told when an idle connection says anything.
    keeper: RefCell<Option<Waker>>,
    /// Whoever waits for an idle connection, to move it.
    mover: RefCell<Option<Waker>>,
}

/// By [`identity`] of the host, and what is spoken. A queue that is not empty keeps its host alive,
/// so no other host comes to have the same key; an empty one is anyone's.
type Idle = HashMap<(usize, Speech), VecDeque<Waiting>, foldhash::fast::RandomState>;

/// The name of the protocol that a connection speaks: no two share a connection.
pub type Speech = &'static str;

#[derive(Debug)]
struct Waiting {
    connection: Pooled,
    /// When it has been idle for too long; `None` is beyond what a clock can tell.
    expires: Option<Instant>,
}

impl Waiting {
    fn is_fit(&mut self, now: Instant) -> bool {
        self.expires.is_none_or(|expires| now < expires)
            && !self.connection.host().departure().is_leaving()
            && self.connection.still_quiet()
    }
}

impl Pools {
    /// The idle connection to `host` that speaks this and was used last; `None` when there is none.
    ///
    /// Connections that the peer has closed meanwhile, or has written to unasked, are closed on
    /// the way. It may close any other in this very moment, so a first request that gets no answer
    /// at all is no failure of the host.
    #[must_use]
    pub fn take(&self, host: &Host, speaks: Speech) -> Option<Pooled> {
        let mut idle = self.0.idle.borrow_mut();
        let queue = idle.get_mut(&(identity(host), speaks))?;
        while let Some(Waiting { mut connection, .. }) = queue.pop_back() {
            self.counted(|count| count - 1);
            if connection.still_quiet() {
                return Some(connection);
            }
        }
        None
    }

    /// Opens a connection to `host`, for this protocol.
    ///
    /// When the cluster has no room for one more, an idle connection to another of its hosts makes
    /// room: one of this worker, or else one of its [neighbours](Self::join).
    ///
    /// # Errors
    ///
    /// [`PoolError`]; nothing is left open. What may be blamed on the host or on the way to it is
    /// counted as a connect failure of the host.
    ///
    /// # Cancel safety
    ///
    /// Safe: dropping the future closes what it opened.
    pub async fn connect(
        &self,
        host: &Arc<Host>,
        speaks: Speech,
        settings: &config::Cluster,
        limits: &Arc<Limits>,
    ) -> Result<Pooled, PoolError> {
        let permit = self.permit(settings, limits).await;
        let permit = permit.ok_or(PoolError::Overflow)?;
        let mut lease = Lease::new(Arc::clone(host), Work::Connection);
        let connected = connect(
            host.address(),
            settings.connect_timeout,
            settings.mark,
            self.book(),
        )
        .await;
        let stream = connected.inspect_err(|error| {
            if !matches!(error, ConnectError::Exhausted(_)) {
                host.load().count_connect_failure();
            }
        })?;
        lease.ends(Ending::Local);
        Ok(Pooled {
            stream,
            lease,
            permit,
            speaks,
            id: next_id(),
            served: 0,
            cluster: settings.name.clone(),
            mark: settings.mark,
        })
    }

    /// Keeps a connection whose response has ended, for [`take`](Self::take).
    ///
    /// It is closed after `idle_timeout`, or 5 minutes without one, and earlier if 1024 newer ones
    /// to its host are idle.
    pub fn give(&self, mut connection: Pooled, idle_timeout: Option<Duration>, now: Instant) {
        connection.served += 1;
        let expires = now.checked_add(idle_timeout.unwrap_or(IDLE_TIMEOUT));
        self.keep_one(connection, expires);
    }

    fn keep_one(&self, mut connection: Pooled, expires: Option<Instant>) {
        if connection.host().departure().is_leaving() || !self.watches(&mut connection) {
            return;
        }
        let mut idle = self.0.idle.borrow_mut();
        let key = (identity(connection.host()), connection.speaks);
        let queue = idle.entry(key).or_default();
        if queue.len() == MOST_IDLE {
            queue.pop_front();
        } else {
            self.counted(|count| count + 1);
        }
        queue.push_back(Waiting {
            connection,
            expires,
        });
        if let Some(mover) = self.0.mover.take() {
            mover.wake();
        }
    }

    /// Closes the connections that are idle for too long, whose host leaves, that the peer has
    /// closed, or that it has written to unasked. To be called once a second: so long at most does a socket linger that
    /// only the peer has closed.
    pub fn sweep(&self, now: Instant) {
        self.keep(|waiting| waiting.is_fit(now));
    }

    /// Closes idle connections as soon as their peers close them, or write to them unasked: whoever
    /// polls this is woken for each. Never ready.
    pub fn poll_keep(&self, cx: &mut Context<'_>) -> Poll<()> {
        let is_known = {
            let mut keeper = self.0.keeper.borrow_mut();
            let known = keeper
                .as_ref()
                .is_some_and(|known| known.will_wake(cx.waker()));
            *keeper = Some(cx.waker().clone());
            known
        };
        let now = Instant::now();
        self.answer_pleas(cx);
        self.keep(|waiting| {
            waiting.is_fit(now) && (is_known || self.watches(&mut waiting.connection))
        });
        Poll::Pending
    }

    /// Has the keeper told of what an idle connection says; whether it has said nothing yet.
    fn watches(&self, connection: &mut Pooled) -> bool {
        let keeper = self.0.keeper.borrow();
        let Some(keeper) = &*keeper else {
            return true;
        };
        let mut cx = Context::from_waker(keeper);
        let mut says_nothing = || connection.poll_word(&mut cx).is_pending();
        // Only a look may tell that a socket marked as readable is empty; then it is watched.
        let is_quiet = says_nothing() || (connection.is_quiet() && says_nothing());
        connection.note(is_quiet)
    }

    /// Closes every idle connection.
    pub fn clear(&self) {
        self.0.idle.take();
        self.counted(|_| 0);
    }

    /// How many connections are idle.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.0.count.load(Relaxed)
    }

    fn keep(&self, mut fit: impl FnMut(&mut Waiting) -> bool) {
        self.0.idle.borrow_mut().retain(|_, queue| {
            queue.retain_mut(&mut fit);
            // A burst must not leave its room behind.
            if queue.len() < queue.capacity() / 4 {
                queue.shrink_to(queue.len() * 2);
            }
            !queue.is_empty()
        });
        let left = self.0.idle.borrow().values().map(VecDeque::len).sum();
        self.counted(|_| left);
    }

    /// Has names lead where this book says. The first book is the only one.
    pub fn read(&self, book: &Book) {
        self.0.book.get_or_init(|| book.clone());
    }

    /// Where names lead.
    #[must_use]
    pub fn book(&self) -> &Book {
        self.0.book.get_or_init(Book::default)
    }

    /// Takes a place among the pools of the other workers. It answers them while it is
    /// [kept](Self::poll_keep). The first circle is the only one.
    pub fn join(&self, neighbours: &Neighbours) {
        self.0.circle.get_or_init(|| {
            let pleas = neighbours.join(&self.0.count);
            self.0.pleas.replace(Some(pleas));
            neighbours.clone()
        });
    }

    /// Takes room for one connection of a cluster; where there is none, an idle connection makes
    /// room. `None` when as many are in use as may be.
    ///
    /// # Cancel safety
    ///
    /// Safe: at most an idle connection was closed in vain.
    pub async fn permit(&self, settings: &config::Cluster, limits: &Arc<Limits>) -> Option<Permit> {
        let max = settings.limits.connections;
        if max.is_some_and(|max| limits.connections() >= max)
            && !self.evict(limits)
            && let Some(circle) = self.0.circle.get()
        {
            circle.plead(limits, &self.0.count).await;
        }
        limits.connection(max)
    }

    fn answer_pleas(&self, cx: &mut Context<'_>) {
        let mut pleas = self.0.pleas.borrow_mut();
        let Some(pleas) = &mut *pleas else {
            return;
        };
        while let Poll::Ready(Some(Plea { limits, answer })) = pleas.poll_recv(cx) {
            // Whoever asked may have given up.
            let _ = answer.send(self.evict(&limits));
        }
    }

    fn counted(&self, change: impl FnOnce(usize) -> usize) {
        // Nobody else writes it.
        let count = self.0.count.load(Relaxed);
        self.0.count.store(change(count), Relaxed);
    }

    /// Closes an idle connection of the cluster whose limits these are; whether there is one.
    fn evict(&self, limits: &Arc<Limits>) -> bool {
        let mut idle = self.0.idle.borrow_mut();
        let of_cluster = |queue: &&mut VecDeque<Waiting>| {
            let oldest = queue.front();
            oldest.is_some_and(|waiting| waiting.connection.permit.is_of(limits))
        };
        let Some(queue) = idle.values_mut().find(of_cluster) else {
            return false;
        };
        queue.pop_front();
        self.counted(|count| count - 1);
        true
    }
}

/// Tells hosts apart, whatever snapshot they are of.
pub(super) fn identity(host: &Host) -> usize {
    Arc::as_ptr(host.load()).addr()
}

pub(super) fn next_id() -> u64 {
    static OPENED: AtomicU64 = AtomicU64::new(1);
    OPENED.fetch_add(1, Relaxed)
}

/// An upstream connection in use. Dropping it closes the connection; [`Pools::give`] keeps it.
///
/// While it lives, idle or not, it counts on its host and against the limits of its cluster.
#[derive(Debug)]
pub struct Pooled {
    stream: Stream,
    lease: Lease,
    permit: Permit,
    speaks: Speech,
    id: u64,
    served: u64,
    /// Of its host, and the `SO_MARK` that was in effect: another process looks for the same.
    cluster: ClusterName,
    mark: Option<u32>,
}

impl Pooled {
    /// The host as it was configured when the connection was opened.
    #[must_use]
    pub fn host(&self) -> &Arc<Host> {
        self.lease.host()
    }

    /// Its number among the upstream connections of this process, for logs; never used twice.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Whether it has served a request before this one. Only then may the host have closed it
    /// before the request came.
    #[must_use]
    pub fn is_reused(&self) -> bool {
        self.served > 0
    }

    /// Says that it ends in the middle of a request, and whose doing that is.
    pub fn is_cut(&mut self, ending: Ending) {
        self.lease.ends(ending);
    }

    /// As [`Stream::is_quiet`], where nothing is under way: else the host has ended it.
    fn still_quiet(&mut self) -> bool {
        let is_quiet = self.is_quiet();
        self.note(is_quiet)
    }

    fn note(&mut self, is_quiet: bool) -> bool {
        if !is_quiet {
            self.lease.ends(Ending::Remote);
        }
        is_quiet
    }

    /// Requests that it has served so far, this one not counted.
    #[must_use]
    pub fn served(&self) -> u64 {
        self.served
    }
}

impl Pooled {
    /// The connection itself, for what is not to be pooled any more, and what counts it.
    #[must_use]
    pub fn into_parts(self) -> (Stream, Held) {
        let Self {
            stream,
            lease,
            permit,
            ..
        } = self;
        (stream, Held { lease, permit })
    }
}

/// Counts an upstream connection on its host and against its cluster's limits while it lives.
#[derive(Debug)]
pub struct Held {
    /// On its host.
    pub lease: Lease,
    /// Against the limits.
    pub permit: Permit,
}

impl Deref for Pooled {
    type Target = Stream;

    fn deref(&self) -> &Stream {
        &self.stream
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// The host could not be connected to.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The cluster has as many connections as it may.
    #[error("the cluster has no room for another connection")]
    Overflow,
}

#[cfg(test)]
mod tests;
