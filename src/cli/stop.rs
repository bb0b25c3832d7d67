//! The command `stop`: ends the process that a pid file names, as `mosn stop` does.

use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, SystemTime};

use clap::Args;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use slog::{Logger, error, info, o};

use super::arguments::{Config, SettingsFlags};
use super::paths::ControlPaths;
use super::remote::SOCKET;
use super::start::absolute;
use super::{Exit, client, logging, pid_file, print, settings};
use crate::config;
use crate::telemetry::log::CLOSE_DEADLINE;

/// How long a process may take to say who it is.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// The system's begin is told in whole seconds.
const CLOCKS_DIFFER: Duration = Duration::from_secs(2);

/// How often it is looked whether the process is gone.
const POLL: Duration = Duration::from_millis(100);

/// How often it is said that it is not.
const POLLS_A_LINE: u32 = 10;

/// After how many looks the process is left to itself: 10 s.
const POLLS: u32 = 100;

/// `stop`
#[derive(Args, Debug)]
pub struct Stop {
    /// Whose process to stop.
    #[command(flatten)]
    pub config: Config,
    /// The pid file that `start` was told
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<String>,
    /// The directory of the control sockets that `start` was told
    #[arg(long, value_name = "DIR")]
    pub control_dir: Option<String>,
}

/// Interrupts the process and waits for its end, for ten seconds at most.
///
/// As with MOSN, only a configuration that cannot be read is a failure.
#[must_use]
pub fn stop(arguments: &Stop) -> Exit {
    let flags = SettingsFlags {
        file: std::env::var_os("BANYAN_SETTINGS").map(Into::into),
        control_dir: arguments.control_dir.clone(),
        pid_file: arguments.pid_file.clone(),
        ..SettingsFlags::default()
    };
    let settings = match settings::load(&flags, std::env::vars_os()) {
        Ok(loaded) => loaded.settings,
        Err(error) => return print::refuse(&error, Exit::BadConfiguration),
    };
    let file = &arguments.config.file;
    let loaded = config::load(file);
    let Some(mut plan) = loaded.plan else {
        return print::refuse(&loaded.diagnostics.to_text(), Exit::Failed);
    };
    settings.overrule(&mut plan.server);
    let paths = ControlPaths::of(&absolute(file), &plan.server);
    let (log, handle) = match logging::start_early(&settings) {
        Ok(started) => started,
        Err(error) => return print::refuse(&error, Exit::Failed),
    };
    let log = log.new(o!("tag" => "mosn stop"));
    match named(&paths, &log) {
        Ok(pid) if is_another(pid, &paths) => {
            let why = "it has begun after the pid file was written, and is another one";
            error!(log, "process({}) is left alone: {}", pid, why);
        }
        Ok(pid) => interrupt(pid, &log),
        Err(error) => error!(log, "fail to get pid: {}", error),
    }
    let _flushed = handle.close(CLOSE_DEADLINE);
    Exit::Normal
}

/// The process that the asked pid file names; where that is none that runs, the one that the default
/// file names, which `start` writes when it cannot write the asked one.
///
/// # Errors
///
/// What is wrong with the asked file.
fn named(paths: &ControlPaths, log: &Logger) -> io::Result<Pid> {
    let asked = pid_file::read(&paths.pid);
    if paths.pid == paths.default_pid || asked.as_ref().is_ok_and(|pid| runs(*pid)) {
        return asked;
    }
    // It may be that of another configuration, whose process is not to be stopped.
    let other = pid_file::read(&paths.default_pid).ok();
    match other.filter(|pid| runs(*pid) && answers(*pid, paths)) {
        Some(pid) => {
            let default = paths.default_pid.display();
            info!(
                log,
                "pid file {} names no process that runs; it is {default} instead",
                paths.pid.display()
            );
            Ok(pid)
        }
        None => asked,
    }
}

/// Whether the system has given the number of a process that is gone to another one.
fn is_another(pid: Pid, paths: &ControlPaths) -> bool {
    let mut files = [&paths.pid, &paths.default_pid].into_iter();
    let named = files.find(|file| pid_file::read(file).is_ok_and(|named| named == pid));
    let written = named.and_then(|file| fs::metadata(file).ok()?.modified().ok());
    let is_later = written
        .zip(began(pid))
        .is_some_and(|(written, began)| began > written + CLOCKS_DIFFER);
    // The clock may have been set meanwhile.
    is_later && !answers(pid, paths)
}

/// When a process has begun, by today's clock.
fn began(pid: Pid) -> Option<SystemTime> {
    let (stat, system) = (
        fs::read_to_string(format!("/proc/{pid}/stat")).ok()?,
        fs::read_to_string("/proc/stat").ok()?,
    );
    let (_, fields) = stat.rsplit_once(") ")?;
    // The 22nd of proc_pid_stat(5), in hundredths of a second since the system has begun.
    let ticks: u64 = fields.split(' ').nth(19)?.parse().ok()?;
    let mut lines = system.lines();
    let booted = lines.find_map(|line| line.strip_prefix("btime "))?;
    let booted = Duration::from_secs(booted.trim().parse().ok()?);
    Some(SystemTime::UNIX_EPOCH + booted + Duration::from_millis(ticks.saturating_mul(10)))
}

fn runs(pid: Pid) -> bool {
    // Another user's runs too.
    !matches!(kill(pid, None), Err(Errno::ESRCH)) && !has_ended(pid)
}

/// Whether it has ended, and its parent has not asked how; some never do.
fn has_ended(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Its name, in brackets, may hold anything.
    let (_, state) = stat.rsplit_once(") ").unwrap_or_default();
    state.starts_with(['Z', 'X'])
}

/// Whether it is this process that answers at the control socket.
fn answers(pid: Pid, paths: &ControlPaths) -> bool {
    let socket = paths.sockets.join(SOCKET);
    let states = client::ask_within(ANSWERS_WITHIN, &socket, "GET", "/api/v1/states", b"");
    states.is_ok_and(|answer| answer.body.starts_with(&format!("pid={pid}&")))
}

fn interrupt(pid: Pid, log: &Logger) {
    if !runs(pid) {
        let error = Errno::ESRCH;
        error!(log, "process({}) is not existing, err: {}", pid, error);
        return;
    }
    info!(log, "sending INT signal to process({})", pid);
    if let Err(error) = kill(pid, Signal::SIGINT) {
        error!(
            log,
            "fail to send INT signal to process({}), err: {}", pid, error
        );
        return;
    }
    for poll in 1..=POLLS {
        thread::sleep(POLL);
        if !runs(pid) {
            info!(log, "stopped mosn process({}) successfully.", pid);
            return;
        }
        if poll % POLLS_A_LINE == 0 {
            // Two blanks, as MOSN writes it.
            info!(
                log,
                "mosn process({})  is still existing, waiting for it quiting", pid
            );
        }
    }
    error!(
        log,
        "mosn process({}) is still existing after waiting for 10s, ignore it and quiting ...", pid
    );
}
