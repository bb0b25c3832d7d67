//! The root: holds the running plan and the lifecycle, and applies every change.
//!
//! In: commands of the doors: `Apply`, `Edit`, `Drain`, `Stop`, and the query `Overviews`.
//! Out: sockets bound, clusters and listeners published, workers reconciled. It owns what must
//! outlive a crash of the others: the shelf of clusters, the board of listeners, and the threads with
//! the connections on them. When it ends, everything below it has ended.

mod fit;
mod house;
mod steps;
mod totals;

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::actor::clusters::{self, HealthTurned};
use crate::actor::listeners::BindError;
use crate::actor::slot::Unavailable;
use crate::actor::supervisor::{self, Fate, Life, run};
use crate::actor::view::Overview;
use crate::cluster::{Health, Reason};
use crate::config::{Change, HostAddress, Plan};
use crate::filter::Registry;
use crate::lifecycle::{self, Effect, Event, State};
use crate::name::ClusterName;
use crate::supervise::{Exit, Policy, Strategy};
use crate::telemetry::access_log::AccessLogs;
use house::House;

/// When the parts of the proxy fail so often, it has failed.
const POLICY: Policy = Policy {
    strategy: Strategy::OneForOne,
    max_restarts: 10,
    within: Duration::from_secs(10),
};

/// What the doors decide and no plan says.
#[derive(Clone)]
pub struct Options {
    /// Threads that carry connections; at least one.
    pub workers: usize,
    /// Connections that the process takes at once.
    pub max_connections: usize,
    /// How long the connections of a listener that was taken down may last.
    pub drain_time: Duration,
    /// Stream filters of the program around the proxy.
    pub filters: Registry,
    /// Where access logs are opened.
    pub access: AccessLogs,
    /// Where access logs without a path go; without one, to stderr.
    pub log_directory: Option<PathBuf>,
    /// Where the tree writes its lines.
    pub log: slog::Logger,
}

/// Starts the tree on the current arbiter with the empty plan.
pub fn start(options: Options) -> (Handle, Life) {
    let (address, life) = run(|fate| Root {
        house: Rc::new(House::new(options)),
        fate,
        tree: Rc::default(),
    });
    (Handle(address), life)
}

/// The only way in. Cloned freely, also to other threads.
#[derive(Clone)]
pub struct Handle(Addr<Root>);

impl Handle {
    /// Makes `plan` the running one; all of it or, when it fails, nothing.
    ///
    /// # Errors
    ///
    /// [`ApplyError`] names the step that failed; the plan before stays in force.
    pub async fn apply(&self, plan: Plan) -> Result<Vec<Change>, ApplyError> {
        self.0
            .send(Apply(Box::new(plan)))
            .await
            .unwrap_or(Err(ApplyError::Ended))
    }

    /// Changes a copy of the running plan and applies it.
    ///
    /// # Errors
    ///
    /// As [`Self::apply`], and what `edit` refuses.
    pub async fn edit(&self, edit: PlanEdit) -> Result<Vec<Change>, ApplyError> {
        self.0
            .send(Edit(edit))
            .await
            .unwrap_or(Err(ApplyError::Ended))
    }

    /// Takes one host out, or lets it back in; `false` when there is no such host.
    ///
    /// # Errors
    ///
    /// [`ApplyError`] when the tree has ended or cannot answer.
    pub async fn set_health(
        &self,
        cluster: ClusterName,
        address: HostAddress,
        health: Health,
    ) -> Result<bool, ApplyError> {
        let turned = HealthTurned {
            cluster,
            address,
            reason: Reason::Commanded,
            health,
        };
        let set = self.0.send(SetHealth(turned)).await;
        set.unwrap_or(Err(ApplyError::Ended))
    }

    /// Accepts no more, lets connections end for at most `deadline`, then ends the tree. A second
    /// drain ends it now.
    ///
    /// Returns how many connections were cut.
    pub async fn drain(&self, deadline: Duration) -> u64 {
        self.0.send(Drain(deadline)).await.unwrap_or(0)
    }

    /// Ends the tree now; connections are cut.
    pub async fn stop(&self) {
        // A root that is gone has stopped.
        let _ = self.0.send(Stop).await;
    }

    /// The tree, the listeners and the clusters at this moment.
    ///
    /// # Errors
    ///
    /// [`ApplyError`] when the tree has ended or cannot answer.
    pub async fn overview(&self) -> Result<Overview, ApplyError> {
        self.0
            .send(Overviews)
            .await
            .unwrap_or(Err(ApplyError::Ended))
    }
}

/// Changes a plan, or says in words why it cannot.
pub type PlanEdit = Box<dyn FnOnce(&mut Plan) -> Result<(), String> + Send>;

/// A change that was refused. The running plan is the one before.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A listener could not be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The proxy is about to end and takes no change.
    #[error("the proxy is draining")]
    Draining,
    /// The change itself makes no sense.
    #[error("{0}")]
    Edit(String),
    /// The proxy has ended.
    #[error("the proxy has ended")]
    Ended,
    /// An actor did not answer while `step` was carried out.
    #[error("{step}: {reason}")]
    Step {
        /// What was being done.
        step: &'static str,
        /// What was said.
        reason: String,
    },
}

impl ApplyError {
    fn step(step: &'static str) -> impl FnOnce(Unavailable) -> Self {
        move |unavailable| Self::Step {
            step,
            reason: unavailable.to_string(),
        }
    }
}

struct Root {
    house: Rc<House>,
    fate: Fate,
    tree: Rc<Ending>,
}

/// How the root ends the tree, whose life is held by the future that waits for its end.
#[derive(Default)]
struct Ending {
    stop: Notify,
    kill: Notify,
}

impl Root {
    /// Goes where the lifecycle says, and does what that takes.
    fn happen(&mut self, event: Event, ctx: &mut Context<Self>) {
        let before = self.house.state.get();
        let (state, effects) = lifecycle::on(before, event, Instant::now().into_std());
        if state.number() != before.number() {
            let number = state.number();
            slog::info!(self.house.options.log, "state changed to {number}"; "tag" => "stagemanager");
        }
        self.house.state.set(state);
        for effect in effects {
            self.carry_out(effect, ctx);
        }
    }

    fn carry_out(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        match effect {
            Effect::KillTree => self.tree.kill.notify_one(),
            Effect::StopAccepting => {
                let house = Rc::clone(&self.house);
                let emptied = async move { house.empty().await }.into_actor(self);
                ctx.spawn(emptied.map(|(), this, ctx| this.happen(Event::Empty, ctx)));
            }
            Effect::StopTree => {
                self.house.left.send_replace(Some(self.house.connections()));
                self.tree.stop.notify_one();
            }
            Effect::WakeAt(at) => {
                let wait = at.saturating_duration_since(Instant::now().into_std());
                ctx.run_later(wait, |this, ctx| this.happen(Event::DeadlineReached, ctx));
            }
        }
    }
}

impl Actor for Root {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let log = self.house.options.log.clone();
        let (handle, life) = supervisor::start("banyan", POLICY, self.house.specs(), log);
        self.house.tree.fill(handle.view());
        let (tree, house) = (Rc::clone(&self.tree), Rc::clone(&self.house));
        let ended = async move {
            let exit = end_of(life, tree).await;
            house.close().await;
            exit
        };
        ctx.spawn(ended.into_actor(self).map(|exit, this, ctx| {
            let wished = matches!(this.house.state.get(), State::Stopping);
            this.happen(Event::Ended, ctx);
            match exit {
                _ if wished => ctx.stop(),
                failure => this.fate.fail(ctx, failure.to_string()),
            }
        }));
    }
}

/// Waits for the end of the tree, and brings it about when told to.
async fn end_of(mut life: Life, tree: Rc<Ending>) -> Exit {
    loop {
        tokio::select! {
            exit = life.ended() => return exit,
            () = tree.stop.notified() => life.request_stop(),
            () = tree.kill.notified() => life.kill(),
        }
    }
}

#[derive(Message)]
#[rtype(result = "Result<Vec<Change>, ApplyError>")]
struct Apply(Box<Plan>);

impl Handler<Apply> for Root {
    type Result = ResponseActFuture<Self, Result<Vec<Change>, ApplyError>>;

    fn handle(&mut self, Apply(plan): Apply, _: &mut Context<Self>) -> Self::Result {
        let house = Rc::clone(&self.house);
        let change = async move {
            let _turn = house.turn.lock().await;
            house.apply(*plan).await
        };
        Box::pin(change.into_actor(self).map(|applied, this, ctx| {
            if this.house.state.get() == State::Starting {
                let event = if applied.is_ok() {
                    Event::Started
                } else {
                    Event::StartFailed
                };
                this.happen(event, ctx);
            }
            applied
        }))
    }
}

#[derive(Message)]
#[rtype(result = "Result<Vec<Change>, ApplyError>")]
struct Edit(PlanEdit);

impl Handler<Edit> for Root {
    type Result = ResponseActFuture<Self, Result<Vec<Change>, ApplyError>>;

    fn handle(&mut self, Edit(edit): Edit, _: &mut Context<Self>) -> Self::Result {
        let house = Rc::clone(&self.house);
        let change = async move {
            let _turn = house.turn.lock().await;
            let mut plan = house.plan.borrow().clone();
            edit(&mut plan).map_err(ApplyError::Edit)?;
            house.apply(plan).await
        };
        Box::pin(change.into_actor(self))
    }
}

#[derive(Message)]
#[rtype(result = "Result<bool, ApplyError>")]
struct SetHealth(HealthTurned);

impl Handler<SetHealth> for Root {
    type Result = ResponseActFuture<Self, Result<bool, ApplyError>>;

    fn handle(&mut self, SetHealth(turned): SetHealth, _: &mut Context<Self>) -> Self::Result {
        let clusters = self.house.clusters.clone();
        let set = async move {
            let set = clusters::turn(&clusters, turned).await;
            set.map_err(ApplyError::step("clusters"))
        };
        Box::pin(set.into_actor(self))
    }
}

#[derive(Message)]
#[rtype(result = "u64")]
struct Drain(Duration);

impl Handler<Drain> for Root {
    type Result = ResponseActFuture<Self, u64>;

    fn handle(&mut self, Drain(deadline): Drain, ctx: &mut Context<Self>) -> Self::Result {
        let mut left = self.house.left.subscribe();
        self.happen(Event::Drain(deadline), ctx);
        let cut = async move {
            left.wait_for(Option::is_some)
                .await
                .ok()
                .and_then(|left| *left)
        };
        Box::pin(cut.into_actor(self).map(|cut, _, _| cut.unwrap_or(0)))
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Stop;

impl Handler<Stop> for Root {
    type Result = ();

    fn handle(&mut self, Stop: Stop, ctx: &mut Context<Self>) {
        self.happen(Event::StopNow, ctx);
    }
}

#[derive(Message)]
#[rtype(result = "Result<Overview, ApplyError>")]
struct Overviews;

impl Handler<Overviews> for Root {
    type Result = ResponseActFuture<Self, Result<Overview, ApplyError>>;

    fn handle(&mut self, Overviews: Overviews, _: &mut Context<Self>) -> Self::Result {
        let house = Rc::clone(&self.house);
        Box::pin(async move { house.overview().await }.into_actor(self))
    }
}
