//! Plans written in Rust: for embedders and tests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::plan::{
    Action, Address, Balancer, Bias, Bind, Cluster, ClusterChoice, Discovery, Domain, DomainHost,
    Forward, HashKey, HeaderEdits, Host, HostAddress, HostRewrite, Limits, Listener, Matcher,
    Metadata, NetworkFilter, OriginalDestination, PathRewrite, Plan, Port, RetryPolicy, Route,
    RouteFilters, Router, TcpProxy, VirtualHost,
};
use crate::name::{ClusterName, ListenerName, RouterName};

impl Host {
    /// A host of weight 1.
    #[must_use]
    pub fn new(address: HostAddress) -> Self {
        Self {
            address,
            hostname: None,
            metadata: Metadata::new(),
            weight: 1,
        }
    }
}

impl From<SocketAddr> for Host {
    fn from(address: SocketAddr) -> Self {
        Self::new(HostAddress::Socket(Address::Tcp(address)))
    }
}

impl Cluster {
    /// How long a host may take to accept a connection unless it is said.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

    /// A cluster as a configuration makes it that says no more than this.
    #[must_use]
    pub fn new(name: impl Into<ClusterName>, hosts: impl IntoIterator<Item = Host>) -> Self {
        Self {
            name: name.into(),
            balancer: Balancer::default(),
            bias: Bias::default(),
            connect_timeout: Self::CONNECT_TIMEOUT,
            discovery: Discovery::default(),
            health_check: None,
            hosts: hosts.into_iter().collect(),
            idle_timeout: None,
            limits: Limits::default(),
            mark: None,
            original_destination: OriginalDestination::default(),
            outlier_detection: None,
            panic_threshold: 0,
            slow_start: None,
            subsets: None,
        }
    }
}

impl Listener {
    /// How long a connection may move no byte unless it is said.
    pub const IDLE_TIMEOUT: Duration = Duration::from_secs(90);

    /// A bound listener that relays to one cluster.
    #[must_use]
    pub fn new(
        name: impl Into<ListenerName>,
        address: SocketAddr,
        cluster: impl Into<ClusterName>,
    ) -> Self {
        Self {
            name: name.into(),
            address: Address::Tcp(address),
            bind: Bind::Port,
            idle_timeout: Some(Self::IDLE_TIMEOUT),
            filter: NetworkFilter::TcpProxy(TcpProxy::Cluster(cluster.into())),
            stream_filters: Vec::new(),
            access_logs: Vec::new(),
        }
    }
}

impl Forward {
    /// How long a request may wait for its response unless it is said.
    pub const TIMEOUT: Duration = Duration::from_secs(60);

    /// To one cluster, as a route that says no more than this.
    #[must_use]
    pub fn to(cluster: impl Into<ClusterName>) -> Self {
        Self {
            cluster: ClusterChoice::One(cluster.into()),
            metadata: Arc::default(),
            timeout: Some(Self::TIMEOUT),
            retry: RetryPolicy::default(),
            path: PathRewrite::default(),
            host: HostRewrite::default(),
            hash: HashKey::default(),
        }
    }
}

impl Route {
    /// One that forwards to a cluster, and changes nothing.
    #[must_use]
    pub fn new(matcher: Matcher, cluster: impl Into<ClusterName>) -> Self {
        Self {
            matcher,
            action: Action::Forward(Box::new(Forward::to(cluster))),
            edits: HeaderEdits::default(),
            filters: RouteFilters::default(),
            mirror: None,
        }
    }
}

impl Router {
    /// One that sends every request to one cluster.
    #[must_use]
    pub fn to(cluster: ClusterName) -> Self {
        let everything = Matcher::Fields(Vec::new());
        let host = VirtualHost {
            name: String::new(),
            domains: vec![Domain {
                host: DomainHost::Any,
                port: Port::Any,
            }],
            routes: vec![Arc::new(Route::new(everything, cluster.clone()))],
            edits: HeaderEdits::default(),
            filters: RouteFilters::default(),
        };
        Self {
            name: RouterName::from(cluster.as_str()),
            virtual_hosts: vec![Arc::new(host)],
            edits: HeaderEdits::default(),
        }
    }
}

impl Plan {
    /// A plan of these clusters and listeners, with every default beside them.
    ///
    /// ```
    /// use banyan::config::{Cluster, Host, Listener, Plan};
    ///
    /// let local = |port| std::net::SocketAddr::from(([127, 0, 0, 1], port));
    /// let plan = Plan::of(
    ///     [Cluster::new("api", [Host::from(local(9090)), Host::from(local(9091))])],
    ///     [Listener::new("app", local(2047), "api")],
    /// );
    /// assert!(plan.cluster("api").is_some());
    /// ```
    #[must_use]
    pub fn of(
        clusters: impl IntoIterator<Item = Cluster>,
        listeners: impl IntoIterator<Item = Listener>,
    ) -> Self {
        Self {
            clusters: clusters.into_iter().map(Arc::new).collect(),
            listeners: listeners.into_iter().map(Arc::new).collect(),
            ..Self::default()
        }
    }

    /// The cluster of this name.
    #[must_use]
    pub fn cluster(&self, name: &str) -> Option<&Arc<Cluster>> {
        self.clusters
            .iter()
            .find(|cluster| cluster.name.as_str() == name)
    }

    /// The router of this name.
    #[must_use]
    pub fn router(&self, name: &str) -> Option<&Arc<Router>> {
        self.routers
            .iter()
            .find(|router| router.name.as_str() == name)
    }

    /// The listener of this name.
    #[must_use]
    pub fn listener(&self, name: &str) -> Option<&Arc<Listener>> {
        self.listeners
            .iter()
            .find(|listener| listener.name.as_str() == name)
    }
}
