//! Clusters and their hosts.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{
    Address, Bias, Discovery, HealthCheck, Metadata, OriginalDestination, OutlierDetection,
    SlowStart, Subsets,
};
use crate::name::ClusterName;

/// A named group of upstream hosts.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// Unique.
    pub name: ClusterName,
    /// How a host is chosen. A change takes effect with the next choice.
    pub balancer: Balancer,
    /// How strongly what is known of a host moves the choice.
    pub bias: Bias,
    /// How long a host may take to accept a connection (default 10 s).
    pub connect_timeout: Duration,
    /// Who says which addresses its hosts have. A change asks anew.
    pub discovery: Discovery,
    /// How its hosts are checked; `None` is not at all.
    pub health_check: Option<HealthCheck>,
    /// Hosts in the order of the file, each address once.
    pub hosts: Vec<Host>,
    /// An upstream connection that moves no byte for so long is closed; `None` is never.
    pub idle_timeout: Option<Duration>,
    /// What it may carry at once.
    pub limits: Limits,
    /// `SO_MARK` of upstream sockets.
    pub mark: Option<u32>,
    /// Where work goes that is sent to where it was meant to go.
    pub original_destination: OriginalDestination,
    /// How a host that has just come takes up its share; `None` is at once.
    pub slow_start: Option<SlowStart>,
    /// How its hosts are divided by their metadata; `None` is not at all.
    pub subsets: Option<Subsets>,
    /// When a host that fails its work is left out for a while; `None` is never.
    pub outlier_detection: Option<OutlierDetection>,
    /// When less than so many of a hundred hosts are healthy, all are chosen (default 0: never, and
    /// where none is healthy there is none).
    pub panic_threshold: u8,
}

/// What a cluster may carry at once, over all workers (`circuit_breakers`); `None` is any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Upstream connections, idle ones too.
    pub connections: Option<u64>,
    /// Requests.
    pub requests: Option<u64>,
    /// Requests that are being tried again.
    pub retries: Option<u64>,
}

/// How a host is chosen (`lb_type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balancer {
    /// Uniform.
    Random,
    /// In turn, from a random start.
    #[default]
    RoundRobin,
    /// In turn, each as often as its weight says.
    WeightedRoundRobin,
    /// Fewest active requests by weight.
    LeastRequest(Choices),
    /// Fewest active connections by weight.
    LeastConnection(Choices),
    /// By a hash of the request: the same key goes to the same host.
    Maglev,
    /// The first in the order of the hosts; each further try the next one.
    InOrder,
    /// Where the connection was meant to go before it was redirected here.
    OriginalDestination,
    /// The lowest product of recent latency and active requests.
    PeakEwma(Choices),
}

/// Every `lb_type` of MOSN, those of its development head too.
pub(in crate::config) const LB_TYPES: &[(&str, Balancer)] = &[
    ("LB_RANDOM", Balancer::Random),
    ("LB_ROUNDROBIN", Balancer::RoundRobin),
    ("LB_WEIGHTED_ROUNDROBIN", Balancer::WeightedRoundRobin),
    (
        "LB_LEAST_REQUEST",
        Balancer::LeastRequest(Choices::Random(2)),
    ),
    (
        "LB_LEAST_CONNECTION",
        Balancer::LeastConnection(Choices::Random(2)),
    ),
    ("LB_PEAK_EWMA", Balancer::PeakEwma(Choices::Random(2))),
    ("LB_MAGLEV", Balancer::Maglev),
    ("LB_REQUEST_ROUNDROBIN", Balancer::InOrder),
    ("LB_ORIGINAL_DST", Balancer::OriginalDestination),
];

/// As a configuration writes it; how many hosts it looks at is not said.
impl fmt::Display for Balancer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let same = |other: &Self| std::mem::discriminant(self) == std::mem::discriminant(other);
        let found = LB_TYPES.iter().find(|(_, known)| same(known));
        f.write_str(found.map_or("", |(name, _)| name))
    }
}

/// How many hosts a least-loaded choice looks at (`lbconfig.choice_count`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choices {
    /// All of them (`0`).
    All,
    /// So many, drawn at random with replacement (default 2, as MOSN).
    Random(u32),
}

impl Default for Choices {
    fn default() -> Self {
        Self::Random(2)
    }
}

/// One upstream address of a cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    /// Where it is reached.
    pub address: HostAddress,
    /// `hostname`, for logs and host rewrites.
    pub hostname: Option<String>,
    /// By what subsets are told apart; empty where it has none.
    pub metadata: Metadata,
    /// Share of the load, 1 to 128.
    pub weight: u32,
}

/// Where a host is reached, as the configuration wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostAddress {
    /// An address that needs no resolution.
    Socket(Address),
    /// A DNS name and port, resolved when a connection is made.
    Name(Arc<str>, u16),
}

impl From<SocketAddr> for HostAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Socket(Address::Tcp(address))
    }
}
