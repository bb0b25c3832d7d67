//! What becomes of bytes and of the ends of connections.

use std::net::SocketAddr;

use banyan::{Health, HostAddress};
use serde_json::json;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{
    Origin, active, address, cluster, exchange, listener, plan, proxy, refusing, soon, start, until,
};

/// Bytes without a pattern, the same each time.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 7_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

#[actix::test]
async fn a_client_that_closed_its_writing_half_is_still_answered() {
    let origin = Origin::echoing().await;
    let proxy = proxy("LB_RANDOM", &[origin.address]).await;

    let answer = soon(
        "an echo",
        exchange(address(&proxy, "app").await, b"last words"),
    )
    .await;

    assert_eq!(answer.unwrap(), b"last words");
}

#[actix::test]
async fn bulk_is_byte_identical_both_ways() {
    let origin = Origin::echoing().await;
    let proxy = proxy("LB_RANDOM", &[origin.address]).await;
    let sent = noise(32 << 20);
    let stream = TcpStream::connect(address(&proxy, "app").await)
        .await
        .unwrap();
    let (mut from, mut to) = stream.into_split();
    let said = sent.clone();
    let writing = async move {
        to.write_all(&said).await.unwrap();
        to.shutdown().await.unwrap();
    };
    let reading = async move {
        let mut answer = Vec::new();
        from.read_to_end(&mut answer).await.unwrap();
        answer
    };

    let ((), answer) = soon("the echo of 32 MiB", async {
        tokio::join!(writing, reading)
    })
    .await;

    assert!(
        answer == sent,
        "{} bytes came back, or others",
        answer.len()
    );
}

#[actix::test]
async fn a_reset_upstream_resets_the_downstream() {
    let origin = Origin::scripted(|stream| async move {
        // An accepted stream of tokio's claims to be readable before it is.
        stream.peek(&mut [0]).await.unwrap();
        stream.set_zero_linger().unwrap();
    })
    .await;
    let proxy = proxy("LB_RANDOM", &[origin.address]).await;
    let mut stream = TcpStream::connect(address(&proxy, "app").await)
        .await
        .unwrap();
    stream.write_all(b"x").await.unwrap();

    let read = soon("the reset", stream.read(&mut [0; 8])).await;

    assert_eq!(
        read.unwrap_err().kind(),
        std::io::ErrorKind::ConnectionReset
    );
}

#[actix::test]
async fn a_connection_without_any_upstream_is_closed() {
    let proxy = proxy("LB_LEAST_CONNECTION", &[refusing().await]).await;
    let mut stream = TcpStream::connect(address(&proxy, "app").await)
        .await
        .unwrap();

    let read = soon("the close", stream.read(&mut [0; 8])).await;

    assert_eq!(read.unwrap(), 0);
    until("its lease is given back", || async {
        active(&proxy).await == 0
    })
    .await;
}

#[actix::test]
async fn an_unhealthy_host_gets_nothing_while_another_is_healthy() {
    let (first, second) = (Origin::echoing().await, Origin::echoing().await);
    let proxy = proxy("LB_LEAST_CONNECTION", &[first.address, second.address]).await;
    let host: HostAddress = first.address.into();

    assert!(
        proxy
            .set_health("origins", host, Health::Unhealthy)
            .await
            .unwrap()
    );

    let to = address(&proxy, "app").await;
    for _ in 0..50 {
        soon("an echo", exchange(to, b"x")).await.unwrap();
    }
    assert_eq!((first.visits(), second.visits()), (0, 50));
}

#[actix::test]
async fn an_idle_connection_is_closed_after_its_time() {
    let origin = Origin::echoing().await;
    let mut listener = listener("app");
    listener["connection_idle_timeout"] = json!("1s");
    let hosts: &[SocketAddr] = &[origin.address];
    let proxy = start(plan(&[listener], &[cluster("LB_RANDOM", hosts)])).await;
    let mut stream = TcpStream::connect(address(&proxy, "app").await)
        .await
        .unwrap();

    let read = soon("the close", stream.read(&mut [0; 8])).await;

    assert_eq!(read.unwrap(), 0);
    let overview = proxy.snapshot().await.unwrap();
    assert_eq!(overview.listeners[0].totals.connections_idle_closed, 1);
}

#[actix::test]
async fn urgent_data_holds_nothing_up() {
    let origin = Origin::echoing().await;
    let proxy = proxy("LB_RANDOM", &[origin.address]).await;
    let mut stream = TcpStream::connect(address(&proxy, "app").await)
        .await
        .unwrap();
    for _ in 0..20 {
        stream.write_all(b"abc").await.unwrap();
        SockRef::from(&stream).send_out_of_band(b"!").unwrap();
        stream.write_all(b"def").await.unwrap();

        let mut echo = [0; 6];
        soon("what is behind the mark", stream.read_exact(&mut echo))
            .await
            .unwrap();

        assert_eq!(&echo, b"abcdef");
    }
}

#[actix::test]
async fn unix_sockets_serve_on_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let (front, back) = (
        folder.path().join("front.sock"),
        folder.path().join("back.sock"),
    );
    let origin = tokio::net::UnixListener::bind(&back).unwrap();
    let mut listener = listener("app");
    listener["network"] = json!("unix");
    listener["address"] = json!(front);
    let mut cluster = cluster("LB_RANDOM", &[]);
    cluster["hosts"] = json!([{ "address": format!("unix:{}", back.display()) }]);
    let _proxy = start(plan(&[listener], &[cluster])).await;
    let mut client = tokio::net::UnixStream::connect(&front).await.unwrap();
    client.write_all(b"hello").await.unwrap();

    let (mut served, _) = soon("the connection", origin.accept()).await.unwrap();
    let mut heard = [0; 5];
    soon("the greeting", served.read_exact(&mut heard))
        .await
        .unwrap();

    assert_eq!(&heard, b"hello");
}
