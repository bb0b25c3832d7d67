//! Idle connections to hosts that go on in the process that takes over.

use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Value, json};

use crate::home::Home;
use crate::moves::{KeptAlive, counting_origin, origin};
use crate::protocols::configuration;
use crate::upgrade::starting;

/// One listener of HTTP before one host.
fn pages(host: SocketAddr) -> Value {
    let host = host.to_string();
    let proxy = json!({ "downstream_protocol": "Http1", "router_config_name": "r" });
    let mut document = configuration(&proxy, &["pages", "calls"].map(|name| (name, &*host)));
    let chain = &mut document["servers"][0]["listeners"][0]["filter_chains"][0];
    let filters = chain["filters"].as_array_mut().expect("it is a list");
    filters.truncate(1);
    document
}

/// What is idle is found by the worker that has it.
const ONE: [(&str, &str); 1] = [("BANYAN_WORKERS", "1")];

#[test]
fn the_first_request_after_an_upgrade_needs_no_new_connection_to_its_host() {
    let (host, connected) = counting_origin();
    let home = Home::of(&pages(host));
    let mut old = starting(&home, &ONE);
    old.is_running();
    let mut client = KeptAlive::on(old.address());
    client.ask();

    for _ in 0..2 {
        let mut new = starting(&home, &ONE);
        new.says("/logs/mosn.pid");
        let (code, said) = old.ends();
        assert_eq!(code, Some(0), "{said}");
        let moved = "0 stayed; of idle ones to hosts 1 moved, 0 closed";
        assert!(said.contains(moved), "{said}");
        client.ask();
        old = new;
    }

    assert_eq!(connected.load(Relaxed), 1);
}

#[test]
fn connections_to_a_host_that_is_not_there_any_more_are_closed() {
    let (host, _) = counting_origin();
    let home = Home::of(&pages(host));
    let mut old = starting(&home, &ONE);
    old.is_running();
    let mut client = KeptAlive::on(old.address());
    client.ask();
    let document = pages(origin());
    fs::write(home.path("conf/mosn.json"), document.to_string()).expect("it is ours");

    let mut new = starting(&home, &ONE);
    new.says("/logs/mosn.pid");

    let (code, said) = old.ends();
    assert_eq!(code, Some(0), "{said}");
    client.ask();
    let closed = "of idle ones to hosts 0 moved, 1 closed";
    assert!(said.contains(closed), "{said}");
}
