//! Connections that go on in the process that takes over.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

use crate::home::{Home, PATIENCE, configuration, listener, until};
use crate::http::ask_socket;
use crate::peers::{Client, echo};
#[cfg(feature = "fault-injection")]
use crate::upgrade::starting;
use crate::upgrade::{free_address, running};

/// A head, up to its empty line, without that.
pub(crate) fn head(from: &mut impl BufRead) -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end() {
            "" => return Ok(lines),
            text => lines.push(text.to_owned()),
        }
    }
}

/// An HTTP server that answers with the target it was asked for, and echoes once it is upgraded.
pub(crate) fn origin() -> SocketAddr {
    counting_origin().0
}

/// The same, and how many have connected to it.
pub(crate) fn counting_origin() -> (SocketAddr, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let connected = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&connected);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            count.fetch_add(1, Relaxed);
            thread::spawn(move || serve(stream));
        }
    });
    (address, connected)
}

fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let lines = head(&mut reader)?;
        let target = lines[0].split(' ').nth(1).unwrap_or_default().to_owned();
        if target == "/chat" {
            let switch = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
            stream.write_all(switch.as_bytes())?;
            io::copy(&mut reader, &mut stream)?;
            return stream.shutdown(Shutdown::Write);
        }
        if target == "/slow" {
            thread::sleep(Duration::from_millis(2500));
        }
        let length = target.len();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{target}");
        stream.write_all(answer.as_bytes())?;
    }
}

/// A server that reads to the end of its peer's stream and then counts, until it is told to end.
fn counter(stop: Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || -> io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        io::copy(&mut stream, &mut io::sink())?;
        for number in 0_u32.. {
            if stop.load(Relaxed) {
                break;
            }
            stream.write_all(&number.to_be_bytes())?;
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    });
    address
}

/// A home with listeners for HTTP, for bytes to an echo, and for bytes to a third server.
pub(crate) fn home(third: SocketAddr) -> (Home, [SocketAddr; 3]) {
    let [http, bytes, half] = [(); 3].map(|()| free_address());
    let mut document = configuration(&bytes.to_string(), &echo().to_string());
    let cluster = |name: &str, host: SocketAddr| {
        json!({ "name": name, "type": "SIMPLE", "lb_type": "LB_RANDOM",
                "hosts": [{ "address": host.to_string() }] })
    };
    let clusters = document["cluster_manager"]["clusters"].as_array_mut();
    let clusters = clusters.expect("it is a list");
    clusters.push(cluster("web", origin()));
    clusters.push(cluster("half", third));
    let filter =
        |kind: &str, config: Value| json!([{ "filters": [{ "type": kind, "config": config }] }]);
    let mut web = listener("web", &http.to_string());
    let proxy = json!({ "downstream_protocol": "Http1", "router_config_name": "r" });
    web["filter_chains"] = filter("proxy", proxy);
    let mut other = listener("half", &half.to_string());
    other["filter_chains"] = filter("tcp_proxy", json!({ "cluster": "half" }));
    let server = &mut document["servers"][0];
    let listeners = server["listeners"].as_array_mut().expect("it is a list");
    listeners.extend([web, other]);
    server["routers"] = json!([{ "router_config_name": "r", "virtual_hosts": [{
        "name": "all", "domains": ["*"],
        "routers": [{ "match": { "prefix": "/" }, "route": { "cluster_name": "web" } }],
    }] }]);
    (Home::of(&document), [http, bytes, half])
}

pub(crate) fn connected(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).expect("it accepts");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("it is a time");
    stream
}

/// A client that asks again and again over one connection.
pub(crate) struct KeptAlive {
    stream: BufReader<TcpStream>,
    asked: u32,
}

impl KeptAlive {
    pub(crate) fn on(to: SocketAddr) -> Self {
        Self::over(connected(to))
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        let stream = BufReader::new(stream);
        Self { stream, asked: 0 }
    }

    pub(crate) fn ask(&mut self) {
        self.asked += 1;
        let target = format!("/{}", self.asked);
        self.send(&target);
        self.hear(&target);
    }

    pub(crate) fn send(&mut self, target: &str) {
        let request = format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n");
        let sent = self.stream.get_mut().write_all(request.as_bytes());
        sent.expect("it takes a request");
    }

    pub(crate) fn hear(&mut self, target: &str) {
        let lines = head(&mut self.stream).expect("it answers");
        assert!(lines[0].contains("200"), "{lines:?}");
        let closes = |line: &String| line.eq_ignore_ascii_case("connection: close");
        assert!(!lines.iter().any(closes), "{lines:?}");
        let mut body = vec![0; target.len()];
        self.stream.read_exact(&mut body).expect("it answers");
        assert_eq!(String::from_utf8_lossy(&body), target);
    }
}

/// Sends numbers over a connection that echoes, as fast as it takes them, and checks what comes
/// back; returns how many.
pub(crate) fn numbers(
    stream: TcpStream,
    mut from: BufReader<TcpStream>,
    stop: Arc<AtomicBool>,
) -> JoinHandle<u32> {
    let mut to = stream;
    let sent = Arc::new(AtomicU32::new(u32::MAX));
    let count = Arc::clone(&sent);
    thread::spawn(move || {
        let mut number = 0_u32;
        while !stop.load(Relaxed) {
            // Chunks of all sizes, some of them larger than a socket takes.
            let len = number % 7919 + 1;
            let bytes: Vec<u8> = (number..number + len).flat_map(u32::to_be_bytes).collect();
            to.write_all(&bytes).expect("it takes bytes");
            number += len;
        }
        count.store(number, Relaxed);
        to.shutdown(Shutdown::Write).expect("it is open");
    });
    thread::spawn(move || {
        let mut seen = 0_u32;
        let mut bytes = [0; 4];
        while from.read_exact(&mut bytes).is_ok() {
            assert_eq!(
                u32::from_be_bytes(bytes),
                seen,
                "lost, doubled or reordered"
            );
            seen += 1;
        }
        assert_eq!(seen, sent.load(Relaxed), "some were lost at the end");
        seen
    })
}

/// The same over a WebSocket.
fn chat(http: SocketAddr, stop: Arc<AtomicBool>) -> JoinHandle<u32> {
    let chat = connected(http);
    let mut chat_reader = BufReader::new(chat.try_clone().expect("descriptors are left"));
    let upgrade =
        "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    (&chat).write_all(upgrade.as_bytes()).expect("it is open");
    let lines = head(&mut chat_reader).expect("it switches");
    assert!(lines[0].contains("101"), "{lines:?}");
    numbers(chat, chat_reader, stop)
}

#[test]
fn connections_of_every_kind_outlive_five_upgrades() {
    let stop = Arc::new(AtomicBool::new(false));
    let (home, [http, bytes, half]) = home(counter(Arc::clone(&stop)));
    let mut old = running(&home);
    let mut resting = KeptAlive::on(http);
    resting.ask();
    let fresh = connected(http);
    let pair = connected(bytes);
    let reader = BufReader::new(pair.try_clone().expect("descriptors are left"));
    let pair = numbers(pair, reader, Arc::clone(&stop));
    let mut ended = connected(half);
    ended.shutdown(Shutdown::Write).expect("it is open");
    let chat = chat(http, Arc::clone(&stop));
    let asks = Arc::clone(&stop);
    let busy = thread::spawn(move || {
        let mut busy = KeptAlive::on(http);
        while !asks.load(Relaxed) {
            busy.ask();
        }
        busy.asked
    });

    for _ in 0..5 {
        let new = running(&home);
        let (code, said) = old.ends();
        assert_eq!(code, Some(0), "{said}");
        let moved = "moved 6 connections (3 between requests, 3 relays), 0 stayed";
        assert!(said.contains(moved), "{said}");
        resting.ask();
        old = new;
    }

    stop.store(true, Relaxed);
    let counts = [pair, chat, busy].map(|one| one.join().expect("nothing was lost"));
    assert!(counts.iter().all(|count| *count > 100), "{counts:?}");
    let mut counted = Vec::new();
    ended.read_to_end(&mut counted).expect("it ends well");
    let expected: Vec<u8> = (0..)
        .take(counted.len() / 4)
        .flat_map(u32::to_be_bytes)
        .collect();
    assert!(
        !counted.is_empty() && counted == expected,
        "what came after a half's end changed"
    );
    KeptAlive::over(fresh).ask();
}

#[test]
fn a_request_under_way_is_answered_and_then_moves_with_what_came_behind_it() {
    let (home, [http, ..]) = home(echo());
    let mut old = running(&home);
    let mut client = KeptAlive::on(http);
    client.send("/slow");
    client
        .stream
        .get_mut()
        .write_all(b"GET /ne")
        .expect("it is open");

    let mut new = running(&home);
    client.hear("/slow");
    let (code, said) = old.ends();

    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("moved 1 connections"), "{said}");
    let rest = client
        .stream
        .get_mut()
        .write_all(b"xt HTTP/1.1\r\nhost: a\r\n\r\n");
    rest.expect("it is open");
    client.hear("/next");
    assert!(!new.has_ended());
}

#[test]
fn what_the_successor_cannot_take_stays_until_it_ends() {
    let (home, [http, bytes, _]) = home(echo());
    let mut old = running(&home);
    let mut standing = Client::served(bytes).expect("it accepts");
    let mut asking = KeptAlive::on(http);
    asking.ask();
    // The cluster of one listener has another host now.
    let text = fs::read_to_string(home.path("conf/mosn.json")).expect("it is ours");
    let mut document: Value = serde_json::from_str(&text).expect("it is JSON");
    document["cluster_manager"]["clusters"][0]["hosts"][0]["address"] = json!("127.0.0.1:9");
    fs::write(home.path("conf/mosn.json"), document.to_string()).expect("it is ours");

    let _new = running(&home);
    asking.ask();
    old.says_part("[reconfigure] connections stay since its host is not there");
    standing.exchange().expect("it is served by the old one");
    assert!(!old.has_ended());
    standing.finish().expect("it ends when it wishes");

    let (code, said) = old.ends();
    assert_eq!(code, Some(0), "{said}");
    let stayed = "moved 1 connections (1 between requests, 0 relays), 1 stayed: 1 since its host is not there";
    assert!(said.contains(stayed), "{said}");
}

#[cfg(feature = "fault-injection")]
#[test]
fn a_successor_that_is_killed_as_connections_move_takes_none_along_that_was_not_released() {
    for step in ["receive:connection", "send:held"] {
        let (home, [http, bytes, _]) = home(echo());
        let mut old = running(&home);
        let mut pairs: Vec<_> = (0..40)
            .map(|_| Client::served(bytes).expect("it accepts"))
            .collect();
        let mut under_way = KeptAlive::on(http);
        under_way.send("/slow");
        let mut new = starting(&home, &[("BANYAN_UPGRADE_FAULT", &format!("{step}:kill"))]);

        assert_eq!(new.code(), None, "{step}");

        let lines = head(&mut under_way.stream).expect("it is answered");
        assert!(lines[0].contains("200"), "{lines:?}");
        assert!(
            lines
                .iter()
                .any(|line| line.eq_ignore_ascii_case("connection: close")),
            "{lines:?}"
        );
        for pair in &mut pairs {
            pair.exchange().expect("it goes on");
        }
        pairs
            .into_iter()
            .for_each(|pair| pair.finish().expect("it goes on"));
        let (code, said) = old.ends();
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("moved 0 connections"), "{said}");
    }
}

#[test]
fn a_host_that_is_down_stays_down_and_its_log_goes_on() {
    let gone = free_address();
    let mut document = configuration(&free_address().to_string(), &gone.to_string());
    let home = Home::new();
    let log = home.path("logs/health.log");
    document["cluster_manager"]["clusters"][0]["health_check"] = json!({
        "service_name": "s", "timeout": "1s", "interval": "200ms",
        "initial_delay_seconds": "100ms", "unhealthy_threshold": 3,
        "event_log_path": log.to_string_lossy(), "event_log_format": "json",
    });
    fs::write(home.path("conf/mosn.json"), document.to_string()).expect("it is ours");
    let results = || -> Vec<Value> {
        let said = fs::read_to_string(&log).unwrap_or_default();
        let (whole, _) = said.rsplit_once('\n').unwrap_or_default();
        let lines = whole.lines().map(serde_json::from_str);
        lines.collect::<Result<_, _>>().expect("each is JSON")
    };
    let count = |key: &str, is: u64| results().iter().filter(|one| one[key] == is).count();
    let mut old = running(&home);
    until("the host is down", || count("status_changed", 1) == 1);

    for _ in 0..2 {
        let new = running(&home);
        assert_eq!(old.code(), Some(0));
        let before = results().len();
        until("it is probed on", || results().len() > before + 2);
        old = new;
    }

    // As if one process had probed all along: no failure is lost or counted twice, and the host is
    // found to be down once.
    let results = results();
    let failures = results.iter().filter_map(|one| one["failures"].as_u64());
    let mut failures: Vec<_> = failures.collect();
    failures.sort_unstable();
    let all: Vec<_> = (1..).take(results.len()).collect();
    assert_eq!(failures, all, "{results:?}");
    assert_eq!(count("status_changed", 1), 1, "{results:?}");
    assert_eq!(count("health_status", 1), 2, "{results:?}");
}

#[test]
fn a_host_that_was_ejected_stays_so() {
    let (home, [http, ..]) = home(echo());
    let bad = free_address();
    let text = fs::read_to_string(home.path("conf/mosn.json")).expect("it is ours");
    let mut document: Value = serde_json::from_str(&text).expect("it is JSON");
    let web = &mut document["cluster_manager"]["clusters"][1];
    web["lb_type"] = json!("LB_ROUNDROBIN");
    web["hosts"]
        .as_array_mut()
        .expect("it is a list")
        .push(json!({ "address": bad.to_string() }));
    web["outlier_detection"] = json!({
        "consecutive_local_origin_failure": 1, "base_ejection_time": "600s",
    });
    let admin = json!({ "address": "127.0.0.1", "port_value": 0 });
    document["admin"] = json!({ "address": { "socket_address": admin } });
    fs::write(home.path("conf/mosn.json"), document.to_string()).expect("it is ours");
    let state = || {
        let socket = home.path("conf/banyan.sock");
        let status = ask_socket(&socket, "GET", "/api/v2/status", "").json();
        let clusters = status["clusters"].as_array().cloned().unwrap_or_default();
        let web = clusters.iter().find(|one| one["name"] == "web");
        let hosts = web.and_then(|web| web["hosts"].as_array()).cloned();
        let of_bad = hosts.into_iter().flatten();
        let mut of_bad = of_bad.filter(|host| host["address"] == bad.to_string());
        of_bad.next().expect("it is there")
    };
    let mut old = running(&home);
    let mut client = KeptAlive::on(http);
    until("the host is ejected", || {
        client.ask();
        state()["ejected"] == true
    });

    let _new = running(&home);
    assert_eq!(old.code(), Some(0));

    let kept = state();
    assert_eq!(
        (&kept["ejected"], &kept["ejections"]),
        (&json!(true), &json!(1)),
        "{kept:#}"
    );
    (0..10).for_each(|_| client.ask());
    assert_eq!(state()["connections_total"], kept["connections_total"]);
}
