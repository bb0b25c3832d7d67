//! What was found out of hosts and of names outlives who finds it out.

use std::net::SocketAddr;
use std::path::Path;

use banyan::Proxy;
use banyan::actor::fault;
use serde_json::json;

use crate::support::dns::{DnsServer, Reply, found};
use crate::support::{Origin, address, cluster, exchange, listener, plan, refusing, start, until};
use crate::{Load, alone, ids, is_whole};

/// A cluster whose second host refuses, checked often; each result has a line in `log`.
fn checked(good: SocketAddr, dead: SocketAddr, log: &Path) -> serde_json::Value {
    let mut cluster = cluster("LB_LEAST_CONNECTION", &[good, dead]);
    cluster["health_check"] = json!({
        "service_name": "s", "interval": "20ms", "initial_delay_seconds": "1ms",
        "timeout": "10s", "unhealthy_threshold": 2, "healthy_threshold": 1000000,
        "event_log_path": log, "event_log_format": "json",
    });
    cluster
}

/// How many results in a row the log counts of a host, in the order of its lines.
fn counted(log: &Path, host: SocketAddr) -> Vec<u64> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    // The last line may still be being written.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let lines = whole.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line
    });
    let of_host = lines.filter(|line| line["host"] == host.to_string());
    of_host
        .map(|line| line["failures"].as_u64().unwrap())
        .collect()
}

/// Kills what checks the health of hosts, or is told of it, again and again under load.
async fn kill_while_checking(kind: &str) {
    let _alone = alone().await;
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("health.log");
    let (origin, dead) = (Origin::echoing().await, refusing().await);
    let plan = plan(&[listener("app")], &[checked(origin.address, dead, &log)]);
    let proxy = Proxy::default().workers(2).run(plan).await.unwrap();
    let to = address(&proxy, "app").await;
    let is_out = async || {
        let overview = proxy.snapshot().await.unwrap();
        let mut hosts = overview.clusters[0].hosts.iter();
        let host = hosts.find(|host| host.address == dead.to_string());
        !host.unwrap().healthy
    };
    until("the dead host is out", || async { is_out().await }).await;
    let load = Load::start(to);

    for _ in 0..5 {
        let goal = counted(&log, dead).len() + 3;
        until(kind, || async { fault::panic_one(kind) }).await;
        until("the checks go on", || async {
            counted(&log, dead).len() > goal
        })
        .await;
        assert!(is_out().await, "{kind}: the dead host is back");
    }

    let goal = load.done.get() + 20;
    until("the load goes on", || async { load.done.get() > goal }).await;
    assert_eq!(load.stop().await, 0, "{kind}");
    // No life began to count anew, though the last result of a life may be told twice, or not at all.
    let counts = counted(&log, dead);
    assert!(
        counts.windows(2).all(|two| two[1] >= two[0]),
        "{kind}: {counts:?}"
    );
    assert!(
        counts.len() as u64 + 10 > *counts.last().unwrap(),
        "{kind}: {counts:?}"
    );
    proxy.stop().await;
    proxy.ended().await.unwrap();
}

#[actix::test]
async fn killing_who_checks_hosts_loses_neither_health_nor_counts() {
    for kind in ["HealthChecker", "health", "Clusters", "Cluster", "Logger"] {
        kill_while_checking(kind).await;
    }
}

#[actix::test]
async fn what_names_resolved_to_outlives_who_resolves_them_and_who_publishes_them() {
    let _alone = alone().await;
    let origin = Origin::echoing().await;
    let dns = DnsServer::start().await;
    dns.says("origin.test", found(&["127.0.0.1"]));
    let cluster = dns.cluster(&[format!("origin.test:{}", origin.address.port())]);
    let proxy = start(plan(&[listener("app")], &[cluster])).await;
    let to = address(&proxy, "app").await;
    let tree = ids(&proxy.snapshot().await.unwrap().tree);
    for kind in ["Resolver", "Clusters", "resolvers"] {
        dns.says("origin.test", Reply::NoName);
        assert!(fault::panic_one(kind), "no `{kind}` lives");
        until("the tree is whole", || is_whole(&proxy, &tree)).await;
        assert_eq!(exchange(to, b"x").await.unwrap(), b"x", "{kind}");

        // Whoever asks now goes on asking, and is heard.
        let hosts = if kind == "Resolver" { 2 } else { 3 };
        let addresses = ["127.0.0.1", "127.0.0.2", "127.0.0.3"];
        dns.says("origin.test", found(&addresses[..hosts]));
        until("the hosts follow", async || {
            proxy.snapshot().await.unwrap().clusters[0].hosts.len() == hosts
        })
        .await;
        dns.says("origin.test", found(&addresses[..1]));
        until("the hosts follow", async || {
            proxy.snapshot().await.unwrap().clusters[0].hosts.len() == 1
        })
        .await;
    }
    proxy.stop().await;
    proxy.ended().await.unwrap();
}
