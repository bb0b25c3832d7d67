//! How a host is chosen: one algorithm a file.
//!
//! Every choice is among the hosts that are healthy and not excluded. None allocates, and all of
//! them follow from the seed of the random numbers that they are given.

mod heap;
mod in_order;
mod least;
mod maglev;
mod original_destination;
mod peak_ewma;
mod random;
mod round_robin;
mod slow_start;
mod weighted;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use rand::Rng;

use crate::config::{self, Balancer, Bias, Choices, SlowStart};

use super::{Clue, Host, HostSet, Load};
pub use maglev::Table;
use original_destination::Destinations;
use peak_ewma::PeakEwma;
use round_robin::RoundRobin;
use weighted::{Schedule, Tempo};

/// Chooses hosts of one host set for one worker.
///
/// Workers each have one, with random numbers of their own, so that they do not march in step;
/// only the hosts' live counts are common to them.
///
/// # Contracts
///
/// Idle hosts get their shares, whatever the balancer; by weight where it looks at weights:
///
/// ```
/// use banyan::cluster::{Ask, Balance, HostSet};
/// use banyan::config::{Balancer, Host};
/// use rand::{SeedableRng, rngs::SmallRng};
/// use std::time::Instant;
///
/// let host = |port, weight| Host {
///     weight,
///     ..Host::from(std::net::SocketAddr::from(([127, 0, 0, 1], port)))
/// };
/// let hosts = std::sync::Arc::new(HostSet::new(&[host(1, 1), host(2, 3)]));
/// let mut rng = SmallRng::seed_from_u64(1);
/// let mut balance = Balance::new(Balancer::WeightedRoundRobin, hosts.clone(), &mut rng);
/// let second = (0..4000)
///     .filter(|_| balance.pick(&Ask::at(&Instant::now), &mut rng).unwrap().is(&hosts.hosts()[1]))
///     .count();
/// assert_eq!(second, 3000);
/// ```
///
/// No host is chosen that is unhealthy or excluded, and one is as long as there is another:
///
/// ```
/// # use banyan::cluster::{Ask, Balance, Health, HostSet, Reason};
/// # use banyan::config::{Balancer, Choices, Host};
/// # use rand::{SeedableRng, rngs::SmallRng};
/// # use std::time::Instant;
/// # let host = |port| Host::from(std::net::SocketAddr::from(([127, 0, 0, 1], port)));
/// let hosts = HostSet::new(&[host(1), host(2), host(3)]);
/// let address = hosts.hosts()[0].address().clone();
/// let hosts = std::sync::Arc::new(hosts.with_health(
///     &address,
///     Reason::FailedCheck,
///     Health::Unhealthy,
/// ));
/// let tried = [hosts.hosts()[1].clone()];
/// for balancer in [
///     Balancer::Random,
///     Balancer::Maglev,
///     Balancer::PeakEwma(Choices::Random(2)),
/// ] {
///     let mut rng = SmallRng::seed_from_u64(1);
///     let mut balance = Balance::new(balancer, hosts.clone(), &mut rng);
///     let chosen = balance.pick(&Ask::at(&Instant::now).excluding(&tried), &mut rng).unwrap();
///     assert!(chosen.is(&hosts.hosts()[2]));
/// }
/// ```
///
/// The same key of a consistent hash goes to the same host, on every worker and in every process:
///
/// ```
/// # use banyan::cluster::{Ask, Balance, Clue, HostSet};
/// # use banyan::config::{Balancer, Host};
/// # use rand::{SeedableRng, rngs::SmallRng};
/// # use std::time::Instant;
/// # let host = |port| Host::from(std::net::SocketAddr::from(([127, 0, 0, 1], port)));
/// # let hosts = std::sync::Arc::new(HostSet::new(&[host(1), host(2), host(3)]));
/// let clue = Clue { hash: Some(42), ..Clue::default() };
/// let chosen = |seed| {
///     let mut rng = SmallRng::seed_from_u64(seed);
///     let mut balance = Balance::new(Balancer::Maglev, hosts.clone(), &mut rng);
///     balance.pick(&Ask::at(&Instant::now).with(&clue), &mut rng).unwrap().to_string()
/// };
/// assert_eq!(chosen(1), chosen(2));
/// ```
#[derive(Debug)]
pub struct Balance {
    hosts: Arc<HostSet>,
    algorithm: Algorithm,
}

/// What a choice depends on beside the hosts.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// Hosts that are not chosen, since they were tried already.
    pub excluded: &'a [Arc<Host>],
    /// What the work tells of itself.
    pub clue: &'a Clue,
    /// The time, read only by those balancers that have a use for it.
    pub clock: &'a dyn Fn() -> Instant,
}

static NO_CLUE: Clue = Clue {
    hash: None,
    metadata: None,
    destination: None,
};

impl<'a> Ask<'a> {
    /// For any host, at the time that this tells.
    #[must_use]
    pub fn at(clock: &'a dyn Fn() -> Instant) -> Self {
        Self {
            excluded: &[],
            clue: &NO_CLUE,
            clock,
        }
    }

    /// The same, but for these hosts.
    #[must_use]
    pub fn excluding(self, excluded: &'a [Arc<Host>]) -> Self {
        Self { excluded, ..self }
    }

    /// The same, with what the work tells of itself.
    #[must_use]
    pub fn with(self, clue: &'a Clue) -> Self {
        Self { clue, ..self }
    }
}

impl fmt::Debug for Ask<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask")
            .field("excluded", &self.excluded)
            .field("clue", &self.clue)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
enum Algorithm {
    InOrder,
    Least {
        /// What is compared.
        active: fn(&Load) -> u64,
        choices: Choices,
        /// Tells whose turn it is where the weights differ; else it is empty.
        schedule: Schedule,
    },
    Maglev,
    OriginalDestination(Destinations),
    PeakEwma(PeakEwma),
    Random,
    RoundRobin(RoundRobin),
    Weighted(Schedule),
}

impl Balance {
    /// Chooses among `hosts` from now on, starting at a random point.
    #[must_use]
    pub fn new(balancer: Balancer, hosts: Arc<HostSet>, rng: &mut impl Rng) -> Self {
        Self::shaped(balancer, Bias::default(), None, hosts, rng)
    }

    /// As [`new`](Self::new), with all that a cluster's settings say of balancing.
    #[must_use]
    pub fn of(settings: &config::Cluster, hosts: Arc<HostSet>, rng: &mut impl Rng) -> Self {
        let slow_start = settings.slow_start;
        Self::shaped(settings.balancer, settings.bias, slow_start, hosts, rng)
    }

    fn shaped(
        balancer: Balancer,
        bias: Bias,
        slow_start: Option<SlowStart>,
        hosts: Arc<HostSet>,
        rng: &mut impl Rng,
    ) -> Self {
        let tempo = Tempo { bias, slow_start };
        let mut least = |active, choices| Algorithm::Least {
            active,
            choices,
            schedule: match least::by_weight(&hosts, &tempo) {
                true => Schedule::new(&hosts, tempo, rng),
                false => Schedule::new(&HostSet::default(), tempo, rng),
            },
        };
        let algorithm = match balancer {
            Balancer::InOrder => Algorithm::InOrder,
            Balancer::LeastConnection(choices) => least(Load::active_connections, choices),
            Balancer::LeastRequest(choices) => least(Load::active_requests, choices),
            Balancer::Maglev => Algorithm::Maglev,
            Balancer::OriginalDestination => {
                Algorithm::OriginalDestination(Destinations::default())
            }
            Balancer::PeakEwma(choices) => Algorithm::PeakEwma(PeakEwma::new(choices, bias)),
            Balancer::Random => Algorithm::Random,
            Balancer::RoundRobin => Algorithm::RoundRobin(RoundRobin::new(rng)),
            Balancer::WeightedRoundRobin => Algorithm::Weighted(Schedule::new(&hosts, tempo, rng)),
        };
        Self { hosts, algorithm }
    }

    /// Chooses among other hosts from now on. Hosts that stay keep their turn.
    pub fn renew(&mut self, hosts: Arc<HostSet>, rng: &mut impl Rng) {
        match &mut self.algorithm {
            Algorithm::Weighted(schedule) => schedule.renew(&self.hosts, &hosts, rng),
            Algorithm::Least { schedule, .. } => {
                if least::by_weight(&hosts, schedule.tempo()) {
                    schedule.renew(&self.hosts, &hosts, rng);
                } else if least::by_weight(&self.hosts, schedule.tempo()) {
                    *schedule = Schedule::new(&HostSet::default(), *schedule.tempo(), rng);
                }
            }
            _ => {}
        }
        self.hosts = hosts;
    }

    /// The hosts that it chooses among.
    #[must_use]
    pub fn hosts(&self) -> &Arc<HostSet> {
        &self.hosts
    }

    /// Chooses a host that is healthy and not excluded; `None` when there is none.
    ///
    /// Costs O(1), or O(log hosts) where weights count, but for least-loaded choices and latencies
    /// that look at all hosts. The choice counts once it is made a [`Lease`](super::Lease).
    pub fn pick(&mut self, ask: &Ask<'_>, rng: &mut impl Rng) -> Option<&Arc<Host>> {
        let eligible = Eligible {
            hosts: &self.hosts,
            excluded: ask.excluded,
        };
        let index = match &mut self.algorithm {
            Algorithm::InOrder => in_order::pick(eligible),
            Algorithm::Least {
                active,
                choices,
                schedule,
            } => {
                let carried = least::Carried {
                    active: *active,
                    now: (ask.clock)(),
                };
                least::pick(carried, *choices, schedule, eligible, rng)
            }
            Algorithm::Maglev => maglev::pick(eligible, ask.clue.hash, rng),
            Algorithm::OriginalDestination(destinations) => {
                let destination = ask.clue.destination.as_ref()?;
                return destinations.pick(destination, ask.excluded);
            }
            Algorithm::PeakEwma(ewma) => ewma.pick(eligible, (ask.clock)(), rng),
            Algorithm::Random => random::pick(eligible, rng),
            Algorithm::RoundRobin(turn) => turn.pick(eligible),
            Algorithm::Weighted(schedule) => {
                let now = schedule.tempo().time(ask.clock);
                weighted::pick(schedule, eligible, now)
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
}

#[cfg(test)]
mod tests;
