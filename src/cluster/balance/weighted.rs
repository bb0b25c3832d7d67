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

/// One round, in which each host has its weight in choices. Divides by every weight with an error
/// below 1e-9.
const ROUND: u64 = 1 << 32;

/// Beyond this a host counts as no slower.
const SLOWEST: u64 = 1 << 20;

/// No host that takes part was last due longer ago than this.
const LONGEST: u64 = ROUND * SLOWEST;

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

    /// When a host is due next, if its interval is as if it had `1 / slowness` of its weight.
    pub(super) fn due(&self, index: usize, host: &Host, slowness: u64) -> u64 {
        let slowness = slowness.clamp(1, SLOWEST);
        let interval = ROUND * slowness / u64::from(host.weight());
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
    pick_slowed(schedule, eligible, |_| 1)
}

/// Chooses the host that is due earliest, where `slowness` stretches intervals.
pub(super) fn pick_slowed(
    schedule: &mut Schedule,
    eligible: Eligible<'_>,
    slowness: impl Fn(&Host) -> u64,
) -> Option<usize> {
    let (due, index) = eligible
        .indices()
        .map(|index| {
            let host = eligible.host(index);
            (schedule.due(index, host, slowness(host)), index)
        })
        .min()?;
    schedule.chose(index, due);
    Some(index)
}
