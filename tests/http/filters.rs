//! Stream filters of a listener, their settings for a route, and mirrors.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use banyan::Proxy;
use banyan::filter::{Phase, Registry, RequestView, ResponseView, StreamFilter, Verdict};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::site::{Running, Site, to};
use crate::support::until;
use crate::talk::{Web, get, post, reply};

/// One route to `web`, with these stream filters.
fn filtered(web: &Web, filters: Value) -> Site {
    Site::forwarding(&[web.address], json!({})).listener("stream_filters", filters)
}

/// The same, and before it a route of `/own` with filter settings of its own.
fn overridden(web: &Web, filters: Value, own: Value) -> Site {
    let route = json!({ "match": { "prefix": "/own" }, "route": { "cluster_name": "main" },
        "per_filter_config": own });
    Site::routes(json!([route, to("main", json!({}))]))
        .cluster("main", &[web.address])
        .listener("stream_filters", filters)
}

async fn statuses(running: &Running, requests: &[(String, u16)]) {
    let mut client = running.client().await;
    for (request, expected) in requests {
        assert_eq!(client.ask(request).await.status(), *expected, "{request}");
    }
}

#[actix::test]
async fn a_fault_aborts_requests_that_match() {
    let web = Web::named("here").await;
    let fault = json!({ "abort": { "status": 418, "percentage": 100 },
        "headers": [{ "name": "x-user", "value": "ann" }] });
    let own = json!({ "fault": { "abort": { "status": 599, "percentage": 100 } } });
    let filters = json!([{ "type": "fault", "config": fault }]);
    let running = overridden(&web, filters, own).start().await;

    let ann = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-User: ann\r\n\r\n");
    statuses(
        &running,
        &[
            (get("/"), 200),
            (ann("/"), 418),
            (get("/own"), 599),
            (ann("/own"), 599),
            (get("/"), 200),
        ],
    )
    .await;

    assert_eq!(web.count(), 2);
}

#[actix::test]
async fn a_client_that_leaves_during_a_delay_ends_its_request() {
    let web = Web::named("here").await;
    let own = json!({ "fault": { "delay": { "fixed_delay": "600s", "percentage": 100 } } });
    let filters = json!([{ "type": "fault", "config": {} }]);
    let running = overridden(&web, filters, own).start().await;
    let mut client = running.client().await;
    client.fetch("/").await;
    client.send(get("/own")).await;
    until("the request is delayed", || async {
        running.app().await.requests.request_active == 1
    })
    .await;

    client.stream.set_zero_linger().unwrap();
    drop(client);

    running.rests().await;
    assert_eq!(running.app().await.requests.request_reset, 1);
    assert_eq!(web.count(), 1);
}

#[actix::test]
async fn a_fault_delays_and_then_forwards() {
    const DELAY: Duration = Duration::from_millis(60);
    let web = Web::named("here").await;
    let fault = json!({ "delay": { "fixed_delay": "60ms", "percentage": 100 } });
    let filters = json!([{ "type": "fault", "config": fault }]);
    let running = filtered(&web, filters).start().await;
    let begun = Instant::now();

    assert_eq!(running.ask(get("/")).await.said(), (200, "here".to_owned()));

    // A timer is late at times and early never.
    assert!(begun.elapsed() >= DELAY);
}

#[actix::test]
async fn a_body_that_says_to_be_too_long_is_refused_before_it_is_forwarded() {
    let web = Web::named("here").await;
    let limit = json!({ "max_entity_size ": 5 });
    let own = json!({ "payload_limit": { "max_entity_size ": 7, "http_status": 400 } });
    let filters = json!([{ "type": "payload_limit", "config": limit }]);
    let running = overridden(&web, filters, own).start().await;
    for (path, body, expected) in [
        ("/", "12345", 200),
        ("/", "123456", 413),
        ("/own", "1234567", 200),
        ("/own", "12345678", 400),
    ] {
        assert_eq!(
            running.ask(post(path, body)).await.status(),
            expected,
            "{path} {body}"
        );
    }
    assert_eq!(web.count(), 2);
}

#[actix::test]
async fn a_chunked_body_is_refused_when_it_becomes_too_long() {
    let web = Web::named("here").await;
    let limit = json!({ "max_entity_size ": 5 });
    let filters = json!([{ "type": "payload_limit", "config": limit }]);
    let running = filtered(&web, filters).start().await;
    let chunked = |chunks: &str| {
        format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}")
    };
    let short = chunked("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    assert_eq!(running.ask(short).await.status(), 200);

    let mut client = running.client().await;
    client.send(chunked("3\r\nabc\r\n")).await;
    client.send("3\r\ndef\r\n").await;
    let answer = client.answer().await.unwrap();

    assert_eq!(
        (answer.status(), answer.field("connection")),
        (413, Some("close"))
    );
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.rest().await, b"");
    running.rests().await;
    assert_eq!(web.count(), 1, "the upstream never had all of it");
}

#[actix::test]
async fn addresses_decide_who_may_in() {
    let web = Web::named("here").await;
    let access = json!({ "default_action": "deny", "header": "X-Real-IP",
        "ips": [{ "action": "deny", "addrs": ["10.0.0.1"] },
            { "action": "allow", "addrs": ["10.0.0.0/8", "127.0.0.1"] }] });
    let filters = json!([{ "type": "ip_access", "config": access }]);
    let running = filtered(&web, filters).start().await;
    let of = |ip: &str| format!("GET / HTTP/1.1\r\nHost: a\r\nX-Real-IP: {ip}\r\n\r\n");

    statuses(
        &running,
        &[
            (get("/"), 200),
            (of("10.0.0.1"), 403),
            (of("10.0.0.2"), 200),
            (of("192.0.2.1"), 403),
            (of("nobody"), 403),
        ],
    )
    .await;

    assert_eq!(web.count(), 2);
}

/// Stamps requests and responses with its configuration, or that of the route.
#[derive(Debug)]
struct Stamp(String);

impl StreamFilter for Stamp {
    fn phases(&self) -> &[Phase] {
        &[Phase::AfterRoute, Phase::BeforeSend]
    }

    fn on_request(&self, _: Phase, request: &mut RequestView<'_>) -> Verdict {
        let own = request.route.and_then(|route| route.custom("stamp"));
        let stamp = own.unwrap_or(&self.0).as_bytes().to_vec();
        request.fields.set("x-stamp", &stamp);
        Verdict::Continue
    }

    fn on_response(&self, response: &mut ResponseView<'_>) {
        response.fields.set("x-stamped", self.0.as_bytes());
        response.fields.remove("x-secret");
    }
}

#[actix::test]
async fn a_filter_of_the_embedder_s_own_changes_heads() {
    let web = Web::answering(|_| reply(200, "X-Secret: 1\r\n", "")).await;
    let own = json!({ "stamp": { "ink": "red" } });
    let filters = json!([{ "type": "stamp", "config": { "ink": "blue" } }]);
    let registry = Registry::default().with("stamp", |configuration| match configuration {
        "" | "{}" => Err("it has no ink".to_owned()),
        text => Ok(Stamp(text.to_owned())),
    });
    let proxy = Proxy::default().stream_filters(registry);
    let running = overridden(&web, filters, own).start_as(proxy).await;
    for (path, expected) in [("/", r#"{"ink":"blue"}"#), ("/own", r#"{"ink":"red"}"#)] {
        let answer = running.ask(get(path)).await;

        assert_eq!(web.heard().pop().unwrap().field("x-stamp"), Some(expected));
        assert_eq!(answer.field("x-stamped"), Some(r#"{"ink":"blue"}"#));
        assert_eq!(answer.field("x-secret"), None);
    }
}

#[actix::test]
async fn filters_are_asked_in_their_order_until_one_answers() {
    let web = Web::named("here").await;
    let filters = json!([
        { "type": "fault", "config": { "abort": { "status": 501, "percentage": 0 } } },
        { "type": "fault", "config": { "abort": { "status": 502, "percentage": 100 } } },
        { "type": "fault", "config": { "abort": { "status": 503, "percentage": 100 } } },
    ]);
    let running = filtered(&web, filters).start().await;

    assert_eq!(running.ask(get("/")).await.status(), 502);
}

#[actix::test]
async fn a_mirror_gets_a_copy_and_the_client_the_main_answer() {
    let main = Web::named("main").await;
    let shadow = Web::answering(|_| reply(500, "", "shadow")).await;
    let mut route = to("main", json!({ "prefix_rewrite": "/new/" }));
    route["request_mirror_policies"] = json!({ "cluster": "shadow", "percent": 100 });
    let site = Site::routes(json!([route]))
        .cluster("main", &[main.address])
        .cluster("shadow", &[shadow.address]);
    let running = site.start().await;
    let mut client = running.client().await;

    for at in 0..5 {
        let request = post(&format!("/{at}"), &format!("body {at}"));
        assert_eq!(client.ask(request).await.said(), (200, "main".to_owned()));
    }

    until("every copy arrives", || async { shadow.count() == 5 }).await;
    let told = |web: &Web| {
        let heard = web.heard().into_iter();
        let mut told: Vec<_> = heard
            .map(|heard| (heard.target().to_owned(), heard.text(), heard.fields))
            .collect();
        told.sort();
        told
    };
    assert_eq!(told(&shadow), told(&main));
    assert_eq!(told(&main)[3].1, "body 3");
    running.rests_but_clients().await;
}

#[actix::test]
async fn a_mirror_gets_bodies_that_come_behind_their_heads() {
    let (main, shadow) = (Web::named("main").await, Web::named("shadow").await);
    let mut route = to("main", json!({}));
    route["request_mirror_policies"] = json!({ "cluster": "shadow", "percent": 100 });
    let site = Site::routes(json!([route]))
        .cluster("main", &[main.address])
        .cluster("shadow", &[shadow.address]);
    let running = site.start().await;
    let mut client = running.client().await;

    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
        .await;
    until("the request is on its way", || async { main.visits() == 1 }).await;
    assert_eq!(client.ask("hello").await.said(), (200, "main".to_owned()));

    until("the copy arrives", || async { shadow.count() == 1 }).await;
    assert_eq!(shadow.heard()[0].text(), "hello");
}

#[actix::test]
async fn a_mirror_gets_chunks_as_they_were_understood() {
    let main = Web::named("main").await;
    let copy = Rc::new(RefCell::new(Vec::new()));
    let body = copy.clone();
    let shadow = Web::scripted(move |mut peer| {
        let body = body.clone();
        async move {
            peer.head().await.unwrap();
            // Ends the connection, and with it what is read.
            peer.send("noise\r\n\r\n").await;
            *body.borrow_mut() = peer.rest().await;
        }
    })
    .await;
    let mut route = to("main", json!({}));
    route["request_mirror_policies"] = json!({ "cluster": "shadow", "percent": 100 });
    let site = Site::routes(json!([route]))
        .cluster("main", &[main.address])
        .cluster("shadow", &[shadow.address]);
    let running = site.start().await;

    let fields = "Host: a\r\nConnection: x-a\r\nTransfer-Encoding: chunked\r\n";
    let body = "03;x=\"y\"\r\nabc\r\n0\r\nX-A: 1\r\nHost: b\r\nX-T: 1\r\n\r\n";
    let request = format!("POST / HTTP/1.1\r\n{fields}\r\n{body}");
    assert_eq!(running.ask(request).await.status(), 200);
    let whole = b"3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n";
    until("the copy is whole", || async { *copy.borrow() == whole }).await;
}

#[actix::test]
async fn a_mirror_that_refuses_is_nobody_s_trouble() {
    let main = Web::named("main").await;
    let mut route = to("main", json!({}));
    route["request_mirror_policies"] = json!({ "cluster": "shadow", "percent": 100 });
    let site = Site::routes(json!([route]))
        .cluster("main", &[main.address])
        .cluster("shadow", &[crate::support::refusing().await]);
    let running = site.start().await;
    let mut client = running.client().await;

    for _ in 0..5 {
        assert_eq!(client.fetch("/").await.said(), (200, "main".to_owned()));
    }
    running.rests_but_clients().await;
}

#[actix::test]
async fn a_body_that_is_too_long_to_keep_is_not_copied_and_that_is_counted() {
    let (web, shadow) = (Web::named("here").await, Web::named("shadow").await);
    let mut route = to("main", json!({}));
    route["request_mirror_policies"] = json!({ "cluster": "shadow", "percent": 100 });
    let running = Site::routes(json!([route]))
        .cluster("main", &[web.address])
        .cluster("shadow", &[shadow.address])
        .settings(json!({ "Http1": { "kept_body_size": 10 } }))
        .start()
        .await;
    let mut client = running.client().await;

    // What comes along with a head is kept as it is: this one does not fit there.
    let long = "a".repeat(500_000);
    for body in ["", "0123456789", &long] {
        assert_eq!(client.ask(post("/", body)).await.status(), 200);
    }

    until("the short ones are copied", || async {
        shadow.count() == 2
    })
    .await;
    let bodies: Vec<_> = shadow.heard().iter().map(|copy| copy.text()).collect();
    assert!(bodies.contains(&"0123456789".to_owned()), "{bodies:?}");
    until("the long one is counted", || async {
        running.app().await.requests.request_mirror_dropped == 1
    })
    .await;
}
