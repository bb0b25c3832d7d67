//! The command `start`: from settings and a configuration to a running tree, and its end.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use slog::{Logger, crit, debug, error, info, warn};
use tokio::sync::watch;

use super::arguments::Start;
use super::life::{Stage, live};
use super::paths::ControlPaths;
use super::pid_file::PidFile;
use super::settings::{self, Settings};
use super::signals::Signals;
use super::upgrade::CommandLine;
use super::{Exit, limits, logging, memory, print, tree, upgrade};
use crate::Charge;
use crate::config::{self, Diagnostics, Plan, Severity};
use crate::telemetry::access_log::AccessLogs;
use crate::telemetry::log::{CLOSE_DEADLINE, LogHandle, Output};

/// Runs a proxy until it ends.
#[must_use]
pub fn start(arguments: &Start) -> Exit {
    let loaded = match settings::load(&arguments.settings, std::env::vars_os()) {
        Ok(loaded) => loaded,
        Err(error) if error.is_usage() => return print::refuse(&error, Exit::Usage),
        Err(error) => return print::refuse(&error, Exit::BadConfiguration),
    };
    if arguments.print_settings {
        for warning in &loaded.warnings {
            print::tell(warning);
        }
        return print::say(&loaded);
    }
    match logging::start_early(&loaded.settings) {
        Ok((log, handle)) => {
            let exit = boot(arguments, &loaded, &log, &handle);
            close(&handle);
            exit
        }
        Err(error) => print::refuse(&error, Exit::Failed),
    }
}

/// Everything up to the log that the configuration asks for is told to stderr.
fn boot(
    arguments: &Start,
    loaded: &settings::Loaded,
    early: &Logger,
    early_log: &LogHandle,
) -> Exit {
    let settings = &loaded.settings;
    for warning in &loaded.warnings {
        warn!(early, "{}", warning);
    }
    Stage::ParamsParsed.enter(early);
    let file = &arguments.config.file;
    info!(early, "load config from :  {}", file.display());
    let (mut plan, diagnostics) = match load(file) {
        Ok(loaded) => loaded,
        Err(diagnostics) => {
            close(early_log);
            upgrade::report(&diagnostics.to_text());
            return print::refuse(&diagnostics.to_text(), Exit::Failed);
        }
    };
    settings.overrule(&mut plan.server);
    let paths = ControlPaths::of(&absolute(file), &plan.server);
    Stage::Initing.enter(early);
    let output = logging::output(settings, &plan.server.log, &paths);
    let started = logging::start_configured(settings, &plan.server.log, output.clone());
    let (log, handle) = match started {
        Ok(started) => started,
        Err(error) => {
            crit!(early, "initialize default logger failed : {}", error);
            return Exit::Failed;
        }
    };
    close(early_log);
    logging::adopt_process(&log, handle.level());
    say_what_has_no_effect(&log, arguments, &diagnostics);
    let access = AccessLogs::new(plan.server.log.roller, jiff::tz::TimeZone::system());
    let logs = Logs {
        log: &log,
        handle: &handle,
        access: &access,
    };
    let line = CommandLine::new(super::canonical_arguments(), file);
    let life = || actix_rt::System::new().block_on(run(plan, settings, &paths, line, &logs));
    // The panic hook has said where.
    let panicked = |_| Err("the control thread panicked".to_owned());
    let ended = catch_unwind(AssertUnwindSafe(life)).unwrap_or_else(panicked);
    if let Err(reason) = &ended {
        crit!(log, "{}", reason);
    }
    // An output that is stuck has had its time.
    let _flushed = access.close(CLOSE_DEADLINE);
    close(&handle);
    match ended {
        Ok(exit) => exit,
        Err(_) if output == Output::Stderr => Exit::Failed,
        // Who watches the terminal does not see the log.
        Err(reason) => print::refuse(&reason, Exit::Failed),
    }
}

/// Where a running process writes.
struct Logs<'l> {
    log: &'l Logger,
    handle: &'l LogHandle,
    access: &'l AccessLogs,
}

/// Runs the tree; an error is why there never was one.
async fn run(
    plan: Plan,
    settings: &Settings,
    paths: &ControlPaths,
    line: CommandLine,
    logs: &Logs<'_>,
) -> Result<Exit, String> {
    let log = logs.log;
    // Before anything is bound, so that no signal finds the process without an answer.
    let mut signals =
        Signals::listen().map_err(|error| format!("cannot handle signals: {error}"))?;
    #[cfg(feature = "fault-injection")]
    super::fault::arm_upgrade();
    let upgrades = upgrade::upgrades(&plan.server, settings, paths, line);
    let inheritance = match upgrade::inherit(upgrades.as_ref(), log).await {
        Ok(inheritance) => inheritance,
        Err(exit) => return Ok(exit),
    };
    let is_successor = inheritance.is_some();
    Stage::Starting.enter(log);
    let log_directory = paths.log.parent().unwrap_or_else(|| Path::new("/"));
    let options = tree::Options {
        workers: limits::workers(plan.server.workers),
        max_connections: limits::connections(settings.max_connections, log),
        drain_time: settings.drain_time,
        access: logs.access.clone(),
        log_directory: log_directory.to_owned(),
        upgrades,
        inheritance,
    };
    let tree = match tree::start(plan, options, log).await {
        Ok(tree) => tree,
        Err(error) if is_successor => return Ok(upgrade::failed(&error, 4, log)),
        Err(error) => return Err(error.to_string()),
    };
    let pid_file = RefCell::new(None);
    let in_charge = keep_pid_file(tree.charge(), &pid_file, paths, log);
    #[cfg(feature = "fault-injection")]
    super::fault::inject();
    let next_signal = async || signals.next().await;
    let reopen = || {
        logs.handle.reopen();
        logs.access.reopen();
    };
    let life = live(&tree, next_signal, settings.drain_time, log, reopen);
    let exit = tokio::select! {
        biased;
        never = in_charge => match never {},
        exit = life => exit,
        never = memory::tend() => match never {},
    };
    Ok(match tree.superseded() {
        Some(why) => upgrade::failed(&why, 4, log),
        None => exit,
    })
}

/// Writes the pid file whenever this process is the one in charge: one that could not start, or
/// could not take over, leaves the file of the one that runs.
async fn keep_pid_file(
    mut charge: watch::Receiver<Charge>,
    file: &RefCell<Option<PidFile>>,
    paths: &ControlPaths,
    log: &Logger,
) -> Infallible {
    loop {
        if *charge.borrow_and_update() == Charge::Ours {
            // The one before is removed with its owner.
            drop(file.take());
            file.replace(write_pid_file(paths, log));
        }
        if charge.changed().await.is_err() {
            return pending().await;
        }
    }
}

/// The plan of a file and what is doubtful in it, or everything that is wrong with it.
fn load(file: &Path) -> Result<(Plan, Diagnostics), Diagnostics> {
    let loaded = config::load(file);
    match loaded.plan {
        Some(plan) => Ok((plan, loaded.diagnostics)),
        None => Err(loaded.diagnostics),
    }
}

/// The path from the root; the current directory is gone when there is none.
pub(super) fn absolute(file: &Path) -> PathBuf {
    std::path::absolute(file).unwrap_or_else(|_| file.to_owned())
}

fn say_what_has_no_effect(log: &Logger, arguments: &Start, diagnostics: &Diagnostics) {
    for flag in arguments.mosn.given() {
        debug!(log, "flag --{} is accepted and has no effect", flag);
    }
    for diagnostic in diagnostics.of(Severity::Warning) {
        let place = format!(
            "{}:{}:{}",
            diagnostic.file, diagnostic.line, diagnostic.column
        );
        warn!(log, "{}", diagnostic.message; "tag" => "config", "found" => diagnostic.found.as_deref().map(|found| found.trim_matches('"')), "path" => &diagnostic.path,
            "at" => place);
    }
}

/// A process without its pid file runs all the same, as in MOSN.
fn write_pid_file(paths: &ControlPaths, log: &Logger) -> Option<PidFile> {
    let write = |path| PidFile::write(path, nix::unistd::Pid::this());
    write(&paths.pid)
        .or_else(|error| match paths.pid == paths.default_pid {
            true => Err(error),
            false => write(&paths.default_pid),
        })
        .inspect(|file| info!(log, "pid file written"; "path" => %file.path().display()))
        .inspect_err(|error| error!(log, "write pid file error: {}", error))
        .ok()
}

fn close(log: &LogHandle) {
    // An output that is stuck has had its time.
    let _flushed = log.close(CLOSE_DEADLINE);
}
