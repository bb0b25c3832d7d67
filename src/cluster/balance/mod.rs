//! How a host is chosen: one algorithm a file.
//!
//! Every choice is among the hosts that may be chosen and are not excluded. None allocates, and all of
//! them follow from the seed of the random numbers that they are given.

mod least;
mod random;
mod round_robin;
mod weighted;

use std::sync::Arc;
use std::time::Instant;

use rand::Rng;

use crate::config::{Balancer, Choices};

use super::{Host, HostSet, Load};
use round_robin::RoundRobin;
use weighted::Schedule;

/// Chooses hosts of one cluster for one worker.
///
/// Workers each have one, with random numbers of their own, so that they do not march in step;
/// only the hosts' live counts are common to them.
#[derive(Debug)]
pub struct Balance {
    hosts: Arc<HostSet>,
    algorithm: Algorithm,
}

#[derive(Debug)]
enum Algorithm {
    Random,
    RoundRobin(RoundRobin),
    Weighted(Schedule),
    Least {
        /// What is compared.
        active: fn(&Load) -> u64,
        choices: Choices,
        /// Tells whose turn it is where the weights differ.
        schedule: Schedule,
    },
}

impl Algorithm {
    fn new(balancer: Balancer, hosts: &HostSet, rng: &mut impl Rng) -> Self {
        let mut least = |active, choices| Self::Least {
            active,
            choices,
            schedule: Schedule::new(hosts, rng),
        };
        match balancer {
            Balancer::LeastConnection(choices) => least(Load::active_connections, choices),
            Balancer::LeastRequest(choices) => least(Load::active_requests, choices),
            Balancer::Random => Self::Random,
            Balancer::RoundRobin => Self::RoundRobin(RoundRobin::new(rng)),
            Balancer::WeightedRoundRobin => Self::Weighted(Schedule::new(hosts, rng)),
        }
    }
}

impl Balance {
    /// Chooses among `hosts` from now on, starting at a random point.
    #[must_use]
    pub fn new(balancer: Balancer, hosts: Arc<HostSet>, rng: &mut impl Rng) -> Self {
        Self {
            algorithm: Algorithm::new(balancer, &hosts, rng),
            hosts,
        }
    }

    /// Chooses among other hosts from now on. Hosts that stay keep their turn.
    pub fn renew(&mut self, hosts: Arc<HostSet>, rng: &mut impl Rng) {
        match &mut self.algorithm {
            Algorithm::Random | Algorithm::RoundRobin(_) => {}
            Algorithm::Weighted(schedule) | Algorithm::Least { schedule, .. } => {
                schedule.renew(&self.hosts, &hosts, rng);
            }
        }
        self.hosts = hosts;
    }

    /// The hosts that it chooses among.
    #[must_use]
    pub fn hosts(&self) -> &Arc<HostSet> {
        &self.hosts
    }

    /// Chooses a host that may be chosen `now` and is none of `excluded` (those already tried);
    /// `None` when there is none.
    ///
    /// Costs O(1) for random, round robin and least-loaded of a few choices, O(hosts) for the
    /// others, and at most O(hosts) where hosts are excluded. The choice counts once it is made a
    /// [`Lease`](super::Lease).
    pub fn pick(
        &mut self,
        excluded: &[Arc<Host>],
        now: Instant,
        rng: &mut impl Rng,
    ) -> Option<&Arc<Host>> {
        let eligible = Eligible {
            hosts: &self.hosts,
            excluded,
        };
        let index = match &mut self.algorithm {
            Algorithm::Random => random::pick(eligible, rng),
            Algorithm::RoundRobin(turn) => turn.pick(eligible),
            Algorithm::Weighted(schedule) => weighted::pick(schedule, eligible),
            Algorithm::Least {
                active,
                choices,
                schedule,
            } => {
                let load = least::Carried {
                    active: *active,
                    now,
                };
                least::pick(load, *choices, schedule, eligible, rng)
            }
        };
        index.map(|index| &self.hosts.hosts()[index])
    }
}

/// The hosts among which a choice is made.
#[derive(Clone, Copy)]
struct Eligible<'a> {
    hosts: &'a HostSet,
    excluded: &'a [Arc<Host>],
}

impl<'a> Eligible<'a> {
    fn host(self, index: usize) -> &'a Host {
        &self.hosts.hosts()[index]
    }

    fn admits(self, index: usize) -> bool {
        !self.excluded.iter().any(|tried| tried.is(self.host(index)))
    }

    /// Positions in the host set, ascending.
    fn indices(self) -> impl Iterator<Item = usize> + 'a {
        let all = self.hosts.eligible().iter().copied();
        all.filter(move |&index| self.admits(index))
    }

    fn len(self) -> usize {
        if self.excluded.is_empty() {
            self.hosts.eligible().len()
        } else {
            self.indices().count()
        }
    }

    fn nth(self, n: usize) -> Option<usize> {
        if self.excluded.is_empty() {
            self.hosts.eligible().get(n).copied()
        } else {
            self.indices().nth(n)
        }
    }
}

#[cfg(test)]
mod tests;
