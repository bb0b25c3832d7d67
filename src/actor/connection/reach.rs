//! How a connection that is relayed as it is finds a host.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use slog::Level;

use super::now;
use crate::actor::connections::Progress;
use crate::actor::logger::Event;
use crate::actor::setting::Setting;
use crate::cluster::{Clue, Conduct, Ending, Evidence, Host, Work};
use crate::config::{self, Metadata, NetworkFilter, TcpProxy};
use crate::name::{ClusterName, ListenerName};
use crate::net::Stream;
use crate::proxy::{meant_for, target};
use crate::route::source_hash;
use crate::upstream::{self, ConnectError, Held, Hosts, PickError, Picked};

/// Hosts that one connection tries, at most; MOSN's figure.
const TRIES: usize = 3;

/// Connects to a host of the cluster that the listener names; `None` closes the connection.
pub(super) async fn open(
    downstream: &Stream,
    setting: &Setting,
    progress: &Progress,
) -> Option<Reached> {
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
    let relayed = match &settings.filter {
        NetworkFilter::Auto(auto) => auto.fallback.as_ref()?,
        NetworkFilter::TcpProxy(proxy) => proxy,
        NetworkFilter::Close | NetworkFilter::Proxy(_) | NetworkFilter::Rpc(_) => return None,
    };
    match relayed {
        proxy @ TcpProxy::Cluster(_) => target(proxy, None, None),
        // Only routes look at the addresses, which cost two calls.
        proxy => {
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
pub(super) struct Reached {
    pub(super) upstream: Stream,
    pub(super) held: Held,
    pub(super) settings: Arc<config::Cluster>,
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
