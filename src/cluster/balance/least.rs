//! The host that carries least.
//!
//! | weights | choices | chosen |
//! |---|---|---|
//! | equal | n | of n uniform draws with replacement the first with fewest active |
//! | equal | all | fewest active of all; ties uniformly at random |
//! | differ | n | earliest deadline first, at `weight / (1 + active / weight)` |
//! | differ | all | smallest `active / weight`; ties by earliest deadline |
//!
//! Draws with replacement leave the busiest of three hosts one choice in nine, which keeps a trickle
//! of work on it. Where weights differ, idle hosts, and busy ones of one speed, are chosen exactly
//! as their weights say. (At MOSN's `weight / (active + 1)` busy ones get the roots of their weights.)

use std::cmp::Ordering;

use rand::{Rng, RngExt};

use crate::config::Choices;

use super::super::{Host, Load};
use super::weighted::{self, Schedule};
use super::{Eligible, random};

pub(super) fn pick(
    active: fn(&Load) -> u64,
    choices: Choices,
    schedule: &mut Schedule,
    eligible: Eligible<'_>,
    rng: &mut impl Rng,
) -> Option<usize> {
    let active = |host: &Host| active(host.load());
    match (choices, eligible.hosts.weights_differ()) {
        (Choices::All, false) => least_of_all(eligible, active, rng),
        (Choices::All, true) => least_by_weight(schedule, eligible, active),
        (Choices::Random(draws), false) => least_drawn(draws, eligible, active, rng),
        (Choices::Random(_), true) => weighted::pick_slowed(schedule, eligible, active),
    }
}

fn least_drawn(
    draws: u32,
    eligible: Eligible<'_>,
    active: impl Fn(&Host) -> u64,
    rng: &mut impl Rng,
) -> Option<usize> {
    let mut best = random::pick(eligible, rng)?;
    for _ in 1..draws {
        let drawn = random::pick(eligible, rng)?;
        if active(eligible.host(drawn)) < active(eligible.host(best)) {
            best = drawn;
        }
    }
    Some(best)
}

fn least_of_all(
    eligible: Eligible<'_>,
    active: impl Fn(&Host) -> u64,
    rng: &mut impl Rng,
) -> Option<usize> {
    let mut best = None;
    let mut fewest = u64::MAX;
    let mut ties = 0;
    for index in eligible.indices() {
        let active = active(eligible.host(index));
        ties = match active.cmp(&fewest) {
            Ordering::Less => 1,
            Ordering::Equal => ties + 1,
            Ordering::Greater => continue,
        };
        fewest = active;
        // The nth tie takes over with 1/n, so each of them is left with the same chance.
        if ties == 1 || rng.random_range(0..ties) == 0 {
            best = Some(index);
        }
    }
    best
}

fn least_by_weight(
    schedule: &mut Schedule,
    eligible: Eligible<'_>,
    active: impl Fn(&Host) -> u64,
) -> Option<usize> {
    let load_of = |index| {
        let host = eligible.host(index);
        (
            active(host),
            u64::from(host.weight()),
            schedule.due(index, host, 0),
            index,
        )
    };
    let lighter = |a: &(u64, u64, u64, usize), b: &(u64, u64, u64, usize)| {
        // a.active / a.weight against b.active / b.weight, without rounding.
        (a.0 * b.1).cmp(&(b.0 * a.1)).then(a.2.cmp(&b.2))
    };
    let (_, _, due, index) = eligible.indices().map(load_of).min_by(lighter)?;
    schedule.chose(index, due);
    Some(index)
}
