//! What a lane has admitted: its running connections, by whomever they are taken care of.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout};

use super::watch::{Progress, Watch, Why};
use crate::actor::arrivals::Downstream;
use crate::actor::connection::{Connection, Entry};
use crate::actor::listeners::Post;
use crate::actor::mover::Next;
use crate::actor::parking::Parked;
use crate::actor::setting::Setting;
use crate::actor::supervisor::{Group, Key};
use crate::net::Stream;
use crate::proxy::http::Leave;
use crate::supervise::Exit;

/// A socket that was just accepted, and its place among those the process takes.
#[derive(Debug)]
pub(in crate::actor) struct Accepted {
    /// Connected to the downstream peer.
    pub stream: Stream,
    /// Given back when the connection has ended.
    pub permit: OwnedSemaphorePermit,
}

type Watches = Rc<RefCell<HashMap<Key, Watch, foldhash::fast::RandomState>>>;

/// The connections of a lane.
///
/// It belongs to the [`Hall`](crate::actor::hall::Hall) of the worker's thread. Whoever ends it
/// does so on purpose: no crash on that thread costs a connection.
pub(in crate::actor) struct Admitted {
    pub(super) setting: Rc<Setting>,
    watches: Watches,
    pub(super) group: Group,
    taken_down: Cell<Option<Instant>>,
    accepting: RefCell<Vec<Arc<tokio::sync::Mutex<()>>>>,
}

impl Admitted {
    /// Nothing yet.
    pub(in crate::actor) fn new(setting: Setting) -> Self {
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
    pub(in crate::actor) fn accepting(&self, socket: usize) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.accepting.borrow_mut();
        while locks.len() <= socket {
            locks.push(Arc::default());
        }
        Arc::clone(&locks[socket])
    }

    /// The listener that they came by.
    pub(in crate::actor) fn post(&self) -> &Arc<Post> {
        &self.setting.post
    }

    /// Serves one more. It runs at once: in a mailbox it would be lost with its actor.
    pub(in crate::actor) fn admit(&self, accepted: Accepted) {
        self.setting.counters.connections.fetch_add(1, Relaxed);
        let progress = Progress::default();
        let idle_timeout = self.setting.post.settings().idle_timeout;
        progress.idle_timeout.set(idle_timeout);
        self.run(Entry::Accepted(accepted.stream), accepted.permit, progress);
    }

    /// Goes on with one that was parked. Where it cannot be, it is closed.
    pub(in crate::actor) fn resume(&self, Parked { socket, past }: Parked) {
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
    pub(in crate::actor) fn arrive(&self, downstream: Downstream) {
        let Downstream {
            permit,
            idle_timeout,
            quiet,
            what,
            ..
        } = downstream;
        let progress = Progress::default();
        progress.idle_timeout.set(idle_timeout);
        progress.quiet.set(quiet);
        if let Ok(entry) = Entry::arrived(what, &self.setting) {
            self.run(entry, permit, progress);
        } else {
            self.setting.counters.closed.fetch_add(1, Relaxed);
        }
    }

    /// Wishes that they go on in the successor, or where that cannot be, that they end.
    pub(in crate::actor) fn part(&self) {
        if self.post().mover().is_none() {
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
    pub(in crate::actor) fn remind(&self) {
        if self.setting.goodbye.is_move() && self.post().mover().is_none() {
            self.say_goodbye();
        }
    }

    /// Calls those that are to move from their rest, some at a time, until as many are on their way
    /// as may be, or all were called.
    ///
    /// Who has moved by itself, as everybody does whose request ends, is called in vain and takes
    /// nobody's place; who has a request under way takes none either, since it does not go.
    pub(super) async fn call(&self) {
        while self.call_some() {
            // Whoever goes is on its way when this goes on: it was woken before.
            tokio::task::yield_now().await;
        }
    }

    /// Whether more may be called, once those have set out that were called now.
    fn call_some(&self) -> bool {
        let moving = &self.setting.moving;
        let mut room = moving.room();
        while room > 0 {
            let Some(next) = moving.next() else {
                return false;
            };
            room -= usize::from(self.call_one(next));
        }
        moving.room() > 0
    }

    /// Whether it is there.
    fn call_one(&self, next: Next) -> bool {
        match next {
            Next::Parked(place) => {
                let generation = self.post().generation;
                let parked = self.setting.parking.leave_one(place, generation);
                parked.map(|one| self.resume(one)).is_some()
            }
            Next::Running(key) => {
                let watches = self.watches.borrow();
                let running = watches.get(&key);
                let ring = |watch: &Watch| {
                    watch.progress.quiet.set(watch.quiet);
                    watch.progress.flow.bell.ring_to_move();
                };
                running.map(ring).is_some()
            }
        }
    }

    /// Wishes that they end at their next rest. Those that are parked end now, unless they are
    /// owed an answer.
    pub(in crate::actor) fn say_goodbye(&self) {
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
    pub(in crate::actor) async fn emptied_within(&self, time: Duration) -> bool {
        let since = self.taken_down.get().unwrap_or_else(Instant::now);
        self.taken_down.set(Some(since));
        let left = time.saturating_sub(since.elapsed());
        timeout(left, self.emptied()).await.is_ok()
    }

    /// Waits until none is left.
    pub(in crate::actor) async fn emptied(&self) {
        loop {
            self.group.reaches(0).await;
            if self.setting.moving.is_done() {
                return;
            }
            self.setting.moving.all_called().await;
        }
    }

    /// Ends them all.
    pub(in crate::actor) async fn end(&self) {
        drop(self.setting.parking.leave(self.post().generation));
        self.setting.moving.end();
        self.group.kill_all();
        self.emptied().await;
    }

    /// A tick has passed: counts what was moved meanwhile, and ends those that are idle too long,
    /// or whose host had to be done.
    pub(super) fn sweep(&self) {
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
