//! Starts a successor by way of a process between, which steps aside before the successor takes over.
//!
//! A service manager that is told of a new main process looks whose child it is. For one that is
//! not its own it does not wait: asked to stop the service it kills it at once, with all that is
//! under way (systemd 252: "Supervising process … which is not our child"). A process whose parent
//! has ended is the manager's child. So a successor's parent does nothing but say how its child
//! ends, and has ended itself before the manager hears of the successor.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use clap::Args;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::oneshot;

use super::Exit;
use crate::Launched;

/// The program that runs, also after another file was put in its place.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// How long two processes may take to begin.
const BEGINS_WITHIN: Duration = Duration::from_secs(10);

/// How long the process between may take to step aside.
const LEAVES_WITHIN: Duration = Duration::from_secs(1);

/// Why process 1 starts no successor.
const PROCESS_1: &str = "this is process 1 of its container, whose end would end the successor too: \
    start another container with the same control directory, or this one under an init";

/// What the process between is to start.
#[derive(Args, Debug)]
pub struct Launch {
    /// A program, and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// `banyan launch`: the process between. Its standard input is a socket to who has started it.
#[must_use]
pub fn launch(arguments: &Launch) -> Exit {
    match stand_between(&arguments.command) {
        Ok(()) => Exit::Normal,
        // Whoever would be told has left.
        Err(_) => Exit::Failed,
    }
}

fn stand_between(command: &[OsString]) -> io::Result<()> {
    let mut starter = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    let started = command.args(arguments).stdin(Stdio::null()).spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => return writeln!(starter, "{}", Word::failed(&error)),
    };
    writeln!(starter, "{}", Word::Started(child.id()))?;
    let mut tells = starter.try_clone()?;
    thread::Builder::new().spawn(move || {
        if let Ok(how) = child.wait() {
            // Whoever would be told has left.
            let _ = writeln!(tells, "{}", Word::Ended(how.to_string()));
        }
        let _ = tells.shutdown(Shutdown::Both);
    })?;
    // It is told nothing but that it is to leave, by the end of what it could be told.
    starter.read(&mut [0]).map(drop)
}

/// Starts what `command` says, with another process between.
///
/// # Errors
///
/// Why it cannot be started, with the program's name.
pub(super) fn spawn(command: &Command) -> io::Result<Launched> {
    if std::process::id() == 1 {
        return Err(io::Error::new(io::ErrorKind::Unsupported, PROCESS_1));
    }
    let program = command.get_program().display();
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{program}: {error}"));
    let (here, there) = UnixStream::pair()?;
    let mut between = between(command, there).spawn().map_err(named)?;
    let mut words = BufReader::new(here.try_clone()?);
    let pid = match first(&here, &mut words) {
        Ok(pid) => pid,
        Err(error) => {
            // It ends by itself, now that nobody hears it.
            drop((words, here));
            let _ended = between.wait();
            return Err(named(error));
        }
    };
    let (tells, ended) = oneshot::channel();
    let (leaves, has_left) = mpsc::channel::<()>();
    thread::Builder::new()
        .name("successor".to_owned())
        .spawn(move || {
            if let Ok(Word::Ended(how)) = Word::read(&mut words) {
                // Nobody asks any more when it has taken over.
                let _ = tells.send(how);
            }
            // So that no zombie is left.
            let _ended = between.wait();
            drop(leaves);
        })?;
    let kill = move || {
        if let Ok(number) = i32::try_from(pid) {
            // It may have ended by itself meanwhile.
            let _ = kill(Pid::from_raw(number), Signal::SIGKILL);
        }
    };
    let let_go = move || {
        // It may have ended by itself meanwhile.
        let _ = here.shutdown(Shutdown::Both);
        let _left = has_left.recv_timeout(LEAVES_WITHIN);
    };
    Ok(Launched {
        pid,
        ended,
        kill: Box::new(kill),
        let_go: Box::new(let_go),
    })
}

/// The process between, which is to start `command`.
fn between(command: &Command, socket: UnixStream) -> Command {
    let program = command.get_program();
    let mut between = Command::new(THIS_PROGRAM);
    between.arg0(program).args(["launch", "--"]).arg(program);
    between.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => between.env(name, value),
            None => between.env_remove(name),
        };
    }
    between.stdin(OwnedFd::from(socket));
    between
}

/// The process that was started.
fn first(here: &UnixStream, words: &mut impl BufRead) -> io::Result<u32> {
    here.set_read_timeout(Some(BEGINS_WITHIN))?;
    let pid = match Word::read(words)? {
        Word::Started(pid) => pid,
        Word::Failed(number) => return Err(io::Error::from_raw_os_error(number)),
        Word::Ended(_) => return Err(io::ErrorKind::InvalidData.into()),
    };
    here.set_read_timeout(None)?;
    Ok(pid)
}

/// What the process between says, a line each.
#[derive(Debug, PartialEq, Eq)]
enum Word {
    /// The child runs; its process.
    Started(u32),
    /// There is no child; the number of the system's error.
    Failed(i32),
    /// The child has ended; how.
    Ended(String),
}

impl Word {
    fn failed(error: &io::Error) -> Self {
        Self::Failed(error.raw_os_error().unwrap_or_default())
    }

    fn read(words: &mut impl BufRead) -> io::Result<Self> {
        let mut line = String::new();
        words.read_line(&mut line)?;
        Self::of(line.trim_end()).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn of(line: &str) -> Option<Self> {
        let (what, rest) = line.split_once(' ')?;
        match what {
            "started" => rest.parse().ok().map(Self::Started),
            "failed" => rest.parse().ok().map(Self::Failed),
            "ended" => Some(Self::Ended(rest.to_owned())),
            _ => None,
        }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started(pid) => write!(f, "started {pid}"),
            Self::Failed(number) => write!(f, "failed {number}"),
            Self::Ended(how) => write!(f, "ended {how}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_what_is_heard() {
        let ended = Word::Ended("signal: 9 (SIGKILL)".to_owned());
        for word in [Word::Started(4711), Word::Failed(2), ended] {
            let mut line = format!("{word}\n").into_bytes();
            assert_eq!(Word::read(&mut line.as_slice()).unwrap(), word);
            line.truncate(3);
            assert!(Word::read(&mut line.as_slice()).is_err());
        }
        assert!(Word::read(&mut &b""[..]).is_err());
    }
}
