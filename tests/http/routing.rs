//! Which route takes a request, and which cluster.

use serde_json::json;

use crate::site::{Site, says};
use crate::talk::{Web, get};

#[actix::test]
async fn the_host_and_its_port_choose_the_virtual_host() {
    let host = |name: &str, domains: &[&str]| json!({ "name": name, "domains": domains, "routers": [says(json!({ "prefix": "/" }), name)] });
    let site = Site::hosts(json!([
        host("plain", &["a.example"]),
        host("port", &["a.example:8080"]),
        host("any port", &["c.example:*"]),
        host("suffix", &["*.example"]),
        host("longer suffix", &["*.b.example"]),
        host("default", &["*"]),
    ]));
    let running = site.start().await;
    let mut client = running.client().await;
    for (host, expected) in [
        ("a.example", "plain"),
        ("A.Example", "plain"),
        ("a.example:8080", "port"),
        ("a.example:81", "default"),
        ("c.example", "any port"),
        ("c.example:81", "any port"),
        ("d.example", "suffix"),
        ("d.b.example", "longer suffix"),
        ("example", "default"),
        ("10.0.0.1", "default"),
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(client.ask(request).await.text(), expected, "{host}");
    }
}

#[actix::test]
async fn the_first_route_that_matches_answers() {
    let field = |name: &str, value: &str, regex: bool| json!([{ "name": name, "value": value, "regex": regex }]);
    let site = Site::routes(json!([
        says(json!({ "path": "/exact" }), "path"),
        says(
            json!({ "prefix": "/h", "headers": field("X-User", "ann", false) }),
            "ann"
        ),
        says(
            json!({ "prefix": "/h", "headers": field("x-user", "^b.b$", true) }),
            "b?b"
        ),
        says(
            json!({ "prefix": "/h", "headers": field("method", "PUT", false) }),
            "put"
        ),
        says(json!({ "prefix": "/h" }), "anyone"),
        says(json!({ "prefix": "/h/never" }), "never"),
        says(json!({ "regex": "^/r/[0-9]+$" }), "regex"),
        says(
            json!({ "variables": [{ "name": "Http1_cookie_user", "value": "cy", "model": "or" },
            { "name": "Http1_request_arg_n", "regex": "^7" }] }),
            "variables"
        ),
    ]));
    let running = site.start().await;
    let mut client = running.client().await;
    for (method, path, field, expected) in [
        ("GET", "/exact", "", "path"),
        ("GET", "/EXACT?x=1", "", "path"),
        ("GET", "/h/1", "x-user: ann\r\n", "ann"),
        ("GET", "/h/1", "x-user: bub\r\n", "b?b"),
        ("PUT", "/h/1", "x-user: cy\r\n", "put"),
        ("GET", "/h/1", "x-user: bubb\r\n", "anyone"),
        ("GET", "/h/never", "", "anyone"),
        ("GET", "/x/../h", "", "anyone"),
        ("GET", "/r/17", "", "regex"),
        ("GET", "/z?n=71", "", "variables"),
        ("GET", "/z?n=1", "cookie: a=b; user=cy\r\n", "variables"),
    ] {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{field}\r\n");
        let answer = client.ask(request).await;
        assert_eq!(answer.said(), (200, expected.to_owned()), "{path} {field}");
    }
    for path in ["/exact/", "/r/17x", "/z?n=17", "/"] {
        assert_eq!(client.fetch(path).await.status(), 404, "{path}");
    }
}

#[actix::test]
async fn a_listener_with_no_router_of_that_domain_answers_404_and_goes_on() {
    let site = Site::hosts(json!([{ "name": "a", "domains": ["a.example"],
        "routers": [says(json!({ "prefix": "/" }), "a")] }]));
    let running = site.start().await;
    let mut client = running.client().await;

    assert_eq!(client.fetch("/").await.status(), 404);
    let known = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
    assert_eq!(client.ask(known).await.said(), (200, "a".to_owned()));
}

#[actix::test]
async fn weighted_clusters_get_their_shares() {
    const COUNT: usize = 1_200;
    let webs = [
        (Web::named("one").await, 10),
        (Web::named("two").await, 30),
        (Web::named("three").await, 60),
    ];
    let shares: Vec<_> = webs
        .iter()
        .map(|(_, weight)| json!({ "cluster": { "name": weight.to_string(), "weight": weight } }))
        .collect();
    let route = json!({ "match": { "prefix": "/" }, "route": { "weighted_clusters": shares } });
    let site = webs
        .iter()
        .fold(Site::routes(json!([route])), |site, (web, weight)| {
            site.cluster(&weight.to_string(), &[web.address])
        });
    let running = site.start().await;
    let mut client = running.client().await;

    for _ in 0..COUNT {
        assert_eq!(client.fetch("/").await.status(), 200);
    }

    let count = COUNT as f64;
    for (web, weight) in &webs {
        let share = f64::from(*weight) / 100.0;
        let deviation = (count * share * (1.0 - share)).sqrt();
        let off = (web.count() as f64 - count * share).abs();
        assert!(
            // One in three million runs.
            off < 5.0 * deviation,
            "{} of {COUNT} for {weight} %",
            web.count()
        );
    }
}

#[actix::test]
async fn a_variable_names_the_cluster() {
    let (one, two) = (Web::named("one").await, Web::named("two").await);
    let route = json!({ "match": { "prefix": "/" },
        "route": { "cluster_variable": "request_header_x-to" } });
    let site = Site::routes(json!([route]))
        .cluster("one", &[one.address])
        .cluster("two", &[two.address]);
    let running = site.start().await;
    let mut client = running.client().await;
    for (to, expected) in [("one", 200), ("two", 200), ("three", 404)] {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nX-To: {to}\r\n\r\n");
        let answer = client.ask(request).await;
        assert_eq!(answer.status(), expected);
        assert!(expected != 200 || answer.text() == to);
    }
}

#[actix::test]
async fn a_redirect_tells_the_place() {
    let site = Site::routes(json!([
        { "match": { "path": "/all" }, "redirect": { "response_code": 308, "path_redirect": "/q",
            "host_redirect": "b.example:8443", "scheme_redirect": "https" } },
        { "match": { "path": "/host" }, "redirect": { "host_redirect": "b.example" } },
        { "match": { "prefix": "/" }, "redirect": { "response_code": 302,
            "path_redirect": "/login" } },
    ]));
    let running = site.start().await;
    let mut client = running.client().await;
    for (path, status, place) in [
        ("/all?x=1", 308, "https://b.example:8443/q?x=1"),
        ("/host", 301, "http://b.example/host"),
        ("/else", 302, "http://a/login"),
    ] {
        let answer = client.ask(get(path)).await;
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.field("location"), Some(place));
        assert_eq!(answer.text(), "");
    }
}

#[actix::test]
async fn a_direct_response_has_its_status_and_its_body() {
    let site = Site::routes(json!([{ "match": { "prefix": "/" },
        "direct_response": { "status": 418, "body": "short and stout" } }]));
    let running = site.start().await;
    let mut client = running.client().await;

    let answer = client.fetch("/").await;
    assert_eq!(answer.said(), (418, "short and stout".to_owned()));
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let answer = client.answer_to_head().await.unwrap();
    assert_eq!(
        (answer.status(), answer.field("content-length")),
        (418, Some("15"))
    );
    // Had the answer to HEAD a body, it would stand before this one.
    assert_eq!(client.fetch("/").await.status(), 418);
}
