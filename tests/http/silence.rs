//! Peers that say nothing, take nothing, or wait for a word: each wait has an end.

use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::site::{Running, Site};
use crate::support::{soon, until};
use crate::talk::{Peer, Web, get, reply};

/// A site whose peers may be silent only for so short.
async fn impatient(web: &Web, settings: Value) -> Running {
    let settings = json!({ "Http1": settings });
    let site = Site::forwarding(&[web.address], json!({})).settings(settings);
    site.start().await
}

/// Says this to each request, and then nothing more.
async fn falls_silent(says: &'static str) -> Web {
    Web::scripted(move |mut peer| async move {
        let _ = peer.request().await;
        peer.send(says).await;
        pending().await
    })
    .await
}

async fn expect_bytes(peer: &mut Peer, expected: &str) {
    let mut bytes = vec![0; expected.len()];
    let read = soon("bytes", peer.stream.read_exact(&mut bytes)).await;
    assert!(read.is_ok(), "the end instead of {expected:?}");
    assert_eq!(String::from_utf8_lossy(&bytes), expected);
}

#[actix::test]
async fn an_upstream_that_falls_silent_in_its_response_is_given_up() {
    for (request, says) in [
        ("1.1", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"),
        (
            "1.1",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        ),
        ("1.1", "HTTP/1.1 200 OK\r\n\r\nhalf"),
        ("1.0", "HTTP/1.1 200 OK\r\n\r\nhalf"),
    ] {
        let web = falls_silent(says).await;
        let running = impatient(&web, json!({ "upstream_silence_timeout": "500ms" })).await;
        let mut client = running.client().await;

        client
            .send(format!("GET / HTTP/{request}\r\nHost: a\r\n\r\n"))
            .await;
        let answer = client.answer().await;

        assert!(answer.is_err(), "{request} {says:?} became {answer:?}");
        running.rests().await;
        running.lets_go().await;
    }
}

#[actix::test]
async fn an_upstream_that_takes_nothing_of_a_body_is_given_up() {
    let web = Web::scripted(|peer| async move {
        let _open = peer;
        pending().await
    })
    .await;
    let running = impatient(&web, json!({ "upstream_silence_timeout": "500ms" })).await;
    let (mut client, mut writing) = running.client().await.halves();

    let sending = async {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n";
        let _ = writing.write_all(head.as_bytes()).await;
        while writing.write_all(&[b'x'; 64 * 1024]).await.is_ok() {}
    };
    let answer = tokio::select! {
        answer = client.answer() => answer.unwrap(),
        () = sending => panic!("the connection was reset before it was answered"),
    };

    assert_eq!(
        (answer.status(), answer.field("connection")),
        (504, Some("close"))
    );
    running.lets_go().await;
}

#[actix::test]
async fn an_upstream_that_speaks_now_and_then_is_not_silent() {
    let web = Web::scripted(|mut peer| async move {
        let _ = peer.request().await;
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
            .await;
        for byte in ["a", "b", "c", "d", "e"] {
            tokio::time::sleep(Duration::from_millis(700)).await;
            peer.send(byte).await;
        }
    })
    .await;
    let running = impatient(&web, json!({ "upstream_silence_timeout": "3s" })).await;

    let answer = running.ask(get("/")).await;

    assert_eq!(answer.said(), (200, "abcde".to_owned()));
}

/// A client sends nothing of its body until it is asked to, however long that takes.
const STRICT: &str =
    "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";

#[actix::test]
async fn a_client_that_expects_a_100_gets_it_though_its_upstream_says_none() {
    let web = Web::named("here").await;
    let running = impatient(&web, json!({ "continue_timeout": "50ms" })).await;
    let mut client = running.client().await;

    client.send(STRICT).await;
    expect_bytes(&mut client, "HTTP/1.1 100 Continue\r\n\r\n").await;
    let answer = client.ask("abc").await;

    assert_eq!(answer.said(), (200, "here".to_owned()));
    let heard = web.heard().pop().unwrap();
    assert_eq!(heard.text(), "abc");
    assert_eq!(heard.field("expect"), Some("100-continue"));
    assert_eq!(client.fetch("/").await.status(), 200);
}

#[actix::test]
async fn a_client_gets_one_100_however_many_there_are() {
    let told = Rc::new(Notify::new());
    let waiting = told.clone();
    let web = Web::scripted(move |mut peer| {
        let told = waiting.clone();
        async move {
            let _ = peer.head().await;
            told.notified().await;
            peer.send("HTTP/1.1 100 Continue\r\n\r\n").await;
            let mut body = [0; 3];
            let _ = peer.stream.read_exact(&mut body).await;
            peer.send(reply(200, "", "here")).await;
            pending().await
        }
    })
    .await;
    let running = impatient(&web, json!({ "continue_timeout": "50ms" })).await;
    let mut client = running.client().await;

    client.send(STRICT).await;
    expect_bytes(&mut client, "HTTP/1.1 100 Continue\r\n\r\n").await;
    told.notify_one();
    client.send("abc").await;

    expect_bytes(&mut client, &reply(200, "", "here")).await;
}

#[actix::test]
async fn a_100_is_the_upstream_s_for_as_long_as_is_configured() {
    let web = Web::scripted(|mut peer| async move {
        let _ = peer.head().await;
        pending().await
    })
    .await;
    let running = impatient(&web, json!({ "continue_timeout": "0s" })).await;
    let mut client = running.client().await;
    client.send(STRICT).await;
    until("the request arrives", || async { web.count() == 1 }).await;

    let word = timeout(Duration::from_millis(1500), client.stream.readable()).await;

    assert!(word.is_err(), "the client was told something");
}

#[actix::test]
async fn a_client_that_was_asked_for_its_body_must_send_it() {
    let web = Web::scripted(|mut peer| async move {
        let _ = peer.head().await;
        pending().await
    })
    .await;
    let settings = json!({ "continue_timeout": "10ms", "body_min_rate": 1000 });
    let running = impatient(&web, settings).await;
    let mut client = running.client().await;
    client.send(STRICT).await;

    // The grace is 10 s; `rest` waits 20.
    let said = client.rest().await;

    let said = String::from_utf8(said).unwrap();
    assert!(said.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 408 "));
}

#[actix::test]
async fn whoever_takes_nothing_of_an_answer_is_cut() {
    const LENGTH: usize = 64 << 20;
    let web = Web::scripted(|mut peer| async move {
        let _ = peer.request().await;
        peer.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n"
        ))
        .await;
        peer.send(vec![b'x'; LENGTH]).await;
    })
    .await;
    let running = impatient(&web, json!({})).await;
    let mut client = running.client().await;

    client.send(get("/")).await;

    // Before that it may not have been accepted yet.
    soon("the head", client.stream.readable()).await.unwrap();
    // The client's end is open all the time: it is not its leaving that ends the request.
    let cut = async {
        while running.app().await.totals.connections_active > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let cut = timeout(Duration::from_secs(80), cut).await;
    assert!(cut.is_ok(), "it was not cut");
    running.lets_go().await;
    assert_eq!(running.app().await.requests.request_reset, 1);
    drop(client);
}

#[actix::test]
async fn an_upstream_is_not_to_blame_that_waits_for_a_body_which_hardly_comes() {
    let web = Web::scripted(|mut peer| async move {
        let _ = peer.head().await;
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            .await;
        peer.rest().await;
    })
    .await;
    let settings = json!({ "upstream_silence_timeout": "2s", "body_min_rate": 1000 });
    let running = impatient(&web, settings).await;
    let (mut client, mut writing) = running.client().await.halves();

    // A byte now and then: no silence, but no upload either.
    let dribbling = async {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n";
        let mut sent = writing.write_all(head.as_bytes()).await;
        while sent.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
            sent = writing.write_all(b"x").await;
        }
    };
    // The grace is 10 s; `answer` waits 20.
    let (answer, ()) = tokio::join!(client.answer(), dribbling);

    assert!(answer.is_err(), "{answer:?}");
    running.lets_go().await;
    // It is the client that ended it.
    assert_eq!(running.app().await.requests.request_reset, 1);
}

#[actix::test]
async fn a_client_that_is_gone_ends_the_response_that_it_waits_for() {
    let web = falls_silent("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").await;
    let running = impatient(&web, json!({})).await;
    let mut client = running.client().await;
    client.send(get("/")).await;
    soon("the head", client.stream.readable()).await.unwrap();

    client.stream.set_zero_linger().unwrap();
    drop(client);

    running.lets_go().await;
    running.rests().await;
}
