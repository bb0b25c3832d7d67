//! What is known of hosts outlives the actors that know it.

use std::net::SocketAddr;

use banyan::{Health, HostAddress, HostView, ProxyHandle};
use serde_json::json;

use crate::support::{Origin, address, cluster, exchange, listener, plan, refusing, start, until};
use crate::{Load, alone, fault, ids, is_whole};

async fn host(proxy: &ProxyHandle, address: SocketAddr) -> HostView {
    let hosts = proxy.snapshot().await.unwrap().clusters.remove(0).hosts;
    let mut hosts = hosts.into_iter();
    hosts
        .find(|host| host.address == address.to_string())
        .unwrap()
}

/// Under load, with one host taken out and one ejected for so long: the proxy, and those two.
async fn site(ejected_for: &str, good: &Origin) -> (ProxyHandle, SocketAddr, SocketAddr) {
    let taken_out = Origin::echoing().await.address;
    let refuses = refusing().await;
    let mut origins = cluster("LB_ROUNDROBIN", &[good.address, taken_out, refuses]);
    origins["outlier_detection"] = json!({
        "consecutive_local_origin_failure": 2, "base_ejection_time": ejected_for,
        "max_ejection_time": ejected_for, "max_ejection_percent": 50 });
    let proxy = start(plan(&[listener("app")], &[origins])).await;
    let of = HostAddress::from(taken_out);
    assert!(
        proxy
            .set_health("origins", of, Health::Unhealthy)
            .await
            .unwrap()
    );
    let to = address(&proxy, "app").await;
    until("a host is ejected", || async {
        visit_echo(to).await;
        host(&proxy, refuses).await.ejected
    })
    .await;
    (proxy, taken_out, refuses)
}

async fn visit_echo(to: SocketAddr) {
    for _ in 0..4 {
        let answer = exchange(to, b"x").await;
        assert_eq!(answer.unwrap(), b"x");
    }
}

#[actix::test]
async fn health_ejections_and_counts_outlive_those_who_keep_them() {
    let _alone = alone().await;
    let good = Origin::echoing().await;
    let (proxy, taken_out, refuses) = site("600s", &good).await;
    let load = Load::start(address(&proxy, "app").await);
    let tree = ids(&proxy.snapshot().await.unwrap().tree);
    for kind in ["Clusters", "Cluster", "Clusters", "Cluster"] {
        let goal = load.done.get() + 30;
        until("the load runs", || async { load.done.get() > goal }).await;
        let before = host(&proxy, good.address).await;
        let ejected = host(&proxy, refuses).await;

        assert!(fault::panic_one(kind));
        until("the tree is whole", || is_whole(&proxy, &tree)).await;

        let goal = load.done.get() + 30;
        until("the load goes on", || async { load.done.get() > goal }).await;
        let out = host(&proxy, taken_out).await;
        assert_eq!((out.healthy, out.connections_total), (false, 0), "{kind}");
        let still = host(&proxy, refuses).await;
        assert!(still.ejected, "{kind}");
        assert_eq!(still.ejections, 1, "{kind}");
        assert_eq!(
            still.connections_failed, ejected.connections_failed,
            "{kind}"
        );
        let after = host(&proxy, good.address).await;
        assert!(
            after.connections_total >= before.connections_total + 30,
            "{kind}"
        );
        assert!(after.connections_active <= 2, "{kind}");
    }
    assert_eq!(load.stop().await, 0);
    proxy.stop().await;
    proxy.ended().await.unwrap();
}

#[actix::test]
async fn an_ejected_host_returns_in_time_though_its_judge_has_died_meanwhile() {
    let _alone = alone().await;
    let good = Origin::echoing().await;
    let (proxy, _, refuses) = site("2s", &good).await;
    let tree = ids(&proxy.snapshot().await.unwrap().tree);

    assert!(fault::panic_one("Clusters"));
    until("the tree is whole", || is_whole(&proxy, &tree)).await;

    until("the host returns", || async {
        !host(&proxy, refuses).await.ejected
    })
    .await;
    proxy.stop().await;
    proxy.ended().await.unwrap();
}
