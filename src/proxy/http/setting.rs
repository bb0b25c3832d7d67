//! What an HTTP connection is lent by the lane that it lives in.

use std::cell::{Cell, OnceCell};
use std::fmt;
use std::future::{Future, pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::cluster::Suspicion;
use crate::config::{self, HttpProxy, NetworkFilter, Router, RpcProxy, Target};
use crate::filter::Chain;
use crate::name::{ConnectionId, RouterName};
use crate::net::{Stream, Word};
use crate::protocol::Codecs;
use crate::proxy::Flow;
use crate::route::Table;
use crate::telemetry::access_log::Log;
use crate::telemetry::counters::HttpCounters;
use crate::upstream::{Hosts, Pools};

use super::Stage;

/// What an HTTP connection is lent by the lane that it lives in.
pub trait Setting: 'static {
    /// Who is asked for hosts.
    type Hosts: Hosts;

    /// Who is asked for hosts.
    fn hosts(&self) -> &Self::Hosts;

    /// This worker's upstream connections.
    fn pools(&self) -> &Pools;

    /// The listener as it is now; a request keeps what it started with.
    fn fitting(&self) -> Arc<Fitting>;

    /// The routes of that name as they are now.
    fn table(&self, router: &RouterName) -> Option<Arc<Table>>;

    /// A number for a request, never given twice in this process.
    fn next_id(&self) -> u64;

    /// What this worker counts of the listener's requests.
    fn counters(&self) -> &HttpCounters;

    /// Writes a line to each access log of the listener, formatted by `line`.
    fn log(
        &self,
        fitting: &Arc<Fitting>,
        line: &mut dyn FnMut(&config::AccessFormat, &mut Vec<u8>),
    );

    /// Runs work that no request waits for. More of it than the lane has room for is dropped.
    fn run_aside(&self, work: Pin<Box<dyn Future<Output = ()>>>) -> Aside;

    /// Brings a host before its judge that failed too often.
    fn suspect(&self, suspicion: Suspicion);

    /// Tells of something that may happen to every request.
    fn note(&self, trouble: Notice);
}

/// What became of work that no request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aside {
    /// It runs.
    Runs,
    /// There was no room for it.
    Dropped,
}

/// Something that went wrong with a request, for the log.
#[derive(Debug)]
pub struct Notice {
    /// What log readers search for.
    pub tag: &'static str,
    /// Notices of one kind are one line a second.
    pub kind: String,
    /// The whole sentence.
    pub text: String,
}

/// A listener's settings, and what is made of them once for all requests.
#[derive(Debug)]
pub struct Fitting {
    /// As the plan has it.
    pub listener: Arc<config::Listener>,
    /// Its stream filters.
    pub chain: Chain,
    /// One for each of its access logs.
    pub logs: Vec<Log>,
    /// The protocols of frames that are spoken.
    pub codecs: Codecs,
    /// Where its requests go when it names a cluster instead of a router.
    short: Option<Arc<Table>>,
}

impl Fitting {
    /// What a listener needs that has neither stream filters nor access logs.
    #[must_use]
    pub fn bare(listener: Arc<config::Listener>) -> Self {
        Self::new(listener, Chain::default(), Vec::new(), Codecs::default())
    }

    /// Makes what the requests of a listener need. `chain` is that of its stream filters, and
    /// `logs` are its access logs, in their order.
    #[must_use]
    pub fn new(
        listener: Arc<config::Listener>,
        chain: Chain,
        logs: Vec<Log>,
        codecs: Codecs,
    ) -> Self {
        let short = match target(&listener.filter) {
            Some(Target::Cluster(cluster)) => {
                Some(Arc::new(Table::new(Arc::new(Router::to(cluster.clone())))))
            }
            _ => None,
        };
        Self {
            listener,
            chain,
            logs,
            codecs,
            short,
        }
    }

    /// Its `proxy` filter; `None` when its connections are not HTTP any more.
    #[must_use]
    pub fn proxy(&self) -> Option<&HttpProxy> {
        match &self.listener.filter {
            NetworkFilter::Auto(auto) => Some(&auto.http),
            NetworkFilter::Proxy(proxy) => Some(proxy),
            NetworkFilter::Close | NetworkFilter::Rpc(_) | NetworkFilter::TcpProxy(_) => None,
        }
    }

    /// Its `proxy` filter; `None` when its connections do not speak RPC any more.
    #[must_use]
    pub fn rpc(&self) -> Option<&RpcProxy> {
        match &self.listener.filter {
            NetworkFilter::Auto(auto) => Some(&auto.rpc),
            NetworkFilter::Rpc(rpc) => Some(rpc),
            NetworkFilter::Close | NetworkFilter::Proxy(_) | NetworkFilter::TcpProxy(_) => None,
        }
    }

    /// The routes of its requests; `None` when it has no router.
    pub(in crate::proxy) fn table<S: Setting>(&self, setting: &S) -> Option<Arc<Table>> {
        self.table_among(|name| setting.table(name))
    }

    /// The routes of its requests, where those of a router are found by `find`.
    #[must_use]
    pub fn table_among(
        &self,
        find: impl FnOnce(&RouterName) -> Option<Arc<Table>>,
    ) -> Option<Arc<Table>> {
        match target(&self.listener.filter)? {
            Target::Cluster(_) => self.short.clone(),
            Target::Nowhere => None,
            Target::Router(name) => find(name),
        }
    }
}

/// Where the requests of a listener go; `None` where there are none.
fn target(filter: &NetworkFilter) -> Option<&Target> {
    match filter {
        NetworkFilter::Auto(auto) => Some(&auto.http.target),
        NetworkFilter::Proxy(proxy) => Some(&proxy.target),
        NetworkFilter::Rpc(rpc) => Some(&rpc.target),
        NetworkFilter::Close | NetworkFilter::TcpProxy(_) => None,
    }
}

/// One downstream connection that speaks HTTP.
pub struct Connection<S> {
    /// The lane's.
    pub setting: Rc<S>,
    /// Its socket.
    pub stream: Stream,
    /// Its number, for logs.
    pub id: ConnectionId,
    /// What it has moved, for whoever looks for idle connections.
    pub flow: Rc<Flow>,
    /// Heard when the lane drains.
    pub goodbye: Rc<Goodbye>,
    /// Its ends, once somebody has asked.
    pub addresses: OnceCell<Addresses>,
    /// How far it has come.
    pub stage: Stage,
    /// What it speaks, as access logs name it.
    pub speaks: &'static str,
    /// What came of its next request before it began here.
    pub unread: Vec<u8>,
    /// Whether it moves when its lane does.
    pub parting: Parting,
}

/// Whether a connection moves when its lane does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parting {
    /// It does.
    #[default]
    Moves,
    /// It was not taken, and is said goodbye to instead.
    Stays,
}

/// The two ends of a connection; `None` over a unix socket.
#[derive(Clone, Copy, Debug, Default)]
pub struct Addresses {
    /// Ours.
    pub local: Option<SocketAddr>,
    /// The peer's.
    pub peer: Option<SocketAddr>,
}

impl<S> Connection<S> {
    /// Whether the peer says anything, or leaves, while it waits for its answer.
    ///
    /// Most answers come at once. A connection that the reactor does not know of is made known to it
    /// only when it has waited for long enough to be called, so that most never are.
    pub(super) fn poll_word(&self, cx: &mut Context<'_>) -> Poll<io::Result<Word>> {
        if !self.stream.is_watched() && !self.flow.bell.has_to_look(cx.waker()) {
            return Poll::Pending;
        }
        self.stream.poll_word(cx)
    }

    /// Waits until nobody is there any more who could read an answer. Once the peer has said more,
    /// or has ended its side, that is not noticed here.
    pub(super) async fn gone(&self) {
        if let Ok(Word::More | Word::Ended) = poll_fn(|cx| self.poll_word(cx)).await {
            pending::<()>().await;
        }
    }

    /// Whether it is to end at its next rest.
    pub(in crate::proxy) fn is_to_end(&self) -> bool {
        let stays = self.parting == Parting::Stays;
        self.goodbye.is_said() || (stays && self.goodbye.is_move())
    }

    /// Whether it is to move at its next rest.
    pub(in crate::proxy) fn is_to_move(&self) -> bool {
        self.parting == Parting::Moves && self.goodbye.is_move()
    }

    pub(in crate::proxy) fn addresses(&self) -> Addresses {
        *self.addresses.get_or_init(|| Addresses {
            local: self.stream.local_address().ok().flatten(),
            peer: self.stream.peer_address().ok().flatten(),
        })
    }

    pub(in crate::proxy) fn peer(&self) -> Option<SocketAddr> {
        self.addresses().peer
    }
}

impl<S> fmt::Debug for Connection<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// The wish that connections end, or move to another process, at their next rest.
///
/// A request under way is answered. When connections are to end it is told that its own closes; one
/// that rests between two requests closes at once, if its [`Bell`](crate::proxy::Bell) is rung.
#[derive(Debug, Default)]
pub struct Goodbye {
    wish: Cell<Wish>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wish {
    #[default]
    None,
    Move,
    End,
}

impl Goodbye {
    /// Says it, for good.
    pub fn say(&self) {
        self.wish.set(Wish::End);
    }

    /// Wishes that connections move, unless they are to end.
    pub fn wish_move(&self) {
        if self.wish.get() == Wish::None {
            self.wish.set(Wish::Move);
        }
    }

    /// Whether connections are to move.
    #[must_use]
    pub fn is_move(&self) -> bool {
        self.wish.get() == Wish::Move
    }

    /// Whether it has been said.
    #[must_use]
    pub fn is_said(&self) -> bool {
        self.wish.get() == Wish::End
    }
}
