//! Banyan: a file, and changes at the admin port.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::{Result, Setup, ask};

pub(crate) fn find() -> Option<PathBuf> {
    let other = std::env::var_os("BANYAN");
    Some(other.map_or_else(|| env!("CARGO_BIN_EXE_banyan").into(), PathBuf::from))
}

pub(crate) fn arguments(setup: &Setup<'_>) -> Result<Vec<String>> {
    let cluster = |n: usize| {
        json!({ "name": format!("c{n}"), "type": "SIMPLE", "lb_type": "LB_ROUNDROBIN",
                "hosts": hosts(setup, n, 0) })
    };
    let directory = setup.directory;
    let (host, port) = (setup.admin.ip().to_string(), setup.admin.port());
    let configuration = json!({
        "pid": directory.join("pid"), "uds_dir": directory,
        "admin": { "address": { "socket_address": { "address": host, "port_value": port } } },
        "servers": [{
            "default_log_path": directory.join("banyan.log"), "default_log_level": "ERROR",
            "processor": 2,
            "listeners": [{
                "name": "many", "address": setup.listener.to_string(), "bind_port": true,
                "filter_chains": [{ "filters": [{
                    "type": "tcp_proxy", "config": { "cluster": "c0" } }] }] }],
        }],
        "cluster_manager": { "clusters": (0..setup.clusters).map(cluster).collect::<Vec<_>>() },
    });
    let file = directory.join("banyan.json");
    fs::write(&file, configuration.to_string())?;
    Ok(vec![
        "start".to_owned(),
        "-c".to_owned(),
        file.display().to_string(),
    ])
}

fn hosts(setup: &Setup<'_>, cluster: usize, change: usize) -> Vec<Value> {
    let hosts = setup.hosts(cluster, change).into_iter();
    hosts
        .map(|host| json!({ "address": host.to_string() }))
        .collect()
}

pub(crate) fn change(setup: &Setup<'_>, change: usize) -> Result<()> {
    let cluster = setup.changing();
    let target = format!("/api/v2/clusters/c{cluster}/hosts");
    let body = Value::from(hosts(setup, cluster, change)).to_string();
    let answer = ask(setup.admin, "PUT", &target, &body)?;
    match answer.starts_with("HTTP/1.1 200 ") {
        true => Ok(()),
        false => Err(answer.into()),
    }
}

/// What it answered is in force.
pub(crate) fn check(_: &Setup<'_>) -> Result<bool> {
    Ok(true)
}
