//! Processes the comparison starts, none of which outlives it.
//!
//! Each is started through this program's own `exec` role, which asks the kernel for a SIGTERM at its
//! parent's end and then becomes the program wanted: so even a killed comparison leaves nothing behind.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

use crate::Result;

/// How long a process may take to end by itself after SIGTERM.
const GRACE: Duration = Duration::from_secs(3);

/// A running process with all it forks, ended when dropped.
pub(crate) struct Process(Child);

impl Process {
    /// Starts `program` without input; `errors` takes what it writes.
    ///
    /// # Errors
    ///
    /// When this program cannot be started again. A missing `program` shows as an early end.
    pub(crate) fn start<A: AsRef<OsStr>>(
        program: &OsStr,
        arguments: &[A],
        errors: Stdio,
    ) -> Result<Self> {
        let mut command = this_program("exec")?;
        command.arg(program).args(arguments);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors);
        Ok(Self(command.spawn()?))
    }

    /// Its own id and those of all its descendants.
    pub(crate) fn pids(&self) -> Vec<Pid> {
        let mut pids = vec![self.pid()];
        let mut next = 0;
        while let Some(&pid) = pids.get(next) {
            pids.extend(children(pid));
            next += 1;
        }
        pids
    }

    /// Whether it has ended.
    pub(crate) fn ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    /// What it writes to its standard error, if that is a pipe; once.
    pub(crate) fn errors(&mut self) -> Option<impl BufRead + use<>> {
        self.0.stderr.take().map(BufReader::new)
    }

    /// Sends SIGTERM and waits until it has ended, at most the grace; then kills it.
    pub(crate) fn end(&mut self) {
        let pids = self.pids();
        if self.ended() || kill(self.pid(), Signal::SIGTERM).is_err() {
            return;
        }
        let deadline = Instant::now() + GRACE;
        while !self.ended() {
            if Instant::now() > deadline {
                for &pid in &pids {
                    // One that is already gone cannot be killed; that is all right.
                    kill(pid, Signal::SIGKILL).unwrap_or_default();
                }
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id().cast_signed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

fn children(pid: Pid) -> Vec<Pid> {
    let threads = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let lists =
        threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .filter_map(|pid| pid.parse().ok().map(Pid::from_raw))
        .collect()
}

/// One of this program's own roles in a process of its own, spoken with in lines.
pub(crate) struct Role {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    process: Process,
}

impl Role {
    /// Starts `role` with `arguments`.
    ///
    /// # Errors
    ///
    /// When the process cannot be started.
    pub(crate) fn start(role: &str, arguments: &[String]) -> Result<Self> {
        let mut command = this_program(role)?;
        let mut child = command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let process = Process(child);
        let input = input.ok_or("no standard input")?;
        let output = BufReader::new(output.ok_or("no standard output")?);
        Ok(Self {
            input,
            output,
            process,
        })
    }

    /// The id of its process.
    #[allow(dead_code, reason = "shared with what does not ask for it")]
    pub(crate) fn pid(&self) -> Pid {
        self.process.pid()
    }

    /// Waits for its next line.
    ///
    /// # Errors
    ///
    /// When it ended instead.
    pub(crate) fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err("the load or the origin ended early".into());
        }
        line.truncate(line.trim_end().len());
        Ok(line)
    }

    /// Tells it to go on.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub(crate) fn go(&mut self) -> Result<()> {
        Ok(writeln!(self.input, "go")?)
    }
}

fn this_program(role: &str) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(role);
    Ok(command)
}

/// Ties the life of this process to its parent's, and lets signals reach it again. Every role begins
/// with it.
///
/// # Errors
///
/// When the kernel refuses.
pub(crate) fn begin_role() -> Result<()> {
    SigSet::empty().thread_set_mask()?;
    Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGTERM)?)
}

/// Becomes the program that `words` name.
///
/// # Errors
///
/// Always, if it returns: the program could not be started.
pub(crate) fn exec(words: &[String]) -> Result<()> {
    let (program, arguments) = words.split_first().ok_or("no program named")?;
    let error = Command::new(program).args(arguments).exec();
    Err(format!("{program}: {error}").into())
}
