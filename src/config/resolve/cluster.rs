//! `cluster_manager`: the clusters, from the document or from a directory of files.

use std::collections::HashMap;
use std::sync::Arc;

use super::balance::balancing;
use super::directory::each_file;
use super::dns;
use super::health_check::health_check;
use super::host::{DefaultPort, hosts};
use super::outliers::{outlier_detection, panic_threshold};
use super::{Scope, exclusive};
use crate::config::diagnostics::Code;
use crate::config::plan::{Cluster, Discovery, Limits};
use crate::config::raw::{Cursor, keys, nearest};
use crate::name::ClusterName;

/// Every `type` of MOSN.
const TYPES: &[&str] = &[
    "SIMPLE",
    "STATIC",
    "STRICT_DNS",
    "DYNAMIC",
    "EDS",
    "ORIGINAL_DST",
];

/// Clusters in the order of the file; of one name the last, in the place of the first.
#[derive(Default)]
struct Found {
    clusters: Vec<Arc<Cluster>>,
    places: HashMap<ClusterName, usize>,
}

pub(super) fn clusters(top: &Cursor<'_>, scope: &mut Scope<'_>) -> Vec<Arc<Cluster>> {
    let mut found = Found::default();
    let Some(manager) = top.get("cluster_manager") else {
        return found.clusters;
    };
    let here = manager.list("clusters");
    for at in &here {
        found.add(at, scope);
    }
    exclusive(&manager, "clusters", "clusters_configs", scope);
    if let (Some((directory, at)), true) = (manager.text("clusters_configs"), here.is_empty()) {
        let take = |at: &Cursor<'_>, scope: &mut Scope<'_>| found.add(at, scope);
        each_file(directory, &at, &keys::CLUSTER, scope, take);
    }
    scope.clusters.extend(found.places.into_keys());
    found.clusters
}

impl Found {
    fn add(&mut self, at: &Cursor<'_>, scope: &mut Scope<'_>) {
        let Some(cluster) = cluster(at, scope) else {
            return;
        };
        if let Some(&index) = self.places.get(&cluster.name) {
            let at = at.get("name").unwrap_or_else(|| at.clone());
            let message = "two clusters have this name; the last one counts";
            scope.push(
                at.warning(Code::DuplicateCluster, message)
                    .found(at.brief()),
            );
            self.clusters[index] = Arc::new(cluster);
        } else {
            self.places
                .insert(cluster.name.clone(), self.clusters.len());
            self.clusters.push(Arc::new(cluster));
        }
    }
}

pub(super) fn cluster(at: &Cursor<'_>, scope: &mut Scope<'_>) -> Option<Cluster> {
    let name = at.text("name").map(|(name, _)| ClusterName::from(name));
    if name.is_none() && !at.get("name").is_some_and(|at| at.is_wrong()) && !at.is_wrong() {
        scope.push(at.error(Code::MissingKey, "a cluster needs a `name`"));
    }
    let discovery = discovery(at, scope);
    let default_port = match discovery {
        Discovery::Fixed => DefaultPort::Required,
        Discovery::StrictDns(_) => DefaultPort::Http,
    };
    let hosts = hosts(at, default_port, scope);
    let balancing = balancing(at, scope);
    let connect_timeout = scope.duration(at, "connect_timeout");
    let idle_timeout = scope.duration(at, "idle_timeout");
    let limits = limits(at, scope);
    let outlier_detection = outlier_detection(at, scope);
    let health_check = health_check(at, scope);
    let mark = at
        .integer("mark")
        .and_then(|(mark, _)| u32::try_from(mark).ok());
    Some(Cluster {
        name: name?,
        balancer: balancing.balancer,
        bias: balancing.bias,
        connect_timeout: connect_timeout
            .filter(|t| !t.is_zero())
            .unwrap_or(Cluster::CONNECT_TIMEOUT),
        discovery,
        health_check,
        hosts,
        idle_timeout: idle_timeout.filter(|timeout| !timeout.is_zero()),
        limits,
        mark: mark.filter(|mark| *mark != 0),
        outlier_detection,
        panic_threshold: panic_threshold(at),
        original_destination: balancing.original_destination,
        slow_start: balancing.slow_start,
        subsets: balancing.subsets,
    })
}

/// The first of the `circuit_breakers`; 0 is any number.
fn limits(cluster: &Cursor<'_>, scope: &mut Scope<'_>) -> Limits {
    let breakers = cluster.list("circuit_breakers");
    for at in breakers.iter().skip(1) {
        let message = "only the first of the circuit breakers is looked at, as in MOSN";
        scope.push(at.note(Code::NoEffect, message));
    }
    let limit = |name: &str| {
        let (limit, _) = breakers.first()?.integer(name)?;
        u64::try_from(limit).ok().filter(|limit| *limit != 0)
    };
    Limits {
        connections: limit("max_connections"),
        requests: limit("max_requests"),
        retries: limit("max_retries"),
    }
}

/// What the cluster's `type` says about its hosts.
fn discovery(cluster: &Cursor<'_>, scope: &mut Scope<'_>) -> Discovery {
    if let Some((kind, at)) = cluster.text("type") {
        match kind {
            "SIMPLE" | "STATIC" => {}
            "STRICT_DNS" => return Discovery::StrictDns(Box::new(dns::dns(cluster, scope))),
            known if TYPES.contains(&known) => {
                let message =
                    format!("`{known}` has no effect, nor has it in MOSN: SIMPLE is used");
                scope.push(at.note(Code::NoEffect, message));
            }
            unknown => {
                let message = "SIMPLE is used instead of this type";
                scope.push(
                    at.warning(Code::UnknownValue, message)
                        .found(at.brief())
                        .accepted(TYPES.join(", "))
                        .suggest(nearest(unknown, TYPES.iter().copied())),
                );
            }
        }
    }
    dns::without_effect(cluster, scope);
    Discovery::Fixed
}
