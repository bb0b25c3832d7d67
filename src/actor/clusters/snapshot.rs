//! One cluster at one moment, as the shelf holds it.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use super::HealthTurned;
use crate::cluster::{Departed, HostSet, Known, Limits, Moment, Names, Reason};
use crate::config;
use crate::telemetry::checks::CheckCounters;

/// One cluster at one moment. Never changed: a change makes a new snapshot.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// What the plan says of it.
    pub settings: Arc<config::Cluster>,
    /// Its hosts, their health and their load.
    pub hosts: Arc<HostSet>,
    /// What is known of the names that it asks for.
    pub names: Arc<Names>,
    /// What it carries, whatever its settings and hosts become.
    pub limits: Arc<Limits>,
    /// What hosts have carried that it no longer has.
    pub departed: Arc<Departed>,
    /// What its health check counted, likewise.
    pub checks: Arc<CheckCounters>,
    /// Told when settings or hosts have become others; a turn of health is no news here.
    pub renewed: Arc<watch::Sender<()>>,
}

impl Snapshot {
    /// A new cluster, of whose names nothing is known yet.
    pub(crate) fn new(settings: Arc<config::Cluster>) -> Self {
        let names = Names::default();
        let hosts = HostSet::new(&names.expand(&settings));
        Self {
            hosts: Arc::new(ruled(hosts, &settings)),
            names: Arc::new(names),
            settings,
            limits: Arc::default(),
            departed: Arc::default(),
            checks: Arc::default(),
            renewed: Arc::new(watch::Sender::new(())),
        }
    }

    /// The same cluster with other settings. Hosts that stay keep their health and their counts.
    pub(super) fn with_settings(&self, settings: Arc<config::Cluster>) -> Self {
        let names = self.names.of(&settings);
        let hosts = self.hosts.with_hosts(&names.expand(&settings));
        Self {
            departed: self.departed(&hosts),
            hosts: Arc::new(ruled(hosts, &settings)),
            names: Arc::new(names),
            settings,
            ..self.copy()
        }
    }

    /// The same cluster with what became known of a name.
    pub(super) fn with_name(&self, name: Arc<str>, known: Known) -> Self {
        let names = self.names.with(name, known);
        let expanded = names.expand(&self.settings);
        // Nearly every answer is the one before.
        let hosts = match self.names.expand(&self.settings) == expanded {
            true => Arc::clone(&self.hosts),
            false => Arc::new(self.hosts.with_hosts(&expanded)),
        };
        Self {
            departed: self.departed(&hosts),
            hosts,
            names: Arc::new(names),
            ..self.copy()
        }
    }

    /// The same cluster with other hosts.
    pub(super) fn with_hosts(&self, hosts: HostSet) -> Self {
        Self {
            departed: self.departed(&hosts),
            hosts: Arc::new(hosts),
            ..self.copy()
        }
    }

    /// The next one, after a word for or against a host; `None` when it is no news.
    pub(super) fn turned(&self, turn: &HealthTurned) -> Option<Self> {
        let host = self.hosts.find(&turn.address)?;
        // A check that has gone meanwhile has nothing to say any more.
        let is_heard = turn.reason != Reason::FailedCheck || self.settings.health_check.is_some();
        let is_news = host.flags().of(turn.reason) != turn.health;
        (is_heard && is_news).then(|| {
            let hosts = &self.hosts;
            self.with_hosts(hosts.with_health(&turn.address, turn.reason, turn.health))
        })
    }

    /// What has gone once the hosts are these.
    fn departed(&self, hosts: &HostSet) -> Arc<Departed> {
        let after = self.departed.after(&self.hosts, hosts);
        after.map_or_else(|| Arc::clone(&self.departed), Arc::new)
    }

    fn copy(&self) -> Self {
        Self {
            settings: Arc::clone(&self.settings),
            hosts: Arc::clone(&self.hosts),
            names: Arc::clone(&self.names),
            limits: Arc::clone(&self.limits),
            departed: Arc::clone(&self.departed),
            checks: Arc::clone(&self.checks),
            renewed: Arc::clone(&self.renewed),
        }
    }
}

/// The hosts by the rules that these settings have for all of them, ready to be published. Nobody would ever take back what
/// a check, or a judge, that has gone has said.
fn ruled(hosts: HostSet, settings: &config::Cluster) -> HostSet {
    let mut hosts = hosts.with_panic_threshold(settings.panic_threshold);
    if settings.health_check.is_none() {
        hosts = hosts.without(Reason::FailedCheck);
    }
    let hosts = match settings.outlier_detection {
        Some(_) => hosts,
        None => hosts.pardoned(),
    };
    let hosts = hosts.divided(settings.subsets.as_ref());
    hosts.note_came(Moment::of(Instant::now()));
    hosts.prepare(settings.balancer);
    hosts
}
