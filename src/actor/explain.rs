//! What would become of a request or a connection, on the running state.
//!
//! Nobody is asked: listeners, routes and hosts are read where they are published.

use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

use serde::Serialize;

use super::clusters::Snapshot;
use super::listeners::Post;
use super::metrics::Counts;
use crate::cluster::{Health, Host, Reason, Standing};
use crate::config::NetworkFilter;
use crate::proxy::http::{self, Asked, Explained, Outcome, RouteSeen};
use crate::proxy::target;

/// What would become of a request or a connection.
#[derive(Clone, Debug, Serialize)]
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
#[derive(Clone, Debug, Serialize)]
pub struct ClusterSeen {
    /// Its name.
    pub name: String,
    /// Of a hundred requests it takes so many.
    pub percent: f64,
    /// Whether it exists.
    pub exists: bool,
    /// How a host is chosen.
    pub balancer: String,
    /// Whether so few hosts are healthy that all are used.
    pub panicking: bool,
    /// Its hosts, in order.
    pub hosts: Vec<HostSeen>,
}

/// A host of such a cluster.
#[derive(Clone, Debug, Serialize)]
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
                clusters.extend(cluster.map(|cluster| self.cluster(cluster.as_str(), 100.0)));
            }
            NetworkFilter::Proxy(_) => {
                let table = fitting.table_among(|name| self.tables.find(name));
                let explained = http::explain(&fitting, table.as_deref(), asked);
                if let Outcome::Forward(forwarded) = &explained.outcome {
                    let shares = forwarded.clusters.iter();
                    clusters.extend(shares.map(|(name, percent)| self.cluster(name, *percent)));
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

    fn cluster(&self, name: &str, percent: f64) -> ClusterSeen {
        let current = self.shelf.find(&name.into());
        let snapshot = current.map(|current| current.load_full());
        ClusterSeen {
            name: name.to_owned(),
            percent,
            exists: snapshot.is_some(),
            balancer: snapshot.as_ref().map(|of| balancer(of)).unwrap_or_default(),
            panicking: snapshot.as_ref().is_some_and(|of| panics(of)),
            hosts: snapshot.iter().flat_map(|of| hosts(of)).collect(),
        }
    }
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

fn balancer(snapshot: &Snapshot) -> String {
    format!("{:?}", snapshot.settings.balancer)
}

fn panics(snapshot: &Snapshot) -> bool {
    snapshot.hosts.standing() == Standing::Panic
}

fn hosts(snapshot: &Snapshot) -> Vec<HostSeen> {
    let seen = |host: &Arc<Host>| HostSeen {
        address: host.to_string(),
        why_not: match panics(snapshot) {
            true => Vec::new(),
            false => why_not(host),
        },
        weight: host.weight(),
        connections_active: host.load().active_connections(),
        requests_active: host.load().active_requests(),
    };
    snapshot.hosts.hosts().iter().map(seen).collect()
}

fn why_not(host: &Host) -> Vec<String> {
    let reasons = Reason::ALL.into_iter();
    let against = reasons.filter(|reason| host.flags().of(*reason) == Health::Unhealthy);
    against.map(|reason| reason.to_string()).collect()
}

/// As a person reads it.
impl Display for Explanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "listener {} at {}", self.listener, self.address)?;
        match &self.request {
            Some(request) => of_request(request, f)?,
            None if self.clusters.is_empty() => writeln!(f, "  the connection is closed")?,
            None => writeln!(f, "  its bytes are relayed")?,
        }
        for cluster in &self.clusters {
            of_cluster(cluster, f)?;
        }
        Ok(())
    }
}

fn of_request(request: &Explained, f: &mut Formatter<'_>) -> fmt::Result {
    if !request.filters.is_empty() {
        writeln!(f, "  stream filters: {}", request.filters.join(", "))?;
    }
    if let Some(router) = &request.router {
        writeln!(f, "  router {router}")?;
    }
    if let Some(host) = &request.virtual_host {
        writeln!(
            f,
            "  virtual host {} ({})",
            host.name,
            host.domains.join(", ")
        )?;
    }
    let why = |route: &RouteSeen| route.why_not.clone().unwrap_or_default();
    for route in &request.passed_over {
        writeln!(
            f,
            "    not route {}, {}: {}",
            route.index,
            route.matches,
            why(route)
        )?;
    }
    if let Some(route) = &request.route {
        writeln!(f, "    route {}, {}", route.index, route.matches)?;
    }
    match &request.outcome {
        Outcome::Unknown => Ok(()),
        Outcome::Reply { status, cause } => writeln!(f, "  is answered {status}: {cause}"),
        Outcome::Forward(forwarded) => {
            writeln!(f, "  is forwarded as")?;
            for line in &forwarded.head {
                writeln!(f, "    {line}")?;
            }
            match forwarded.timeout_ms {
                Some(millis) => writeln!(f, "  may take {millis} ms")?,
                None => writeln!(f, "  may take for ever")?,
            }
            writeln!(f, "  is tried again {}", forwarded.retries)?;
            for (key, value) in &forwarded.metadata {
                writeln!(f, "  goes to hosts with {key} = {value}")?;
            }
            match &forwarded.mirror {
                Some((cluster, percent)) => writeln!(f, "  is copied to {cluster}: {percent} %"),
                None => Ok(()),
            }
        }
    }
}

fn of_cluster(cluster: &ClusterSeen, f: &mut Formatter<'_>) -> fmt::Result {
    let ClusterSeen {
        name,
        percent,
        balancer,
        ..
    } = cluster;
    if !cluster.exists {
        return writeln!(f, "cluster {name}: there is none");
    }
    writeln!(
        f,
        "cluster {name}: {percent:.0} % of the requests, by {balancer}"
    )?;
    if cluster.panicking {
        writeln!(f, "  so few hosts are healthy that all are used")?;
    }
    for host in &cluster.hosts {
        let HostSeen {
            address,
            weight,
            connections_active,
            requests_active,
            ..
        } = host;
        let stands = match host.why_not.is_empty() {
            true => "may be chosen".to_owned(),
            false => format!("is not chosen: {}", host.why_not.join(", ")),
        };
        writeln!(
            f,
            "  host {address} {stands} (weight {weight}, {connections_active} connections, \
             {requests_active} requests)"
        )?;
    }
    Ok(())
}
