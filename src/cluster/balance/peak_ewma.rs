//! The lowest product of recent latency and active requests, among a few drawn at random.
//!
//! | part of the score | |
//! |---|---|
//! | latency | its average lately, in which a peak counts at once; it fades while the host is idle, so that it is tried again; a host of which nothing is known counts as a little faster than the fastest looked at lately |
//! | `× (active requests + 1) ^ active_request_bias` | |
//! | `× 10^9` while it [rests](super::super::Load::rests) | it has just failed |
//! | `÷ (1 − client errors) ^ client_error_bias` | shares of its answers lately |
//! | `÷ (1 − server errors) ^ server_error_bias` | both divisors together are at least 0.1 |

use std::time::Instant;

use rand::{Rng, RngExt};

use crate::config::{Bias, Choices};

use super::super::{Host, Moment};
use super::{Eligible, random};

/// Errors make a host ten times as dear, at most (MOSN).
const LEAST_SUCCESS: f64 = 0.1;

/// A host that has just failed is chosen only beside others that have, or that are slower by this.
const RESTING: f64 = 1e9;

/// How much one look at a slower host raises the lowest latency of late.
const LOOK: f64 = 1.0 / 16.0;

/// What a host of which nothing is known takes of the lowest latency of late: it is tried before
/// those that are as fast.
const UNKNOWN: f64 = 0.9;

/// Chooses by latency, and remembers the lowest of late.
#[derive(Debug)]
pub(super) struct PeakEwma {
    choices: Choices,
    bias: Bias,
    /// The lowest latency of late, in nanoseconds; 0 until anything is known. It falls at once: a
    /// host of which nothing is known must not wait for as long as the others get faster.
    lowest: f64,
}

impl PeakEwma {
    pub(super) fn new(choices: Choices, bias: Bias) -> Self {
        Self {
            choices,
            bias,
            lowest: 0.0,
        }
    }

    pub(super) fn pick(
        &mut self,
        eligible: Eligible<'_>,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Option<usize> {
        let healthy = eligible.hosts.eligible();
        match self.choices {
            Choices::Random(draws) if (draws as usize) < healthy.len() => {
                let mut best = random::pick(eligible, rng)?;
                let mut least = self.score(eligible.host(best), now);
                for _ in 1..draws {
                    let drawn = random::pick(eligible, rng)?;
                    let score = self.score(eligible.host(drawn), now);
                    if score < least {
                        (best, least) = (drawn, score);
                    }
                }
                Some(best)
            }
            Choices::Random(_) | Choices::All => {
                let start = match healthy.len() {
                    0 => return None,
                    len => rng.random_range(0..len),
                };
                let (before, after) = healthy.split_at(start);
                let mut best = None;
                for &index in after.iter().chain(before) {
                    if !eligible.admits(index) {
                        continue;
                    }
                    let score = self.score(eligible.host(index), now);
                    if best.is_none_or(|(_, least)| score < least) {
                        best = Some((index, score));
                    }
                }
                best.map(|(index, _)| index)
            }
        }
    }

    fn score(&mut self, host: &Host, now: Instant) -> f64 {
        let form = host.load().form();
        let active = host.load().active_requests();
        // A host at work has had no chance to show that it is faster than before.
        let latency = form.latency().map(|latency| match active {
            0 => latency * form.kept(Moment::of(now), self.bias.memory),
            _ => latency,
        });
        let latency = match latency {
            Some(latency) if self.lowest == 0.0 || latency < self.lowest => {
                self.lowest = latency;
                latency
            }
            Some(latency) => {
                self.lowest += (latency - self.lowest) * LOOK;
                latency
            }
            None => self.lowest * UNKNOWN,
        };
        let (client, server) = form.errors();
        let success = (1.0 - client).powf(self.bias.client_errors)
            * (1.0 - server).powf(self.bias.server_errors);
        let load = (active as f64 + 1.0).powf(self.bias.active);
        let rest = match host.load().rests(now) {
            true => RESTING,
            false => 1.0,
        };
        // Where nothing is known at all, what hosts carry still tells them apart.
        latency.max(1.0) * load * rest / success.max(LEAST_SUCCESS)
    }
}
