//! A process that takes over from another one.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::thread::{self, JoinHandle};

use nix::sys::signal::Signal;

use crate::home::{Home, PATIENCE, Process, configuration, listener, until};
use crate::peers::{Client, echo};

/// A home whose listener has a port of its own, so that a cold start finds it again.
pub(crate) fn home() -> (Home, SocketAddr) {
    let address = free_address();
    let home = Home::of(&configuration(&address.to_string(), &echo().to_string()));
    (home, address)
}

/// Below the ports that the kernel hands out to clients.
pub(crate) fn free_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_mul(97) + NEXT.fetch_add(1, Relaxed);
        let port = u16::try_from(15_000 + number % 15_000).expect("it is below 30,000");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// Short waits, so that a test is.
pub(crate) const SHORT: [(&str, &str); 2] = [
    ("BANYAN_UPGRADE_TIMEOUT_S", "5"),
    ("BANYAN_UPGRADE_PROBATION_S", "1"),
];

pub(crate) fn starting(home: &Home, variables: &[(&str, &str)]) -> Process {
    let mut command = home.command("start --log-output stderr");
    command.envs(SHORT).envs(variables.iter().copied());
    Process::of(&mut command)
}

pub(crate) fn running(home: &Home) -> Process {
    let mut process = starting(home, &[]);
    process.says("/logs/mosn.pid");
    process
}

fn upgraded(home: &Home, flags: &str) -> Output {
    let mut command = home.command(&format!("upgrade --wait {flags}"));
    command.output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Connects again and again, each time for one exchange, until it is stopped.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<(u32, Vec<String>)>>,
}

impl Load {
    pub(crate) fn on(to: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let one = |_| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                let (mut done, mut wrong) = (0, vec![]);
                while !stop.load(Relaxed) {
                    let served = Client::served(to).and_then(Client::finish);
                    match served {
                        Ok(()) => done += 1,
                        Err(error) => wrong.push(format!("{:?}: {error}", error.kind())),
                    }
                }
                (done, wrong)
            })
        };
        let threads = (0..3).map(one).collect();
        Self { stop, threads }
    }

    /// How many were served, and what went wrong with the others.
    pub(crate) fn ends(self) -> (u32, Vec<String>) {
        self.stop.store(true, Relaxed);
        let ends = self
            .threads
            .into_iter()
            .map(|one| one.join().expect("it does not panic"));
        ends.fold((0, vec![]), |(done, mut wrong), (more, others)| {
            wrong.extend(others);
            (done + more, wrong)
        })
    }
}

pub(crate) fn pid_in(home: &Home) -> Option<u32> {
    let text = fs::read_to_string(home.path("logs/mosn.pid")).ok()?;
    text.trim().parse().ok()
}

/// Kills the process that is in charge when the test ends, however it does: nobody else holds one
/// that was not started by the test.
pub(crate) struct Orphan<'h>(pub(crate) &'h Home);

impl Drop for Orphan<'_> {
    fn drop(&mut self) {
        if let Some(pid) = pid_in(self.0).and_then(|pid| i32::try_from(pid).ok()) {
            // It may have ended.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

pub(crate) fn inode(home: &Home) -> u64 {
    let socket = fs::symlink_metadata(home.path("conf/reconfig.sock"));
    socket.expect("it is there").ino()
}

#[test]
fn upgrades_in_a_row_refuse_and_cut_nobody() {
    let (home, to) = home();
    let mut old = running(&home);
    let load = Load::on(to);
    for _ in 0..3 {
        let mut new = starting(&home, &[]);
        new.says("/logs/mosn.pid");
        let (code, said) = old.ends();
        assert_eq!(code, Some(0), "{said}");
        assert!(
            said.contains("[stagemanager] state changed to 13"),
            "{said}"
        );
        assert_eq!(pid_in(&home), Some(new.id()));
        old = new;
    }
    let (done, wrong) = load.ends();
    assert_eq!(wrong, Vec::<String>::new());
    assert!(done > 100, "{done}");
    old.signal(Signal::SIGTERM);
    assert_eq!(old.code(), Some(0));
    assert_eq!(home.files().len(), 3, "{:?}", home.files().keys());
}

fn exchange(socket: &Path) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"hello")?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer)?;
    Ok(text(&answer))
}

#[test]
fn unix_listeners_and_any_port_stay_where_they_are() {
    let mut document = configuration("127.0.0.1:0", &echo().to_string());
    let home = Home::new();
    let path = home.path("app.sock");
    let mut local = listener("local", &path.to_string_lossy());
    local["network"] = "unix".into();
    let listeners = document["servers"][0]["listeners"].as_array_mut();
    listeners.expect("it is a list").push(local);
    fs::write(home.path("conf/mosn.json"), document.to_string()).expect("it is ours");
    let mut old = starting(&home, &[("BANYAN_WORKERS", "4")]);
    old.is_running();
    let to = old.address();
    for workers in ["1", "3", "2"] {
        let mut new = starting(&home, &[("BANYAN_WORKERS", workers)]);
        new.says("/logs/mosn.pid");
        assert_eq!(old.code(), Some(0));
        assert_eq!(exchange(&path).expect("it accepts"), "hello");
        // Every queue has somebody who looks at it.
        for _ in 0..40 {
            Client::served(to)
                .and_then(Client::finish)
                .expect("it accepts");
        }
        old = new;
    }
    old.signal(Signal::SIGTERM);
    assert_eq!(old.code(), Some(0));
    assert!(!path.exists());
}

#[test]
fn listeners_come_and_go_with_an_upgrade() {
    let (home, gone) = home();
    let mut old = running(&home);
    let standing = Client::served(gone).expect("it accepts");
    let added = free_address();
    let document = configuration(&added.to_string(), &echo().to_string());
    fs::write(home.path("conf/mosn.json"), document.to_string()).expect("it is ours");

    let new = running(&home);

    Client::served(added)
        .and_then(Client::finish)
        .expect("it accepts");
    until("the old listener is gone", || {
        TcpStream::connect(gone).is_err()
    });
    standing.finish().expect("it ends when it wishes");
    assert_eq!(old.code(), Some(0));
    drop(new);
}

#[test]
fn a_command_and_a_signal_start_a_successor() {
    let (home, to) = home();
    let _orphan = Orphan(&home);
    let mut first = running(&home);
    assert_eq!(
        fs::metadata(home.path("conf/reconfig.sock"))
            .expect("it is there")
            .permissions()
            .mode()
            & 0o777,
        0o600
    );
    let output = upgraded(&home, "");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(first.code(), Some(0));
    let second = pid_in(&home).expect("it runs");
    assert_eq!(
        text(&output.stdout),
        format!("process {second} has taken over\n")
    );

    let kill = |signal| {
        let pid = i32::try_from(pid_in(&home).expect("it runs")).expect("it is a pid");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).expect("it runs");
    };
    kill(Signal::SIGUSR2);
    until("another one is in charge", || {
        pid_in(&home).is_some_and(|pid| pid != second)
    });
    Client::served(to)
        .and_then(Client::finish)
        .expect("it serves");
    kill(Signal::SIGTERM);
    until("it has ended", || pid_in(&home).is_none());
}

/// A program that does this instead of being a proxy.
pub(crate) fn program(home: &Home, script: &str) -> String {
    let name: String = script.chars().filter(char::is_ascii_alphanumeric).collect();
    let path = home.path(&name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("it is ours");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    path.to_string_lossy().into_owned()
}

#[test]
fn a_successor_that_is_not_fit_changes_nothing_and_its_fault_is_named() {
    let (home, to) = home();
    let _orphan = Orphan(&home);
    let old = running(&home);
    let load = Load::on(to);
    let (socket, pid) = (inode(&home), pid_in(&home));
    let occupied = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let taken = occupied.local_addr().expect("it is bound").to_string();
    let bad = home.path("conf/bad.json");
    fs::write(
        &bad,
        r#"{ "servers": [{ "listeners": [{ "address": 80 }] }] }"#,
    )
    .expect("it is ours");
    let busy = home.path("conf/busy.json");
    let document = configuration(&taken, &echo().to_string());
    fs::write(&busy, document.to_string()).expect("it is ours");
    for (flags, cause) in [
        (format!("--config {}", bad.display()), "bad.json:1:"),
        (
            format!("--config {}", busy.display()),
            &*format!("cannot listen on {taken}"),
        ),
        (
            format!("--binary {}", program(&home, "exit 7")),
            "exit status: 7",
        ),
        (
            format!("--binary {}", program(&home, "kill -SEGV $$")),
            "signal: 11",
        ),
        ("--binary /nowhere/at/all".to_owned(), "/nowhere/at/all"),
    ] {
        let output = upgraded(&home, &flags);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(76), "{told}");
        assert!(told.contains(cause), "{cause}: {told}");
        assert_eq!((inode(&home), pid_in(&home)), (socket, pid), "{cause}");
    }
    let late = program(&home, "sleep 1; exit 3");
    let told = text(&upgraded(&home, &format!("--binary {late}")).stderr);
    assert!(told.contains("exit status: 3"), "{told}");
    let never = program(&home, "exec sleep 600");
    let told = text(&upgraded(&home, &format!("--binary {never}")).stderr);
    assert!(told.contains("was not ready within"), "{told}");
    assert_eq!((inode(&home), pid_in(&home)), (socket, pid));

    let output = upgraded(&home, "");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let (_, wrong) = load.ends();
    assert_eq!(wrong, Vec::<String>::new());
    drop(old);
}

#[test]
fn a_predecessor_that_says_nothing_is_given_up_in_time_and_left_alone() {
    let (home, _) = home();
    let path = home.path("conf/reconfig.sock");
    let silent = UnixListener::bind(&path).expect("it is ours");
    let before = home.files();
    let waits = thread::spawn(move || {
        let (stream, _) = silent.accept().expect("it is called");
        (silent, stream)
    });

    let mut process = starting(&home, &[("BANYAN_UPGRADE_TIMEOUT_S", "1")]);

    let (code, said) = process.ends();
    assert_eq!(code, Some(76), "{said}");
    for line in [
        "[ERROR] [server] InheritListeners accept error: nothing came within",
        "[ERROR] [mosn] [NewMosn] getInheritListeners failed, exit",
        "[ERROR] [start] failed to start application at stage: 2",
        "[INFO] [stagemanager] state changed to 11",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let _held = waits.join().expect("it was called");
    UnixStream::connect(&path).expect("it is still there");
    assert_eq!(home.files(), before);
}

#[test]
fn one_at_a_time_and_the_others_are_told() {
    let (home, to) = home();
    let mut old = running(&home);
    let load = Load::on(to);
    let mut starters: Vec<_> = (0..20).map(|_| starting(&home, &[])).collect();
    until("the old one has left", || old.has_ended());
    let mut winners = 0;
    for starter in &mut starters {
        if pid_in(&home) == Some(starter.id()) {
            winners += 1;
            continue;
        }
        let (code, said) = starter.ends();
        assert_eq!(code, Some(75), "{said}");
        assert!(said.contains("is busy: an upgrade is under way"), "{said}");
    }
    assert_eq!(winners, 1);
    let (_, wrong) = load.ends();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn sighup_starts_a_successor_where_mosn_s_way_is_wanted() {
    let (home, _) = home();
    let _orphan = Orphan(&home);
    let mut command = home.command("start --log-output stderr --mosn-sighup");
    let mut first = Process::of(command.envs(SHORT));
    first.says("/logs/mosn.pid");

    first.signal(Signal::SIGHUP);

    assert_eq!(first.code(), Some(0));
    let second = pid_in(&home).expect("it runs");
    assert_ne!(second, first.id());
    // And so does its successor.
    let pid = nix::unistd::Pid::from_raw(i32::try_from(second).expect("it is a pid"));
    nix::sys::signal::kill(pid, Signal::SIGHUP).expect("it runs");
    until("another one is in charge", || {
        pid_in(&home).is_some_and(|pid| pid != second)
    });
}
