//! The command `upgrade`, and what starts a successor.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use slog::{Logger, error, info};

use super::arguments::{SettingsFlags, Upgrade as Arguments};
use super::launch::spawn;
use super::paths::ControlPaths;
use super::settings::Settings;
use super::start::absolute;
use super::systemd::OF_THIS_PROCESS;
use super::{Exit, print, settings};
use crate::actor::upgrade::{self, InheritError};
use crate::config::{self, Server};
use crate::net::{Control, Talk};
use crate::protocol::handover::Message;
use crate::{Inheritance, Launcher, Upgrades};

/// How long the running process may take to begin.
const BEGINS_WITHIN: Duration = Duration::from_secs(10);

/// Longer than any upgrade takes; the running process gives up earlier, and says why.
const OUTCOME_WITHIN: Duration = Duration::from_secs(3600);

/// Asks a running process to start a successor.
#[must_use]
pub fn upgrade(arguments: &Arguments) -> Exit {
    let directory = match directory(arguments) {
        Ok(directory) => directory,
        Err(exit) => return exit,
    };
    let launch = Message::Launch {
        binary: arguments.binary.as_deref().map(absolute),
        config: arguments.config.as_deref().map(absolute),
    };
    let asked = async {
        let path = Control::path_in(&directory);
        let talk = Talk::connect(&path, BEGINS_WITHIN).await;
        let talk = talk.map_err(|error| unanswered(&path, &error))?;
        ask(talk, launch, arguments.wait).await
    };
    match actix_rt::System::new().block_on(asked) {
        Ok(answer) => answer.say(),
        Err(error) => print::refuse(&format_args!("upgrade: {error}"), Exit::UpgradeFailed),
    }
}

/// Why nobody can be asked.
fn unanswered(path: &Path, error: &io::Error) -> String {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            format!("no process that can be upgraded runs here: {path}: {error}")
        }
        io::ErrorKind::ConnectionRefused => {
            format!("the process that had {path} has ended: {error}")
        }
        _ => format!("{path}: {error}"),
    }
}

/// What the running process has answered.
enum Answer {
    Started(u32),
    Succeeded(u32),
    Busy(String),
    Failed(String),
}

impl Answer {
    fn say(&self) -> Exit {
        match self {
            Self::Started(pid) => print::say(&format_args!("process {pid} was started\n")),
            Self::Succeeded(pid) => print::say(&format_args!("process {pid} has taken over\n")),
            Self::Busy(why) => print::refuse(&format_args!("upgrade: {why}"), Exit::Busy),
            Self::Failed(why) => {
                print::refuse(&format_args!("upgrade: {why}"), Exit::UpgradeFailed)
            }
        }
    }
}

async fn ask(mut talk: Talk, launch: Message, wait: bool) -> Result<Answer, String> {
    let said = |error: crate::net::TalkError| error.to_string();
    talk.send(&launch, b"", &[]).await.map_err(said)?;
    let pid = match talk
        .receive_within(BEGINS_WITHIN)
        .await
        .map_err(said)?
        .message
    {
        Message::Launched { pid } => pid,
        Message::Busy { pid, why, .. } => {
            return Ok(Answer::Busy(format!("process {pid} is busy: {why}")));
        }
        Message::Refused { reason }
        | Message::Outcome {
            failure: Some(reason),
        } => {
            return Ok(Answer::Failed(reason));
        }
        _ => return Err("the running process answers something else than was asked".to_owned()),
    };
    if !wait {
        return Ok(Answer::Started(pid));
    }
    match talk
        .receive_within(OUTCOME_WITHIN)
        .await
        .map_err(said)?
        .message
    {
        Message::Outcome { failure: None } => Ok(Answer::Succeeded(pid)),
        Message::Outcome { failure: Some(why) } => Ok(Answer::Failed(why)),
        _ => Err("the running process answers something else than was asked".to_owned()),
    }
}

/// Where the running process has its control socket.
fn directory(arguments: &Arguments) -> Result<PathBuf, Exit> {
    if let Some(directory) = &arguments.control_dir {
        return Ok(directory.clone());
    }
    let flags = SettingsFlags {
        file: std::env::var_os("BANYAN_SETTINGS").map(Into::into),
        ..SettingsFlags::default()
    };
    let settings = settings::load(&flags, std::env::vars_os())
        .map_err(|error| print::refuse(&error, Exit::BadConfiguration))?
        .settings;
    let loaded = config::load(&arguments.running);
    let Some(mut plan) = loaded.plan else {
        return Err(print::refuse(&loaded.diagnostics.to_text(), Exit::Failed));
    };
    settings.overrule(&mut plan.server);
    let paths = ControlPaths::of(&absolute(&arguments.running), &plan.server);
    Ok(paths.sockets)
}

/// How this process is upgraded; `None` when the configuration wants no upgrades.
pub(super) fn upgrades(
    server: &Server,
    settings: &Settings,
    paths: &ControlPaths,
    line: CommandLine,
) -> Option<Upgrades> {
    let enabled = server.upgrade == config::Upgrade::Enabled;
    enabled.then(|| Upgrades {
        timeout: settings.upgrade_timeout,
        probation: settings.upgrade_probation,
        launcher: Some(line.launcher(paths)),
        ..Upgrades::new(&paths.sockets)
    })
}

/// What the process that runs hands over, if there is one; an error is how this one ends.
pub(super) async fn inherit(
    upgrades: Option<&Upgrades>,
    log: &Logger,
) -> Result<Option<Inheritance>, Exit> {
    let Some(Upgrades {
        directory, timeout, ..
    }) = upgrades
    else {
        let Some(asks) = asking() else {
            return Ok(None);
        };
        let why = "`disable_upgrade`: the configuration wants no upgrade";
        upgrade::report(&asks, std::process::id(), why).await;
        return Err(failed(&why, 2, log));
    };
    match upgrade::inherit(directory, *timeout).await {
        Ok(Some(inheritance)) => {
            info!(log, "[NewMosn] active reconfiguring"; "tag" => "mosn",
                "predecessor" => inheritance.pid(), "sockets" => inheritance.sockets());
            Ok(Some(inheritance))
        }
        Ok(None) => Ok(None),
        Err(busy @ InheritError::Busy { .. }) => {
            error!(log, "[reconfigure] {}", busy; "tag" => "server");
            stops(log);
            Err(print::refuse(&busy, Exit::Busy))
        }
        Err(error) => {
            error!(log, "InheritListeners {}", error; "tag" => "server");
            error!(log, "[NewMosn] getInheritListeners failed, exit"; "tag" => "mosn");
            Err(failed(&error, 2, log))
        }
    }
}

/// Says, as MOSN does, that this process leaves the field to its predecessor.
pub(super) fn failed(why: &dyn std::fmt::Display, stage: u8, log: &Logger) -> Exit {
    error!(log, "failed to start application at stage: {}", stage; "tag" => "start");
    stops(log);
    print::refuse(&format_args!("upgrade failed: {why}"), Exit::UpgradeFailed)
}

/// The last states of a process that never ran.
fn stops(log: &Logger) {
    for number in [9, 10, 11] {
        info!(log, "state changed to {}", number; "tag" => "stagemanager");
    }
}

/// The control directory of the process that started this one to take over.
fn asking() -> Option<PathBuf> {
    std::env::var_os(settings::PREDECESSOR).map(PathBuf::from)
}

/// Tells the process that started this one to take over why it cannot even begin.
pub(super) fn report(why: &dyn std::fmt::Display) {
    let Some(directory) = asking() else {
        return;
    };
    let why = why.to_string();
    let report = upgrade::report(&directory, std::process::id(), &why);
    actix_rt::System::new().block_on(report);
}

/// The command line of this process, to start it again.
#[derive(Clone, Debug)]
pub(super) struct CommandLine {
    program: PathBuf,
    /// As they were given, but for the configuration and the control files.
    arguments: Vec<OsString>,
    config: PathBuf,
}

/// Flags that a successor gets from its predecessor, by their names in canonical form.
const REPLACED: [&str; 3] = ["--config", "--control-dir", "--pid-file"];

impl CommandLine {
    /// That of this process; `arguments` are canonical, the program's name first.
    pub(super) fn new(arguments: impl IntoIterator<Item = OsString>, config: &Path) -> Self {
        let stays = |argument: &OsString| {
            let text = argument.to_string_lossy();
            let name = text.split('=').next().unwrap_or_default();
            !REPLACED.contains(&name)
        };
        let mut arguments = arguments.into_iter();
        let called = PathBuf::from(arguments.next().unwrap_or_default());
        let running = std::env::current_exe().ok();
        Self {
            program: program(called, is_found, running),
            arguments: arguments.filter(stays).collect(),
            config: absolute(config),
        }
    }

    /// What starts a successor whose control files are these.
    pub(super) fn launcher(self, paths: &ControlPaths) -> Launcher {
        let (control, pid_file) = (paths.sockets.clone(), paths.pid.clone());
        Launcher::new(move |launch| {
            let program = launch.binary.as_ref().unwrap_or(&self.program);
            let mut command = Command::new(program);
            command.args(&self.arguments);
            let config = launch.config.as_ref().unwrap_or(&self.config);
            for (flag, value) in [
                ("--config", config),
                ("--control-dir", &control),
                ("--pid-file", &pid_file),
            ] {
                let mut argument = OsString::from(flag);
                argument.push("=");
                argument.push(value);
                command.arg(argument);
            }
            command.env(settings::PREDECESSOR, &control);
            for variable in OF_THIS_PROCESS {
                command.env_remove(variable);
            }
            spawn(&command)
        })
    }
}

/// The path that was executed, also after another file was put there; a name that is looked up is
/// looked up again. Who starts a process may call it anything (`exec -a`): then it is the file that
/// runs.
fn program(called: PathBuf, is_found: impl Fn(&Path) -> bool, running: Option<PathBuf>) -> PathBuf {
    match (is_found(&called), running) {
        (false, Some(running)) => running,
        _ if has_directory(&called) => absolute(&called),
        _ => called,
    }
}

fn has_directory(program: &Path) -> bool {
    program.components().count() > 1
}

/// Whether there is such a program, at its path or where names are looked up.
fn is_found(program: &Path) -> bool {
    if has_directory(program) {
        return program.is_file();
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successor_is_started_as_its_predecessor_but_for_its_files() {
        let given = [
            "/bin/banyan",
            "start",
            "--config=a.json",
            "--workers=2",
            "--pid-file=x",
        ];
        let line = CommandLine::new(given.map(OsString::from), Path::new("/conf/a.json"));
        assert_eq!(line.arguments, ["start", "--workers=2"]);
        assert_eq!(line.config, Path::new("/conf/a.json"));
    }

    #[test]
    fn the_program_is_the_one_that_was_called_or_else_the_one_that_runs() {
        let running = || Some(PathBuf::from("/opt/banyan-2"));
        for (called, is_found, expected) in [
            ("/opt/banyan", true, "/opt/banyan"),
            ("banyan", true, "banyan"),
            ("banyan-edge", false, "/opt/banyan-2"),
            ("/no/such/name", false, "/opt/banyan-2"),
        ] {
            assert_eq!(
                program(called.into(), |_| is_found, running()),
                Path::new(expected)
            );
        }
        assert_eq!(program("gone".into(), |_| false, None), Path::new("gone"));
    }
}
