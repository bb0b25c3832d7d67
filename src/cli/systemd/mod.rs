//! The service manager: what it gives to this process, and what it is told.
//!
//! Without one nothing is said, and nothing waits for it. What is to be said when is decided in
//! `words` and `store`; here the process is looked at, once a second and whenever it turns.

mod notifier;
mod store;
mod watchdog;
mod words;

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::pending;
use std::ops::Range;
use std::os::fd::RawFd;
use std::time::Duration;

use slog::{Logger, warn};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use self::notifier::{Message, Notifier};
use self::store::Store;
use self::words::{Order, Phase, Seen, Word};
use crate::lifecycle::State;
use crate::net::{Given, Keeper, Legacy, take_descriptors};
use crate::protocol::handover::{ListenerOffer, Place};
use crate::{Charge, ProxyHandle};

/// Variables by which a process is told that it is the one that the manager has started. A
/// successor is not.
pub(super) const OF_THIS_PROCESS: [&str; 4] =
    ["LISTEN_FDNAMES", "LISTEN_FDS", "LISTEN_PID", "WATCHDOG_PID"];

/// How often the process is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What the service manager is to this process.
#[derive(Debug)]
pub(super) struct Manager {
    notifier: Option<Notifier>,
    watchdog: Option<Duration>,
    store: RefCell<Store>,
    said: RefCell<Seen>,
    /// Why the latest reload was refused, in a line.
    refused: RefCell<Option<String>>,
    /// The process is a successor, which the manager does not know yet.
    order: Cell<Order>,
}

impl Manager {
    /// The manager, and the sockets that it has given.
    pub(super) fn meet(log: &Logger) -> (Self, Legacy) {
        let (given, kept) = sockets(log);
        let notifier = std::env::var_os(notifier::SOCKET).map(|_| Notifier::start(log.clone()));
        let mut store = Store::default();
        store.has_of_earlier(kept);
        let manager = Self {
            watchdog: notifier
                .as_ref()
                .and_then(|_| sd_notify::watchdog_enabled()),
            notifier,
            store: RefCell::new(store),
            said: RefCell::default(),
            refused: RefCell::default(),
            order: Cell::new(Order::First),
        };
        let mut legacy = Legacy::default();
        for (name, error) in legacy.give(given) {
            warn!(log, "the socket `{name}` that was given is closed: {error}"; "tag" => "listener");
        }
        (manager, legacy)
    }

    /// This process takes over from one that had these listeners.
    pub(super) fn succeeds(&self, listeners: &[ListenerOffer]) {
        let names = listeners.iter().filter_map(|one| {
            let file = match &one.place {
                Place::Unix(path) => one.file.map(|place| (path.as_path(), place)),
                Place::Tcp(_) => None,
            };
            store::stored(&one.name, file)
        });
        self.store.borrow_mut().has_of_earlier(names);
        self.order.set(Order::Later);
    }

    /// Tells the manager what becomes of the process for as long as it is polled, and feeds its
    /// watchdog.
    pub(super) async fn attend(&self, proxy: &ProxyHandle, log: &Logger) -> Infallible {
        if self.notifier.is_none() {
            return pending().await;
        }
        let (mut state, mut charge) = (proxy.vitals().state(), proxy.charge());
        tokio::select! {
            never = self.report(proxy, &mut state, &mut charge) => match never {},
            never = self.feed(proxy, log) => match never {},
        }
    }

    async fn report(
        &self,
        proxy: &ProxyHandle,
        state: &mut watch::Receiver<State>,
        charge: &mut watch::Receiver<Charge>,
    ) -> Infallible {
        loop {
            state.mark_unchanged();
            charge.mark_unchanged();
            self.look(proxy);
            tokio::select! {
                Ok(()) = state.changed() => {}
                Ok(()) = charge.changed() => {}
                () = sleep(LOOK) => {}
            }
        }
    }

    /// Says what is new about the process.
    pub(super) fn look(&self, proxy: &ProxyHandle) {
        let Some(notifier) = &self.notifier else {
            return;
        };
        let vitals = proxy.vitals();
        let bound = vitals.bound();
        let now = Instant::now().into_std();
        let phase = Phase::of(*vitals.state().borrow(), &proxy.charge().borrow(), now);
        let seen = Seen {
            phase,
            listeners: bound.len(),
            connections: vitals.connections(),
            refused: self.refused.borrow().clone(),
        };
        let words = words::between(&self.said.borrow(), &seen, self.order.get());
        if !words.is_empty() {
            notifier.tell(Message::Words(words));
        }
        let wanted = match phase {
            Phase::Serving | Phase::Upgrading => Some([bound, vitals.doors()].concat()),
            // Who connects to what is closed is to be refused, not kept waiting.
            Phase::Lingering { .. } | Phase::Draining | Phase::Stopping => Some(Vec::new()),
            Phase::Elsewhere => None,
        };
        if let Some(wanted) = wanted {
            let messages = self.store.borrow_mut().becomes(wanted);
            messages.into_iter().for_each(|one| notifier.tell(one));
        }
        self.said.replace(seen);
    }

    /// A reload begins.
    pub(super) fn reloading(&self) {
        self.tell_of_reload(Word::Reloading);
    }

    /// A reload is over.
    pub(super) fn reloaded<T>(&self, outcome: &Result<T, String>) {
        let why = outcome.as_ref().err();
        let first = why.and_then(|why| why.lines().next());
        self.refused.replace(first.map(str::to_owned));
        self.tell_of_reload(Word::Ready);
    }

    fn tell_of_reload(&self, word: Word) {
        if let Some(notifier) = &self.notifier {
            notifier.tell(Message::Words(vec![word]));
        }
    }

    /// Feeds the watchdog as long as every worker's thread answers, and this one does, which polls
    /// this.
    async fn feed(&self, proxy: &ProxyHandle, log: &Logger) -> Infallible {
        let (Some(notifier), Some(interval)) = (&self.notifier, self.watchdog) else {
            return pending().await;
        };
        let mut charge = proxy.charge();
        loop {
            // Whoever is in charge is looked after.
            if charge
                .wait_for(|charge| *charge == Charge::Ours)
                .await
                .is_err()
            {
                return pending().await;
            }
            watchdog::all_answer(proxy, interval / 4, log).await;
            notifier.tell(Message::Words(vec![Word::Watchdog]));
            sleep(interval / 2).await;
        }
    }

    /// Waits a moment until everything is said.
    pub(super) fn bid_farewell(self) {
        if let Some(notifier) = self.notifier {
            notifier.close();
        }
    }
}

/// The sockets that the manager has given, those of other processes excepted, and by which names it
/// has kept some of them.
fn sockets(log: &Logger) -> (Vec<Given>, Vec<String>) {
    let named = || {
        let mut named: Vec<(RawFd, String)> = sd_notify::listen_fds_with_names()?.collect();
        named.sort_unstable();
        Ok::<_, std::io::Error>(named)
    };
    let named = named().unwrap_or_else(|error| {
        warn!(
            log,
            "the sockets that the service manager gives are not understood: {}", error
        );
        Vec::new()
    });
    let Some((first, _)) = named.first() else {
        return (Vec::new(), Vec::new());
    };
    let last = first + RawFd::try_from(named.len()).unwrap_or_default();
    let descriptors: Range<RawFd> = *first..last;
    let descriptors = take_descriptors(descriptors);
    let (mut given, mut kept) = (Vec::new(), Vec::new());
    for (socket, (_, called)) in descriptors.into_iter().zip(named) {
        let earlier = store::listener_of(&called);
        let keeper = match &earlier {
            Some(_) => Keeper::EarlierLife,
            None => Keeper::Starter,
        };
        kept.extend(earlier.is_some().then(|| called.clone()));
        let (name, file) = earlier.unwrap_or((called, None));
        given.push(Given {
            name,
            keeper,
            file,
            socket,
        });
    }
    (given, kept)
}
