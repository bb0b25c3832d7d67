//! Leaves hosts out that fail their work, and lets them return when their time is up.
//!
//! In: [`Suspected`], from any worker, refused when the mailbox is full: the host comes up again
//! when it has failed as often once more. What is decided stands in the host set, so a crash
//! forgets no ejection, and the next life times the returns anew.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use slog::Level;

use crate::actor::logger::Event;
use crate::cluster::{Health, Host, HostSet, Reason, Spared, Suspicion, Verdict, judge};
use crate::name::ClusterName;

use super::{Clusters, Handle, HealthTurned};

impl Handle {
    /// Brings a host before its judge. The path of a connection never waits for that: a report
    /// that finds no room is lost.
    pub(in crate::actor) fn suspect(&self, suspicion: Suspicion) {
        let _ = self.0.try_send(Suspected(suspicion));
    }
}

/// Who returns when.
#[derive(Default)]
pub(super) struct Returns {
    /// The number tells apart those who return at one moment.
    due: BTreeMap<(Instant, u64), (ClusterName, Arc<Host>)>,
    next: u64,
    /// The timer that waits for the first of them.
    armed: Option<(Instant, SpawnHandle)>,
}

impl Returns {
    fn add(&mut self, cluster: ClusterName, host: Arc<Host>, until: Instant) {
        self.due.insert((until, self.next), (cluster, host));
        self.next += 1;
    }

    /// Takes those whose time is up.
    fn take(&mut self, now: Instant) -> Vec<(ClusterName, Arc<Host>)> {
        let later = self.due.split_off(&(now, u64::MAX));
        let due = std::mem::replace(&mut self.due, later);
        due.into_values().collect()
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl Clusters {
    /// Goes on where the life before, or a predecessor, has left off.
    pub(super) fn resume_ejections(&mut self, ctx: &mut Context<Self>) {
        self.returns.due.clear();
        for (name, current) in self.shelf.all().iter() {
            for host in current.load().hosts.hosts() {
                if let Some(until) = host.ejections().until() {
                    self.returns.add(name.clone(), Arc::clone(host), until);
                }
            }
        }
        self.arm(ctx);
    }

    /// Sees to it that there is a timer for the first return.
    fn arm(&mut self, ctx: &mut Context<Self>) {
        let first = self.returns.due.keys().next().map(|(until, _)| *until);
        if let Some((until, timer)) = self.returns.armed {
            if first.is_some_and(|first| until <= first) {
                return;
            }
            ctx.cancel_future(timer);
        }
        self.returns.armed = first.map(|first| {
            let wait = first.saturating_duration_since(now());
            (first, ctx.run_later(wait, Self::let_return))
        });
    }

    fn let_return(&mut self, ctx: &mut Context<Self>) {
        let now = now();
        self.returns.armed = None;
        for (name, host) in self.returns.take(now) {
            self.return_one(&name, &host, now);
        }
        self.arm(ctx);
    }

    fn return_one(&self, name: &ClusterName, host: &Host, now: Instant) {
        let Some(current) = self.shelf.find(name) else {
            return;
        };
        let before = current.load();
        let found = before.hosts.find(host.address());
        let Some(ejections) = found.filter(|found| found.is(host)).map(|f| *f.ejections()) else {
            return;
        };
        // It may have been pardoned, and ejected anew, meanwhile.
        if ejections.until().is_none_or(|until| now < until) {
            return;
        }
        // Else the row that had it ejected would go on.
        host.load().forgive();
        let hosts = before
            .hosts
            .with_ejections(host.address(), ejections.returned(now));
        slog::info!(self.log, "host {host} of cluster `{name}` returns from its ejection";
            "tag" => "outlier");
        let turn = ejection(name, host, Health::Healthy);
        self.publish_turn(&current, before.with_hosts(hosts), turn);
    }

    /// Says in the log that a host stays, once a second for each.
    fn note_spared(&self, suspicion: &Suspicion, spared: Spared) {
        let Suspicion {
            cluster,
            host,
            offence,
        } = suspicion;
        if let Some(logger) = self.logger.get() {
            logger.note(Event {
                level: Level::Warning,
                tag: "outlier",
                kind: format!("{cluster} {host}"),
                text: format!(
                    "host {host} of cluster `{cluster}` not ejected: {spared}; {offence}"
                ),
            });
        }
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Suspected(Suspicion);

impl Handler<Suspected> for Clusters {
    type Result = ();

    fn handle(&mut self, Suspected(suspicion): Suspected, ctx: &mut Context<Self>) {
        let (name, host) = (&suspicion.cluster, &suspicion.host);
        let Some(current) = self.shelf.find(name) else {
            return;
        };
        let before = current.load();
        let Some(policy) = &before.settings.outlier_detection else {
            return;
        };
        match judge(policy, &before.hosts, host, now(), &mut rand::rng()) {
            Verdict::Dismiss => {}
            Verdict::Spare(spared) => self.note_spared(&suspicion, spared),
            Verdict::Eject { ejections, long } => {
                let hosts: HostSet = before.hosts.with_ejections(host.address(), ejections);
                slog::warn!(self.log, "host {host} of cluster `{name}` ejected for {}: {}",
                    seconds(long), suspicion.offence; "tag" => "outlier");
                let turn = ejection(name, host, Health::Unhealthy);
                self.publish_turn(&current, before.with_hosts(hosts), turn);
                if let Some(until) = ejections.until() {
                    self.returns.add(name.clone(), Arc::clone(host), until);
                }
                self.arm(ctx);
            }
        }
    }
}

fn ejection(cluster: &ClusterName, host: &Host, health: Health) -> HealthTurned {
    HealthTurned {
        cluster: cluster.clone(),
        address: host.address().clone(),
        reason: Reason::Ejected,
        health,
    }
}

/// To a tenth of a second.
fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
