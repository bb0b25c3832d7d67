//! What the choice of a host costs: `cargo bench --bench balance`.

#![expect(clippy::print_stdout, reason = "a bench reports on stdout")]

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use banyan::cluster::{Ask, Balance, Clue, Grade, Health, HostSet, Lease, Moment, Reason, Work};
use banyan::config::{Balancer, Bias, Choices, Cluster, Host, SlowStart};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// What is timed together goes on for about so long.
const BURST: Duration = Duration::from_millis(2);
const BURSTS: usize = 61;

const HOSTS: [usize; 3] = [3, 100, 10_000];

/// Weights of hosts in the order of their ports.
type Weights = fn(u16) -> u32;

const TWO: Choices = Choices::Random(2);

const EQUAL: Weights = |_| 1;

const DIFFER: Weights = |port| 1 + port as u32 % 4;

const ROWS: [(&str, Balancer, Weights); 10] = [
    ("`LB_RANDOM`", Balancer::Random, EQUAL),
    ("`LB_ROUNDROBIN`", Balancer::RoundRobin, EQUAL),
    ("`LB_REQUEST_ROUNDROBIN`", Balancer::InOrder, EQUAL),
    ("`LB_MAGLEV`", Balancer::Maglev, EQUAL),
    (
        "`LB_WEIGHTED_ROUNDROBIN`",
        Balancer::WeightedRoundRobin,
        DIFFER,
    ),
    (
        "`LB_LEAST_REQUEST`, equal weights",
        Balancer::LeastRequest(TWO),
        EQUAL,
    ),
    (
        "`LB_LEAST_REQUEST`, weights differ",
        Balancer::LeastRequest(TWO),
        DIFFER,
    ),
    (
        "`LB_LEAST_REQUEST`, `choice_count` 0",
        Balancer::LeastRequest(Choices::All),
        EQUAL,
    ),
    ("`LB_PEAK_EWMA`", Balancer::PeakEwma(TWO), EQUAL),
    (
        "`LB_PEAK_EWMA`, `choice_count` 0",
        Balancer::PeakEwma(Choices::All),
        EQUAL,
    ),
];

fn main() {
    println!("| balancer | 3 hosts | 100 hosts | 10,000 hosts |\n|---|---:|---:|---:|");
    let mut settings = Cluster::new("c", []);
    for (what, balancer, weights) in ROWS {
        settings.balancer = balancer;
        row(what, &settings, weights);
    }
    settings.balancer = Balancer::LeastRequest(TWO);
    settings.slow_start = Some(SlowStart {
        window: Duration::from_secs(3600),
        aggression: 1.0,
        least: 0.1,
    });
    row("`LB_LEAST_REQUEST`, `slow_start`", &settings, DIFFER);
    println!("\n| off the path of requests | 100 hosts | 10,000 hosts |\n|---|---:|---:|");
    made("a set of hosts", |hosts| {
        black_box(HostSet::new(hosts));
    });
    made("the same, with its table for `LB_MAGLEV`", |hosts| {
        black_box(HostSet::new(hosts).table());
    });
    turned();
}

fn configured(count: usize, weights: Weights) -> Vec<Host> {
    let ports = (1..=u16::MAX).take(count);
    let host = |port| Host {
        weight: weights(port),
        ..Host::from(SocketAddr::from(([127, 0, 0, 1], port)))
    };
    ports.map(host).collect()
}

/// Picks as a worker does, each held until sixteen later: loads differ, as they do at work.
fn row(what: &str, settings: &Cluster, weights: Weights) {
    let costs = HOSTS.map(|count| {
        let hosts = Arc::new(HostSet::new(&configured(count, weights)));
        hosts.note_came(Moment::of(Instant::now()));
        let mut rng = SmallRng::seed_from_u64(1);
        for host in hosts.hosts() {
            let took = Duration::from_micros(rng.random_range(500..5000));
            let now = Moment::of(Instant::now());
            host.load()
                .form()
                .note(now, Some(took), Grade::Good, Bias::MEMORY);
        }
        let mut balance = Balance::of(settings, hosts, &mut rng);
        let mut held: Vec<Option<Lease>> = (0..16).map(|_| None).collect();
        let mut at = 0_u64;
        nanoseconds(|| {
            let clue = Clue {
                hash: Some(at.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
                ..Clue::default()
            };
            let ask = Ask::at(&Instant::now).with(&clue);
            let host = balance.pick(black_box(&ask), &mut rng);
            let host = host.expect("all hosts are healthy");
            held[at as usize % 16] = Some(Lease::new(Arc::clone(host), Work::Request));
            at += 1;
        })
    });
    let [few, some, many] = costs;
    println!("| {what} | {few:.0} ns | {some:.0} ns | {many:.0} ns |");
}

fn made(what: &str, make: impl Fn(&[Host])) {
    let costs = [100, 10_000].map(|count| {
        let hosts = configured(count, |_| 1);
        nanoseconds(|| make(&hosts)) / 1e3
    });
    println!("| {what} | {:.0} µs | {:.0} µs |", costs[0], costs[1]);
}

/// A turn of health, and what each worker does about it at its next choice.
fn turned() {
    let costs = [100, 10_000].map(|count| {
        let hosts = configured(count, |port| 1 + u32::from(port) % 4);
        let mut set = Arc::new(HostSet::new(&hosts));
        let mut rng = SmallRng::seed_from_u64(1);
        let mut balance = Balance::new(Balancer::WeightedRoundRobin, set.clone(), &mut rng);
        let mut at = 0;
        nanoseconds(|| {
            let health = match at % 2 {
                0 => Health::Unhealthy,
                _ => Health::Healthy,
            };
            let address = &hosts[at / 2 % count].address;
            set = Arc::new(set.with_health(address, Reason::FailedCheck, health));
            balance.renew(set.clone(), &mut rng);
            at += 1;
        }) / 1e3
    });
    let what = "a turn of health, `LB_WEIGHTED_ROUNDROBIN`";
    println!("| {what} | {:.1} µs | {:.0} µs |", costs[0], costs[1]);
}

/// The least of some bursts, each as long as a few milliseconds: in that one nothing else ran.
fn nanoseconds(mut work: impl FnMut()) -> f64 {
    let begun = Instant::now();
    work();
    let once = begun.elapsed().max(Duration::from_nanos(10));
    let count = (BURST.as_nanos() / once.as_nanos()).clamp(1, 20_000) as u32;
    let mut bursts: Vec<_> = (0..BURSTS)
        .map(|_| {
            let begun = Instant::now();
            (0..count).for_each(|_| work());
            begun.elapsed().as_nanos() as f64 / f64::from(count)
        })
        .collect();
    bursts.sort_unstable_by(f64::total_cmp);
    bursts[0]
}
