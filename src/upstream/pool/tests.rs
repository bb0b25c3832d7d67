//! What a pool keeps, gives out and closes.

use std::future::poll_fn;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::cluster::HostSet;
use crate::config::Cluster;

const PATIENCE: Duration = Duration::from_secs(20);
const SPEECH: Speech = "test";

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
        self.pools
            .connect(self.host(at), SPEECH, settings, limits)
            .await
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
        self.pools.take(self.host(at), SPEECH)
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
    let again = &later.hosts()[0];
    assert!(origin.pools.take(again, "other").is_none());
    assert!(origin.pools.take(again, SPEECH).is_some());
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
    let mut theirs = Vec::new();
    for at in [0, 1] {
        let (connection, peer) = origin.connect(at).await;
        origin.give(connection);
        theirs.push(peer);
    }
    let (connection, _peer) = origin.connect(0).await;
    origin.host(0).departure().leave(None);
    origin.pools.sweep(Instant::now());
    assert_eq!(origin.pools.idle(), 1);
    origin.give(connection);
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

#[actix::test]
async fn an_idle_connection_of_another_worker_makes_room() {
    let mut origin = Origin::new(1).await;
    origin.settings.limits.connections = Some(1);
    let (neighbours, other) = (Neighbours::default(), Pools::default());
    origin.pools.join(&neighbours);
    other.join(&neighbours);
    let (first, mut theirs) = origin.connect(0).await;
    // It is the other's now.
    other.give(first, None, Instant::now());

    let connected = async {
        tokio::select! {
            () = poll_fn(|cx| other.poll_keep(cx)) => unreachable!(),
            connected = origin.connect(0) => connected,
        }
    };
    let (_second, _) = timeout(PATIENCE, connected).await.unwrap();

    assert_eq!(theirs.read(&mut [0]).await.unwrap(), 0);
    assert_eq!((other.idle(), origin.limits.connections()), (0, 1));
    assert_eq!(origin.limits.connections_refused(), 0);
}

#[actix::test]
async fn a_cluster_whose_connections_are_all_in_use_is_full_for_every_worker() {
    let mut origin = Origin::new(1).await;
    origin.settings.limits.connections = Some(1);
    let (neighbours, other) = (Neighbours::default(), Pools::default());
    origin.pools.join(&neighbours);
    other.join(&neighbours);
    let stranger = Origin::new(1).await;
    let (idle, _theirs) = stranger.connect(0).await;
    other.give(idle, None, Instant::now());
    let (_busy, _other_end) = origin.connect(0).await;

    let refused = async {
        tokio::select! {
            () = poll_fn(|cx| other.poll_keep(cx)) => unreachable!(),
            refused = origin.try_connect(0) => refused,
        }
    };
    let refused = timeout(PATIENCE, refused).await.unwrap();

    assert!(matches!(refused, Err(PoolError::Overflow)), "{refused:?}");
    // Another cluster's is left alone.
    assert_eq!((other.idle(), origin.limits.connections()), (1, 1));
}

#[actix::test]
async fn a_worker_that_is_gone_is_not_asked() {
    let mut origin = Origin::new(1).await;
    origin.settings.limits.connections = Some(1);
    let (neighbours, other) = (Neighbours::default(), Pools::default());
    other.join(&neighbours);
    drop(other);
    origin.pools.join(&neighbours);
    let (_busy, _theirs) = origin.connect(0).await;
    let refused = origin.try_connect(0).await;
    assert!(matches!(refused, Err(PoolError::Overflow)), "{refused:?}");
}

#[actix::test]
async fn one_that_moves_is_the_newest_and_goes_on_elsewhere_for_no_longer_than_here() {
    let origin = Origin::new(1).await;
    let (older, _old) = origin.connect(0).await;
    let (newer, mut theirs) = origin.connect(0).await;
    let number = newer.stream.local_address().unwrap();
    let (now, minute) = (Instant::now(), Duration::from_secs(60));
    origin.pools.give(older, None, now);
    origin.pools.give(newer, Some(minute), now);

    let resting = origin.pools.any_now(now).unwrap();

    let there = Pools::default();
    let held = |limits: &Arc<Limits>| Held {
        lease: Lease::new(Arc::clone(origin.host(0)), Work::Connection),
        permit: limits.connection(None).unwrap(),
    };
    let handed = Handed {
        socket: resting.carry().unwrap(),
        held: held(&origin.limits),
        speaks: resting.speaks(),
        settings: Arc::new(origin.settings.clone()),
        served: resting.served(),
        left: resting.left(now + minute / 2),
    };
    resting.has_moved();
    there.adopt(handed, now).unwrap();
    assert_eq!((origin.pools.idle(), there.idle()), (1, 1));
    there.sweep(now + minute / 3);
    let goes_on = there.take(origin.host(0), SPEECH).unwrap();
    assert_eq!(goes_on.local_address().unwrap(), number);
    assert_eq!(goes_on.served(), 1);
    theirs.write_all(b"x").await.unwrap();
    assert_eq!(next_byte(&goes_on).await, 1);
    there.keep_one(goes_on, now.checked_add(minute / 2));
    there.sweep(now + minute / 2);
    assert_eq!(there.idle(), 0);
}

#[actix::test]
async fn who_waits_for_any_idle_connection_is_told_of_the_next() {
    let origin = Origin::new(1).await;
    let (connection, _theirs) = origin.connect(0).await;
    let waits = origin.pools.any();
    let gives = async { origin.give(connection) };

    let (resting, ()) = tokio::join!(timeout(PATIENCE, waits), gives);

    origin.pools.put_back(resting.unwrap());
    assert!(origin.take(0).is_some());
}
