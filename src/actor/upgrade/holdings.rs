//! What a process has, by which a connection from its predecessor finds its place.

use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::actor::accounts::Accounts;
use crate::actor::arrivals::{Arrival, Arrivals, Downstream, Pair, What};
use crate::actor::clusters::{Shelf, Snapshot};
use crate::actor::findings::Findings;
use crate::actor::listeners::{Board, Post};
use crate::cluster::{Host, Lease, Work};
use crate::config::{Breadth, NetworkFilter, RpcProtocol, Spoken};
use crate::protocol::detect::Untold;
use crate::protocol::handover::{self, Carried, Framed, Idle, Kind, Movable, Shared, Upstream};
use crate::protocol::{Codecs, http1, rpc};
use crate::proxy::Packed;
use crate::streams::{Beat, Count};
use crate::upstream::{self, Handed, HandedTrunk, Held, Memory, Speech, places};

/// What a process has, by which a connection from its predecessor finds its place.
pub(crate) struct Holdings {
    /// The clusters there are.
    pub shelf: Shelf,
    /// The listeners there are.
    pub board: Board,
    /// How many more connections the process takes.
    pub admission: Arc<Semaphore>,
    /// What is known of hosts.
    pub findings: Findings,
    /// What is counted.
    pub accounts: Accounts,
    /// The ways to the workers.
    pub arrivals: Arrivals,
    /// How many shared connections have come, to each host and in each protocol.
    pub seats: RefCell<HashMap<(usize, Speech), usize>>,
}

impl Holdings {
    /// Finds a place for a connection; nothing of it is read, and dropping what is returned ends
    /// nothing while the predecessor has it too.
    ///
    /// # Errors
    ///
    /// In words, when it has to stay where it is.
    pub(super) fn receive(
        &self,
        carried: Carried,
        payload: Vec<u8>,
        sockets: Vec<OwnedFd>,
    ) -> Result<Arrival, String> {
        match &carried.kind {
            Kind::Idle(idle) => {
                let left = carried.idle_millis.map(Duration::from_millis);
                let handed = self.idle(idle, left, &payload, sockets)?;
                Ok(Arrival::Idle(Box::new(handed)))
            }
            Kind::Shared(shared) => {
                let idle = Duration::from_millis(carried.quiet_millis);
                self.shared(shared, idle, payload, sockets)
            }
            Kind::Framed(_) | Kind::Pair(_) => {
                let downstream = self.downstream(carried, payload, sockets)?;
                Ok(Arrival::Downstream(Box::new(downstream)))
            }
        }
    }

    fn downstream(
        &self,
        carried: Carried,
        payload: Vec<u8>,
        sockets: Vec<OwnedFd>,
    ) -> Result<Downstream, String> {
        let posts = self.board.posts();
        let is_it = |post: &&Arc<Post>| post.inherited().is_some();
        let mut inherited = posts.iter().filter(is_it);
        let post = inherited.find(|post| post.inherited() == carried.listener);
        let post = post.ok_or("its listener is not there")?;
        let permit = Arc::clone(&self.admission).try_acquire_owned();
        let permit = permit.map_err(|_| "the connection limit is reached")?;
        let filter = &post.settings().filter;
        let what = match carried.kind {
            Kind::Framed(framed) => {
                let codecs = &post.fitting.load().codecs;
                framed_of(&framed, (filter, codecs), payload, sockets)?
            }
            Kind::Pair(pair) => self.pair(pair, carried.moved.1, filter, payload, sockets)?,
            Kind::Idle(_) | Kind::Shared(_) => return Err("it is no client's".to_owned()),
        };
        Ok(Downstream {
            post: Arc::clone(post),
            permit,
            idle_timeout: carried.idle_millis.map(Duration::from_millis),
            quiet: Duration::from_millis(carried.quiet_millis),
            what,
        })
    }

    fn idle(
        &self,
        idle: &Idle,
        left: Option<Duration>,
        payload: &[u8],
        sockets: Vec<OwnedFd>,
    ) -> Result<Handed, String> {
        let [socket] = <[OwnedFd; 1]>::try_from(sockets).map_err(|_| MISCOUNTED)?;
        let (host, cluster) = self.host(&idle.upstream)?;
        let settings = Arc::clone(&cluster.settings);
        let speaks = self.speech(&idle.speaks);
        let speaks = speaks.ok_or("its protocol is not known here")?;
        if idle.mark != settings.mark || !payload.is_empty() {
            return Err("it is of another kind now".to_owned());
        }
        if host.load().active_connections() >= idle.most {
            return Err("there are enough".to_owned());
        }
        Ok(Handed {
            socket,
            held: held(
                host,
                &cluster,
                settings.limits.connections,
                Work::Connection,
            )?,
            speaks,
            settings,
            served: idle.served,
            left,
        })
    }

    /// The protocol of this name, if any listener may speak it.
    fn speech(&self, name: &str) -> Option<Speech> {
        match name == Spoken::HTTP1 {
            true => Some(Spoken::HTTP1),
            false => self.codec(name).map(|codec| codec.name()),
        }
    }

    fn codec(&self, name: &str) -> Option<&'static dyn rpc::Codec> {
        let posts = self.board.posts();
        let mut known = posts
            .iter()
            .filter_map(|post| Some(post.fitting.load().codecs.find(name)?.codec));
        known.next()
    }

    fn shared(
        &self,
        shared: &Shared,
        idle: Duration,
        unread: Vec<u8>,
        sockets: Vec<OwnedFd>,
    ) -> Result<Arrival, String> {
        let [socket] = <[OwnedFd; 1]>::try_from(sockets).map_err(|_| MISCOUNTED)?;
        let (host, cluster) = self.host(&shared.upstream)?;
        let settings = Arc::clone(&cluster.settings);
        let codec = self.codec(&shared.speaks);
        let codec = codec.ok_or("its protocol is not known here")?;
        if shared.mark != settings.mark {
            return Err("it is of another kind now".to_owned());
        }
        let (worker, place) = self.seat(&host, codec.name(), places(&settings))?;
        let handed = HandedTrunk {
            socket,
            held: held(host, &cluster, None, Work::Connection)?,
            spoken: upstream::Spoken {
                codec,
                most: shared.frame_bytes,
            },
            settings,
            place,
            memory: memory(shared, idle),
            unread,
        };
        Ok(Arrival::Shared(worker, Box::new(handed)))
    }

    /// The worker that has none yet of those that have come, and the place there.
    fn seat(
        &self,
        host: &Arc<Host>,
        speaks: Speech,
        places: usize,
    ) -> Result<(usize, usize), String> {
        let workers = self.arrivals.workers();
        let mut seats = self.seats.borrow_mut();
        let taken = seats.entry((Arc::as_ptr(host.load()).addr(), speaks));
        let taken = taken.or_default();
        if *taken >= workers.saturating_mul(places) {
            return Err("there are enough".to_owned());
        }
        let seat = (*taken % workers, *taken / workers);
        *taken += 1;
        Ok(seat)
    }

    fn host(&self, upstream: &Upstream) -> Result<(Arc<Host>, Arc<Snapshot>), String> {
        let cluster = self.shelf.find(&upstream.cluster.as_str().into());
        let cluster = cluster.ok_or("its cluster is not there")?.load_full();
        let host = cluster.hosts.named(&upstream.host);
        let host = host.filter(|host| !host.departure().is_leaving());
        let host = Arc::clone(host.ok_or("its host is not there")?);
        Ok((host, cluster))
    }

    fn pair(
        &self,
        pair: handover::Pair,
        sent: u64,
        filter: &NetworkFilter,
        payload: Vec<u8>,
        sockets: Vec<OwnedFd>,
    ) -> Result<What, String> {
        let is_tunnel = pair.is_tunnel;
        let goes_on = match filter {
            _ if is_tunnel => serves(filter, &Spoken::Http1),
            NetworkFilter::Auto(auto) => auto.fallback.is_some(),
            NetworkFilter::TcpProxy(_) => true,
            _ => false,
        };
        if !goes_on {
            return Err(OTHER_KIND.to_owned());
        }
        let sockets = sockets.try_into().map_err(|_| MISCOUNTED)?;
        let work = match is_tunnel {
            true => Work::Connection,
            false => Work::Relay,
        };
        let (host, cluster) = self.host(&pair.upstream)?;
        let pair = Box::new(Pair {
            held: held(host, &cluster, cluster.settings.limits.connections, work)?,
            cluster: Arc::clone(&cluster.settings),
            is_tunnel,
            packed: Packed {
                halves: pair.halves,
                payload,
            },
            sent,
        });
        Ok(What::Pair { sockets, pair })
    }
}

/// Holds a connection to a host of this cluster, which the predecessor has counted as begun.
fn held(
    host: Arc<Host>,
    cluster: &Snapshot,
    limit: Option<u64>,
    work: Work,
) -> Result<Held, String> {
    let permit = cluster.limits.connection(limit);
    let permit = permit.ok_or("the limit of its cluster is reached")?;
    let lease = Lease::resumed(host, work);
    Ok(Held { lease, permit })
}

fn memory(shared: &Shared, idle: Duration) -> Memory {
    let (next, came_round) = shared.ids;
    Memory {
        count: Count { next, came_round },
        heartbeats: shared.heartbeats.clone(),
        beat: Beat {
            quiet: Duration::from_millis(shared.heard_millis),
            asked: shared.asked_millis.map(Duration::from_millis),
            failed: shared.failed,
        },
        idle,
    }
}

const OTHER_KIND: &str = "its listener is of another kind now";

const MISCOUNTED: &str = "it came with another number of sockets than it has";

/// What is between two frames, by its protocol. One that is added has its arm here.
fn framed_of(
    framed: &Framed,
    (filter, codecs): (&NetworkFilter, &Codecs),
    unread: Vec<u8>,
    sockets: Vec<OwnedFd>,
) -> Result<What, String> {
    let [socket] = <[OwnedFd; 1]>::try_from(sockets).map_err(|_| MISCOUNTED)?;
    if let Some(rest) = http1::Rest::unpack(framed) {
        let rest = rest.map_err(|error| error.to_string())?;
        return match serves(filter, &Spoken::Http1) {
            true => Ok(What::Http1 {
                socket,
                rest,
                unread,
            }),
            false => Err(OTHER_KIND.to_owned()),
        };
    }
    if let Some(rest) = rpc::Rest::unpack(framed) {
        let rest = rest.map_err(|error| error.to_string())?;
        let spoken = Spoken::Rpc(RpcProtocol::named(&rest.codec));
        let known = codecs.find(&rest.codec);
        return match known.filter(|_| serves(filter, &spoken)) {
            Some(known) => Ok(What::Rpc {
                socket,
                speaks: known.codec.name(),
                unread,
            }),
            None => Err(OTHER_KIND.to_owned()),
        };
    }
    if let Some(untold) = Untold::unpack(framed) {
        let untold = untold.map_err(|error| error.to_string())?;
        // Whatever the listener is: it is as if it had just been accepted.
        return match filter {
            NetworkFilter::Close => Err(OTHER_KIND.to_owned()),
            _ if !unread.is_empty() => Err("bytes of it were read".to_owned()),
            _ => Ok(What::Untold {
                socket,
                waited: Duration::from_millis(untold.waited_millis),
            }),
        };
    }
    Err(format!("`{}` is no protocol known here", framed.protocol))
}

/// Whether a listener serves connections that speak this.
fn serves(filter: &NetworkFilter, spoken: &Spoken) -> bool {
    match filter {
        NetworkFilter::Auto(auto) => {
            let is_brought = matches!(spoken, Spoken::Rpc(RpcProtocol::Registered(_)));
            auto.spoken.contains(spoken) || (is_brought && auto.breadth == Breadth::All)
        }
        NetworkFilter::Proxy(_) => *spoken == Spoken::Http1,
        NetworkFilter::Rpc(rpc) => *spoken == Spoken::Rpc(rpc.protocol.clone()),
        NetworkFilter::Close | NetworkFilter::TcpProxy(_) => false,
    }
}
