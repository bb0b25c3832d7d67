//! The running configuration in the shapes of MOSN's `config_dump`, without its secrets.

use serde_json::{Map, Value, json};

/// The dump without a parameter: what a server does not hold, and maps by name of the rest.
pub(super) fn whole(document: &Value) -> Value {
    let mut dump = Map::new();
    dump.insert("mosn_config".to_owned(), mosn_config(document));
    for (name, map) in [
        ("listener", listeners(document)),
        ("cluster", clusters(document)),
        ("routers", routers(document)),
    ] {
        if !map.is_empty() {
            dump.insert(name.to_owned(), map.into());
        }
    }
    if let Some(extends) = document["extends"]
        .as_array()
        .filter(|extends| !extends.is_empty())
    {
        dump.insert("extends".to_owned(), extends.clone().into());
    }
    dump.into()
}

/// The top level but for listeners, routers, clusters and extensions.
pub(super) fn mosn_config(document: &Value) -> Value {
    let mut top = document.as_object().cloned().unwrap_or_default();
    top.remove("extends");
    let mut server = document["servers"][0]
        .as_object()
        .cloned()
        .unwrap_or_default();
    for key in ["listeners", "routers"] {
        server.remove(key);
    }
    defaults(&mut server, &json!({ "graceful_timeout": "0s" }));
    top.insert("servers".to_owned(), json!([server]));
    let tls = document["cluster_manager"]["tls_context"].clone();
    let tls = if tls.is_object() { tls } else { json!({}) };
    top.insert("cluster_manager".to_owned(), json!({ "tls_context": tls }));
    let mut metrics = json!({
        "sinks": null, "stats_matcher": {}, "shm_zone": "", "shm_size": "0B", "flush_mosn": false,
        "lazy_flush": false,
    });
    if let (Some(metrics), Some(given)) = (metrics.as_object_mut(), document["metrics"].as_object())
    {
        metrics.extend(given.clone());
    }
    top.insert("metrics".to_owned(), metrics);
    defaults(
        &mut top,
        &json!({ "tracing": {}, "pprof": {}, "plugin": {}, "third_part_codec": {} }),
    );
    top.into()
}

pub(super) fn listeners(document: &Value) -> Map<String, Value> {
    by_name(&document["servers"][0]["listeners"], "name", listener)
}

pub(super) fn clusters(document: &Value) -> Map<String, Value> {
    by_name(&document["cluster_manager"]["clusters"], "name", cluster)
}

pub(super) fn routers(document: &Value) -> Map<String, Value> {
    by_name(
        &document["servers"][0]["routers"],
        "router_config_name",
        Value::clone,
    )
}

fn by_name(items: &Value, key: &str, shown: impl Fn(&Value) -> Value) -> Map<String, Value> {
    let items = items.as_array().into_iter().flatten();
    let named = items.filter_map(|item| Some((item[key].as_str()?.to_owned(), shown(item))));
    named.collect()
}

/// A cluster, or none, with the members that MOSN never leaves out.
pub(super) fn cluster(cluster: &Value) -> Value {
    const DURATIONS: [&str; 4] = [
        "timeout",
        "interval",
        "interval_jitter",
        "initial_delay_seconds",
    ];
    let mut shown = cluster.as_object().cloned().unwrap_or_default();
    defaults(
        &mut shown,
        &json!({
            "circuit_breakers": null, "health_check": {}, "spec": {}, "lb_subset_config": {},
            "original_dst_lb_config": {}, "tls_context": {}, "dns_resolvers": {},
        }),
    );
    if let Some(check) = shown["health_check"].as_object_mut() {
        let none = DURATIONS.map(|key| (key.to_owned(), "0s".into()));
        defaults(check, &Map::from_iter(none).into());
    }
    shown.into()
}

fn listener(listener: &Value) -> Value {
    let mut shown = listener.as_object().cloned().unwrap_or_default();
    defaults(&mut shown, &json!({ "network": "tcp" }));
    let chains = shown.get_mut("filter_chains").and_then(Value::as_array_mut);
    for chain in chains
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
    {
        let single = chain.remove("tls_context").unwrap_or_else(|| json!({}));
        let set = chain
            .remove("tls_context_set")
            .unwrap_or_else(|| json!([single]));
        chain.insert("tls_context_set".to_owned(), set);
        let filters = chain.get_mut("filters").and_then(Value::as_array_mut);
        for filter in filters
            .into_iter()
            .flatten()
            .filter_map(Value::as_object_mut)
        {
            defaults(filter, &json!({ "go_plugin_config": null }));
        }
    }
    shown.into()
}

/// Adds the members that are missing.
fn defaults(object: &mut Map<String, Value>, defaults: &Value) {
    for (key, value) in defaults.as_object().into_iter().flatten() {
        object.entry(key.clone()).or_insert_with(|| value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_has_mosn_s_shape() {
        let document = json!({
            "servers": [{ "default_log_path": "stdout",
                "listeners": [{ "name": "l", "address": "127.0.0.1:1", "filter_chains": [
                    { "tls_context": { "status": true }, "filters": [{ "type": "proxy", "config": {} }] },
                    { "filters": [] }] }],
                "routers": [{ "router_config_name": "r" }] }],
            "cluster_manager": { "clusters": [{ "name": "c", "health_check": { "interval": "5s" } }] },
            "extends": [{ "type": "own" }],
            "pid": "/p",
        });
        let dump = whole(&document);
        assert_eq!(
            dump["mosn_config"]["servers"],
            json!([{ "default_log_path": "stdout", "graceful_timeout": "0s" }])
        );
        assert_eq!(
            dump["mosn_config"]["cluster_manager"],
            json!({ "tls_context": {} })
        );
        assert_eq!(dump["mosn_config"]["pid"], "/p");
        assert_eq!(dump["mosn_config"]["metrics"]["shm_size"], "0B");
        assert!(dump["mosn_config"].get("extends").is_none());
        let chains = &dump["listener"]["l"]["filter_chains"];
        assert_eq!(chains[0]["tls_context_set"], json!([{ "status": true }]));
        assert_eq!(chains[1]["tls_context_set"], json!([{}]));
        assert_eq!(chains[0]["filters"][0]["go_plugin_config"], Value::Null);
        assert_eq!(dump["cluster"]["c"]["health_check"]["interval"], "5s");
        assert_eq!(dump["cluster"]["c"]["health_check"]["timeout"], "0s");
        assert_eq!(dump["routers"]["r"]["router_config_name"], "r");
        assert_eq!(dump["extends"][0]["type"], "own");

        let empty = whole(&json!({}));
        assert_eq!(
            empty.as_object().unwrap().keys().collect::<Vec<_>>(),
            ["mosn_config"]
        );
    }
}
