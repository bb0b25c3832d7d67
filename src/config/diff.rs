//! What leads from one plan to another.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use super::list::List;
use super::plan::{Cluster, Listener, Plan, Router, Server};
use crate::name::{ClusterName, ListenerName, RouterName};

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
    /// A router that was not there.
    AddRouter(Arc<Router>),
    /// A router that becomes another of the same name.
    UpdateRouter {
        /// As it runs.
        from: Arc<Router>,
        /// As it is wanted.
        to: Arc<Router>,
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
    /// A router that is not wanted any more, and that no listener names any more.
    RemoveRouter(RouterName),
    /// A cluster that is not wanted any more, and that no router or listener names any more.
    RemoveCluster(ClusterName),
    /// Other values of what concerns the process as a whole; most count only at its next start.
    Server {
        /// As it was.
        from: Box<Server>,
        /// As it is to be.
        to: Box<Server>,
    },
}

/// Finds what leads from `running` to `wanted`, in an order in which every step leaves a whole plan:
/// clusters are there before routers and listeners name them, routers before listeners do, and both
/// go after.
///
/// What is equal in both is in no change. The order of clusters, of routers and of listeners among
/// themselves means nothing and makes no change.
#[must_use]
pub fn diff(running: &Plan, wanted: &Plan) -> Vec<Change> {
    let mut changes = Vec::new();
    let clusters = Sides::of(&running.clusters, &wanted.clusters, |cluster| &cluster.name);
    let routers = Sides::of(&running.routers, &wanted.routers, |router| &router.name);
    let listeners = Sides::of(&running.listeners, &wanted.listeners, |listener| {
        &listener.name
    });
    changes.extend(
        clusters.new_or_other(Change::AddCluster, |from, to| Change::UpdateCluster {
            from,
            to,
        }),
    );
    changes.extend(
        routers.new_or_other(Change::AddRouter, |from, to| Change::UpdateRouter {
            from,
            to,
        }),
    );
    changes.extend(listeners.new_or_other(Change::AddListener, |from, to| {
        Change::UpdateListener { from, to }
    }));
    changes.extend(listeners.gone(Change::RemoveListener));
    changes.extend(routers.gone(Change::RemoveRouter));
    changes.extend(clusters.gone(Change::RemoveCluster));
    if running.server != wanted.server {
        changes.push(Change::Server {
            from: Box::new(running.server.clone()),
            to: Box::new(wanted.server.clone()),
        });
    }
    changes
}

/// Things of one kind in both plans, each with its name.
struct Sides<'a, T, N> {
    running: Named<'a, T, N>,
    wanted: Named<'a, T, N>,
}

/// In the order of the plan.
type Named<'a, T, N> = Vec<(&'a N, &'a Arc<T>)>;

impl<'a, T: PartialEq, N: Clone + Eq + Hash> Sides<'a, T, N> {
    fn of(
        running: &'a List<Arc<T>>,
        wanted: &'a List<Arc<T>>,
        name: impl Fn(&'a T) -> &'a N,
    ) -> Self {
        let named = |item: Option<&'a Arc<T>>| item.map(|item| (name(item), item));
        let mut sides = Self {
            running: Vec::new(),
            wanted: Vec::new(),
        };
        // A small change leaves nearly all things what and where they are: those need no look.
        for (one, other) in running.apart(wanted) {
            let stays = one.zip(other).is_some_and(|(a, b)| Arc::ptr_eq(a, b));
            if !stays {
                sides.running.extend(named(one));
                sides.wanted.extend(named(other));
            }
        }
        sides
    }

    fn new_or_other(
        &self,
        add: impl Fn(Arc<T>) -> Change,
        update: impl Fn(Arc<T>, Arc<T>) -> Change,
    ) -> Vec<Change> {
        let running: HashMap<_, _> = self.running.iter().copied().collect();
        let changes = self
            .wanted
            .iter()
            .filter_map(|(name, to)| match running.get(name) {
                None => Some(add(Arc::clone(to))),
                Some(from) if from == to => None,
                Some(from) => Some(update(Arc::clone(from), Arc::clone(to))),
            });
        changes.collect()
    }

    fn gone(&self, remove: impl Fn(N) -> Change) -> Vec<Change> {
        let wanted: HashSet<_> = self.wanted.iter().map(|(name, _)| *name).collect();
        let gone = self
            .running
            .iter()
            .filter(|(name, _)| !wanted.contains(name));
        gone.map(|(name, _)| remove((*name).clone())).collect()
    }
}

impl Plan {
    /// The plan after one change; what is updated or removed and not there changes nothing.
    #[must_use]
    pub fn with(mut self, change: &Change) -> Self {
        match change {
            Change::AddCluster(cluster) => self.clusters.push(cluster.clone()),
            Change::UpdateCluster { to, .. } => {
                replace(&mut self.clusters, to, |cluster| &cluster.name);
            }
            Change::RemoveCluster(name) => self.clusters.retain(|old| old.name != *name),
            Change::AddRouter(router) => self.routers.push(router.clone()),
            Change::UpdateRouter { to, .. } => {
                replace(&mut self.routers, to, |router| &router.name);
            }
            Change::RemoveRouter(name) => self.routers.retain(|old| old.name != *name),
            Change::AddListener(listener) => self.listeners.push(listener.clone()),
            Change::UpdateListener { to, .. } => {
                replace(&mut self.listeners, to, |listener| &listener.name);
            }
            Change::RemoveListener(name) => self.listeners.retain(|old| old.name != *name),
            Change::Server { to, .. } => self.server = Server::clone(to),
        }
        self
    }
}

fn replace<T, N: PartialEq>(items: &mut List<Arc<T>>, to: &Arc<T>, name: impl Fn(&T) -> &N) {
    let place = items.iter().position(|old| name(old) == name(to));
    if let Some(place) = place {
        items[place] = Arc::clone(to);
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use proptest::collection::btree_map;
    use proptest::prelude::*;

    use super::*;
    use crate::config::plan::{
        Domain, DomainHost, Edits, HeaderEdits, Host, HttpProxy, NetworkFilter, Port, StreamFilter,
        Target, VirtualHost,
    };

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

    fn router(name: &str, hosts: &[(&str, &str)]) -> Router {
        let hosts = hosts.iter().map(|(domain, name)| VirtualHost {
            name: (*name).to_owned(),
            domains: vec![Domain {
                host: DomainHost::Exact((*domain).to_owned()),
                port: Port::None,
            }],
            routes: Vec::new(),
            edits: HeaderEdits::default(),
            filters: Default::default(),
        });
        Router {
            name: name.into(),
            virtual_hosts: hosts.map(Arc::new).collect(),
            edits: HeaderEdits::default(),
        }
    }

    fn with_routers(plan: Plan, routers: impl IntoIterator<Item = Router>) -> Plan {
        let routers = routers.into_iter().map(Arc::new).collect();
        Plan { routers, ..plan }
    }

    fn http(name: &str, port: u16, router: &str) -> Listener {
        Listener {
            filter: NetworkFilter::Proxy(HttpProxy::new(Target::Router(router.into()))),
            ..listener(name, port, "")
        }
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
                "server: `mosn_server_name` changed",
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
    fn routers_come_between_clusters_and_listeners_and_go_between_them() {
        let plan = |name: &str, port| {
            let plan = Plan::of([cluster(name, &[])], [http(name, port, name)]);
            with_routers(
                plan,
                [router(name, &[("a.example", ""), ("b.example", "")])],
            )
        };
        assert_eq!(
            words(&plan("old", 1), &plan("new", 2)),
            [
                "cluster `new`: added, 0 hosts",
                "router `new`: added, 2 virtual hosts",
                "listener `new`: added on 127.0.0.1:2",
                "listener `old`: removed",
                "router `old`: removed",
                "cluster `old`: removed",
            ]
        );
    }

    #[test]
    fn an_update_of_a_router_or_of_what_serves_requests_says_what_is_different() {
        let before = [("a", ""), ("b", ""), ("c", "")];
        let after = [("a", "named"), ("b", ""), ("d", ""), ("e", "")];
        let mut edited = router("edited", &[]);
        let mut other_limits = cluster("c", &[]);
        let mut other_listener = http("l", 1, "r");
        let running = with_routers(
            Plan::of([other_limits.clone()], [other_listener.clone()]),
            [router("r", &before), edited.clone()],
        );
        edited.edits.request = Edits {
            remove: vec!["x-secret".to_owned()],
            ..Edits::default()
        };
        other_limits.limits.requests = Some(9);
        other_listener.stream_filters = vec![StreamFilter::HeaderToMetadata(Vec::new())];
        let wanted = with_routers(
            Plan::of([other_limits], [other_listener]),
            [router("r", &after), edited],
        );
        assert_eq!(
            words(&running, &wanted),
            [
                "cluster `c`: `circuit_breakers` changed",
                "router `r`: 2 virtual hosts added, 1 virtual host removed, 1 virtual host changed",
                "router `edited`: header fields changed",
                "listener `l`: `stream_filters` changed",
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
        let routers = btree_map("[a-d]", btree_map("[a-c]", "[a-b]", 0..3), 0..4);
        let parts = (clusters, routers, listeners, "[a-c]?");
        parts.prop_map(|(clusters, routers, listeners, name)| Plan {
            routers: routers
                .iter()
                .map(|(name, hosts)| {
                    let hosts: Vec<_> = hosts.iter().map(|(a, b)| (&**a, &**b)).collect();
                    Arc::new(router(name, &hosts))
                })
                .collect(),
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

    fn sorted(plan: Plan) -> Plan {
        fn by<T, N: Ord>(list: &List<Arc<T>>, name: impl Fn(&T) -> &N) -> List<Arc<T>> {
            let mut all: Vec<_> = list.iter().cloned().collect();
            all.sort_by(|a, b| name(a).cmp(name(b)));
            all.into()
        }
        Plan {
            clusters: by(&plan.clusters, |cluster| &cluster.name),
            routers: by(&plan.routers, |router| &router.name),
            listeners: by(&plan.listeners, |listener| &listener.name),
            ..plan
        }
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
