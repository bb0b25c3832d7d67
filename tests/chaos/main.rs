//! Actors die under load; the tree mends itself.
//!
//! Faults are injected by kind into whatever lives in this process, so one test runs at a time.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod admin;
mod changing;
mod checking;
mod hosts;
#[expect(dead_code, reason = "the rest is used by the tests of RPC")]
#[path = "../rpc/peers.rs"]
mod peers;
mod resting;
#[expect(dead_code, reason = "the rest is used by the tests of RPC")]
#[path = "../rpc/site.rs"]
mod site;
#[expect(dead_code, reason = "the rest is used by the other tests")]
#[path = "../support/mod.rs"]
mod support;
mod trunks;

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use banyan::ProxyHandle;
use banyan::actor::fault;
use banyan::actor::supervisor::{Node, State};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::{JoinHandle, spawn_local};

use support::{Origin, active, address, exchange, proxy, soon, until};

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
    let mut standing = stand(to).await;
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
    let survivors = survivors(&mut standing).await;
    drop(standing);
    until("every lease is given back", || async {
        active(&proxy).await == 0
    })
    .await;
    proxy.stop().await;
    proxy.ended().await.unwrap();
    Cost { failed, survivors }
}

/// Connections that stand, each served once.
async fn stand(to: SocketAddr) -> Vec<TcpStream> {
    let mut standing = Vec::new();
    for _ in 0..STANDING {
        let mut stream = TcpStream::connect(to).await.unwrap();
        assert!(still_served(&mut stream).await);
        standing.push(stream);
    }
    standing
}

/// How many of them are still served.
async fn survivors(standing: &mut [TcpStream]) -> usize {
    let mut survivors = 0;
    for stream in standing {
        survivors += usize::from(still_served(stream).await);
    }
    survivors
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

#[actix::test]
async fn killing_the_resolvers_costs_nothing() {
    kill_costs_nothing("resolvers").await;
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
