//! The connections of one lane: counts them, and closes those that are idle too long.
//!
//! In: nothing. Out: the counters of the lane, and an event for each connection that panicked. It
//! looks at every connection once a second, so that none needs a timer of its own. It only takes
//! care of them: they are those that the lane has [`Admitted`], which outlives this actor, the lane
//! and the worker, and the next life finds them there. Those that rest it sends away, to be parked.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout};

use crate::actor::arrivals::Arrival;
use crate::actor::connection::{Connection, Entry};
use crate::actor::listeners::Post;
use crate::actor::mover::Next;
use crate::actor::parking::Parked;
use crate::actor::setting::Setting;
use crate::actor::supervisor::{Group, Key, Life, run};
use crate::config::NetworkFilter;
use crate::net::Stream;
use crate::proxy::Flow;
use crate::proxy::http::Leave;
use crate::supervise::Exit;
use crate::telemetry::counters::ListenerCounters;

/// How often idle connections are looked for, and bytes are added to the counters. An idle time
/// is kept to within this.
const TICK: Duration = Duration::from_secs(1);

/// Starts the actor on the current worker; it takes over whatever is admitted already.
pub(super) fn start(admitted: Rc<Admitted>) -> Life {
    run(|_| Connections { admitted }).1
}

/// A socket that was just accepted, and its place among those the process takes.
#[derive(Debug)]
pub(super) struct Accepted {
    /// Connected to the downstream peer.
    pub stream: Stream,
    /// Given back when the connection has ended.
    pub permit: OwnedSemaphorePermit,
}

/// What a connection shows of itself while it runs.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Bytes moved so far.
    pub flow: Rc<Flow>,
    /// For how long it may move none; `None` is for ever.
    pub idle_timeout: Cell<Option<Duration>>,
    /// For how long it had rested when it began, or when it is wished away.
    pub quiet: Cell<Duration>,
}

impl Progress {
    /// Of two limits the shorter one holds.
    pub(super) fn also_limit(&self, idle_timeout: Option<Duration>) {
        let limits = [self.idle_timeout.get(), idle_timeout];
        self.idle_timeout.set(limits.into_iter().flatten().min());
    }
}

/// Why the sweep ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// It has moved no byte for too long.
    Idle,
    /// Its host drains, and had to be done by now.
    HostDrained,
}

/// One connection as the sweep remembers it.
struct Watch {
    progress: Rc<Progress>,
    /// Bytes that were already added to the counters.
    received: u64,
    sent: u64,
    quiet: Duration,
}

impl Watch {
    fn new(progress: Rc<Progress>) -> Self {
        Self {
            received: 0,
            sent: 0,
            quiet: progress.quiet.get(),
            progress,
        }
    }

    /// Adds what was moved since the last look to `counters`; whether that was anything.
    fn settle(&mut self, counters: &ListenerCounters) -> bool {
        let (received, sent) = (
            self.progress.flow.received.get(),
            self.progress.flow.sent.get(),
        );
        let moved = (received - self.received, sent - self.sent);
        if moved == (0, 0) {
            return false;
        }
        counters.received_bytes.fetch_add(moved.0, Relaxed);
        counters.sent_bytes.fetch_add(moved.1, Relaxed);
        (self.received, self.sent) = (received, sent);
        true
    }

    /// One tick has passed; why the connection is to end, if it is. One that has rested throughout
    /// is wished away.
    fn look(&mut self, counters: &ListenerCounters, now: Instant) -> Option<Why> {
        let moved = self.settle(counters);
        if self.progress.flow.is_overdue(now.into_std()) {
            return Some(Why::HostDrained);
        }
        if moved {
            self.quiet = Duration::ZERO;
            return None;
        }
        self.quiet += TICK;
        let limit = self.progress.idle_timeout.get();
        if limit.is_some_and(|limit| self.quiet > limit) {
            return Some(Why::Idle);
        }
        let bell = &self.progress.flow.bell;
        if bell.rests() {
            self.progress.quiet.set(self.quiet);
            bell.ring_to_leave();
        } else {
            bell.ring_to_look();
        }
        None
    }
}

type Watches = Rc<RefCell<HashMap<Key, Watch, foldhash::fast::RandomState>>>;

/// What a lane has admitted: its running connections, by whomever they are taken care of.
///
/// It belongs to the [`Hall`](crate::actor::hall::Hall) of the worker's thread. Whoever ends it
/// does so on purpose: no crash on that thread costs a connection.
pub(super) struct Admitted {
    setting: Rc<Setting>,
    watches: Watches,
    group: Group,
    taken_down: Cell<Option<Instant>>,
    accepting: RefCell<Vec<Arc<tokio::sync::Mutex<()>>>>,
}

impl Admitted {
    /// Nothing yet.
    pub(super) fn new(setting: Setting) -> Self {
        let setting = Rc::new(setting);
        let watches = Watches::default();
        let (left, lane) = (Rc::clone(&watches), Rc::clone(&setting));
        let group = Group::new(move |key, exit| {
            let watch = left.borrow_mut().remove(&key);
            let is_parked = watch.is_some_and(|mut watch| {
                watch.settle(&lane.counters);
                watch.progress.flow.bell.has_left()
            });
            if !is_parked {
                lane.counters.closed.fetch_add(1, Relaxed);
            }
            if let Exit::Panic(text) = exit {
                lane.note_panic(&text);
            }
        });
        Self {
            setting,
            watches,
            group,
            taken_down: Cell::default(),
            accepting: RefCell::default(),
        }
    }

    /// Held by the acceptor of one of the sockets: a worker can watch each but once.
    pub(super) fn accepting(&self, socket: usize) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.accepting.borrow_mut();
        while locks.len() <= socket {
            locks.push(Arc::default());
        }
        Arc::clone(&locks[socket])
    }

    /// The listener that they came by.
    pub(super) fn post(&self) -> &Arc<Post> {
        &self.setting.post
    }

    /// Serves one more. It runs at once: in a mailbox it would be lost with its actor.
    pub(super) fn admit(&self, accepted: Accepted) {
        self.setting.counters.connections.fetch_add(1, Relaxed);
        let progress = Progress::default();
        let idle_timeout = self.setting.post.settings().idle_timeout;
        progress.idle_timeout.set(idle_timeout);
        self.run(Entry::Accepted(accepted.stream), accepted.permit, progress);
    }

    /// Goes on with one that was parked. Where it cannot be, it is closed.
    pub(super) fn resume(&self, Parked { socket, past }: Parked) {
        let Ok(stream) = socket.wake() else {
            return;
        };
        let progress = Progress::default();
        progress.idle_timeout.set(past.idle_timeout);
        past.counted.hand_over();
        let leave = Leave {
            stream,
            id: past.id,
            addresses: past.addresses.map(|addresses| *addresses),
            stage: past.stage,
            unread: Vec::new(),
        };
        self.run(Entry::Parked(Box::new(leave)), past.permit, progress);
    }

    fn run(&self, entry: Entry, permit: OwnedSemaphorePermit, progress: Progress) {
        let progress = Rc::new(progress);
        self.group.run(|member| {
            let watch = Watch::new(Rc::clone(&progress));
            self.watches.borrow_mut().insert(member.key(), watch);
            Connection::new(entry, permit, Rc::clone(&self.setting), progress)
        });
    }

    /// Serves one that has come from the predecessor. Where it cannot be, it ends.
    pub(super) fn arrive(&self, arrival: Arrival) {
        let Arrival {
            permit,
            idle_timeout,
            quiet,
            what,
            ..
        } = arrival;
        let progress = Progress::default();
        progress.idle_timeout.set(idle_timeout);
        progress.quiet.set(quiet);
        if let Ok(entry) = Entry::arrived(what, &self.setting) {
            self.setting.counters.connections.fetch_add(1, Relaxed);
            self.run(entry, permit, progress);
        }
    }

    /// Wishes that they go on in the successor, or where that cannot be, that they end.
    pub(super) fn part(&self) {
        let filter = &self.post().settings().filter;
        let can_move = !matches!(filter, NetworkFilter::Auto(_));
        if self.post().mover().is_none() || !can_move {
            return self.say_goodbye();
        }
        self.setting.goodbye.wish_move();
        let parked = self.setting.parking.places(self.post().generation);
        let parked = parked.into_iter().map(Next::Parked);
        let watches = self.watches.borrow();
        let running = watches.keys().copied().map(Next::Running);
        self.setting.moving.begin(parked.chain(running));
    }

    /// Those that were to move and have not are said goodbye to, if nothing moves any more.
    pub(super) fn remind(&self) {
        if self.setting.goodbye.is_move() && self.post().mover().is_none() {
            self.say_goodbye();
        }
    }

    /// Calls some of those that are to move from their rest.
    fn call_some(&self) {
        for next in self.setting.moving.next() {
            match next {
                Next::Parked(place) => {
                    let generation = self.post().generation;
                    let parked = self.setting.parking.leave_one(place, generation);
                    parked.into_iter().for_each(|one| self.resume(one));
                }
                Next::Running(key) => {
                    if let Some(watch) = self.watches.borrow().get(&key) {
                        watch.progress.quiet.set(watch.quiet);
                        watch.progress.flow.bell.ring_to_move();
                    }
                }
            }
        }
    }

    /// Wishes that they end at their next rest. Those that are parked end now, unless they are
    /// owed an answer.
    pub(super) fn say_goodbye(&self) {
        self.setting.goodbye.say();
        self.setting.moving.end();
        for watch in self.watches.borrow().values() {
            watch.progress.flow.bell.ring();
        }
        let mut parked = self.setting.parking.leave(self.post().generation);
        parked.retain(Parked::may_be_served);
        parked.into_iter().for_each(|one| self.resume(one));
    }

    /// Waits until none is left, for so long after the first time that this was asked; whether
    /// none is.
    pub(super) async fn emptied_within(&self, time: Duration) -> bool {
        let since = self.taken_down.get().unwrap_or_else(Instant::now);
        self.taken_down.set(Some(since));
        let left = time.saturating_sub(since.elapsed());
        timeout(left, self.emptied()).await.is_ok()
    }

    /// Waits until none is left.
    pub(super) async fn emptied(&self) {
        loop {
            self.group.reaches(0).await;
            if self.setting.moving.is_done() {
                return;
            }
            self.setting.moving.all_called().await;
        }
    }

    /// Ends them all.
    pub(super) async fn end(&self) {
        drop(self.setting.parking.leave(self.post().generation));
        self.setting.moving.end();
        self.group.kill_all();
        self.emptied().await;
    }

    /// A tick has passed: counts what was moved meanwhile, and ends those that are idle too long,
    /// or whose host had to be done.
    fn sweep(&self) {
        let counters = &self.setting.counters;
        let now = Instant::now();
        let overdue: Vec<(Key, Why)> = {
            let mut watches = self.watches.borrow_mut();
            let look = |(key, watch): (&Key, &mut Watch)| Some((*key, watch.look(counters, now)?));
            watches.iter_mut().filter_map(look).collect()
        };
        for (key, why) in overdue {
            if why == Why::Idle {
                counters.idle_closed.fetch_add(1, Relaxed);
            }
            self.group.kill(key);
        }
    }
}

struct Connections {
    admitted: Rc<Admitted>,
}

impl Actor for Connections {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.run_interval(TICK, |this, _| {
            this.admitted.sweep();
            // Who was called and had gone on meanwhile has left its place to nobody.
            this.admitted.call_some();
        });
        let admitted = Rc::clone(&self.admitted);
        let calls = async move {
            loop {
                admitted.setting.moving.news().await;
                admitted.call_some();
            }
        };
        ctx.spawn(calls.into_actor(self));
    }
}

#[cfg(test)]
mod tests {
    use arc_swap::ArcSwap;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::Semaphore;

    use super::*;
    use crate::actor::cluster::Directory;
    use crate::actor::clusters::Snapshot;
    use crate::actor::mover::Moving;
    use crate::actor::parking::Parking;
    use crate::actor::routers::Tables;
    use crate::actor::setting::Numbers;
    use crate::actor::slot::Slot;
    use crate::actor::{cluster, listeners};
    use crate::config::{self, Bind, Listener};
    use crate::proxy::http::Fitting;
    use crate::telemetry::access_log::WorkerLines;
    use crate::upstream::{Pools, Trunks};

    /// A lane of a listener without sockets, and one connection through it.
    struct Site {
        admitted: Rc<Admitted>,
        places: Arc<Semaphore>,
        _cluster: Life,
        _ends: (TcpStream, TcpStream),
    }

    impl Site {
        async fn new(idle_timeout: Duration) -> Self {
            let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let (directory, cluster) = directory(&origin);
            let post = post(idle_timeout).await;
            let admitted = Rc::new(Admitted::new(Setting {
                counters: Arc::clone(&post.counters[0]),
                requests: Arc::clone(&post.requests[0]),
                post,
                directory,
                judge: Slot::default(),
                pools: Pools::default(),
                trunks: Trunks::default(),
                drivers: Rc::new(Group::new(|_, _| {})),
                tables: Tables::default(),
                lines: WorkerLines::default(),
                goodbye: Rc::default(),
                moving: Moving::default(),
                numbers: Numbers::default(),
                aside: Group::new(|_, _| {}),
                open: RefCell::default(),
                parking: Parking::default(),
                logger: Slot::default(),
                log: slog::Logger::root(slog::Discard, slog::o!()),
            }));
            let places = Arc::new(Semaphore::new(1));
            let (mut client, accepted) = accepted(&places).await;
            admitted.admit(accepted);
            let (mut upstream, _) = origin.accept().await.unwrap();
            client.write_all(b"x").await.unwrap();
            upstream.read_exact(&mut [0]).await.unwrap();
            Self {
                admitted,
                places,
                _cluster: cluster,
                _ends: (client, upstream),
            }
        }
    }

    fn directory(origin: &TcpListener) -> (Directory, Life) {
        let host = config::Host::from(origin.local_addr().unwrap());
        let settings = Arc::new(config::Cluster::new("origins", [host]));
        let current = Arc::new(ArcSwap::from_pointee(Snapshot::new(settings)));
        let directory = Directory::default();
        let life = cluster::start(
            current.clone(),
            &directory.enter("origins".into(), &current),
        );
        (directory, life)
    }

    async fn post(idle_timeout: Duration) -> Arc<Post> {
        let slot = Slot::default();
        let _life = listeners::start(listeners::Board::default(), Default::default(), 1, &slot);
        let listener = Listener {
            bind: Bind::Virtual,
            idle_timeout: Some(idle_timeout),
            ..Listener::new("app", ([127, 0, 0, 1], 0).into(), "origins")
        };
        let posts = listeners::bind(
            &slot,
            vec![Arc::new(Fitting::bare(Arc::new(listener)))],
            vec![],
        )
        .await;
        posts.unwrap().remove(0)
    }

    async fn accepted(places: &Arc<Semaphore>) -> (TcpStream, Accepted) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, socket) = tokio::join!(client, listener.accept());
        let socket = socket.unwrap().0.into_std().unwrap();
        let stream = Stream::new(socket.into()).unwrap();
        let permit = Arc::clone(places).try_acquire_owned().unwrap();
        (client.unwrap(), Accepted { stream, permit })
    }

    #[actix::test]
    async fn what_is_admitted_outlives_who_takes_care_of_it() {
        let Site {
            admitted, places, ..
        } = &Site::new(Duration::from_secs(60)).await;
        let mut life = start(Rc::clone(admitted));

        life.kill();
        life.ended().await;
        tokio::task::yield_now().await;
        let lives_on = admitted.group.len();
        let _life = start(Rc::clone(admitted));
        admitted.end().await;

        let closed = admitted.setting.counters.closed.load(Relaxed);
        assert_eq!((lives_on, closed, places.available_permits()), (1, 1, 1));
    }

    #[actix::test]
    async fn the_next_life_knows_how_long_a_connection_has_been_idle() {
        let site = Site::new(TICK * 3 / 2).await;
        let counters = &site.admitted.setting.counters;
        site.admitted.sweep();
        site.admitted.sweep();
        assert_eq!(counters.idle_closed.load(Relaxed), 0);
        tokio::time::pause();
        let begun = Instant::now();

        let _life = start(Rc::clone(&site.admitted));
        site.admitted.emptied().await;

        assert_eq!(counters.idle_closed.load(Relaxed), 1);
        assert!(begun.elapsed() < TICK * 2);
    }

    #[actix::test]
    async fn the_time_to_drain_does_not_begin_anew() {
        let site = Site::new(Duration::from_secs(600)).await;
        tokio::time::pause();
        let time = Duration::from_secs(60);
        let first = timeout(time / 2, site.admitted.emptied_within(time)).await;
        let begun = Instant::now();

        let emptied = site.admitted.emptied_within(time).await;

        assert!(first.is_err() && !emptied);
        assert!(begun.elapsed() < time);
    }
}
