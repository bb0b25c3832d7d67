//! Probes the hosts of one cluster.
//!
//! In: nothing; it reads its cluster's hosts where they are published. Out: each result, to the
//! logger; each turn of a host, to the clusters. What it knows of the hosts belongs to the root, so
//! a life that follows a crash goes on where the one before was.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use actix::prelude::*;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use slog::Level;
use tokio::sync::SemaphorePermit;

use crate::actor::checks::{Check, Checks};
use crate::actor::clusters::{self, HealthTurned};
use crate::actor::logger::{self, Event};
use crate::actor::slot::Unavailable;
use crate::actor::supervisor::{Life, run};
use crate::cluster::{Health, Host, Outcome, Reason, Schedule, after};
use crate::config::HostAddress;
use crate::telemetry::checks::CheckCounters;
use crate::telemetry::health_log::Checked;
use crate::upstream::{Answer, Finding, probe};

/// Starts the actor on the current arbiter.
pub(super) fn start(checks: Checks, check: Rc<Check>) -> Life {
    run(|_| HealthChecker(Duty { checks, check })).1
}

struct HealthChecker(Duty);

impl Actor for HealthChecker {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let work = self.0.clone().work().into_actor(self);
        // The cluster's hosts are told of for as long as this has hold of them.
        ctx.spawn(work.map(|(), _, ctx| ctx.stop()));
    }
}

#[derive(Clone)]
struct Duty {
    checks: Checks,
    check: Rc<Check>,
}

/// A host as it was when its probe was placed.
struct Due {
    serial: u64,
    address: HostAddress,
}

impl Duty {
    /// Probes each host when it is due, and follows the cluster as its hosts come and go.
    async fn work(self) {
        self.checks.ours().await;
        let mut renewed = self.check.current.load().renewed.subscribe();
        let mut schedule = Schedule::default();
        for (address, chart) in self.check.charts() {
            schedule.enter(
                Due {
                    serial: chart.serial,
                    address,
                },
                chart.due,
            );
        }
        self.renew(&mut schedule);
        let mut under_way = FuturesUnordered::new();
        loop {
            let next = schedule.next();
            tokio::select! {
                changed = renewed.changed() => match changed {
                    Ok(()) => self.renew(&mut schedule),
                    Err(_) => return,
                },
                Some(probed) = under_way.next() => if let Some((due, at)) = probed {
                    schedule.enter(due, at);
                },
                () = sleep_until(next), if next.is_some() => {
                    while let Some(due) = schedule.take(now()) {
                        under_way.push(self.probe(due));
                    }
                }
            }
        }
    }

    fn renew(&self, schedule: &mut Schedule<Due>) {
        for (address, chart) in self.check.renew(&self.checks, now()) {
            let log = &self.checks.means().log;
            slog::debug!(log, "[health check] create a health check session for {address}"; "tag" => "upstream");
            schedule.enter(
                Due {
                    serial: chart.serial,
                    address,
                },
                chart.due,
            );
        }
    }

    /// Probes a host, and does what follows from the result; when it is due again, or `None` when it
    /// has gone.
    async fn probe(&self, due: Due) -> Option<(Due, Instant)> {
        let Due { serial, address } = &due;
        self.check.with(address, *serial, |_| ())?;
        let counters = Arc::clone(&self.check.current.load().checks);
        let permit = self.permit(&counters).await;
        if !self.checks.are_ours() {
            drop(permit);
            return self.postponed(due).await;
        }
        CheckCounters::count(&counters.attempt);
        let mark = self.check.current.load().settings.mark;
        let begun = Instant::now();
        let book = &self.checks.means().book;
        let answer = probe(address, mark, &self.check.settings, book).await;
        drop(permit);
        if !self.checks.are_ours() {
            // Another process probes anew what was not concluded here.
            return self.postponed(due).await;
        }
        let _under_way = self.checks.conclusion();
        self.conclude(&due, answer, begun.elapsed(), &counters)
            .await;
        let settings = &self.check.settings;
        let share = rand::random();
        let next = after(now(), settings.interval, settings.interval_jitter, share);
        self.check
            .with(address, *serial, |chart| chart.due = next)?;
        Some((due, next))
    }

    /// Waits until the hosts are probed here again, if they ever are.
    async fn postponed(&self, due: Due) -> Option<(Due, Instant)> {
        self.checks.ours().await;
        Some((due, now()))
    }

    async fn permit(&self, counters: &CheckCounters) -> Option<SemaphorePermit<'_>> {
        let probes = self.checks.probes();
        if let Ok(permit) = probes.try_acquire() {
            return Some(permit);
        }
        CheckCounters::count(&counters.waited);
        // It is never closed.
        probes.acquire().await.ok()
    }

    /// Does what follows from a result.
    async fn conclude(
        &self,
        Due { serial, address }: &Due,
        Answer { finding, reason }: Answer,
        took: Duration,
        counters: &CheckCounters,
    ) -> Option<()> {
        let (outcome, kind) = match finding {
            Finding::Passed => (Outcome::Passed, &counters.success),
            Finding::Failed => (Outcome::Failed, &counters.active_failure),
            Finding::Silent => (Outcome::Failed, &counters.network_failure),
            Finding::Unknown => {
                CheckCounters::count(&counters.inconclusive);
                self.note_unknown(address, &reason);
                return None;
            }
        };
        let time = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let said = self.host(address)?.flags().of(Reason::FailedCheck);
        let thresholds = self.check.thresholds();
        let (turn, streak) = self.check.with(address, *serial, |chart| {
            let turn = chart.streak.hear(outcome, time, said, thresholds);
            (turn, chart.streak)
        })?;
        let changed = match turn {
            Some(health) => self.turn(address, health).await,
            None => false,
        };
        let host = self.host(address)?;
        CheckCounters::count(kind);
        if outcome == Outcome::Failed {
            CheckCounters::count(&counters.failure);
        }
        let checked = Checked {
            time,
            cluster: self.check.cluster.to_string(),
            host: host.to_string(),
            healthy: host.health() == Health::Healthy,
            passed: outcome == Outcome::Passed,
            changed,
            reason,
            duration: took,
            in_a_row: streak.length(),
            first_seen: streak.first_seen().unwrap_or(time),
        };
        let means = self.checks.means();
        let written = logger::write_checked(&means.logger, checked, self.check.log.clone()).await;
        if let Err(unavailable) = written {
            self.complain(address, "its result is not logged", &unavailable);
        }
        Some(())
    }

    /// The host as it is now.
    fn host(&self, address: &HostAddress) -> Option<Arc<Host>> {
        let snapshot = self.check.current.load();
        snapshot.hosts.find(address).cloned()
    }

    /// Says what the check has found to all who choose hosts. A turn that cannot be said now is said
    /// again with the next result.
    async fn turn(&self, address: &HostAddress, health: Health) -> bool {
        let turned = HealthTurned {
            cluster: self.check.cluster.clone(),
            address: address.clone(),
            reason: Reason::FailedCheck,
            health,
        };
        match clusters::turn(&self.checks.means().clusters, turned).await {
            Ok(known) => known,
            Err(unavailable) => {
                self.complain(address, "its turn is not in effect", &unavailable);
                false
            }
        }
    }

    fn complain(&self, address: &HostAddress, what: &str, why: &Unavailable) {
        let log = &self.checks.means().log;
        let cluster = &self.check.cluster;
        slog::error!(log, "[health check] host {address} of cluster `{cluster}`: {what}: {why}"; "tag" => "upstream");
    }

    /// The host is as before: what this process lacks says nothing of it.
    fn note_unknown(&self, address: &HostAddress, reason: &str) {
        let cluster = &self.check.cluster;
        if let Some(logger) = self.checks.means().logger.get() {
            logger.note(Event {
                level: Level::Error,
                tag: "upstream",
                kind: format!("check {cluster}"),
                text: format!("[health check] host {address} of cluster `{cluster}`: {reason}"),
            });
        }
    }
}

/// The time that tests may pause.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

async fn sleep_until(at: Option<Instant>) {
    if let Some(at) = at {
        tokio::time::sleep_until(at.into()).await;
    }
}

#[cfg(test)]
mod tests;
