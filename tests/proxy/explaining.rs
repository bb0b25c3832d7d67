//! What is said of a request before it is sent, and of those that were.

use std::net::SocketAddr;

use banyan::config::{Alone, Format, Source, parse};
use banyan::proxy::http::{Asked, Outcome};
use banyan::telemetry::metrics::{Page, StatsMatcher};
use banyan::{Health, Plan, ProxyHandle};
use serde_json::{Value, json};

use crate::support::{Origin, address, cluster, exchange, listener, plan, start};

fn gateway(hosts: &[SocketAddr]) -> Plan {
    let hosts: Vec<Value> = hosts
        .iter()
        .map(|host| json!({ "address": host.to_string() }))
        .collect();
    let document = json!({
        "servers": [{
            "routers": [{
                "router_config_name": "gateway",
                "virtual_hosts": [{
                    "name": "shop", "domains": ["shop.example:*"],
                    "request_headers_to_add": [{ "header": { "key": "x-shop", "value": "1" } }],
                    "routers": [
                        { "match": { "path": "/health" }, "direct_response": { "status": 200, "body": "" } },
                        { "match": { "prefix": "/", "headers": [{ "name": "x-v", "value": "2" }] },
                          "route": { "cluster_name": "pages" } },
                        { "match": { "prefix": "/old/" },
                          "route": { "cluster_name": "pages", "prefix_rewrite": "/new/", "timeout": "5s" } }
                    ]
                }]
            }],
            "listeners": [{
                "name": "web", "address": "127.0.0.1:0", "bind_port": true,
                "filter_chains": [{ "filters": [{
                    "type": "proxy",
                    "config": { "downstream_protocol": "Http1", "router_config_name": "gateway" }
                }] }]
            }]
        }],
        "cluster_manager": { "clusters": [{ "name": "pages", "hosts": hosts }] }
    });
    let text = document.to_string();
    let source = Source {
        file: "gateway.json",
        format: Format::Json,
        text: text.as_bytes(),
    };
    let loaded = parse(&source, &Alone);
    loaded
        .plan
        .unwrap_or_else(|| panic!("{}", loaded.diagnostics))
}

fn asked(host: &str, target: &str) -> Asked {
    Asked {
        method: "GET".to_owned(),
        target: target.to_owned(),
        host: Some(host.to_owned()),
        ..Asked::default()
    }
}

fn told(proxy: &ProxyHandle, asked: &Asked) -> String {
    proxy.explain(Some("web"), asked).unwrap().to_string()
}

#[actix::test]
async fn a_request_is_explained_from_its_listener_to_its_hosts() {
    let hosts: [SocketAddr; 2] = [
        "127.0.0.1:1".parse().unwrap(),
        "127.0.0.1:2".parse().unwrap(),
    ];
    let proxy = start(gateway(&hosts)).await;
    proxy
        .set_health("pages", hosts[1].into(), Health::Unhealthy)
        .await
        .unwrap();
    let listens = address(&proxy, "web").await;

    let text = told(&proxy, &asked("shop.example:80", "/old/a?b=1"));

    assert_eq!(
        text,
        format!(
            "listener web at {listens}
  router gateway
  virtual host shop (shop.example:*)
    not route 0, path /health: the path is /old/a
    not route 1, prefix / with x-v = 2: the field x-v is missing
    route 2, prefix /old/
  is forwarded as
    GET /new/a?b=1 HTTP/1.1
    Host: shop.example:80
    x-shop: 1
    x-mosn-original-path: /old/a
  may take 5000 ms
  is tried again up to 3 times, when no host has seen it
cluster pages: 100 % of the requests, by RoundRobin
  host 127.0.0.1:1 may be chosen (weight 1, 0 connections, 0 requests)
  host 127.0.0.1:2 is not chosen: taken out by command (weight 1, 0 connections, 0 requests)
"
        )
    );
}

#[actix::test]
async fn what_the_proxy_answers_itself_is_explained_with_status_and_cause() {
    let proxy = start(gateway(&[])).await;
    for (asked, expected) in [
        (
            asked("shop.example", "/health"),
            "is answered 200: the route answers it itself",
        ),
        (
            asked("shop.example", "/x"),
            "is answered 404: no route matches in router `gateway`",
        ),
        (
            asked("other.example", "/health"),
            "is answered 404: no route matches in router `gateway`",
        ),
        (asked("shop.example", "/ x"), "is answered 400: "),
    ] {
        let text = told(&proxy, &asked);
        assert!(text.contains(expected), "{asked:?}: {text}");
    }
    let explained = proxy
        .explain(None, &asked("shop.example", "/health"))
        .unwrap();
    assert!(matches!(
        explained.request.unwrap().outcome,
        Outcome::Reply { status: 200, .. }
    ));
    let error = proxy
        .explain(Some("wed"), &asked("shop.example", "/"))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "no listener is called `wed`; there is `web`"
    );
}

#[actix::test]
async fn a_relayed_connection_is_explained_by_its_cluster() {
    let origin = Origin::echoing().await;
    let origins = cluster("LB_RANDOM", &[origin.address]);
    let proxy = start(plan(&[listener("app")], &[origins])).await;
    let text = proxy.explain(None, &Asked::default()).unwrap().to_string();
    assert!(
        text.contains("\n  its bytes are relayed\ncluster "),
        "{text}"
    );
    assert!(
        text.contains(&format!("host {} may be chosen", origin.address)),
        "{text}"
    );
}

#[actix::test]
async fn what_was_carried_is_counted_by_mosn_s_names() {
    let origin = Origin::echoing().await;
    let origins = cluster("LB_RANDOM", &[origin.address]);
    let name = origins["name"].as_str().unwrap().to_owned();
    let proxy = start(plan(&[listener("app")], &[origins])).await;
    let to = address(&proxy, "app").await;
    for _ in 0..3 {
        exchange(to, b"x").await.unwrap();
    }

    let matcher = StatsMatcher::default();
    let mut page = Page::new(&matcher, &[99]);
    page.objects(&proxy.metrics());
    let page = page.finish();

    let host = origin.address;
    for line in [
        "downstream_connection_total{listener=\"app\"} 3.0".to_owned(),
        "downstream_connection_total{proxy=\"global\"} 3.0".to_owned(),
        format!("upstream_connection_total{{cluster=\"{name}\"}} 3.0"),
        format!("upstream_connection_total{{cluster=\"{name}\",host=\"{host}\"}} 3.0"),
        format!("upstream_hosts_healthy{{cluster=\"{name}\"}} 1.0"),
    ] {
        assert!(
            page.lines().any(|found| found == line),
            "{line} is not in\n{page}"
        );
    }
}
