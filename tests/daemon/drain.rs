//! What a signal does to the connections of a process.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::home::{Home, Process, configuration, until};
use crate::peers::{Client, echo};

/// A process before an origin that echoes.
fn serving(flags: &str) -> (Home, Process) {
    let home = Home::of(&configuration("127.0.0.1:0", &echo().to_string()));
    let process = home.started_with(flags);
    (home, process)
}

fn clients(process: &Process, count: usize) -> Vec<Client> {
    let to = process.address();
    let client = || Client::served(to).expect("it accepts");
    (0..count).map(|_| client()).collect()
}

fn refuses(to: SocketAddr) -> bool {
    TcpStream::connect(to).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

#[test]
fn sigterm_lets_connections_in_flight_finish_and_refuses_new_ones() {
    let (home, mut process) = serving("");
    let mut clients = clients(&process, 30);

    process.signal(Signal::SIGTERM);

    process.says("[stagemanager] state changed to 8");
    until("nothing listens", || refuses(process.address()));
    assert!(home.path("logs/mosn.pid").exists(), "it still runs");
    for client in &mut clients {
        client.exchange().expect("it is not cut");
    }
    let last = clients.pop().expect("there are some");
    for client in clients {
        client.finish().expect("it ends when it wishes");
    }
    assert!(!process.has_ended(), "a connection is left");
    last.finish().expect("it ends when it wishes");
    let (code, said) = process.ends();
    assert_eq!(code, Some(0));
    assert!(said.contains("drained"), "{said}");
    assert!(!home.path("logs/mosn.pid").exists());
}

#[test]
fn the_end_says_what_each_host_has_carried() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let host = echo();
        let home = Home::of(&configuration("127.0.0.1:0", &host.to_string()));
        let mut process = home.started();
        for client in clients(&process, 7) {
            client.finish().expect("it is served");
        }
        // Nobody waits for these at SIGINT, and their leases are given back all the same.
        let left = clients(&process, 3);

        process.signal(signal);

        if signal == Signal::SIGTERM {
            drop(left);
        }
        let (code, said) = process.ends();
        let line = format!(
            "[INFO] [upstream] cluster `c` host {host}: connections 0 active, 10 total, 0 failed\n"
        );
        assert_eq!(said.matches(&line).count(), 1, "{signal}: {said}");
        assert_eq!(code, Some(0));
    }
}

/// Connects again and again, and talks some times over each connection, until it is refused.
/// Whoever has been answered once must be answered to the end.
fn load(to: SocketAddr, stopping: &AtomicBool) -> Result<u32, String> {
    for done in 0.. {
        let mut client = match Client::served(to) {
            Ok(client) => client,
            // Nobody has taken up a connection that was still in the kernel's queue.
            Err(_) if stopping.load(Relaxed) => return Ok(done),
            Err(error) => return Err(format!("before the signal: {error}")),
        };
        for _ in 0..5 {
            let answered = client.exchange();
            answered.map_err(|error| format!("cut in flight: {error}"))?;
        }
        let ended = client.finish();
        ended.map_err(|error| format!("cut at its end: {error}"))?;
    }
    unreachable!("it ends when it is refused")
}

#[test]
fn sigterm_under_load_cuts_nobody() {
    let (_home, mut process) = serving("");
    let to = process.address();
    let stopping = Arc::new(AtomicBool::new(false));
    let start = |_| {
        let stopping = Arc::clone(&stopping);
        thread::spawn(move || load(to, &stopping))
    };
    let loads: Vec<_> = (0..8).map(start).collect();
    let standing = clients(&process, 8);

    stopping.store(true, Relaxed);
    process.signal(Signal::SIGTERM);

    for load in loads {
        let done = load.join().expect("it does not panic");
        assert_eq!(done.err(), None);
    }
    for client in standing {
        client.finish().expect("it is not cut");
    }
    process.says("drained");
    assert_eq!(process.code(), Some(0));
}

#[test]
fn the_drain_time_ends_what_is_left() {
    let (_home, mut process) = serving("--drain-time-s 1");
    let clients = clients(&process, 3);
    let signalled = Instant::now();

    process.signal(Signal::SIGTERM);

    process.says("drain time is over: connections were cut connections=3");
    assert!(signalled.elapsed() >= Duration::from_secs(1));
    assert_eq!(process.code(), Some(0));
    for client in clients {
        client.sees_its_end();
    }
}

#[test]
fn a_process_started_beside_one_that_drains_is_told_how_long_that_may_take() {
    let (home, mut process) = serving("");
    let client = Client::served(process.address()).expect("it accepts");
    process.signal(Signal::SIGTERM);
    process.says_part("[stagemanager] state changed to 8");

    let (code, said) = home.starting("start --log-output stderr").ends();

    assert_eq!(code, Some(75), "{said}");
    let why = format!("process {} is busy: it drains, for at most ", process.id());
    assert!(said.contains(&why), "{said}");
    client.finish().expect("it is served to its end");
    assert_eq!(process.code(), Some(0));
}

#[test]
fn a_second_signal_ends_a_drain_at_once() {
    for second in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT] {
        let (home, mut process) = serving("");
        let clients = clients(&process, 3);
        process.signal(Signal::SIGTERM);
        process.says("[stagemanager] state changed to 8");

        process.signal(second);

        assert_eq!(process.code(), Some(0), "{second}");
        for client in clients {
            client.sees_its_end();
        }
        assert!(!home.path("logs/mosn.pid").exists(), "{second}");
    }
}

#[test]
fn sigint_and_sigquit_wait_for_no_connection() {
    for signal in [Signal::SIGINT, Signal::SIGQUIT] {
        let (home, mut process) = serving("");
        let clients = clients(&process, 3);

        process.signal(signal);

        assert_eq!(process.code(), Some(0), "{signal}");
        for client in clients {
            client.sees_its_end();
        }
        assert!(!home.path("logs/mosn.pid").exists(), "{signal}");
    }
}

/// What the admin door answers to this path, over its socket.
fn asked(home: &Home, path: &str) -> String {
    let mut stream = UnixStream::connect(home.path("conf/banyan.sock")).expect("it is there");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

#[test]
fn a_drain_that_is_announced_accepts_until_its_wait_is_over() {
    let host = echo().to_string();
    let home = Home::of(&configuration("127.0.0.1:0", &host));
    let mut command = home.command("start --log-output stderr");
    command.env("BANYAN_PRE_DRAIN_WAIT_S", "2");
    let mut process = Process::of(&mut command);
    process.is_running();
    let to = process.address();
    assert!(asked(&home, "/readyz").starts_with("HTTP/1.1 200 "));

    process.signal(Signal::SIGTERM);

    until("it is not ready", || {
        asked(&home, "/readyz").starts_with("HTTP/1.1 503 ")
    });
    let client = Client::served(to).expect("it accepts still");
    let said = process.says("[stagemanager] state changed to 8");
    assert_eq!(said.matches("state changed to 7").count(), 1, "{said}");
    until("nothing listens", || refuses(to));
    client.finish().expect("it is not cut");
    assert_eq!(process.code(), Some(0));
}

#[test]
fn a_second_signal_ends_an_announced_drain_at_once() {
    for second in [Signal::SIGTERM, Signal::SIGINT] {
        let home = Home::of(&configuration("127.0.0.1:0", &echo().to_string()));
        let mut command = home.command("start --log-output stderr");
        command.env("BANYAN_PRE_DRAIN_WAIT_S", "600");
        let mut process = Process::of(&mut command);
        process.is_running();
        process.signal(Signal::SIGTERM);
        process.says("[stagemanager] state changed to 7");

        process.signal(second);

        assert_eq!(process.code(), Some(0), "{second}");
    }
}
