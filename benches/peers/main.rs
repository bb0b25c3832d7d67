//! The comparison of Banyan with other proxies: same origin, same load, same run.
//!
//! `cargo bench --bench peers -- --help`. How the figures are taken, and how to add a peer or a
//! scenario, is in `benches/README.md`.
#![expect(clippy::print_stdout, reason = "its report is its output")]
#![expect(clippy::print_stderr, reason = "progress goes beside the report")]

mod bolt;
mod cpu;
mod exchange;
mod http;
mod load;
mod memory;
mod origin;
mod pace;
mod peers;
mod process;
mod production;
mod report;
mod rivals;
mod round;
mod scenarios;
mod strace;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use serde_json::json;

use crate::load::Load;
use crate::origin::Ports;
use crate::peers::{PEERS, Part};
use crate::process::Role;
use crate::report::Row;
use crate::round::{Ground, Installed};
use crate::scenarios::{SCENARIOS, Scenario};

/// Errors here are read by a person and never told apart.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Compares Banyan with other proxies: CPU, memory and throughput on one path after the other.
#[derive(Parser)]
#[command(
    bin_name = "cargo bench --bench peers --",
    args_conflicts_with_subcommands = true
)]
struct Arguments {
    #[command(subcommand)]
    role: Option<RoleArguments>,
    /// Run the scenarios whose names begin so [default: all]
    scenarios: Vec<String>,
    /// Compare only these rows
    #[arg(long, value_delimiter = ',')]
    peers: Vec<String>,
    /// Add a row for another build of Banyan
    #[arg(long, value_name = "PATH")]
    baseline: Option<PathBuf>,
    /// Rounds of each scenario [default: the scenario's own, 3 or 5]
    #[arg(long)]
    rounds: Option<usize>,
    /// Threads, or processes, that carry a proxy's traffic
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Also count system calls, in one more round
    #[arg(long)]
    strace: bool,
    /// Also write all samples to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// List scenarios and peers, and run nothing
    #[arg(long)]
    list: bool,
    /// Cargo says so of every benchmark it runs
    #[arg(long, hide = true)]
    bench: bool,
}

/// What the processes do that the comparison starts.
#[derive(Subcommand)]
#[command(disable_help_subcommand = true)]
enum RoleArguments {
    #[command(hide = true)]
    Origin,
    #[command(hide = true)]
    Load { address: SocketAddr, load: String },
    #[command(hide = true)]
    Exec {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
}

fn main() -> Result<ExitCode> {
    let mut arguments = Arguments::parse();
    if let Some(role) = arguments.role.take() {
        process::begin_role()?;
        match role {
            RoleArguments::Origin => origin::run()?,
            RoleArguments::Load { address, load } => {
                load::run(address, serde_json::from_str::<Load>(&load)?)?;
            }
            RoleArguments::Exec { words } => process::exec(&words)?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.list {
        list();
        return Ok(ExitCode::SUCCESS);
    }
    if !arguments.bench {
        println!("nothing compared: run it with `cargo bench --bench peers`");
        return Ok(ExitCode::SUCCESS);
    }
    compare(&arguments)
}

fn list() {
    println!("scenarios:");
    for Scenario { name, about, .. } in SCENARIOS {
        println!("  {name:20} {about}");
    }
    println!("peers:");
    for peer in PEERS {
        let version = Installed::find(peer).map(|installed| installed.version);
        let version = version.unwrap_or_else(|| "not installed".to_owned());
        println!("  {:20} {version}", peer.name);
    }
}

fn compare(arguments: &Arguments) -> Result<ExitCode> {
    let scenarios = chosen_scenarios(&arguments.scenarios)?;
    production::build()?;
    let peers = chosen_peers(arguments)?;
    let directory = tempfile::Builder::new().prefix("banyan-peers-").tempdir()?;
    end_when_interrupted(directory.path().to_owned())?;
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let mut origin = Role::start("origin", &[])?;
    let origins: Ports = serde_json::from_str(&origin.line()?)?;
    let ground = Ground {
        origins: &origins,
        workers: arguments.workers,
        directory: directory.path(),
    };

    let machine = machine()?;
    println!("{machine}; {} workers each.", arguments.workers);
    for peer in peers.iter().filter(|peer| !peer.version.is_empty()) {
        println!("* {}: {}", peer.name, peer.version);
    }
    let mut results = Vec::new();
    let mut valid = true;
    for scenario in scenarios {
        let rows = run(scenario, &peers, &ground, arguments);
        valid &= rows.iter().all(|row| row.failures.is_empty());
        print!("{}", report::markdown(scenario, &rows));
        results.push(report::json(scenario, &rows));
    }
    if let Some(file) = &arguments.json {
        let all = json!({ "machine": machine, "workers": arguments.workers, "results": results });
        std::fs::write(file, serde_json::to_string_pretty(&all)?)?;
    }
    Ok(if valid {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Lets the peers take turns, so that whatever else the machine does falls on all of them.
fn run<'a>(
    scenario: &Scenario,
    peers: &'a [Installed],
    ground: &Ground<'_>,
    arguments: &Arguments,
) -> Vec<Row<'a>> {
    let row = |peer| Row {
        peer,
        samples: Vec::new(),
        failures: Vec::new(),
        calls: None,
    };
    let mut rows: Vec<_> = peers.iter().map(row).collect();
    let rounds = arguments.rounds.unwrap_or(scenario.rounds);
    for round in 1..=rounds {
        eprintln!("{}: round {round} of {rounds}", scenario.name);
        for row in &mut rows {
            match round::measure(row.peer, scenario, ground) {
                Ok(sample) => {
                    if let Some(failure) = &sample.outcome.first_failure {
                        let failed = sample.outcome.failed;
                        row.failures.push(format!(
                            "round {round}: {failed} exchanges failed: {failure}"
                        ));
                    }
                    row.samples.push(sample);
                }
                Err(error) => row.failures.push(format!("round {round}: {error}")),
            }
        }
    }
    if arguments.strace {
        for row in &mut rows {
            match strace::count(row.peer, scenario, ground) {
                Ok(calls) => row.calls = calls,
                Err(error) => eprintln!("{}: no calls counted: {error}", row.peer.name),
            }
        }
    }
    rows
}

fn chosen_scenarios(names: &[String]) -> Result<Vec<&'static Scenario>> {
    for name in names {
        if !SCENARIOS
            .iter()
            .any(|scenario| scenario.name.starts_with(name.as_str()))
        {
            return Err(format!("no scenario {name:?}; see --list").into());
        }
    }
    let chosen = |scenario: &&Scenario| {
        names.is_empty()
            || names
                .iter()
                .any(|name| scenario.name.starts_with(name.as_str()))
    };
    Ok(SCENARIOS.iter().filter(chosen).collect())
}

/// The wanted peers that are installed; the others are named and left out.
fn chosen_peers(arguments: &Arguments) -> Result<Vec<Installed>> {
    let wanted = &arguments.peers;
    if let Some(unknown) = wanted
        .iter()
        .find(|name| !PEERS.iter().any(|peer| peer.name == **name))
    {
        return Err(format!("no peer {unknown:?}; see --list").into());
    }
    let mut chosen = Vec::new();
    for peer in PEERS {
        if !wanted.is_empty() && !wanted.iter().any(|name| name == peer.name) {
            continue;
        }
        match Installed::find(peer) {
            Some(installed) => chosen.push(installed),
            None => println!("{} is not installed and left out.", peer.name),
        }
    }
    if let Some(program) = &arguments.baseline {
        let ours = PEERS.iter().find_map(|peer| match peer.part {
            Part::Ours(proxy) => Some((peer.part, proxy.version(program))),
            Part::Floor | Part::Rival(_) => None,
        });
        let (part, version) = ours.ok_or("no peer is ours")?;
        let program = program.canonicalize()?;
        chosen.push(Installed {
            name: "baseline".to_owned(),
            part,
            program,
            version,
        });
    }
    Ok(chosen)
}

/// Removes `directory` and ends the process at the first SIGINT or SIGTERM. All that was started
/// ends with its parent.
fn end_when_interrupted(directory: PathBuf) -> Result<()> {
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]);
    signals.thread_block()?;
    std::thread::spawn(move || {
        if let Ok(signal) = signals.wait() {
            std::fs::remove_dir_all(&directory).unwrap_or_default();
            #[expect(
                clippy::disallowed_methods,
                reason = "the directory was all to clean up"
            )]
            std::process::exit(128 + signal as i32);
        }
    });
    Ok(())
}

/// The machine, in a line.
fn machine() -> Result<String> {
    let read = |path: &str| std::fs::read_to_string(Path::new("/proc").join(path));
    let cpus = std::thread::available_parallelism()?;
    let model = read("cpuinfo")?;
    let model = model
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown", |(_, model)| model);
    let (kernel, load) = (read("sys/kernel/osrelease")?, read("loadavg")?);
    let load = load.split(' ').next().unwrap_or("unknown");
    Ok(format!(
        "{cpus} × {model}, Linux {}, load average {load} at the start",
        kernel.trim()
    ))
}
