//! Actors die while the proxy starts, changes and drains: each is carried out.

use std::time::Duration;

use banyan::actor::fault;
use banyan::{Plan, Proxy, ProxyHandle};
use tokio::net::TcpStream;

use crate::support::{Origin, address, cluster, exchange, listener, plan, proxy, soon, until};
use crate::{STANDING, alone, stand, survivors};

/// Drains, and kills one actor of `kind` meanwhile.
async fn kill_during_a_drain(kind: &str) {
    let _alone = alone().await;
    let origin = Origin::echoing().await;
    let proxy = proxy("LB_LEAST_CONNECTION", &[origin.address]).await;
    let to = address(&proxy, "app").await;
    let mut standing = stand(to).await;
    let draining = proxy.drain(Duration::from_secs(60));
    let client = async {
        until("the listener's end", || async {
            TcpStream::connect(to).await.is_err()
        })
        .await;
        assert!(fault::panic_one(kind));
        // Longer than an ask waits for a restarted actor.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let survivors = survivors(&mut standing).await;
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
