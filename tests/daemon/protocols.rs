//! Several protocols on one port.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::admin::Admin;
use crate::home::{Home, PATIENCE, Process};
use crate::load::{Origin, command};
use crate::upgrade::{running, starting};

/// A listener with this `proxy` and a `tcp_proxy` behind it.
///
/// Calls of a service go to the cluster `calls`, other requests to `pages`, the rest to `rest`.
pub(crate) fn configuration(proxy: &Value, clusters: &[(&str, &str)]) -> Value {
    let to = |cluster: &str| json!({ "cluster_name": cluster });
    let service = json!({ "headers": [{ "name": "service", "value": ".*", "regex": true }] });
    let clusters = clusters.iter().map(|(name, host)| {
        json!({ "name": name, "type": "SIMPLE", "lb_type": "LB_RANDOM",
                "hosts": [{ "address": host }] })
    });
    json!({
        "servers": [{
            "routers": [{ "router_config_name": "r", "virtual_hosts": [{
                "name": "all", "domains": ["*"], "routers": [
                    { "match": service, "route": to("calls") },
                    { "match": { "prefix": "/" }, "route": to("pages") },
                ] }] }],
            "listeners": [{
                "name": "app", "address": "127.0.0.1:0", "bind_port": true,
                "filter_chains": [{ "filters": [
                    { "type": "proxy", "config": proxy },
                    { "type": "tcp_proxy", "config": { "cluster": "rest" } },
                ] }] }] }],
        "cluster_manager": { "clusters": clusters.collect::<Vec<_>>() },
    })
}

pub(crate) fn auto(timeout: &str) -> Value {
    json!({ "downstream_protocol": "Auto", "router_config_name": "r",
            "fallback_for_unknown_protocol": true, "detection_timeout": timeout })
}

fn ends(mut process: Process) {
    process.signal(Signal::SIGINT);
    assert_eq!(process.code(), Some(0));
}

#[test]
fn pages_calls_and_plain_bytes_share_a_port() {
    let (pages, calls, rest) = (
        Origin::start("http"),
        Origin::start("bolt"),
        Origin::start("tcp"),
    );
    let hosts = [
        ("pages", &*pages.address),
        ("calls", &calls.address),
        ("rest", &rest.address),
    ];
    let home = Home::of(&configuration(&auto("60s"), &hosts));
    let process = home.started();
    let place = process.address();

    let load = |scheme: &str| -> Child {
        let line = format!("load --json -q -n 300 -c 6 {scheme}://{place}");
        command(&line).spawn().expect("it runs")
    };
    for child in ["http", "sofarpc", "tcp"].map(load) {
        let output = child.wait_with_output().expect("it is our child");
        let report: Value = serde_json::from_slice(&output.stdout).expect("it reports");
        assert_eq!(report["requests"]["succeeded"], 300, "{report}");
    }
    ends(process);
}

/// What a server says that speaks first, and how long that took to come.
fn greeted(place: SocketAddr) -> Duration {
    let begin = Instant::now();
    let mut client = TcpStream::connect(place).expect("it listens");
    client.set_read_timeout(Some(PATIENCE)).expect("it is open");
    let mut greeting = [0; 4];
    client.read_exact(&mut greeting).expect("it is greeted");
    assert_eq!(&greeting, b"220 ");
    begin.elapsed()
}

#[test]
fn where_servers_speak_first_only_the_first_client_waits_of_two_processes() {
    let server = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let host = server.local_addr().expect("it is bound").to_string();
    thread::spawn(move || {
        for mut client in server.incoming().flatten() {
            // Who went away wanted no greeting.
            let _gone = client.write_all(b"220 ");
        }
    });
    let hosts = ["pages", "calls", "rest"].map(|name| (name, &*host));
    let home = Home::of(&configuration(&auto("3s"), &hosts));
    let mut process = starting(&home, &[]);
    process.is_running();
    let place = process.address();

    let first = greeted(place);
    assert!(first >= Duration::from_secs(3), "{first:?}");
    let second = greeted(place);
    assert!(second < Duration::from_secs(3), "{second:?}");
    let successor = running(&home);
    assert_eq!(process.code(), Some(0));
    let third = greeted(place);
    assert!(third < Duration::from_secs(3), "{third:?}");
    ends(successor);
}

#[test]
fn without_a_fallback_what_is_unknown_is_closed_and_logged() {
    let hosts = ["pages", "calls", "rest"].map(|name| (name, "127.0.0.1:9"));
    let proxy = json!({ "downstream_protocol": "bolt,Http1", "router_config_name": "r" });
    let home = Home::of(&configuration(&proxy, &hosts));
    let mut process = home.started();

    let mut client = TcpStream::connect(process.address()).expect("it listens");
    client.set_read_timeout(Some(PATIENCE)).expect("it is open");
    client.write_all(b"SSH-2.0-x\r\n").expect("it is open");
    // It may be reset: nobody has read what came.
    let read = client.read(&mut [0]);
    assert!(read.as_ref().map_or(true, |read| *read == 0), "{read:?}");
    process.says_part("Protocol Auto error magic :[83 83 72 45 50 46 48 45 120 13]");
    ends(process);
}

#[test]
fn what_is_known_and_not_spoken_is_called_by_its_name() {
    let rest = Origin::start("tcp");
    let hosts = ["pages", "calls", "rest"].map(|name| (name, &*rest.address));
    let dubbo = [&[0xda, 0xbb, 0xc2, 0][..], &[0; 12]].concat();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let known = [
        ("HTTP/2", preface, "http2"),
        ("Dubbo", dubbo, "dubbo"),
        (
            "Dubbo over Thrift",
            vec![0, 0, 0, 50, 0xda, 0xbc],
            "dubbo_thrift",
        ),
        ("Tars", vec![0, 0, 1, 0, 0x10, 1], "tars"),
    ];
    let closed = json!({ "downstream_protocol": "Auto", "router_config_name": "r" });
    let listed = json!({ "downstream_protocol": "bolt,Http1", "router_config_name": "r" });
    let mut listed_too = auto("60s");
    listed_too["downstream_protocol"] = json!("Http1,dubbo,tars,dubbo-thrift,bolt,Http2");
    for proxy in [closed, listed, auto("60s"), listed_too] {
        let has_fallback = proxy["fallback_for_unknown_protocol"] == true;
        let mut admin = Admin::of(&configuration(&proxy, &hosts), "");
        for (title, begins, counter) in &known {
            let mut client = TcpStream::connect(admin.process.address()).expect("it listens");
            client.set_read_timeout(Some(PATIENCE)).expect("it is open");
            client.set_nodelay(true).expect("it is open");
            for piece in begins.chunks(1) {
                // The last one may come too late.
                let _ = client.write_all(piece);
            }
            let what = match has_fallback {
                true => "goes to the filter behind",
                false => "is closed",
            };
            admin.process.says_part(&format!(
                "Protocol Auto error: {title} is not spoken yet: a connection of listener `app` {what}"
            ));
            if has_fallback {
                let mut back = vec![0; begins.len()];
                client.read_exact(&mut back).expect("it is relayed");
                assert_eq!(&back, begins);
            }
            let metrics = admin.get("/metrics").body;
            let counted = format!("downstream_connection_{counter}_unspoken{{listener=\"app\"}} 1");
            assert!(metrics.contains(&counted), "{counted}\n{metrics}");
        }
        ends(admin.process);
    }
}
