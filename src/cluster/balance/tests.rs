//! What every choice of a host keeps to, and what the tests of that share.

mod any;
mod eligible;
mod failing;
mod hashed;
mod shares;
mod timed;

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::super::host::tests::configured;
use super::super::{Conduct, Work};
use super::super::{Grade, Health, Lease, Moment, Reason};
use super::*;

const ALL: Choices = Choices::All;
const TWO: Choices = Choices::Random(2);

const EVERY_BALANCER: [Balancer; 10] = [
    Balancer::LeastConnection(ALL),
    Balancer::LeastConnection(TWO),
    Balancer::LeastRequest(ALL),
    Balancer::LeastRequest(TWO),
    Balancer::Maglev,
    Balancer::PeakEwma(ALL),
    Balancer::PeakEwma(TWO),
    Balancer::Random,
    Balancer::RoundRobin,
    Balancer::WeightedRoundRobin,
];

/// Hosts on ports 0, 1, 2, … of these weights.
fn hosts(weights: &[u32]) -> Arc<HostSet> {
    let configured: Vec<_> = (0..)
        .zip(weights)
        .map(|(port, &w)| configured(port, w))
        .collect();
    Arc::new(HostSet::new(&configured))
}

fn without(hosts: &HostSet, port: u16) -> Arc<HostSet> {
    Arc::new(hosts.with_health(
        &configured(port, 1).address,
        Reason::FailedCheck,
        Health::Unhealthy,
    ))
}

fn now() -> Instant {
    Instant::now()
}

fn rng(seed: u64) -> SmallRng {
    SmallRng::seed_from_u64(seed)
}

fn index(hosts: &HostSet, host: &Arc<Host>) -> usize {
    hosts.hosts().iter().position(|one| one.is(host)).unwrap()
}

/// The positions of so many choices, none of which is kept.
fn picks(balance: &mut Balance, count: usize, rng: &mut SmallRng) -> Vec<usize> {
    let hosts = balance.hosts().clone();
    (0..count)
        .map(|_| index(&hosts, balance.pick(&Ask::at(&now), rng).unwrap()))
        .collect()
}

fn counts(picks: &[usize], hosts: usize) -> Vec<usize> {
    (0..hosts)
        .map(|host| picks.iter().filter(|&&pick| pick == host).count())
        .collect()
}

/// Within four standard deviations of a binomial distribution.
fn assert_share(count: usize, of: usize, share: f64) {
    let expected = of as f64 * share;
    let allowed = 4.0 * (expected * (1.0 - share)).sqrt();
    let off = (count as f64 - expected).abs();
    assert!(
        off <= allowed,
        "{count} of {of}, expected {expected:.0} ± {allowed:.0}"
    );
}

/// `count` connections held on one host.
fn busy(hosts: &HostSet, host: usize, count: usize, work: Work) -> Vec<Lease> {
    let host = &hosts.hosts()[host];
    (0..count).map(|_| Lease::new(host.clone(), work)).collect()
}

fn instant(seconds: u64) -> Instant {
    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
    // So that no host is at work since the very first moment there is.
    *BEGUN + Duration::from_secs(1000 + seconds)
}

fn at(seconds: u64) -> Moment {
    Moment::of(instant(seconds))
}

fn slow(balancer: Balancer) -> config::Cluster {
    config::Cluster {
        balancer,
        slow_start: Some(SlowStart {
            window: Duration::from_secs(100),
            aggression: 1.0,
            least: 0.1,
        }),
        ..config::Cluster::new("c", [])
    }
}
