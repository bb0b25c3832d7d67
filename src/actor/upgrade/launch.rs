//! Starting a successor, and finding out what becomes of it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::desk::Desk;
use super::predecessor::busy;
use crate::net::Talk;
use crate::protocol::handover::Message;

/// How long who has asked may take to take the answer.
const TAKES_WITHIN: Duration = Duration::from_secs(5);

/// A process that ends says why a moment earlier, to the control socket.
const SAYS_WHY_WITHIN: Duration = Duration::from_millis(500);

/// How a successor is to be started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Launch {
    /// The program, instead of the running one's.
    pub binary: Option<PathBuf>,
    /// The configuration, instead of the running one's.
    pub config: Option<PathBuf>,
}

/// Starts a successor. It may block for as long as fork(2) and execve(2) take.
#[derive(Clone)]
pub struct Launcher(Arc<Launches>);

type Launches = dyn Fn(&Launch) -> io::Result<Launched> + Send + Sync;

impl Launcher {
    /// One that calls this.
    pub fn new(launch: impl Fn(&Launch) -> io::Result<Launched> + Send + Sync + 'static) -> Self {
        Self(Arc::new(launch))
    }
}

impl fmt::Debug for Launcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launcher").finish_non_exhaustive()
    }
}

/// A successor that was started.
pub struct Launched {
    /// Its process.
    pub pid: u32,
    /// How it ended, in words; it is told when it has.
    pub ended: oneshot::Receiver<String>,
    /// Kills it.
    pub kill: Box<dyn FnOnce() + Send>,
}

impl fmt::Debug for Launched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launched")
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}

/// Starts a successor and waits for what becomes of it; `asked` is told.
pub(super) async fn launch(desk: Rc<Desk>, launch: Launch, asked: Option<Talk>) {
    let asked = Asked(asked);
    if let Some(busy) = busy(&desk) {
        slog::warn!(desk.log, "[reconfigure] no upgrade now: {busy:?}"; "tag" => "server");
        return asked.tell(&busy).await;
    }
    let Some(launcher) = desk.options.launcher.clone() else {
        let reason = "this process cannot start another one".to_owned();
        return asked.tell(&Message::Refused { reason }).await;
    };
    let mut outcome = desk.outcome.subscribe();
    outcome.mark_unchanged();
    let started = spawn_blocking(move || (launcher.0)(&launch)).await;
    let started = started.unwrap_or_else(|error| Err(io::Error::other(error.to_string())));
    let failure = match started {
        Ok(launched) => {
            let pid = launched.pid;
            slog::info!(desk.log, "[reconfigure] process {pid} was started to take over"; "tag" => "server");
            asked.tell(&Message::Launched { pid }).await;
            becomes(&desk, launched, &mut outcome).await.err()
        }
        Err(error) => Some(format!("the new process cannot be started: {error}")),
    };
    match &failure {
        None => slog::info!(desk.log, "[reconfigure] the upgrade succeeded"; "tag" => "server"),
        Some(why) => {
            slog::error!(desk.log, "[reconfigure] the upgrade failed: {why}"; "tag" => "server");
        }
    }
    asked.tell(&Message::Outcome { failure }).await;
}

/// What becomes of a process that was started.
async fn becomes(
    desk: &Desk,
    launched: Launched,
    outcome: &mut watch::Receiver<(u64, Result<(), String>)>,
) -> Result<(), String> {
    let Launched { pid, ended, kill } = launched;
    // Until it accepts, its probation, and the commit.
    let waits = desk.options.timeout + desk.options.probation + desk.options.timeout / 2;
    let published = async {
        // The sender is the desk's.
        let _ = outcome.changed().await;
        outcome.borrow_and_update().1.clone()
    };
    tokio::pin!(published);
    let came = tokio::select! {
        biased;
        result = &mut published => return result,
        how = ended => Some(how.unwrap_or_else(|_| "nobody knows how".to_owned())),
        () = tokio::time::sleep(waits) => None,
    };
    match came {
        Some(how) => {
            let said = timeout(SAYS_WHY_WITHIN, published).await;
            let why = said.ok().and_then(Result::err);
            Err(why.unwrap_or_else(|| format!("process {pid} ended before it took over: {how}")))
        }
        None => {
            kill();
            Err(format!(
                "process {pid} was not ready within {waits:?}, and was killed"
            ))
        }
    }
}

/// Who wants to know, if anybody.
struct Asked(Option<Talk>);

impl Asked {
    async fn tell(&self, message: &Message) {
        if let Some(talk) = &self.0 {
            // Who does not want to know has left.
            let _ = timeout(TAKES_WITHIN, talk.send(message, b"", &[])).await;
        }
    }
}
