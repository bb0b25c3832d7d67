//! The upstream connections of one worker, kept to be used again.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::cluster::{Host, Lease, Limits, Permit, Work};
use crate::config;
use crate::net::Stream;

use super::{ConnectError, connect};

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
    /// Whoever is told when an idle connection says anything.
    keeper: RefCell<Option<Waker>>,
}

/// By [`identity`] of the host. A queue that is not empty keeps its host alive, so no other host
/// comes to have the same key; an empty one is anyone's.
type Idle = HashMap<usize, VecDeque<Waiting>, foldhash::fast::RandomState>;

#[derive(Debug)]
struct Waiting {
    connection: Pooled,
    /// When it has been idle for too long; `None` is beyond what a clock can tell.
    expires: Option<Instant>,
}

impl Waiting {
    fn is_fit(&self, now: Instant) -> bool {
        self.expires.is_none_or(|expires| now < expires) && self.connection.is_quiet()
    }
}

impl Pools {
    /// The idle connection to `host` that was used last; `None` when there is none.
    ///
    /// Connections that the peer has closed meanwhile, or has written to unasked, are closed on
    /// the way. It may close any other in this very moment, so a first request that gets no answer
    /// at all is no failure of the host.
    #[must_use]
    pub fn take(&self, host: &Host) -> Option<Pooled> {
        let mut idle = self.0.idle.borrow_mut();
        let queue = idle.get_mut(&identity(host))?;
        while let Some(Waiting { connection, .. }) = queue.pop_back() {
            if connection.is_quiet() {
                return Some(connection);
            }
        }
        None
    }

    /// Opens a connection to `host`.
    ///
    /// When the cluster has no room for one more, an idle connection of this worker to another of
    /// its hosts makes room; idle ones of other workers do not, until they are used or too old.
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
        settings: &config::Cluster,
        limits: &Arc<Limits>,
    ) -> Result<Pooled, PoolError> {
        let permit = self.permit(settings, limits).ok_or(PoolError::Overflow)?;
        let lease = Lease::new(Arc::clone(host), Work::Connection);
        let connected = connect(host.address(), settings.connect_timeout, settings.mark).await;
        let stream = connected.inspect_err(|error| {
            if !matches!(error, ConnectError::Exhausted(_)) {
                host.load().count_connect_failure();
            }
        })?;
        Ok(Pooled {
            stream,
            lease,
            permit,
            id: next_id(),
            served: 0,
        })
    }

    /// Keeps a connection whose response has ended, for [`take`](Self::take).
    ///
    /// It is closed after `idle_timeout`, or 5 minutes without one, and earlier if 1024 newer ones
    /// to its host are idle.
    pub fn give(&self, mut connection: Pooled, idle_timeout: Option<Duration>, now: Instant) {
        connection.served += 1;
        if !self.watches(&connection) {
            return;
        }
        let expires = now.checked_add(idle_timeout.unwrap_or(IDLE_TIMEOUT));
        let mut idle = self.0.idle.borrow_mut();
        let queue = idle.entry(identity(connection.host())).or_default();
        if queue.len() == MOST_IDLE {
            queue.pop_front();
        }
        queue.push_back(Waiting {
            connection,
            expires,
        });
    }

    /// Closes the connections that are idle for too long, that the peer has closed, or that it has
    /// written to unasked. To be called once a second: so long at most does a socket linger that
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
        self.keep(|waiting| waiting.is_fit(now) && (is_known || self.watches(&waiting.connection)));
        Poll::Pending
    }

    /// Has the keeper told of what an idle connection says; whether it has said nothing yet.
    fn watches(&self, connection: &Pooled) -> bool {
        let keeper = self.0.keeper.borrow();
        let Some(keeper) = &*keeper else {
            return true;
        };
        let mut cx = Context::from_waker(keeper);
        let mut says_nothing = || connection.poll_word(&mut cx).is_pending();
        // Only a look may tell that a socket marked as readable is empty; then it is watched.
        says_nothing() || (connection.is_quiet() && says_nothing())
    }

    /// Closes the idle connections to all hosts but those that `keep` names.
    pub fn retain(&self, keep: impl Fn(&Host) -> bool) {
        self.keep(|waiting| keep(waiting.connection.host()));
    }

    /// Closes every idle connection.
    pub fn clear(&self) {
        self.0.idle.take();
    }

    /// How many connections are idle.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.0.idle.borrow().values().map(VecDeque::len).sum()
    }

    fn keep(&self, fit: impl Fn(&Waiting) -> bool) {
        self.0.idle.borrow_mut().retain(|_, queue| {
            queue.retain(&fit);
            // A burst must not leave its room behind.
            if queue.len() < queue.capacity() / 4 {
                queue.shrink_to(queue.len() * 2);
            }
            !queue.is_empty()
        });
    }

    fn permit(&self, settings: &config::Cluster, limits: &Arc<Limits>) -> Option<Permit> {
        let max = settings.limits.connections;
        if max.is_some_and(|max| limits.connections() >= max) {
            self.evict(limits);
        }
        limits.connection(max)
    }

    /// Closes an idle connection of the cluster whose limits these are, if there is one.
    fn evict(&self, limits: &Arc<Limits>) {
        let mut idle = self.0.idle.borrow_mut();
        let of_cluster = |queue: &&mut VecDeque<Waiting>| {
            let oldest = queue.front();
            oldest.is_some_and(|waiting| waiting.connection.permit.is_of(limits))
        };
        if let Some(queue) = idle.values_mut().find(of_cluster) {
            queue.pop_front();
        }
    }
}

/// Tells hosts apart, whatever snapshot they are of.
fn identity(host: &Host) -> usize {
    Arc::as_ptr(host.load()).addr()
}

fn next_id() -> u64 {
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
    id: u64,
    served: u64,
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
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::*;
    use crate::cluster::HostSet;
    use crate::config::Cluster;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// A cluster of one host that accepts, or of some.
    struct Origin {
        listeners: Vec<TcpListener>,
        settings: Cluster,
        hosts: HostSet,
        limits: Arc<Limits>,
        pools: Pools,
    }

    impl Origin {
        async fn new(hosts: usize) -> Self {
            let mut listeners = Vec::new();
            for _ in 0..hosts {
                listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
            }
            let addresses = listeners.iter().map(|l| l.local_addr().unwrap());
            let addresses = addresses.map(|address| config::Host::new(address.into()));
            let settings = Cluster::new("origins", addresses);
            Self {
                hosts: HostSet::new(&settings.hosts),
                limits: Arc::default(),
                pools: Pools::default(),
                listeners,
                settings,
            }
        }

        fn host(&self, at: usize) -> &Arc<Host> {
            &self.hosts.hosts()[at]
        }

        async fn try_connect(&self, at: usize) -> Result<Pooled, PoolError> {
            let (settings, limits) = (&self.settings, &self.limits);
            self.pools.connect(self.host(at), settings, limits).await
        }

        /// A new connection to a host, and the host's end of it.
        async fn connect(&self, at: usize) -> (Pooled, TcpStream) {
            let ours = self.try_connect(at).await.unwrap();
            let (theirs, _) = self.listeners[at].accept().await.unwrap();
            (ours, theirs)
        }

        fn give(&self, connection: Pooled) {
            self.pools.give(connection, None, Instant::now());
        }

        fn take(&self, at: usize) -> Option<Pooled> {
            self.pools.take(self.host(at))
        }
    }

    /// Waits until the reactor has told of what the peer did, by taking one byte or the end.
    async fn next_byte(stream: &Stream) -> usize {
        let mut byte = [0];
        let received = poll_fn(|cx| stream.poll_recv(cx, &mut byte));
        timeout(PATIENCE, received).await.unwrap().unwrap()
    }

    #[actix::test]
    async fn a_connection_that_is_given_back_serves_again() {
        let origin = Origin::new(1).await;
        let (first, mut theirs) = origin.connect(0).await;
        let id = first.id();
        assert!(!first.is_reused());
        origin.give(first);
        assert_eq!(origin.pools.idle(), 1);

        let again = origin.take(0).unwrap();

        assert_eq!(
            (again.id(), again.served(), again.is_reused()),
            (id, 1, true)
        );
        assert!(origin.take(0).is_none());
        theirs.write_all(b"a").await.unwrap();
        assert_eq!(next_byte(&again).await, 1);
    }

    #[actix::test]
    async fn the_newest_idle_connection_is_used_first() {
        let origin = Origin::new(1).await;
        let (first, _one) = origin.connect(0).await;
        let (second, _two) = origin.connect(0).await;
        assert_ne!(first.id(), second.id());
        let id = second.id();
        origin.give(first);
        origin.give(second);
        assert_eq!(origin.take(0).unwrap().id(), id);
    }

    #[actix::test]
    async fn a_connection_is_of_its_host_in_every_snapshot() {
        let origin = Origin::new(2).await;
        let (first, _theirs) = origin.connect(0).await;
        origin.give(first);
        assert!(origin.take(1).is_none());

        let later = origin.hosts.with_hosts(&origin.settings.hosts);
        assert!(origin.pools.take(&later.hosts()[0]).is_some());
    }

    #[actix::test]
    async fn what_the_peer_has_closed_or_spoiled_is_passed_over() {
        let origin = Origin::new(1).await;
        let (sound, _theirs) = origin.connect(0).await;
        let (closed, theirs) = origin.connect(0).await;
        let (spoiled, mut talkative) = origin.connect(0).await;
        let id = sound.id();
        drop(theirs);
        assert_eq!(next_byte(&closed).await, 0);
        // One byte is taken, the other remains.
        talkative.write_all(b"ab").await.unwrap();
        assert_eq!(next_byte(&spoiled).await, 1);
        for connection in [sound, closed, spoiled] {
            origin.give(connection);
        }

        assert_eq!(origin.take(0).unwrap().id(), id);

        assert_eq!(origin.pools.idle(), 0);
        assert_eq!(talkative.read(&mut [0]).await.unwrap_or(0), 0);
    }

    #[actix::test]
    async fn a_connection_that_the_peer_closes_is_closed_at_once_by_the_keeper() {
        let origin = Origin::new(1).await;
        let (idle, mut theirs) = origin.connect(0).await;
        let (kept, _other) = origin.connect(0).await;
        let pools = origin.pools.clone();
        let keep = async {
            tokio::select! {
                () = poll_fn(|cx| pools.poll_keep(cx)) => {}
                closed = async {
                    origin.give(idle);
                    origin.give(kept);
                    theirs.shutdown().await.unwrap();
                    theirs.read(&mut [0]).await
                } => assert_eq!(closed.unwrap(), 0),
            }
        };
        timeout(PATIENCE, keep).await.unwrap();
        assert_eq!(origin.pools.idle(), 1);
    }

    #[actix::test]
    async fn a_sweep_closes_what_is_idle_too_long_or_closed_and_forgets_empty_hosts() {
        let origin = Origin::new(2).await;
        let (short, _one) = origin.connect(0).await;
        let (long, _two) = origin.connect(0).await;
        let (endless, _three) = origin.connect(0).await;
        let (closed, theirs) = origin.connect(1).await;
        drop(theirs);
        assert_eq!(next_byte(&closed).await, 0);
        let now = Instant::now();
        let minute = Duration::from_secs(60);
        origin.pools.give(short, Some(minute), now);
        origin.pools.give(long, None, now);
        origin.pools.give(endless, Some(Duration::MAX), now);
        origin.pools.give(closed, None, now);

        origin.pools.sweep(now);
        assert_eq!(origin.pools.idle(), 3);
        assert_eq!(origin.pools.0.idle.borrow().len(), 1);
        origin.pools.sweep(now + minute);
        assert_eq!(origin.pools.idle(), 2);
        origin.pools.sweep(now + IDLE_TIMEOUT);
        assert_eq!(origin.pools.idle(), 1);
        assert_eq!(origin.limits.connections(), 1);
    }

    #[actix::test]
    async fn hosts_that_have_left_lose_their_connections() {
        let origin = Origin::new(2).await;
        for at in [0, 1] {
            let (connection, _) = origin.connect(at).await;
            origin.give(connection);
        }
        origin.pools.retain(|host| host.is(origin.host(1)));
        assert_eq!(origin.pools.idle(), 1);
        origin.pools.clear();
        assert_eq!(origin.pools.idle(), 0);
    }

    #[actix::test]
    async fn a_connection_counts_until_it_is_closed() {
        let origin = Origin::new(1).await;
        let (connection, mut theirs) = origin.connect(0).await;
        let counts = || {
            let load = origin.host(0).load();
            (load.active_connections(), origin.limits.connections())
        };
        origin.give(connection);
        assert_eq!(counts(), (1, 1));
        drop(origin.take(0));
        assert_eq!(counts(), (0, 0));
        assert_eq!(theirs.read(&mut [0]).await.unwrap(), 0);
    }

    #[actix::test]
    async fn a_full_cluster_opens_nothing_unless_something_is_idle() {
        let mut origin = Origin::new(2).await;
        origin.settings.limits.connections = Some(1);
        let (busy, mut theirs) = origin.connect(0).await;
        let refused = origin.try_connect(1).await;
        assert!(matches!(refused, Err(PoolError::Overflow)), "{refused:?}");
        assert_eq!(origin.host(1).load().connections(), 0);

        origin.give(busy);

        let (_other, _) = origin.connect(1).await;
        assert_eq!(theirs.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(origin.limits.connections(), 1);
        assert_eq!(origin.limits.connections_refused(), 1);
    }

    #[actix::test]
    async fn a_host_that_refuses_gives_everything_back() {
        let mut origin = Origin::new(1).await;
        origin.listeners.clear();
        let refused = origin.try_connect(0).await;
        assert!(matches!(
            refused,
            Err(PoolError::Connect(ConnectError::Refused))
        ));
        let load = origin.host(0).load();
        assert_eq!((load.active_connections(), load.connect_failures()), (0, 1));
        assert_eq!(origin.limits.connections(), 0);
    }

    #[actix::test]
    async fn a_host_keeps_its_newest_connections_only() {
        let origin = Origin::new(1).await;
        let (oldest, mut theirs) = origin.connect(0).await;
        origin.give(oldest);
        let mut held = Vec::new();
        for _ in 1..MOST_IDLE {
            let (connection, theirs) = origin.connect(0).await;
            origin.give(connection);
            held.push(theirs);
        }
        assert_eq!(origin.pools.idle(), MOST_IDLE);

        let (newest, _last) = origin.connect(0).await;
        origin.give(newest);

        assert_eq!(origin.pools.idle(), MOST_IDLE);
        assert_eq!(theirs.read(&mut [0]).await.unwrap(), 0);
    }
}
