//! Starting a successor, and finding out what becomes of it.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::desk::Desk;
use super::outcomes::{Outcome, Starting};
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
    /// Ends whatever the new process is a child of, if not this one; called before it takes over.
    /// It may block for a moment. A service manager only waits for a main process that is its own
    /// child.
    pub let_go: Box<dyn FnOnce() + Send>,
}

impl fmt::Debug for Launched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launched")
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}

/// What the process that was started is a child of.
#[derive(Default)]
pub(super) struct Parent(RefCell<Option<(u32, LetsGo)>>);

type LetsGo = Box<dyn FnOnce() + Send>;

impl Parent {
    /// Ends it, if this is the process that was started.
    pub(super) async fn let_go(&self, pid: u32) {
        let parent = self.0.borrow_mut().take_if(|(started, _)| *started == pid);
        if let Some((_, let_go)) = parent {
            // What fails here is a service manager's concern later.
            let _ = spawn_blocking(let_go).await;
        }
    }
}

/// Starts a successor and waits for what becomes of it; `asked` is told.
pub(super) async fn launch(desk: Rc<Desk>, launch: Launch, asked: Option<Talk>) {
    let asked = Asked(asked);
    if let Some(busy) = busy(&desk).or_else(|| starting(&desk)) {
        slog::warn!(desk.log, "[reconfigure] no upgrade now: {busy:?}"; "tag" => "server");
        return asked.tell(&busy).await;
    }
    let Some(launcher) = desk.options.launcher.clone() else {
        let reason = "this process cannot start another one".to_owned();
        return asked.tell(&Message::Refused { reason }).await;
    };
    let starting = desk.outcomes.start();
    let started = spawn_blocking(move || (launcher.0)(&launch)).await;
    let started = started.unwrap_or_else(|error| Err(io::Error::other(error.to_string())));
    let failure = match started {
        Ok(launched) => {
            let pid = launched.pid;
            starting.is(pid);
            slog::info!(desk.log, "[reconfigure] process {pid} was started to take over"; "tag" => "server");
            asked.tell(&Message::Launched { pid }).await;
            becomes(&desk, launched, starting).await.err()
        }
        Err(error) => {
            drop(starting);
            Some(format!("the new process cannot be started: {error}"))
        }
    };
    match &failure {
        None => slog::info!(desk.log, "[reconfigure] the upgrade succeeded"; "tag" => "server"),
        Some(why) => {
            slog::error!(desk.log, "[reconfigure] the upgrade failed: {why}"; "tag" => "server");
        }
    }
    asked.tell(&Message::Outcome { failure }).await;
}

/// That a process was started before and of it nothing has become yet, if so.
fn starting(desk: &Desk) -> Option<Message> {
    let started = desk.outcomes.started()?;
    let since = started.since.elapsed().as_millis();
    Some(Message::Busy {
        pid: started.pid,
        since_millis: u64::try_from(since).unwrap_or(u64::MAX),
        why: "it was started to take over".to_owned(),
    })
}

/// What becomes of a process that was started.
async fn becomes(
    desk: &Desk,
    launched: Launched,
    mut starting: Starting<'_>,
) -> Result<(), String> {
    let Launched {
        pid,
        ended,
        kill,
        let_go,
    } = launched;
    desk.parent.0.replace(Some((pid, let_go)));
    let child = Child {
        desk,
        kill: Some(kill),
    };
    let came = tokio::select! {
        biased;
        outcome = starting.outcome() => Came::Outcome(outcome),
        // Who was let go is not heard any more.
        Ok(how) = ended => Came::End(how),
        waited = late(desk) => Came::Nothing(waited),
    };
    match came {
        Came::Outcome(outcome) if outcome.is_started => {
            child.leave();
            outcome.result
        }
        Came::Outcome(other) => {
            child.kill();
            let other = other.pid;
            Err(format!(
                "process {other} has taken over; process {pid} was late, and was killed"
            ))
        }
        Came::End(how) => {
            child.leave();
            let said = timeout(SAYS_WHY_WITHIN, starting.outcome()).await.ok();
            let said = said.filter(|outcome| outcome.is_started);
            let why = said.and_then(|outcome| outcome.result.err());
            Err(why.unwrap_or_else(|| format!("process {pid} ended before it took over: {how}")))
        }
        Came::Nothing(waited) => {
            child.kill();
            Err(format!(
                "process {pid} was not ready within {waited:?}, and was killed"
            ))
        }
    }
}

/// A process that was started. When this process ends before that one has called, so does that one,
/// which would find nobody and start all the same.
struct Child<'d> {
    desk: &'d Desk,
    kill: Option<Box<dyn FnOnce() + Send>>,
}

impl Child<'_> {
    fn kill(mut self) {
        if let Some(kill) = self.kill.take() {
            kill();
        }
    }

    fn leave(mut self) {
        self.kill = None;
    }
}

impl Drop for Child<'_> {
    fn drop(&mut self) {
        if let Some(kill) = self.kill.take()
            && !self.desk.outcomes.has_called()
        {
            kill();
        }
    }
}

/// Waits for as long as a process that was started may take, and says how long that was.
async fn late(desk: &Desk) -> Duration {
    let silent = desk.options.timeout;
    sleep(silent).await;
    if !desk.outcomes.has_called() {
        return silent;
    }
    // Until it accepts, its probation, and the commit.
    let waits = silent + desk.options.probation + silent / 2;
    sleep(waits - silent).await;
    waits
}

/// What comes first of a process that was started.
enum Came {
    Outcome(Outcome),
    End(String),
    Nothing(Duration),
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
