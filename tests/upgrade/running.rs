//! A directory with a configuration, and the processes that run by it one after the other.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::load::{Front, Origins};

/// Threads that carry the traffic.
const WORKERS: usize = 2;

/// So many clients of HTTP have a request under way, and so many others a WebSocket.
const AT_ONCE: usize = 11;
const WEBSOCKETS: usize = 2;

/// How long anything may take before it is said that it never came.
const PATIENCE: Duration = Duration::from_secs(60);

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        sleep(Duration::from_millis(2));
    }
}

/// Where it is, and where its processes listen.
pub(crate) struct Home {
    directory: tempfile::TempDir,
    front: Front,
    /// The host of HTTP.
    host: SocketAddr,
}

/// Ports that are free, below those that the kernel hands out to clients.
fn addresses() -> [SocketAddr; 3] {
    let first = std::process::id() * 7;
    let mut free = (0..).filter_map(|next| {
        let port = u16::try_from(16_000 + (first + next) % 14_000).expect("it is below 30,000");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        TcpListener::bind(address).is_ok().then_some(address)
    });
    std::array::from_fn(|_| free.next().expect("ports are free"))
}

impl Home {
    pub(crate) fn new(origins: Origins) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let [http, tcp, admin] = addresses();
        let listener = |name: &str, address: SocketAddr, filter| {
            json!({ "name": name, "address": address.to_string(), "bind_port": true,
                    "filter_chains": [{ "filters": [filter] }] })
        };
        let cluster = |name: &str, host: SocketAddr| {
            json!({ "name": name, "type": "SIMPLE", "lb_type": "LB_RANDOM",
                    "hosts": [{ "address": host.to_string() }] })
        };
        let proxy = json!({ "type": "proxy", "config": {
            "downstream_protocol": "Http1", "upstream_protocol": "Http1", "cluster": "http" } });
        let relay = json!({ "type": "tcp_proxy", "config": { "cluster": "numbers" } });
        let document = json!({
            "servers": [{ "listeners": [listener("http", http, proxy), listener("tcp", tcp, relay)] }],
            "cluster_manager": { "clusters": [
                cluster("http", origins.http), cluster("numbers", origins.numbers)] },
            "admin": { "address": { "socket_address": {
                "address": admin.ip().to_string(), "port_value": admin.port() } } },
        });
        fs::create_dir(directory.path().join("conf")).expect("it is ours");
        let path = directory.path().join("conf/mosn.json");
        fs::write(path, document.to_string()).expect("it is ours");
        let admin = Some((admin, "/readyz"));
        Self {
            directory,
            front: Front { http, tcp, admin },
            host: origins.http,
        }
    }

    pub(crate) fn front(&self) -> Front {
        self.front
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The process that its pid file names.
    fn in_charge(&self) -> Option<u32> {
        let text = fs::read_to_string(self.path("logs/mosn.pid")).ok()?;
        text.trim().parse().ok()
    }

    /// A process that is in charge.
    pub(crate) fn started(&self) -> Process {
        let program = std::env::var_os("BANYAN");
        let program = program.unwrap_or_else(|| env!("CARGO_BIN_EXE_banyan").into());
        let mut log = File::options();
        log.create(true).append(true);
        let log = log.open(self.path("said")).expect("it is ours");
        let mut command = Command::new(program);
        command.env_clear().env("BANYAN_UPGRADE_PROBATION_S", "1");
        command.args(["start", "--workers", &WORKERS.to_string()]);
        command.args(["--log-output", "stderr", "-c"]);
        command.arg(self.path("conf/mosn.json"));
        let child = command.stdin(Stdio::null()).stderr(log).spawn();
        let mut process = Process(child.expect("it starts"));
        until("it is in charge", || {
            assert!(!process.has_ended(), "it has ended:\n{}", self.said());
            self.in_charge() == Some(process.0.id())
        });
        process
    }

    /// The end of what the processes have said.
    fn said(&self) -> String {
        let said = fs::read_to_string(self.path("said")).unwrap_or_default();
        let lines: Vec<_> = said.lines().rev().take(30).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    fn files(&self) -> BTreeSet<String> {
        let of = |name: &str| {
            let entries = fs::read_dir(self.path(name)).expect("it is ours");
            let path = |entry: std::io::Result<fs::DirEntry>| entry.expect("it is ours").path();
            entries
                .map(|entry| path(entry).display().to_string())
                .collect::<Vec<_>>()
        };
        ["conf", "logs"].into_iter().flat_map(of).collect()
    }
}

/// A process, killed when the test ends before it.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.try_wait().expect("it is our child").is_some()
    }

    /// Waits until it has ended by itself and well.
    pub(crate) fn leaves(mut self) {
        until("the old process leaves", || self.has_ended());
        let status = self.0.wait().expect("it is our child");
        assert_eq!(status.code(), Some(0));
    }

    pub(crate) fn stops(self) {
        let pid = i32::try_from(self.0.id()).expect("a pid is an i32");
        kill(Pid::from_raw(pid), Signal::SIGTERM).expect("it runs");
        self.leaves();
    }

    /// What it takes of the machine: the least of some looks, since the load comes and goes.
    pub(crate) fn takes(&self, home: &Home) -> Taken {
        // Once, since that table is long under load: what is opened later is in later looks alone.
        let to_host = sockets_to(home.host);
        let look = |_| {
            sleep(Duration::from_millis(10));
            let of = format!("/proc/{}", self.0.id());
            let status = fs::read_to_string(format!("{of}/status")).expect("it runs");
            let value = |key: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(key));
                let words = line.expect("it is there").split_whitespace().nth(0);
                words
                    .and_then(|word| word.parse().ok())
                    .expect("it is a number")
            };
            let descriptors = fs::read_dir(format!("{of}/fd")).expect("it runs");
            let leads_to =
                |one: std::io::Result<fs::DirEntry>| fs::read_link(one.ok()?.path()).ok();
            // One that has been closed meanwhile is none.
            let descriptors: Vec<_> = descriptors.filter_map(leads_to).collect();
            let pooled = descriptors.iter().filter(|one| to_host.contains(*one));
            let pooled = pooled.count();
            let others = descriptors.len() - pooled;
            [others, value("VmRSS:"), value("Threads:"), pooled]
        };
        let looks: Vec<[usize; 4]> = (0..20).map(look).collect();
        let least = |at: usize| {
            looks
                .iter()
                .map(|look| look[at])
                .min()
                .expect("there are some")
        };
        Taken {
            descriptors: least(0),
            memory_kib: least(1),
            threads: least(2),
            pooled: least(3),
            files: home.files(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Of a test that failed; otherwise it has ended.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// The sockets of this machine that are connected to there, as links to descriptors name them.
fn sockets_to(host: SocketAddr) -> HashSet<PathBuf> {
    let [a, b, c, d] = match host {
        SocketAddr::V4(host) => host.ip().octets(),
        SocketAddr::V6(_) => unreachable!("it is bound to 127.0.0.1"),
    };
    // The kernel writes an address as a number of this machine's order.
    let remote = format!(
        "{:08X}:{:04X}",
        u32::from_ne_bytes([a, b, c, d]),
        host.port()
    );
    let table = fs::read_to_string("/proc/net/tcp").expect("it is readable");
    let rows = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let connected = rows.filter(|row| row.get(2) == Some(&remote.as_str()));
    let inodes = connected.filter_map(|row| row.get(9).map(|inode| format!("socket:[{inode}]")));
    inodes.map(PathBuf::from).collect()
}

/// What a process takes of the machine.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    /// But for those below.
    descriptors: usize,
    /// Connections to the host of HTTP.
    pooled: usize,
    memory_kib: usize,
    threads: usize,
    files: BTreeSet<String>,
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            descriptors,
            pooled,
            memory_kib,
            threads,
            files,
        } = self;
        let files = files.len();
        write!(
            f,
            "{descriptors} descriptors and {pooled} of connections to the host of HTTP, \
             {memory_kib} KiB, {threads} threads, {files} files"
        )
    }
}

impl Taken {
    /// Nothing is left behind from one process to the next. The load is never quite the same, so a
    /// little more is no leak.
    ///
    /// A worker opens a connection to a host when it has none that is idle, and comes to have as
    /// many as it has ever had requests at once: at random, and so later than at the first look. Those
    /// that a successor has opened before others come may all be of one worker.
    pub(crate) fn is_no_more_than(&self, other: &Self) {
        assert_eq!(self.files, other.files);
        assert_eq!(self.threads, other.threads);
        assert!(self.descriptors <= other.descriptors + 8, "{self}, {other}");
        let most = (WORKERS + 1) * AT_ONCE + WEBSOCKETS;
        assert!(self.pooled <= most, "{self}");
        assert!(
            self.memory_kib <= other.memory_kib + (8 << 10),
            "{self}, {other}"
        );
    }
}
