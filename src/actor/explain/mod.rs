//! What would become of a request or a connection, on the running state.
//!
//! Nobody is asked: listeners, routes and hosts are read where they are published.

mod text;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::clusters::Snapshot;
use super::listeners::Post;
use super::metrics::Counts;
use crate::cluster::{Host, Missed, Sought, Subsets, Taker};
use crate::config::{Fallback, Metadata, NetworkFilter, Spoken};
use crate::proxy::http::{self, Asked, Explained, Fitting, Outcome, ShareSeen};
use crate::proxy::{rpc, target};

/// What would become of a request or a connection.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Explanation {
    /// The listener's name.
    pub listener: String,
    /// Where it listens.
    pub address: String,
    /// What its routes say; `None` where it relays bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<Explained>,
    /// The clusters that may take it, with what speaks for or against each host.
    pub clusters: Vec<ClusterSeen>,
}

/// A cluster that may take a request.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ClusterSeen {
    /// Its name.
    pub name: String,
    /// Of a hundred requests it takes so many.
    pub percent: f64,
    /// Whether it exists.
    pub exists: bool,
    /// How a host is chosen, as `lb_type` says it.
    pub balancer: String,
    /// What a host must have.
    pub metadata: Metadata,
    /// Among which of its hosts one is looked for, where the cluster is divided and something is
    /// asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subset: Option<SubsetSeen>,
    /// Whether so few of these hosts are healthy that all are used.
    pub panicking: bool,
    /// Its hosts, in order.
    pub hosts: Vec<HostSeen>,
}

/// Among which hosts of a divided cluster one is looked for.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct SubsetSeen {
    /// The names of the selector by which it is asked; `None` when no selector has exactly these.
    pub selector: Option<Vec<String>>,
    /// Who takes the request.
    pub taken_by: Taker,
    /// Why the subset that is asked for does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missed: Option<Missed>,
    /// What hosts of the default subset have, where that is the fallback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_subset: Option<Metadata>,
}

/// A host of such a cluster.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct HostSeen {
    /// As the plan writes it.
    pub address: String,
    /// Why it is not chosen; nothing where it may be.
    pub why_not: Vec<String>,
    /// Its share.
    pub weight: u32,
    /// Connections open or being opened.
    pub connections_active: u64,
    /// Requests under way.
    pub requests_active: u64,
}

/// Why nothing can be explained.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unexplained {
    /// There are several listeners, or none.
    #[error("say which listener: {0}")]
    Ambiguous(String),
    /// The listener does not speak the protocol that was asked for.
    #[error("listener `{listener}` does not speak `{protocol}`")]
    NotSpoken {
        /// Its name.
        listener: String,
        /// What was asked for.
        protocol: String,
    },
    /// No listener is called so.
    #[error("no listener is called `{name}`; there is {known}")]
    UnknownListener {
        /// What was asked for.
        name: String,
        /// Those there are.
        known: String,
    },
}

impl Counts {
    /// Says what would become of a request to `listener`, which may be left out where there is
    /// only one. Of a relayed connection only the addresses count.
    ///
    /// # Errors
    ///
    /// [`Unexplained`] when it is not clear which listener is meant.
    pub fn explain(
        &self,
        listener: Option<&str>,
        asked: &Asked,
    ) -> Result<Explanation, Unexplained> {
        let posts = self.board.posts();
        let post = find(&posts, listener)?;
        let fitting = post.fitting.load_full();
        let mut clusters = Vec::new();
        let mut request = None;
        match &fitting.listener.filter {
            NetworkFilter::Close => {}
            NetworkFilter::TcpProxy(proxy) => {
                let addresses = asked.addresses;
                let cluster = target(proxy, addresses.peer, addresses.local);
                clusters.extend(cluster.map(|cluster| {
                    self.cluster(&ShareSeen {
                        cluster: cluster.to_string(),
                        percent: 100.0,
                        metadata: Metadata::new(),
                    })
                }));
            }
            NetworkFilter::Auto(_) | NetworkFilter::Proxy(_) | NetworkFilter::Rpc(_) => {
                let table = fitting.table_among(|name| self.tables.find(name));
                let explained = match speech(&fitting, asked)? {
                    None => http::explain(&fitting, table.as_deref(), asked),
                    Some(speaks) => rpc::explain(&fitting, table.as_deref(), asked, speaks),
                };
                if let Outcome::Forward(forwarded) = &explained.outcome {
                    clusters.extend(forwarded.clusters.iter().map(|share| self.cluster(share)));
                }
                request = Some(explained);
            }
        }
        let address = post.local_address();
        let address = address.unwrap_or_else(|| fitting.listener.address.clone());
        Ok(Explanation {
            listener: fitting.listener.name.to_string(),
            address: address.to_string(),
            request,
            clusters,
        })
    }

    fn cluster(&self, share: &ShareSeen) -> ClusterSeen {
        let current = self.shelf.find(&share.cluster.as_str().into());
        let absent = ClusterSeen {
            name: share.cluster.clone(),
            percent: share.percent,
            exists: false,
            balancer: String::new(),
            metadata: share.metadata.clone(),
            subset: None,
            panicking: false,
            hosts: Vec::new(),
        };
        match current {
            Some(current) => absent.with(&current.load_full()),
            None => absent,
        }
    }
}

impl ClusterSeen {
    /// The same, where this is what the cluster is.
    fn with(self, snapshot: &Snapshot) -> Self {
        let sought = Sought::among(&snapshot.hosts, &self.metadata);
        let subsets = snapshot.hosts.subsets();
        let subsets = subsets.filter(|_| sought.taker != Taker::Cluster);
        let hosts = snapshot.hosts.hosts().iter();
        Self {
            exists: true,
            balancer: snapshot.settings.balancer.to_string(),
            subset: subsets.map(|subsets| SubsetSeen::of(&sought, subsets)),
            panicking: sought.panics(),
            hosts: hosts
                .map(|host| HostSeen::of(host, sought.why_not(host, &self.metadata)))
                .collect(),
            ..self
        }
    }
}

impl SubsetSeen {
    fn of(sought: &Sought<'_>, subsets: &Subsets) -> Self {
        Self {
            selector: sought.selector.map(<[_]>::to_vec),
            taken_by: sought.taker,
            missed: sought.missed,
            default_subset: match subsets.fallback() {
                Fallback::Default(metadata) => Some(metadata.clone()),
                Fallback::None | Fallback::Any => None,
            },
        }
    }
}

impl HostSeen {
    fn of(host: &Host, why_not: Vec<String>) -> Self {
        Self {
            address: host.to_string(),
            why_not,
            weight: host.weight(),
            connections_active: host.load().active_connections(),
            requests_active: host.load().active_requests(),
        }
    }
}

/// The protocol of frames that a request speaks; `None` is HTTP.
fn speech(fitting: &Fitting, asked: &Asked) -> Result<Option<&'static str>, Unexplained> {
    let wanted = asked.protocol.as_deref();
    let known = wanted.and_then(|name| fitting.codecs.find(name));
    let known = known.map(|known| known.codec.name());
    let is_http = wanted.is_none_or(|name| name == Spoken::HTTP1);
    let found = match &fitting.listener.filter {
        NetworkFilter::Proxy(_) => is_http.then_some(None),
        NetworkFilter::Rpc(rpc) => {
            let own = fitting.codecs.find(rpc.protocol.name());
            let own = own.map(|own| own.codec.name());
            (wanted.is_none() || known == own).then_some(own)
        }
        NetworkFilter::Auto(_) if is_http => Some(None),
        NetworkFilter::Auto(_) => known.map(Some),
        NetworkFilter::Close | NetworkFilter::TcpProxy(_) => Some(None),
    };
    found.ok_or_else(|| Unexplained::NotSpoken {
        listener: fitting.listener.name.to_string(),
        protocol: wanted.unwrap_or_default().to_owned(),
    })
}

fn find<'a>(posts: &'a [Arc<Post>], name: Option<&str>) -> Result<&'a Post, Unexplained> {
    let known = || {
        let names = posts
            .iter()
            .map(|post| format!("`{}`", post.settings().name));
        names.collect::<Vec<_>>().join(", ")
    };
    match (name, posts) {
        (None, [only]) => Ok(only),
        (None, _) => Err(Unexplained::Ambiguous(known())),
        (Some(name), _) => {
            let mut named = posts.iter();
            let found = named.find(|post| post.settings().name.as_str() == name);
            let found = found.map(|post| &**post);
            found.ok_or_else(|| Unexplained::UnknownListener {
                name: name.to_owned(),
                known: known(),
            })
        }
    }
}
