//! Actors die under load; the tree mends itself.
//!
//! Faults are injected by kind into whatever lives in this process, so one test runs at a time.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod admin;
mod hosts;
mod resting;
#[expect(dead_code, reason = "the rest is used by the other tests")]
#[path = "../support/mod.rs"]
mod support;

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use banyan::actor::fault;
use banyan::actor::supervisor::{Node, State};
use banyan::{Plan, Proxy, ProxyHandle};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::{JoinHandle, spawn_local};

use support::dns::{DnsServer, Reply, found};
use support::{
    Origin, active, address, cluster, exchange, listener, plan, proxy, refusing, soon, start, until,
};

/// Whoever holds it is the only test that runs.
async fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}

/// What one kill by an injected panic cost.
struct Cost {
    /// Exchanges begun after the kill, or running at its time, that failed.
    failed: u64,
    /// Connections that were open before the kill and are still served after it.
    survivors: usize,
}

const STANDING: usize = 20;

/// Kills one actor of `kind` while connections stand and exchanges run; then the tree must be
/// whole, and serve.
async fn kill(kind: &str) -> Cost {
    let _alone = alone().await;
    let origin = Origin::echoing().await;
    let proxy = proxy("LB_LEAST_CONNECTION", &[origin.address]).await;
    let to = address(&proxy, "app").await;
    let mut standing = Vec::new();
    for _ in 0..STANDING {
        let mut stream = TcpStream::connect(to).await.unwrap();
        assert!(still_served(&mut stream).await);
        standing.push(stream);
    }
    let load = Load::start(to);
    until("the load runs", || async { load.done.get() > 20 }).await;
    let before = ids(&proxy.snapshot().await.unwrap().tree);

    assert!(
        fault::panic_one(kind),
        "no `{kind}` lives; there are {:?}",
        fault::kinds()
    );

    until("the tree is whole", || is_whole(&proxy, &before)).await;
    let (done, goal) = (load.done.clone(), load.done.get() + 50);
    until("the load goes on", || async { done.get() > goal }).await;
    let failed = load.stop().await;
    let mut survivors = 0;
    for stream in &mut standing {
        survivors += usize::from(still_served(stream).await);
    }
    drop(standing);
    until("every lease is given back", || async {
        active(&proxy).await == 0
    })
    .await;
    proxy.stop().await;
    proxy.ended().await.unwrap();
    Cost { failed, survivors }
}

async fn still_served(stream: &mut TcpStream) -> bool {
    let exchange = async {
        stream.write_all(b"?").await?;
        stream.read_exact(&mut [0]).await
    };
    soon("an echo or an end", exchange).await.is_ok()
}

/// The tree has the same children as before, all of them run, and one was restarted.
async fn is_whole(proxy: &ProxyHandle, before: &[String]) -> bool {
    let Ok(overview) = proxy.snapshot().await else {
        return false;
    };
    let runs = all(&overview.tree)
        .iter()
        .all(|node| node.state == State::Running);
    let restarted = all(&overview.tree).iter().any(|node| node.restarts > 0);
    runs && restarted && ids(&overview.tree) == before
}

fn all(tree: &Node) -> Vec<&Node> {
    let below = tree.children.iter().flat_map(all);
    std::iter::once(tree).chain(below).collect()
}

fn ids(tree: &Node) -> Vec<String> {
    all(tree).iter().map(|node| node.id.to_string()).collect()
}

/// Exchanges one after the other, until it is stopped.
struct Load {
    done: Rc<Cell<u64>>,
    failed: Rc<Cell<u64>>,
    going: Rc<Cell<bool>>,
    task: JoinHandle<()>,
}

impl Load {
    fn start(to: SocketAddr) -> Self {
        let (done, failed) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let going = Rc::new(Cell::new(true));
        let (d, f, g) = (done.clone(), failed.clone(), going.clone());
        let task = spawn_local(async move {
            while g.get() {
                let answer = soon("an answer", exchange(to, b"load")).await;
                let count = if answer.is_ok_and(|answer| answer == b"load") {
                    &d
                } else {
                    &f
                };
                count.set(count.get() + 1);
            }
        });
        Self {
            done,
            failed,
            going,
            task,
        }
    }

    async fn stop(self) -> u64 {
        self.going.set(false);
        self.task.await.unwrap();
        self.failed.get()
    }
}

/// What nothing but its own crash notices: no exchange fails, no standing connection ends.
async fn kill_costs_nothing(kind: &str) {
    let cost = kill(kind).await;

    assert_eq!((cost.failed, cost.survivors), (0, STANDING), "{kind}");
}

#[actix::test]
async fn killing_a_cluster_costs_nothing() {
    kill_costs_nothing("Cluster").await;
}

#[actix::test]
async fn killing_clusters_costs_nothing() {
    kill_costs_nothing("Clusters").await;
}

#[actix::test]
async fn killing_the_health_checks_costs_nothing() {
    kill_costs_nothing("health").await;
}

#[actix::test]
async fn killing_listeners_costs_nothing() {
    kill_costs_nothing("Listeners").await;
}

#[actix::test]
async fn killing_the_logger_costs_nothing() {
    kill_costs_nothing("Logger").await;
}

#[actix::test]
async fn killing_an_acceptor_costs_nothing() {
    kill_costs_nothing("Acceptor").await;
}

#[actix::test]
async fn killing_a_roster_costs_nothing() {
    kill_costs_nothing("Roster").await;
}

#[actix::test]
async fn killing_a_lane_costs_nothing() {
    kill_costs_nothing("lane app #1").await;
}

#[actix::test]
async fn killing_who_takes_care_of_connections_costs_none() {
    kill_costs_nothing("Connections").await;
}

#[actix::test]
async fn killing_a_worker_costs_nothing() {
    kill_costs_nothing("worker 0").await;
}

#[actix::test]
async fn killing_all_workers_at_once_costs_nothing() {
    kill_costs_nothing("workers").await;
}

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
async fn killing_the_resolvers_costs_nothing() {
    kill_costs_nothing("resolvers").await;
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

#[actix::test]
async fn a_connection_that_panics_ends_alone() {
    let _alone = alone().await;
    let origin = Origin::echoing().await;
    let proxy = proxy("LB_LEAST_CONNECTION", &[origin.address]).await;
    let to = address(&proxy, "app").await;
    let (mut first, mut second) = (
        TcpStream::connect(to).await.unwrap(),
        TcpStream::connect(to).await.unwrap(),
    );
    assert!(still_served(&mut first).await && still_served(&mut second).await);

    assert!(fault::panic_one("Connection"));

    until("one lease is given back", || async {
        active(&proxy).await == 1
    })
    .await;
    let served = [
        still_served(&mut first).await,
        still_served(&mut second).await,
    ];
    assert_eq!(served.iter().filter(|&&served| served).count(), 1);
    proxy.stop().await;
}

#[actix::test]
async fn a_part_that_fails_too_often_ends_the_proxy_with_a_reason() {
    let _alone = alone().await;
    let origin = Origin::echoing().await;
    let proxy = proxy("LB_LEAST_CONNECTION", &[origin.address]).await;
    let failing = async {
        loop {
            fault::panic_one("Clusters");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };

    let ended = tokio::select! {
        ended = soon("the end", proxy.ended()) => ended,
        () = failing => unreachable!(),
    };

    let reason = ended.unwrap_err().to_string();
    assert!(
        reason.contains("clusters panicked: injected fault in Clusters"),
        "{reason}"
    );
}

#[actix::test]
async fn a_root_that_panics_ends_the_proxy_with_a_reason() {
    let _alone = alone().await;
    let origin = Origin::echoing().await;
    let proxy = proxy("LB_LEAST_CONNECTION", &[origin.address]).await;
    let to = address(&proxy, "app").await;
    let mut standing = TcpStream::connect(to).await.unwrap();
    assert!(still_served(&mut standing).await);

    assert!(fault::panic_one("Root"));

    let reason = soon("the end", proxy.ended())
        .await
        .unwrap_err()
        .to_string();
    assert!(reason.contains("injected fault in Root"), "{reason}");
    let end = soon("the cut", standing.read(&mut [0])).await;
    assert!(!matches!(end, Ok(1..)), "{end:?}");
    until("nothing listens", || async {
        TcpStream::connect(to).await.is_err()
    })
    .await;
}

/// Drains, and kills one actor of `kind` meanwhile.
async fn kill_during_a_drain(kind: &str) {
    let _alone = alone().await;
    let origin = Origin::echoing().await;
    let proxy = proxy("LB_LEAST_CONNECTION", &[origin.address]).await;
    let to = address(&proxy, "app").await;
    let mut standing = Vec::new();
    for _ in 0..STANDING {
        let mut stream = TcpStream::connect(to).await.unwrap();
        assert!(still_served(&mut stream).await);
        standing.push(stream);
    }
    let draining = proxy.drain(Duration::from_secs(60));
    let client = async {
        until("the listener's end", || async {
            TcpStream::connect(to).await.is_err()
        })
        .await;
        assert!(fault::panic_one(kind));
        // Longer than an ask waits for a restarted actor.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let mut survivors = 0;
        for stream in &mut standing {
            survivors += usize::from(still_served(stream).await);
        }
        drop(standing);
        survivors
    };

    let (cut, survivors) = soon("the drain", async { tokio::join!(draining, client) }).await;

    assert_eq!((cut, survivors), (0, STANDING), "{kind}");
    assert_eq!(soon("the end", proxy.ended()).await, Ok(()), "{kind}");
}

#[actix::test]
async fn a_kill_during_a_drain_ends_no_connection() {
    for kind in [
        "Roster",
        "Connections",
        "lane app #1",
        "worker 0",
        "workers",
    ] {
        kill_during_a_drain(kind).await;
    }
}

#[actix::test]
async fn a_start_that_nobody_waits_for_leaves_nothing_running() {
    let _alone = alone().await;
    let plan = plan(&[listener("app")], &[cluster("LB_RANDOM", &[])]);
    let start = Proxy::default().workers(2).run(plan);

    // One poll begins it.
    assert!(futures::FutureExt::now_or_never(start).is_none());

    until("nothing is left", || async { fault::count("Root") == 0 }).await;
}

/// A listener comes, and goes; meanwhile one actor of `kind` dies, each time a little later.
async fn change_while_killing(kind: &str) {
    let _alone = alone().await;
    let origin = Origin::echoing().await;
    let origins = cluster("LB_RANDOM", &[origin.address]);
    let proxy = proxy("LB_RANDOM", &[origin.address]).await;
    let before = plan(&[listener("app")], std::slice::from_ref(&origins));
    let after = plan(&[listener("app"), listener("more")], &[origins]);
    for delay in 0..4 {
        apply_while_killing(&proxy, after.clone(), kind, delay).await;
        let more = address(&proxy, "more").await;
        // Enough for every worker to have its share.
        for _ in 0..12 {
            until("it serves", || async { exchange(more, b"x").await.is_ok() }).await;
        }

        apply_while_killing(&proxy, before.clone(), kind, delay).await;

        until("it serves no more", || async {
            TcpStream::connect(more).await.is_err()
        })
        .await;
    }
    proxy.stop().await;
    proxy.ended().await.unwrap();
}

async fn apply_while_killing(proxy: &ProxyHandle, plan: Plan, kind: &str, delay: usize) {
    let kill = async {
        for _ in 0..delay {
            tokio::task::yield_now().await;
        }
        // It may still be restarting from the change before.
        until(kind, || async {
            fault::panic_nth(kind, delay % 2) || fault::panic_one(kind)
        })
        .await;
    };
    let (applied, ()) = tokio::join!(soon("the change", proxy.apply(plan)), kill);
    applied.unwrap();
}

#[actix::test]
async fn a_change_is_carried_out_though_an_actor_dies_meanwhile() {
    for kind in [
        "Roster",
        "Listeners",
        "Clusters",
        "Acceptor",
        "worker 0",
        "workers",
    ] {
        change_while_killing(kind).await;
    }
}
