//! What a host's probes come to.
//!
//! ```text
//!               failed × unhealthy_threshold, in a row
//!            ┌──────────────────────────────────────────►┐
//!   Healthy ─┤                                           ├─ Unhealthy
//!            └◄──────────────────────────────────────────┘
//!                passed × healthy_threshold, in a row
//! ```

use std::num::NonZeroU32;
use std::time::Duration;

use super::Health;

/// What one probe says of its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The host answered as it should.
    Passed,
    /// It did not.
    Failed,
}

/// How many like results in a row turn a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Passed probes that make an unhealthy host healthy.
    pub healthy: NonZeroU32,
    /// Failed probes that make a healthy host unhealthy.
    pub unhealthy: NonZeroU32,
}

/// The latest results of one host that are alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streak(Option<Run>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    of: Outcome,
    length: u32,
    /// When the first of them came, since 1970.
    first_seen: Duration,
}

impl Streak {
    /// One of which the latest results are known: what they say, how many they are, and when the first
    /// of them came.
    #[must_use]
    pub fn known(of: Outcome, length: u32, first_seen: Duration) -> Self {
        Self(Some(Run {
            of,
            length,
            first_seen,
        }))
    }

    /// What the latest results say; `None` before the first.
    #[must_use]
    pub fn latest(&self) -> Option<Outcome> {
        self.0.map(|run| run.of)
    }

    /// Takes one more result in, which came at `now` since 1970, of a host whose flag says `flag`.
    /// Says whether the flag is to turn, and to what.
    ///
    /// A turn that did not reach the flag is said again with the next result.
    #[must_use]
    pub fn hear(
        &mut self,
        outcome: Outcome,
        now: Duration,
        flag: Health,
        thresholds: Thresholds,
    ) -> Option<Health> {
        let run = match self.0 {
            Some(run) if run.of == outcome => Run {
                length: run.length.saturating_add(1),
                ..run
            },
            _ => Run {
                of: outcome,
                length: 1,
                first_seen: now,
            },
        };
        self.0 = Some(run);
        let (threshold, turned) = match (outcome, flag) {
            (Outcome::Passed, Health::Unhealthy) => (thresholds.healthy, Health::Healthy),
            (Outcome::Failed, Health::Healthy) => (thresholds.unhealthy, Health::Unhealthy),
            (Outcome::Passed, Health::Healthy) | (Outcome::Failed, Health::Unhealthy) => {
                return None;
            }
        };
        (run.length >= threshold.get()).then_some(turned)
    }

    /// How many of the latest results are alike.
    #[must_use]
    pub fn length(&self) -> u32 {
        self.0.map_or(0, |run| run.length)
    }

    /// When the first of them came, since 1970.
    #[must_use]
    pub fn first_seen(&self) -> Option<Duration> {
        self.0.map(|run| run.first_seen)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn thresholds(healthy: u32, unhealthy: u32) -> Thresholds {
        let count = |n| NonZeroU32::new(n).unwrap();
        Thresholds {
            healthy: count(healthy),
            unhealthy: count(unhealthy),
        }
    }

    /// Plays results, `+` and `-`, as a host's flag follows them; each gives MOSN's three digits:
    /// the flag, the result, whether the flag turned.
    fn play(results: &str, thresholds: Thresholds) -> Vec<String> {
        let (mut streak, mut flag) = (Streak::default(), Health::Healthy);
        let said = results.chars().map(|result| {
            let outcome = match result {
                '+' => Outcome::Passed,
                _ => Outcome::Failed,
            };
            let turn = streak.hear(outcome, Duration::ZERO, flag, thresholds);
            flag = turn.unwrap_or(flag);
            format!(
                "{},{},{}",
                u8::from(flag == Health::Healthy),
                u8::from(outcome == Outcome::Passed),
                u8::from(turn.is_some())
            )
        });
        said.collect()
    }

    #[test]
    fn results_and_flags_are_those_of_mosn() {
        for (healthy, unhealthy, results, expected) in [
            (1, 1, "+++", "1,1,0 1,1,0 1,1,0"),
            (1, 1, "+--+", "1,1,0 0,0,1 0,0,0 1,1,1"),
            (2, 3, "---++", "1,0,0 1,0,0 0,0,1 0,1,0 1,1,1"),
            // A result of the other kind begins the count anew.
            (2, 3, "--+---", "1,0,0 1,0,0 1,1,0 1,0,0 1,0,0 0,0,1"),
            (2, 1, "-+-++", "0,0,1 0,1,0 0,0,0 0,1,0 1,1,1"),
            // So many in a row are no turn when there is nothing to turn.
            (2, 1, "++++-", "1,1,0 1,1,0 1,1,0 1,1,0 0,0,1"),
        ] {
            let played = play(results, thresholds(healthy, unhealthy));
            assert_eq!(played.join(" "), expected, "{results}");
        }
    }

    #[test]
    fn a_turn_that_did_not_reach_the_flag_is_said_again() {
        let mut streak = Streak::default();
        let mut failed =
            |flag| streak.hear(Outcome::Failed, Duration::ZERO, flag, thresholds(1, 2));
        assert_eq!(failed(Health::Healthy), None);
        assert_eq!(failed(Health::Healthy), Some(Health::Unhealthy));
        assert_eq!(failed(Health::Healthy), Some(Health::Unhealthy));
        assert_eq!(failed(Health::Unhealthy), None);
    }

    #[test]
    fn like_results_are_counted_from_the_first_of_them() {
        let mut streak = Streak::default();
        let results = [Outcome::Passed, Outcome::Failed, Outcome::Failed];
        for (second, outcome) in (10..).zip(results) {
            let now = Duration::from_secs(second);
            let _turn = streak.hear(outcome, now, Health::Healthy, thresholds(9, 9));
        }
        assert_eq!(streak.length(), 2);
        assert_eq!(streak.first_seen(), Some(Duration::from_secs(11)));
    }

    proptest! {
        /// MOSN's own rule, spelled out: two counters, each reset by the other kind of result, and
        /// counting only towards a turn.
        #[test]
        fn any_results_turn_a_host_when_mosn_would(
            results in proptest::collection::vec(any::<bool>(), 0..200),
            healthy in 1_u32..5,
            unhealthy in 1_u32..5,
        ) {
            let text: String = results.iter().map(|&passed| if passed { '+' } else { '-' }).collect();
            let (mut passed, mut failed, mut flag) = (0, 0, true);
            let expected: Vec<_> = results.iter().map(|&result| {
                let counts = result != flag;
                match result {
                    true => { failed = 0; passed += u32::from(counts); }
                    false => { passed = 0; failed += u32::from(counts); }
                }
                let turned = counts && (if result { passed == healthy } else { failed == unhealthy });
                flag ^= turned;
                format!("{},{},{}", u8::from(flag), u8::from(result), u8::from(turned))
            }).collect();
            prop_assert_eq!(play(&text, thresholds(healthy, unhealthy)), expected);
        }
    }
}
