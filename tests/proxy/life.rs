//! Start, drain, stop.

use std::time::{Duration, Instant};

use banyan::Proxy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{
    Origin, address, cluster, exchange, listener, plan, proxy, refusing, soon, start,
};

#[actix::test]
async fn draining_lets_the_running_connection_end() {
    let origin = Origin::echoing().await;
    let proxy = proxy("LB_RANDOM", &[origin.address]).await;
    let to = address(&proxy, "app").await;
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(b"one").await.unwrap();
    let mut echo = [0; 3];
    stream.read_exact(&mut echo).await.unwrap();

    let draining = proxy.drain(Duration::from_secs(60));
    let client = async {
        let refused = async { while TcpStream::connect(to).await.is_ok() {} };
        soon("the listener's end", refused).await;
        stream.write_all(b"two").await.unwrap();
        stream.read_exact(&mut echo).await.unwrap();
        drop(stream);
    };
    let (cut, ()) = soon("the drain", async { tokio::join!(draining, client) }).await;

    assert_eq!((cut, &echo), (0, b"two"));
    assert_eq!(soon("the end", proxy.ended()).await, Ok(()));
}

#[actix::test]
async fn connections_left_at_the_deadline_are_cut_and_counted() {
    let origin = Origin::echoing().await;
    let proxy = proxy("LB_RANDOM", &[origin.address]).await;
    let mut stream = TcpStream::connect(address(&proxy, "app").await)
        .await
        .unwrap();
    stream.write_all(b"x").await.unwrap();
    stream.read_exact(&mut [0]).await.unwrap();

    let cut = soon("the deadline", proxy.drain(Duration::from_millis(50))).await;

    assert_eq!(cut, 1);
    assert_eq!(soon("the end", proxy.ended()).await, Ok(()));
    assert!(!matches!(
        soon("the cut", stream.read(&mut [0])).await,
        Ok(1..)
    ));
}

#[actix::test]
async fn a_stop_during_a_drain_ends_it() {
    let origin = Origin::echoing().await;
    let proxy = proxy("LB_RANDOM", &[origin.address]).await;
    let mut stream = TcpStream::connect(address(&proxy, "app").await)
        .await
        .unwrap();
    stream.write_all(b"x").await.unwrap();
    stream.read_exact(&mut [0]).await.unwrap();

    let drain = proxy.drain(Duration::from_secs(600));
    let stop = async {
        tokio::task::yield_now().await;
        proxy.stop().await;
        proxy.ended().await
    };
    let (_, ended) = soon("the end", async { tokio::join!(drain, stop) }).await;

    assert_eq!(ended, Ok(()));
}

#[actix::test]
async fn a_stopped_proxy_leaves_nothing_listening() {
    let origin = Origin::echoing().await;
    let proxy = proxy("LB_RANDOM", &[origin.address]).await;
    let to = address(&proxy, "app").await;
    assert_eq!(exchange(to, b"x").await.unwrap(), b"x");

    proxy.stop().await;
    proxy.ended().await.unwrap();

    assert!(TcpStream::connect(to).await.is_err());
    assert!(proxy.apply(plan(&[], &[])).await.is_err());
}

#[actix::test]
async fn the_last_free_place_is_free_for_every_worker() {
    let origin = Origin::echoing().await;
    let limited = Proxy::default().workers(2).max_connections(1);
    let plan = plan(
        &[listener("app")],
        &[cluster("LB_RANDOM", &[origin.address])],
    );
    let proxy = limited.run(plan).await.unwrap();
    let to = address(&proxy, "app").await;

    // The kernel chooses the worker: twenty times the same one is as good as impossible.
    for _ in 0..20 {
        assert_eq!(soon("an echo", exchange(to, b"x")).await.unwrap(), b"x");
    }
}

#[actix::test]
async fn a_drain_lasts_as_long_as_it_says() {
    let origin = Origin::echoing().await;
    let hasty = Proxy::default()
        .workers(1)
        .drain_time(Duration::from_millis(50));
    let plan = plan(
        &[listener("app")],
        &[cluster("LB_RANDOM", &[origin.address])],
    );
    let proxy = hasty.run(plan).await.unwrap();
    let mut stream = TcpStream::connect(address(&proxy, "app").await)
        .await
        .unwrap();
    stream.write_all(b"x").await.unwrap();
    stream.read_exact(&mut [0]).await.unwrap();

    let cut = soon("the deadline", proxy.drain(Duration::from_millis(200))).await;

    assert_eq!(cut, 1);
}

#[actix::test]
async fn draining_an_idle_proxy_waits_for_nothing() {
    // Lanes are removed on the workers' threads while the root asks whether they are empty.
    let names: Vec<_> = (0..20).map(|n| format!("app {n}")).collect();
    let listeners: Vec<_> = names.iter().map(|name| listener(name)).collect();
    let cluster = cluster("LB_RANDOM", &[refusing().await]);
    for _ in 0..20 {
        let proxy = start(plan(&listeners, std::slice::from_ref(&cluster))).await;
        let begun = Instant::now();

        assert_eq!(proxy.drain(Duration::from_secs(600)).await, 0);

        let took = begun.elapsed();
        assert!(took < Duration::from_millis(900), "{took:?}");
        proxy.ended().await.unwrap();
    }
}
