//! Connections of RPC that go on in the process that takes over.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use banyan::protocol::bolt::{self, Answer, Checksum, Parts, Request, Response, V1, Version};
use banyan::protocol::rpc::{Asker, Codec, Inbox, Kind, Message};
use serde_json::{Value, json};

use crate::home::{Home, PATIENCE, configuration};
use crate::load::Origin;
use crate::upgrade::{free_address, running, starting};

/// A home with a listener that speaks Bolt, and says goodbye, before this host.
pub(crate) fn home(host: &str) -> (Home, SocketAddr) {
    let address = free_address();
    let mut document = configuration(&address.to_string(), host);
    document["servers"][0]["listeners"][0]["filter_chains"] = filters("bolt");
    document["servers"][0]["routers"] = json!([{ "router_config_name": "r", "virtual_hosts": [{
        "name": "all", "domains": ["*"],
        "routers": [{ "match": {}, "route": { "cluster_name": "c" } }],
    }] }]);
    (Home::of(&document), address)
}

fn filters(protocol: &str) -> Value {
    let settings = json!({ "sub_protocol": protocol, "enable_bolt_goaway": true });
    json!([{ "filters": [{ "type": "proxy", "config": {
        "downstream_protocol": "X", "upstream_protocol": "X",
        "extend_config": settings, "router_config_name": "r",
    } }] }])
}

fn request(id: u32) -> Vec<u8> {
    let (mut headers, mut out) = (Vec::new(), Vec::new());
    bolt::write_header(&mut headers, b"service", b"s");
    let request = Request {
        version: Version::V1,
        checksum: Checksum::Crc32,
        id,
        timeout: None,
        answer: Answer::Wanted,
        parts: Parts {
            class: bolt::REQUEST_CLASS.as_bytes(),
            headers: &headers,
            content: b"what is asked",
        },
    };
    request.write(&mut out).expect("it has room");
    out
}

/// A caller on one connection.
pub(crate) struct Caller {
    stream: TcpStream,
    inbox: Inbox,
    asked: u32,
    /// What is still to be sent of the next request.
    rest: Vec<u8>,
}

impl Caller {
    pub(crate) fn on(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).expect("it accepts");
        let patient = stream.set_read_timeout(Some(PATIENCE));
        patient.expect("it is a time");
        Self {
            stream,
            inbox: Inbox::default(),
            asked: 0,
            rest: request(1),
        }
    }

    /// Sends a request, and of the one after it the first half.
    pub(crate) fn send(&mut self) {
        self.asked += 1;
        let mut next = request(self.asked + 1);
        let half = next.split_off(next.len() / 2);
        let bytes = [std::mem::replace(&mut self.rest, half), next].concat();
        self.stream.write_all(&bytes).expect("it takes a request");
    }

    /// The next frame, which is of this kind.
    fn hears(&mut self, kind: Kind) -> Asker {
        let heard = hear(&mut self.stream, &mut self.inbox);
        let frame = heard.expect("it is open").frame;
        assert_eq!((frame.kind, frame.status), (kind, 0));
        frame.asker
    }

    pub(crate) fn is_answered(&mut self) {
        assert_eq!(self.hears(Kind::Response).id, u64::from(self.asked));
    }
}

/// The next frame; none comes behind it before it is answered.
fn hear(stream: &mut TcpStream, inbox: &mut Inbox) -> io::Result<Message> {
    let (mut buffer, mut heard) = ([0; 4096], Vec::new());
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let each = &mut |message| heard.push(message);
        let taken = inbox.take(&V1, 1 << 20, &buffer[..read], each);
        taken.expect("it speaks Bolt");
        if let Some(message) = heard.pop() {
            assert!(heard.is_empty(), "more came than was asked for");
            return Ok(message);
        }
    }
}

#[test]
fn callers_keep_their_connections_through_upgrades_and_every_request_is_answered() {
    const CALLERS: usize = 8;
    let upgrades = std::env::var("UPGRADES").ok();
    let upgrades = upgrades.and_then(|count| count.parse().ok()).unwrap_or(3);
    let origin = Origin::start("bolt --delay 2ms");
    let (home, address) = home(&origin.address);
    let mut old = running(&home);
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                let mut caller = Caller::on(address);
                while !stop.load(Relaxed) {
                    caller.send();
                    caller.is_answered();
                    thread::sleep(Duration::from_millis(5));
                }
                caller.asked
            })
        })
        .collect();
    let mut idle = Caller::on(address);

    for _ in 0..upgrades {
        idle.send();
        idle.is_answered();
        let new = running(&home);
        let (code, said) = old.ends();
        assert_eq!(code, Some(0), "{said}");
        let all = CALLERS + 1;
        let moved = format!("moved {all} connections ({all} between requests, 0 relays), 0 stayed");
        assert!(said.contains(&moved), "{said}");
        old = new;
    }

    stop.store(true, Relaxed);
    let callers = callers.into_iter();
    let counts: Vec<_> = callers
        .map(|one| one.join().expect("all was answered"))
        .collect();
    assert!(counts.iter().all(|count| *count > 50), "{counts:?}");
    idle.send();
    idle.is_answered();
}

/// A host that answers one request each time it is told to, and serves one connection at a time.
fn told_host() -> (SocketAddr, Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let (tell, told) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ended = answer(stream, &told);
        }
    });
    (address, tell)
}

fn answer(mut stream: TcpStream, told: &Receiver<()>) -> io::Result<()> {
    let mut inbox = Inbox::default();
    while let Ok(message) = hear(&mut stream, &mut inbox) {
        told.recv().map_err(io::Error::other)?;
        let (id, mut out) = (message.frame.asker.id, Vec::new());
        let response = Response {
            version: Version::V1,
            checksum: Checksum::Crc32,
            id: u32::try_from(id).expect("ids of Bolt are short"),
            status: 0,
            parts: Parts {
                class: bolt::RESPONSE_CLASS.as_bytes(),
                headers: b"",
                content: b"",
            },
        };
        response.write(&mut out).expect("it has room");
        stream.write_all(&out)?;
    }
    Ok(())
}

#[test]
fn a_request_that_takes_long_holds_nobody_up_and_is_answered_before_the_move() {
    let (host, tell) = told_host();
    let (home, address) = home(&host.to_string());
    let mut old = running(&home);
    let mut caller = Caller::on(address);
    let frames = [request(1), request(2)].concat();
    let (now, later) = frames.split_at(frames.len() - 10);
    caller.stream.write_all(now).expect("it is open");

    let _new = running(&home);
    // It may look for another connection, and need not.
    assert_eq!(caller.hears(Kind::GoAway).id, 1);
    // The first request is not answered, and what comes is read all the same.
    let heartbeat = V1.heartbeat(7).expect("Bolt has one");
    let rest = [later, &heartbeat].concat();
    caller.stream.write_all(&rest).expect("it is open");
    assert_eq!(caller.hears(Kind::HeartbeatAck).id, 7);
    assert!(!old.has_ended());
    for id in [1, 2] {
        tell.send(()).expect("the host is there");
        assert_eq!(caller.hears(Kind::Response).id, id);
    }
    let (code, said) = old.ends();

    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("moved 1 connections"), "{said}");
    caller.stream.write_all(&request(3)).expect("it is open");
    tell.send(()).expect("the host is there");
    assert_eq!(caller.hears(Kind::Response).id, 3);
}

#[test]
fn what_a_listener_of_another_kind_cannot_take_is_told_and_ends_at_its_rest() {
    let origin = Origin::start("bolt");
    let (home, address) = home(&origin.address);
    let mut old = running(&home);
    let mut caller = Caller::on(address);
    caller.send();
    caller.is_answered();
    let text = fs::read_to_string(home.path("conf/mosn.json")).expect("it is ours");
    let mut document: Value = serde_json::from_str(&text).expect("it is JSON");
    document["servers"][0]["listeners"][0]["filter_chains"] = filters("boltv2");
    fs::write(home.path("conf/mosn.json"), document.to_string()).expect("it is ours");

    let _new = running(&home);
    caller.hears(Kind::GoAway);
    // What was begun before the goodbye is still served.
    caller.send();
    caller.is_answered();
    drop(caller);
    let (code, said) = old.ends();

    assert_eq!(code, Some(0), "{said}");
    let stayed = "moved 0 connections (0 between requests, 0 relays), 1 stayed: 1 since its listener is of another kind now";
    assert!(said.contains(stayed), "{said}");
}

#[test]
fn a_connection_that_one_request_had_to_itself_serves_the_next_in_the_successor() {
    // It would never answer on a second one while the first is open.
    let (host, tell) = told_host();
    let (home, address) = home(&host.to_string());
    let text = fs::read_to_string(home.path("conf/mosn.json")).expect("it is ours");
    let mut document: Value = serde_json::from_str(&text).expect("it is JSON");
    let chain = &mut document["servers"][0]["listeners"][0]["filter_chains"][0];
    chain["filters"][0]["config"]["extend_config"]["pool_mode"] = json!("ping-pong");
    fs::write(home.path("conf/mosn.json"), document.to_string()).expect("it is ours");
    // What is idle is found by the worker that has it.
    let one = [("BANYAN_WORKERS", "1")];
    let mut old = starting(&home, &one);
    old.says("/logs/mosn.pid");
    let mut caller = Caller::on(address);
    let mut asks = || {
        caller.send();
        tell.send(()).expect("the host is there");
        caller.is_answered();
    };
    asks();

    let mut new = starting(&home, &one);
    new.says("/logs/mosn.pid");
    let (code, said) = old.ends();

    assert_eq!(code, Some(0), "{said}");
    let moved = "0 stayed; of idle ones to hosts 1 moved, 0 closed";
    assert!(said.contains(moved), "{said}");
    asks();
}
