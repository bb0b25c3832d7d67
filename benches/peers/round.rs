//! One round: a peer is started, loaded, measured and ended.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::Result;
use crate::cpu::Cpu;
use crate::exchange::Exchange;
use crate::load::{Load, Outcome, Reuse, Speech};
use crate::memory::Memory;
use crate::origin::Ports;
use crate::peers::{Part, Peer, Proxy, Setup, WORKERS};
use crate::process::{Process, Role};
use crate::scenarios::Scenario;
use crate::{bolt, http};

/// How long a proxy may take from its start to its first answer.
const START_LIMIT: Duration = Duration::from_secs(5);

/// A peer that is there to be run.
pub(crate) struct Installed {
    pub(crate) name: String,
    pub(crate) part: Part,
    /// Empty for the floor.
    pub(crate) program: PathBuf,
    pub(crate) version: String,
}

/// What all rounds share.
pub(crate) struct Ground<'a> {
    pub(crate) origins: &'a Ports,
    pub(crate) workers: usize,
    pub(crate) directory: &'a Path,
}

/// What one round measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sample {
    units: f64,
    connections: f64,
    pub(crate) outcome: Outcome,
    /// None when there is no proxy.
    proxy: Option<ProxySample>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct ProxySample {
    first_answer: Duration,
    cpu: Cpu,
    at_start: Memory,
    settled: Memory,
}

impl Installed {
    /// Finds the program of `peer`; none if it is not installed.
    pub(crate) fn find(peer: &Peer) -> Option<Self> {
        let name = peer.name.to_owned();
        match peer.part {
            Part::Floor => Some(Self {
                name,
                part: peer.part,
                program: PathBuf::new(),
                version: String::new(),
            }),
            Part::Ours(proxy) | Part::Rival(proxy) => {
                let program = proxy.find()?;
                let version = proxy.version(&program);
                Some(Self {
                    name,
                    part: peer.part,
                    program,
                    version,
                })
            }
        }
    }
}

/// The way from the load to the origin, for as long as it is held.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    /// None when the way has no proxy.
    pub(crate) process: Option<Process>,
    first_answer: Duration,
}

impl Running {
    /// Starts `peer` for `scenario` and waits until it has answered once.
    ///
    /// # Errors
    ///
    /// When it does not answer in time; the error holds what it wrote to its standard error.
    pub(crate) fn start(
        peer: &Installed,
        scenario: &Scenario,
        ground: &Ground<'_>,
    ) -> Result<Self> {
        match peer.part {
            Part::Floor => {
                let ports = ground.origins.of(scenario.load.speech);
                let port = *ports.first().ok_or("the origin has no address")?;
                let address = (Ipv4Addr::LOCALHOST, port).into();
                Ok(Self {
                    address,
                    process: None,
                    first_answer: Duration::ZERO,
                })
            }
            Part::Ours(proxy) | Part::Rival(proxy) => {
                Self::start_proxy(proxy, &peer.program, scenario, ground)
            }
        }
    }

    fn start_proxy(
        proxy: Proxy,
        program: &Path,
        scenario: &Scenario,
        ground: &Ground<'_>,
    ) -> Result<Self> {
        let &Ground {
            origins,
            workers,
            directory,
        } = ground;
        let port = free_port()?;
        let setup = Setup {
            port,
            origins: origins.of(scenario.load.speech),
            workers,
            directory,
            traffic: scenario.traffic,
        };
        let file = directory.join(proxy.file);
        fs::write(&file, (proxy.configuration)(&setup))?;
        let count = workers.to_string();
        let filled = proxy.arguments.iter().map(|&argument| match argument {
            WORKERS => count.as_ref(),
            argument => OsStr::new(argument),
        });
        let arguments: Vec<&OsStr> = filled.chain([file.as_os_str()]).collect();
        let said = directory.join("stderr");
        let begin = Instant::now();
        let mut process =
            Process::start(program.as_os_str(), &arguments, File::create(&said)?.into())?;
        let address = (Ipv4Addr::LOCALHOST, port).into();
        while let Err(error) = ask(address, scenario.load.speech) {
            if process.ended() || begin.elapsed() > START_LIMIT {
                let said = fs::read_to_string(said)?;
                return Err(format!("no answer after its start: {error}; {}", said.trim()).into());
            }
            sleep(Duration::from_millis(1));
        }
        Ok(Self {
            address,
            process: Some(process),
            first_answer: begin.elapsed(),
        })
    }

    fn cpu(&self) -> Result<Cpu> {
        self.process
            .as_ref()
            .map_or(Ok(Cpu::default()), |process| Cpu::of(&process.pids()))
    }

    fn memory(&self) -> Result<Memory> {
        self.process
            .as_ref()
            .map_or(Ok(Memory::default()), |process| Memory::of(&process.pids()))
    }
}

/// Runs one round of `scenario` with `peer`.
///
/// # Errors
///
/// When the peer or the load cannot be started, or ends early.
pub(crate) fn measure(
    peer: &Installed,
    scenario: &Scenario,
    ground: &Ground<'_>,
) -> Result<Sample> {
    let running = Running::start(peer, scenario, ground)?;
    let at_start = running.memory()?;
    let mut load = start_load(running.address, scenario.load)?;
    sleep(scenario.settle);
    let settled = running.memory()?;
    let before = running.cpu()?;
    load.go()?;
    let outcome: Outcome = serde_json::from_str(&load.line()?)?;
    let cpu = running.cpu()?.since(before);
    let first_answer = running.first_answer;
    Ok(Sample {
        units: outcome.completed as f64 * scenario.units_per_exchange,
        connections: scenario.load.connections as f64,
        outcome,
        proxy: running.process.map(|_| ProxySample {
            first_answer,
            cpu,
            at_start,
            settled,
        }),
    })
}

/// Starts the load and waits until it is warm.
///
/// # Errors
///
/// When an exchange of the warm-up fails.
pub(crate) fn start_load(address: SocketAddr, load: Load) -> Result<Role> {
    let arguments = [address.to_string(), serde_json::to_string(&load)?];
    let mut role = Role::start("load", &arguments)?;
    match role.line()?.as_str() {
        "ready" => Ok(role),
        failure => Err(failure.into()),
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

/// One exchange, blocking: connect, ask for a byte, get it.
fn ask(address: SocketAddr, speech: Speech) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(START_LIMIT))?;
    match speech {
        Speech::Bolt => {
            let exchange = Exchange {
                request_bytes: 0,
                response_bytes: bolt::ANSWER,
            };
            stream.write_all(&bolt::request(exchange)?)?;
            Ok(stream.read_exact(&mut [0])?)
        }
        Speech::Lengths => {
            let exchange = Exchange {
                request_bytes: 0,
                response_bytes: 1,
            };
            stream.write_all(&exchange.opening())?;
            Ok(stream.read_exact(&mut [0])?)
        }
        Speech::Http => {
            stream.write_all(&http::request(1, Reuse::Fresh))?;
            let mut status = [0; 12];
            stream.read_exact(&mut status)?;
            let answered = &status == b"HTTP/1.1 200";
            let status = String::from_utf8_lossy(&status);
            answered.then_some(()).ok_or_else(|| status.into())
        }
    }
}

impl Sample {
    pub(crate) fn cpu_s_per_unit(&self) -> Option<f64> {
        self.proxy
            .map(|proxy| proxy.cpu.total.as_secs_f64() / self.units)
    }

    pub(crate) fn cpu_us_per_unit(&self) -> Option<f64> {
        self.cpu_s_per_unit().map(|seconds| seconds * 1e6)
    }

    pub(crate) fn user_us_per_unit(&self) -> Option<f64> {
        Some(self.cpu_us_per_unit()? * self.proxy?.cpu.user_share())
    }

    pub(crate) fn system_us_per_unit(&self) -> Option<f64> {
        Some(self.cpu_us_per_unit()? * (1.0 - self.proxy?.cpu.user_share()))
    }

    pub(crate) fn units_per_second(&self) -> Option<f64> {
        Some(self.units / self.outcome.elapsed.as_secs_f64())
    }

    pub(crate) fn p50_us(&self) -> Option<f64> {
        Some(self.outcome.p50.as_secs_f64() * 1e6)
    }

    pub(crate) fn p99_us(&self) -> Option<f64> {
        Some(self.outcome.p99.as_secs_f64() * 1e6)
    }

    pub(crate) fn private_kib_per_connection(&self) -> Option<f64> {
        self.growth(|memory| memory.private_kib)
    }

    pub(crate) fn resident_kib_per_connection(&self) -> Option<f64> {
        self.growth(|memory| memory.resident_kib)
    }

    pub(crate) fn private_mib_at_start(&self) -> Option<f64> {
        self.proxy
            .map(|proxy| proxy.at_start.private_kib as f64 / 1024.0)
    }

    pub(crate) fn resident_mib_at_start(&self) -> Option<f64> {
        self.proxy
            .map(|proxy| proxy.at_start.resident_kib as f64 / 1024.0)
    }

    pub(crate) fn first_answer_ms(&self) -> Option<f64> {
        self.proxy
            .map(|proxy| proxy.first_answer.as_secs_f64() * 1e3)
    }

    fn growth(&self, kib: fn(Memory) -> u64) -> Option<f64> {
        let ProxySample {
            at_start, settled, ..
        } = self.proxy?;
        Some((kib(settled) as f64 - kib(at_start) as f64) / self.connections)
    }
}
