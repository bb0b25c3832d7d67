//! What was counted, as metrics: by type, labels and keys, in MOSN's names.

use serde_json::{Map, Value, json};

use crate::actor::view::{ClusterView, ListenerView};
use crate::telemetry::counters::{HttpTotals, ListenerTotals};

/// A metric: its type, its labels, and what was counted under each key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Metric {
    /// As `downstream`.
    pub(super) kind: &'static str,
    /// Sorted by name.
    pub(super) labels: Vec<(&'static str, String)>,
    /// Sorted by key.
    pub(super) values: Vec<(&'static str, u64)>,
}

impl Metric {
    fn new(
        kind: &'static str,
        labels: &[(&'static str, &str)],
        mut values: Vec<(&'static str, u64)>,
    ) -> Self {
        values.sort_unstable();
        let labels = labels
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        Self {
            kind,
            labels: labels.collect(),
            values,
        }
    }

    /// As MOSN's admin calls it: `listener.web`, `cluster.c.host.127.0.0.1:80`.
    pub(super) fn namespace(&self) -> String {
        let labels = self
            .labels
            .iter()
            .map(|(name, value)| format!("{name}.{value}"));
        labels.collect::<Vec<_>>().join(".")
    }
}

/// Everything that is counted of these listeners and clusters.
pub(super) fn metrics(listeners: &[ListenerView], clusters: &[ClusterView]) -> Vec<Metric> {
    let mut metrics = vec![Metric::new(
        "downstream",
        &[("proxy", "global")],
        global(listeners),
    )];
    metrics.extend(listeners.iter().map(|listener| {
        let ListenerView {
            name,
            totals,
            requests,
            ..
        } = listener;
        let labels = [("listener", name.as_str())];
        Metric::new("downstream", &labels, downstream(totals, requests))
    }));
    for cluster in clusters {
        let name = cluster.name.as_str();
        let mut sum: Vec<(&'static str, u64)> = upstream_keys().map(|key| (key, 0)).collect();
        for host in &cluster.hosts {
            let values = [
                host.connections_active,
                host.connections_failed,
                host.connections_total,
                host.requests_active,
                host.requests_total,
            ];
            let values: Vec<_> = upstream_keys().zip(values).collect();
            for ((_, sum), (_, value)) in sum.iter_mut().zip(&values) {
                *sum += value;
            }
            let labels = [("cluster", name), ("host", host.address.as_str())];
            metrics.push(Metric::new("upstream", &labels, values));
        }
        metrics.push(Metric::new("upstream", &[("cluster", name)], sum));
    }
    metrics
}

fn upstream_keys() -> impl Iterator<Item = &'static str> {
    [
        "connection_active",
        "connection_con_fail",
        "connection_total",
        "request_active",
        "request_total",
    ]
    .into_iter()
}

fn downstream(totals: &ListenerTotals, requests: &HttpTotals) -> Vec<(&'static str, u64)> {
    let ended = totals
        .connections_total
        .saturating_sub(totals.connections_active);
    let mut values = vec![
        ("bytes_read_total", totals.bytes_received),
        ("bytes_write_total", totals.bytes_sent),
        ("connection_active", totals.connections_active),
        ("connection_destroy", ended),
        ("connection_total", totals.connections_total),
        ("process_time_total", requests.process_time_total),
        ("request_active", requests.request_active),
        ("request_failed", requests.request_failed),
        ("request_reset", requests.request_reset),
        ("request_time_total", requests.request_time_total),
        ("request_total", requests.request_total),
    ];
    values.extend(requests.statuses.named());
    values
}

/// The sum over the listeners that there are.
fn global(listeners: &[ListenerView]) -> Vec<(&'static str, u64)> {
    let none = downstream(&ListenerTotals::default(), &HttpTotals::default());
    listeners.iter().fold(none, |mut sum, listener| {
        let more = downstream(&listener.totals, &listener.requests);
        for ((_, sum), (_, more)) in sum.iter_mut().zip(more) {
            *sum += more;
        }
        sum
    })
}

/// As MOSN's admin shows them: type, namespace, key, and the number as text.
pub(super) fn to_json(metrics: &[Metric]) -> Value {
    let mut types = std::collections::BTreeMap::new();
    for metric in metrics {
        let namespaces: &mut std::collections::BTreeMap<String, Value> =
            types.entry(metric.kind).or_default();
        let values: Map<String, Value> = metric
            .values
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.to_string().into()))
            .collect();
        namespaces.insert(metric.namespace(), values.into());
    }
    json!(types)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actor::view::HostView;

    #[test]
    fn metrics_are_shown_as_mosn_shows_them() {
        let listener = |name: &str, connections| ListenerView {
            name: name.into(),
            address: String::new(),
            totals: ListenerTotals {
                connections_total: connections,
                connections_active: 1,
                ..ListenerTotals::default()
            },
            requests: HttpTotals {
                request_total: 5,
                ..HttpTotals::default()
            },
        };
        let host = |address: &str, total| HostView {
            address: address.to_owned(),
            connections_total: total,
            ..HostView::default()
        };
        let cluster = ClusterView {
            name: "c".into(),
            hosts: vec![host("a:1", 3), host("b:2", 4)],
            panicking: false,
            subsets: 0,
            subset_fallbacks: 0,
            health_check: None,
        };
        let shown = to_json(&metrics(&[listener("x", 7), listener("y", 2)], &[cluster]));

        let downstream = &shown["downstream"];
        assert_eq!(downstream["listener.x"]["connection_destroy"], "6");
        assert_eq!(downstream["proxy.global"]["connection_total"], "9");
        assert_eq!(downstream["proxy.global"]["request_total"], "10");
        assert_eq!(downstream["listener.y"]["request_200_total"], "0");
        assert_eq!(shown["upstream"]["cluster.c"]["connection_total"], "7");
        assert_eq!(
            shown["upstream"]["cluster.c.host.b:2"]["connection_total"],
            "4"
        );
        let keys: Vec<_> = downstream["listener.x"]
            .as_object()
            .unwrap()
            .keys()
            .collect();
        assert!(keys.is_sorted(), "{keys:?}");
    }
}
