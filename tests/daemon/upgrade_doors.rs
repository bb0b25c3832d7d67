//! The doors of administrators and scrapers in an upgrade: they belong to whoever is in charge.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::home::{Home, PATIENCE, Process, configuration, until};
use crate::http::{Answer, exchange};
use crate::peers::echo;
use crate::upgrade::{free_address, pid_in, running, starting};

/// Where a process may be asked.
pub(crate) struct Doors {
    pub(crate) home: Home,
    pub(crate) admin: SocketAddr,
    pub(crate) sink: SocketAddr,
    pub(crate) socket: PathBuf,
}

impl Doors {
    pub(crate) fn new() -> Self {
        let (admin, sink) = (free_address(), free_address());
        let mut document = configuration(&free_address().to_string(), &echo().to_string());
        let address = json!({ "address": "127.0.0.1", "port_value": admin.port() });
        document["admin"] = json!({ "address": { "socket_address": address } });
        document["metrics"] =
            json!({ "sinks": [{ "type": "prometheus", "config": { "port": sink.port() } }] });
        let home = Home::of(&document);
        let socket = home.path("conf/banyan.sock");
        Self {
            home,
            admin,
            sink,
            socket,
        }
    }

    /// Who answers at the admin address and at the control socket.
    fn who(&self) -> [io::Result<u32>; 2] {
        let states = "GET /api/v1/states HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        let tcp = over_tcp(self.admin, states);
        let unix = UnixStream::connect(&self.socket).and_then(|stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            exchange(stream, states.as_bytes())
        });
        [tcp, unix].map(|answer| {
            let body = answer?.body;
            let pid = body
                .strip_prefix("pid=")
                .and_then(|rest| rest.split('&').next());
            let pid = pid.and_then(|pid| pid.parse().ok());
            pid.ok_or_else(|| io::Error::other(body))
        })
    }

    /// When the process was started that is scraped, in seconds.
    fn scraped(&self) -> io::Result<String> {
        let scrape = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        let page = over_tcp(self.sink, scrape)?.body;
        let mut lines = page.lines();
        let started = lines.find(|line| line.starts_with("process_start_time_seconds"));
        started
            .map(str::to_owned)
            .ok_or_else(|| io::Error::other(page))
    }

    /// Waits until one process answers at all doors.
    fn belong_to(&self, process: &Process) {
        until("the doors are its own", || {
            let is_its = |who: &io::Result<u32>| who.as_ref().is_ok_and(|pid| *pid == process.id());
            self.who().iter().all(is_its) && self.scraped().is_ok()
        });
    }
}

pub(crate) fn over_tcp(to: SocketAddr, request: &str) -> io::Result<Answer> {
    let stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    exchange(stream, request.as_bytes())
}

#[test]
fn a_successor_in_charge_has_the_admin_address_the_sink_and_the_control_socket() {
    let doors = Doors::new();
    let mut old = running(&doors.home);
    doors.belong_to(&old);
    let scraped = doors.scraped().expect("it is served");

    let mut new = running(&doors.home);

    assert_eq!(pid_in(&doors.home), Some(new.id()));
    doors.belong_to(&new);
    assert_eq!(old.code(), Some(0));
    doors.belong_to(&new);
    assert_ne!(doors.scraped().expect("it is served"), scraped);
    new.signal(Signal::SIGTERM);
    assert_eq!(new.code(), Some(0));
    assert!(!doors.socket.exists());
}

#[test]
fn a_door_that_cannot_be_opened_fails_the_upgrade() {
    let doors = Doors::new();
    let mut old = running(&doors.home);
    let path = doors.home.path("conf/mosn.json");
    let good = fs::read_to_string(&path).expect("it is ours");
    let occupied = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let taken = occupied.local_addr().expect("it is bound").port();
    let place = format!("\"port_value\":{}", doors.admin.port());
    assert!(good.contains(&place), "{good}");
    let other = good.replace(&place, &format!("\"port_value\":{taken}"));
    fs::write(&path, other).expect("it is ours");

    let (code, said) = starting(&doors.home, &[]).ends();

    assert_eq!(code, Some(76), "{said}");
    let why = format!("`admin`: cannot listen on 127.0.0.1:{taken}");
    assert!(said.contains(&why), "{said}");
    old.says_part(&why);
    doors.belong_to(&old);
    drop(occupied);
    let new = running(&doors.home);
    assert_eq!(pid_in(&doors.home), Some(new.id()));
    assert_eq!(old.code(), Some(0));
}

#[test]
fn a_successor_that_fails_leaves_the_doors_to_its_predecessor() {
    let doors = Doors::new();
    let patient = [("BANYAN_UPGRADE_PROBATION_S", "600")];
    let mut old = starting(&doors.home, &patient);
    old.says("/logs/mosn.pid");
    doors.belong_to(&old);
    let good = fs::read(doors.home.path("conf/mosn.json")).expect("it is ours");
    fs::write(doors.home.path("conf/mosn.json"), "{ \"servers\": 7 }").expect("it is ours");
    let (code, said) = starting(&doors.home, &[]).ends();
    assert_eq!(code, Some(1), "{said}");
    doors.belong_to(&old);

    // One that accepts and dies before it is trusted.
    fs::write(doors.home.path("conf/mosn.json"), good).expect("it is ours");
    let mut new = starting(&doors.home, &[]);
    new.says_part("[stagemanager] state changed to 6");
    new.signal(Signal::SIGKILL);
    assert_eq!(new.code(), None);

    doors.belong_to(&old);
    assert_eq!(pid_in(&doors.home), Some(old.id()));
    old.signal(Signal::SIGTERM);
    assert_eq!(old.code(), Some(0));
}
