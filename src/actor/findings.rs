//! What the process has found out of hosts, as one process tells the other in an upgrade.

use std::time::{Duration, Instant};

use crate::actor::checks::{Charts, Checks, Probing};
use crate::actor::clusters::{Found, Shelf};
use crate::cluster::{Ejections, Health, Host, Reason};
use crate::config::HostAddress;
use crate::name::ClusterName;
use crate::protocol::handover::{ChartState, EjectedState, HostState, Shown};

/// Hosts in one message: some hundred bytes each.
const MOST: usize = 4096;

/// Where it stands what the process has found out of hosts.
pub(crate) struct Findings {
    shelf: Shelf,
    checks: Checks,
}

impl Findings {
    pub(super) fn new(shelf: Shelf, checks: Checks) -> Self {
        Self { shelf, checks }
    }

    /// What is known, in parts that fit into a message each.
    pub(super) fn parts(&self) -> Vec<Shown> {
        let now = Instant::now();
        let mut shown = Shown::default();
        for (name, current) in self.shelf.all().iter() {
            let charts = self.checks.states(name);
            let snapshot = current.load();
            let hosts = snapshot.hosts.hosts().iter();
            let hosts = hosts.map(|host| {
                let chart = charts.get(host.address()).copied();
                (host.to_string(), state(host, chart, now))
            });
            shown.0.insert(name.to_string(), hosts.collect());
        }
        shown.parts(MOST)
    }

    /// Probes no host any more: the successor does.
    pub(super) fn leave(&self) {
        self.checks.leave_to(Probing::Successors);
    }

    /// Probes no host any more, and says what is known.
    pub(super) async fn hand_over(&self) -> Vec<Shown> {
        self.checks.hand_over().await;
        self.parts()
    }

    /// What a predecessor knows of the hosts that are here too.
    pub(super) fn of(&self, shown: &Shown) -> (Vec<Found>, Charts) {
        let (mut all, mut charts) = (Vec::new(), Charts::new());
        for (name, states) in &shown.0 {
            let name = ClusterName::from(name.as_str());
            let Some(current) = self.shelf.find(&name) else {
                continue;
            };
            let snapshot = current.load();
            for host in snapshot.hosts.hosts() {
                let Some(state) = states.get(&host.to_string()) else {
                    continue;
                };
                if let Some(chart) = state.chart {
                    charts.insert((name.clone(), host.address().clone()), chart);
                }
                all.push(found(name.clone(), host.address().clone(), state));
            }
        }
        (all, charts)
    }
}

fn state(host: &Host, chart: Option<ChartState>, now: Instant) -> HostState {
    let speaks = |reason| host.flags().of(reason) == Health::Unhealthy;
    let ejections = host.ejections();
    let returns = |until: Instant| {
        let left = until.saturating_duration_since(now);
        u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
    };
    HostState {
        failed_check: speaks(Reason::FailedCheck),
        taken_out: speaks(Reason::Commanded),
        ejected: (ejections.total() > 0).then(|| EjectedState {
            total: ejections.total(),
            row: ejections.row(),
            returns_millis: ejections.until().map(returns),
        }),
        chart,
    }
}

fn found(cluster: ClusterName, address: HostAddress, state: &HostState) -> Found {
    let health = |speaks| match speaks {
        true => Health::Unhealthy,
        false => Health::Healthy,
    };
    let now = Instant::now();
    let ejections = state.ejected.map(|ejected| {
        let until = ejected.returns_millis.map(Duration::from_millis);
        let until = until.and_then(|long| now.checked_add(long));
        Ejections::inherited(ejected.total, ejected.row, until, now)
    });
    Found {
        cluster,
        address,
        failed_check: health(state.failed_check),
        commanded: health(state.taken_out),
        ejections,
    }
}
