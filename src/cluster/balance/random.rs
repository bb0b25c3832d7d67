//! Uniform choice.

use rand::{Rng, RngExt};

use super::Eligible;

/// Draws before the hosts are counted that are not excluded. With half of them excluded they are
/// in vain once in 60,000 times.
const DRAWS: usize = 16;

pub(super) fn pick(eligible: Eligible<'_>, rng: &mut impl Rng) -> Option<usize> {
    let healthy = eligible.hosts.eligible();
    if healthy.is_empty() {
        return None;
    }
    // Uniform among those that are admitted, as each draw is that is not thrown away.
    let mut draws = (0..DRAWS).map(|_| healthy[rng.random_range(0..healthy.len())]);
    if let Some(drawn) = draws.find(|&index| eligible.admits(index)) {
        return Some(drawn);
    }
    match eligible.indices().count() {
        0 => None,
        len => eligible.indices().nth(rng.random_range(0..len)),
    }
}
