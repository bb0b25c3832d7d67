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
//! | 7 doors | this file, `handle`, `main`, [`cli`] | process, arguments, signals, exit codes |
//! | 6 actors | [`actor`] | mailboxes and ownership; the only room, besides the doors, that names actix |
//! | 5 path | [`proxy`] | the way of a connection and of a request |
//! | 4 far side | [`upstream`] `load` | connecting to hosts, idle connections to them; load and origins for it |
//! | 3 means | [`net`] [`filter`] | sockets; hooks on requests |
//! | 2 decisions | [`route`] [`cluster`] [`streams`] [`supervise`] [`lifecycle`] | pure functions; time and randomness are arguments |
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
mod handle;
pub mod lifecycle;
mod load;
pub mod name;
pub mod net;
pub mod protocol;
pub mod proxy;
pub mod route;
pub mod streams;
pub mod supervise;
pub mod telemetry;
pub mod upstream;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::sync::watch;

pub use crate::actor::root::Charge;
use crate::actor::root::Want;
pub use crate::actor::root::{
    ApplyError, Drift, Entry, Journal, Keeping, Outcome, Running, Source, Terms, Trial,
};
pub use crate::actor::subscribers::{HealthTurned, Subscription};
use crate::actor::supervisor::Life;
pub use crate::actor::upgrade::{Inheritance, Launch, Launched, Launcher, Upgrades, inherit};
pub use crate::actor::view::{ClusterView, HostView, ListenerView, Overview};
use crate::actor::{admin, root};
pub use crate::cluster::{Health, Reason};
pub use crate::config::{Change, Configuration, HostAddress, Plan};
use crate::filter::Registry;
pub use crate::handle::{Failure, Hosts, ProxyHandle};
pub use crate::name::{ClusterName, ListenerName};
use crate::net::Legacy;
use crate::protocol::Codecs;
use crate::supervise::Exit;
use crate::telemetry::access_log::AccessLogs;
use crate::telemetry::log::Roller;
use crate::upstream::{Book, LookUp, by_the_system};

/// How long the connections of a listener that was taken down may last (default of `start`).
const DRAIN_TIME: Duration = Duration::from_secs(600);

/// Connections that an embedded proxy takes at once unless it is told otherwise.
const MAX_CONNECTIONS: usize = 1 << 20;

/// A proxy that is about to start.
pub struct Proxy {
    workers: usize,
    max_connections: usize,
    drain_time: Duration,
    pre_drain_wait: Duration,
    filters: Registry,
    codecs: Codecs,
    access: AccessLogs,
    log_directory: Option<PathBuf>,
    log: slog::Logger,
    look_up: LookUp,
    source: Option<Arc<dyn Source>>,
    keeping: Keeping,
    upgrades: Option<Upgrades>,
    inheritance: Option<Inheritance>,
    given: Legacy,
    admin: Option<admin::Options>,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy").finish_non_exhaustive()
    }
}

impl Default for Proxy {
    fn default() -> Self {
        Self {
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            max_connections: MAX_CONNECTIONS,
            drain_time: DRAIN_TIME,
            pre_drain_wait: Duration::ZERO,
            filters: Registry::default(),
            codecs: Codecs::default(),
            access: AccessLogs::new(Roller::default(), TimeZone::system()),
            log_directory: None,
            log: slog::Logger::root(slog::Discard, slog::o!()),
            look_up: by_the_system(),
            source: None,
            keeping: Keeping::default(),
            upgrades: None,
            inheritance: None,
            given: Legacy::default(),
            admin: None,
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
    pub async fn start(configuration: impl Into<Configuration>) -> Result<ProxyHandle, ApplyError> {
        Self::default().run(configuration).await
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

    /// How long [`ProxyHandle::drain`] waits before it stops accepting, while `/readyz` says that no
    /// more should be sent (default: not at all).
    #[must_use]
    pub fn pre_drain_wait(mut self, pre_drain_wait: Duration) -> Self {
        self.pre_drain_wait = pre_drain_wait;
        self
    }

    /// Protocols of frames that are spoken, the caller's own too (default: those of the proxy).
    /// Configurations name them by their names, and `Auto` knows them by their rules.
    #[must_use]
    pub fn codecs(mut self, codecs: Codecs) -> Self {
        self.codecs = codecs;
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

    /// Who says where the names of plain hosts lead (default: the system, by its `hosts` file and its
    /// servers). It is asked on a thread of its own, and what it says is used for 15 seconds; when it
    /// fails, the last good answer stays. The port of what it says means nothing. Clusters of type
    /// `STRICT_DNS` have resolvers of their own.
    #[must_use]
    pub fn look_up(
        mut self,
        look_up: impl Fn(&str) -> std::io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        self.look_up = Arc::new(look_up);
        self
    }

    /// What a reload reads (default: nothing, and there is no reload).
    #[must_use]
    pub fn source(mut self, source: Arc<dyn Source>) -> Self {
        self.source = Some(source);
        self
    }

    /// Where accepted changes are kept, and over what (default: nowhere).
    #[must_use]
    pub fn keeping(mut self, keeping: Keeping) -> Self {
        self.keeping = keeping;
        self
    }

    /// Has a later process take over from this one without a connection noticing (default: none
    /// can). With an `inheritance`, this process takes over from another one.
    #[must_use]
    pub fn upgrades(mut self, upgrades: Upgrades, inheritance: Option<Inheritance>) -> Self {
        self.upgrades = Some(upgrades);
        self.inheritance = inheritance;
        self
    }

    /// Listening sockets that are there already (default: none). A listener that has the address or
    /// the name of one accepts on it instead of a new one; the others are closed.
    #[must_use]
    pub fn sockets(mut self, given: Legacy) -> Self {
        self.given = given;
        self
    }

    /// Opens the HTTP door for administrators (default: there is none).
    #[must_use]
    pub fn admin(mut self, options: admin::Options) -> Self {
        self.admin = Some(options);
        self
    }

    /// Starts the tree in the caller's actix system, on threads of its own but for the control
    /// actors, and applies the configuration, or a plan alone; when it returns, every listener accepts.
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
    pub async fn run(
        self,
        configuration: impl Into<Configuration>,
    ) -> Result<ProxyHandle, ApplyError> {
        let Self {
            workers,
            max_connections,
            drain_time,
            pre_drain_wait,
            filters,
            codecs,
            access,
            log_directory,
            log,
            look_up,
            source,
            keeping,
            upgrades,
            inheritance,
            given,
            admin,
        } = self;
        let options = root::Options {
            workers,
            max_connections,
            drain_time,
            pre_drain: pre_drain_wait,
            filters,
            codecs,
            access,
            log_directory,
            book: Book::new(look_up, log.clone()),
            log,
            source,
            keeping,
            upgrades,
            admin,
        };
        let (root, life) = root::start(options, inheritance, given)?;
        // Whoever drops this future drops the life with it.
        let want = Want::Configuration(Box::new(configuration.into()));
        let terms = Terms {
            by: "start".into(),
            ..Terms::default()
        };
        let applied = root.alter(want, terms).await;
        let handle = ProxyHandle::new(root, end_of(life));
        if applied.is_err() {
            // The tree ends by itself when its first plan fails; nothing of it is left after this.
            let _ = handle.ended().await;
        }
        applied.map(|_| handle)
    }
}

/// The end of the tree, known to handles on any thread; it outlives every one of them.
fn end_of(mut life: Life) -> watch::Receiver<Option<Exit>> {
    let (ended, end) = watch::channel(None);
    let told = async move { ended.send_replace(Some(life.ended().await)) };
    #[expect(
        clippy::disallowed_methods,
        reason = "it only waits and tells; nothing in it panics"
    )]
    actix_rt::spawn(told);
    end
}
