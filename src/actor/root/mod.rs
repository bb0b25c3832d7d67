//! The root: holds the running plan and the lifecycle, and applies every change.
//!
//! In: commands of the doors: `Alter` and `Confirm` (in `commands`), `SetHealth`, `Subscribe`, `Drain`,
//! `Stop`, and the queries `Drifts`, `Histories`, `Overviews` and `SilentWorkers` (in `vitals`).
//! Out: sockets bound, clusters and listeners published, workers reconciled. It owns what must
//! outlive a crash of the others: the shelf of clusters, the board of listeners, and the threads with
//! the connections on them. When it ends, everything below it has ended.

mod alter;
mod commands;
mod door;
mod error;
mod fit;
mod history;
mod house;
mod journal;
mod means;
mod proposal;
mod steps;
mod totals;
mod upgrade;
mod vitals;

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::actor::admin;
use crate::actor::clusters::{self, Assign, HealthTurned};
use crate::actor::metrics::Counts;
use crate::actor::subscribers::{self, Subscription};
use crate::actor::supervisor::{self, Fate, Life, run};
use crate::actor::upgrade::{Inheritance, Upgrades};
use crate::actor::view::Overview;
use crate::cluster::{Duty, Health, Reason};
use crate::config::HostAddress;
use crate::filter::Registry;
use crate::lifecycle::{self, Effect, Event, State};
use crate::name::ClusterName;
use crate::net::Legacy;
use crate::protocol::Codecs;
use crate::supervise::{Exit, Policy, Strategy};
use crate::telemetry::access_log::AccessLogs;
use crate::upstream::Book;
pub use error::ApplyError;
use house::House;
pub use journal::{Journal, Keeping, Kept, write_whole};
pub use proposal::{ChangeHosts, Drift, Entry, Outcome, Running, Source, Terms, Trial, Want};
pub use upgrade::Charge;
pub use vitals::{Bound, Vitals};

/// When the parts of the proxy fail so often, it has failed.
const POLICY: Policy = Policy {
    strategy: Strategy::OneForOne,
    max_restarts: 10,
    within: Duration::from_secs(10),
};

/// How long a predecessor may take to say that it probes no host any more, unless it is gone.
const PROBES_WITHIN: Duration = Duration::from_secs(2);

/// What the doors decide and no plan says.
#[derive(Clone)]
pub struct Options {
    /// Threads that carry connections; at least one.
    pub workers: usize,
    /// Connections that the process takes at once.
    pub max_connections: usize,
    /// How long the connections of a listener that was taken down may last.
    pub drain_time: Duration,
    /// For so long a process that is to drain says so before it stops accepting.
    pub pre_drain: Duration,
    /// Stream filters of the program around the proxy.
    pub filters: Registry,
    /// Protocols that are spoken, those of the program around the proxy too.
    pub codecs: Codecs,
    /// Where access logs are opened.
    pub access: AccessLogs,
    /// Where access logs without a path go; without one, to stderr.
    pub log_directory: Option<PathBuf>,
    /// Where names of plain hosts lead.
    pub book: Book,
    /// Where the tree writes its lines.
    pub log: slog::Logger,
    /// What a reload reads; without one there is none.
    pub source: Option<Arc<dyn Source>>,
    /// Where accepted changes are kept, and over what.
    pub keeping: Keeping,
    /// How the process is upgraded; without it, not at all.
    pub upgrades: Option<Upgrades>,
    /// The HTTP door for administrators; none without.
    pub admin: Option<admin::Options>,
}

/// Starts the tree on the current arbiter with the empty plan; with an inheritance, as the
/// successor of another process. Listeners take the sockets that are `given` as they fit.
///
/// # Errors
///
/// When what was inherited is not what was offered.
pub fn start(
    options: Options,
    inheritance: Option<Inheritance>,
    given: Legacy,
) -> Result<(Handle, Life), ApplyError> {
    let house = House::new(options, inheritance, given).map_err(|error| ApplyError::Step {
        step: "upgrade",
        reason: error.to_string(),
    })?;
    house.furnish();
    let charge = house.succession.charge.subscribe();
    let running = Arc::clone(&house.running);
    let (counts, vitals) = (house.counts(), house.vitals());
    let (address, life) = run(|fate| Root {
        house: Rc::new(house),
        fate,
        tree: Rc::default(),
    });
    Ok((Handle(address, running, charge, counts, vitals), life))
}

/// The only way in. Cloned freely, also to other threads.
#[derive(Clone)]
pub struct Handle(
    Addr<Root>,
    Arc<ArcSwap<Running>>,
    watch::Receiver<Charge>,
    Counts,
    Vitals,
);

impl Handle {
    /// What runs. Nobody is asked.
    #[must_use]
    pub fn running(&self) -> Arc<Running> {
        self.1.load_full()
    }

    /// Gives one host no more work, or work again; `false` when there is no such host.
    ///
    /// # Errors
    ///
    /// [`ApplyError`] when the tree has ended or cannot answer.
    pub async fn assign(
        &self,
        cluster: ClusterName,
        address: HostAddress,
        duty: Duty,
        deadline: Option<std::time::Instant>,
    ) -> Result<bool, ApplyError> {
        let order = Assign {
            cluster,
            address,
            duty,
            deadline,
        };
        let done = self.0.send(Order(order)).await;
        done.unwrap_or(Err(ApplyError::Ended))
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

    /// Tells `recipient` from now on when the health of a host turns.
    ///
    /// # Errors
    ///
    /// [`ApplyError::Ended`] when the tree has ended.
    pub async fn subscribe_health(
        &self,
        recipient: Recipient<subscribers::HealthTurned>,
    ) -> Result<Subscription, ApplyError> {
        let subscribed = self.0.send(Subscribe(recipient)).await;
        subscribed.map_err(|_| ApplyError::Ended)
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

    /// Where everything that is counted can be read without asking.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.3
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
        let (now, times) = (Instant::now().into_std(), self.house.times());
        let (state, effects) = lifecycle::on(before, event, now, &times);
        // Whoever wishes an end says itself that it has begun.
        let is_told = matches!(state, State::Lingering { .. });
        if state.number() != before.number() && !is_told {
            let number = state.number();
            slog::info!(self.house.options.log, "state changed to {number}"; "tag" => "stagemanager");
        }
        self.house.state.set(state);
        self.house.publish_state(state);
        // Whoever is talked to is told why, before the talk ends with the tree.
        let stops_later = effects.starts_with(&[Effect::HangUp, Effect::StopTree]);
        let effects = effects
            .into_iter()
            .filter(|effect| !(stops_later && *effect == Effect::StopTree))
            .filter_map(|effect| self.carry_out(effect, ctx))
            .collect::<Vec<_>>();
        if !effects.is_empty() {
            let house = Rc::clone(&self.house);
            let performed = async move { house.perform(effects).await }.into_actor(self);
            ctx.spawn(performed.map(move |(), this, ctx| {
                if stops_later {
                    this.carry_out(Effect::StopTree, ctx);
                }
            }));
        }
    }

    /// Does what is done at once; what takes its time, and its turn, is returned.
    fn carry_out(&mut self, effect: Effect, ctx: &mut Context<Self>) -> Option<Effect> {
        match effect {
            Effect::KillTree => self.tree.kill.notify_one(),
            Effect::StopAccepting => self.empty(ctx),
            Effect::MoveConnections => {
                self.house.leave();
                self.empty(ctx);
            }
            Effect::StopTree => {
                let connections = self.house.vitals().connections();
                self.house.left.send_replace(Some(connections));
                self.tree.stop.notify_one();
            }
            Effect::TakeCharge => {
                ctx.run_later(PROBES_WITHIN, |this, _| this.house.checks.take_over());
                return Some(effect);
            }
            Effect::WakeAt(at) => {
                let wait = at.saturating_duration_since(Instant::now().into_std());
                ctx.run_later(wait, |this, ctx| this.happen(Event::DeadlineReached, ctx));
            }
            later => return Some(later),
        }
        None
    }

    fn empty(&self, ctx: &mut Context<Self>) {
        let house = Rc::clone(&self.house);
        let emptied = async move {
            house.empty().await;
            house.admin_served().await;
        };
        let emptied = emptied.into_actor(self);
        ctx.spawn(emptied.map(|(), this, ctx| this.happen(Event::Empty, ctx)));
    }
}

impl Actor for Root {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let log = self.house.options.log.clone();
        let charge = self.house.succession.charge.subscribe();
        let door = Handle(
            ctx.address(),
            Arc::clone(&self.house.running),
            charge,
            self.house.counts(),
            self.house.vitals(),
        );
        let (handle, life) = supervisor::start("banyan", POLICY, self.house.specs(door), log);
        self.house.tree.fill(handle.view());
        self.hear_of_upgrades(ctx);
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
#[rtype(result = "Result<bool, ApplyError>")]
struct Order(Assign);

impl Handler<Order> for Root {
    type Result = ResponseActFuture<Self, Result<bool, ApplyError>>;

    fn handle(&mut self, Order(order): Order, _: &mut Context<Self>) -> Self::Result {
        let clusters = self.house.clusters.clone();
        let done = async move {
            let done = clusters::assign(&clusters, order).await;
            done.map_err(ApplyError::step("clusters"))
        };
        Box::pin(done.into_actor(self))
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
#[rtype(result = "Subscription")]
struct Subscribe(Recipient<subscribers::HealthTurned>);

impl Handler<Subscribe> for Root {
    type Result = MessageResult<Subscribe>;

    fn handle(&mut self, Subscribe(recipient): Subscribe, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.house.subscribers.add(recipient))
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
