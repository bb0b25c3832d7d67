//! Owns the bound sockets, so that no crash below closes a port.
//!
//! In: listeners to bind, publish and release, from the root. Out: the [`Board`], which every
//! worker reads to know its lanes. The board belongs to the root, so a crash here closes nothing
//! either. Binding comes before publishing: a change that cannot bind leaves no trace.

mod board;
mod departed;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use actix::prelude::*;
use arc_swap::ArcSwap;

use crate::actor::mover::Mover;
use crate::actor::slot::{Slot, Unavailable};
use crate::actor::supervisor::{Life, run};
use crate::config::{self, Address, Bind};
use crate::name::ListenerName;
use crate::net::{self, Claimed, Legacy, Listening};
use crate::protocol::detect::Habits;
use crate::proxy::http::Fitting;
use crate::telemetry::counters::{Earlier, HttpCounters, ListenerCounters};
use crate::telemetry::tally::Tally;
use board::Current;
pub(super) use board::{Board, Window};
pub(super) use departed::{Counted, Departed};

/// A listener as the workers see it.
#[derive(Debug)]
pub(crate) struct Post {
    /// Told apart from an earlier listener of the same name.
    pub generation: u64,
    /// Its settings; a change of them holds for connections and requests that come later.
    pub fitting: ArcSwap<Fitting>,
    /// One a worker over TCP, or those of a predecessor; one for all over a unix socket. None when
    /// it is virtual, or taken down: then each closes as its acceptor lets go of it.
    sockets: ArcSwap<Vec<Arc<Listening>>>,
    /// Whether another process accepts on the same sockets.
    paused: AtomicBool,
    /// Its place in what the predecessor has offered.
    inherited: Option<usize>,
    /// How its connections leave for the successor, once that has taken over.
    mover: OnceLock<Mover>,
    /// To where clients are silent at first, as far as that was met.
    pub silent: ArcSwap<Habits>,
    /// One a worker.
    pub counters: Vec<Arc<ListenerCounters>>,
    /// One a worker, too.
    pub requests: Vec<Arc<HttpCounters>>,
    /// What earlier processes have counted of it, if there were any.
    pub earlier: OnceLock<Arc<Earlier>>,
}

impl Post {
    /// What the plan says of it.
    #[must_use]
    pub(crate) fn settings(&self) -> Arc<config::Listener> {
        Arc::clone(&self.fitting.load().listener)
    }

    /// A socket that a worker accepts on; `None` when it has no more.
    ///
    /// Each socket has a worker, so that none has a queue that nobody looks at: with more sockets
    /// than workers some have several, with fewer some share one.
    #[must_use]
    pub(crate) fn socket(&self, worker: usize, index: usize) -> Option<Arc<Listening>> {
        let sockets = self.sockets.load();
        let workers = self.counters.len();
        match index {
            0 => sockets.get(worker % sockets.len().max(1)).cloned(),
            _ => sockets.get(worker + index * workers).cloned(),
        }
    }

    /// How many sockets a worker accepts on.
    #[must_use]
    pub(crate) fn sockets_of(&self, worker: usize) -> usize {
        (0..)
            .take_while(|&index| self.socket(worker, index).is_some())
            .count()
    }

    /// Every socket, each once.
    #[must_use]
    pub(crate) fn sockets(&self) -> Vec<Arc<Listening>> {
        let mut sockets = Vec::clone(&self.sockets.load());
        // The workers share the one of a unix socket.
        sockets.dedup_by(|one, other| Arc::ptr_eq(one, other));
        sockets
    }

    /// Whether another process accepts on the same sockets, and this one must not.
    #[must_use]
    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Relaxed)
    }

    /// Its place in what the predecessor has offered, if its sockets are that one's.
    #[must_use]
    pub(crate) fn inherited(&self) -> Option<usize> {
        self.inherited
    }

    /// Has its connections leave for the successor when it is taken down.
    pub(crate) fn move_by(&self, mover: Mover) {
        // A process has one successor.
        let _ = self.mover.set(mover);
    }

    /// How its connections leave for the successor, if any can.
    #[must_use]
    pub(crate) fn mover(&self) -> Option<&Mover> {
        self.mover.get().filter(|mover| mover.is_open())
    }

    /// Has it count what an earlier process has counted.
    pub(crate) fn credit(&self, counted: &Tally) {
        counted.credit(&**self.earlier.get_or_init(Arc::default));
    }

    /// Notes that one of its connections has come from the predecessor, before any worker has it: the
    /// predecessor may say any moment that no more will come.
    pub(crate) fn note_arrival(&self) {
        self.counters[0].arrived.fetch_add(1, Relaxed);
    }

    /// Connections that came from the predecessor.
    pub(crate) fn arrived(&self) -> u64 {
        let arrived = |counters: &Arc<ListenerCounters>| counters.arrived.load(Relaxed);
        self.counters.iter().map(arrived).sum()
    }

    /// Where it really listens, which differs from the settings when those ask for port 0.
    #[must_use]
    pub(crate) fn local_address(&self) -> Option<Address> {
        self.sockets
            .load()
            .first()
            .map(|socket| socket.address().clone())
    }
}

/// The sockets of one listener.
type Sockets = Arc<Vec<Arc<Listening>>>;

/// What a predecessor has handed over, and what the process was started with. It belongs to the
/// root.
pub(super) type Inherited = Rc<RefCell<Legacy>>;

/// Starts the actor, fills `slot` with the door to it, and writes to `board`.
pub(super) fn start(
    board: Board,
    inherited: Inherited,
    workers: usize,
    slot: &Slot<Handle>,
) -> Life {
    let (address, life) = run(|_| Listeners {
        board,
        inherited,
        workers,
    });
    slot.fill(Handle(address));
    life
}

/// The only way in.
#[derive(Clone)]
pub(super) struct Handle(Addr<Listeners>);

/// Binds listeners without publishing them; those named in `leaving` are about to be taken down,
/// and leave their sockets to whoever wants their addresses.
///
/// # Errors
///
/// [`BindError`] names the listener; every socket bound on the way is closed again.
pub(super) async fn bind(
    listeners: &Slot<Handle>,
    wanted: Vec<Arc<Fitting>>,
    leaving: Vec<ListenerName>,
) -> Result<Vec<Arc<Post>>, BindError> {
    let bind = BindAll { wanted, leaving };
    listeners.ask(|handle| handle.0.send(bind.clone())).await?
}

/// Publishes `added`, gives `changed` their new settings and takes `removed` down, at one stroke.
///
/// # Errors
///
/// [`Unavailable`] when the actor did not come back in time; then nothing, or all of it, is done.
pub(super) async fn publish(listeners: &Slot<Handle>, edition: Edition) -> Result<(), Unavailable> {
    listeners.ask(|handle| handle.0.send(edition.clone())).await
}

/// A listener could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address could not be listened on.
    #[error("listener `{name}`: {error}")]
    Address {
        /// The listener.
        name: ListenerName,
        /// Where it was to listen, and what the kernel said.
        error: net::BindError,
    },
    /// The actor did not come back in time.
    #[error("listeners: {0}")]
    Unavailable(#[from] Unavailable),
}

/// What one publication changes.
#[derive(Clone, Debug, Default, Message)]
#[rtype(result = "()")]
pub(super) struct Edition {
    /// Listeners that [`bind`] prepared.
    pub added: Vec<Arc<Post>>,
    /// New settings of listeners that keep their sockets.
    pub changed: Vec<Arc<Fitting>>,
    /// Listeners that accept no more.
    pub removed: Vec<ListenerName>,
    /// Listeners on whose sockets another process accepts now.
    pub paused: Vec<Arc<Post>>,
    /// Listeners on whose sockets no other process accepts any more.
    pub resumed: Vec<Arc<Post>>,
}

/// With what a listener begins.
#[derive(Default)]
struct Seat {
    sockets: Sockets,
    inherited: Option<usize>,
    silent: Habits,
}

struct Listeners {
    board: Board,
    inherited: Inherited,
    workers: usize,
}

impl Listeners {
    /// Sockets for one listener: those of one that leaves the same address, or new ones.
    ///
    /// Listeners that trade an address in one change must not close it in between.
    fn seat(
        &self,
        wanted: &config::Listener,
        leaving: &mut Vec<Arc<Post>>,
    ) -> Result<Seat, net::BindError> {
        if wanted.bind == Bind::Virtual {
            return Ok(Seat::default());
        }
        let claimed = self
            .inherited
            .borrow_mut()
            .claim(&wanted.name, &wanted.address);
        if let Some(Claimed {
            place,
            sockets,
            silent,
        }) = claimed
        {
            return Ok(Seat {
                sockets: Arc::new(sockets),
                inherited: place,
                silent: Habits::told(silent, Instant::now()),
            });
        }
        // Two that ask for any port have equal settings, and yet want two ports.
        let holds = |post: &Arc<Post>| post.local_address().as_ref() == Some(&wanted.address);
        let sockets = match leaving.iter().position(holds) {
            Some(at) => leaving.swap_remove(at).sockets.load_full(),
            None => Arc::new(net::bind(&wanted.address, self.workers)?),
        };
        Ok(Seat {
            sockets,
            ..Seat::default()
        })
    }

    fn bind(&self, BindAll { wanted, leaving }: BindAll) -> Result<Vec<Arc<Post>>, BindError> {
        let mut posts = Vec::clone(&self.board.posts());
        posts.retain(|post| leaving.contains(&post.settings().name));
        let post = |fitting: Arc<Fitting>| {
            let seat = self.seat(&fitting.listener, &mut posts);
            let Seat {
                sockets,
                inherited,
                silent,
            } = seat.map_err(|error| BindError::Address {
                name: fitting.listener.name.clone(),
                error,
            })?;
            Ok(Arc::new(Post {
                generation: self.board.next_generation(),
                fitting: ArcSwap::new(fitting),
                silent: ArcSwap::from_pointee(silent),
                sockets: ArcSwap::new(sockets),
                paused: AtomicBool::new(self.board.holds()),
                inherited,
                mover: OnceLock::new(),
                counters: (0..self.workers).map(|_| Arc::default()).collect(),
                requests: (0..self.workers).map(|_| Arc::default()).collect(),
                earlier: OnceLock::new(),
            }))
        };
        wanted.into_iter().map(post).collect()
    }
}

impl Actor for Listeners {
    type Context = Context<Self>;
}

#[derive(Clone, Message)]
#[rtype(result = "Result<Vec<Arc<Post>>, BindError>")]
struct BindAll {
    wanted: Vec<Arc<Fitting>>,
    leaving: Vec<ListenerName>,
}

impl Handler<BindAll> for Listeners {
    type Result = Result<Vec<Arc<Post>>, BindError>;

    fn handle(&mut self, bind: BindAll, _: &mut Context<Self>) -> Self::Result {
        self.bind(bind)
    }
}

impl Handler<Edition> for Listeners {
    type Result = ();

    fn handle(&mut self, edition: Edition, _: &mut Context<Self>) {
        let before = self.board.current();
        let (mut posts, mut gone) = (Vec::clone(&before.posts), Vec::new());
        // A question asked twice must not publish twice, nor take down what it has published.
        let new = |post: &Arc<Post>| edition.added.iter().any(|added| Arc::ptr_eq(added, post));
        posts.retain(|post| {
            let stays = new(post) || !edition.removed.contains(&post.settings().name);
            if !stays {
                post.sockets.store(Arc::default());
                gone.push(Arc::clone(post));
            }
            stays
        });
        for fitting in edition.changed {
            let name = &fitting.listener.name;
            if let Some(post) = posts.iter().find(|post| post.settings().name == *name) {
                post.fitting.store(fitting);
            }
        }
        for (posts, paused) in [(edition.paused, true), (edition.resumed, false)] {
            posts
                .iter()
                .for_each(|post| post.paused.store(paused, Relaxed));
        }
        let known = |post: &Arc<Post>| posts.iter().any(|held| Arc::ptr_eq(held, post));
        let added: Vec<_> = edition
            .added
            .into_iter()
            .filter(|post| !known(post))
            .collect();
        posts.extend(added);
        let departed = match gone.is_empty() {
            true => Arc::clone(&before.departed),
            false => Arc::new(before.departed.with(&gone)),
        };
        let posts = Arc::new(posts);
        self.board.store(Current { posts, departed });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(address: &str) -> Arc<Fitting> {
        let address = address.parse().unwrap();
        let listener = config::Listener::new("app", address, "origins");
        Arc::new(Fitting::bare(Arc::new(listener)))
    }

    #[actix::test]
    async fn a_publication_that_is_asked_for_twice_is_one() {
        let (board, slot) = (Board::default(), Slot::default());
        let _life = start(board.clone(), Inherited::default(), 1, &slot);
        let publish_one = async |removed| {
            let added = bind(&slot, vec![wanted("127.0.0.1:0")], vec![])
                .await
                .unwrap();
            let edition = Edition {
                added,
                removed,
                ..Edition::default()
            };
            publish(&slot, edition.clone()).await.unwrap();
            edition
        };
        publish_one(vec![]).await;
        let second = publish_one(vec!["app".into()]).await;

        publish(&slot, second.clone()).await.unwrap();

        let posts = board.posts();
        assert_eq!(posts.len(), 1);
        assert!(Arc::ptr_eq(&posts[0], &second.added[0]));
        assert!(posts[0].socket(0, 0).is_some());
    }

    #[actix::test]
    async fn the_sockets_of_one_that_leaves_go_to_one_only() {
        let (board, slot) = (Board::default(), Slot::default());
        let _life = start(board.clone(), Inherited::default(), 1, &slot);
        let added = bind(&slot, vec![wanted("127.0.0.1:0")], vec![])
            .await
            .unwrap();
        let address = added[0].local_address().unwrap().to_string();
        let edition = Edition {
            added,
            ..Edition::default()
        };
        publish(&slot, edition).await.unwrap();
        let (one, both) = (vec![wanted(&address)], vec![wanted(&address); 2]);

        let stays = bind(&slot, one.clone(), vec![]).await;
        let leaves = bind(&slot, one, vec!["app".into()]).await;
        let twice = bind(&slot, both, vec!["app".into()]).await;

        assert!(stays.is_err() && leaves.is_ok() && twice.is_err());
    }
}
