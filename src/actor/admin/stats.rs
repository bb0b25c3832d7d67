//! What was counted, as MOSN's admin shows it: by type, labels and keys, each number as text.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::telemetry::metrics::{self, Object, StatsMatcher};

/// As MOSN's admin calls an object: `listener.web`, `cluster.c.host.127.0.0.1:80`.
pub(super) fn namespace(object: &Object) -> String {
    let labels = object.table.labels.iter().zip(&object.labels);
    let labels = labels.map(|(name, value)| format!("{name}.{value}"));
    labels.collect::<Vec<_>>().join(".")
}

/// With its type before it: `downstream.listener.web`.
pub(super) fn key(object: &Object) -> String {
    format!("{}.{}", object.table.kind, namespace(object))
}

/// The keys that are shown of an object, and their numbers. A distribution is its least and most.
pub(super) fn numbers(object: &Object, matcher: &StatsMatcher) -> BTreeMap<String, u64> {
    let mut numbers = BTreeMap::new();
    let metrics = object.table.metrics.iter().zip(&object.values);
    for (metric, value) in metrics.filter(|(metric, _)| matcher.shows_key(metric.key)) {
        match value {
            metrics::Value::Count(count) => {
                numbers.insert(metric.key.to_owned(), *count);
            }
            metrics::Value::Spread(spread) => {
                let ends = spread
                    .as_ref()
                    .map(|spread| (spread.least(), spread.most()));
                let (least, most) = ends.unwrap_or_default();
                numbers.insert(format!("{}_min", metric.key), least);
                numbers.insert(format!("{}_max", metric.key), most);
            }
        }
    }
    numbers
}

/// As MOSN's admin shows them: type, namespace, key, and the number as text.
pub(super) fn to_json(objects: &[Object], matcher: &StatsMatcher) -> Value {
    let mut types: BTreeMap<_, BTreeMap<String, Value>> = BTreeMap::new();
    for object in objects {
        let numbers = numbers(object, matcher).into_iter();
        let values: Map<String, Value> = numbers
            .map(|(key, number)| (key, number.to_string().into()))
            .collect();
        let namespaces = types.entry(object.table.kind).or_default();
        namespaces.insert(namespace(object), values.into());
    }
    json!(types)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::telemetry::metrics::{Distribution, HEALTH_CHECK, HOST, Histogram};

    #[test]
    fn objects_are_shown_as_mosn_shows_them() {
        let histogram = Histogram::default();
        histogram.count(Duration::from_nanos(9));
        let mut spread = Distribution::default();
        spread += &histogram;
        let of_host = HOST.metrics.iter().map(|metric| match metric.key {
            "connection_total" => 4.into(),
            "request_duration_time" => (&spread).into(),
            _ => 0.into(),
        });
        let host = Object {
            table: &HOST,
            labels: vec!["c".to_owned(), "b:2".to_owned()],
            values: of_host.collect(),
        };
        let check = Object {
            table: &HEALTH_CHECK,
            labels: vec!["s".to_owned()],
            values: HEALTH_CHECK.metrics.iter().map(|_| 1.into()).collect(),
        };
        assert_eq!(key(&host), "upstream.cluster.c.host.b:2");
        let matcher = StatsMatcher {
            exclusion_keys: vec!["attempt".to_owned()],
            ..StatsMatcher::default()
        };
        let shown = to_json(&[host, check], &matcher);
        let host = &shown["upstream"]["cluster.c.host.b:2"];
        assert_eq!(host["connection_total"], "4");
        assert_eq!(host["request_duration_time_min"], "9");
        assert_eq!(host["request_duration_time_max"], "9");
        let check = &shown["healthcheck"]["service.s"];
        assert_eq!(
            (&check["success"], check.get("attempt")),
            (&"1".into(), None)
        );
        let keys: Vec<_> = host.as_object().unwrap().keys().collect();
        assert!(keys.is_sorted(), "{keys:?}");
    }
}
