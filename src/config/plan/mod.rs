//! The plan: a configuration after everything in it has been decided.
//!
//! No `Option` here means "default" and no text means a number; every name that is referred to
//! exists. Two plans can be compared, and `diff` says what leads from one to the
//! other.

mod auto;
mod balancing;
mod cluster;
mod dns;
mod filter;
mod health_check;
mod http;
mod metrics;
mod outliers;
mod pattern;
mod router;
mod rpc;
mod variable;
mod words;

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::config::list::List;
use crate::name::{ClusterName, ListenerName};
pub use crate::telemetry::log::{Compress, Roller};
pub use auto::{AutoProxy, Breadth, Spoken};
pub use balancing::{Bias, Fallback, OriginalDestination, Reached, SlowStart, Subsets};
pub(in crate::config) use cluster::LB_TYPES;
pub use cluster::{Balancer, Choices, Cluster, Host, HostAddress, Limits};
pub use dns::{Discovery, Dns, DnsServers, Family, Ttl};
pub use filter::{
    Access, Fault, FieldAfter, IpAccess, MetadataRule, MetadataWhen, PayloadLimit, RouteFilters,
    StreamFilter,
};
pub use health_check::{EventFormat, EventLog, HealthCheck, HttpProbe, Probe};
pub use http::{
    AccessFormat, AccessLog, Causes, Connect, Deadlines, HttpLimits, HttpProxy, Piece, Target,
};
pub use metrics::{Flush, Meta, Metrics, Process, PrometheusSink, StatsMatcher};
pub use outliers::OutlierDetection;
pub use pattern::Pattern;
pub use router::{
    Action, Addition, ClusterChoice, Domain, DomainHost, Edits, Existing, FieldMatch, Forward,
    HashKey, HeaderEdits, HostRewrite, Matcher, Metadata, Mirror, Model, PathRewrite, Port,
    Redirect, RetryOn, RetryPolicy, Route, Router, Share, Template, TextMatch, VariableMatch,
    VirtualHost,
};
pub use rpc::{Goaway, PoolMode, RpcProtocol, RpcProxy};
pub use variable::{Known, Variable};

/// Everything that a running proxy is to be.
///
/// The default plan is the empty one, from which every start is a reload. Copies share what they hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Clusters in the order of the file, each name once.
    pub clusters: List<Arc<Cluster>>,
    /// Listeners in the order of the file, each name and each bound address once.
    pub listeners: List<Arc<Listener>>,
    /// Routers in the order of the file, each name once.
    pub routers: List<Arc<Router>>,
    /// What concerns the process as a whole.
    pub server: Server,
}

/// What concerns the process as a whole. Read at start; a running process follows the level of its
/// log, and what is told of metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// `host:port` of the admin listener; none is served when absent.
    pub admin: Option<String>,
    /// Whether a predecessor is looked for and a successor accepted.
    pub upgrade: Upgrade,
    /// How long a hot upgrade waits for connections to move (default 30 s).
    pub graceful_timeout: Duration,
    /// Where error lines go, and which of them.
    pub log: Log,
    /// What is told of the counts, and where.
    pub metrics: Metrics,
    /// `mosn_server_name`, for information.
    pub name: String,
    /// The pid file, when the configuration names one.
    pub pid_file: Option<PathBuf>,
    /// Worker threads.
    pub workers: Workers,
    /// Directory of the control sockets, when the configuration names one.
    pub socket_directory: Option<PathBuf>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            admin: None,
            upgrade: Upgrade::default(),
            graceful_timeout: Duration::from_secs(30),
            log: Log::default(),
            metrics: Metrics::default(),
            name: String::new(),
            pid_file: None,
            workers: Workers::default(),
            socket_directory: None,
        }
    }
}

/// Whether a hot upgrade is possible (`disable_upgrade`, `close_graceful`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Upgrade {
    /// A predecessor is looked for, a successor is accepted.
    #[default]
    Enabled,
    /// The process always starts cold.
    Disabled,
}

/// How many worker threads (`processor`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Workers {
    /// One a CPU that this process may use, cgroup limits counted.
    #[default]
    Auto,
    /// Exactly so many.
    Fixed(usize),
}

/// Where error lines go, and which (`default_log_path`, `default_log_level`, `global_log_roller`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Log {
    /// The output as written: empty, `stdout`, `stderr`, `syslog…` or a file. `None`: the default file.
    pub path: Option<String>,
    /// The most verbose level that is written.
    pub level: LogLevel,
    /// When a log file is rolled.
    pub roller: Roller,
}

/// MOSN's levels, least verbose first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Only what ends the process.
    Fatal,
    /// What failed.
    Error,
    /// What may fail.
    Warn,
    /// What happened.
    #[default]
    Info,
    /// What explains what happened.
    Debug,
    /// Everything.
    Trace,
}

/// An address that is accepted on, and what happens to its connections.
///
/// A change of anything but the address or `bind` leaves existing connections as they are and
/// holds for new ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// Unique; the resolved address when the file gives none.
    pub name: ListenerName,
    /// Where it accepts.
    pub address: Address,
    /// Whether it has a socket of its own.
    pub bind: Bind,
    /// Connections that move no byte for so long are closed (default 90 s); `None` is never.
    pub idle_timeout: Option<Duration>,
    /// What happens to its connections.
    pub filter: NetworkFilter,
    /// Hooks on the requests of a `proxy`, in order.
    pub stream_filters: Vec<StreamFilter>,
    /// Where its requests are logged.
    pub access_logs: Vec<AccessLog>,
}

/// A socket address of either family that streams come over.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// TCP over IPv4 or IPv6.
    Tcp(SocketAddr),
    /// A unix stream socket.
    Unix(PathBuf),
}

/// Whether a listener has a socket of its own (`bind_port`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bind {
    /// It listens.
    Port,
    /// It is reached only through another listener's original destination.
    Virtual,
}

/// The network filter that takes a listener's connections.
#[derive(Clone, Debug, PartialEq)]
pub enum NetworkFilter {
    /// Each connection is served as what it turns out to speak.
    Auto(Box<AutoProxy>),
    /// No usable filter: connections are closed at once, as MOSN does.
    Close,
    /// Requests are forwarded to the hosts of their routes' clusters.
    Proxy(HttpProxy),
    /// The same of a protocol whose requests share connections.
    Rpc(RpcProxy),
    /// Bytes are relayed to a cluster's hosts.
    TcpProxy(TcpProxy),
}

/// Which cluster takes a connection.
#[derive(Clone, Debug, PartialEq)]
pub enum TcpProxy {
    /// Always this one.
    Cluster(ClusterName),
    /// That of the first route which matches; none closes the connection.
    Routes(Vec<TcpRoute>),
}

/// One route of a `tcp_proxy`: all four criteria must match, and an empty one never does.
#[derive(Clone, Debug, PartialEq)]
pub struct TcpRoute {
    /// Where matching connections go.
    pub cluster: ClusterName,
    /// Networks of the downstream's address.
    pub sources: Vec<IpNet>,
    /// Networks of the address that the downstream connected to.
    pub destinations: Vec<IpNet>,
    /// Ports of the downstream's address.
    pub source_ports: Vec<RangeInclusive<u16>>,
    /// Ports that the downstream connected to.
    pub destination_ports: Vec<RangeInclusive<u16>>,
}
