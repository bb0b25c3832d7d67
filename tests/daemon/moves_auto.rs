//! Connections to a port of several protocols that go on in the process that takes over.

use std::fs;
use std::io::Write;

use serde_json::{Value, json};

use crate::home::Home;
use crate::load::Origin;
use crate::moves::{KeptAlive, connected, origin};
use crate::moves_rpc::Caller;
use crate::peers::{Client, echo};
use crate::protocols::{auto, configuration};
use crate::upgrade::{running, starting};

/// A host of each kind.
struct Hosts {
    calls: Origin,
    pages: String,
    rest: String,
}

impl Hosts {
    fn start() -> Self {
        Self {
            calls: Origin::start("bolt"),
            pages: origin().to_string(),
            rest: echo().to_string(),
        }
    }

    /// A configuration with them behind a listener of this `proxy`.
    fn behind(&self, proxy: &Value) -> Value {
        let hosts = [
            ("pages", &*self.pages),
            ("calls", &self.calls.address),
            ("rest", &self.rest),
        ];
        configuration(proxy, &hosts)
    }
}

#[test]
fn whatever_a_connection_speaks_or_does_not_yet_it_outlives_two_upgrades() {
    let hosts = Hosts::start();
    let home = Home::of(&hosts.behind(&auto("60s")));
    let mut old = starting(&home, &[]);
    old.is_running();
    let place = old.address();
    let mut asking = KeptAlive::on(place);
    let mut calling = Caller::on(place);
    let mut plain = Client::served(place).expect("it accepts");
    let [asks, is_plain, mut begun] = [(); 3].map(|()| connected(place));
    begun.write_all(b"GE").expect("it is open");

    for _ in 0..2 {
        asking.ask();
        calling.send();
        calling.is_answered();
        plain.exchange().expect("it is served");
        let new = running(&home);
        let (code, said) = old.ends();
        assert_eq!(code, Some(0), "{said}");
        let moved = "moved 6 connections (5 between requests, 1 relays), 0 stayed";
        assert!(said.contains(moved), "{said}");
        old = new;
    }

    asking.ask();
    calling.send();
    calling.is_answered();
    plain.finish().expect("it goes on");
    KeptAlive::over(asks).ask();
    let is_plain = Client::over(is_plain).expect("it is told what it speaks");
    is_plain.finish().expect("it ends when it wishes");
    let end = b"T /begun HTTP/1.1\r\nhost: a\r\n\r\n";
    begun.write_all(end).expect("it is open");
    KeptAlive::over(begun).hear("/begun");
}

#[test]
fn a_successor_takes_what_its_listener_still_serves_and_the_rest_stays() {
    let hosts = Hosts::start();
    let home = Home::of(&hosts.behind(&auto("60s")));
    let mut old = starting(&home, &[]);
    old.is_running();
    let place = old.address();
    let mut asking = KeptAlive::on(place);
    asking.ask();
    let mut plain = Client::served(place).expect("it accepts");
    let silent = connected(place);
    let proxy = json!({ "downstream_protocol": "Http1", "router_config_name": "r" });
    let mut document = hosts.behind(&proxy);
    let chain = &mut document["servers"][0]["listeners"][0]["filter_chains"][0];
    let filters = chain["filters"].as_array_mut().expect("it is a list");
    filters.truncate(1);
    fs::write(home.path("conf/mosn.json"), document.to_string()).expect("it is ours");

    let _new = running(&home);
    old.says_part("connections stay since its listener is of another kind now");
    asking.ask();
    // Open until all is over: one that ends does not move.
    let mut silent = KeptAlive::over(silent);
    silent.ask();
    plain.exchange().expect("it is served by the old one");
    plain.finish().expect("it ends when it wishes");
    let (code, said) = old.ends();

    assert_eq!(code, Some(0), "{said}");
    let stayed = "moved 2 connections (2 between requests, 0 relays), 1 stayed: 1 since its listener is of another kind now";
    assert!(said.contains(stayed), "{said}");
}
