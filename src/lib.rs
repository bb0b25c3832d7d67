//! Banyan: an L4/L7 proxy whose whole process is one supervision tree of actix actors.
//!
//! It reads MOSN configuration, runs as a daemon (the binary `banyan`), and embeds in other actix
//! applications through [`Proxy`]:
//!
//! ```
//! use banyan::{Plan, Proxy};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let plan = Plan::from_json(r#"{
//!     "servers": [{ "listeners": [{
//!         "name": "app", "address": "127.0.0.1:0", "bind_port": true,
//!         "filter_chains": [{ "filters": [{
//!             "type": "tcp_proxy", "config": { "cluster": "origins" } }] }] }] }],
//!     "cluster_manager": { "clusters": [{
//!         "name": "origins", "lb_type": "LB_LEAST_CONNECTION",
//!         "hosts": [{ "address": "127.0.0.1:9090" }] }] }
//! }"#)?;
//!
//! actix_rt::System::new().block_on(async {
//!     let proxy = Proxy::start(plan).await?;
//!     let overview = proxy.snapshot().await?;
//!     println!("listening on {}", overview.listeners[0].address);
//!     proxy.stop().await;
//!     proxy.ended().await?;
//!     Ok(())
//! })
//! # }
//! ```
//!
//! Below the doors nothing reads the environment, installs a signal handler, a global logger or a
//! panic hook, ends the process, or makes or stops an actix system.
//!
//! # Layout
//!
//! A module imports only from floors below its own.
//!
//! | floor | rooms | holds |
//! |---|---|---|
//! | 7 doors | this file, `main`, [`cli`] | process, arguments, signals, exit codes |
//! | 6 actors | [`actor`] | mailboxes and ownership; the only room, besides the doors, that names actix |
//! | 5 path | [`proxy`] | the way of a connection and of a request |
//! | 4 far side | [`upstream`] | connecting to hosts, idle connections to them |
//! | 3 means | [`net`] [`filter`] | sockets; hooks on requests |
//! | 2 decisions | [`route`] [`cluster`] [`supervise`] [`lifecycle`] | pure functions; time and randomness are arguments |
//! | 1 shapes | [`config`] [`protocol`] | text and bytes made types |
//! | 0 ground | [`name`] [`backoff`] [`telemetry`] | words, counters, logs |

#[cfg(panic = "abort")]
compile_error!(
    "supervision needs `panic = \"unwind\"`: a panic must end one actor, not the process"
);

/// The examples of the manual are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[doc = include_str!("../docs/embedding.md")]
mod manual {}

pub mod actor;
pub mod backoff;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod filter;
pub mod lifecycle;
pub mod name;
pub mod net;
pub mod protocol;
pub mod proxy;
pub mod route;
pub mod supervise;
pub mod telemetry;
pub mod upstream;

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::sync::watch;

use crate::actor::root;
pub use crate::actor::root::ApplyError;
pub use crate::actor::view::{ClusterView, HostView, ListenerView, Overview};
pub use crate::cluster::{Health, Reason};
pub use crate::config::{Change, HostAddress, Plan};
use crate::filter::Registry;
pub use crate::name::{ClusterName, ListenerName};
use crate::supervise::Exit;
use crate::telemetry::access_log::AccessLogs;
use crate::telemetry::log::Roller;

/// How long the connections of a listener that was taken down may last (default of `start`).
const DRAIN_TIME: Duration = Duration::from_secs(600);

/// Connections that an embedded proxy takes at once unless it is told otherwise.
const MAX_CONNECTIONS: usize = 1 << 20;

/// A proxy that is about to start.
#[derive(Debug)]
pub struct Proxy {
    workers: usize,
    max_connections: usize,
    drain_time: Duration,
    filters: Registry,
    access: AccessLogs,
    log_directory: Option<PathBuf>,
    log: slog::Logger,
}

impl Default for Proxy {
    fn default() -> Self {
        Self {
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            max_connections: MAX_CONNECTIONS,
            drain_time: DRAIN_TIME,
            filters: Registry::default(),
            access: AccessLogs::new(Roller::default(), TimeZone::system()),
            log_directory: None,
            log: slog::Logger::root(slog::Discard, slog::o!()),
        }
    }
}

impl Proxy {
    /// Starts a proxy with one worker a CPU and no log.
    ///
    /// # Errors
    ///
    /// As [`Self::run`].
    ///
    /// # Panics
    ///
    /// As [`Self::run`].
    pub async fn start(plan: Plan) -> Result<ProxyHandle, ApplyError> {
        Self::default().run(plan).await
    }

    /// Threads that carry connections (default: one a CPU that this process may use).
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers.max(1);
        self
    }

    /// Connections that are taken at once (default, and most: 1,048,576); more wait in the kernel.
    #[must_use]
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections.clamp(1, MAX_CONNECTIONS);
        self
    }

    /// How long the connections of a listener that a change took down may last (default 600 s).
    #[must_use]
    pub fn drain_time(mut self, drain_time: Duration) -> Self {
        self.drain_time = drain_time;
        self
    }

    /// Stream filters of the caller's own, by the names that configurations give them (default:
    /// none).
    #[must_use]
    pub fn stream_filters(mut self, filters: Registry) -> Self {
        self.filters = filters;
        self
    }

    /// Where access logs are opened. Whoever gives this may reopen them, hear what they lost, and
    /// close them at the end (default: they roll once a day, and are closed with the proxy).
    #[must_use]
    pub fn access_logs(mut self, access: AccessLogs) -> Self {
        self.access = access;
        self
    }

    /// Where access logs without a path go, as `LISTENER_access.log` (default: to stderr).
    #[must_use]
    pub fn log_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.log_directory = Some(directory.into());
        self
    }

    /// Where the proxy writes its lines (default: nowhere).
    #[must_use]
    pub fn logger(mut self, log: slog::Logger) -> Self {
        self.log = log;
        self
    }

    /// Starts the tree in the caller's actix system, on threads of its own but for the control
    /// actors, and applies `plan`; when it returns, every listener accepts.
    ///
    /// The proxy lives until it is stopped or drained, it fails, or the system ends; dropping
    /// handles does not end it.
    ///
    /// # Errors
    ///
    /// [`ApplyError`] when the plan cannot be carried out; then nothing is left running.
    ///
    /// # Panics
    ///
    /// Outside an actix system.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped, what it started ends.
    pub async fn run(self, plan: Plan) -> Result<ProxyHandle, ApplyError> {
        let Self {
            workers,
            max_connections,
            drain_time,
            filters,
            access,
            log_directory,
            log,
        } = self;
        let options = root::Options {
            workers,
            max_connections,
            drain_time,
            filters,
            access,
            log_directory,
            log,
        };
        let (root, mut life) = root::start(options);
        // Whoever drops this future drops the life with it.
        let applied = root.apply(plan).await;
        let (ended, end) = watch::channel(None);
        // The end must be known to handles on any thread, and outlive every one of them.
        let told = async move { ended.send_replace(Some(life.ended().await)) };
        #[expect(
            clippy::disallowed_methods,
            reason = "it only waits and tells; nothing in it panics"
        )]
        actix_rt::spawn(told);
        let handle = ProxyHandle { root, end };
        if applied.is_err() {
            // The tree ends by itself when its first plan fails; nothing of it is left after this.
            let _ = handle.ended().await;
        }
        applied.map(|_| handle)
    }
}

/// The door to a running proxy. Cloned freely, also to other threads.
#[derive(Clone)]
pub struct ProxyHandle {
    root: root::Handle,
    end: watch::Receiver<Option<Exit>>,
}

impl std::fmt::Debug for ProxyHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProxyHandle").finish_non_exhaustive()
    }
}

impl ProxyHandle {
    /// Makes `plan` the running one, and says what changed.
    ///
    /// Connections of what did not change never notice. Those of a listener that is taken down
    /// end by themselves, or after the drain time.
    ///
    /// # Errors
    ///
    /// [`ApplyError`] names the step; the plan before stays in force.
    pub async fn apply(&self, plan: Plan) -> Result<Vec<Change>, ApplyError> {
        self.root.apply(plan).await
    }

    /// The hosts of one cluster, to be changed.
    #[must_use]
    pub fn hosts(&self, cluster: impl Into<ClusterName>) -> Hosts<'_> {
        Hosts {
            proxy: self,
            cluster: cluster.into(),
        }
    }

    /// Takes one host out, or lets it back in; `false` when there is no such host.
    ///
    /// This is a reason of its own: a host that was let back in is chosen when its health check
    /// has nothing against it either.
    ///
    /// # Errors
    ///
    /// [`ApplyError`] when the proxy has ended or cannot answer.
    pub async fn set_health(
        &self,
        cluster: impl Into<ClusterName>,
        address: HostAddress,
        health: Health,
    ) -> Result<bool, ApplyError> {
        self.root.set_health(cluster.into(), address, health).await
    }

    /// Stops accepting, lets connections end for at most `deadline`, then ends the proxy.
    ///
    /// Returns how many connections were cut at the deadline.
    pub async fn drain(&self, deadline: Duration) -> u64 {
        self.root.drain(deadline).await
    }

    /// Ends the proxy now; its connections are cut. [`Self::ended`] tells when that is done.
    pub async fn stop(&self) {
        self.root.stop().await;
    }

    /// Waits until the proxy has ended.
    ///
    /// # Errors
    ///
    /// [`Failure`] when it ended by itself: a part of it failed more often than it is restarted.
    ///
    /// # Cancel safety
    ///
    /// It is cancel safe, and answers every caller alike.
    pub async fn ended(&self) -> Result<(), Failure> {
        let mut end = self.end.clone();
        let exit = end.wait_for(Option::is_some).await;
        match exit.ok().and_then(|exit| exit.clone()) {
            Some(Exit::Normal) => Ok(()),
            Some(failure) => Err(Failure(failure.to_string())),
            None => Err(Failure("its actix system has ended".to_owned())),
        }
    }

    /// The supervision tree, the listeners and the clusters with their live counts.
    ///
    /// # Errors
    ///
    /// [`ApplyError`] when the proxy has ended or cannot answer.
    pub async fn snapshot(&self) -> Result<Overview, ApplyError> {
        self.root.overview().await
    }
}

/// The proxy ended by itself, for this reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the proxy failed: {0}")]
pub struct Failure(String);

/// Changes the hosts of one cluster; each change is one change of the running plan.
#[derive(Debug)]
pub struct Hosts<'a> {
    proxy: &'a ProxyHandle,
    cluster: ClusterName,
}

impl Hosts<'_> {
    /// Replaces all hosts. Those that stay keep their health, counts and connections.
    ///
    /// # Errors
    ///
    /// [`ApplyError::Edit`] when there is no such cluster; else as [`ProxyHandle::apply`].
    pub async fn set(&self, hosts: Vec<config::Host>) -> Result<Vec<Change>, ApplyError> {
        self.change(move |_| hosts).await
    }

    /// Puts hosts before those there are; one whose address is there already replaces it.
    ///
    /// # Errors
    ///
    /// As [`Self::set`].
    pub async fn append(&self, hosts: Vec<config::Host>) -> Result<Vec<Change>, ApplyError> {
        self.change(move |running| config::append_hosts(hosts, running))
            .await
    }

    /// Removes the hosts with these addresses; unknown addresses are ignored. Their connections
    /// live on.
    ///
    /// # Errors
    ///
    /// As [`Self::set`].
    pub async fn remove(&self, addresses: Vec<HostAddress>) -> Result<Vec<Change>, ApplyError> {
        self.change(move |mut running| {
            let gone: HashSet<_> = addresses.into_iter().collect();
            running.retain(|host| !gone.contains(&host.address));
            running
        })
        .await
    }

    async fn change(
        &self,
        change: impl FnOnce(Vec<config::Host>) -> Vec<config::Host> + Send + 'static,
    ) -> Result<Vec<Change>, ApplyError> {
        let name = self.cluster.clone();
        let edit = move |plan: &mut Plan| plan.change_hosts(&name, change);
        self.proxy.root.edit(Box::new(edit)).await
    }
}
