//! Requests while everything beside them is changed: none fails, and no connection is cut.
//!
//! `CHANGES=long cargo test --test proxy changing -- --nocapture` makes ten times as many changes, and
//! prints how long requests took before and meanwhile.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use banyan::config::{Alone, Configuration, Edit, Format, Fragment, Source, parse};
use banyan::{Proxy, ProxyHandle, Terms};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::spawn_local;

use crate::support::{Origin, address, soon, until};

const CLIENTS: usize = 8;
const REQUEST: &[u8] = b"GET /path HTTP/1.1\r\nhost: app.example\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Answers every request that ends with an empty line, for as long as the peer stays.
async fn answering() -> Origin {
    Origin::scripted(|mut stream| async move {
        let mut buffer = [0; 4096];
        let mut held = 0;
        while let Ok(count @ 1..) = stream.read(&mut buffer[held..]).await {
            held += count;
            if buffer[..held].ends_with(b"\r\n\r\n") {
                held = 0;
                if stream.write_all(RESPONSE).await.is_err() {
                    return;
                }
            }
        }
    })
    .await
}

/// What the clients saw.
#[derive(Default)]
struct Seen {
    failed: RefCell<Vec<String>>,
    took: RefCell<Vec<Duration>>,
    stop: Cell<bool>,
}

/// Asks again and again over one connection; whatever ends it is a failure.
async fn client(to: SocketAddr, seen: Rc<Seen>) {
    if let Err(why) = asks(to, &seen).await {
        seen.failed.borrow_mut().push(why);
    }
}

async fn asks(to: SocketAddr, seen: &Seen) -> Result<(), String> {
    let words = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(to).await.map_err(words)?;
    while !seen.stop.get() {
        let begun = Instant::now();
        stream.write_all(REQUEST).await.map_err(words)?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nok") {
            if stream.read_buf(&mut answer).await.map_err(words)? == 0 {
                return Err("the connection was closed".to_owned());
            }
        }
        if !answer.starts_with(b"HTTP/1.1 200 ") {
            return Err(String::from_utf8_lossy(&answer).into_owned());
        }
        seen.took.borrow_mut().push(begun.elapsed());
    }
    Ok(())
}

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

fn p99(took: &mut [Duration]) -> Duration {
    took.sort_unstable();
    took.get(took.len() * 99 / 100).copied().unwrap_or_default()
}

#[actix::test]
async fn no_request_fails_and_no_connection_ends_while_everything_beside_them_changes() {
    let (origin, more) = (answering().await, answering().await);
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
    let to = address(&proxy, "web").await;
    let seen = Rc::new(Seen::default());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| spawn_local(client(to, Rc::clone(&seen))))
        .collect();
    until("requests flow", async || seen.took.borrow().len() >= 500).await;
    let before = p99(&mut seen.took.take());

    let often = match std::env::var_os("CHANGES") {
        Some(_) => 10,
        None => 1,
    };
    let mut changes = 0;
    for (kind, count) in [("host", 100), ("route", 10), ("listener", 20)] {
        for turn in 0..count * often {
            change(&proxy, edit(kind, turn, more.address)).await;
            changes += 1;
        }
    }
    let meanwhile = seen.took.borrow().len();
    seen.stop.set(true);
    soon("every client ends", futures::future::join_all(clients)).await;

    assert_eq!(*seen.failed.borrow(), [""; 0], "of {meanwhile} requests");
    assert_eq!(proxy.running().version, 1 + changes, "every change was one");
    assert!(more.visits() > 0, "the host that came and went was used");
    let web = &proxy.snapshot().await.unwrap().listeners[0];
    assert_eq!(
        web.totals.connections_total, CLIENTS as u64,
        "nobody had to connect again"
    );
    let during = p99(&mut seen.took.take());
    println!(
        "{changes} changes, {meanwhile} requests: p99 {before:?} before, {during:?} meanwhile"
    );
}
