//! Requests while everything beside them is changed: none fails, and no connection is cut.
//!
//! `CHANGES=10000 cargo test --release --all-features --test proxy changing -- --nocapture` makes ten
//! times as many changes under so many requests a second, and prints how long requests took before
//! and meanwhile, counted from when each was due.

mod load;

use std::net::SocketAddr;
use std::time::Duration;

use banyan::config::{Alone, Configuration, Edit, Format, Fragment, Source, parse};
use banyan::{Proxy, ProxyHandle, Terms};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use self::load::{Load, Origin};
use crate::support::{address, until};

/// How often a change is made under a steady load.
const PACE: Duration = Duration::from_millis(10);

fn document(hosts: &[SocketAddr]) -> Value {
    let hosts: Vec<_> = hosts
        .iter()
        .map(|host| json!({ "address": host.to_string() }))
        .collect();
    json!({
        "servers": [{
            "listeners": [{ "name": "web", "address": "127.0.0.1:0", "bind_port": true, "filter_chains": [{
                "filters": [{ "type": "proxy", "config": {
                    "downstream_protocol": "Http1", "router_config_name": "r" } }] }] }],
            "routers": [{ "router_config_name": "r", "virtual_hosts": [{ "name": "all", "domains": ["*"],
                "routers": [{ "match": { "prefix": "/" }, "route": { "cluster_name": "origins" } }] }] }],
        }],
        "cluster_manager": { "clusters": [{ "name": "origins", "lb_type": "LB_ROUNDROBIN", "hosts": hosts }] },
    })
}

async fn change(proxy: &ProxyHandle, edit: Value) {
    let body = json!({ "edits": [edit] }).to_string();
    let edits = Edit::read_all(&Fragment::read(body.as_bytes()).unwrap()).unwrap();
    let outcome = proxy.edit(edits, Terms::default()).await.unwrap();
    assert_eq!(outcome.changes.len(), 1, "{:?}", outcome.summary);
}

/// One of a kind and its opposite, so that every one of them changes something.
fn edit(kind: &str, turn: usize, more: SocketAddr) -> Value {
    let host = json!({ "address": more.to_string() });
    let route = |prefix: &str| json!({ "match": { "prefix": prefix }, "route": { "cluster_name": "origins" } });
    match (kind, turn % 2) {
        ("host", 0) => json!({ "append_hosts": { "cluster": "origins", "hosts": [host] } }),
        ("host", _) => {
            json!({ "remove_hosts": { "cluster": "origins", "addresses": [more.to_string()] } })
        }
        ("route", _) => {
            let routes = [route(&format!("/other-{turn}")), route("/")];
            let host = json!({ "name": "all", "domains": ["*"], "routers": routes });
            json!({ "put_virtual_host": { "router": "r", "virtual_host": host } })
        }
        (_, 0) => {
            json!({ "put_listener": { "name": "more", "address": "127.0.0.1:0", "bind_port": true,
            "filter_chains": [{ "filters": [{ "type": "tcp_proxy", "config": { "cluster": "origins" } }] }] } })
        }
        (_, _) => json!({ "remove_listener": "more" }),
    }
}

#[actix::test]
async fn no_request_fails_and_no_connection_ends_while_everything_beside_them_changes() {
    let rate: Option<u64> = std::env::var("CHANGES")
        .ok()
        .map(|rate| rate.parse().expect("CHANGES is requests a second"));
    let (often, requests) = match rate {
        Some(rate) => (10, 5 * rate),
        None => (1, 500),
    };
    let (origin, more) = (Origin::answering(), Origin::answering());
    let text = document(&[origin.address]).to_string();
    let source = Source {
        file: "f",
        format: Format::Json,
        text: text.as_bytes(),
    };
    let configuration = Configuration::of(parse(&source, &Alone), &Alone).unwrap();
    let proxy = Proxy::default()
        .workers(2)
        .run(configuration)
        .await
        .unwrap();
    let load = Load::on(address(&proxy, "web").await, rate);
    // Of the first ones some open connections.
    until("requests flow", async || load.answered() >= requests / 5).await;
    load.count_from_now();
    until("requests flow", async || load.answered() >= requests).await;

    load.changes_begin();
    let mut changes = 0_u32;
    let begun = Instant::now();
    for (kind, count) in [("host", 100), ("route", 10), ("listener", 20)] {
        for turn in 0..count * often {
            change(&proxy, edit(kind, turn, more.address)).await;
            changes += 1;
            if rate.is_some() {
                sleep_until(begun + PACE * changes).await;
            }
        }
    }
    let report = load.end();

    assert_eq!(report.failed, [""; 0], "{report}");
    let version = proxy.running().version;
    assert_eq!(version, 1 + u64::from(changes), "every change was one");
    assert!(more.visits() > 0, "the host that came and went was used");
    let web = &proxy.snapshot().await.unwrap().listeners[0];
    assert_eq!(
        web.totals.connections_total, report.clients,
        "nobody had to connect again"
    );
    println!("{changes} changes: {report}");
}
