//! In turn by weight: earliest deadline first.
//!
//! Each host is due again one interval, `1 / weight`, after it was last due, and the host that is
//! due earliest is chosen. So of any `sum of weights` choices in a row each host has exactly its
//! weight, evenly spread. A host that could not be chosen for a while (unhealthy, excluded,
//! overloaded) is due at once when it can be, and owed nothing more: no burst makes up for its
//! absence.

use std::collections::HashMap;
use std::sync::Arc;

use rand::{Rng, RngExt};

use super::super::{Host, HostSet};
use super::Eligible;

/// One round, in which each idle host has its weight in choices. Divides by the square of every
/// weight with an error below 1e-5.
const ROUND: u64 = 1 << 32;

/// A host that carries more than this counts as no slower.
const BUSIEST: u64 = (1 << 20) - 128;

/// No host that takes part was last due longer ago than this.
const LONGEST: u64 = ROUND << 20;

/// Time is set back before it comes near overflow.
const LATEST: u64 = 1 << 60;

/// When each host of a set was last due.
#[derive(Debug)]
pub(super) struct Schedule {
    last: Vec<u64>,
    /// The latest time at which a choice was due.
    now: u64,
}

impl Schedule {
    /// Starts each host at a random point of its interval: workers and processes that start
    /// together do not all begin with the heaviest host.
    pub(super) fn new(hosts: &HostSet, rng: &mut impl Rng) -> Self {
        let now = ROUND;
        let first = |host: &Arc<Host>| newcomer(host, now, rng);
        Self {
            last: hosts.hosts().iter().map(first).collect(),
            now,
        }
    }

    /// Follows a change of hosts; those that stay keep their turn.
    pub(super) fn renew(&mut self, before: &HostSet, after: &HostSet, rng: &mut impl Rng) {
        let known: HashMap<_, _> = before
            .hosts()
            .iter()
            .map(|host| Arc::as_ptr(host.load()))
            .zip(self.last.iter().copied())
            .collect();
        let last = |host: &Arc<Host>| {
            let known = known.get(&Arc::as_ptr(host.load())).copied();
            known.unwrap_or_else(|| newcomer(host, self.now, rng))
        };
        self.last = after.hosts().iter().map(last).collect();
    }

    /// When a host is due next: what it carries, for each of its weight, stretches its interval.
    ///
    /// So hosts of one speed settle at loads in proportion to their weights, where all are stretched
    /// alike, and are chosen exactly by weight; as idle ones are.
    pub(super) fn due(&self, index: usize, host: &Host, active: u64) -> u64 {
        let weight = u64::from(host.weight());
        let interval = ROUND * (weight + active.min(BUSIEST)) / (weight * weight);
        (self.last[index] + interval).max(self.now)
    }

    /// Notes that a host was chosen when it was `due`.
    pub(super) fn chose(&mut self, index: usize, due: u64) {
        self.last[index] = due;
        self.now = self.now.max(due);
        if self.now > LATEST {
            let back = self.now - LONGEST;
            for last in &mut self.last {
                *last = last.saturating_sub(back);
            }
            self.now = LONGEST;
        }
    }
}

fn newcomer(host: &Host, now: u64, rng: &mut impl Rng) -> u64 {
    now - rng.random_range(0..ROUND / u64::from(host.weight()))
}

pub(super) fn pick(schedule: &mut Schedule, eligible: Eligible<'_>) -> Option<usize> {
    pick_slowed(schedule, eligible, |_| 0, |_| false)
}

/// Chooses the host that is due earliest, where what hosts carry stretches their intervals, and
/// one that rests lets the others go first.
pub(super) fn pick_slowed(
    schedule: &mut Schedule,
    eligible: Eligible<'_>,
    active: impl Fn(&Host) -> u64,
    rests: impl Fn(&Host) -> bool,
) -> Option<usize> {
    let (_, due, index) = eligible
        .indices()
        .map(|index| {
            let host = eligible.host(index);
            let due = schedule.due(index, host, active(host));
            (rests(host), due, index)
        })
        .min()?;
    schedule.chose(index, due);
    Some(index)
}
