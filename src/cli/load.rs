//! `banyan load`: makes load, and reports what came of it.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::{Exit, print};
use crate::load::{
    Ask, Failed, Pace, Plan, Progress, Protocol, Target, bytes, json, lasting, percentiles, report,
    run,
};
use crate::net::raise_descriptor_limit;

/// Descriptors that are not connections: event loops, timers, pipes.
const RESERVED_DESCRIPTORS: u64 = 64;

/// `load`
#[derive(Args, Debug)]
#[command(
    after_help = "Without --qps each connection asks again as soon as it is answered; with it, requests are \
                  sent at that rate, and each one's latency counts from when it was due."
)]
pub struct Load {
    /// Where to send requests: sofarpc://HOST:PORT, http://HOST[:PORT][/PATH] or tcp://HOST:PORT
    #[arg(value_name = "URI", value_parser = Target::parse)]
    target: Target,
    /// Stop after so many requests [default: 1 without --duration]
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    requests: Option<u64>,
    /// Stop after this time: seconds, or 1m30s
    #[arg(short = 'D', long, value_name = "DURATION", value_parser = lasting)]
    duration: Option<Duration>,
    /// Requests a second, of all connections together
    #[arg(long, value_name = "RATE", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    qps: Option<u64>,
    /// Connections
    #[arg(short = 'c', long, alias = "clients", value_name = "COUNT", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Threads
    #[arg(short = 't', long, value_name = "COUNT", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: u32,
    /// Requests under way on a connection at most
    #[arg(short = 'm', long, alias = "max-concurrent-streams", value_name = "COUNT",
          default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    streams: u32,
    /// What is spoken, if the URI is to be checked: sofarpc, http/1.1 or tcp
    #[arg(short = 'p', long, alias = "no-tls-proto", value_name = "PROTOCOL",
          value_parser = Protocol::parse)]
    protocol: Option<Protocol>,
    /// Add a header field, or put it in place of the one that is there
    #[arg(short = 'H', long, value_name = "NAME: VALUE", value_parser = field)]
    header: Vec<(String, String)>,
    /// Send the content of a file with each request
    #[arg(short = 'd', long, value_name = "FILE", conflicts_with = "body_size")]
    data: Option<PathBuf>,
    /// Send so many bytes with each request
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    body_size: Option<usize>,
    /// Not count what is due in this time at first
    #[arg(long, value_name = "DURATION", value_parser = lasting, requires = "duration")]
    warm_up_time: Option<Duration>,
    /// How long to wait for a connection, and for an answer
    #[arg(long, value_name = "DURATION", value_parser = lasting, default_value = "10s")]
    timeout: Duration,
    /// Print the report as a JSON object
    #[arg(long)]
    json: bool,
    /// Write all latencies to a file, as HdrHistogram's plotters read them
    #[arg(long, value_name = "FILE")]
    histogram: Option<PathBuf>,
    /// Print the report alone, and nothing while it runs
    #[arg(short = 'q', long)]
    quiet: bool,
}

fn field(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("a `:` is missing")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// `banyan load`
#[must_use]
pub fn load(arguments: &Load) -> Exit {
    let plan = match plan(arguments) {
        Ok(plan) => plan,
        Err((reason, exit)) => return print::refuse(&format_args!("load: {reason}"), exit),
    };
    if !arguments.json && !arguments.quiet {
        let protocol = plan.target.protocol;
        let begin = format!("starting benchmark...\nApplication protocol: {protocol}\n");
        if print::say(&begin) != Exit::Normal {
            return Exit::Failed;
        }
    }
    let terminal = io::stderr().is_terminal();
    let show = |progress: &Progress| {
        if !arguments.quiet {
            show(progress, terminal);
        }
    };
    let made = stopped().map_err(Failed::from);
    let tally = match made.and_then(|stop| run(plan.clone(), &stop, show)) {
        Ok(tally) => tally,
        Err(failed) => {
            let exit = match failed {
                Failed::Ask(_) => Exit::Usage,
                Failed::System(_) | Failed::Thread => Exit::Failed,
            };
            return print::refuse(&format_args!("load: {failed}"), exit);
        }
    };
    if terminal && !arguments.quiet {
        print::erase_line();
    }
    let said = match arguments.json {
        true => print::say(&format_args!("{:#}\n", json(&plan, &tally))),
        false => print::say(&report(&plan, &tally)),
    };
    if let Some(file) = &arguments.histogram
        && let Err(error) = fs::write(file, percentiles(&tally))
    {
        let file = file.display();
        return print::refuse(
            &format_args!("load: cannot write {file}: {error}"),
            Exit::Failed,
        );
    }
    match tally.is_any_good() {
        true => said,
        false => print::refuse(&"load: not one request succeeded", Exit::Failed),
    }
}

/// Turns true at SIGINT or SIGTERM: what was measured until then is still reported.
fn stopped() -> io::Result<watch::Receiver<bool>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let (mut interrupt, mut terminate) = {
        let _here = runtime.enter();
        let interrupt = signal(SignalKind::interrupt())?;
        (interrupt, signal(SignalKind::terminate())?)
    };
    let (says, stop) = watch::channel(false);
    let waits = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        says.send_replace(true);
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || runtime.block_on(waits))?;
    Ok(stop)
}

/// A line that is drawn over by the next one, or one after the other where nobody watches.
fn show(progress: &Progress, terminal: bool) {
    let mut out = io::stderr();
    // Progress that nobody reads is no reason to stop.
    let _unread = match terminal {
        true => write!(out, "\r{progress}\x1b[K").and_then(|()| out.flush()),
        false => writeln!(out, "{progress}"),
    };
}

type Refused = (String, Exit);

fn plan(arguments: &Load) -> Result<Plan, Refused> {
    let usage = |reason: String| (reason, Exit::Usage);
    let target = arguments.target.clone();
    if let Some(protocol) = arguments.protocol
        && protocol != target.protocol
    {
        let said = target.protocol;
        return Err(usage(format!(
            "--protocol is {protocol}, and the URI says {said}"
        )));
    }
    let (connections, threads) = (arguments.connections as usize, arguments.threads as usize);
    if threads > connections {
        return Err(usage(format!(
            "{threads} threads need {threads} connections at least"
        )));
    }
    if arguments.timeout.is_zero() {
        return Err(usage("--timeout is nothing".to_owned()));
    }
    let warm_up = arguments.warm_up_time.unwrap_or_default();
    let pace = pace(arguments, warm_up).map_err(usage)?;
    let ask = ask(arguments)?;
    enough_descriptors(connections as u64)?;
    Ok(Plan {
        address: resolve(&target)?,
        target,
        threads,
        connections,
        streams: arguments.streams as usize,
        pace,
        warm_up,
        timeout: arguments.timeout,
        ask,
    })
}

fn pace(arguments: &Load, warm_up: Duration) -> Result<Pace, String> {
    let lasts = arguments.duration.map(|lasts| lasts + warm_up);
    if lasts.is_some_and(|lasts| lasts.is_zero()) {
        return Err("--duration is nothing".to_owned());
    }
    let Some(per_second) = arguments.qps else {
        let requests = match lasts {
            None => Some(arguments.requests.unwrap_or(1)),
            Some(_) => arguments.requests,
        };
        return Ok(Pace::Closed { requests, lasts });
    };
    let in_time = lasts.map(|lasts| (per_second as f64 * lasts.as_secs_f64()).round() as u64);
    let requests = arguments.requests.into_iter().chain(in_time).min();
    let requests = requests.ok_or("--qps needs --duration or --requests: else it never ends")?;
    match requests {
        0 => Err("no request is due in --duration at that --qps".to_owned()),
        _ => Ok(Pace::Open {
            per_second,
            requests,
        }),
    }
}

fn ask(arguments: &Load) -> Result<Ask, Refused> {
    let body = match (&arguments.data, arguments.body_size) {
        (Some(file), _) => Some(fs::read(file).map_err(|error| {
            let file = file.display();
            (format!("cannot read {file}: {error}"), Exit::Failed)
        })?),
        (None, Some(bytes)) => Some((b'a'..=b'z').cycle().take(bytes).collect()),
        (None, None) => None,
    };
    let fields = arguments.header.clone();
    Ok(Ask { fields, body })
}

fn enough_descriptors(connections: u64) -> Result<(), Refused> {
    let allowed = raise_descriptor_limit().unwrap_or(u64::MAX);
    let needed = connections + RESERVED_DESCRIPTORS;
    match needed <= allowed {
        true => Ok(()),
        false => Err((
            format!(
                "{connections} connections need {needed} descriptors, and {allowed} are allowed"
            ),
            Exit::Failed,
        )),
    }
}

fn resolve(target: &Target) -> Result<SocketAddr, Refused> {
    let (host, port) = (target.host.as_str(), target.port);
    let unknown = |why: String| (format!("cannot resolve {host}: {why}"), Exit::Failed);
    let mut addresses = (host, port)
        .to_socket_addrs()
        .map_err(|error| unknown(error.to_string()))?;
    addresses
        .next()
        .ok_or_else(|| unknown("it has no address".to_owned()))
}
