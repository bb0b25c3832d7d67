//! Reads the counts where they are published, as objects of the catalogue.
//!
//! Nobody is asked: what is read is the shelf, the board, and the counters that hang from them. It
//! takes time in proportion to the hosts, so no actor should do it on its own thread.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::clusters::{Shelf, Snapshot};
use super::listeners::{Post, Window};
use super::routers::Tables;
use super::view::CheckView;
use crate::cluster::{Health, Host, Limits, Totals};
use crate::telemetry::counters::{HttpTimes, HttpTotals, ListenerTotals};
use crate::telemetry::metrics::{
    CLUSTER, GLOBAL, HEALTH_CHECK, HOST, LISTENER, Object, Table, Value,
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

    /// What listeners have counted: all together, then each.
    #[must_use]
    pub fn downstream(&self) -> Vec<Object> {
        let posts = self.board.posts();
        let mut all = Downstream::default();
        let each: Vec<_> = posts
            .iter()
            .map(|post| {
                all.add(post);
                let mut own = Downstream::default();
                own.add(post);
                own.object(&LISTENER, post.settings().name.to_string())
            })
            .collect();
        let mut objects = vec![all.object(&GLOBAL, "global".to_owned())];
        objects.extend(each);
        objects
    }

    /// What clusters have counted, by name, each before its hosts; then what health checks have, by
    /// the names of their services.
    #[must_use]
    pub fn upstream(&self) -> Vec<Object> {
        let shelf = self.shelf.all();
        let mut clusters: Vec<_> = shelf.values().map(|current| current.load_full()).collect();
        clusters.sort_by(|a, b| a.settings.name.cmp(&b.settings.name));
        let mut objects: Vec<_> = clusters
            .iter()
            .flat_map(|cluster| of_cluster(cluster))
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

#[derive(Default)]
struct Downstream {
    connections: ListenerTotals,
    requests: HttpTotals,
    times: HttpTimes,
}

impl Downstream {
    fn add(&mut self, post: &Post) {
        post.counters
            .iter()
            .for_each(|counted| self.connections += counted);
        for counted in post.requests.iter() {
            self.requests += counted;
            self.times += counted;
        }
    }

    fn object(self, table: &'static Table, label: String) -> Object {
        let values = table.metrics.iter().map(|metric| self.value(metric.key));
        Object {
            table,
            labels: vec![label],
            values: values.collect(),
        }
    }

    fn value(&self, key: &str) -> Value {
        let (connections, requests) = (&self.connections, &self.requests);
        let count = match key {
            "connection_total" => connections.connections_total,
            "connection_destroy" => connections.connections_total - connections.connections_active,
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
            "request_time" => return self.times.request.clone().into(),
            "process_time" => return self.times.process.clone().into(),
            status => return of_status(requests, status),
        };
        count.into()
    }
}

fn of_status(requests: &HttpTotals, key: &str) -> Value {
    let mut statuses = requests.statuses.named();
    let found = statuses.find(|(name, _)| *name == key);
    found
        .expect("every other metric of a listener is of a status")
        .1
        .into()
}

fn of_cluster(cluster: &Snapshot) -> Vec<Object> {
    let name = cluster.settings.name.to_string();
    let mut all = cluster.departed.totals();
    let mut objects = Vec::with_capacity(cluster.hosts.hosts().len() + 1);
    for host in cluster.hosts.hosts() {
        let mut own = Totals::default();
        own += &**host.load();
        all += &own;
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
        value.unwrap_or_else(|| of_whole(&cluster.limits, cluster.hosts.hosts(), metric.key).into())
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
        "connection_bytes_read_total" => totals.received_bytes,
        "connection_bytes_write" => totals.sent_bytes,
        "request_total" => totals.requests,
        "request_active" => totals.active_requests,
        "request_local_reset" => totals.local_resets,
        "request_remote_reset" => totals.remote_resets,
        "request_timeout" => totals.timeouts,
        "request_duration_time" => return Some(totals.durations.clone().into()),
        "request_duration_time_total" => totals.response_nanos,
        "response_success" => totals.responses_succeeded,
        "response_failed" => totals.responses_failed,
        _ => return None,
    };
    Some(count.into())
}

fn of_whole(limits: &Limits, hosts: &[Arc<Host>], key: &str) -> u64 {
    match key {
        "connection_overflow" => limits.connections_refused(),
        "request_retry" => limits.retries_begun(),
        "request_retry_overflow" => limits.retries_refused(),
        "request_pending_overflow" => limits.requests_refused(),
        "request_failure_eject" => hosts.iter().map(|host| host.ejections().total()).sum(),
        "hosts" => hosts.len() as u64,
        "hosts_healthy" => {
            let healthy = hosts.iter().filter(|host| host.health() == Health::Healthy);
            healthy.count() as u64
        }
        other => unreachable!("no metric of a cluster is called {other}"),
    }
}
