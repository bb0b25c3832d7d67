//! What many clusters cost: memory, start, and one change of hosts, beside Envoy in the same run.
//!
//! `cargo bench --bench many`. How the figures are taken is in `benches/README.md`.
#![expect(clippy::print_stdout, reason = "its report is its output")]
#![expect(clippy::print_stderr, reason = "progress goes beside the report")]

mod banyan;
mod envoy;
#[path = "../peers/memory.rs"]
mod memory;
#[path = "../peers/production.rs"]
mod production;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

use crate::memory::Memory;

/// Errors here are read by a person and never told apart.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// So many clusters, of ten hosts each.
const SIZES: [usize; 3] = [5, 50, 500];
pub(crate) const HOSTS: usize = 10;

/// Of which the middle one counts.
const ROUNDS: usize = 3;

/// Changes of hosts in a round, and from one to the next.
const CHANGES: usize = 200;
const PACE: Duration = Duration::from_millis(20);

/// For how long a proxy is watched that does nothing.
const IDLE: Duration = Duration::from_secs(1);

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a proxy is started with.
pub(crate) struct Setup<'a> {
    pub(crate) clusters: usize,
    /// The first host of the cluster `c0`, which the listener relays to.
    pub(crate) origin: SocketAddr,
    pub(crate) listener: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) directory: &'a Path,
}

impl Setup<'_> {
    /// The addresses of a cluster's hosts; those of every other change are other ones.
    pub(crate) fn hosts(&self, cluster: usize, change: usize) -> Vec<SocketAddr> {
        let [high, low] = u16::try_from(cluster).unwrap_or_default().to_be_bytes();
        let first = [10, 110][change % 2];
        let host = |n| SocketAddr::from(([127, 1 + high, low, first + n], 9));
        let mut hosts: Vec<_> = (0..HOSTS as u8).map(host).collect();
        if cluster == 0 {
            hosts[0] = self.origin;
        }
        hosts
    }

    /// The cluster whose hosts change.
    pub(crate) fn changing(&self) -> usize {
        self.clusters / 2
    }
}

/// A proxy that is compared.
struct Peer {
    name: &'static str,
    find: fn() -> Option<PathBuf>,
    /// Writes its configuration, and says with which arguments it is started.
    arguments: fn(&Setup<'_>) -> Result<Vec<String>>,
    /// Has it change the hosts of one cluster.
    change: fn(&Setup<'_>, usize) -> Result<()>,
    /// Whether the changes are in force.
    check: fn(&Setup<'_>) -> Result<bool>,
}

const PEERS: [Peer; 2] = [
    Peer {
        name: "banyan",
        find: banyan::find,
        arguments: banyan::arguments,
        change: banyan::change,
        check: banyan::check,
    },
    Peer {
        name: "envoy",
        find: envoy::find,
        arguments: envoy::arguments,
        change: envoy::change,
        check: envoy::check,
    },
];

/// What was seen of one round.
struct Figures {
    start: f64,
    private: f64,
    resident: f64,
    change: f64,
}

fn main() -> Result<()> {
    production::build()?;
    let origin = TcpListener::bind("127.0.0.1:0")?;
    let address = origin.local_addr()?;
    thread::spawn(move || {
        for mut stream in origin.incoming().flatten() {
            // Who asked may have gone.
            let _ = stream.write_all(b"x");
        }
    });
    let installed = PEERS.iter().filter_map(|peer| Some((peer, (peer.find)()?)));
    let installed: Vec<_> = installed.collect();
    // Whatever else the machine does falls on all sizes and peers.
    let mut rounds = SIZES.map(|_| installed.iter().map(|_| Vec::new()).collect::<Vec<_>>());
    for _ in 0..ROUNDS {
        for (clusters, of_peers) in SIZES.into_iter().zip(&mut rounds) {
            for ((peer, program), figures) in installed.iter().zip(of_peers) {
                figures.push(round(peer, program, clusters, address)?);
            }
        }
    }
    println!("| clusters | | start, CPU ms | private MiB | RSS MiB | a change of hosts, CPU µs |");
    println!("|---:|---|---:|---:|---:|---:|");
    for (clusters, of_peers) in SIZES.iter().zip(&rounds) {
        for ((peer, _), figures) in installed.iter().zip(of_peers) {
            println!(
                "| {clusters} | {} | {:.0} | {:.1} | {:.1} | {:.0} |",
                peer.name,
                middle(figures, |figures| figures.start),
                middle(figures, |figures| figures.private),
                middle(figures, |figures| figures.resident),
                middle(figures, |figures| figures.change),
            );
        }
    }
    println!();
    for peer in PEERS.iter().filter(|peer| (peer.find)().is_none()) {
        println!("{} is not installed", peer.name);
    }
    for (at, (peer, _)) in installed.iter().enumerate() {
        let changes = rounds
            .each_ref()
            .map(|of_peers| middle(&of_peers[at], |one| one.change));
        tell(peer, &changes);
    }
    Ok(())
}

fn middle(rounds: &[Figures], figure: fn(&Figures) -> f64) -> f64 {
    let mut figures: Vec<_> = rounds.iter().map(figure).collect();
    figures.sort_unstable_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// What more clusters do to a change: nothing, when the ratio is 1.
fn tell(peer: &Peer, changes: &[f64]) {
    let (&[least, .., most], [few, .., many]) = (changes, SIZES) else {
        return;
    };
    let shown: Vec<_> = changes.iter().map(|one| format!("{one:.0}")).collect();
    println!(
        "{}: a change of hosts takes {} µs at {SIZES:?} clusters; {many}:{few} is {:.2}",
        peer.name,
        shown.join(", "),
        most / least,
    );
}

fn round(peer: &Peer, program: &Path, clusters: usize, origin: SocketAddr) -> Result<Figures> {
    let directory = tempfile::Builder::new().prefix("banyan-many-").tempdir()?;
    let setup = Setup {
        clusters,
        origin,
        listener: free_port()?,
        admin: free_port()?,
        directory: directory.path(),
    };
    let running = Running::start(program, &(peer.arguments)(&setup)?, directory.path())?;
    within("its listener relays", || Ok(relays(setup.listener)))?;
    let start = running.cpu()?;
    thread::sleep(IDLE);
    let memory = Memory::of(&[running.pid()])?;

    let before = running.cpu()?;
    thread::sleep(IDLE);
    let idle = (running.cpu()? - before).div_f64(IDLE.as_secs_f64());

    let (before, begun) = (running.cpu()?, Instant::now());
    for change in 1..=CHANGES {
        (peer.change)(&setup, change)?;
        thread::sleep(PACE);
    }
    let (used, lasted) = (running.cpu()? - before, begun.elapsed());
    let changes = used.saturating_sub(idle.mul_f64(lasted.as_secs_f64()));
    within("the last change is in force", || (peer.check)(&setup))?;
    Ok(Figures {
        start: start.as_secs_f64() * 1e3,
        private: memory.private_kib as f64 / 1024.0,
        resident: memory.resident_kib as f64 / 1024.0,
        change: changes.as_secs_f64() * 1e6 / CHANGES as f64,
    })
}

/// A process that ends with this.
struct Running(Child);

impl Running {
    fn start(program: &Path, arguments: &[String], directory: &Path) -> Result<Self> {
        let log = fs::File::create(directory.join("log"))?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(Self(child))
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id().cast_signed())
    }

    fn cpu(&self) -> Result<Duration> {
        Ok(clock_gettime(clock_getcpuclockid(self.pid())?)?.into())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = kill(self.pid(), Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

fn within(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !holds()? {
        if Instant::now() > deadline {
            return Err(format!("waited {PATIENCE:?} in vain: {what}").into());
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Whether what the origin says comes through.
fn relays(listener: SocketAddr) -> bool {
    let heard = TcpStream::connect(listener).and_then(|mut stream| stream.read(&mut [0]));
    heard.is_ok_and(|count| count == 1)
}

fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Asks over HTTP; the whole answer.
pub(crate) fn ask(to: SocketAddr, method: &str, target: &str, body: &str) -> Result<String> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    write!(
        stream,
        "{method} {target} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// A program by a variable of its name in capitals, or in `PATH`.
pub(crate) fn in_path(name: &str) -> Option<PathBuf> {
    if let Some(program) = std::env::var_os(name.to_uppercase()) {
        return Some(program.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut all = std::env::split_paths(&path).map(|directory| directory.join(name));
    all.find(|program| program.is_file())
}
