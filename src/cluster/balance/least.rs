//! The host that carries least.
//!
//! | weights | choices | chosen |
//! |---|---|---|
//! | equal | n | of n uniform draws with replacement the first with fewest active |
//! | equal | all | fewest active of all; ties uniformly at random |
//! | differ | n | earliest deadline first, at `weight / (1 + active / weight)` |
//! | differ | all | smallest `active / weight`; ties by earliest deadline |
//!
//! `active_request_bias` is an exponent of the stretch `1 + active / weight`; at 0 nothing but the
//! weights counts. While hosts start slowly their weights differ.
//!
//! Draws with replacement leave the busiest of three hosts one choice in nine, which keeps a trickle
//! of work on it. Where weights differ, idle hosts, and busy ones of one speed, are chosen exactly
//! as their weights say. (At MOSN's `weight / (active + 1)` busy ones get the roots of their weights.)
//!
//! A host that fails at once carries nothing, and so would be chosen most: while it
//! [rests](Load::rests) it is not chosen where another does not.

use std::cmp::Ordering;
use std::time::Instant;

use rand::{Rng, RngExt};

use crate::config::Choices;

use super::super::{Host, HostSet, Load, Moment};
use super::weighted::{self, Schedule, Tempo};
use super::{Eligible, random};

/// What hosts carry at one moment.
#[derive(Clone, Copy)]
pub(super) struct Carried {
    /// What is compared.
    pub(super) active: fn(&Load) -> u64,
    pub(super) now: Instant,
}

impl Carried {
    fn active(self, host: &Host) -> u64 {
        (self.active)(host.load())
    }

    /// The same, where it does not matter.
    fn of_nothing(self) -> Self {
        Self {
            active: |_| 0,
            ..self
        }
    }

    fn rests(self, host: &Host) -> bool {
        host.load().rests(self.now)
    }
}

pub(super) fn pick(
    carried: Carried,
    choices: Choices,
    schedule: &mut Schedule,
    eligible: Eligible<'_>,
    rng: &mut impl Rng,
) -> Option<usize> {
    let carried = match schedule.tempo().bias.active {
        0.0 => carried.of_nothing(),
        _ => carried,
    };
    match (choices, by_weight(eligible.hosts, schedule.tempo())) {
        (Choices::All, false) => least_of_all(eligible, carried, rng),
        (Choices::All, true) => least_by_weight(schedule, eligible, carried),
        (Choices::Random(draws), false) => least_drawn(draws, eligible, carried, rng),
        (Choices::Random(_), true) => {
            let time = schedule.tempo().time(&|| carried.now);
            let active = |host: &Host| carried.active(host);
            let rests = |host: &Host| carried.rests(host);
            weighted::pick_slowed(schedule, eligible, time, active, rests)
        }
    }
}

/// Whether weights count, and so a schedule.
pub(super) fn by_weight(hosts: &HostSet, tempo: &Tempo) -> bool {
    hosts.weights_differ() || tempo.slow_start.is_some()
}

fn least_drawn(
    draws: u32,
    eligible: Eligible<'_>,
    carried: Carried,
    rng: &mut impl Rng,
) -> Option<usize> {
    let key = |index| {
        let host = eligible.host(index);
        (carried.rests(host), carried.active(host))
    };
    let mut best = random::pick(eligible, rng)?;
    let mut least = key(best);
    for _ in 1..draws {
        let drawn = random::pick(eligible, rng)?;
        let load = key(drawn);
        if load < least {
            (best, least) = (drawn, load);
        }
    }
    match least {
        (false, _) => Some(best),
        // Every draw was a host that rests. Two draws among the others are as good as any.
        (true, _) => {
            let one = awake(eligible, carried, rng);
            let other = awake(eligible, carried, rng);
            one.into_iter()
                .chain(other)
                .min_by_key(|&index| key(index))
                .or(Some(best))
        }
    }
}

/// Any of the hosts that do not rest, each with the same chance.
fn awake(eligible: Eligible<'_>, carried: Carried, rng: &mut impl Rng) -> Option<usize> {
    let awake = eligible.indices();
    let awake = awake.filter(|&index| !carried.rests(eligible.host(index)));
    // The nth takes over with 1/n.
    let nth = (1_usize..).zip(awake);
    nth.fold(None, |chosen, (nth, index)| {
        match rng.random_range(0..nth) {
            0 => Some(index),
            _ => chosen,
        }
    })
}

fn least_of_all(eligible: Eligible<'_>, carried: Carried, rng: &mut impl Rng) -> Option<usize> {
    let mut best = None;
    let mut fewest = (true, u64::MAX);
    let mut ties = 0;
    for index in eligible.indices() {
        let host = eligible.host(index);
        let load = (carried.rests(host), carried.active(host));
        ties = match load.cmp(&fewest) {
            Ordering::Less => 1,
            Ordering::Equal => ties + 1,
            Ordering::Greater => continue,
        };
        fewest = load;
        // The nth tie takes over with 1/n, so each of them is left with the same chance.
        if ties == 1 || rng.random_range(0..ties) == 0 {
            best = Some(index);
        }
    }
    best
}

/// What a host carries, for comparison by weight.
struct Weighed {
    rests: bool,
    active: u64,
    weight: f64,
    due: u64,
    index: usize,
}

fn least_by_weight(
    schedule: &mut Schedule,
    eligible: Eligible<'_>,
    carried: Carried,
) -> Option<usize> {
    let now: Moment = schedule.tempo().time(&|| carried.now);
    let weighed = |index| {
        let host = eligible.host(index);
        Weighed {
            rests: carried.rests(host),
            active: carried.active(host),
            weight: schedule.tempo().weight(host, now),
            due: schedule.due_idle(index, host, now),
            index,
        }
    };
    let lighter = |a: &Weighed, b: &Weighed| {
        // a.active / a.weight against b.active / b.weight: exact for whole weights.
        let load = (a.active as f64 * b.weight).total_cmp(&(b.active as f64 * a.weight));
        a.rests.cmp(&b.rests).then(load).then(a.due.cmp(&b.due))
    };
    let Weighed { due, index, .. } = eligible.indices().map(weighed).min_by(lighter)?;
    schedule.chose(index, due, due);
    Some(index)
}
