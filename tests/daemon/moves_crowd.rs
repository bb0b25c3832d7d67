//! A crowd of requests that are answered at one moment while their connections are to move.

use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::thread;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::home::{Home, configuration, until};
use crate::moves::{KeptAlive, head};
use crate::upgrade::{free_address, starting};

/// More than are called from their rest in as long as a test waits, were they called one by one a
/// second.
const CROWD: usize = 400;

/// At which the crowd's requests wait for each other and for the test.
struct Gate {
    before: AtomicUsize,
    all: Barrier,
}

/// Answers with the target, and those of `/held` at once when the gate is passed.
fn origin(gate: &Arc<Gate>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let gate = Arc::clone(gate);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let gate = Arc::clone(&gate);
            thread::spawn(move || serve(stream, &gate));
        }
    });
    address
}

fn serve(mut stream: TcpStream, gate: &Gate) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let lines = head(&mut reader)?;
        let target = lines[0].split(' ').nth(1).unwrap_or_default();
        if target == "/held" {
            gate.before.fetch_add(1, Relaxed);
            gate.all.wait();
        }
        let length = target.len();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{target}");
        stream.write_all(answer.as_bytes())?;
    }
}

fn home(to: SocketAddr, host: SocketAddr) -> Home {
    let mut document = configuration(&to.to_string(), &host.to_string());
    let server = &mut document["servers"][0];
    let proxy = json!({ "downstream_protocol": "Http1", "router_config_name": "r" });
    server["listeners"][0]["filter_chains"] =
        json!([{ "filters": [{ "type": "proxy", "config": proxy }] }]);
    server["routers"] = json!([{ "router_config_name": "r", "virtual_hosts": [{
        "name": "all", "domains": ["*"],
        "routers": [{ "match": { "prefix": "/" }, "route": { "cluster_name": "c" } }],
    }] }]);
    Home::of(&document)
}

#[test]
fn a_crowd_that_is_answered_at_once_moves_whole_and_keeps_nobody() {
    let gate = Gate {
        before: AtomicUsize::new(0),
        all: Barrier::new(CROWD + 1),
    };
    let (gate, to) = (Arc::new(gate), free_address());
    let home = home(to, origin(&gate));
    let one_worker = [("BANYAN_WORKERS", "1")];
    let mut old = starting(&home, &one_worker);
    old.says("/logs/mosn.pid");
    let mut crowd: Vec<_> = (0..CROWD).map(|_| KeptAlive::on(to)).collect();
    crowd.iter_mut().for_each(|client| client.send("/held"));
    until("all requests are with the origin", || {
        gate.before.load(Relaxed) == CROWD
    });
    let mut new = starting(&home, &one_worker);
    new.says("/logs/mosn.pid");

    gate.all.wait();

    crowd.iter_mut().for_each(|client| client.hear("/held"));
    let (code, said) = old.ends();
    assert_eq!(code, Some(0), "{said}");
    let moved = format!("moved {CROWD} connections ({CROWD} between requests, 0 relays), 0 stayed");
    assert!(said.contains(&moved), "{said}");
    crowd.iter_mut().for_each(KeptAlive::ask);
    drop(crowd);
    new.signal(Signal::SIGTERM);
    assert_eq!(new.code(), Some(0));
}
