//! One downstream connection, as an actor: serves its requests, or relays its bytes to a host.
//!
//! In: nothing; its lane may end it at any await. Out: asks to this worker's clusters. It lives as
//! long as its one future, and is never restarted: its peer notices, and connects again.

use std::cell::OnceCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use actix::prelude::*;
use slog::Level;
use tokio::sync::OwnedSemaphorePermit;

use crate::actor::connections::Progress;
use crate::actor::logger::Event;
use crate::actor::parking::{Counted, Past};
use crate::actor::setting::Setting;
use crate::cluster::{Clue, Conduct, Ending, Evidence, Host, Work};
use crate::config::{self, Metadata, NetworkFilter, TcpProxy};
use crate::name::{ClusterName, ListenerName};
use crate::net::Stream;
use crate::proxy::http::{self, Leave, Served, Stage};
use crate::proxy::{End, Ended, Relay, Side, meant_for, rpc, target};
use crate::route::source_hash;
use crate::upstream::{self, ConnectError, Held, Hosts, PickError, Picked};

/// Hosts that one connection tries, at most; MOSN's figure.
const TRIES: usize = 3;

/// One downstream connection.
pub(super) struct Connection {
    /// Until it runs.
    entry: Option<Entry>,
    setting: Rc<Setting>,
    progress: Rc<Progress>,
    /// Once a host is reached; counts on it until the actor is dropped, whatever became of it.
    held: Option<Held>,
    /// Of the cluster whose host is relayed to as it is.
    cluster: Option<Arc<config::Cluster>>,
    /// Given back with the actor, unless that leaves it to a parked connection.
    permit: Option<OwnedSemaphorePermit>,
}

/// With what a connection comes to its actor.
pub(super) enum Entry {
    /// It was just accepted.
    Accepted(Stream),
    /// It was parked, and its peer has spoken.
    Parked(Box<Leave>),
}

impl Connection {
    /// A connection that starts to serve as soon as it runs.
    pub(super) fn new(
        entry: Entry,
        permit: OwnedSemaphorePermit,
        setting: Rc<Setting>,
        progress: Rc<Progress>,
    ) -> Self {
        Self {
            entry: Some(entry),
            setting,
            progress,
            held: None,
            cluster: None,
            permit: Some(permit),
        }
    }

    fn serve_first(&self, stream: Stream, ctx: &mut Context<Self>) {
        let leave = Leave {
            stream,
            id: self.setting.next_connection(),
            addresses: None,
            stage: Stage::BeforeFirst,
        };
        self.serve(leave, ctx);
    }

    /// Serves requests, until the connection is over, is parked, or becomes a relay.
    fn serve(&self, leave: Leave, ctx: &mut Context<Self>) {
        let served = http::serve(http::Connection {
            id: leave.id,
            setting: Rc::clone(&self.setting),
            stream: leave.stream,
            flow: Rc::clone(&self.progress.flow),
            goodbye: Rc::clone(&self.setting.goodbye),
            addresses: leave.addresses.map_or_else(OnceCell::new, OnceCell::from),
            stage: leave.stage,
        });
        ctx.spawn(
            served
                .into_actor(self)
                .map(|served, this, ctx| match served {
                    Served::Closed => ctx.stop(),
                    Served::Leaves(leave) => this.park(leave, ctx),
                    Served::Tunnel(tunnel) => {
                        let (upstream, held) = tunnel.upstream.into_parts();
                        this.held = Some(held);
                        let flow = Rc::clone(&this.progress.flow);
                        let relay = Relay::new(tunnel.downstream, upstream, flow);
                        this.relay(
                            relay.after(tunnel.from_downstream, tunnel.from_upstream),
                            ctx,
                        );
                    }
                }),
        );
    }

    /// Serves requests that come and are answered in any order, until the connection is over.
    fn serve_rpc(&self, stream: Stream, ctx: &mut Context<Self>) {
        let served = rpc::serve(http::Connection {
            id: self.setting.next_connection(),
            setting: Rc::clone(&self.setting),
            stream,
            flow: Rc::clone(&self.progress.flow),
            goodbye: Rc::clone(&self.setting.goodbye),
            addresses: OnceCell::new(),
            stage: Stage::BeforeFirst,
        });
        ctx.spawn(served.into_actor(self).map(|(), _, ctx| ctx.stop()));
    }

    /// Has the connection wait without this actor, or goes on with it where that cannot be.
    fn park(&mut self, leave: Leave, ctx: &mut Context<Self>) {
        let Some(permit) = self.permit.take() else {
            return ctx.stop();
        };
        let Leave {
            stream,
            id,
            addresses,
            stage,
        } = leave;
        let past = Past {
            id,
            stage,
            addresses: addresses.map(Box::new),
            idle_timeout: self.progress.idle_timeout.get(),
            quiet: self.progress.quiet.get(),
            permit,
            generation: self.setting.post.generation,
            counted: Counted::new(&self.setting.counters),
        };
        match self.setting.parking.park(stream, past) {
            Ok(()) => {
                self.progress.flow.bell.note_left();
                ctx.stop();
            }
            Err(back) => {
                let (stream, past) = *back;
                past.counted.hand_over();
                self.permit = Some(past.permit);
                let addresses = past.addresses.map(|addresses| *addresses);
                self.serve(
                    Leave {
                        stream,
                        id,
                        addresses,
                        stage,
                    },
                    ctx,
                );
            }
        }
    }

    /// Reaches a host and relays to it.
    fn open(&self, downstream: Stream, ctx: &mut Context<Self>) {
        // Two futures, not one: an idle connection must not hold the memory of its beginning.
        let (setting, progress) = (Rc::clone(&self.setting), Rc::clone(&self.progress));
        let open = async move {
            let reached = open(&downstream, &setting, &progress).await;
            reached.map(|reached| (downstream, reached))
        };
        ctx.spawn(open.into_actor(self).map(|opened, this, ctx| match opened {
            Some((downstream, reached)) => {
                let Reached {
                    upstream,
                    held,
                    settings,
                } = reached;
                this.held = Some(held);
                this.cluster = Some(settings);
                let flow = Rc::clone(&this.progress.flow);
                this.relay(Relay::new(downstream, upstream, flow), ctx);
            }
            None => ctx.stop(),
        }));
    }

    fn relay(&mut self, relay: Relay, ctx: &mut Context<Self>) {
        let host = self.held.as_ref().map(|held| &**held.lease.host());
        self.progress.flow.carried_by(host);
        ctx.spawn(relay.into_actor(self).map(|ended, this, ctx| {
            this.ended(&ended);
            ctx.stop();
        }));
    }

    fn ended(&mut self, ended: &Ended) {
        let Some(Held { lease, .. }) = &mut self.held else {
            return;
        };
        if ended.by == Side::Upstream {
            lease.ends(Ending::Remote);
        }
        let flow = &self.progress.flow;
        let (received, sent) = (flow.received.get(), flow.sent.get());
        lease.load().count_bytes(sent, received);
        if let (Some(cluster), Some(conduct)) = (&self.cluster, conduct(ended, sent)) {
            let suspicion = upstream::note(cluster, lease.host(), conduct, now());
            suspicion
                .into_iter()
                .for_each(|one| self.setting.suspect(one));
        }
        slog::debug!(self.setting.log, "connection ended"; "upstream" => %**lease,
            "why" => ?ended, "received" => received, "sent" => sent);
    }
}

/// What the end of a relay says of its host, which had sent so many bytes; perhaps nothing.
fn conduct(ended: &Ended, sent: u64) -> Option<Conduct> {
    match (ended.by, &ended.end) {
        _ if sent > 0 => Some(Conduct::Relayed),
        (Side::Upstream, End::Reset | End::Failed(_)) => Some(Conduct::Failed),
        _ => None,
    }
}

fn now() -> Instant {
    Instant::now()
}

impl Actor for Connection {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let downstream = match self.entry.take() {
            Some(Entry::Accepted(stream)) => stream,
            // Whatever its listener has become: it was promised to be served.
            Some(Entry::Parked(leave)) => return self.serve(*leave, ctx),
            None => return,
        };
        match self.setting.post.settings().filter {
            NetworkFilter::Close => ctx.stop(),
            NetworkFilter::Proxy(_) => self.serve_first(downstream, ctx),
            NetworkFilter::Rpc(_) => self.serve_rpc(downstream, ctx),
            NetworkFilter::TcpProxy(_) => self.open(downstream, ctx),
        }
    }
}

/// Connects to a host of the cluster that the listener names; `None` closes the connection.
async fn open(downstream: &Stream, setting: &Setting, progress: &Progress) -> Option<Reached> {
    let settings = setting.post.settings();
    let cluster = cluster_of(&settings, downstream)?;
    let telling = Telling {
        downstream,
        listener: &settings,
    };
    let clue = setting.directory.clue(cluster, &telling);
    match reach(setting, cluster, &clue, progress).await {
        Ok(reached) => Some(reached),
        Err(failure) => {
            setting.counters.failed.fetch_add(1, Relaxed);
            setting.note(failure.event(&settings.name, cluster));
            None
        }
    }
}

/// The cluster that this connection goes to; `None` closes it.
fn cluster_of<'a>(settings: &'a config::Listener, downstream: &Stream) -> Option<&'a ClusterName> {
    match &settings.filter {
        NetworkFilter::Close | NetworkFilter::Proxy(_) | NetworkFilter::Rpc(_) => None,
        NetworkFilter::TcpProxy(proxy @ TcpProxy::Cluster(_)) => target(proxy, None, None),
        // Only routes look at the addresses, which cost two calls.
        NetworkFilter::TcpProxy(proxy) => {
            let source = downstream.peer_address().ok().flatten();
            target(proxy, source, downstream.local_address().ok().flatten())
        }
    }
}

/// What a relayed connection tells of itself to whoever chooses its host.
struct Telling<'a> {
    downstream: &'a Stream,
    listener: &'a config::Listener,
}

impl Evidence for Telling<'_> {
    fn hash(&self) -> Option<u64> {
        let peer = self.downstream.peer_address().ok()??;
        Some(source_hash(peer.ip()))
    }

    fn metadata(&self) -> Arc<Metadata> {
        Arc::default()
    }

    fn field(&self, _: &str) -> Option<&[u8]> {
        None
    }

    fn destination(&self) -> Option<SocketAddr> {
        let local = self.downstream.local_address().ok().flatten();
        let original = self.downstream.original_destination();
        meant_for(original, local, &self.listener.address)
    }
}

/// An upstream connection, and what counts it.
struct Reached {
    upstream: Stream,
    held: Held,
    settings: Arc<config::Cluster>,
}

/// Why no host could be reached.
#[derive(Debug, thiserror::Error)]
enum Unreached {
    #[error("{host}: {error} (hosts tried: {tries})")]
    Connect {
        tries: usize,
        host: String,
        error: ConnectError,
    },
    /// No host is to blame, and none would help.
    #[error("{0}")]
    Exhausted(ConnectError),
    /// The cluster has as many connections as it may.
    #[error("its limit of connections is reached")]
    Overflow,
    #[error(transparent)]
    Pick(#[from] PickError),
}

impl Unreached {
    fn event(&self, listener: &ListenerName, cluster: &ClusterName) -> Event {
        let text = format!("listener `{listener}`: no upstream in cluster `{cluster}`: {self}");
        match self {
            Self::Exhausted(_) => Event::exhausted(text),
            Self::Connect { .. } | Self::Overflow | Self::Pick(_) => Event {
                level: Level::Error,
                tag: "mosn.proxy.upstream_conn_failed",
                kind: cluster.to_string(),
                text,
            },
        }
    }
}

/// Connects to a host of the cluster; when that fails, to another one.
async fn reach(
    setting: &Setting,
    cluster: &ClusterName,
    clue: &Clue,
    progress: &Progress,
) -> Result<Reached, Unreached> {
    let mut tried: Vec<Arc<Host>> = Vec::new();
    let mut last = None;
    while tried.len() < TRIES {
        let picked = setting.directory.pick(cluster, &tried, Work::Relay, clue);
        let picked = match picked.await {
            Ok(picked) => picked,
            // The hosts are exhausted: what the last of them said tells more.
            Err(PickError::NoHost { .. }) if last.is_some() => break,
            Err(error) => return Err(error.into()),
        };
        let settings = &picked.settings;
        let permit = setting.pools.permit(settings, &picked.limits).await;
        let permit = permit.ok_or(Unreached::Overflow)?;
        let connected = upstream::connect(
            picked.lease.address(),
            settings.connect_timeout,
            settings.mark,
            setting.pools.book(),
        )
        .await;
        judge(setting, &picked, &connected);
        let Picked {
            mut lease,
            settings,
            ..
        } = picked;
        match connected {
            Ok(upstream) => {
                progress.also_limit(settings.idle_timeout);
                lease.ends(Ending::Local);
                return Ok(Reached {
                    upstream,
                    held: Held { lease, permit },
                    settings,
                });
            }
            Err(error @ ConnectError::Exhausted(_)) => return Err(Unreached::Exhausted(error)),
            Err(error) => {
                lease.load().count_connect_failure();
                lease.load().count_reconnect();
                setting.note(missed(cluster, &lease, &error));
                tried.push(Arc::clone(lease.host()));
                last = Some((lease.to_string(), error));
            }
        }
    }
    let (host, error) = last.expect("the loop runs at least once, and leaves only with an error");
    let tries = tried.len();
    Err(Unreached::Connect { tries, host, error })
}

/// Takes note of how a host took a connection.
fn judge(setting: &Setting, picked: &Picked, connected: &Result<Stream, ConnectError>) {
    let conduct = match connected {
        Ok(_) => Conduct::Connected,
        Err(error) if error.blames_host() => Conduct::ConnectFailed,
        Err(_) => return,
    };
    if let Some(suspicion) = picked.note(conduct, now()) {
        setting.suspect(suspicion);
    }
}

/// A host did not take the connection; perhaps another one does.
fn missed(cluster: &ClusterName, host: &Host, error: &ConnectError) -> Event {
    Event {
        level: Level::Warning,
        tag: "upstream.connect",
        kind: host.to_string(),
        text: format!("cluster `{cluster}`: host {host}: {error}"),
    }
}
