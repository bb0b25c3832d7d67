//! What the tree looks like at one moment, for people and for embedders.

use std::sync::Arc;

use serde::Serialize;

use crate::actor::clusters::{Shelf, Snapshot};
use crate::actor::listeners::{Counted, Post};
use crate::actor::supervisor::Node;
use crate::cluster::{Duty, Health, Host, Reason, Standing, Subsets};
use crate::name::{ClusterName, ListenerName};
use crate::telemetry::checks::CheckTotals;
use crate::telemetry::counters::{HttpTotals, ListenerTotals};

/// Everything at one moment. Counts are read while they change, so they need not add up.
#[derive(Clone, Debug, Serialize)]
pub struct Overview {
    /// Clusters by name.
    pub clusters: Vec<ClusterView>,
    /// Listeners in the order in which they were added.
    pub listeners: Vec<ListenerView>,
    /// The supervision tree.
    pub tree: Node,
}

/// One listener.
#[derive(Clone, Debug, Serialize)]
pub struct ListenerView {
    /// Its name.
    pub name: ListenerName,
    /// Where it listens; with the port that the kernel chose when the plan said 0.
    pub address: String,
    /// What it counted.
    #[serde(flatten)]
    pub totals: ListenerTotals,
    /// What it counted of its requests, if it speaks HTTP.
    pub requests: HttpTotals,
}

impl ListenerView {
    pub(crate) fn of(post: &Post) -> Self {
        let settings = post.settings();
        let mut counted = Counted::default();
        counted += post;
        let address = post
            .local_address()
            .unwrap_or_else(|| settings.address.clone());
        Self {
            name: settings.name.clone(),
            address: address.to_string(),
            totals: counted.connections,
            requests: counted.requests,
        }
    }
}

/// One cluster.
#[derive(Clone, Debug, Serialize)]
pub struct ClusterView {
    /// Its name.
    pub name: ClusterName,
    /// Whether so few hosts are healthy that all are used.
    pub panicking: bool,
    /// What its health check counted, if it has one.
    pub health_check: Option<CheckView>,
    /// Its hosts in the order of the host set.
    pub hosts: Vec<HostView>,
    /// Subsets that its hosts make (MOSN's `lb_subsets_created`).
    pub subsets: usize,
    /// Choices that fell back from the subset that was asked for (MOSN's `lb_subsets_fallback`).
    pub subset_fallbacks: u64,
}

/// The health check of a cluster.
#[derive(Clone, Debug, Serialize)]
pub struct CheckView {
    /// What its metrics are labelled with.
    pub service_name: String,
    /// What it counted.
    #[serde(flatten)]
    pub totals: CheckTotals,
}

/// One host of a cluster.
#[derive(Clone, Debug, Default, Serialize)]
pub struct HostView {
    /// As the plan writes it.
    pub address: String,
    /// Its `hostname`, or the name that it is an address of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Whether nothing speaks against it.
    pub healthy: bool,
    /// Whether it is given no more work, on command.
    pub draining: bool,
    /// Whether it is left out for a while because it failed its work.
    pub ejected: bool,
    /// What speaks against it, when it may not.
    pub reasons: Vec<Reason>,
    /// Its share.
    pub weight: u32,
    /// Connections that hold it now, those still being made included.
    pub connections_active: u64,
    /// Connections begun to it, those that failed included.
    pub connections_total: u64,
    /// Of those begun, the ones that could not be made.
    pub connections_failed: u64,
    /// Requests that it is carrying.
    pub requests_active: u64,
    /// Requests begun on it.
    pub requests_total: u64,
    /// Requests that ended because their connection could not be made, or ended before they did.
    pub requests_lost: u64,
    /// Responses that nobody waited for: too late, repeated, or to nothing that was asked.
    pub responses_stray: u64,
    /// How often it was ejected.
    pub ejections: u64,
}

impl ClusterView {
    pub(crate) fn all(shelf: &Shelf) -> Vec<Self> {
        let mut clusters: Vec<_> = shelf
            .all()
            .values()
            .map(|current| Self::of(&current.load()))
            .collect();
        clusters.sort_by(|a, b| a.name.cmp(&b.name));
        clusters
    }

    fn of(snapshot: &Snapshot) -> Self {
        let host = |host: &Arc<Host>| HostView {
            address: host.to_string(),
            hostname: host.hostname().map(str::to_owned),
            healthy: host.health() == Health::Healthy,
            draining: host.duty() == Duty::Draining,
            ejected: host.ejections().until().is_some(),
            reasons: host.flags().reasons().collect(),
            weight: host.weight(),
            connections_active: host.load().active_connections(),
            connections_total: host.load().connections(),
            connections_failed: host.load().connect_failures(),
            requests_active: host.load().active_requests(),
            requests_total: host.load().requests(),
            requests_lost: host.load().requests_lost(),
            responses_stray: host.load().strays(),
            ejections: host.ejections().total(),
        };
        Self {
            name: snapshot.settings.name.clone(),
            panicking: snapshot.hosts.standing() == Standing::Panic,
            health_check: CheckView::of(snapshot),
            hosts: snapshot.hosts.hosts().iter().map(host).collect(),
            subsets: snapshot.hosts.subsets().map_or(0, Subsets::len),
            subset_fallbacks: snapshot.limits.subset_fallbacks(),
        }
    }
}

impl CheckView {
    pub(super) fn of(snapshot: &Snapshot) -> Option<Self> {
        let settings = snapshot.settings.health_check.as_ref()?;
        let passes = |host: &&Arc<Host>| host.flags().of(Reason::FailedCheck) == Health::Healthy;
        let healthy = snapshot.hosts.hosts().iter().filter(passes).count();
        Some(Self {
            service_name: settings.service_name.clone(),
            totals: snapshot.checks.totals(healthy as u64),
        })
    }
}
