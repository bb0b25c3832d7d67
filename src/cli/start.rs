//! The command `start`: from settings and a configuration to a running tree, and its end.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use slog::{Logger, crit, debug, error, info, warn};
use tokio::sync::watch;
use tokio::time::sleep;

use super::admin::{self, Around, Binding, Places};
use super::arguments::Start;
use super::gates::Gates;
use super::levels::Levels;
use super::life::{Stage, live};
use super::paths::ControlPaths;
use super::pid_file::PidFile;
use super::settings::{self, Settings};
use super::signals::Signals;
use super::source::{ConfigurationFile, Followed, Watched};
use super::systemd::Manager;
use super::tree::Managed;
use super::upgrade::CommandLine;
use super::write_back::{Gate, WriteBack};
use super::{Exit, limits, logging, memory, print, tree, upgrade};
use crate::config::{Configuration, Diagnostics, Severity};
use crate::net::Legacy;
use crate::telemetry::access_log::AccessLogs;
use crate::telemetry::log::{self, CLOSE_DEADLINE, LogHandle, Output};
use crate::{Charge, Inheritance, ProxyHandle, Upgrades};

/// How often a pid file that could not be written is tried again.
const PID_FILE_AGAIN: Duration = Duration::from_secs(1);

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
    let (gates, source) = match asked(arguments, settings) {
        Ok(asked) => asked,
        Err(why) => {
            info!(early, "{}", why);
            return Exit::Failed;
        }
    };
    info!(early, "load config from :  {}", source.path.display());
    let (configuration, diagnostics) = match source.read() {
        Ok(read) => read,
        Err(diagnostics) => return refuse(arguments, &diagnostics, early_log),
    };
    let server = configuration.plan().server.clone();
    let paths = ControlPaths::of(&absolute(&source.path), &server);
    Stage::Initing.enter(early);
    let output = logging::output_name(settings, &server.log, &paths);
    let started = logging::start_configured(settings, &server.log, logging::output(&output));
    let (log, handle) = match started {
        Ok(started) => started,
        Err(error) => return unlogged(&error, early),
    };
    close(early_log);
    logging::adopt_process(&log, handle.level());
    say_what_has_no_effect(&log, arguments, &gates, &diagnostics);
    let begun = Begun {
        configuration,
        source,
        gates,
        given: Legacy::default(),
    };
    let line = CommandLine::new(super::canonical_arguments(), &begun.source.path);
    let ended = proceed(begun, settings, &paths, line, (&log, &handle, &output));
    close(&handle);
    ended.unwrap_or_else(|reason| {
        upgrade::report(&reason);
        match logging::output(&output) {
            Output::Stderr => Exit::Failed,
            // Who watches the terminal does not see the log.
            _ => print::refuse(&reason, Exit::Failed),
        }
    })
}

/// Tells that there is no log.
fn unlogged(error: &log::Error, early: &Logger) -> Exit {
    let place = "`default_log_path` in the configuration, or `--log-output`, says where it goes";
    upgrade::report(&format_args!("initialize default logger failed : {error}"));
    crit!(early, "initialize default logger failed : {error}; {place}");
    Exit::Failed
}

/// Tells what is wrong with the configuration, to whoever waits for it too.
fn refuse(arguments: &Start, found: &Diagnostics, early_log: &LogHandle) -> Exit {
    close(early_log);
    let text = found.to_text();
    upgrade::report(&text);
    print::refuse(&(text + arguments.config.help()), Exit::Failed)
}

/// What the command line asks for beside settings: gates, and a file.
fn asked(
    arguments: &Start,
    settings: &Settings,
) -> Result<(Gates, Arc<ConfigurationFile>), String> {
    let gates = Gates::parse(arguments.feature_gates.as_deref().unwrap_or_default())?;
    let path = arguments.config.file.clone();
    let settings = settings.clone();
    Ok((gates, Arc::new(ConfigurationFile { path, settings })))
}

/// Runs the tree in an actix system of its own, until its last line is written.
fn proceed(
    mut begun: Begun,
    settings: &Settings,
    paths: &ControlPaths,
    line: CommandLine,
    (log, handle, output): (&Logger, &LogHandle, &str),
) -> Result<Exit, String> {
    let roller = begun.configuration.plan().server.log.roller;
    let access = AccessLogs::new(roller, jiff::tz::TimeZone::system());
    let (manager, given) = Manager::meet(log);
    begun.given = given;
    let logs = Audience {
        log,
        handle,
        output,
        access: &access,
        manager: &manager,
    };
    let life = || actix_rt::System::new().block_on(run(begun, settings, paths, line, &logs));
    // The panic hook has said where.
    let panicked = |_| Err("the control thread panicked".to_owned());
    let ended = catch_unwind(AssertUnwindSafe(life)).unwrap_or_else(panicked);
    if let Err(reason) = &ended {
        crit!(log, "{}", reason);
    }
    manager.bid_farewell();
    // An output that is stuck has had its time.
    let _flushed = access.close(CLOSE_DEADLINE);
    ended
}

/// Who is told what a running process does.
struct Audience<'l> {
    log: &'l Logger,
    handle: &'l LogHandle,
    /// The output of the log, as it was configured.
    output: &'l str,
    access: &'l AccessLogs,
    manager: &'l Manager,
}

/// What a process runs.
struct Begun {
    configuration: Configuration,
    source: Arc<ConfigurationFile>,
    gates: Gates,
    /// Sockets that the process was started with.
    given: Legacy,
}

impl Begun {
    /// The tree; when it is there, every listener accepts, or waits for its predecessor.
    async fn start(
        self,
        settings: &Settings,
        paths: &ControlPaths,
        logs: &Audience<'_>,
        upgrades: Option<Upgrades>,
        inheritance: Option<Inheritance>,
    ) -> Result<ProxyHandle, String> {
        let options = self.options(settings, paths, logs, upgrades, inheritance.as_ref());
        let (configuration, options) = match (options, inheritance) {
            (Ok((configuration, options)), inheritance) => (
                configuration,
                tree::Options {
                    inheritance,
                    ..options
                },
            ),
            (Err(reason), None) => return Err(reason),
            (Err(reason), Some(inheritance)) => {
                inheritance.decline(&reason).await;
                return Err(reason);
            }
        };
        let tree = tree::start(configuration, options, logs.log).await;
        tree.map_err(|error| error.to_string())
    }

    /// What the tree is started with.
    fn options(
        mut self,
        settings: &Settings,
        paths: &ControlPaths,
        logs: &Audience<'_>,
        upgrades: Option<Upgrades>,
        predecessor: Option<&Inheritance>,
    ) -> Result<(Configuration, tree::Options), String> {
        let log = logs.log;
        let plan = self.configuration.plan().clone();
        let levels = Arc::new(Levels::of(logs.handle.clone(), settings));
        let around = Around {
            gates: self.gates,
            variables: admin::shown_variables(settings),
            output: logs.output.to_owned(),
            levels: Arc::clone(&levels),
            access: logs.access.clone(),
        };
        let (configuration, keeping) = self.source.begin(self.configuration, log);
        let logs_of_tree = paths.log.parent().unwrap_or_else(|| Path::new("/"));
        let places = Places {
            plan: &plan,
            paths,
            binding: predecessor.map_or_else(Binding::default, |predecessor| {
                Binding::after(predecessor.listeners())
            }),
            given: &mut self.given,
        };
        let options = tree::Options {
            workers: limits::workers(plan.server.workers),
            max_connections: limits::connections(settings.max_connections, log),
            drain_time: settings.drain_time,
            pre_drain_wait: settings.pre_drain_wait,
            access: logs.access.clone(),
            log_directory: logs_of_tree.to_owned(),
            admin: admin::open(settings, places, around, log)?,
            source: Arc::new(Followed {
                file: self.source,
                levels,
            }),
            keeping,
            upgrades,
            inheritance: None,
            given: self.given,
        };
        Ok((configuration, options))
    }
}

/// Runs the tree; an error is why there never was one.
async fn run(
    begun: Begun,
    settings: &Settings,
    paths: &ControlPaths,
    line: CommandLine,
    logs: &Audience<'_>,
) -> Result<Exit, String> {
    let log = logs.log;
    // Before anything is bound, so that no signal finds the process without an answer.
    let signals = Signals::listen().map_err(|error| format!("cannot handle signals: {error}"))?;
    #[cfg(feature = "fault-injection")]
    super::fault::arm_upgrade();
    let upgrades = upgrade::upgrades(&begun.configuration.plan().server, settings, paths, line);
    let inheritance = match upgrade::inherit(upgrades.as_ref(), log).await {
        Ok(inheritance) => inheritance,
        Err(exit) => return Ok(exit),
    };
    let is_successor = inheritance.is_some();
    if let Some(inheritance) = &inheritance {
        logs.manager.succeeds(inheritance.listeners());
    }
    Stage::Starting.enter(log);
    let gate = match begun.gates.auto_config() {
        true => Gate::Open,
        false => Gate::Shut,
    };
    let source = Arc::clone(&begun.source);
    let started = begun
        .start(settings, paths, logs, upgrades, inheritance)
        .await;
    let tree = match started {
        Ok(tree) => tree,
        Err(error) if is_successor => return Ok(upgrade::failed(&error, 4, log)),
        Err(error) => return Err(error),
    };
    let exit = lead(&tree, &source, settings, paths, gate, signals, logs).await;
    Ok(match tree.superseded() {
        Some(why) => upgrade::failed(&why, 4, log),
        None => exit,
    })
}

/// Does what signals and changes ask until the tree has ended.
async fn lead(
    tree: &ProxyHandle,
    source: &ConfigurationFile,
    settings: &Settings,
    paths: &ControlPaths,
    gate: Gate,
    mut signals: Signals,
    logs: &Audience<'_>,
) -> Exit {
    let log = logs.log;
    let pid_file = RefCell::new(None);
    let in_charge = keep_pid_file(tree.charge(), &pid_file, paths, log);
    #[cfg(feature = "fault-injection")]
    super::fault::inject();
    let mut watched = Watched::new(&source.path, settings.watch_config);
    let next_signal = async || {
        tokio::select! {
            biased;
            signal = signals.next() => signal,
            edited = watched.edited() => edited,
        }
    };
    let reopen = || {
        logs.handle.reopen();
        logs.access.reopen();
    };
    let manager = logs.manager;
    let managed = Managed {
        proxy: tree,
        manager,
    };
    let life = live(&managed, next_signal, settings, log, reopen);
    let mut write_back = WriteBack::new(tree.clone(), source.path.clone(), gate, log.clone());
    let exit = tokio::select! {
        biased;
        never = in_charge => match never {},
        never = manager.attend(tree, log) => match never {},
        exit = life => exit,
        never = memory::tend() => match never {},
        never = write_back.run() => match never {},
    };
    manager.look(tree);
    if tree.superseded().is_none() {
        write_back.write().await;
    }
    exit
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
        let is_ours = *charge.borrow_and_update() == Charge::Ours;
        if is_ours {
            // The one before is removed with its owner.
            drop(file.take());
            let written = write_pid_file(paths, log);
            file.replace(
                written
                    .inspect_err(|error| error!(log, "write pid file error: {}", error))
                    .ok(),
            );
        }
        let rewrite = async {
            while is_ours && file.borrow().is_none() {
                // Room and descriptors may come back.
                sleep(PID_FILE_AGAIN).await;
                file.replace(write_pid_file(paths, log).ok());
            }
            pending::<()>().await;
        };
        tokio::select! {
            changed = charge.changed() => if changed.is_err() {
                return pending().await;
            },
            () = rewrite => {}
        }
    }
}

/// The path from the root; the current directory is gone when there is none.
pub(super) fn absolute(file: &Path) -> PathBuf {
    std::path::absolute(file).unwrap_or_else(|_| file.to_owned())
}

fn say_what_has_no_effect(
    log: &Logger,
    arguments: &Start,
    gates: &Gates,
    diagnostics: &Diagnostics,
) {
    for gate in gates.idle() {
        warn!(log, "[feature gate] feature {} opens nothing here", gate);
    }
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
fn write_pid_file(paths: &ControlPaths, log: &Logger) -> io::Result<PidFile> {
    let write = |path| PidFile::write(path, nix::unistd::Pid::this());
    write(&paths.pid)
        .or_else(|error| {
            if paths.pid == paths.default_pid {
                return Err(error);
            }
            let (asked, default) = (paths.pid.display(), paths.default_pid.display());
            warn!(log, "pid file {asked}: {error}; it is {default} instead");
            write(&paths.default_pid)
        })
        .inspect(|file| info!(log, "pid file written"; "path" => %file.path().display()))
}

fn close(log: &LogHandle) {
    // An output that is stuck has had its time.
    let _flushed = log.close(CLOSE_DEADLINE);
}
