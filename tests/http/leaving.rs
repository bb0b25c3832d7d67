//! What a drain does to requests and to connections at rest.

use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::site::Site;
use crate::support::{soon, until};
use crate::talk::{Web, get, reply};

const LONG: Duration = Duration::from_secs(600);

/// Answers `/held` only when told.
async fn holding(told: &Rc<Notify>) -> Web {
    let told = told.clone();
    Web::scripted(move |mut peer| {
        let told = told.clone();
        async move {
            while let Ok(request) = peer.request().await {
                if request.target() == "/held" {
                    told.notified().await;
                }
                peer.send(reply(200, "", request.target())).await;
            }
        }
    })
    .await
}

#[actix::test]
async fn a_request_in_flight_is_answered_and_told_that_its_connection_closes() {
    let told = Rc::new(Notify::new());
    let web = holding(&told).await;
    let running = Site::forwarding(&[web.address], json!({})).start().await;
    let (mut busy, mut idle) = (running.client().await, running.client().await);
    assert_eq!(idle.fetch("/").await.field("connection"), None);
    busy.send(get("/held")).await;
    until("the request arrives", || async { web.count() == 2 }).await;

    let drain = running.proxy.drain(LONG);
    let clients = async {
        assert_eq!(idle.rest().await, b"", "a connection at rest ends at once");
        let refused = async { while TcpStream::connect(running.to).await.is_ok() {} };
        soon("the listener's end", refused).await;
        told.notify_one();
        let answer = busy.answer().await.unwrap();
        assert_eq!(answer.said(), (200, "/held".to_owned()));
        assert_eq!(answer.field("connection"), Some("close"));
        assert_eq!(busy.rest().await, b"");
    };
    let (cut, ()) = soon("the drain", async { tokio::join!(drain, clients) }).await;

    assert_eq!(cut, 0);
    assert_eq!(soon("the end", running.proxy.ended()).await, Ok(()));
}

#[actix::test]
async fn connections_at_rest_hold_no_drain_up() {
    let web = Web::named("here").await;
    let running = Site::forwarding(&[web.address], json!({})).start().await;
    let mut clients = Vec::new();
    for at in 0..20 {
        let mut client = running.client().await;
        // Half of them have said nothing yet.
        if at % 2 == 0 {
            client.fetch("/").await;
        }
        clients.push(client);
    }
    until("all are accepted", || async {
        running.app().await.totals.connections_active == 20
    })
    .await;

    let cut = soon("the drain", running.proxy.drain(LONG)).await;

    assert_eq!(cut, 0);
    for client in &mut clients {
        assert_eq!(client.rest().await, b"");
    }
}

#[actix::test]
async fn a_body_under_way_is_delivered_whole() {
    let told = Rc::new(Notify::new());
    let waiting = told.clone();
    let web = Web::scripted(move |mut peer| {
        let told = waiting.clone();
        async move {
            let _ = peer.request().await;
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
                .await;
            told.notified().await;
            peer.send("half").await;
        }
    })
    .await;
    let running = Site::forwarding(&[web.address], json!({})).start().await;
    let mut client = running.client().await;
    client.send(get("/")).await;
    // The head is on its way before anyone says goodbye.
    soon("the head", client.stream.readable()).await.unwrap();

    let drain = running.proxy.drain(LONG);
    let rest = async {
        let refused = async { while TcpStream::connect(running.to).await.is_ok() {} };
        soon("the listener's end", refused).await;
        told.notify_one();
        assert_eq!(client.answer().await.unwrap().text(), "halfhalf");
        assert_eq!(client.rest().await, b"");
    };
    let (cut, ()) = soon("the drain", async { tokio::join!(drain, rest) }).await;

    assert_eq!(cut, 0);
}

#[actix::test]
async fn a_request_that_outlasts_the_deadline_is_cut_and_counted() {
    let web = holding(&Rc::default()).await;
    let running = Site::forwarding(&[web.address], json!({})).start().await;
    let mut client = running.client().await;
    client.send(get("/held")).await;
    until("the request arrives", || async { web.count() == 1 }).await;

    let cut = soon(
        "the deadline",
        running.proxy.drain(Duration::from_millis(50)),
    )
    .await;

    assert_eq!(cut, 1);
    assert!(client.answer().await.is_err());
}

#[actix::test]
async fn a_connection_that_was_never_served_is_answered_before_it_goes() {
    let web = Web::named("here").await;
    let running = Site::forwarding(&[web.address], json!({})).start().await;
    let mut fresh = running.client().await;
    until("it is accepted", || async {
        running.app().await.totals.connections_active == 1
    })
    .await;

    let drain = running.proxy.drain(LONG);
    let request = async {
        let refused = async { while TcpStream::connect(running.to).await.is_ok() {} };
        soon("the listener's end", refused).await;
        let answer = fresh.fetch("/").await;
        assert_eq!(answer.said(), (200, "here".to_owned()));
        assert_eq!(answer.field("connection"), Some("close"));
        assert_eq!(fresh.rest().await, b"");
    };
    let (cut, ()) = soon("the drain", async { tokio::join!(drain, request) }).await;

    assert_eq!(cut, 0);
}
