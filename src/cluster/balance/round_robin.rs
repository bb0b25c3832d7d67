//! In turn, from a random start.

use rand::{Rng, RngExt};

use super::Eligible;

#[derive(Debug)]
pub(super) struct RoundRobin {
    /// Counts among the healthy hosts, not all: the neighbour of an unhealthy one would otherwise
    /// get its share.
    next: usize,
}

impl RoundRobin {
    pub(super) fn new(rng: &mut impl Rng) -> Self {
        Self {
            next: rng.random_range(0..1 << 16),
        }
    }

    pub(super) fn pick(&mut self, eligible: Eligible<'_>) -> Option<usize> {
        let healthy = eligible.hosts.eligible();
        let start = self.next.checked_rem(healthy.len())?;
        let steps = (0..healthy.len())
            .find(|step| eligible.admits(healthy[(start + step) % healthy.len()]))?;
        let place = (start + steps) % healthy.len();
        self.next = place + 1;
        Some(healthy[place])
    }
}
