//! What leads from one plan to another.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use super::plan::{Address, Bind, Cluster, HostAddress, Listener, Plan, Server};
use crate::name::{ClusterName, ListenerName};

/// One step from one plan to the next.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A cluster that was not there.
    AddCluster(Arc<Cluster>),
    /// A cluster that becomes another of the same name.
    UpdateCluster {
        /// As it runs.
        from: Arc<Cluster>,
        /// As it is wanted.
        to: Arc<Cluster>,
    },
    /// A listener that was not there.
    AddListener(Arc<Listener>),
    /// A listener that becomes another of the same name, possibly on another address.
    UpdateListener {
        /// As it runs.
        from: Arc<Listener>,
        /// As it is wanted.
        to: Arc<Listener>,
    },
    /// A listener that is not wanted any more.
    RemoveListener(ListenerName),
    /// A cluster that is not wanted any more, and that no listener names any more.
    RemoveCluster(ClusterName),
    /// Other values of what concerns the process as a whole; most count only at its next start.
    Server(Box<Server>),
}

/// Finds what leads from `running` to `wanted`, in an order in which every step leaves a whole plan:
/// clusters are there before listeners name them, and go after.
///
/// What is equal in both is in no change. The order of clusters and of listeners among themselves
/// means nothing and makes no change.
#[must_use]
pub fn diff(running: &Plan, wanted: &Plan) -> Vec<Change> {
    let clusters = by_name(&running.clusters, |cluster| &cluster.name);
    let listeners = by_name(&running.listeners, |listener| &listener.name);
    let wanted_clusters = by_name(&wanted.clusters, |cluster| &cluster.name);
    let wanted_listeners = by_name(&wanted.listeners, |listener| &listener.name);

    let mut changes = Vec::new();
    changes.extend(
        wanted
            .clusters
            .iter()
            .filter_map(|to| match clusters.get(&to.name) {
                None => Some(Change::AddCluster(to.clone())),
                Some(from) if *from == to => None,
                Some(&from) => Some(Change::UpdateCluster {
                    from: from.clone(),
                    to: to.clone(),
                }),
            }),
    );
    changes.extend(
        wanted
            .listeners
            .iter()
            .filter_map(|to| match listeners.get(&to.name) {
                None => Some(Change::AddListener(to.clone())),
                Some(from) if *from == to => None,
                Some(&from) => Some(Change::UpdateListener {
                    from: from.clone(),
                    to: to.clone(),
                }),
            }),
    );
    let gone = running
        .listeners
        .iter()
        .filter(|old| !wanted_listeners.contains_key(&old.name));
    changes.extend(gone.map(|old| Change::RemoveListener(old.name.clone())));
    let gone = running
        .clusters
        .iter()
        .filter(|old| !wanted_clusters.contains_key(&old.name));
    changes.extend(gone.map(|old| Change::RemoveCluster(old.name.clone())));
    if running.server != wanted.server {
        changes.push(Change::Server(Box::new(wanted.server.clone())));
    }
    changes
}

fn by_name<'a, T, N: Eq + Hash>(
    items: &'a [Arc<T>],
    name: impl Fn(&'a T) -> &'a N,
) -> HashMap<&'a N, &'a Arc<T>> {
    items.iter().map(|item| (name(item), item)).collect()
}

impl Plan {
    /// The plan after one change; what is updated or removed and not there changes nothing.
    #[must_use]
    pub fn with(mut self, change: &Change) -> Self {
        match change {
            Change::AddCluster(cluster) => self.clusters.push(cluster.clone()),
            Change::UpdateCluster { to, .. } => {
                let old = self.clusters.iter_mut().find(|old| old.name == to.name);
                if let Some(old) = old {
                    *old = to.clone();
                }
            }
            Change::AddListener(listener) => self.listeners.push(listener.clone()),
            Change::UpdateListener { to, .. } => {
                let old = self.listeners.iter_mut().find(|old| old.name == to.name);
                if let Some(old) = old {
                    *old = to.clone();
                }
            }
            Change::RemoveListener(name) => self.listeners.retain(|old| old.name != *name),
            Change::RemoveCluster(name) => self.clusters.retain(|old| old.name != *name),
            Change::Server(server) => self.server = Server::clone(server),
        }
        self
    }
}

/// In words, for logs and replies.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddCluster(cluster) => {
                write!(
                    f,
                    "cluster `{}`: added, {}",
                    cluster.name,
                    counted(cluster.hosts.len(), "host")
                )
            }
            Self::UpdateCluster { from, to } => {
                write!(
                    f,
                    "cluster `{}`: {}",
                    to.name,
                    cluster_words(from, to).join(", ")
                )
            }
            Self::AddListener(listener) => {
                write!(
                    f,
                    "listener `{}`: added on {}",
                    listener.name, listener.address
                )
            }
            Self::UpdateListener { from, to } => {
                write!(
                    f,
                    "listener `{}`: {}",
                    to.name,
                    listener_words(from, to).join(", ")
                )
            }
            Self::RemoveListener(name) => write!(f, "listener `{name}`: removed"),
            Self::RemoveCluster(name) => write!(f, "cluster `{name}`: removed"),
            Self::Server(_) => f.write_str("server: changed"),
        }
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn cluster_words(from: &Cluster, to: &Cluster) -> Vec<String> {
    let mut words = host_words(from, to);
    let settings = [
        ("lb_type", from.balancer != to.balancer),
        (
            "connect_timeout",
            from.connect_timeout != to.connect_timeout,
        ),
        ("idle_timeout", from.idle_timeout != to.idle_timeout),
        ("mark", from.mark != to.mark),
    ];
    let changed = settings.iter().filter(|(_, changed)| *changed);
    words.extend(changed.map(|(name, _)| format!("`{name}` changed")));
    if words.is_empty() {
        words.push("order of hosts changed".to_owned());
    }
    words
}

fn host_words(from: &Cluster, to: &Cluster) -> Vec<String> {
    let old: HashMap<_, _> = from
        .hosts
        .iter()
        .map(|host| (&host.address, host))
        .collect();
    let new: HashMap<_, _> = to.hosts.iter().map(|host| (&host.address, host)).collect();
    let added = new
        .keys()
        .filter(|address| !old.contains_key(*address))
        .count();
    let removed = old
        .keys()
        .filter(|address| !new.contains_key(*address))
        .count();
    let kept = || {
        old.iter()
            .filter_map(|(address, old)| Some((*old, *new.get(address)?)))
    };
    let weights = kept().filter(|(old, new)| old.weight != new.weight).count();
    let names = kept()
        .filter(|(old, new)| old.hostname != new.hostname)
        .count();
    let counts = [
        (added, "host", "added"),
        (removed, "host", "removed"),
        (weights, "weight", "changed"),
        (names, "hostname", "changed"),
    ];
    let said = counts.iter().filter(|(count, ..)| *count > 0);
    said.map(|(count, what, how)| format!("{} {how}", counted(*count, what)))
        .collect()
}

fn listener_words(from: &Listener, to: &Listener) -> Vec<String> {
    let mut words = Vec::new();
    if from.address != to.address {
        words.push(format!("moved from {} to {}", from.address, to.address));
    }
    if from.bind != to.bind {
        words.push(match to.bind {
            Bind::Port => "bound".to_owned(),
            Bind::Virtual => "unbound".to_owned(),
        });
    }
    if from.idle_timeout != to.idle_timeout {
        words.push("`connection_idle_timeout` changed".to_owned());
    }
    if from.filter != to.filter {
        words.push("filter changed".to_owned());
    }
    words
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address) => address.fmt(f),
            Self::Name(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use proptest::collection::btree_map;
    use proptest::prelude::*;

    use super::*;
    use crate::config::plan::Host;

    fn cluster(name: &str, hosts: &[(u16, u32)]) -> Cluster {
        let hosts = hosts.iter().map(|&(port, weight)| Host {
            weight,
            ..Host::from(local(port))
        });
        Cluster::new(name, hosts)
    }

    fn listener(name: &str, port: u16, cluster: &str) -> Listener {
        Listener::new(name, local(port), cluster)
    }

    fn local(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    fn words(running: &Plan, wanted: &Plan) -> Vec<String> {
        diff(running, wanted)
            .iter()
            .map(Change::to_string)
            .collect()
    }

    #[test]
    fn a_start_is_a_change_from_the_empty_plan() {
        let wanted = Plan::of(
            vec![cluster("api", &[(1, 1)])],
            vec![listener("app", 2047, "api")],
        );
        assert_eq!(
            words(&Plan::default(), &wanted),
            [
                "cluster `api`: added, 1 host",
                "listener `app`: added on 127.0.0.1:2047"
            ]
        );
    }

    #[test]
    fn clusters_come_before_the_listeners_that_name_them_and_go_after() {
        let running = Plan::of(vec![cluster("old", &[])], vec![listener("app", 1, "old")]);
        let mut wanted = Plan::of(vec![cluster("new", &[])], vec![listener("other", 2, "new")]);
        wanted.server.name = "named".to_owned();
        assert_eq!(
            words(&running, &wanted),
            [
                "cluster `new`: added, 0 hosts",
                "listener `other`: added on 127.0.0.1:2",
                "listener `app`: removed",
                "cluster `old`: removed",
                "server: changed",
            ]
        );
    }

    #[test]
    fn an_update_says_what_is_different() {
        let running = Plan::of(
            vec![cluster("api", &[(1, 1), (2, 1), (3, 1)])],
            vec![listener("app", 2047, "api")],
        );
        let wanted = Plan::of(
            vec![cluster("api", &[(1, 1), (2, 5), (4, 1), (5, 1)])],
            vec![listener("app", 2048, "api")],
        );
        assert_eq!(
            words(&running, &wanted),
            [
                "cluster `api`: 2 hosts added, 1 host removed, 1 weight changed",
                "listener `app`: moved from 127.0.0.1:2047 to 127.0.0.1:2048",
            ]
        );
    }

    #[test]
    fn what_is_equal_is_in_no_change() {
        let one = Plan::of(vec![cluster("a", &[(1, 1)]), cluster("b", &[])], Vec::new());
        let other = Plan::of(vec![cluster("b", &[]), cluster("a", &[(1, 1)])], Vec::new());
        assert_eq!(diff(&one, &other), []);
    }

    fn plans() -> impl Strategy<Value = Plan> {
        let hosts = btree_map(1_u16..5, 1_u32..4, 0..4);
        let hosts = hosts.prop_map(|hosts| hosts.into_iter().collect::<Vec<_>>());
        let clusters = btree_map("[a-d]", hosts, 0..4);
        let listeners = btree_map("[a-d]", (1_u16..4, "[a-d]"), 0..4);
        (clusters, listeners, "[a-c]?").prop_map(|(clusters, listeners, name)| Plan {
            server: Server {
                name,
                ..Server::default()
            },
            ..Plan::of(
                clusters.iter().map(|(name, hosts)| cluster(name, hosts)),
                listeners
                    .iter()
                    .map(|(name, (port, to))| listener(name, *port, to)),
            )
        })
    }

    fn sorted(mut plan: Plan) -> Plan {
        plan.clusters.sort_by(|a, b| a.name.cmp(&b.name));
        plan.listeners.sort_by(|a, b| a.name.cmp(&b.name));
        plan
    }

    proptest! {
        #[test]
        fn the_changes_lead_from_one_plan_to_the_other(running in plans(), wanted in plans()) {
            let changes = diff(&running, &wanted);
            let reached = changes.iter().fold(running, |plan, change| plan.with(change));
            prop_assert_eq!(diff(&reached, &wanted), []);
            prop_assert_eq!(sorted(reached), sorted(wanted));
        }
    }
}
