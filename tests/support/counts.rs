//! What a scrape shows.

use banyan::ProxyHandle;
use banyan::telemetry::metrics::{Object, StatsMatcher, Value};

/// A count of a cluster (one label), or of its first host (two), as a scrape shows it.
pub(crate) fn upstream_count(proxy: &ProxyHandle, cluster: &str, labels: usize, key: &str) -> u64 {
    let objects = proxy.metrics(&StatsMatcher::default());
    let is_it = |object: &&Object| {
        object.table.kind == "upstream"
            && object.labels.len() == labels
            && object.labels[0] == cluster
    };
    let object = objects.iter().find(is_it).unwrap();
    let mut metrics = object.table.metrics.iter();
    let at = metrics.position(|metric| metric.key == key);
    match &object.values[at.unwrap()] {
        Value::Count(count) => *count,
        other => panic!("{key} is {other:?}"),
    }
}
