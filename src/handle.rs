//! The door to a running proxy, for embedders and the command line alike.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::actor::explain::{Explanation, Unexplained};
use crate::actor::root::{
    self, ApplyError, ChangeHosts, Charge, Drift, Entry, Outcome, Running, Terms, Vitals, Want,
};
use crate::actor::subscribers::{HealthTurned, Subscription};
use crate::actor::view::Overview;
use crate::cluster::{Duty, Health};
use crate::config::{self, Change, Configuration, Edit, HostAddress};
use crate::name::ClusterName;
use crate::proxy::http::Asked;
use crate::supervise::Exit;
use crate::telemetry::metrics::{Object, StatsMatcher};

/// The door to a running proxy. Cloned freely, also to other threads.
#[derive(Clone)]
pub struct ProxyHandle {
    root: root::Handle,
    end: watch::Receiver<Option<Exit>>,
}

impl ProxyHandle {
    pub(crate) fn new(root: root::Handle, end: watch::Receiver<Option<Exit>>) -> Self {
        Self { root, end }
    }
}

impl std::fmt::Debug for ProxyHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProxyHandle").finish_non_exhaustive()
    }
}

impl ProxyHandle {
    /// Makes a configuration, or a plan alone, the running one, and says what changed.
    ///
    /// Connections of what did not change never notice. Those of a listener that is taken down
    /// end by themselves, or after the drain time.
    ///
    /// # Errors
    ///
    /// [`ApplyError`] names the step; the plan before stays in force.
    pub async fn apply(
        &self,
        configuration: impl Into<Configuration>,
    ) -> Result<Vec<Change>, ApplyError> {
        let want = Want::Configuration(Box::new(configuration.into()));
        let terms = Terms {
            by: "apply".into(),
            ..Terms::default()
        };
        Ok(self.root.alter(want, terms).await?.changes)
    }

    /// Edits the document that runs, one edit after another, and makes the outcome the running
    /// configuration: all of it or nothing.
    ///
    /// # Errors
    ///
    /// [`ApplyError`] says what is wrong, where, or which step failed; what ran before runs on.
    pub async fn edit(&self, edits: Vec<Edit>, terms: Terms) -> Result<Outcome, ApplyError> {
        self.root.alter(Want::Edits(edits), terms).await
    }

    /// Reads the [source](crate::Proxy::source) again, and makes what it says the running configuration.
    ///
    /// # Errors
    ///
    /// As [`Self::edit`].
    pub async fn reload(&self, terms: Terms) -> Result<Outcome, ApplyError> {
        self.root.alter(Want::Reload, terms).await
    }

    /// Makes an earlier version the running configuration; it becomes a new version.
    ///
    /// # Errors
    ///
    /// As [`Self::edit`]; [`ApplyError::NoSuchVersion`] when it is not kept.
    pub async fn rollback(&self, version: u64, terms: Terms) -> Result<Outcome, ApplyError> {
        self.root.alter(Want::Rollback(version), terms).await
    }

    /// Rolls back the change that waits to be confirmed.
    ///
    /// # Errors
    ///
    /// As [`Self::edit`]; [`ApplyError::NothingToConfirm`] when none waits.
    pub async fn revert(&self, terms: Terms) -> Result<Outcome, ApplyError> {
        self.root.alter(Want::Revert, terms).await
    }

    /// Keeps the change that made this version and waits to be confirmed.
    ///
    /// # Errors
    ///
    /// [`ApplyError`] when none waits, or another one.
    pub async fn confirm(&self, version: u64) -> Result<(), ApplyError> {
        self.root.confirm(version).await
    }

    /// What a reload would change.
    ///
    /// # Errors
    ///
    /// [`ApplyError`] when there is nothing to reload.
    pub async fn drift(&self) -> Result<Drift, ApplyError> {
        self.root.drift().await
    }

    /// The versions that can be rolled back to, the eldest first.
    ///
    /// # Errors
    ///
    /// [`ApplyError`] when the proxy has ended.
    pub async fn history(&self) -> Result<Vec<Entry>, ApplyError> {
        self.root.history().await
    }

    /// What runs: its version, its plan and, if it was made of one, its document. Nobody is asked.
    #[must_use]
    pub fn running(&self) -> Arc<Running> {
        self.root.running()
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

    /// Tells `recipient` from now on each time that the health of a host turns, until its actor has
    /// stopped.
    ///
    /// Nothing waits for a subscriber: what finds its mailbox full it misses, and
    /// [`Subscription::missed`] counts.
    ///
    /// # Errors
    ///
    /// [`ApplyError::Ended`] when the proxy has ended.
    pub async fn subscribe_health(
        &self,
        recipient: actix::Recipient<HealthTurned>,
    ) -> Result<Subscription, ApplyError> {
        self.root.subscribe_health(recipient).await
    }

    /// Starts a process that is to take over from this one, by the launcher of its upgrades; the
    /// log says what becomes of it.
    ///
    /// # Errors
    ///
    /// [`ApplyError`] when the proxy has ended or knows no upgrades.
    pub async fn upgrade(&self) -> Result<(), ApplyError> {
        self.root.upgrade().await
    }

    /// Whether this process is the one that others find by its control directory: at once, unless
    /// it takes over from another one. It is told anew when files may say something else.
    #[must_use]
    pub fn charge(&self) -> watch::Receiver<Charge> {
        self.root.charge()
    }

    /// Where the process is in its life, how many connections it has, and on which sockets it
    /// listens. Nobody is asked.
    #[must_use]
    pub fn vitals(&self) -> &Vitals {
        self.root.vitals()
    }

    /// Asks the thread of every worker for a sign of life; the workers that gave none in time.
    ///
    /// # Errors
    ///
    /// [`ApplyError::Ended`] when the proxy has ended.
    pub async fn silent_workers(&self, within: Duration) -> Result<Vec<usize>, ApplyError> {
        self.root.silent_workers(within).await
    }

    /// Why the process before goes on instead of this one, if so.
    #[must_use]
    pub fn superseded(&self) -> Option<String> {
        self.root.superseded()
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

    /// Says what would become of a request to `listener` (of the only one, without a name) now:
    /// which route takes it, what it becomes, and what speaks for or against each host. Nothing is
    /// sent.
    ///
    /// # Errors
    ///
    /// [`Unexplained`] when it is not clear which listener is meant.
    pub fn explain(
        &self,
        listener: Option<&str>,
        asked: &Asked,
    ) -> Result<Explanation, Unexplained> {
        self.root.counts().explain(listener, asked)
    }

    /// Everything that listeners, clusters and hosts have counted and `matcher` shows, as objects of
    /// [the catalogue](crate::telemetry::metrics::TABLES): read without asking anyone, in time in
    /// proportion to the hosts. [`Page`](crate::telemetry::metrics::Page) writes them for
    /// Prometheus.
    #[must_use]
    pub fn metrics(&self, matcher: &StatsMatcher) -> Vec<Object> {
        self.root.counts().objects(matcher)
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
    /// [`ApplyError::Change`] when there is no such cluster; else as [`ProxyHandle::apply`].
    pub async fn set(&self, hosts: Vec<config::Host>) -> Result<Vec<Change>, ApplyError> {
        self.change(move |_| Ok(hosts)).await
    }

    /// Puts hosts before those there are; one whose address is there already replaces it.
    ///
    /// # Errors
    ///
    /// As [`Self::set`].
    pub async fn append(&self, hosts: Vec<config::Host>) -> Result<Vec<Change>, ApplyError> {
        self.change(move |running| Ok(config::append_hosts(hosts, running)))
            .await
    }

    /// Removes the hosts with these addresses; unknown addresses are ignored. The order of the
    /// others becomes that of their addresses as text, as MOSN's does.
    ///
    /// Their connections live on; idle ones are closed within about a second.
    ///
    /// # Errors
    ///
    /// As [`Self::set`].
    pub async fn remove(&self, addresses: Vec<HostAddress>) -> Result<Vec<Change>, ApplyError> {
        self.change(move |running| Ok(config::remove_hosts(&addresses, running)))
            .await
    }

    /// Gives one host another weight; it is taken as 1 to 128.
    ///
    /// # Errors
    ///
    /// [`ApplyError::Change`] when there is no such cluster or host; else as
    /// [`ProxyHandle::apply`].
    pub async fn weigh(
        &self,
        address: HostAddress,
        weight: u32,
    ) -> Result<Vec<Change>, ApplyError> {
        self.change(move |running| config::weigh_host(&address, weight, running))
            .await
    }

    /// Gives one host no more work; `false` when there is no such host.
    ///
    /// Its connections end by themselves: idle ones are closed within about a second, and those in
    /// use are cut when `deadline` has passed, to within a second; without one they last as long as
    /// they last. The host is not unhealthy: it is [`draining`](crate::HostView::draining) until it
    /// serves again or is removed, whatever other change there is. It is a state of the running
    /// process and no version of the configuration. A host of a name that is resolved drains by
    /// the address that it has.
    ///
    /// # Errors
    ///
    /// [`ApplyError`] when the proxy has ended or cannot answer.
    pub async fn drain(
        &self,
        address: HostAddress,
        deadline: Option<Duration>,
    ) -> Result<bool, ApplyError> {
        let now = tokio::time::Instant::now().into_std();
        let deadline = deadline.and_then(|deadline| now.checked_add(deadline));
        self.assign(address, Duty::Draining, deadline).await
    }

    /// Gives a host that drains work again; `false` when there is no such host.
    ///
    /// # Errors
    ///
    /// As [`Self::drain`].
    pub async fn undrain(&self, address: HostAddress) -> Result<bool, ApplyError> {
        self.assign(address, Duty::Serving, None).await
    }

    async fn assign(
        &self,
        address: HostAddress,
        duty: Duty,
        deadline: Option<std::time::Instant>,
    ) -> Result<bool, ApplyError> {
        let root = &self.proxy.root;
        let cluster = self.cluster.clone();
        root.assign(cluster, address, duty, deadline).await
    }

    async fn change(
        &self,
        change: impl FnOnce(Vec<config::Host>) -> Result<Vec<config::Host>, String> + Send + 'static,
    ) -> Result<Vec<Change>, ApplyError> {
        let change: ChangeHosts = Box::new(change);
        let want = Want::Hosts(self.cluster.clone(), change);
        let terms = Terms {
            by: "hosts".into(),
            ..Terms::default()
        };
        Ok(self.proxy.root.alter(want, terms).await?.changes)
    }
}
