//! Crowds that abuse a proxy, and a well-behaved client beside them.
//!
//! `cargo bench --bench abuse` prints, for each crowd, what the client saw and what the proxy cost;
//! it fails when a promise is broken. `--phase NAME` plays the phases whose names contain NAME,
//! `--seconds N` changes how long each lasts, `--proxy FILE` plays before another build. The crowd, the client and the origin are processes of
//! their own; the crowd yields to all others, so that it is the proxy that is measured. What the
//! machine itself adds is the row `direct`: the client without proxy.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark tells by printing"
)]

mod crowd;
#[path = "../peers/memory.rs"]
mod memory;
mod neighbour;
mod origin;
#[allow(dead_code, reason = "shared with the comparison with peers")]
#[path = "../peers/process.rs"]
mod process;
mod witness;

use std::error::Error;
use std::ffi::OsStr;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use serde_json::json;

use crate::crowd::Kind;
use crate::memory::Memory;
use crate::neighbour::Seen;
use crate::process::{Process, Role};
use crate::witness::{Account, Witness};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What a client may wait for in one request of a hundred.
const P99: Duration = Duration::from_millis(10);

/// Between two looks at the memory of a proxy, so often is looked at who waits for a processor.
const LOOKS: u32 = 5;

/// What memory may grow by, in KiB.
const GROWTH_KIB: u64 = 24 * 1024;

/// What of that may stay a while after the crowd has gone, in KiB.
const LEFT_KIB: u64 = 8 * 1024;

/// How long memory may take to come back.
const COMES_BACK: Duration = Duration::from_secs(40);

/// Descriptors of a proxy that is to run out of them.
const FEW: u64 = 400;

/// A crowd, and the proxy that it comes to.
struct Phase {
    name: &'static str,
    kind: Kind,
    descriptors: Option<u64>,
}

const PHASES: &[Phase] = &[
    Phase::new("alone", Kind::Nobody),
    Phase::new("2000 slow heads", Kind::SlowHeads(2000)),
    Phase::new("500 slow bodies", Kind::SlowBodies(500)),
    Phase::new("300 slow readers", Kind::SlowReaders(300)),
    Phase::new("9000 idle", Kind::Idle(9000)),
    Phase::new("20000 connects", Kind::Storm(20_000)),
    Phase {
        name: "descriptors gone",
        kind: Kind::Idle(800),
        descriptors: Some(FEW),
    },
];

impl Phase {
    const fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            descriptors: None,
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["exec", ..] => process::begin_role().and_then(|()| process::exec(&arguments[1..])),
        ["origin"] => process::begin_role().and_then(|()| origin::run()),
        ["crowd", ..] => process::begin_role().and_then(|()| crowd::run(&arguments[1..])),
        ["neighbour", ..] => process::begin_role().and_then(|()| neighbour::run(&arguments[1..])),
        _ => play(&words),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn play(words: &[&str]) -> Result<()> {
    let after = |key: &str| words.iter().skip_while(|&&word| word != key).nth(1);
    let wanted = after("--phase").copied().unwrap_or_default();
    let seconds = match after("--seconds") {
        Some(text) => text.parse()?,
        None => 15,
    };
    let program = after("--proxy").map_or(env!("CARGO_BIN_EXE_banyan"), |program| program);
    let mut origin = Role::start("origin", &[])?;
    let port: u16 = origin.line()?.parse()?;
    let direct = Role::neighbour(([127, 0, 0, 1], port).into(), seconds, "new")?.line()?;
    println!(
        "{:18} {:>8} {:>6} {:>8} {:>8} {:>8} {:>6} {:>22}",
        "crowd",
        "requests",
        "errors",
        "p50 ms",
        "p99 ms",
        "max ms",
        "cores",
        "KiB before/most/after"
    );
    report("direct", &direct.parse()?, None);
    let origin = origin.pid();
    let mut proxy = Proxy::start(program, port, None)?;
    let mut broken = Vec::new();
    for phase in PHASES.iter().filter(|phase| phase.name.contains(wanted)) {
        let mut other;
        let proxy = match phase.descriptors {
            None => &mut proxy,
            some => {
                other = Proxy::start(program, port, some)?;
                &mut other
            }
        };
        let (seen, cost) = phase.play(proxy, origin, seconds)?;
        report(phase.name, &seen, Some(&cost));
        if let Some(slowest) = cost.slowest.as_ref().filter(|_| seen.most > P99) {
            println!("{:18} its slowest: {slowest}", "");
        }
        broken.extend(phase.broken(&seen, &cost));
    }
    match broken.is_empty() {
        true => Ok(()),
        false => Err(broken.join("\n").into()),
    }
}

/// What a crowd made a proxy use.
struct Cost {
    cores: f64,
    before_kib: u64,
    most_kib: u64,
    after_kib: u64,
    /// What happened during the slowest request.
    slowest: Option<Account>,
}

impl Phase {
    fn play(&self, proxy: &mut Proxy, origin: Pid, seconds: u64) -> Result<(Seen, Cost)> {
        let before_kib = proxy.memory()?;
        let mut most_kib = before_kib;
        // First, so that it has its connections whatever the crowd takes.
        let opens = match self.descriptors {
            None => "new",
            // There is no place for more.
            Some(_) => "kept",
        };
        let mut neighbour = Role::neighbour(proxy.address, seconds, opens)?;
        let mut witness = Witness::new([
            ("the client", neighbour.pid()),
            ("the proxy", proxy.pid()?),
            ("the origin", origin),
        ]);
        witness.look()?;
        let mut crowd = self.kind.start(proxy.address)?;
        let begun = (Instant::now(), proxy.cpu()?);
        let end = begun.0 + Duration::from_secs(seconds);
        while Instant::now() < end {
            most_kib = most_kib.max(proxy.memory()?);
            for _ in 0..LOOKS {
                witness.look()?;
                std::thread::sleep(Duration::from_millis(250) / LOOKS);
            }
        }
        let used = proxy.cpu()?.saturating_sub(begun.1);
        let cores = used.as_secs_f64() / begun.0.elapsed().as_secs_f64();
        let seen: Seen = neighbour.line()?.parse()?;
        witness.look()?;
        if let Some(crowd) = &mut crowd {
            crowd.go()?;
            crowd.line()?;
        }
        drop(crowd);
        let left = Instant::now();
        let mut after_kib = proxy.memory()?;
        while left.elapsed() < COMES_BACK && after_kib > before_kib + LEFT_KIB {
            std::thread::sleep(Duration::from_millis(500));
            after_kib = proxy.memory()?;
        }
        TcpStream::connect(proxy.address)?;
        let cost = Cost {
            cores,
            before_kib,
            most_kib,
            after_kib,
            slowest: witness.meanwhile(seen.slowest, seen.most),
        };
        Ok((seen, cost))
    }

    fn broken(&self, seen: &Seen, cost: &Cost) -> Vec<String> {
        let grown = cost.most_kib.saturating_sub(cost.before_kib);
        let left = cost.after_kib.saturating_sub(cost.before_kib);
        let promises = [
            (seen.errors > 0, format!("{} errors", seen.errors)),
            (seen.p99 > P99, format!("p99 {:?}", seen.p99)),
            (grown > GROWTH_KIB, format!("memory grew by {grown} KiB")),
            (left > LEFT_KIB, format!("{left} KiB did not come back")),
        ];
        let broken = promises.into_iter().filter(|(broken, _)| *broken);
        broken
            .map(|(_, how)| format!("{}: {how}", self.name))
            .collect()
    }
}

fn report(name: &str, seen: &Seen, cost: Option<&Cost>) {
    let millis = |time: Duration| time.as_secs_f64() * 1000.0;
    let cost = cost.map(|cost| {
        let Cost {
            cores,
            before_kib,
            most_kib,
            after_kib,
            slowest: _,
        } = cost;
        format!("{cores:6.2} {before_kib:>8}/{most_kib}/{after_kib}")
    });
    println!(
        "{name:18} {:8} {:6} {:8.2} {:8.2} {:8.2} {}",
        seen.requests,
        seen.errors,
        millis(seen.p50),
        millis(seen.p99),
        millis(seen.most),
        cost.unwrap_or_default()
    );
}

impl Role {
    /// Starts a well-behaved client that asks for so long, and waits until it is served.
    fn neighbour(to: SocketAddr, seconds: u64, opens: &str) -> Result<Self> {
        let arguments = [to.to_string(), seconds.to_string(), opens.to_owned()];
        let mut role = Self::start("neighbour", &arguments)?;
        role.line()?;
        Ok(role)
    }
}

struct Proxy {
    process: Process,
    address: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Proxy {
    fn start(program: &str, origin: u16, descriptors: Option<u64>) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let address = free_address()?;
        let file = directory.path().join("banyan.json");
        std::fs::write(&file, configuration(address, origin, directory.path()))?;
        let limit = descriptors.map(|most| format!("--nofile={most}:{most}"));
        let file = file.to_string_lossy().into_owned();
        let mut arguments = vec![];
        let start = match &limit {
            Some(limit) => {
                arguments.extend([limit.as_str(), program]);
                "prlimit"
            }
            None => program,
        };
        arguments.extend(["start", "-c", &file]);
        let mut process = Process::start(OsStr::new(start), &arguments, Stdio::inherit())?;
        while TcpStream::connect(address).is_err() {
            if process.ended() {
                return Err("the proxy did not start".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Self {
            process,
            address,
            _directory: directory,
        })
    }

    fn pid(&self) -> Result<Pid> {
        let pids = self.process.pids();
        Ok(*pids.last().ok_or("the proxy has ended")?)
    }

    fn memory(&self) -> Result<u64> {
        Ok(Memory::of(&[self.pid()?])?.private_kib)
    }

    fn cpu(&self) -> Result<Duration> {
        let clock = nix::time::clock_getcpuclockid(self.pid()?)?;
        Ok(nix::time::clock_gettime(clock)?.into())
    }
}

fn free_address() -> Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn configuration(address: SocketAddr, origin: u16, directory: &Path) -> String {
    let proxy = json!({ "downstream_protocol": "Http1", "cluster": "origin" });
    json!({
        "servers": [{
            "default_log_path": directory.join("log"),
            "listeners": [{
                "name": "app", "address": address.to_string(), "bind_port": true,
                "filter_chains": [{ "filters": [{ "type": "proxy", "config": proxy }] }],
            }],
        }],
        "cluster_manager": { "clusters": [{
            "name": "origin", "type": "SIMPLE", "lb_type": "LB_ROUNDROBIN",
            "hosts": [{ "address": format!("127.0.0.1:{origin}") }],
        }] },
    })
    .to_string()
}
