//! Connections to hosts that RPC requests share, and that go on in the process that takes over.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};

use banyan::protocol::bolt::V1;
use banyan::protocol::rpc::{Codec, Inbox, Kind};
use serde_json::Value;

use crate::home::{Home, Process, until};
use crate::load::command;
use crate::moves_rpc::{Caller, home};
use crate::upgrade::starting;

/// What a host has heard, each with the number of its connection.
#[derive(Default)]
struct Heard {
    connections: Vec<TcpStream>,
    requests: Vec<(usize, u64)>,
    acknowledged: Vec<(usize, u64)>,
    /// What is said right behind the next answer.
    behind: Vec<u8>,
}

/// A host that answers at once.
#[derive(Clone, Default)]
#[expect(
    clippy::disallowed_types,
    reason = "threads of a test, one for each connection"
)]
struct Host(Arc<std::sync::Mutex<Heard>>);

impl Host {
    fn start() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let host = Self::default();
        let here = host.clone();
        thread::spawn(move || {
            for (number, stream) in listener.incoming().flatten().enumerate() {
                let again = stream.try_clone().expect("descriptors are left");
                here.heard(|heard| heard.connections.push(again));
                let here = here.clone();
                thread::spawn(move || here.serve(number, stream));
            }
        });
        (host, address)
    }

    fn heard<T>(&self, look: impl FnOnce(&mut Heard) -> T) -> T {
        look(&mut self.0.lock().expect("nobody panics with it"))
    }

    fn serve(&self, number: usize, mut stream: TcpStream) -> io::Result<()> {
        let (mut inbox, mut buffer) = (Inbox::default(), [0; 65536]);
        loop {
            let read = stream.read(&mut buffer)?;
            if read == 0 {
                return Ok(());
            }
            let mut out = Vec::new();
            let taken = inbox.take(&V1, 1 << 20, &buffer[..read], &mut |message| {
                let asker = message.frame.asker;
                self.heard(|heard| match message.frame.kind {
                    Kind::HeartbeatAck => heard.acknowledged.push((number, asker.id)),
                    _ => {
                        heard.requests.push((number, asker.id));
                        V1.reply(&asker, 200, b"", &mut out);
                        out.append(&mut heard.behind);
                    }
                });
            });
            taken.expect("it speaks Bolt");
            stream.write_all(&out)?;
        }
    }
}

/// What is to be found is found by the worker that has it.
const ONE: [(&str, &str); 2] = [("BANYAN_WORKERS", "1"), ("BANYAN_UPGRADE_PROBATION_S", "0")];

fn running(home: &Home) -> Process {
    let mut process = starting(home, &ONE);
    process.says("/logs/mosn.pid");
    process
}

/// Has the next process take over, with the one connection to the host.
fn upgraded(home: &Home, mut old: Process) -> Process {
    let new = running(home);
    let (code, said) = old.ends();
    assert_eq!(code, Some(0), "{said}");
    let moved = "of shared ones to hosts 1 moved, 0 closed";
    assert!(said.contains(moved), "{said}");
    new
}

#[test]
fn a_host_sees_one_connection_go_on_with_its_ids_and_with_half_a_frame() {
    let (host, at) = Host::start();
    let (home, address) = home(&at.to_string());
    let mut process = running(&home);
    let mut caller = Caller::on(address);
    let mut asks = || {
        caller.send();
        caller.is_answered();
    };
    let heartbeat = V1.heartbeat(77).expect("Bolt has one");
    let (now, later) = heartbeat.split_at(heartbeat.len() / 2);
    host.heard(|heard| heard.behind = now.to_vec());
    asks();

    process = upgraded(&home, process);
    let rest = host.heard(|heard| heard.connections[0].write_all(later));
    rest.expect("it is open");
    until("the heartbeat is answered", || {
        host.heard(|heard| heard.acknowledged == [(0, 77)])
    });
    asks();
    let _process = upgraded(&home, process);
    asks();

    let seen = host.heard(|heard| (heard.requests.clone(), heard.connections.len()));
    assert_eq!(seen, (vec![(0, 1), (0, 2), (0, 3)], 1));
}

#[test]
fn under_load_a_host_keeps_its_connection_and_no_request_fails() {
    let (host, at) = Host::start();
    let (home, address) = home(&at.to_string());
    let mut process = running(&home);
    let stop = Arc::new(AtomicBool::new(false));
    let load = loads(address, Arc::clone(&stop));
    let first = || {
        host.heard(|heard| {
            let requests = heard.requests.iter();
            requests.filter(|(number, _)| *number == 0).count()
        })
    };
    until("it is loaded", || first() > 100);

    for _ in 0..2 {
        process = upgraded(&home, process);
        let before = first();
        until("the first connection serves on", || first() > before + 100);
    }

    stop.store(true, Relaxed);
    load.join().expect("every request was answered");
}

/// Makes load until it is told to stop; nothing of it fails.
fn loads(address: SocketAddr, stop: Arc<AtomicBool>) -> JoinHandle<()> {
    thread::spawn(move || {
        let line = format!("load --json -q -D 2s -c 4 -m 5 sofarpc://{address}");
        while !stop.load(Relaxed) {
            let output = command(&line).output().expect("it runs");
            let report: Value = serde_json::from_slice(&output.stdout).expect("it reports");
            let requests = &report["requests"];
            let failed = ["failed", "errored", "timeout"].map(|kind| requests[kind].as_u64());
            assert_eq!(failed, [Some(0); 3], "{report}");
            assert_eq!(requests["succeeded"], requests["started"], "{report}");
            assert_eq!(report["late_answers"], 0, "{report}");
        }
    })
}
