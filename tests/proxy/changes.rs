//! Changes of a running proxy.

use banyan::HostAddress;
use banyan::actor::supervisor::Node;
use banyan::config::Host;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{
    Origin, address, cluster, exchange, listener, plan, proxy, refusing, soon, start,
};

#[actix::test]
async fn a_connection_of_an_unchanged_listener_never_notices_a_change() {
    let origin = Origin::echoing().await;
    let origins = cluster("LB_RANDOM", &[origin.address]);
    let proxy = start(plan(&[listener("old")], std::slice::from_ref(&origins))).await;
    let mut stream = TcpStream::connect(address(&proxy, "old").await)
        .await
        .unwrap();

    let changes = proxy
        .apply(plan(&[listener("old"), listener("new")], &[origins]))
        .await
        .unwrap();

    assert_eq!(changes.len(), 1, "{changes:?}");
    stream.write_all(b"still here").await.unwrap();
    let mut echo = [0; 10];
    soon("the echo", stream.read_exact(&mut echo))
        .await
        .unwrap();
    assert_eq!(
        exchange(address(&proxy, "new").await, b"x").await.unwrap(),
        b"x"
    );
}

#[actix::test]
async fn a_listener_that_cannot_bind_changes_nothing() {
    let origin = Origin::echoing().await;
    let origins = cluster("LB_RANDOM", &[origin.address]);
    let proxy = start(plan(&[listener("app")], std::slice::from_ref(&origins))).await;
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut refused = listener("refused");
    refused["address"] = json!(taken.local_addr().unwrap().to_string());
    let before = serde_json::to_value(proxy.snapshot().await.unwrap().clusters).unwrap();

    let empty = cluster("LB_RANDOM", &[]);
    let error = proxy
        .apply(plan(&[listener("app"), refused], &[empty]))
        .await
        .unwrap_err();

    assert!(
        error.to_string().starts_with("listener `refused`"),
        "{error}"
    );
    let after = proxy.snapshot().await.unwrap();
    assert_eq!(serde_json::to_value(&after.clusters).unwrap(), before);
    assert_eq!(after.listeners.len(), 1);
    assert_eq!(
        exchange(address(&proxy, "app").await, b"x").await.unwrap(),
        b"x"
    );
}

#[actix::test]
async fn a_removed_listener_refuses_and_its_connection_goes_on() {
    let origin = Origin::echoing().await;
    let origins = cluster("LB_RANDOM", &[origin.address]);
    let proxy = start(plan(&[listener("app")], std::slice::from_ref(&origins))).await;
    let to = address(&proxy, "app").await;
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    stream.read_exact(&mut [0]).await.unwrap();

    proxy.apply(plan(&[], &[origins])).await.unwrap();

    assert!(TcpStream::connect(to).await.is_err());
    stream.write_all(b"y").await.unwrap();
    let mut echo = [0];
    soon("the echo", stream.read_exact(&mut echo))
        .await
        .unwrap();
    assert_eq!(&echo, b"y");
}

#[actix::test]
async fn hosts_come_and_go_while_it_runs() {
    let (first, second) = (Origin::echoing().await, Origin::echoing().await);
    let proxy = proxy("LB_ROUNDROBIN", &[first.address]).await;
    let to = address(&proxy, "app").await;
    exchange(to, b"x").await.unwrap();

    let host = Host::from(second.address);
    proxy.hosts("origins").append(vec![host]).await.unwrap();
    let gone: HostAddress = first.address.into();
    proxy.hosts("origins").remove(vec![gone]).await.unwrap();

    for _ in 0..10 {
        exchange(to, b"x").await.unwrap();
    }
    assert_eq!((first.visits(), second.visits()), (1, 10));
    let unknown: Vec<Host> = Vec::new();
    let error = proxy.hosts("nobody").set(unknown).await.unwrap_err();
    assert_eq!(error.to_string(), "no cluster is named `nobody`");
}

/// Restarts of a node and of all below it.
fn restarts(node: &Node) -> u64 {
    node.restarts + node.children.iter().map(restarts).sum::<u64>()
}

#[actix::test]
async fn listeners_that_ask_for_any_port_get_one_each() {
    let origin = Origin::echoing().await;
    let origins = cluster("LB_RANDOM", &[origin.address]);
    let proxy = start(plan(&[listener("old")], std::slice::from_ref(&origins))).await;

    proxy
        .apply(plan(&[listener("old"), listener("new")], &[origins]))
        .await
        .unwrap();

    let (old, new) = (address(&proxy, "old").await, address(&proxy, "new").await);
    assert_ne!(old, new);
    assert_eq!(restarts(&proxy.snapshot().await.unwrap().tree), 0);
}

#[actix::test]
async fn listeners_may_trade_addresses() {
    let origin = Origin::echoing().await;
    let origins = cluster("LB_RANDOM", &[origin.address]);
    let addresses = [refusing().await, refusing().await].map(|to| json!(to.to_string()));
    let at = |name, address| {
        let mut listener = listener(name);
        listener["address"] = json!(address);
        listener
    };
    let before = [at("one", &addresses[0]), at("two", &addresses[1])];
    let after = [at("one", &addresses[1]), at("two", &addresses[0])];
    let proxy = start(plan(&before, std::slice::from_ref(&origins))).await;
    let (one, two) = (address(&proxy, "one").await, address(&proxy, "two").await);

    proxy.apply(plan(&after, &[origins])).await.unwrap();

    for _ in 0..10 {
        for to in [one, two] {
            let echo = soon("an echo", exchange(to, b"x")).await.unwrap();
            assert_eq!(echo, b"x");
        }
    }
    assert_eq!(address(&proxy, "one").await, two);
    assert_eq!(restarts(&proxy.snapshot().await.unwrap().tree), 0);
}

#[actix::test]
async fn a_listener_that_cannot_move_stays_as_it_was() {
    let origin = Origin::echoing().await;
    let origins = cluster("LB_RANDOM", &[origin.address]);
    let proxy = start(plan(&[listener("app")], std::slice::from_ref(&origins))).await;
    let to = address(&proxy, "app").await;
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    stream.read_exact(&mut [0]).await.unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut moved = listener("app");
    moved["address"] = json!(taken.local_addr().unwrap().to_string());

    proxy.apply(plan(&[moved], &[origins])).await.unwrap_err();

    assert_eq!(address(&proxy, "app").await, to);
    let overview = proxy.snapshot().await.unwrap();
    let totals = &overview.listeners[0].totals;
    assert_eq!(
        (totals.connections_active, totals.connections_total),
        (1, 1)
    );
}

#[actix::test]
async fn a_listener_may_come_back_while_its_connection_drains() {
    let origin = Origin::echoing().await;
    let origins = cluster("LB_RANDOM", &[origin.address]);
    let mut app = listener("app");
    // Nobody else takes a port of this address while the listener is down.
    app["address"] = json!(format!("127.0.0.7:{}", refusing().await.port()));
    let with = plan(&[app], std::slice::from_ref(&origins));
    let proxy = start(with.clone()).await;
    let to = address(&proxy, "app").await;
    let mut echo = [0];
    // Each connection is still on its way to its actor when its listener is taken down.
    for _ in 0..30 {
        let mut stream = TcpStream::connect(to).await.unwrap();
        proxy
            .apply(plan(&[], std::slice::from_ref(&origins)))
            .await
            .unwrap();
        proxy.apply(with.clone()).await.unwrap();

        assert_eq!(exchange(to, b"x").await.unwrap(), b"x");
        stream.write_all(b"y").await.unwrap();
        soon("the echo", stream.read_exact(&mut echo))
            .await
            .unwrap();
    }
}
