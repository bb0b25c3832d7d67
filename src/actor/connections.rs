//! The connections of one lane: counts them, and closes those that are idle too long.
//!
//! In: nothing. Out: the counters of the lane, and an event for each connection that panicked. It
//! looks at every connection once a second, so that none needs a timer of its own. It only takes
//! care of them: they are those that the lane has [`Admitted`], which outlives this actor, the lane
//! and the worker, and the next life finds them there. Those that rest it sends away, to be parked.

mod admitted;
mod watch;

use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;

use crate::actor::supervisor::{Life, run};
pub(super) use admitted::{Accepted, Admitted};
pub(super) use watch::Progress;

/// How often idle connections are looked for, and bytes are added to the counters. An idle time
/// is kept to within this.
const TICK: Duration = Duration::from_secs(1);

/// Starts the actor on the current worker; it takes over whatever is admitted already.
pub(super) fn start(admitted: Rc<Admitted>) -> Life {
    run(|_| Connections { admitted }).1
}

struct Connections {
    admitted: Rc<Admitted>,
}

impl Actor for Connections {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.run_interval(TICK, |this, _| this.admitted.sweep());
        let admitted = Rc::clone(&self.admitted);
        let calls = async move {
            loop {
                admitted.setting.moving.news().await;
                admitted.call().await;
            }
        };
        ctx.spawn(calls.into_actor(self));
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::Arc;
    use std::sync::atomic::Ordering::Relaxed;

    use arc_swap::ArcSwap;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::Semaphore;
    use tokio::time::{Instant, timeout};

    use super::*;
    use crate::actor::cluster::Directory;
    use crate::actor::clusters::Snapshot;
    use crate::actor::listeners::Post;
    use crate::actor::mover::Moving;
    use crate::actor::parking::Parking;
    use crate::actor::routers::Tables;
    use crate::actor::setting::{Numbers, Setting};
    use crate::actor::slot::Slot;
    use crate::actor::supervisor::Group;
    use crate::actor::{cluster, listeners};
    use crate::config::{self, Bind, Listener};
    use crate::net::Stream;
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
