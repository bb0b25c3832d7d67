//! What the process and its service manager say to each other: the manager is the test.

use std::collections::VecDeque;
use std::fs;
use std::io::IoSliceMut;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

use crate::home::{Home, PATIENCE, Process, configuration, listener};
use crate::peers::{Client, echo};
use crate::upgrade::{Orphan, free_address, home, pid_in, starting};

/// One message: its lines, and the descriptors with it.
#[derive(Debug)]
pub(crate) struct Said {
    lines: Vec<String>,
    pub(crate) sockets: Vec<OwnedFd>,
}

impl Said {
    pub(crate) fn has(&self, line: &str) -> bool {
        self.lines.iter().any(|said| said == line)
    }

    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        let mut values = self.lines.iter().filter_map(|line| line.strip_prefix(key));
        values.find_map(|rest| rest.strip_prefix('='))
    }
}

/// A service manager that listens.
pub(crate) struct Manager {
    socket: UnixDatagram,
    pub(crate) path: String,
    /// What was read over, the latest last.
    heard: VecDeque<Said>,
}

impl Manager {
    pub(crate) fn at(home: &Home) -> Self {
        let path = home.path("notify");
        let socket = UnixDatagram::bind(&path).expect("it is ours");
        Self::of(socket, path.to_string_lossy().into_owned())
    }

    /// One whose socket is no file.
    fn abstract_for(home: &Home) -> Self {
        let name = home.path("notify").to_string_lossy().into_owned();
        let address = SocketAddr::from_abstract_name(&name).expect("it is short");
        let socket = UnixDatagram::bind_addr(&address).expect("it is ours");
        Self::of(socket, format!("@{name}"))
    }

    fn of(socket: UnixDatagram, path: String) -> Self {
        socket
            .set_read_timeout(Some(Duration::from_millis(50)))
            .expect("it is a time");
        let heard = VecDeque::new();
        Self {
            socket,
            path,
            heard,
        }
    }

    pub(crate) fn starts(&self, home: &Home, variables: &[(&str, &str)]) -> Process {
        let mut all = vec![("NOTIFY_SOCKET", &*self.path)];
        all.extend_from_slice(variables);
        starting(home, &all)
    }

    /// The next message, if there is one soon.
    fn next(&self) -> Option<Said> {
        let mut bytes = [0; 4096];
        let mut space = nix::cmsg_space!([i32; 64]);
        let mut buffers = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let socket = self.socket.as_raw_fd();
        let received = recvmsg::<()>(socket, &mut buffers, Some(&mut space), flags).ok()?;
        let mut sockets = vec![];
        for message in received.cmsgs().expect("nothing is cut") {
            if let ControlMessageOwned::ScmRights(numbers) = message {
                #[expect(unsafe_code, reason = "they came over a socket and are nobody else's")]
                let own = |number| unsafe { OwnedFd::from_raw_fd(number) };
                sockets.extend(numbers.into_iter().map(own));
            }
        }
        let length = received.bytes;
        let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        let lines = text.lines().map(str::to_owned).collect();
        Some(Said { lines, sockets })
    }

    /// Reads on until a message is such.
    pub(crate) fn hears(&mut self, what: &str, is_it: impl Fn(&Said) -> bool) -> Said {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.next() {
                Some(said) if is_it(&said) => return said,
                Some(said) => self.heard.push_back(said),
                None if Instant::now() < deadline => {}
                None => panic!("it never said {what}, but {:#?}", self.heard),
            }
        }
    }

    fn hears_line(&mut self, line: &str) -> Said {
        self.hears(line, |said| said.has(line))
    }

    /// Everything that has been said and not been asked for.
    pub(crate) fn rest(&mut self) -> Vec<Said> {
        while let Some(said) = self.next() {
            self.heard.push_back(said);
        }
        self.heard.drain(..).collect()
    }
}

#[test]
fn the_manager_hears_of_start_reload_and_stop() {
    let (home, to) = home();
    let mut manager = Manager::at(&home);
    let mut process = manager.starts(&home, &[]);

    let ready = manager.hears_line("READY=1");
    TcpStream::connect(to).expect("it accepts when it says so");
    assert!(!ready.lines.iter().any(|line| line.starts_with("MAINPID")));
    assert_eq!(
        ready.value("STATUS"),
        Some("serving 1 listener, 0 connections")
    );
    let client = Client::served(to).expect("it accepts");
    manager.hears_line("STATUS=serving 1 listener, 1 connection");

    process.signal(Signal::SIGHUP);
    let reloading = manager.hears_line("RELOADING=1");
    let time = reloading.value("MONOTONIC_USEC").expect("it is there");
    assert!(time.parse::<u64>().expect("it is a number") > 0);
    manager.hears_line("READY=1");
    fs::write(home.path("conf/mosn.json"), "{").expect("it is ours");
    process.signal(Signal::SIGHUP);
    manager.hears_line("RELOADING=1");
    manager.hears_line("READY=1");
    manager.hears("why the reload was refused", |said| {
        let status = said.value("STATUS").unwrap_or_default();
        status.contains("the latest reload was refused: ") && status.contains("mosn.json:1:")
    });
    assert_eq!(
        manager
            .rest()
            .iter()
            .filter(|said| said.has("STOPPING=1"))
            .count(),
        0
    );

    process.signal(Signal::SIGTERM);
    let stopping = manager.hears_line("STOPPING=1");
    assert_eq!(
        stopping.value("STATUS"),
        Some("draining, 1 connection left")
    );
    assert_eq!(stopping.value("EXTEND_TIMEOUT_USEC"), Some("15000000"));
    // Again and again for as long as it drains.
    manager.hears_line("EXTEND_TIMEOUT_USEC=15000000");
    client.finish().expect("it is served to its end");
    assert_eq!(process.code(), Some(0));
}

#[test]
fn the_manager_may_have_an_abstract_socket() {
    let (home, _) = home();
    let mut manager = Manager::abstract_for(&home);
    let mut process = manager.starts(&home, &[]);
    manager.hears_line("READY=1");
    let kept = manager.hears_line("FDNAME=stored-app");
    assert!(!kept.sockets.is_empty());

    process.signal(Signal::SIGINT);

    manager.hears_line("STOPPING=1");
    assert_eq!(process.code(), Some(0));
}

#[test]
fn an_end_at_once_is_said_too() {
    let (home, _) = home();
    let mut manager = Manager::at(&home);
    let mut process = manager.starts(&home, &[]);
    manager.hears_line("READY=1");

    process.signal(Signal::SIGINT);

    manager.hears_line("STOPPING=1");
    assert_eq!(process.code(), Some(0));
}

#[test]
fn a_successor_becomes_the_main_process_and_its_predecessor_falls_silent() {
    let (home, _) = home();
    let mut manager = Manager::at(&home);
    let mut old = manager.starts(&home, &[]);
    manager.hears_line("READY=1");
    old.says("/logs/mosn.pid");
    // What is said to one process alone is not for the other.
    let mut new = manager.starts(&home, &[("WATCHDOG_USEC", "400000")]);

    let main = manager.hears_line(&format!("MAINPID={}", new.id()));

    assert!(main.has("READY=1"));
    assert_eq!(pid_in(&home), Some(new.id()));
    manager.hears_line("WATCHDOG=1");
    assert_eq!(old.code(), Some(0));
    assert!(manager.rest().iter().all(|said| !said.has("STOPPING=1")));
    new.signal(Signal::SIGTERM);
    manager.hears_line("STOPPING=1");
    assert_eq!(new.code(), Some(0));
}

/// A manager does not wait for a main process that is another's child: it kills it at once when it
/// is to stop it.
#[test]
fn a_successor_that_was_started_is_not_its_predecessors_child_when_it_becomes_the_main_process() {
    let (home, to) = home();
    let _orphan = Orphan(&home);
    let mut manager = Manager::at(&home);
    let mut old = manager.starts(&home, &[]);
    old.says("/logs/mosn.pid");
    // It stays with its process, which is there until it ends.
    let standing = Client::served(to).expect("it accepts");
    let elsewhere = configuration(&free_address().to_string(), &echo().to_string());
    fs::write(home.path("conf/mosn.json"), elsewhere.to_string()).expect("it is ours");

    old.signal(Signal::SIGUSR2);

    let main = manager.hears("MAINPID", |said| said.value("MAINPID").is_some());
    let status = format!("/proc/{}/status", main.value("MAINPID").expect("it is"));
    let status = fs::read_to_string(status).expect("it runs");
    let mut lines = status.lines();
    let parent = lines.find_map(|line| line.strip_prefix("PPid:\t"));
    let parent: u32 = parent.expect("there is one").parse().expect("a number");
    old.is_running();
    assert_ne!(parent, old.id());
    let between = fs::read(format!("/proc/{parent}/cmdline")).unwrap_or_default();
    let between = String::from_utf8_lossy(&between).into_owned();
    assert!(!between.contains("\0launch\0"), "{between}");
    standing.finish().expect("it ends when it wishes");
    assert_eq!(old.code(), Some(0));
}

#[cfg(feature = "fault-injection")]
#[test]
fn the_watchdog_is_fed_only_while_every_worker_answers() {
    let (home, _) = home();
    let mut manager = Manager::at(&home);
    let watchdog = ("WATCHDOG_USEC", "200000");
    let sound = manager.starts(&home, &[watchdog]);
    manager.hears_line("WATCHDOG=1");
    manager.hears_line("WATCHDOG=1");
    drop(sound);
    manager.rest();

    let mut held = manager.starts(&home, &[watchdog, ("BANYAN_FAULT", "hang Roster:1")]);

    held.says_part("gives no sign of life: the watchdog is not fed");
    manager.rest();
    // So many times it would have been fed.
    thread::sleep(Duration::from_secs(1));
    assert!(manager.rest().iter().all(|said| !said.has("WATCHDOG=1")));
}

#[test]
fn the_manager_keeps_the_ports_over_a_crash() {
    let (home, to) = home();
    let mut manager = Manager::at(&home);
    let mut process = manager.starts(&home, &[("BANYAN_WORKERS", "2")]);
    let stored = manager.hears_line("FDSTORE=1");
    assert_eq!(stored.value("FDNAME"), Some("stored-app"));
    assert_eq!(stored.sockets.len(), 2);
    process.signal(Signal::SIGKILL);
    assert_eq!(process.code(), None);

    // Nobody is refused in between: the queue is the manager's too.
    let waiting = thread::spawn(move || Client::served(to).and_then(Client::finish));
    let sockets: Vec<_> = stored
        .sockets
        .iter()
        .map(|one| (one, "stored-app"))
        .collect();
    let mut again = activated(&home, &sockets, &manager.path);

    let served = waiting.join().expect("it does not panic");
    served.expect("it is served");
    let said = again.says("/logs/mosn.pid");
    assert!(!said.contains("was given is closed"), "{said}");
    // What is taken down is kept no longer.
    manager.rest();
    let elsewhere = configuration(&free_address().to_string(), &echo().to_string());
    fs::write(home.path("conf/mosn.json"), elsewhere.to_string()).expect("it is ours");
    again.signal(Signal::SIGHUP);
    let gone = manager.hears_line("FDSTOREREMOVE=1");
    assert_eq!(gone.value("FDNAME"), Some("stored-app"));
    manager.hears_line("FDSTORE=1");
    again.signal(Signal::SIGTERM);
    manager.hears_line("FDSTOREREMOVE=1");
    assert_eq!(again.code(), Some(0));
}

/// Starts the process with these sockets, as a manager does: at most two, by ways on which nothing
/// that is started meanwhile comes by them.
pub(crate) fn activated(home: &Home, sockets: &[(&OwnedFd, &str)], notify: &str) -> Process {
    let daemon = home.command("start --log-output stderr");
    // The shell becomes the process, and so has its number.
    let script = "exec 3<&0 4<&1 0</dev/null 1>&2; export LISTEN_PID=$$; exec \"$@\"";
    let mut shell = Command::new("/bin/sh");
    shell.env_clear().args(["-c", script, "sh"]);
    shell.arg(daemon.get_program()).args(daemon.get_args());
    let names: Vec<_> = sockets.iter().map(|(_, name)| *name).collect();
    shell.env("LISTEN_FDS", sockets.len().to_string());
    shell.env("LISTEN_FDNAMES", names.join(":"));
    shell.env("NOTIFY_SOCKET", notify);
    let mut own = sockets
        .iter()
        .map(|(socket, _)| Stdio::from(socket.try_clone().expect("there are descriptors")));
    shell.stdin(own.next().unwrap_or_else(Stdio::null));
    shell.stdout(own.next().unwrap_or_else(Stdio::null));
    shell.stderr(Stdio::piped());
    Process::of(&mut shell)
}

#[test]
fn sockets_go_to_the_listener_of_their_address_or_name_and_the_others_are_said() {
    let by_address = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let by_name = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let place = |socket: &TcpListener| socket.local_addr().expect("it is bound");
    let mut document = configuration(&place(&by_address).to_string(), &echo().to_string());
    let listeners = document["servers"][0]["listeners"].as_array_mut();
    let named = listener("other", &free_address().to_string());
    listeners.expect("it is a list").push(named);
    let home = Home::of(&document);
    let (first, second) = (place(&by_address), place(&by_name));
    let (by_address, by_name) = (OwnedFd::from(by_address), OwnedFd::from(by_name));

    let sockets = [(&by_address, "banyan.socket"), (&by_name, "other")];
    let mut process = activated(&home, &sockets, "");
    let said = process.says("/logs/mosn.pid");
    assert!(!said.contains("was given is closed"), "{said}");
    for to in [first, second] {
        let served = Client::served(to).and_then(Client::finish);
        served.expect("it accepts there");
    }
    process.signal(Signal::SIGTERM);
    assert_eq!(process.code(), Some(0));

    let idle = OwnedFd::from(TcpListener::bind("127.0.0.1:0").expect("a port is free"));
    let mut process = activated(&home, &[(&by_address, "x"), (&idle, "idle")], "");
    process.says_part("the socket `idle` at 127.0.0.1:");
    process.says("/logs/mosn.pid");
    process.signal(Signal::SIGTERM);
    assert_eq!(process.code(), Some(0));
}
