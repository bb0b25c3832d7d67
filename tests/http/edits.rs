//! What routes change of requests and responses.

use serde_json::{Value, json};

use crate::site::{Site, to};
use crate::talk::{Web, reply};

fn add(name: &str, value: &str) -> Value {
    json!({ "header": { "key": name, "value": value } })
}

#[actix::test]
async fn a_rewritten_path_goes_upstream_beside_the_original() {
    let web = Web::named("here").await;
    let forward = |matcher: Value, mut how: Value| {
        how["cluster_name"] = json!("main");
        json!({ "match": matcher, "route": how })
    };
    let regex = json!({ "pattern": { "regex": "^/r/([a-z]+)/(.*)$" }, "substitution": "/$2/$1" });
    let site = Site::routes(json!([
        forward(
            json!({ "prefix": "/old/" }),
            json!({ "prefix_rewrite": "/new/" })
        ),
        forward(
            json!({ "path": "/whole" }),
            json!({ "prefix_rewrite": "/" })
        ),
        forward(json!({ "prefix": "/r" }), json!({ "regex_rewrite": regex })),
        forward(json!({ "prefix": "/" }), json!({})),
    ]))
    .cluster("main", &[web.address]);
    let running = site.start().await;
    let mut client = running.client().await;
    for (path, expected, original) in [
        ("/old/a?x=%20", "/new/a?x=%20", Some("/old/a")),
        ("/WHOLE", "/", Some("/WHOLE")),
        ("/r/ab/cd", "/cd/ab", Some("/r/ab/cd")),
        ("/r/1/cd", "/r/1/cd", None),
        ("/kept%2Fas/it/c%61me", "/kept%2Fas/it/c%61me", None),
        ("/old/a%20b", "/new/a%20b", Some("/old/a b")),
        (
            "/old/%0d%0aX-Evil:%20yes%0d%0a",
            "/new/%0D%0AX-Evil:%20yes%0D%0A",
            Some("/old/%0D%0AX-Evil:%20yes%0D%0A"),
        ),
    ] {
        client.fetch(path).await;
        let heard = web.heard().pop().unwrap();
        assert_eq!(heard.target(), expected);
        assert_eq!(heard.field("x-mosn-original-path"), original, "{path}");
        assert_eq!(heard.field("x-evil"), None, "{path}");
    }
}

#[actix::test]
async fn the_host_is_rewritten_to_a_name_or_a_field_s_value() {
    let web = Web::named("here").await;
    let site = Site::routes(json!([
        { "match": { "prefix": "/name" },
          "route": { "cluster_name": "main", "host_rewrite": "b.example" } },
        { "match": { "prefix": "/field" },
          "route": { "cluster_name": "main", "auto_host_rewrite_header": "X-Host" } },
        to("main", json!({})),
    ]))
    .cluster("main", &[web.address]);
    let running = site.start().await;
    let mut client = running.client().await;
    for (path, expected) in [
        ("/name", "b.example"),
        ("/field", "c.example"),
        ("/", "a.example:81"),
    ] {
        let fields = "Host: a.example:81\r\nX-Host: c.example\r\n";
        client
            .ask(format!("GET {path} HTTP/1.1\r\n{fields}\r\n"))
            .await;
        let heard = web.heard().pop().unwrap();
        assert_eq!(heard.field("host"), Some(expected), "{path}");
        let hosts = heard
            .fields
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("host"));
        assert_eq!(hosts.count(), 1);
    }
}

/// A router with edits at all three scopes of what is `request` or `response`.
fn scoped(what: &str, route: [Value; 2], host: [Value; 2], router: [Value; 2]) -> Site {
    let keys = [
        format!("{what}_headers_to_add"),
        format!("{what}_headers_to_remove"),
    ];
    let edit = |mut value: Value, edits: [Value; 2]| {
        for (key, edit) in keys.iter().zip(edits) {
            value[key] = edit;
        }
        value
    };
    let route = json!({ "match": { "prefix": "/" },
        "route": edit(json!({ "cluster_name": "main" }), route) });
    let host = edit(
        json!({ "name": "all", "domains": ["*"], "routers": [route] }),
        host,
    );
    Site::router(edit(json!({ "virtual_hosts": [host] }), router))
}

#[actix::test]
async fn fields_of_requests_are_added_and_removed_at_three_scopes() {
    let web = Web::named("here").await;
    let site = scoped(
        "request",
        [
            json!([add("x-from", "route"), add("x-path", "%x-mosn-path%")]),
            json!(["x-gone"]),
        ],
        [
            json!([add("x-from", "host"), add("x-id", "%request_header_x-in%")]),
            json!([]),
        ],
        [
            json!([add("x-from", "router"), add("x-none", "%request_header_x-missing%"),
                { "header": { "key": "x-in", "value": "new" }, "append": false }]),
            json!(["x-path-too"]),
        ],
    )
    .cluster("main", &[web.address]);
    let running = site.start().await;

    let fields =
        "Host: a\r\nX-From: client\r\nX-Gone: 1\r\nx-GONE: 2\r\nX-In: 7\r\nX-Path-Too: 1\r\n";
    running
        .ask(format!("GET /p?q HTTP/1.1\r\n{fields}\r\n"))
        .await;

    let heard = web.heard().pop().unwrap();
    for (name, expected) in [
        ("x-from", Some("client,route,host,router")),
        ("x-path", Some("/p")),
        ("x-id", Some("7")),
        ("x-in", Some("new")),
        ("x-none", Some("")),
        ("x-gone", None),
        ("x-path-too", None),
    ] {
        assert_eq!(heard.field(name), expected, "{name}");
    }
}

#[actix::test]
async fn an_added_field_may_tell_of_the_request_s_other_fields() {
    let web = Web::named("here").await;
    let none = || [json!([]), json!([])];
    let added = json!([
        add("x-cookie", "%Http1_cookie_id%"),
        add("x-to", "%authority%"),
        add("x-patience", "%proxy_global_timeout%"),
    ]);
    let site = scoped("request", [added, json!([])], none(), none());
    let running = site.cluster("main", &[web.address]).start().await;

    let fields = "Host: a\r\nCookie: b=0; id=7\r\nX-Mosn-Global-Timeout: 9000\r\n";
    running.ask(format!("GET / HTTP/1.1\r\n{fields}\r\n")).await;

    let heard = web.heard().pop().unwrap();
    assert_eq!(heard.field("x-cookie"), Some("7"));
    assert_eq!(heard.field("x-to"), Some("a"));
    assert_eq!(heard.field("x-patience"), Some("9000"));
}

#[actix::test]
async fn fields_of_responses_are_added_and_removed_at_three_scopes() {
    let web =
        Web::answering(|_| reply(201, "X-From: web\r\nServer: secret\r\nX-Up: 9\r\n", "")).await;
    let site = scoped(
        "response",
        [
            json!([add("x-from", "route"), add("x-id", "%request_header_x-id%")]),
            json!(["server"]),
        ],
        [
            json!([
                add("x-from", "host"),
                add("x-copy", "%response_header_x-up%"),
                add("x-cluster", "%upstream_cluster%")
            ]),
            json!([]),
        ],
        [
            json!([
                add("x-from", "router"),
                add("x-host", "%upstream_local_address%")
            ]),
            json!(["x-up"]),
        ],
    )
    .cluster("main", &[web.address]);
    let running = site.start().await;

    let answer = running
        .ask("GET / HTTP/1.1\r\nHost: a\r\nX-Id: 17\r\n\r\n")
        .await;

    assert_eq!(answer.status(), 201);
    let host = web.address.to_string();
    for (name, expected) in [
        ("x-from", Some("web,route,host,router")),
        ("x-id", Some("17")),
        ("x-copy", Some("9")),
        ("x-cluster", Some("main")),
        ("x-host", Some(host.as_str())),
        ("server", None),
        ("x-up", None),
    ] {
        assert_eq!(answer.field(name), expected, "{name}");
    }
}

#[actix::test]
async fn a_response_may_be_told_its_own_status() {
    let web = Web::answering(|_| reply(203, "", "")).await;
    let none = || [json!([]), json!([])];
    let status = json!([
        add("x-code", "%response_code%"),
        add("x-status", "%x-mosn-status%")
    ]);
    let site = scoped("response", [status, json!([])], none(), none());
    let running = site.cluster("main", &[web.address]).start().await;

    let answer = running.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;

    assert_eq!(answer.field("x-code"), Some("203"));
    assert_eq!(answer.field("x-status"), Some("203"));
}

#[actix::test]
async fn a_host_is_not_rewritten_to_what_is_none() {
    let web = Web::named("here").await;
    let how = json!({ "auto_host_rewrite_header": "X-Host" });
    let running = Site::forwarding(&[web.address], how).start().await;
    for value in ["c.example, d.example", "c.example/path", "c d", "u@c", ""] {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Host: {value}\r\n\r\n");
        running.ask(request).await;
        let heard = web.heard().pop().unwrap();
        assert_eq!(heard.field("host"), Some("a"), "{value}");
    }
}
