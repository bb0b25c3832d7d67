//! Reads the counts where they are published, as objects of the catalogue.
//!
//! Nobody is asked: what is read is the shelf, the board, and the counters that hang from them. It
//! takes time in proportion to the hosts, so no actor should do it on its own thread.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::clusters::{Shelf, Snapshot};
use super::listeners::{Counted, Window};
use super::routers::Tables;
use super::view::{CheckView, ClusterView, ListenerView};
use crate::cluster::{Health, Subsets, Totals};
use crate::telemetry::counters::HttpTotals;
use crate::telemetry::metrics::{
    CLUSTER, GLOBAL, HEALTH_CHECK, HOST, LISTENER, Object, StatsMatcher, Table, Value,
};

/// Where the counts are.
#[derive(Clone, Debug)]
pub struct Counts {
    pub(super) shelf: Shelf,
    pub(super) board: Window,
    pub(super) tables: Tables,
}

impl Counts {
    /// Where listeners listen.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        let posts = self.board.posts();
        let bound = posts.iter().filter_map(|post| post.local_address());
        bound.map(|address| address.to_string()).collect()
    }

    /// The listeners there are.
    #[must_use]
    pub fn listeners(&self) -> Vec<ListenerView> {
        let posts = self.board.posts();
        posts.iter().map(|post| ListenerView::of(post)).collect()
    }

    /// The clusters there are, by name.
    #[must_use]
    pub fn clusters(&self) -> Vec<ClusterView> {
        ClusterView::all(&self.shelf)
    }

    /// Everything that was counted and is shown.
    #[must_use]
    pub fn objects(&self, matcher: &StatsMatcher) -> Vec<Object> {
        let mut objects = self.downstream();
        objects.extend(self.upstream(matcher));
        objects.retain(|object| matcher.shows(object.table.labels));
        objects
    }

    /// What listeners have counted: all together, those too that were taken down, then each that
    /// there is.
    fn downstream(&self) -> Vec<Object> {
        let (posts, departed) = self.board.all();
        let mut all = departed.total();
        let each: Vec<_> = posts
            .iter()
            .map(|post| {
                all += &**post;
                let mut own = Counted::default();
                own += &**post;
                of_downstream(&own, &LISTENER, post.settings().name.to_string())
            })
            .collect();
        let mut objects = vec![of_downstream(&all, &GLOBAL, "global".to_owned())];
        objects.extend(each);
        objects
    }

    /// What clusters have counted, by name, each before its hosts; then what health checks have, by
    /// the names of their services.
    ///
    /// No object is made of a host that is not shown: there may be many.
    fn upstream(&self, matcher: &StatsMatcher) -> Vec<Object> {
        let shelf = self.shelf.all();
        let mut clusters: Vec<_> = shelf.values().map(|current| current.load_full()).collect();
        clusters.sort_by(|a, b| a.settings.name.cmp(&b.settings.name));
        let mut objects: Vec<_> = clusters
            .iter()
            .flat_map(|cluster| of_cluster(cluster, matcher))
            .collect();
        objects.extend(checks(&clusters));
        objects
    }
}

/// What health checks have counted. Several clusters may give their service one name: then they
/// are one object, as in MOSN.
fn checks(clusters: &[Arc<Snapshot>]) -> impl Iterator<Item = Object> {
    let mut services: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (service, counts) in clusters.iter().filter_map(|cluster| of_check(cluster)) {
        let sums = services
            .entry(service)
            .or_insert_with(|| vec![0; counts.len()]);
        for (sum, count) in sums.iter_mut().zip(counts) {
            *sum += count;
        }
    }
    services.into_iter().map(|(service, counts)| Object {
        table: &HEALTH_CHECK,
        labels: vec![service],
        values: counts.into_iter().map(Value::from).collect(),
    })
}

fn of_downstream(counted: &Counted, table: &'static Table, label: String) -> Object {
    let metrics = table.metrics.iter();
    Object {
        table,
        labels: vec![label],
        values: metrics
            .map(|metric| downstream(counted, metric.key))
            .collect(),
    }
}

fn downstream(counted: &Counted, key: &str) -> Value {
    let (connections, requests) = (&counted.connections, &counted.requests);
    let count = match key {
        "connection_total" => connections.connections_total,
        "connection_destroy" => connections.connections_closed,
        "connection_active" => connections.connections_active,
        "connection_idle_close" => connections.connections_idle_closed,
        "connection_failed" => connections.connections_failed,
        "bytes_read_total" => connections.bytes_received,
        "bytes_write_total" => connections.bytes_sent,
        "request_total" => requests.request_total,
        "request_active" => requests.request_active,
        "request_reset" => requests.request_reset,
        "request_failed" => requests.request_failed,
        "request_time_total" => requests.request_time_total,
        "process_time_total" => requests.process_time_total,
        "request_time" => return (&counted.times.request).into(),
        "process_time" => return (&counted.times.process).into(),
        other => {
            let mut unspoken = connections.connections_unspoken.named();
            match unspoken.find(|(name, _)| *name == other) {
                Some((_, count)) => count,
                None => return of_status(requests, other),
            }
        }
    };
    count.into()
}

fn of_status(requests: &HttpTotals, key: &str) -> Value {
    let mut statuses = requests.statuses.named();
    let found = statuses.find(|(name, _)| *name == key);
    found
        .expect("every other metric of a listener is of a status")
        .1
        .into()
}

fn of_cluster(cluster: &Snapshot, matcher: &StatsMatcher) -> Vec<Object> {
    let shows_hosts = matcher.shows(HOST.labels);
    let name = cluster.settings.name.to_string();
    let mut all = cluster.departed.totals();
    let mut objects = Vec::with_capacity(cluster.hosts.hosts().len() + 1);
    for host in cluster.hosts.hosts() {
        let mut own = Totals::default();
        own += &**host.load();
        all += &own;
        if !shows_hosts {
            continue;
        }
        let values = HOST.metrics.iter().map(|metric| match metric.key {
            "host_healthy" => u64::from(host.health() == Health::Healthy).into(),
            "request_failure_eject" => host.ejections().total().into(),
            key => of_totals(&own, key).expect("every other metric of a host is of its load"),
        });
        objects.push(Object {
            table: &HOST,
            labels: vec![name.clone(), host.to_string()],
            values: values.collect(),
        });
    }
    let values = CLUSTER.metrics.iter().map(|metric| {
        let value = of_totals(&all, metric.key);
        value.unwrap_or_else(|| of_whole(cluster, metric.key).into())
    });
    let values = values.collect();
    objects.insert(
        0,
        Object {
            table: &CLUSTER,
            labels: vec![name],
            values,
        },
    );
    objects
}

/// What the health check of a cluster has counted, in the order of the table.
fn of_check(cluster: &Snapshot) -> Option<(String, Vec<u64>)> {
    let CheckView {
        service_name,
        totals,
    } = CheckView::of(cluster)?;
    let counts = HEALTH_CHECK.metrics.iter().map(|metric| match metric.key {
        "attempt" => totals.attempt,
        "success" => totals.success,
        "failure" => totals.failure,
        "active_failure" => totals.active_failure,
        "network_failure" => totals.network_failure,
        "inconclusive" => totals.inconclusive,
        "passive_failure" | "verify_cluster" => 0,
        "healty" => totals.healty,
        other => unreachable!("no metric of a health check is called {other}"),
    });
    Some((service_name, counts.collect()))
}

fn of_totals(totals: &Totals, key: &str) -> Option<Value> {
    let count = match key {
        "connection_total" => totals.connections,
        "connection_active" => totals.active_connections,
        "connection_con_fail" => totals.connect_failures,
        "connection_close" => of_closed(totals).0 + of_closed(totals).1,
        "connection_local_close" => of_closed(totals).0,
        "connection_remote_close" => of_closed(totals).1,
        "connection_local_close_with_active_request" => totals.cut_here,
        "connection_remote_close_with_active_request" => totals.cut_by_host,
        "connection_retry" => totals.reconnects,
        "connection_close_notify" => totals.goodbyes,
        "connection_bytes_read_total" => totals.received_bytes,
        "connection_bytes_write" => totals.sent_bytes,
        "request_total" => totals.requests,
        "request_active" => totals.active_requests,
        "request_local_reset" => totals.local_resets,
        "request_remote_reset" => totals.remote_resets,
        "request_timeout" => totals.timeouts,
        "request_duration_time" => return Some((&totals.durations).into()),
        "request_duration_time_total" => totals.response_nanos,
        "response_success" => totals.responses_succeeded,
        "response_failed" => totals.responses_failed,
        "response_stray" => totals.strays,
        _ => return None,
    };
    Some(count.into())
}

/// Connections that this process closed, and that hosts did.
fn of_closed(totals: &Totals) -> (u64, u64) {
    (
        totals.closed_here + totals.cut_here,
        totals.closed_by_host + totals.cut_by_host,
    )
}

fn of_whole(cluster: &Snapshot, key: &str) -> u64 {
    let (limits, hosts) = (&cluster.limits, cluster.hosts.hosts());
    match key {
        "connection_overflow" => limits.connections_refused(),
        "request_retry" => limits.retries_begun(),
        "request_retry_overflow" => limits.retries_refused(),
        "request_pending_overflow" => limits.requests_refused(),
        "request_failure_eject" => hosts.iter().map(|host| host.ejections().total()).sum(),
        "lb_subsets_created" => {
            let subsets = cluster.hosts.subsets();
            subsets.map_or(0, Subsets::len) as u64
        }
        "lb_subsets_fallback" => limits.subset_fallbacks(),
        "hosts" => hosts.len() as u64,
        "hosts_healthy" => {
            let healthy = hosts.iter().filter(|host| host.health() == Health::Healthy);
            healthy.count() as u64
        }
        other => unreachable!("no metric of a cluster is called {other}"),
    }
}
