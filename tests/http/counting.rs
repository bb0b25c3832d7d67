//! What a snapshot says after a known load.

use banyan::ListenerView;
use serde_json::json;

use crate::counts::upstream_count;
use crate::site::{Running, Site, cluster, says, to};
use crate::support::{refusing, until};
use crate::talk::{Web, get, post, reply};

#[actix::test]
async fn requests_are_counted_by_status_and_by_host() {
    let named = |name: &'static str| {
        Web::answering(move |request| match request.target() {
            "/302" => reply(302, "", name),
            "/418" => reply(418, "", name),
            _ => reply(200, "", name),
        })
    };
    let (one, two) = (named("one").await, named("two").await);
    let bad = json!({ "match": { "prefix": "/bad" }, "route": { "cluster_name": "bad" } });
    let site = Site::routes(json!([says(json!({ "prefix": "/own" }), "own"), bad,
            { "match": { "prefix": "/empty" }, "route": { "cluster_name": "empty" } },
            { "match": { "prefix": "/gone" }, "direct_response": { "status": 404 } },
            to("main", json!({}))]))
    .cluster("bad", &[refusing().await])
    .cluster("empty", &[])
    .cluster("main", &[one.address, two.address]);
    let running = site.start().await;
    for (count, request) in [
        (30, get("/")),
        (10, post("/", "12345")),
        (6, get("/302")),
        (4, get("/418")),
        (5, get("/own")),
        (3, get("/gone")),
        (2, get("/bad")),
        (7, get("/empty")),
    ] {
        let (mut client, mut other) = (running.client().await, running.client().await);
        for at in 0..count {
            match at % 2 {
                0 => client.ask(&request).await,
                _ => other.ask(&request).await,
            };
        }
    }
    running.rests().await;

    let requests = running.app().await.requests;
    let by_status = [200, 302, 404, 502, 418].map(|status| requests.statuses.of(status));
    assert_eq!(by_status, [45, 6, 3, 9, 4]);
    assert_eq!((requests.request_total, requests.request_active), (67, 0));
    assert_eq!((requests.request_reset, requests.request_failed), (0, 7));
    assert!(requests.request_time_total >= requests.process_time_total);
    let overview = running.proxy.snapshot().await.unwrap();
    let [bad, _, main] = &overview.clusters[..] else {
        panic!("there are three clusters");
    };
    for (host, web) in main.hosts.iter().zip([&one, &two]) {
        assert_eq!(host.requests_total, web.count() as u64);
        assert_eq!(host.connections_total, web.visits());
        assert_eq!((host.requests_active, host.connections_failed), (0, 0));
    }
    assert_eq!(one.count() + two.count(), 50);
    assert_eq!(
        bad.hosts[0].connections_failed,
        bad.hosts[0].connections_total
    );
    assert_eq!(
        (
            bad.hosts[0].connections_active,
            bad.hosts[0].requests_active
        ),
        (0, 0)
    );
}

/// Three connections of five requests each; what the listener counted, and the bytes that clients
/// sent and had back.
async fn counted(body: &str) -> (ListenerView, u64, u64) {
    let text = body.to_owned();
    let web = Web::answering(move |_| reply(200, "", &text)).await;
    let running = Site::forwarding(&[web.address], json!({})).start().await;
    let last = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let requests = get("/").repeat(4) + last;
    let mut answered = 0;
    for _ in 0..3 {
        let mut client = running.client().await;
        client.send(&requests).await;
        answered += client.rest().await.len() as u64;
    }
    running.rests().await;
    (running.app().await, 3 * requests.len() as u64, answered)
}

#[actix::test]
async fn connections_and_bytes_of_clients_are_counted() {
    let (app, sent, answered) = counted("").await;
    let totals = app.totals;
    assert_eq!(
        (totals.connections_total, totals.connections_active),
        (3, 0)
    );
    assert_eq!((totals.bytes_received, totals.bytes_sent), (sent, answered));
    assert_eq!(app.requests.request_total, 15);
}

#[actix::test]
async fn bodies_are_counted_among_the_bytes_that_were_sent() {
    let (app, _, answered) = counted("hello").await;
    assert_eq!(app.totals.bytes_sent, answered);
}

#[actix::test]
async fn refused_requests_are_counted_too() {
    let running = Site::routes(json!([])).start().await;
    assert_eq!(running.ask(get("/")).await.status(), 404);
    let wrong = "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n";
    assert_eq!(running.ask(wrong).await.status(), 400);
    running.rests().await;

    let requests = running.app().await.requests;
    assert_eq!(
        (requests.statuses.of(404), requests.statuses.of(400)),
        (1, 1)
    );
    assert_eq!(requests.request_total, 2);
}

/// A count of the cluster `main`, or of its only host.
fn counted_of(running: &Running, labels: usize, key: &str) -> u64 {
    upstream_count(&running.proxy, "main", labels, key)
}

#[actix::test]
async fn a_host_that_lets_no_request_follow_has_said_goodbye() {
    let web = Web::answering(|request| match request.target() {
        "/last" => reply(200, "Connection: close\r\n", ""),
        _ => reply(200, "", ""),
    })
    .await;
    let running = Site::forwarding(&[web.address], json!({})).start().await;
    let mut client = running.client().await;

    for target in ["/", "/last", "/", "/last", "/"] {
        assert_eq!(client.ask(get(target)).await.status(), 200);
    }

    let key = "connection_close_notify";
    let counted = (counted_of(&running, 1, key), counted_of(&running, 2, key));
    assert_eq!((counted, web.visits()), ((2, 2), 3));
}

#[actix::test]
async fn each_upstream_connection_ends_in_one_way() {
    let web = Web::scripted(|mut peer| async move {
        while let Ok(request) = peer.request().await {
            match request.target() {
                "/cut" => return,
                "/last" => return peer.send(reply(200, "", "")).await,
                _ => peer.send(reply(200, "", "")).await,
            }
        }
    })
    .await;
    let site = Site::routes(json!([to("main", json!({}))]));
    let mut main = cluster("main", &[web.address]);
    main["idle_timeout"] = json!("1ms");
    let running = site.with_cluster(main).start().await;
    let closed = |key| (counted_of(&running, 1, key), counted_of(&running, 2, key));
    let ends = async |key: &'static str, count| {
        until(key, async || closed(key) == (count, count)).await;
    };

    // It is idle too long.
    assert_eq!(running.ask(get("/")).await.status(), 200);
    ends("connection_local_close", 1).await;
    // The host closes it in the middle of a request, which may not be sent twice.
    assert_eq!(running.ask(post("/cut", "a")).await.status(), 502);
    ends("connection_remote_close_with_active_request", 1).await;
    assert_eq!(closed("connection_remote_close"), (1, 1));
    assert_eq!(closed("connection_local_close"), (1, 1));
    assert_eq!(closed("connection_local_close_with_active_request"), (0, 0));
    assert_eq!(closed("connection_close"), (2, 2));
}
