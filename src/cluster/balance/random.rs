//! Uniform choice.

use rand::{Rng, RngExt};

use super::Eligible;

pub(super) fn pick(eligible: Eligible<'_>, rng: &mut impl Rng) -> Option<usize> {
    match eligible.len() {
        0 => None,
        len => eligible.nth(rng.random_range(0..len)),
    }
}
