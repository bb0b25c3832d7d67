//! In turn by weight: earliest deadline first.
//!
//! Each host is due again one interval, `1 / weight`, after it was last due, and the host that is
//! due earliest is chosen. So of any `sum of weights` choices in a row each host has exactly its
//! weight, evenly spread. A host that could not be chosen for a while (unhealthy, excluded,
//! overloaded) is due at once when it can be, and owed nothing more: no burst makes up for its
//! absence.
//!
//! What a host carries stretches its interval, and changes between two choices without anybody
//! telling. So the heap may be late to know: a host that carries more is found out when it comes
//! first; one that carries less when its turn comes to be looked at again, a few hosts with each
//! choice. Up to [`LOOKS`] hosts every choice is exact.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use rand::{Rng, RngExt};

use crate::config::{Bias, SlowStart};

use super::super::{Host, HostSet, Moment};
use super::heap::Heap;
use super::{Eligible, slow_start};

/// One round, in which each idle host has its weight in choices. Divides by the square of every
/// weight with an error below 1e-5.
const ROUND: u64 = 1 << 32;

/// A host that carries more than this counts as no slower.
const BUSIEST: u64 = (1 << 20) - 128;

/// No host that takes part was last due longer ago than this.
const LONGEST: u64 = ROUND << 20;

/// Time is set back before it comes near overflow.
const LATEST: u64 = 1 << 60;

/// Hosts that each choice looks at anew.
const LOOKS: usize = 4;

/// When each host of a set was last due, and is due next.
#[derive(Debug)]
pub(super) struct Schedule {
    last: Vec<u64>,
    /// The healthy ones.
    due: Heap,
    /// The latest time at which a choice was due.
    now: u64,
    /// Where looking around goes on.
    look: usize,
    /// Excluded hosts, until the choice is made; kept for its room.
    aside: Vec<(u64, usize)>,
    tempo: Tempo,
}

/// What an interval is made of beside weight and load.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tempo {
    pub(super) bias: Bias,
    pub(super) slow_start: Option<SlowStart>,
}

impl Tempo {
    /// How long a host waits for its next turn.
    ///
    /// What it carries, for each of its weight, stretches its interval. So hosts of one speed settle
    /// at loads in proportion to their weights, where all are stretched alike, and are chosen
    /// exactly by weight; as idle ones are.
    fn interval(&self, host: &Host, active: u64, now: Moment) -> u64 {
        let active = active.min(BUSIEST);
        if self.slow_start.is_none() && self.bias.active == 1.0 {
            let weight = u64::from(host.weight());
            return ROUND * (weight + active) / (weight * weight);
        }
        let weight = self.weight(host, now);
        let stretch = (1.0 + active as f64 / weight).powf(self.bias.active);
        // A float beyond the integers becomes the greatest of them.
        ((ROUND as f64 * stretch / weight) as u64).min(LONGEST)
    }

    /// The time, where it matters.
    pub(super) fn time(&self, clock: &dyn Fn() -> Instant) -> Moment {
        match self.slow_start {
            Some(_) => Moment::of(clock()),
            None => Moment::default(),
        }
    }

    /// A host's weight, less as long as it starts slowly.
    pub(super) fn weight(&self, host: &Host, now: Moment) -> f64 {
        let weight = f64::from(host.weight());
        match &self.slow_start {
            None => weight,
            Some(settings) => weight * slow_start::share(settings, host, now),
        }
    }
}

impl Schedule {
    /// Starts each host at a random point of its interval: workers and processes that start
    /// together do not all begin with the heaviest host.
    pub(super) fn new(hosts: &HostSet, tempo: Tempo, rng: &mut impl Rng) -> Self {
        let now = ROUND;
        let first = |host: &Arc<Host>| newcomer(host, now, rng);
        let mut schedule = Self {
            last: hosts.hosts().iter().map(first).collect(),
            due: Heap::default(),
            now,
            look: 0,
            aside: Vec::new(),
            tempo,
        };
        schedule.fill(hosts);
        schedule
    }

    /// Follows a change of hosts; those that stay keep their turn.
    pub(super) fn renew(&mut self, before: &HostSet, after: &HostSet, rng: &mut impl Rng) {
        let pairs = || before.hosts().iter().zip(after.hosts());
        let is_known = self.last.len() == before.hosts().len();
        let stay = before.hosts().len() == after.hosts().len() && pairs().all(|(a, b)| a.is(b));
        if is_known && stay {
            if before.standing() != after.standing() {
                self.fill(after);
                return;
            }
            // Nobody came or went. Thousands may turn within a second.
            let turned = pairs().enumerate().filter(|(_, (a, b))| !Arc::ptr_eq(a, b));
            for (index, (_, host)) in turned {
                match after.is_fit(index) {
                    true => self.due.set(index, self.earliest_due(index, host)),
                    false => self.due.remove(index),
                }
            }
            return;
        }
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
        self.fill(after);
    }

    fn fill(&mut self, hosts: &HostSet) {
        let due = |&index: &usize| (self.earliest_due(index, &hosts.hosts()[index]), index);
        self.due = Heap::new(hosts.hosts().len(), hosts.eligible().iter().map(due));
        self.aside.reserve(hosts.hosts().len());
    }

    /// As if idle and long at work: what a host carries is seen when it comes first.
    fn earliest_due(&self, index: usize, host: &Host) -> u64 {
        self.last[index] + ROUND / u64::from(host.weight())
    }

    /// What intervals are made of beside weight and load.
    pub(super) fn tempo(&self) -> &Tempo {
        &self.tempo
    }

    /// When an idle host is due next.
    pub(super) fn due_idle(&self, index: usize, host: &Host, now: Moment) -> u64 {
        (self.last[index] + self.tempo.interval(host, 0, now)).max(self.now)
    }

    /// Notes that a host was chosen when it was `due`, and when it is due `next`.
    pub(super) fn chose(&mut self, index: usize, due: u64, next: u64) {
        self.last[index] = due;
        self.now = self.now.max(due);
        self.due.set(index, next);
        if self.now > LATEST {
            let back = self.now - LONGEST;
            for last in &mut self.last {
                *last = last.saturating_sub(back);
            }
            self.due.set_back(back);
            self.now = LONGEST;
        }
    }

    /// Looks at a few hosts, whether they carry less by now, or are further in their slow start.
    fn look_around(&mut self, hosts: &HostSet, interval: &impl Fn(&Host) -> u64) {
        for _ in 0..LOOKS.min(self.due.len()) {
            self.look = (self.look + 1) % self.due.len();
            let index = self.due.at(self.look);
            let due = self.last[index] + interval(&hosts.hosts()[index]);
            self.due.set(index, due);
        }
    }

    /// Who is due earliest, and when. One that rests lets the others go first.
    fn earliest(
        &mut self,
        eligible: Eligible<'_>,
        interval: &impl Fn(&Host) -> u64,
        rests: &impl Fn(&Host) -> bool,
    ) -> Option<(u64, usize)> {
        let mut resting = None;
        while let Some((known, index)) = self.due.first() {
            let host = eligible.host(index);
            let due = self.last[index] + interval(host);
            let is_out = !eligible.admits(index);
            if !is_out && due > known {
                self.due.set(index, due);
                continue;
            }
            if !is_out && !rests(host) {
                return Some((due, index));
            }
            if !is_out && resting.is_none() {
                resting = Some((due, index));
            }
            self.aside.push((known, index));
            self.due.remove(index);
        }
        resting
    }
}

fn newcomer(host: &Host, now: u64, rng: &mut impl Rng) -> u64 {
    now - rng.random_range(0..ROUND / u64::from(host.weight()))
}

pub(super) fn pick(schedule: &mut Schedule, eligible: Eligible<'_>, now: Moment) -> Option<usize> {
    let tempo = schedule.tempo;
    let interval = |host: &Host| tempo.interval(host, 0, now);
    if tempo.slow_start.is_some() {
        schedule.look_around(eligible.hosts, &interval);
    }
    choose(schedule, eligible, &interval, &|_| false)
}

/// Chooses the host that is due earliest, where what hosts carry stretches their intervals, and
/// one that rests lets the others go first.
pub(super) fn pick_slowed(
    schedule: &mut Schedule,
    eligible: Eligible<'_>,
    now: Moment,
    active: impl Fn(&Host) -> u64,
    rests: impl Fn(&Host) -> bool,
) -> Option<usize> {
    let tempo = schedule.tempo;
    let interval = |host: &Host| tempo.interval(host, active(host), now);
    schedule.look_around(eligible.hosts, &interval);
    choose(schedule, eligible, &interval, &rests)
}

fn choose(
    schedule: &mut Schedule,
    eligible: Eligible<'_>,
    interval: &impl Fn(&Host) -> u64,
    rests: &impl Fn(&Host) -> bool,
) -> Option<usize> {
    let found = schedule.earliest(eligible, interval, rests);
    while let Some((due, index)) = schedule.aside.pop() {
        schedule.due.set(index, due);
    }
    let (due, index) = found?;
    let due = due.max(schedule.now);
    schedule.chose(index, due, due + interval(eligible.host(index)));
    Some(index)
}
