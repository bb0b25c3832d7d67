//! Answers before the request has ended, and ends before the response has.

use std::rc::Rc;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;

use crate::site::Site;
use crate::support::soon;
use crate::talk::{Cut, Message, Peer, Web, get, post, reply};

const UPLOAD: usize = 10 << 20;

/// Uploads without a look at the answer, as many clients do, and then reads it.
async fn upload(mut client: Peer, head: &str) -> Result<Message, Cut> {
    client.send(head).await;
    let block = vec![b'x'; 64 * 1024];
    let sending = async {
        for _ in 0..UPLOAD / block.len() {
            client.stream.write_all(&block).await?;
        }
        client.stream.shutdown().await
    };
    // A reset would lose the answer: `write_all` would fail, and the reading after it.
    soon("the upload", sending).await.unwrap();
    client.answer().await
}

fn long(method: &str) -> String {
    format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: {UPLOAD}\r\n\r\n")
}

#[actix::test]
async fn a_body_that_is_too_long_is_refused_and_the_client_hears_it() {
    let web = Web::named("here").await;
    let settings = json!({ "Http1": { "max_request_body_size": 1000 } });
    let running = Site::forwarding(&[web.address], json!({}))
        .settings(settings)
        .start()
        .await;

    let answer = upload(running.client().await, &long("POST")).await.unwrap();

    assert_eq!(
        (answer.status(), answer.field("connection")),
        (413, Some("close"))
    );
    assert_eq!(web.visits(), 0);
    running.rests().await;
}

#[actix::test]
async fn a_413_of_the_upstream_reaches_a_client_that_still_uploads() {
    let web = Web::scripted(|mut peer| async move {
        if peer.head().await.is_ok() {
            peer.send(reply(413, "Connection: close\r\n", "enough"))
                .await;
            // It goes on reading for a while: a server that does not resets its own answer.
            let _ = peer.stream.shutdown().await;
            peer.rest().await;
        }
    })
    .await;
    let running = Site::forwarding(&[web.address], json!({})).start().await;

    let answer = upload(running.client().await, &long("PUT")).await.unwrap();

    assert_eq!(answer.said(), (413, "enough".to_owned()));
    running.rests().await;
    running.lets_go().await;
}

#[actix::test]
async fn a_client_that_ended_its_side_is_answered() {
    let web = Web::named("here").await;
    let running = Site::forwarding(&[web.address], json!({})).start().await;
    for request in [get("/"), post("/", "order"), get("/") + &post("/", "two")] {
        let mut client = running.client().await;
        client.send(&request).await;
        client.stream.shutdown().await.unwrap();

        for _ in 0..request.matches("HTTP/1.1").count() {
            assert_eq!(
                client.answer().await.unwrap().said(),
                (200, "here".to_owned())
            );
        }
        assert_eq!(client.rest().await, b"");
    }
    running.rests().await;
}

#[actix::test]
async fn half_a_response_never_passes_for_a_whole_one() {
    for (request, response) in [
        (
            "GET / HTTP/1.1",
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        ),
        (
            "GET / HTTP/1.1",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        ),
        (
            "GET / HTTP/1.1",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
        ),
        (
            "GET / HTTP/1.1",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
        ),
        (
            "GET / HTTP/1.0",
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        ),
        (
            "GET / HTTP/1.0",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        ),
    ] {
        let web = Web::scripted(move |mut peer| async move {
            let _ = peer.request().await;
            peer.send(response).await;
        })
        .await;
        let retry = json!({ "retry_policy": { "retry_on": true } });
        let running = Site::forwarding(&[web.address], retry).start().await;
        let mut client = running.client().await;

        client.send(format!("{request}\r\nHost: a\r\n\r\n")).await;
        let answer = client.answer().await;

        assert!(answer.is_err(), "{request}: {response:?} became {answer:?}");
        assert_eq!(web.count(), 1);
        running.rests().await;
        running.lets_go().await;
    }
}

#[actix::test]
async fn a_reset_in_a_body_without_length_never_passes_for_its_end() {
    for version in ["1.0", "1.1"] {
        let told = Rc::new(Notify::new());
        let waiting = told.clone();
        let web = Web::scripted(move |mut peer| {
            let told = waiting.clone();
            async move {
                let _ = peer.request().await;
                peer.send("HTTP/1.1 200 OK\r\n\r\nhalf").await;
                told.notified().await;
                peer.stream.set_zero_linger().unwrap();
            }
        })
        .await;
        let running = Site::forwarding(&[web.address], json!({})).start().await;
        let mut client = running.client().await;
        client
            .send(format!("GET / HTTP/{version}\r\nHost: a\r\n\r\n"))
            .await;
        // A reset may overtake the half that nobody has read yet.
        soon("the half", client.stream.readable()).await.unwrap();
        told.notify_one();

        let answer = client.answer().await;

        assert!(answer.is_err(), "HTTP/{version}: {answer:?}");
    }
}

#[actix::test]
async fn an_upstream_that_closes_before_it_answers_is_a_502() {
    for response in [
        "",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n",
        "no HTTP\r\n\r\n",
    ] {
        let web = Web::scripted(move |mut peer| async move {
            let _ = peer.request().await;
            peer.send(response).await;
        })
        .await;
        let running = Site::forwarding(&[web.address], json!({})).start().await;

        let answer = running.ask(get("/")).await;

        assert_eq!(answer.status(), 502, "{response:?}");
        running.lets_go().await;
    }
}
