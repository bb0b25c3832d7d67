//! SOFA Bolt through the daemon.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::admin::Admin;
use crate::home::until;
use crate::load::{Origin, command};

/// A listener that speaks Bolt and shares connections in this way, before one host.
pub(crate) fn configuration(pool_mode: &str, host: &str) -> Value {
    json!({
        "servers": [{ "listeners": [{
            "name": "app", "address": "127.0.0.1:0", "bind_port": true,
            "filter_chains": [{ "filters": [{ "type": "proxy", "config": {
                "downstream_protocol": "bolt", "cluster": "calls",
                "extend_config": { "pool_mode": pool_mode } } }] }] }] }],
        "cluster_manager": { "clusters": [{
            "name": "calls", "type": "SIMPLE", "lb_type": "LB_RANDOM",
            "hosts": [{ "address": host }] }] },
    })
}

/// A number of the only host.
fn of_host(admin: &Admin, key: &str) -> u64 {
    let status: Value = admin.get("/api/v2/status").json();
    let host = &status["clusters"][0]["hosts"][0];
    let number = host[key].as_u64();
    number.unwrap_or_else(|| panic!("{key} is not in {host}"))
}

#[test]
fn many_requests_at_once_are_answered_however_connections_are_shared() {
    // Answers come in any order where requests share a connection.
    let origin = Origin::start("bolt --delay 5ms --answer-out-of-order");
    for (mode, begun, stay) in [
        ("multiplex", 1..=2, 1..=2),
        ("ping-pong", 10..=200, 10..=200),
        ("bound", 10..=10, 0..=0),
    ] {
        let admin = Admin::of(&configuration(mode, &origin.address), "--workers 2");
        let line = format!(
            "load --json -q -n 2000 -c 10 -m 20 sofarpc://{}",
            admin.process.address()
        );
        let output = command(&line).output().expect("it runs");
        let report: Value = serde_json::from_slice(&output.stdout).expect("it reports");
        assert_eq!(report["requests"]["succeeded"], 2000, "{mode}: {report}");
        assert_eq!(report["late_answers"], 0, "{mode}: {report}");
        until("every count is back", || {
            of_host(&admin, "requests_active") == 0
                && stay.contains(&of_host(&admin, "connections_active"))
        });
        let connections = of_host(&admin, "connections_total");
        assert!(begun.contains(&connections), "{mode}: {connections}");
        assert_eq!(of_host(&admin, "responses_stray"), 0, "{mode}");
        admin.process.signal(Signal::SIGTERM);
    }
}
