//! Jittered exponential delays.
//!
//! Backoff is for the world (refused connects, names that do not resolve); restarts are for bugs.

use std::time::Duration;

use rand::{Rng, RngExt};

/// How long to wait before each further attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Upper bound of the first delay.
    pub base: Duration,
    /// Upper bound of every delay.
    pub max: Duration,
}

impl Backoff {
    /// The delay after `failures` failures in a row: uniform between half of the doubled base and
    /// all of it, so that those who failed together do not return together.
    #[must_use]
    pub fn delay(&self, failures: u32, rng: &mut impl Rng) -> Duration {
        let factor = 2_u32.saturating_pow(failures.saturating_sub(1));
        let bound = self.base.saturating_mul(factor).min(self.max);
        bound.mul_f64(rng.random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;

    const BACKOFF: Backoff = Backoff {
        base: Duration::from_millis(100),
        max: Duration::from_secs(5),
    };

    #[test]
    fn each_delay_lies_in_the_upper_half_of_its_bound() {
        let mut rng = SmallRng::seed_from_u64(1);
        for (failures, bound) in [(0, 100), (1, 100), (2, 200), (3, 400), (6, 3200), (7, 5000)] {
            for _ in 0..100 {
                let delay = BACKOFF.delay(failures, &mut rng);
                let bound = Duration::from_millis(bound);
                assert!(
                    bound / 2 <= delay && delay <= bound,
                    "{failures}: {delay:?}"
                );
            }
        }
    }

    #[test]
    fn any_number_of_failures_has_a_bounded_delay() {
        let mut rng = SmallRng::seed_from_u64(2);
        assert!(BACKOFF.delay(u32::MAX, &mut rng) <= BACKOFF.max);
    }
}
