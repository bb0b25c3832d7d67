//! Changes of the hosts of one cluster of a running proxy.

use std::time::Duration;

use banyan::config::Host;
use banyan::{HostAddress, HostView, ProxyHandle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Origin, active, address, exchange, proxy, soon, visit};

async fn hosts(proxy: &ProxyHandle) -> Vec<HostView> {
    let mut overview = proxy.snapshot().await.unwrap();
    overview.clusters.remove(0).hosts
}

fn local(port: u16) -> HostAddress {
    std::net::SocketAddr::from(([127, 0, 0, 1], port)).into()
}

async fn connected(proxy: &ProxyHandle) -> TcpStream {
    let mut stream = TcpStream::connect(address(proxy, "app").await)
        .await
        .unwrap();
    stream.write_all(b"x").await.unwrap();
    soon("the echo", stream.read_exact(&mut [0])).await.unwrap();
    stream
}

#[actix::test]
async fn a_host_that_drains_gets_nothing_new_and_keeps_what_it_has() {
    let (drained, other) = (Origin::echoing().await, Origin::echoing().await);
    let proxy = proxy("LB_ROUNDROBIN", &[drained.address]).await;
    let mut stream = connected(&proxy).await;
    let hosts_of = proxy.hosts("origins");
    hosts_of
        .append(vec![Host::from(other.address)])
        .await
        .unwrap();

    assert!(hosts_of.drain(drained.address.into(), None).await.unwrap());

    let before = drained.visits();
    for _ in 0..8 {
        exchange(address(&proxy, "app").await, b"x").await.unwrap();
    }
    assert_eq!(drained.visits(), before);
    let seen = hosts(&proxy).await;
    let states: Vec<_> = seen.iter().map(|h| (h.healthy, h.draining)).collect();
    assert_eq!(states, [(true, false), (true, true)]);
    stream.write_all(b"y").await.unwrap();
    soon("the echo", stream.read_exact(&mut [0])).await.unwrap();

    assert!(hosts_of.undrain(drained.address.into()).await.unwrap());
    for _ in 0..8 {
        exchange(address(&proxy, "app").await, b"x").await.unwrap();
    }
    assert!(drained.visits() > before);
}

#[actix::test]
async fn what_a_draining_host_still_has_at_the_deadline_is_cut() {
    let origin = Origin::echoing().await;
    let proxy = proxy("LB_ROUNDROBIN", &[origin.address]).await;
    let mut stream = connected(&proxy).await;

    let deadline = Some(Duration::from_millis(1));
    let of = proxy.hosts("origins");
    assert!(of.drain(origin.address.into(), deadline).await.unwrap());

    // Cut, it may be reset or closed; it says nothing more.
    let end = soon("the end", stream.read(&mut [0])).await;
    assert_eq!(end.unwrap_or(0), 0);
    assert_eq!(active(&proxy).await, 0);
}

#[actix::test]
async fn nothing_can_be_said_of_a_host_that_is_not_there() {
    let proxy = proxy("LB_ROUNDROBIN", &[]).await;
    let hosts = proxy.hosts("origins");
    assert!(!hosts.drain(local(1), None).await.unwrap());
    assert!(!hosts.undrain(local(1)).await.unwrap());
    let refused = hosts.weigh(local(1), 2).await.unwrap_err();
    assert_eq!(refused.to_string(), "no host has the address `127.0.0.1:1`");
    let refused = proxy.hosts("nowhere").set(Vec::new()).await.unwrap_err();
    assert_eq!(refused.to_string(), "no cluster is named `nowhere`");
}

#[actix::test]
async fn appended_hosts_come_first_and_a_removal_sorts() {
    let proxy = proxy("LB_ROUNDROBIN", &[]).await;
    let of = proxy.hosts("origins");
    let host = |port| Host::new(local(port));
    of.set(vec![host(9), host(80), host(9)]).await.unwrap();
    of.append(vec![host(10), host(80)]).await.unwrap();
    let ports = async || -> Vec<String> {
        let hosts = hosts(&proxy).await.into_iter();
        hosts
            .map(|host| host.address.replace("127.0.0.1:", ""))
            .collect()
    };
    assert_eq!(ports().await, ["10", "80", "9"]);

    of.weigh(local(9), 7).await.unwrap();
    of.remove(vec![local(80), local(77)]).await.unwrap();

    assert_eq!(ports().await, ["10", "9"]);
    assert_eq!(hosts(&proxy).await[1].weight, 7);
    assert_eq!(of.remove(vec![local(77)]).await.unwrap(), []);
}

#[actix::test]
async fn a_cluster_whose_hosts_all_drain_serves_nobody() {
    let origin = Origin::greeting().await;
    let proxy = proxy("LB_RANDOM", &[origin.address]).await;
    let of = proxy.hosts("origins");
    of.drain(origin.address.into(), None).await.unwrap();

    assert_eq!(visit(address(&proxy, "app").await, 3, 1).await, 3);
    // A change of something else is no reason to serve again; a removal is.
    of.weigh(origin.address.into(), 5).await.unwrap();
    assert_eq!(visit(address(&proxy, "app").await, 3, 1).await, 3);
    of.set(Vec::new()).await.unwrap();
    of.set(vec![Host::from(origin.address)]).await.unwrap();
    assert_eq!(visit(address(&proxy, "app").await, 3, 1).await, 0);
}
