//! The admin address, the control socket and the metrics port as sockets that a service manager
//! gives and keeps.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::{fs, thread};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::home::{Home, PATIENCE, Process, configuration, listener};
use crate::http::exchange;
use crate::peers::{Client, echo};
use crate::systemd::{Manager, Said, activated};
use crate::upgrade::{free_address, starting};
use crate::upgrade_doors::{Doors, over_tcp};

const STATES: &str = "GET /api/v1/states HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
const SCRAPE: &str = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// What is kept by a name that begins so, and the name.
fn kept(manager: &mut Manager, name: &str) -> (OwnedFd, String) {
    let is_it = |said: &Said| {
        let called = said.value("FDNAME").unwrap_or_default();
        said.has("FDSTORE=1") && called.starts_with(name)
    };
    let mut said = manager.hears(name, is_it);
    let called = said.value("FDNAME").expect("it has one").to_owned();
    (said.sockets.pop().expect("it comes with one"), called)
}

fn killed(process: &mut Process) {
    process.signal(Signal::SIGKILL);
    assert_eq!(process.code(), None);
}

fn inode(path: &Path) -> u64 {
    fs::metadata(path).expect("it is there").ino()
}

/// Who answers this request here, by its own word.
fn answers(to: SocketAddr, request: &str) -> String {
    over_tcp(to, request).expect("it is answered").body
}

#[test]
fn the_doors_outlive_a_crash_and_who_waits_there_is_answered() {
    let doors = Doors::new();
    let mut manager = Manager::at(&doors.home);
    let mut process = manager.starts(&doors.home, &[("BANYAN_WORKERS", "2")]);
    // In the order in which they are told.
    let (admin, of_admin) = kept(&mut manager, "stored-admin");
    kept(&mut manager, "stored-app");
    let (control, of_control) = kept(&mut manager, "stored-control");
    kept(&mut manager, "stored-metrics");
    let file = inode(&doors.socket);
    killed(&mut process);

    let (to, path) = (doors.admin, doors.socket.clone());
    let over_network = thread::spawn(move || answers(to, STATES));
    let over_socket = thread::spawn(move || {
        let stream = UnixStream::connect(path).expect("the manager holds it");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("it is a time");
        exchange(stream, STATES.as_bytes())
            .expect("it is answered")
            .body
    });
    let sockets = [(&admin, &*of_admin), (&control, &*of_control)];
    let mut again = activated(&doors.home, &sockets, &manager.path);
    let its = format!("pid={}&", again.id());

    for waiting in [over_network, over_socket] {
        let answer = waiting.join().expect("it is answered");
        assert!(answer.starts_with(&its), "{answer}");
    }
    let said = again.says("/logs/mosn.pid");
    assert!(!said.contains("was given is closed"), "{said}");
    assert!(!said.contains("it is tried again"), "{said}");
    assert_eq!(inode(&doors.socket), file);
    manager.rest();
    again.signal(Signal::SIGTERM);
    for name in [of_admin, of_control] {
        manager.hears(&format!("that {name} goes"), |said| {
            said.has("FDSTOREREMOVE=1") && said.value("FDNAME") == Some(&name)
        });
    }
    assert_eq!(again.code(), Some(0));
    assert!(!doors.socket.exists());
}

#[test]
fn the_metrics_port_outlives_a_crash() {
    let doors = Doors::new();
    let mut manager = Manager::at(&doors.home);
    let mut process = manager.starts(&doors.home, &[]);
    let (metrics, name) = kept(&mut manager, "stored-metrics");
    killed(&mut process);
    // The other sockets are lost.
    manager.rest();

    let to = doors.sink;
    let waiting = thread::spawn(move || answers(to, SCRAPE));
    let mut again = activated(&doors.home, &[(&metrics, &name)], &manager.path);

    let page = waiting.join().expect("it is answered");
    assert!(page.contains("process_start_time_seconds"), "{page}");
    let said = again.says("/logs/mosn.pid");
    assert!(!said.contains("was given is closed"), "{said}");
    again.signal(Signal::SIGTERM);
    assert_eq!(again.code(), Some(0));
}

#[test]
fn a_unix_socket_outlives_a_crash_with_who_waits_there() {
    let mut document = configuration("127.0.0.1:0", &echo().to_string());
    let home = Home::of(&document);
    let path = home.path("app.sock");
    let mut local = listener("local", &path.to_string_lossy());
    local["network"] = "unix".into();
    document["servers"][0]["listeners"] = json!([local]);
    fs::write(home.path("conf/mosn.json"), document.to_string()).expect("it is ours");
    let mut manager = Manager::at(&home);
    let mut process = manager.starts(&home, &[]);
    let (socket, name) = kept(&mut manager, "stored-local");
    let file = inode(&path);
    killed(&mut process);

    let there = path.clone();
    let waiting = thread::spawn(move || {
        let stream = UnixStream::connect(there).expect("the manager holds it");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("it is a time");
        let mut stream = stream;
        let mut answer = [0; 5];
        std::io::Write::write_all(&mut stream, b"hello").expect("it is held");
        std::io::Read::read_exact(&mut stream, &mut answer).expect("it is served");
        assert_eq!(&answer, b"hello");
    });
    let mut again = activated(&home, &[(&socket, &name)], &manager.path);

    waiting.join().expect("it is served");
    let said = again.says("/logs/mosn.pid");
    assert!(!said.contains("was given is closed"), "{said}");
    assert_eq!(inode(&path), file);
    again.signal(Signal::SIGTERM);
    assert_eq!(again.code(), Some(0));
    assert!(!path.exists());
}

#[test]
fn a_door_takes_the_socket_of_its_address_or_name() {
    let doors = Doors::new();
    let bound = |to: &str| TcpListener::bind(to).expect("a port is free");
    let by_address = bound(&doors.admin.to_string());
    let by_name = bound("127.0.0.1:0");
    let elsewhere = by_name.local_addr().expect("it is bound");
    let (by_address, by_name) = (OwnedFd::from(by_address), OwnedFd::from(by_name));

    let sockets = [(&by_address, "banyan.socket"), (&by_name, "metrics")];
    let mut process = activated(&doors.home, &sockets, "");
    let said = process.says("/logs/mosn.pid");

    assert!(!said.contains("was given is closed"), "{said}");
    let its = format!("pid={}&", process.id());
    assert!(answers(doors.admin, STATES).starts_with(&its));
    assert!(answers(elsewhere, SCRAPE).contains("process_start_time_seconds"));
    // Its own port is not bound beside that.
    TcpListener::bind(doors.sink).expect("nobody listens there");
    // The successor goes on with both.
    let mut new = starting(&doors.home, &[]);
    new.says("/logs/mosn.pid");
    assert_eq!(process.code(), Some(0));
    let its = format!("pid={}&", new.id());
    assert!(answers(doors.admin, STATES).starts_with(&its));
    assert!(answers(elsewhere, SCRAPE).contains("process_start_time_seconds"));
    new.signal(Signal::SIGTERM);
    assert_eq!(new.code(), Some(0));
}

#[test]
fn the_name_of_a_listener_is_that_listener_s_and_what_no_door_wants_is_said() {
    let (at, host) = (free_address(), echo().to_string());
    let mut document = configuration(&at.to_string(), &host);
    document["servers"][0]["listeners"][0]["name"] = json!("admin");
    let admin = json!({ "address": "127.0.0.1", "port_value": 0 });
    document["admin"] = json!({ "address": { "socket_address": admin } });
    let home = Home::of(&document);
    let lent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let to = lent.local_addr().expect("it is bound");
    let idle = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let (lent, idle) = (OwnedFd::from(lent), OwnedFd::from(idle));

    let mut process = activated(&home, &[(&lent, "admin"), (&idle, "metrics")], "");
    let said = process.says("/logs/mosn.pid");

    assert!(
        said.contains("the socket `metrics` at 127.0.0.1:"),
        "{said}"
    );
    assert!(!said.contains("the socket `admin`"), "{said}");
    let served = Client::served(to).and_then(Client::finish);
    served.expect("the listener has it");
    process.signal(Signal::SIGTERM);
    assert_eq!(process.code(), Some(0));
}
