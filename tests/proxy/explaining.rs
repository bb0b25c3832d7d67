//! What is said of a request before it is sent, and of those that were.

use std::net::SocketAddr;

use banyan::config::{Alone, Format, Source, parse};
use banyan::proxy::http::{Asked, Outcome};
use banyan::telemetry::metrics::{Page, StatsMatcher};
use banyan::{Health, Plan, ProxyHandle};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Origin, address, cluster, exchange, listener, plan, start, until};

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
cluster pages: 100 % of the requests, by LB_ROUNDROBIN
  host 127.0.0.1:1 may be chosen (weight 1, 0 connections, 0 requests)
  host 127.0.0.1:2 is not chosen: taken out by command (weight 1, 0 connections, 0 requests)
"
        )
    );
}

/// Hosts in zones, a route that wants zone a, and a filter that takes the zone from a field.
fn zones(fallback: u8) -> Plan {
    let host = |port: u16, zone: &str| {
        let metadata = json!({ "filter_metadata": { "mosn.lb": { "zone": zone } } });
        json!({ "address": format!("127.0.0.1:{port}"), "metadata": metadata })
    };
    let rule =
        json!({ "header": "x-zone", "on_header_present": { "key": "zone" }, "remove": true });
    let document = json!({
        "servers": [{
            "routers": [{ "router_config_name": "r", "virtual_hosts": [{
                "name": "all", "domains": ["*"], "routers": [{ "match": { "prefix": "/" }, "route": {
                    "cluster_name": "pages",
                    "metadata_match": { "filter_metadata": { "mosn.lb": { "zone": "a" } } } } }] }] }],
            "listeners": [{
                "name": "web", "address": "127.0.0.1:0", "bind_port": true,
                "stream_filters": [
                    { "type": "header_to_metadata", "config": { "request_rules": [rule] } },
                    { "type": "payload_limit", "config": { "max_entity_size": 9, "http_status": 413 } }],
                "filter_chains": [{ "filters": [{ "type": "proxy", "config": {
                    "downstream_protocol": "Http1", "router_config_name": "r" } }] }]
            }]
        }],
        "cluster_manager": { "clusters": [{ "name": "pages",
            "lb_subset_config": { "fall_back_policy": fallback, "default_subset": { "zone": "b" },
                "subset_selectors": [["zone"]] },
            "hosts": [host(1, "a"), host(2, "a"), host(3, "b")] }] }
    });
    Plan::from_json(&document.to_string()).unwrap()
}

/// What is said from the filters on, but for the loads of hosts.
fn of_cluster(proxy: &ProxyHandle, zone: Option<&str>) -> String {
    let mut asked = asked("h", "/");
    asked.fields = zone
        .map(|zone| ("x-zone".to_owned(), zone.to_owned()))
        .into_iter()
        .collect();
    let text = told(proxy, &asked);
    let lines = text.lines().filter(|line| {
        line.contains("filter") || line.contains("x-zone") || !line.starts_with("    ")
    });
    let from = lines.skip_while(|line| !line.contains("stream filter"));
    let short = from.map(|line| line.split(" (weight").next().unwrap_or_default());
    short.collect::<Vec<_>>().join("\n")
}

#[actix::test]
async fn the_subset_that_takes_a_request_is_told_and_who_else_would() {
    let proxy = start(zones(2)).await;
    let second = SocketAddr::from(([127, 0, 0, 1], 2));
    proxy
        .set_health("pages", second.into(), Health::Unhealthy)
        .await
        .unwrap();
    let rest = "  stream filter payload_limit answers bodies above 9 bytes with 413
  is forwarded as
  may take 60000 ms
  is tried again up to 3 times, when no host has seen it
cluster pages: 100 % of the requests, by LB_ROUNDROBIN";

    assert_eq!(
        of_cluster(&proxy, None),
        format!(
            "  stream filter header_to_metadata makes no metadata
{rest}
  is asked for hosts with zone = a, of which there are some that may be chosen
  host 127.0.0.1:1 may be chosen
  host 127.0.0.1:2 is not chosen: taken out by command
  host 127.0.0.1:3 is not chosen: its zone is b"
        )
    );
    assert_eq!(
        of_cluster(&proxy, Some("c")),
        format!(
            "  stream filter header_to_metadata makes zone = c
{rest}
  is asked for hosts with zone = c: no host has that
  so the default subset takes it: hosts with zone = b
  host 127.0.0.1:1 is not chosen: it is not in the default subset
  host 127.0.0.1:2 is not chosen: it is not in the default subset
  host 127.0.0.1:3 may be chosen"
        )
    );

    let proxy = start(zones(0)).await;
    let text = of_cluster(&proxy, Some("c"));
    assert!(text.contains("\n  so nobody takes it: 502\n"), "{text}");
    assert!(!text.contains("may be chosen"), "{text}");
    let text = of_cluster(&start(zones(1)).await, Some("c"));
    assert!(text.contains("\n  so any host takes it\n"), "{text}");
    assert_eq!(text.matches("may be chosen").count(), 3, "{text}");
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
    page.objects(&proxy.metrics(&matcher));
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

#[actix::test]
async fn what_a_listener_carried_stays_in_the_sum_of_all_when_it_goes() {
    let origin = Origin::echoing().await;
    let origins = cluster("LB_RANDOM", &[origin.address]);
    let both = plan(
        &[listener("stays"), listener("goes")],
        std::slice::from_ref(&origins),
    );
    let proxy = start(both).await;
    for name in ["stays", "goes", "goes"] {
        let to = address(&proxy, name).await;
        exchange(to, b"x").await.unwrap();
    }
    let mut open = TcpStream::connect(address(&proxy, "goes").await)
        .await
        .unwrap();
    open.write_all(b"y").await.unwrap();
    open.read_exact(&mut [0]).await.unwrap();
    let counted = |proxy: &ProxyHandle, label: &str| {
        let objects = proxy.metrics(&StatsMatcher::default());
        let object = objects.iter().find(|object| object.labels == [label])?;
        let value = |key: &str| {
            let mut metrics = object.table.metrics.iter().zip(&object.values);
            metrics
                .find(|(metric, _)| metric.key == key)
                .unwrap()
                .1
                .clone()
        };
        Some((value("connection_total"), value("connection_active")))
    };
    until("three have ended", async || {
        counted(&proxy, "global") == Some((4.into(), 1.into()))
    })
    .await;

    proxy
        .apply(plan(&[listener("stays")], &[origins]))
        .await
        .unwrap();

    assert_eq!(counted(&proxy, "goes"), None);
    assert_eq!(counted(&proxy, "stays"), Some((1.into(), 0.into())));
    assert_eq!(
        counted(&proxy, "global"),
        Some((4.into(), 1.into())),
        "also the connection that is still open"
    );
    drop(open);
    until("the last one has ended", async || {
        counted(&proxy, "global") == Some((4.into(), 0.into()))
    })
    .await;
}
