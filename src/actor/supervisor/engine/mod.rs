//! Carries out what `supervise` decides: one sequential loop over the ends of children, the
//! commands, and the wish to stop.

mod stop;

use std::any::Any;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{FutureExt, LocalBoxFuture};
use futures::stream::{FuturesUnordered, StreamExt};
use slog::{debug, error, info, warn};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

use super::guard::text_of;
use super::table::{Child, State, Table};
use super::{AddError, ChildSpec, Fate, Life, RemoveError, StartError, Started};
use crate::supervise::{Decision, Exit, Intensity, Policy, Restart, decide};

/// How long children may drain when a failure stops them: the drain of a planned stop may be
/// minutes, during which the siblings of the failed child would not be there.
const FAILURE_DRAINS_WITHIN: Duration = Duration::from_secs(1);

pub(super) enum Command {
    Add(ChildSpec, oneshot::Sender<Result<(), AddError>>),
    Remove(Arc<str>, oneshot::Sender<Result<(), RemoveError>>),
}

enum Event {
    /// A life has ended.
    Exited(u64, Exit),
    /// The child of this life was asked to leave and has had its time.
    Overdue(u64),
}

impl Event {
    fn exit(self) -> Option<Exit> {
        match self {
            Self::Exited(_, exit) => Some(exit),
            Self::Overdue(_) => None,
        }
    }
}

enum NotStarted {
    Failed(Exit),
    /// Nothing is wrong with it: the supervisor is to stop.
    Stopping,
}

pub(super) struct Engine {
    commands: mpsc::Receiver<Command>,
    events: FuturesUnordered<LocalBoxFuture<'static, Event>>,
    fate: Fate,
    intensity: Intensity,
    lives: u64,
    log: slog::Logger,
    name: Arc<str>,
    /// Came while the loop waited for something else.
    pending: VecDeque<Event>,
    policy: Policy,
    /// Shared with the actor, which describes it at any time; never borrowed over an await.
    table: Rc<RefCell<Table>>,
}

impl Engine {
    pub(super) fn new(
        name: Arc<str>,
        policy: Policy,
        table: Rc<RefCell<Table>>,
        commands: mpsc::Receiver<Command>,
        fate: Fate,
        log: slog::Logger,
    ) -> Self {
        Self {
            commands,
            events: FuturesUnordered::new(),
            fate,
            intensity: Intensity::new(policy.max_restarts, policy.within),
            lives: 0,
            log,
            name,
            pending: VecDeque::new(),
            policy,
            table,
        }
    }

    /// Runs until the wish to stop has been carried out, or fails with the reason.
    pub(super) async fn run(mut self, announce: watch::Sender<Started>) -> Result<(), String> {
        match self.start_all().await {
            Ok(()) => {
                announce.send_replace(Some(Ok(())));
            }
            Err(error) => {
                self.stop_all(FAILURE_DRAINS_WITHIN).await;
                announce.send_replace(Some(Err(error.clone())));
                return match error {
                    StartError::Gone => Ok(()),
                    StartError::Failed { .. } => Err(format!("{}: {error}", self.name)),
                };
            }
        }
        let outcome = self.serve().await;
        let patience = match &outcome {
            Ok(()) => Duration::MAX,
            Err(reason) => {
                error!(self.log, "gives up"; "reason" => reason);
                FAILURE_DRAINS_WITHIN
            }
        };
        self.stop_all(patience).await;
        outcome
    }

    async fn start_all(&mut self) -> Result<(), StartError> {
        if let Some(id) = self.table.borrow().duplicate() {
            let reason = "another child has the same name".to_owned();
            return Err(StartError::Failed { id, reason });
        }
        let len = self.table.borrow().children.len();
        for index in 0..len {
            match self.start_child(index).await {
                Ok(()) => {}
                Err(NotStarted::Stopping) => return Err(StartError::Gone),
                Err(NotStarted::Failed(exit)) => {
                    let id = self.id(index);
                    let reason = exit.to_string();
                    return Err(StartError::Failed { id, reason });
                }
            }
        }
        Ok(())
    }

    /// `Ok` when the supervisor is to stop, the reason when it gives up.
    async fn serve(&mut self) -> Result<(), String> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                self.handle(event).await?;
                continue;
            }
            tokio::select! {
                biased;
                () = self.fate.stop_requested() => return Ok(()),
                Some(event) = self.events.next() => self.handle(event).await?,
                Some(command) = self.commands.recv() => match command {
                    Command::Add(spec, reply) => {
                        // Who asked may have gone; the child stays either way.
                        let _ = reply.send(self.add(spec).await);
                    }
                    Command::Remove(id, reply) => self.remove(&id, reply),
                },
            }
        }
    }

    async fn handle(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Exited(life, exit) if self.left(life, &exit) => Ok(()),
            Event::Exited(life, exit) => self.exited(life, exit).await,
            Event::Overdue(life) => {
                self.overdue(life);
                Ok(())
            }
        }
    }

    async fn exited(&mut self, life: u64, exit: Exit) -> Result<(), String> {
        let index = {
            let mut table = self.table.borrow_mut();
            let Some(index) = table.children.iter().position(|child| child.life == life) else {
                return Ok(());
            };
            let child = &mut table.children[index];
            child.ended(exit.clone());
            log_exit(&self.log, child, &exit);
            index
        };
        self.recover(index, exit).await
    }

    /// Does what the exit of the child at `index` asks for; a restart that fails to start is the
    /// next exit.
    async fn recover(&mut self, mut index: usize, mut exit: Exit) -> Result<(), String> {
        loop {
            let decision = {
                let table = self.table.borrow();
                let restart = table.children[index].spec.restart;
                let len = table.children.len();
                decide(self.policy.strategy, restart, index, len, &exit)
            };
            let Decision::Restart(range) = decision else {
                self.forget(index);
                return Ok(());
            };
            if !self.intensity.admit(Instant::now().into_std()) {
                return Err(self.gives_up(index, &exit));
            }
            match self.restart(range).await {
                Err((failed, NotStarted::Failed(error))) => (index, exit) = (failed, error),
                Ok(()) | Err((_, NotStarted::Stopping)) => return Ok(()),
            }
        }
    }

    fn forget(&self, index: usize) {
        let mut table = self.table.borrow_mut();
        if table.children[index].spec.restart == Restart::Temporary {
            table.children.remove(index);
        }
    }

    fn gives_up(&self, index: usize, exit: &Exit) -> String {
        let Policy {
            max_restarts,
            within,
            ..
        } = self.policy;
        format!(
            "{} gives up: {} failures within {within:?}, the last: {} {exit}",
            self.name,
            max_restarts + 1,
            self.id(index)
        )
    }

    /// Stops the children of `range` last to first, and starts them first to last; temporary ones
    /// are not started again. The error names the child that did not start.
    async fn restart(&mut self, range: Range<usize>) -> Result<(), (usize, NotStarted)> {
        for index in range.clone().rev() {
            self.stop_child(index, FAILURE_DRAINS_WITHIN).await;
        }
        let end = {
            let children = &mut self.table.borrow_mut().children;
            let behind = children.split_off(range.end);
            let mut restarting = children.split_off(range.start);
            restarting.retain(|child| child.spec.restart != Restart::Temporary);
            children.extend(restarting);
            let end = children.len();
            children.extend(behind);
            end
        };
        for index in range.start..end {
            self.start_child(index).await.map_err(|why| (index, why))?;
            let child = &mut self.table.borrow_mut().children[index];
            child.restarts += 1;
            info!(self.log, "restarted";
                "child" => &*child.spec.id, "restarts" => child.restarts,
                "reason" => child.last_exit.as_ref().map(Exit::to_string));
        }
        Ok(())
    }

    async fn start_child(&mut self, index: usize) -> Result<(), NotStarted> {
        let starting = {
            let child = &mut self.table.borrow_mut().children[index];
            child.state = State::Starting;
            begin(&mut child.spec)
        };
        let started = tokio::select! {
            biased;
            () = self.fate.stop_requested() => return Err(NotStarted::Stopping),
            started = starting => started,
        };
        let child = &mut self.table.borrow_mut().children[index];
        match started {
            Ok(life) => {
                let (leash, exit) = life.split();
                self.lives += 1;
                let life = self.lives;
                self.events.push(
                    exit.map(move |exit| Event::Exited(life, exit))
                        .boxed_local(),
                );
                child.leash = Some(leash);
                child.life = life;
                child.state = State::Running;
                debug!(self.log, "started"; "child" => &*child.spec.id);
                Ok(())
            }
            Err(exit) => {
                child.ended(exit.clone());
                log_exit(&self.log, child, &exit);
                Err(NotStarted::Failed(exit))
            }
        }
    }

    async fn add(&mut self, spec: ChildSpec) -> Result<(), AddError> {
        let id = spec.id.clone();
        let index = {
            let mut table = self.table.borrow_mut();
            if table.position(&id).is_some() {
                return Err(AddError::Duplicate(id));
            }
            table.children.push(Child::new(spec));
            table.children.len() - 1
        };
        let reason = match self.start_child(index).await {
            Ok(()) => return Ok(()),
            Err(NotStarted::Failed(exit)) => exit.to_string(),
            Err(NotStarted::Stopping) => "its supervisor stops".to_owned(),
        };
        self.table.borrow_mut().children.remove(index);
        Err(AddError::Failed { id, reason })
    }

    fn id(&self, index: usize) -> Arc<str> {
        self.table.borrow().children[index].spec.id.clone()
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Calls the start of a child; a panic in it, now or later, is an exit.
fn begin(spec: &mut ChildSpec) -> impl Future<Output = Result<Life, Exit>> + use<> {
    let limit = spec.starts_within;
    let starting = catch_unwind(AssertUnwindSafe(|| (spec.start)()));
    async move {
        let panicked = |payload: Box<dyn Any + Send>| Exit::Panic(text_of(&*payload));
        let starting = AssertUnwindSafe(starting.map_err(panicked)?).catch_unwind();
        match timeout(limit, starting).await {
            Ok(started) => started.map_err(panicked)?.map_err(Exit::Fail),
            Err(_) => Err(Exit::Fail(format!("it did not start within {limit:?}"))),
        }
    }
}

fn log_exit(log: &slog::Logger, child: &Child, exit: &Exit) {
    let of = slog::o!("child" => child.spec.id.to_string(), "reason" => exit.to_string(),
        "restarts" => child.restarts);
    match (exit, child.spec.restart) {
        (Exit::Panic(_), _) => error!(log, "exited"; of),
        (Exit::Abort(_) | Exit::Fail(_), _) => warn!(log, "exited"; of),
        (Exit::Normal, Restart::Permanent) => info!(log, "exited"; of),
        (Exit::Normal, Restart::Temporary | Restart::Transient) => debug!(log, "exited"; of),
    }
}
