//! System calls per unit of work, counted by strace in a short round of its own.

use std::ffi::OsString;
use std::fs;
use std::io::BufRead;
use std::process::Stdio;

use nix::unistd::Pid;

use crate::Result;
use crate::load::{Load, Outcome};
use crate::process::Process;
use crate::round::{Ground, Installed, Running, start_load};
use crate::scenarios::Scenario;

/// How much less work the round is given: strace slows a process down by as much.
const LESS: u64 = 10;

/// Calls per unit, most frequent first; none without a proxy to trace.
///
/// # Errors
///
/// When the peer, the load or strace cannot be started, or an exchange fails.
pub(crate) fn count(
    peer: &Installed,
    scenario: &Scenario,
    ground: &Ground<'_>,
) -> Result<Option<Vec<(String, f64)>>> {
    let running = Running::start(peer, scenario, ground)?;
    let Some(process) = &running.process else {
        return Ok(None);
    };
    let full = scenario.load;
    let exchanges = (full.exchanges / LESS).max(full.connections);
    let mut load = start_load(running.address, Load { exchanges, ..full })?;
    let table = ground.directory.join("strace");
    let (mut strace, said) = attach(&process.pids(), table.as_os_str().to_owned())?;
    load.go()?;
    let outcome: Outcome = serde_json::from_str(&load.line()?)?;
    if strace.ended() {
        return Err("strace ended before the load".into());
    }
    strace.end();
    drop(said);
    if let Some(failure) = outcome.first_failure {
        return Err(failure.into());
    }
    let units = outcome.completed as f64 * scenario.units_per_exchange;
    let mut calls: Vec<_> = fs::read_to_string(table)?
        .lines()
        .filter_map(call)
        .map(|(name, count)| (name.to_owned(), count as f64 / units))
        .collect();
    calls.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    Ok(Some(calls))
}

/// Starts strace on `pids` and waits until it holds all of them. Its standard error is to stay open
/// until it has ended: once nobody can read what it says, it lets go of whom it holds.
fn attach(pids: &[Pid], table: OsString) -> Result<(Process, impl BufRead + use<>)> {
    let mut arguments: Vec<OsString> = ["-f", "-c", "-o"].map(OsString::from).into();
    arguments.push(table);
    for pid in pids {
        arguments.extend(["-p".into(), pid.to_string().into()]);
    }
    let mut strace = Process::start("strace".as_ref(), &arguments, Stdio::piped())?;
    let mut said = strace.errors().ok_or("strace has no standard error")?;
    for _ in pids {
        let mut line = String::new();
        if said.read_line(&mut line)? == 0 {
            return Err("strace ended early".into());
        }
        if !line.contains("attached") {
            return Err(line.into());
        }
    }
    Ok((strace, said))
}

/// Name and count of a row such as `42.00  0.001234  2  600  10 epoll_wait` (errors may be absent).
fn call(row: &str) -> Option<(&str, u64)> {
    let columns: Vec<&str> = row.split_whitespace().collect();
    let count = columns.get(3)?.parse().ok()?;
    let name = *columns.get(4..)?.last()?;
    (name != "total").then_some((name, count))
}
