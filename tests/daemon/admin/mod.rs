//! The admin door, from outside.

mod abuse;
mod calls;
mod changes;
mod explaining;
mod invalid;
mod kept;
mod logs;
mod scrapes;

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::home::{Home, Process};
use crate::http::{Answer, ask, ask_socket};

/// A running process with its admin door on any port.
pub(super) struct Admin {
    pub(super) home: Home,
    pub(super) process: Process,
    pub(super) address: SocketAddr,
}

impl Admin {
    pub(super) fn of(configuration: &Value, flags: &str) -> Self {
        let mut configuration = configuration.clone();
        let socket = json!({ "address": "127.0.0.1", "port_value": 0 });
        configuration["admin"] = json!({ "address": { "socket_address": socket } });
        let home = Home::of(&configuration);
        let (process, address) = started(&home, flags);
        Self {
            home,
            process,
            address,
        }
    }

    pub(super) fn get(&self, target: &str) -> Answer {
        ask(self.address, "GET", target, "", "")
    }

    pub(super) fn send(&self, method: &str, target: &str, body: &Value) -> Answer {
        ask(self.address, method, target, "", &body.to_string())
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.home.path("conf/banyan.sock")
    }

    pub(super) fn ask_socket(&self, method: &str, target: &str) -> Answer {
        ask_socket(&self.socket(), method, target, "")
    }

    pub(super) fn dump(&self) -> String {
        self.get("/api/v1/config_dump").body
    }
}

/// A process of a home whose configuration has an admin address, and that address.
pub(super) fn started(home: &Home, flags: &str) -> (Process, SocketAddr) {
    let words = format!("start --log-output stderr {flags}");
    let mut process = home.starting(&words);
    let said = process.says_part("start service Mosn Admin Server on ");
    let address = said
        .trim_end()
        .rsplit(' ')
        .next()
        .and_then(|address| address.parse().ok());
    let address = address.unwrap_or_else(|| panic!("no address: {said}"));
    process.is_running();
    (process, address)
}

/// Two listeners, one of them with a router, and a cluster of two hosts.
pub(super) fn configuration() -> Value {
    json!({
        "servers": [{
            "mosn_server_name": "golden",
            "listeners": [
                { "name": "web", "address": "127.0.0.1:0", "bind_port": true, "filter_chains": [{
                    "tls_context": { "status": false, "private_key": "-----BEGIN KEY" },
                    "filters": [{ "type": "proxy", "config": {
                        "downstream_protocol": "Http1", "router_config_name": "r" } }] }] },
                { "name": "bytes", "address": "127.0.0.1:0", "bind_port": true, "filter_chains": [{
                    "filters": [{ "type": "tcp_proxy", "config": { "cluster": "api" } }] }] }],
            "routers": [{ "router_config_name": "r", "virtual_hosts": [{
                "name": "all", "domains": ["*"], "routers": [{
                    "match": { "prefix": "/a&b" }, "route": { "cluster_name": "api" } }] }] }],
        }],
        "cluster_manager": { "clusters": [{
            "name": "api", "type": "SIMPLE", "lb_type": "LB_ROUNDROBIN",
            "hosts": [{ "address": "127.0.0.1:9" }, { "address": "127.0.0.1:10", "weight": 2 }] }] },
    })
}
