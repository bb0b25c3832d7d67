//! What the process has counted, as one process tells the other in an upgrade.
//!
//! A predecessor tells all of it with its offer, and from then on what has changed: before the
//! commit, each second while it leaves, and as its last word. The successor has its own counters
//! count the difference, so that no sum falls and nothing is counted twice.

use std::cell::RefCell;
use std::sync::Arc;

use crate::actor::clusters::{Current, Shelf, Snapshot};
use crate::actor::listeners::{Board, Departed, Post};
use crate::cluster::Load;
use crate::protocol::handover::{Statement, Told, Whose};
use crate::telemetry::tally::Tally;

/// Entries of one message: a few hundred bytes each as a rule, ten thousand at most.
const MOST: usize = 1024;

/// After so many entries a part ends, between two clusters: what it takes to tell it is what all
/// else waits for.
const ENOUGH: usize = 64;

/// What the process has counted, and what has been told of that.
pub(crate) struct Accounts {
    shelf: Shelf,
    board: Board,
    /// What the successor has been told.
    telling: RefCell<Option<Telling>>,
    /// What the predecessor has told.
    heard: RefCell<Told>,
    /// The listeners that the predecessor has offered, in their order.
    offered: RefCell<Vec<String>>,
}

/// What a successor is told. The listeners are those of the offer, also when they are taken down.
struct Telling {
    posts: Arc<Vec<Arc<Post>>>,
    departed: Arc<Departed>,
    told: Told,
}

/// Whether a process that leaves goes on counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Further,
    Last,
}

/// One telling of all that is new, part by part.
pub(crate) struct Round {
    word: Word,
    listeners: Listeners,
    clusters: std::vec::IntoIter<Current>,
}

/// Whether what listeners have counted is told already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listeners {
    Untold,
    Told,
}

impl Accounts {
    pub(super) fn new(shelf: Shelf, board: Board) -> Self {
        Self {
            shelf,
            board,
            telling: RefCell::default(),
            heard: RefCell::default(),
            offered: RefCell::default(),
        }
    }

    /// Begins to tell a successor: all that was counted, in parts that fit into a message each.
    pub(super) fn open(&self) -> Vec<Statement> {
        let (posts, departed) = self.board.window().all();
        let told = Told::default();
        self.telling.replace(Some(Telling {
            posts,
            departed,
            told,
        }));
        self.news(Word::Further)
    }

    /// There will be no successor.
    pub(super) fn close(&self) {
        self.telling.take();
    }

    /// What was counted since the successor was last told.
    pub(super) fn news(&self, word: Word) -> Vec<Statement> {
        let mut round = self.round(word);
        let mut news = Vec::new();
        while let Some(part) = self.next_of(&mut round) {
            news.extend(part);
        }
        news
    }

    /// Begins to tell what is new.
    pub(super) fn round(&self, word: Word) -> Round {
        let clusters: Vec<_> = self.shelf.all().values().cloned().collect();
        Round {
            word,
            listeners: Listeners::Untold,
            clusters: clusters.into_iter(),
        }
    }

    /// The next part of it, which is to be told at once; `None` when that was all.
    pub(super) fn next_of(&self, round: &mut Round) -> Option<Vec<Statement>> {
        let mut telling = self.telling.borrow_mut();
        let telling = telling.as_mut()?;
        let mut news = Vec::new();
        if round.listeners == Listeners::Untold {
            round.listeners = Listeners::Told;
            telling.of_listeners(&mut news);
        }
        while news.len() < ENOUGH
            && let Some(current) = round.clusters.next()
        {
            telling.of_cluster(&current.load(), round.word, &mut news);
        }
        (!news.is_empty()).then(|| Statement(news).parts(MOST))
    }

    /// The predecessor has offered these listeners.
    pub(super) fn expect(&self, offered: Vec<String>) {
        self.offered.replace(offered);
    }

    /// Counts what the predecessor has counted.
    pub(super) fn credit(&self, statement: &Statement) {
        let mut heard = self.heard.borrow_mut();
        for (whose, all) in &statement.0 {
            if let Some(more) = heard.note(whose, all) {
                self.credit_one(whose, &more);
            }
        }
    }

    fn credit_one(&self, whose: &Whose, more: &Tally) {
        match whose {
            Whose::Listener(name) => match self.heir(name) {
                Some(post) => post.credit(more),
                None => self.board.window().all().1.credit(more),
            },
            Whose::PastListeners => self.board.window().all().1.credit(more),
            Whose::Cluster(name) | Whose::PastHosts(name) | Whose::Host(name, _) => {
                // What is counted of a cluster ends with it.
                if let Some(current) = self.shelf.find(&name.as_str().into()) {
                    credit_cluster(&current.load(), whose, more);
                }
            }
        }
    }

    /// The listener that has the sockets of one of the predecessor's, else the one of its name.
    fn heir(&self, name: &str) -> Option<Arc<Post>> {
        let posts = self.board.posts();
        let offered = self.offered.borrow();
        let place = offered.iter().position(|one| one == name);
        let has_place = |post: &&Arc<Post>| place.is_some() && post.inherited() == place;
        let has_name = |post: &&Arc<Post>| post.settings().name.as_str() == name;
        let heir = posts.iter().find(has_place);
        heir.or_else(|| posts.iter().find(has_name)).cloned()
    }

    /// Nothing more comes from the predecessor: what it had left has ended.
    pub(super) fn conclude(&self) {
        for post in self.board.posts().iter() {
            if let Some(earlier) = post.earlier.get() {
                earlier.conclude(post.arrived());
            }
        }
    }
}

/// Who has counted how much.
type News = Vec<(Whose, Tally)>;

impl Telling {
    fn note(&mut self, news: &mut News, whose: Whose, all: Tally) {
        if self.told.note(&whose, &all).is_some() {
            news.push((whose, all));
        }
    }

    fn of_listeners(&mut self, news: &mut News) {
        for post in self.posts.clone().iter() {
            let name = post.settings().name.to_string();
            self.note(news, Whose::Listener(name), post.tally());
        }
        let past = self.departed.tally();
        self.note(news, Whose::PastListeners, past);
    }

    /// Tells what a cluster has counted: its hosts', and apart from them what it has lost with hosts.
    fn of_cluster(&mut self, cluster: &Snapshot, word: Word, news: &mut News) {
        let name = cluster.settings.name.to_string();
        let tally = |load: &Load| match word {
            Word::Further => Tally::of(load),
            Word::Last => load.last_tally(),
        };
        let mut sum = Tally::default();
        for host in cluster.hosts.hosts() {
            let own = tally(host.load());
            sum.join(&own);
            self.note(news, Whose::Host(name.clone(), host.to_string()), own);
        }
        cluster
            .departed
            .loads()
            .for_each(|load| sum.join(&tally(load)));
        // A host that goes meanwhile takes nothing along, and one that comes back begins anew.
        let past = sum.since(&self.told.of_hosts(&name));
        self.note(news, Whose::PastHosts(name.clone()), past);
        let mut whole = Tally::of(&*cluster.limits);
        whole.count(&*cluster.checks);
        self.note(news, Whose::Cluster(name), whole);
    }
}

fn credit_cluster(cluster: &Snapshot, whose: &Whose, more: &Tally) {
    let host = match whose {
        Whose::Cluster(_) => {
            more.credit(&*cluster.limits);
            return more.credit(&*cluster.checks);
        }
        Whose::Host(_, address) => cluster.hosts.named(address),
        _ => None,
    };
    match host {
        Some(host) => more.credit(&**host.load()),
        None => cluster.departed.credit(more),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::protocol::handover::{Message, encode};
    use crate::telemetry::counters::HttpCounters;

    #[test]
    fn as_many_entries_as_a_message_has_fit_into_it_whatever_they_have_counted() {
        let counters = HttpCounters::default();
        for nanos in (10..40).flat_map(|power| (8..16_u64).map(move |step| step << (power - 3))) {
            let time = Duration::from_nanos(nanos);
            counters.begin();
            counters.end(200, time, time);
        }
        let mut tally = Tally::of(&counters);
        for _ in 0..40 {
            tally.join(&tally.clone());
        }
        let entry = (Whose::Listener("l".repeat(200)), tally);
        let statement = Statement(vec![entry; MOST]);
        let frame = encode(&Message::Counted { statement }, b"", 0);
        assert!(frame.unwrap().len() > MOST * 5000);
    }
}
