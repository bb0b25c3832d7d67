//! What workers and upgrades are given of the house, and what it is given by a predecessor.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::ApplyError;
use super::house::House;
use crate::actor::accounts::Accounts;
use crate::actor::admin::DoorSocket;
use crate::actor::clusters;
use crate::actor::findings::Findings;
use crate::actor::listeners::Post;
use crate::actor::upgrade::{Desk, Estate, Holdings};
use crate::actor::worker::Orders;
use crate::lifecycle::{Effect, State};
use crate::net::{Legacy, place};
use crate::protocol::handover::{ListenerOffer, Shown, Statement};
use crate::upstream::Neighbours;

/// How long whoever is talked to may take to be told that this process ends.
const TOLD_WITHIN: Duration = Duration::from_secs(1);

/// Addresses of silent clients that are told of each listener, so that an offer stays small.
const MOST_SILENT: usize = 64;

impl House {
    /// What every worker is made from.
    pub(super) fn orders(&self) -> Orders {
        Orders {
            index: 0,
            shelf: self.shelf.clone(),
            clusters: self.clusters.clone(),
            neighbours: Neighbours::default(),
            book: self.options.book.clone(),
            arrivals: self.arrivals.clone(),
            board: self.board.clone(),
            tables: self.tables.clone(),
            numbers: Arc::clone(&self.numbers),
            admission: Arc::clone(&self.admission),
            drain_time: self.options.drain_time,
            logger: self.logger.clone(),
            log: self.options.log.clone(),
        }
    }

    /// Says by what connections from a predecessor find their places.
    pub(super) fn furnish(&self) {
        if let Some(desk) = &self.succession.desk {
            desk.furnish(Holdings {
                seats: RefCell::default(),
                shelf: self.shelf.clone(),
                board: self.board.clone(),
                admission: Arc::clone(&self.admission),
                arrivals: self.arrivals.clone(),
                findings: Findings::new(self.shelf.clone(), self.checks.clone()),
                accounts: Accounts::new(self.shelf.clone(), self.board.clone()),
            });
        }
    }

    fn desk_of_successor(&self) -> Option<&Rc<Desk>> {
        let desk = self.succession.desk.as_ref();
        desk.filter(|_| self.succession.is_successor())
    }

    /// Carries effects out; the end of this process waits a moment for those that precede it.
    pub(super) async fn perform(&self, effects: Vec<Effect>) {
        let performed = self.perform_in_turn(effects);
        match self.state.get() {
            State::Stopping => drop(timeout(TOLD_WITHIN, performed).await),
            _ => performed.await,
        }
    }

    /// Ends the talk with the other process, which must not take an end of this one that somebody
    /// wishes for a death.
    pub(super) async fn hang_up(&self, desk: &Rc<Desk>) {
        match self.state.get() {
            State::Stopping | State::Draining { .. } | State::Lingering { .. }
                if desk.is_talking() =>
            {
                let own = std::process::id();
                desk.refuse(format!("process {own} was told to end")).await;
            }
            _ => Rc::clone(desk).hang_up().await,
        }
    }

    /// Tells the predecessor why there will be no successor.
    pub(super) async fn decline(&self, reason: &ApplyError) {
        if let Some(desk) = self.desk_of_successor() {
            desk.refuse(reason.to_string()).await;
        }
    }

    /// Goes on with what the predecessor knows of hosts.
    pub(super) async fn inherit(&self, shown: &Shown) {
        // One after the other, and before the hosts are probed.
        let _turn = self.succession.effects.lock().await;
        let Some(desk) = &self.succession.desk else {
            return;
        };
        let (found, charts) = desk.found_in(shown);
        self.checks.inherit(charts);
        if !found.is_empty()
            && let Err(error) = clusters::take_over(&self.clusters, found).await
        {
            slog::error!(self.options.log, "[reconfigure] what is known of hosts is lost: {error}"; "tag" => "server");
        }
    }

    /// Goes on with what the predecessor has counted. It is done at once: counters wait for nobody.
    pub(super) fn credit(&self, statement: &Statement) {
        if let Some(desk) = &self.succession.desk {
            desk.credit(statement);
        }
    }

    /// The predecessor tells nothing more.
    pub(super) fn conclude(&self) {
        if let Some(desk) = &self.succession.desk {
            desk.conclude();
        }
    }

    /// The offered listeners that this successor has, by their places in the offer.
    pub(super) fn inherited_places(&self) -> Vec<usize> {
        let posts = self.board.posts();
        posts.iter().filter_map(|post| post.inherited()).collect()
    }

    /// Probes the hosts, which the predecessor does no more.
    pub(super) async fn probe(&self) {
        let _turn = self.succession.effects.lock().await;
        self.checks.take_over();
    }
}

/// How a listener is offered to a successor.
pub(super) fn listener(post: &Arc<Post>) -> ListenerOffer {
    let settings = post.settings();
    let sockets = post.sockets();
    let address = post.local_address();
    ListenerOffer {
        name: settings.name.to_string(),
        configured: place(&settings.address),
        place: place(address.as_ref().unwrap_or(&settings.address)),
        sockets: sockets.len(),
        file: sockets.first().and_then(|socket| socket.file()),
        silent: silent(post),
    }
}

/// To where clients of a listener are known to be silent at first.
fn silent(post: &Post) -> Vec<(SocketAddr, u64)> {
    let latest = post.silent.load().latest(MOST_SILENT, Instant::now());
    let millis = |ago: Duration| u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
    let told = latest.into_iter().map(|(place, ago)| (place, millis(ago)));
    told.collect()
}

/// What a predecessor has handed over: sockets, what it knows of hosts, and what it has counted of
/// the listeners by these names, and of all else.
pub(super) type Opened = (Legacy, Shown, (Vec<String>, Vec<Statement>));

pub(super) fn opened(estate: Estate) -> Result<Opened, std::io::Error> {
    let Estate {
        offer,
        sockets,
        shown,
        counted,
    } = estate;
    let names = offer.listeners.iter().map(|one| one.name.clone()).collect();
    let legacy = Legacy::new(&offer.listeners, sockets)?;
    Ok((legacy, shown, (names, counted)))
}

/// A socket of the admin door, which is behind all listeners, so that none is taken for it.
pub(super) fn door(one: &DoorSocket) -> ListenerOffer {
    ListenerOffer {
        name: one.name.to_string(),
        configured: place(&one.wanted),
        place: place(one.socket.address()),
        sockets: 1,
        file: one.socket.file(),
        silent: Vec::new(),
    }
}
