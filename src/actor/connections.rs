//! The connections of one lane: runs them, counts them, and closes those that are idle too long.
//!
//! In: [`Admit`] from the acceptor; [`Emptied`] from the worker. Out: the counters of the lane,
//! and an event for each connection that panicked. It looks at every connection once a second, so
//! that none needs a timer of its own.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use actix::prelude::*;
use slog::Level;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::actor::cluster::Directory;
use crate::actor::connection::Connection;
use crate::actor::listeners::Post;
use crate::actor::logger::{self, Event};
use crate::actor::slot::{Slot, Unavailable};
use crate::actor::supervisor::{Group, Key, Life, run};
use crate::net::Stream;
use crate::proxy::Flow;
use crate::supervise::Exit;
use crate::telemetry::counters::ListenerCounters;

/// How often idle connections are looked for, and bytes are added to the counters. An idle time
/// is kept to within this.
const TICK: Duration = Duration::from_secs(1);

/// What the connections of a lane share.
#[derive(Clone)]
pub(super) struct Setting {
    /// The listener; its settings are read anew by each connection.
    pub post: Arc<Post>,
    /// This worker's counters of it.
    pub counters: Arc<ListenerCounters>,
    /// This worker's clusters.
    pub directory: Directory,
    /// Where events go.
    pub logger: Slot<logger::Handle>,
    /// Where a connection says how it went, at debug level.
    pub log: slog::Logger,
}

impl Setting {
    /// Tells the logger of something that may happen to every connection.
    pub(super) fn note(&self, event: Event) {
        if let Some(logger) = self.logger.get() {
            logger.note(event);
        }
    }
}

/// Starts the actor on the current worker and fills `slot` with the door to it.
pub(super) fn start(setting: &Setting, slot: &Slot<Handle>) -> Life {
    let (address, life) = run(|_| Connections::new(Rc::new(setting.clone())));
    slot.fill(Handle(address));
    life
}

/// The only way in.
#[derive(Clone)]
pub(super) struct Handle(Addr<Connections>);

impl Handle {
    /// Hands over sockets that were just accepted, and waits until they are taken.
    ///
    /// # Errors
    ///
    /// [`MailboxError`] when the actor ended; the sockets are closed.
    ///
    /// # Cancel safety
    ///
    /// Safe: once polled, the sockets are handed over.
    pub(super) async fn admit(&self, accepted: Vec<Accepted>) -> Result<(), MailboxError> {
        // actix skips a question whose asker has gone, and these sockets would be lost with it.
        let (taken, answer) = oneshot::channel();
        let told = self.0.try_send(Admit { accepted, taken });
        told.map_err(|_| MailboxError::Closed)?;
        answer.await.map_err(|_| MailboxError::Closed)
    }
}

/// Waits until no connection is left.
///
/// # Errors
///
/// [`Unavailable`] when the actor ended and did not come back.
pub(super) async fn emptied(connections: &Slot<Handle>) -> Result<(), Unavailable> {
    connections.ask(|handle| handle.0.send(Emptied)).await
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
}

impl Progress {
    /// Of two limits the shorter one holds.
    pub(super) fn also_limit(&self, idle_timeout: Option<Duration>) {
        let limits = [self.idle_timeout.get(), idle_timeout];
        self.idle_timeout.set(limits.into_iter().flatten().min());
    }
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
            progress,
            received: 0,
            sent: 0,
            quiet: Duration::ZERO,
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

    /// One tick has passed; whether the connection has now been idle for too long.
    fn is_overdue(&mut self, counters: &ListenerCounters) -> bool {
        if self.settle(counters) {
            self.quiet = Duration::ZERO;
            return false;
        }
        self.quiet += TICK;
        self.progress
            .idle_timeout
            .get()
            .is_some_and(|limit| self.quiet > limit)
    }
}

type Watches = Rc<RefCell<HashMap<Key, Watch, foldhash::fast::RandomState>>>;

struct Connections {
    setting: Rc<Setting>,
    watches: Watches,
    group: Group,
}

impl Connections {
    fn new(setting: Rc<Setting>) -> Self {
        let watches = Watches::default();
        let (left, lane) = (Rc::clone(&watches), Rc::clone(&setting));
        let group = Group::new(move |key, exit| {
            if let Some(mut watch) = left.borrow_mut().remove(&key) {
                watch.settle(&lane.counters);
            }
            lane.counters.closed.fetch_add(1, Relaxed);
            if let Exit::Panic(text) = exit {
                let name = &lane.post.settings.load().name;
                let text = format!("a connection of listener `{name}` panicked: {text}");
                let (level, kind) = (Level::Error, name.to_string());
                lane.note(Event {
                    level,
                    tag: "mosn.proxy.panic",
                    kind,
                    text,
                });
            }
        });
        Self {
            setting,
            watches,
            group,
        }
    }

    fn sweep(&mut self) {
        let counters = &self.setting.counters;
        let overdue: Vec<Key> = {
            let mut watches = self.watches.borrow_mut();
            let look =
                |(key, watch): (&Key, &mut Watch)| watch.is_overdue(counters).then_some(*key);
            watches.iter_mut().filter_map(look).collect()
        };
        for key in overdue {
            counters.idle_closed.fetch_add(1, Relaxed);
            self.group.kill(key);
        }
    }
}

impl Actor for Connections {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.run_interval(TICK, |this, _| this.sweep());
    }
}

impl Drop for Connections {
    /// The group ends its connections; what they moved is counted as they go.
    fn drop(&mut self) {
        self.group.kill_all();
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Admit {
    accepted: Vec<Accepted>,
    /// Whoever waits may have gone.
    taken: oneshot::Sender<()>,
}

impl Handler<Admit> for Connections {
    type Result = ();

    fn handle(&mut self, Admit { accepted, taken }: Admit, _: &mut Context<Self>) {
        for accepted in accepted {
            self.setting.counters.connections.fetch_add(1, Relaxed);
            let progress = Rc::new(Progress::default());
            self.group.run(|member| {
                let watch = Watch::new(Rc::clone(&progress));
                self.watches.borrow_mut().insert(member.key(), watch);
                Connection::new(accepted, Rc::clone(&self.setting), progress)
            });
        }
        let _ = taken.send(());
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Emptied;

impl Handler<Emptied> for Connections {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, Emptied: Emptied, _: &mut Context<Self>) -> Self::Result {
        Box::pin(self.group.reaches(0).into_actor(self))
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use futures::FutureExt;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::actor::listeners;
    use crate::config::{Bind, Listener};

    /// What the connections of a listener without sockets share.
    async fn setting() -> Setting {
        let slot = Slot::default();
        let _life = listeners::start(listeners::Board::default(), 1, &slot);
        let listener = Listener {
            bind: Bind::Virtual,
            ..Listener::new("app", ([127, 0, 0, 1], 0).into(), "origins")
        };
        let posts = listeners::bind(&slot, vec![Arc::new(listener)], vec![]).await;
        let post = posts.unwrap().remove(0);
        Setting {
            counters: Arc::clone(&post.counters[0]),
            post,
            directory: Directory::default(),
            logger: Slot::default(),
            log: slog::Logger::root(slog::Discard, slog::o!()),
        }
    }

    #[actix::test]
    async fn sockets_outlive_an_acceptor_that_ends_while_it_hands_them_over() {
        let (setting, slot) = (setting().await, Slot::default());
        let _life = start(&setting, &slot);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        let accepted = Accepted {
            stream: Stream::new(socket.into()).unwrap(),
            permit: Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap(),
        };

        assert!(
            slot.get()
                .unwrap()
                .admit(vec![accepted])
                .now_or_never()
                .is_none()
        );

        emptied(&slot).await.unwrap();
        assert_eq!(setting.counters.connections.load(Relaxed), 1);
    }
}
