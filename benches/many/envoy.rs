//! Envoy: a cluster's hosts in a file of its own, which it watches (EDS by `path_config_source`).

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::{CHANGES, Result, Setup, ask, in_path};

/// So many clusters have a file: each takes an inotify instance, of which Linux gives a user 128.
const WATCHED: usize = 20;

pub(crate) fn find() -> Option<PathBuf> {
    in_path("envoy")
}

pub(crate) fn arguments(setup: &Setup<'_>) -> Result<Vec<String>> {
    for cluster in 0..setup.clusters {
        write(setup, cluster, 0)?;
    }
    let cluster = |n: usize| {
        let name = format!("c{n}");
        let mut cluster = json!({
            "name": &name, "connect_timeout": "3s", "lb_policy": "ROUND_ROBIN" });
        if setup.changing().abs_diff(n) < WATCHED / 2 {
            cluster["type"] = json!("EDS");
            cluster["eds_cluster_config"] = json!({ "eds_config": {
                "resource_api_version": "V3",
                "path_config_source": { "path": file(setup, n) } } });
        } else {
            cluster["type"] = json!("STATIC");
            cluster["load_assignment"] = json!({
                "cluster_name": &name, "endpoints": [{ "lb_endpoints": endpoints(setup, n, 0) }] });
        }
        cluster
    };
    let socket = |address: SocketAddr| {
        json!({ "socket_address": {
            "address": address.ip().to_string(), "port_value": address.port() } })
    };
    let configuration = json!({
        "node": { "id": "many", "cluster": "many" },
        "admin": { "address": socket(setup.admin) },
        "static_resources": {
            "listeners": [{
                "name": "many", "address": socket(setup.listener),
                "filter_chains": [{ "filters": [{ "name": "tcp", "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
                    "stat_prefix": "tcp", "cluster": "c0" } }] }] }],
            "clusters": (0..setup.clusters).map(cluster).collect::<Vec<_>>(),
        },
    });
    let path = setup.directory.join("envoy.json");
    fs::write(&path, configuration.to_string())?;
    let words = [
        "--use-dynamic-base-id",
        "--concurrency",
        "2",
        "--log-level",
        "error",
        "-c",
    ];
    let words = words.map(str::to_owned).into_iter();
    Ok(words.chain([path.display().to_string()]).collect())
}

fn file(setup: &Setup<'_>, cluster: usize) -> PathBuf {
    setup.directory.join(format!("c{cluster}.json"))
}

fn endpoints(setup: &Setup<'_>, cluster: usize, change: usize) -> Vec<Value> {
    let endpoint = |host: SocketAddr| {
        json!({ "endpoint": { "address": { "socket_address": {
            "address": host.ip().to_string(), "port_value": host.port() } } } })
    };
    let hosts = setup.hosts(cluster, change).into_iter();
    hosts.map(endpoint).collect()
}

/// Envoy sees a file that is renamed into its place.
fn write(setup: &Setup<'_>, cluster: usize, change: usize) -> Result<()> {
    let assignment = json!({
        "version_info": change.to_string(),
        "resources": [{
            "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            "cluster_name": format!("c{cluster}"),
            "endpoints": [{ "lb_endpoints": endpoints(setup, cluster, change) }],
        }],
    });
    let new = setup.directory.join("new");
    fs::write(&new, assignment.to_string())?;
    Ok(fs::rename(new, file(setup, cluster))?)
}

pub(crate) fn change(setup: &Setup<'_>, change: usize) -> Result<()> {
    write(setup, setup.changing(), change)
}

/// Whether each change was seen.
pub(crate) fn check(setup: &Setup<'_>) -> Result<bool> {
    let name = format!("cluster.c{}.update_success", setup.changing());
    let target = format!("/stats?filter=%5E{name}%24");
    let answer = ask(setup.admin, "GET", &target, "")?;
    let count = answer
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name}: ")));
    Ok(count.and_then(|count| count.parse::<usize>().ok()) == Some(CHANGES + 1))
}
