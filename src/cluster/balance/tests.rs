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

#[test]
fn idle_hosts_of_one_weight_get_equal_shares_of_every_balancer() {
    for balancer in EVERY_BALANCER {
        let mut rng = rng(1);
        let mut balance = Balance::new(balancer, hosts(&[1; 5]), &mut rng);
        let picks = picks(&mut balance, 20_000, &mut rng);
        for count in counts(&picks, 5) {
            assert_share(count, 20_000, 0.2);
        }
    }
}

#[test]
fn round_robin_takes_turns_from_a_random_start() {
    let starts = (0..40).map(|seed| {
        let mut rng = rng(seed);
        let mut balance = Balance::new(Balancer::RoundRobin, hosts(&[1; 3]), &mut rng);
        let picks = picks(&mut balance, 6, &mut rng);
        assert!(
            picks.windows(2).all(|two| two[1] == (two[0] + 1) % 3),
            "{picks:?}"
        );
        picks[0]
    });
    let starts: BTreeSet<_> = starts.collect();
    assert_eq!(starts.len(), 3, "every host begins for some worker");
}

#[test]
fn idle_hosts_get_exactly_their_weights_in_every_round() {
    for balancer in [
        Balancer::WeightedRoundRobin,
        Balancer::LeastConnection(TWO),
        Balancer::LeastConnection(ALL),
    ] {
        for seed in 0..20 {
            let mut rng = rng(seed);
            let mut balance = Balance::new(balancer, hosts(&[1, 2, 3]), &mut rng);
            let picks = picks(&mut balance, 6000, &mut rng);
            for round in picks.windows(6).step_by(6) {
                assert_eq!(counts(round, 3), [1, 2, 3], "{balancer:?}, seed {seed}");
            }
        }
    }
}

#[test]
fn heavy_hosts_are_spread_not_bunched() {
    let mut rng = rng(7);
    let mut balance = Balance::new(Balancer::WeightedRoundRobin, hosts(&[1, 1, 2]), &mut rng);
    let picks = picks(&mut balance, 400, &mut rng);
    assert!(
        picks.windows(3).all(|three| three != [2, 2, 2]),
        "{picks:?}"
    );
}

#[test]
fn hosts_that_carry_the_same_for_their_weight_get_their_weights() {
    let hosts = hosts(&[1, 2, 3]);
    let _load: Vec<_> = (0..3)
        .map(|host| busy(&hosts, host, 9 * (host + 1), Work::Connection))
        .collect();
    let mut rng = rng(3);
    let mut balance = Balance::new(Balancer::LeastConnection(TWO), hosts, &mut rng);
    let picks = picks(&mut balance, 6000, &mut rng);
    assert_eq!(counts(&picks, 3), [1000, 2000, 3000]);
}

#[test]
fn the_busiest_of_three_gets_one_choice_in_nine() {
    for (balancer, work) in [
        (Balancer::LeastConnection(TWO), Work::Connection),
        (Balancer::LeastRequest(TWO), Work::Request),
    ] {
        let hosts = hosts(&[1; 3]);
        let _load = busy(&hosts, 1, 100, work);
        let mut rng = rng(5);
        let mut balance = Balance::new(balancer, hosts, &mut rng);
        let counts = counts(&picks(&mut balance, 45_000, &mut rng), 3);
        assert_share(counts[0], 45_000, 4.0 / 9.0);
        assert_share(counts[1], 45_000, 1.0 / 9.0);
        assert_share(counts[2], 45_000, 4.0 / 9.0);
    }
}

#[test]
fn the_first_draw_wins_a_tie() {
    let hosts = hosts(&[1; 2]);
    let _load = busy(&hosts, 0, 1, Work::Request);
    let mut rng = rng(6);
    let balancer = Balancer::LeastConnection(Choices::Random(3));
    let mut balance = Balance::new(balancer, hosts, &mut rng);
    let counts = counts(&picks(&mut balance, 20_000, &mut rng), 2);
    assert_share(counts[0], 20_000, 0.5);
}

#[test]
fn looking_at_all_never_chooses_a_busier_host() {
    let hosts = hosts(&[1; 4]);
    let _load = busy(&hosts, 2, 1, Work::Connection);
    let mut rng = rng(8);
    let mut balance = Balance::new(Balancer::LeastConnection(ALL), hosts, &mut rng);
    let counts = counts(&picks(&mut balance, 9000, &mut rng), 4);
    assert_eq!(counts[2], 0);
    for host in [0, 1, 3] {
        assert_share(counts[host], 9000, 1.0 / 3.0);
    }
}

#[test]
fn held_connections_settle_in_proportion_to_weight() {
    for choices in [ALL, TWO] {
        let hosts = hosts(&[1, 2, 3]);
        let mut rng = rng(9);
        let balancer = Balancer::LeastConnection(choices);
        let mut balance = Balance::new(balancer, hosts.clone(), &mut rng);
        let mut leases: Vec<_> = (0..600)
            .map(|_| {
                Lease::new(
                    balance.pick(&Ask::at(&now), &mut rng).unwrap().clone(),
                    Work::Connection,
                )
            })
            .collect();
        // Each in turn a random one ends and another begins.
        for _ in 0..6000 {
            drop(leases.swap_remove(rng.random_range(0..leases.len())));
            let host = balance.pick(&Ask::at(&now), &mut rng).unwrap().clone();
            leases.push(Lease::new(host, Work::Connection));
        }
        let active: Vec<_> = hosts
            .hosts()
            .iter()
            .map(|h| h.load().active_connections())
            .collect();
        for (active, fair) in active.iter().zip([100_i64, 200, 300]) {
            assert!(
                (*active as i64 - fair).abs() <= 30,
                "{choices:?}: {active:?}, not {fair}"
            );
        }
    }
}

#[test]
fn a_slow_host_gets_less_than_its_weight() {
    for choices in [ALL, TWO] {
        let hosts = hosts(&[1, 2, 3]);
        let _stuck = busy(&hosts, 2, 30, Work::Connection);
        let mut rng = rng(10);
        let mut balance = Balance::new(Balancer::LeastConnection(choices), hosts, &mut rng);
        let counts = counts(&picks(&mut balance, 3000, &mut rng), 3);
        assert!(counts[2] < 300, "{choices:?}: {counts:?}");
    }
}

#[test]
fn neither_unhealthy_nor_excluded_hosts_are_chosen() {
    for balancer in EVERY_BALANCER {
        for weights in [[1, 1, 1, 1], [1, 2, 3, 4]] {
            let hosts = without(&hosts(&weights), 3);
            let tried = [hosts.hosts()[1].clone()];
            let mut rng = rng(11);
            let mut balance = Balance::new(balancer, hosts.clone(), &mut rng);
            for _ in 0..500 {
                let host = balance
                    .pick(&Ask::at(&now).excluding(&tried), &mut rng)
                    .unwrap();
                assert!(
                    [0, 2].contains(&index(&hosts, host)),
                    "{balancer:?} chose {host}"
                );
            }
        }
    }
}

#[test]
fn without_an_eligible_host_none_is_chosen() {
    for balancer in EVERY_BALANCER {
        let (mut rng, two) = (rng(12), hosts(&[1, 2]));
        let ill = without(&without(&two, 0), 1);
        assert!(
            Balance::new(balancer, Arc::default(), &mut rng)
                .pick(&Ask::at(&now), &mut rng)
                .is_none()
        );
        assert!(
            Balance::new(balancer, ill, &mut rng)
                .pick(&Ask::at(&now), &mut rng)
                .is_none()
        );
        let mut all_tried = Balance::new(balancer, two.clone(), &mut rng);
        assert!(
            all_tried
                .pick(&Ask::at(&now).excluding(two.hosts()), &mut rng)
                .is_none(),
            "{balancer:?}"
        );
    }
}

#[test]
fn a_host_is_excluded_also_when_another_snapshot_named_it() {
    let before = hosts(&[1, 1]);
    let after = Arc::new(
        before
            .removed(&[])
            .with_hosts(&[configured(1, 5), configured(0, 5)]),
    );
    let mut rng = rng(13);
    let mut balance = Balance::new(Balancer::Random, after, &mut rng);
    for _ in 0..50 {
        let host = balance
            .pick(&Ask::at(&now).excluding(&before.hosts()[..1]), &mut rng)
            .unwrap();
        assert_eq!(host.to_string(), "127.0.0.1:1");
    }
}

#[test]
fn the_neighbour_of_an_unhealthy_host_gets_no_more_than_the_others() {
    let mut rng = rng(14);
    let hosts = without(&hosts(&[1; 4]), 1);
    let mut balance = Balance::new(Balancer::RoundRobin, hosts, &mut rng);
    assert_eq!(
        counts(&picks(&mut balance, 300, &mut rng), 4),
        [100, 0, 100, 100]
    );
}

#[test]
fn a_host_that_recovers_gets_its_share_and_no_burst() {
    let all = hosts(&[1, 2, 3]);
    let mut rng = rng(15);
    let mut balance = Balance::new(Balancer::WeightedRoundRobin, all.clone(), &mut rng);
    balance.renew(without(&all, 2), &mut rng);
    assert_eq!(
        counts(&picks(&mut balance, 3000, &mut rng), 3),
        [1000, 2000, 0]
    );

    balance.renew(all, &mut rng);

    let after = counts(&picks(&mut balance, 60, &mut rng), 3);
    assert!((29..=31).contains(&after[2]), "{after:?}");
}

#[test]
fn a_change_of_hosts_keeps_the_turn_of_those_that_stay() {
    let before = hosts(&[1, 1, 1]);
    let mut rng = rng(16);
    let mut balance = Balance::new(Balancer::WeightedRoundRobin, before.clone(), &mut rng);
    let first = picks(&mut balance, 2, &mut rng);
    let waiting = (0..3).find(|host| !first.contains(host)).unwrap();

    balance.renew(Arc::new(before.as_ref().clone()), &mut rng);

    assert_eq!(picks(&mut balance, 1, &mut rng), [waiting]);
}

#[test]
fn choices_follow_from_the_seed() {
    let run = |balancer, seed| {
        let mut rng = rng(seed);
        let mut balance = Balance::new(balancer, hosts(&[1, 2, 3, 4]), &mut rng);
        picks(&mut balance, 64, &mut rng)
    };
    for balancer in EVERY_BALANCER {
        assert_eq!(run(balancer, 17), run(balancer, 17));
        assert_ne!(run(balancer, 17), run(balancer, 18), "{balancer:?}");
    }
}

#[test]
fn a_schedule_stays_exact_when_its_clock_is_set_back() {
    let hosts = hosts(&[1, 2, 3]);
    let mut rng = rng(19);
    let mut schedule = Schedule::new(&hosts, Tempo::default(), &mut rng);
    let eligible = Eligible {
        hosts: &hosts,
        excluded: &[],
    };
    // Loads as great as these bring the clock to its end in some six thousand choices.
    let load = |host: &Host| u64::from(host.weight()) << 18;
    let picks: Vec<_> = (0..12_000)
        .map(|_| {
            weighted::pick_slowed(&mut schedule, eligible, Moment::default(), load, |_| false)
                .unwrap()
        })
        .collect();
    for round in picks.chunks(600) {
        let counts = counts(round, 3);
        for (count, fair) in counts.iter().zip([100_usize, 200, 300]) {
            assert!(count.abs_diff(fair) <= 2, "{counts:?}");
        }
    }
}

/// What every least-loaded balancer compares, and by which weights of three hosts.
fn every_least() -> Vec<(Balancer, Work, [u32; 3])> {
    let of = |weights| {
        [TWO, ALL].into_iter().flat_map(move |choices| {
            [
                (
                    Balancer::LeastConnection(choices),
                    Work::Connection,
                    weights,
                ),
                (Balancer::LeastRequest(choices), Work::Request, weights),
            ]
        })
    };
    of([1, 1, 1]).chain(of([3, 1, 2])).collect()
}

/// Chooses a thousand times a second, `count` times in all, where the host in place 0 refuses at
/// once and the others keep each piece of work for 20 ms; how often each host was chosen.
fn drive_beside_a_refusing_host(
    balance: &mut Balance,
    work: Work,
    count: u32,
    begun: Instant,
    rng: &mut SmallRng,
) -> Vec<usize> {
    let hosts = balance.hosts().clone();
    let mut under_way = std::collections::VecDeque::new();
    let picks: Vec<_> = (0..count)
        .map(|nth| {
            let now = begun + Duration::from_millis(nth.into());
            while under_way.front().is_some_and(|(end, _)| *end <= now) {
                under_way.pop_front();
            }
            let host = balance.pick(&Ask::at(&|| now), rng).unwrap().clone();
            let index = index(&hosts, &host);
            if index == 0 {
                host.load().note(Conduct::ConnectFailed, now);
            } else {
                host.load().note(Conduct::Connected, now);
                let end = now + Duration::from_millis(20);
                under_way.push_back((end, Lease::new(host, work)));
            }
            index
        })
        .collect();
    counts(&picks, 3)
}

#[test]
fn a_host_that_refuses_at_once_gets_less_than_one_choice_in_twenty() {
    for (balancer, work, weights) in every_least() {
        for seed in 0..5 {
            let mut rng = rng(seed);
            let mut balance = Balance::new(balancer, hosts(&weights), &mut rng);
            let counts = drive_beside_a_refusing_host(&mut balance, work, 5000, now(), &mut rng);
            assert!(
                counts[0] > 0 && counts[0] * 20 < 5000,
                "{balancer:?} {weights:?}: {counts:?}"
            );
            // The others share what it does not get.
            let fair = [counts[1], counts[2]].map(|count| count as f64);
            let share = f64::from(weights[1]) / f64::from(weights[1] + weights[2]);
            let found = fair[0] / (fair[0] + fair[1]);
            assert!((found - share).abs() < 0.05, "{balancer:?}: {counts:?}");
        }
    }
}

#[test]
fn a_host_that_is_well_again_gets_its_share_within_its_rest() {
    for (balancer, work, weights) in every_least() {
        let mut rng = rng(30);
        let mut balance = Balance::new(balancer, hosts(&weights), &mut rng);
        let begun = now();
        drive_beside_a_refusing_host(&mut balance, work, 5000, begun, &mut rng);
        let later = begun + Duration::from_secs(16);
        let host = loop {
            let host = balance.pick(&Ask::at(&|| later), &mut rng).unwrap();
            if host.address() == &configured(0, 1).address {
                break host;
            }
        };
        host.load().note(Conduct::Connected, later);

        let picks: Vec<_> = (0..6000)
            .map(|_| {
                let hosts = balance.hosts().clone();
                index(&hosts, balance.pick(&Ask::at(&|| later), &mut rng).unwrap())
            })
            .collect();

        let sum: u32 = weights.iter().sum();
        let share = f64::from(weights[0]) / f64::from(sum);
        assert_share(counts(&picks, 3)[0], 6000, share);
    }
}

#[test]
fn where_every_host_has_failed_they_are_chosen_as_if_none_had() {
    for (balancer, _, weights) in every_least() {
        let mut rng = rng(31);
        let hosts = hosts(&weights);
        let now = now();
        for host in hosts.hosts() {
            host.load().note(Conduct::ConnectFailed, now);
        }
        let mut balance = Balance::new(balancer, hosts.clone(), &mut rng);
        let picks: Vec<_> = (0..6000)
            .map(|_| index(&hosts, balance.pick(&Ask::at(&|| now), &mut rng).unwrap()))
            .collect();
        let sum: u32 = weights.iter().sum();
        for (count, weight) in counts(&picks, 3).into_iter().zip(weights) {
            assert_share(count, 6000, f64::from(weight) / f64::from(sum));
        }
    }
}

#[test]
fn a_host_that_has_failed_is_chosen_where_the_others_are_excluded() {
    for (balancer, _, weights) in every_least() {
        let mut rng = rng(32);
        let hosts = hosts(&weights);
        let now = now();
        hosts.hosts()[0].load().note(Conduct::ConnectFailed, now);
        let mut balance = Balance::new(balancer, hosts.clone(), &mut rng);
        let host = balance.pick(&Ask::at(&|| now).excluding(&hosts.hosts()[1..]), &mut rng);
        assert!(host.unwrap().is(&hosts.hosts()[0]), "{balancer:?}");
    }
}

fn clue(hash: u64) -> Clue {
    Clue {
        hash: Some(hash),
        ..Clue::default()
    }
}

/// The positions to which keys go.
fn homes(balance: &mut Balance, keys: impl Iterator<Item = u64>) -> Vec<usize> {
    let hosts = balance.hosts().clone();
    let mut rng = rng(20);
    keys.map(|key| {
        let clue = clue(key);
        let host = balance.pick(&Ask::at(&now).with(&clue), &mut rng).unwrap();
        index(&hosts, host)
    })
    .collect()
}

#[test]
fn keys_stay_while_hosts_turn_and_those_of_an_ill_host_are_spread_over_all_others() {
    let all = hosts(&[1; 10]);
    let keys = || (0..20_000).map(|key| key * 7_919);
    let mut balance = Balance::new(Balancer::Maglev, all.clone(), &mut rng(20));
    let before = homes(&mut balance, keys());
    for count in counts(&before, 10) {
        assert_share(count, 20_000, 0.1);
    }

    balance.renew(without(&all, 4), &mut rng(20));
    let after = homes(&mut balance, keys());

    let mut moved = Vec::new();
    for (before, after) in before.iter().zip(&after) {
        if *before == 4 {
            moved.push(*after);
        } else {
            assert_eq!(before, after, "only those of the ill host move");
        }
    }
    for (host, count) in counts(&moved, 10).into_iter().enumerate() {
        let share = if host == 4 { 0.0 } else { 1.0 / 9.0 };
        assert_share(count, moved.len(), share);
    }
    balance.renew(all, &mut rng(20));
    assert_eq!(homes(&mut balance, keys()), before);
}

#[test]
fn a_key_goes_on_to_the_same_second_host_when_the_first_was_tried() {
    let all = hosts(&[1; 5]);
    let seconds = |seed| {
        let mut rng = rng(seed);
        let mut balance = Balance::new(Balancer::Maglev, all.clone(), &mut rng);
        let clue = clue(99);
        let first = balance
            .pick(&Ask::at(&now).with(&clue), &mut rng)
            .unwrap()
            .clone();
        let tried = [first];
        let second = balance.pick(&Ask::at(&now).excluding(&tried).with(&clue), &mut rng);
        index(&all, second.unwrap())
    };
    assert_eq!(seconds(1), seconds(2));
}

#[test]
fn in_order_the_first_takes_all_and_each_further_try_the_next() {
    let all = hosts(&[1; 4]);
    let without_first = without(&all, 0);
    let mut rng = rng(21);
    let mut balance = Balance::new(Balancer::InOrder, all.clone(), &mut rng);
    assert_eq!(picks(&mut balance, 3, &mut rng), [0, 0, 0]);

    balance.renew(without_first, &mut rng);
    assert_eq!(picks(&mut balance, 3, &mut rng), [1, 1, 1]);
    let mut tried = Vec::new();
    for expected in [1, 2, 3] {
        let host = balance
            .pick(&Ask::at(&now).excluding(&tried), &mut rng)
            .unwrap();
        assert_eq!(index(&all, host), expected);
        tried.push(host.clone());
    }
    assert!(
        balance
            .pick(&Ask::at(&now).excluding(&tried), &mut rng)
            .is_none()
    );
    // The last one that was tried counts, so it goes round.
    let tried = [all.hosts()[3].clone()];
    let host = balance
        .pick(&Ask::at(&now).excluding(&tried), &mut rng)
        .unwrap();
    assert_eq!(index(&all, host), 1);
}

fn instant(seconds: u64) -> Instant {
    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
    // So that no host is at work since the very first moment there is.
    *BEGUN + Duration::from_secs(1000 + seconds)
}

fn at(seconds: u64) -> Moment {
    Moment::of(instant(seconds))
}

/// How many of so many choices at a time each host gets; none is kept.
fn counts_at(balance: &mut Balance, count: usize, now: Instant, rng: &mut SmallRng) -> Vec<usize> {
    let hosts = balance.hosts().clone();
    let clock = || now;
    let picks: Vec<_> = (0..count)
        .map(|_| index(&hosts, balance.pick(&Ask::at(&clock), rng).unwrap()))
        .collect();
    counts(&picks, hosts.hosts().len())
}

#[test]
fn a_slow_host_is_spared_until_its_latency_has_faded() {
    let all = hosts(&[1; 3]);
    let answered = |host: usize, millis| {
        let took = Some(Duration::from_millis(millis));
        let form = all.hosts()[host].load().form();
        form.note(at(0), took, Grade::Good);
    };
    answered(0, 10);
    answered(1, 1000);
    answered(2, 10);
    let mut rng = rng(22);
    let mut balance = Balance::new(Balancer::PeakEwma(TWO), all.clone(), &mut rng);
    let now = counts_at(&mut balance, 9000, instant(0), &mut rng);
    // Only where both draws are of it.
    assert_share(now[1], 9000, 1.0 / 9.0);

    // The others go on answering; it does not, being spared.
    for second in 1..=60 {
        for host in [0, 2] {
            let form = all.hosts()[host].load().form();
            form.note(at(second), Some(Duration::from_millis(10)), Grade::Good);
        }
    }
    let later = counts_at(&mut balance, 9000, instant(60), &mut rng);
    assert_share(later[1], 9000, 5.0 / 9.0);
}

#[test]
fn a_host_of_which_nothing_is_known_counts_as_the_others_do() {
    let all = hosts(&[1; 3]);
    for host in [0, 1] {
        let form = all.hosts()[host].load().form();
        form.note(at(0), Some(Duration::from_millis(100)), Grade::Good);
    }
    let _busy = busy(&all, 2, 1, Work::Request);
    let mut rng = rng(23);
    let mut balance = Balance::new(Balancer::PeakEwma(ALL), all, &mut rng);
    let counts = counts_at(&mut balance, 3000, instant(0), &mut rng);
    assert!(counts[2] <= 1, "{counts:?}: it carries one more");
}

#[test]
fn a_host_that_fails_fast_is_spared() {
    let all = hosts(&[1; 3]);
    for (host, millis, verdict) in [
        (0, 100, Grade::Good),
        (1, 20, Grade::ServerError),
        (2, 100, Grade::Good),
    ] {
        let form = all.hosts()[host].load().form();
        form.note(at(0), Some(Duration::from_millis(millis)), verdict);
    }
    let mut rng = rng(24);
    let mut balance = Balance::new(Balancer::PeakEwma(TWO), all, &mut rng);
    let counts = counts_at(&mut balance, 9000, instant(0), &mut rng);
    assert_share(counts[1], 9000, 1.0 / 9.0);
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

#[test]
fn a_host_that_has_just_come_takes_up_its_share_slowly() {
    for balancer in [
        Balancer::WeightedRoundRobin,
        Balancer::LeastRequest(TWO),
        Balancer::LeastConnection(ALL),
    ] {
        let all = hosts(&[1, 1, 1]);
        all.note_came(at(0));
        all.hosts()[2].load().form().works(at(1000));
        let mut rng = rng(25);
        let mut balance = Balance::of(&slow(balancer), all, &mut rng);
        for (second, share) in [(1000, 0.1), (1025, 0.25), (1050, 0.5), (1100, 1.0)] {
            let counts = counts_at(&mut balance, 4200, instant(second), &mut rng);
            let expected = 4200.0 * share / (2.0 + share);
            let off = (counts[2] as f64 - expected).abs();
            assert!(off < 4.0, "{balancer:?} at {second}: {counts:?}");
            assert!(counts[0].abs_diff(counts[1]) <= 2, "{counts:?}");
        }
    }
}

#[test]
fn a_host_that_recovers_starts_slowly_again() {
    let all = hosts(&[1, 1]);
    all.note_came(at(0));
    let ill = without(&all, 1);
    let well = ill.with_health(
        &configured(1, 1).address,
        Reason::FailedCheck,
        Health::Healthy,
    );
    well.note_recovered(&ill, at(500));
    let mut rng = rng(26);
    let settings = slow(Balancer::WeightedRoundRobin);
    let mut balance = Balance::of(&settings, Arc::new(well), &mut rng);
    let counts = counts_at(&mut balance, 1100, instant(500), &mut rng);
    assert!((99..=101).contains(&counts[1]), "{counts:?}");
}

#[test]
fn a_bias_says_how_strongly_load_counts() {
    let got = |bias: f64| {
        let all = hosts(&[1, 2]);
        let _busy = busy(&all, 1, 6, Work::Request);
        let mut settings = config::Cluster::new("c", []);
        settings.balancer = Balancer::LeastRequest(TWO);
        settings.bias.active = bias;
        let mut rng = rng(27);
        let mut balance = Balance::of(&settings, all, &mut rng);
        counts(&picks(&mut balance, 1200, &mut rng), 2)[1]
    };
    // Intervals of 1 against 1/2, of 1 against (1 + 6/2)^bias / 2.
    for (bias, expected) in [(0.0, 800), (0.5, 600), (1.0, 400), (2.0, 133)] {
        assert!(got(bias).abs_diff(expected) <= 2, "{bias}: {}", got(bias));
    }
}

#[test]
fn a_host_among_many_that_gets_free_is_soon_found() {
    let weights: Vec<_> = (0..1000).map(|host| 1 + host % 2).collect();
    let all = hosts(&weights);
    let mut rng = rng(28);
    let mut balance = Balance::new(Balancer::LeastRequest(TWO), all.clone(), &mut rng);
    let _busy: Vec<_> = (0..1000)
        .filter(|host| *host != 500)
        .flat_map(|host| busy(&all, host, 100, Work::Request))
        .collect();
    let stuck = busy(&all, 500, 1_000_000, Work::Request);
    picks(&mut balance, 5000, &mut rng);

    drop(stuck);

    // Each choice looks at four hosts.
    let soon = picks(&mut balance, 300, &mut rng);
    assert!(soon.contains(&500));
}

proptest! {
    /// Whatever the weights, loads, health and tries: no host is chosen that is unhealthy or was
    /// tried, and one is chosen as long as there is another.
    #[test]
    fn a_choice_is_eligible_and_made_where_one_can_be(
        states in proptest::collection::vec((1_u32..5, any::<bool>(), any::<bool>(), 0_usize..4), 1..12),
        balancer in 0..EVERY_BALANCER.len(),
        slowly in any::<bool>(),
        hash in any::<Option<u64>>(),
        seed in any::<u64>(),
    ) {
        let weights: Vec<_> = states.iter().map(|(weight, ..)| *weight).collect();
        let mut set = hosts(&weights);
        for (port, (_, is_ill, ..)) in (0..).zip(&states) {
            if *is_ill {
                set = without(&set, port);
            }
        }
        let mut held = Vec::new();
        for (host, (.., count)) in states.iter().enumerate() {
            held.extend(busy(&set, host, *count, Work::Relay));
        }
        let tried: Vec<_> = states.iter().zip(set.hosts())
            .filter(|((_, _, is_tried, _), _)| *is_tried)
            .map(|(_, host)| host.clone())
            .collect();
        let mut settings = slow(EVERY_BALANCER[balancer]);
        if !slowly {
            settings.slow_start = None;
        }
        set.note_came(at(0));
        let mut rng = rng(seed);
        let mut balance = Balance::of(&settings, set.clone(), &mut rng);
        let clue = Clue { hash, ..Clue::default() };
        let clock = || instant(seed % 200);
        let ask = Ask::at(&clock).excluding(&tried).with(&clue);
        let eligible: BTreeSet<_> = (0..states.len())
            .filter(|&host| !states[host].1 && !states[host].2)
            .collect();
        for _ in 0..20 {
            match balance.pick(&ask, &mut rng) {
                Some(host) => prop_assert!(eligible.contains(&index(&set, host))),
                None => prop_assert!(eligible.is_empty()),
            }
        }
    }

    /// Changes of hosts and health in any order leave a schedule that chooses by weight exactly.
    #[test]
    fn after_any_changes_each_round_is_by_weight(
        changes in proptest::collection::vec((0_usize..6, any::<bool>(), 1_usize..9), 1..12),
        seed in any::<u64>(),
    ) {
        let weights = [1, 2, 3, 1, 4, 2];
        let mut set = hosts(&weights);
        let mut rng = rng(seed);
        let mut balance = Balance::new(Balancer::WeightedRoundRobin, set.clone(), &mut rng);
        for (host, is_ill, choices) in changes {
            let health = if is_ill { Health::Unhealthy } else { Health::Healthy };
            let address = set.hosts()[host].address().clone();
            set = Arc::new(set.with_health(&address, Reason::FailedCheck, health));
            balance.renew(set.clone(), &mut rng);
            let eligible = set.eligible().len();
            if eligible > 0 {
                picks(&mut balance, choices, &mut rng);
            }
        }
        let round: usize = set.eligible().iter().map(|&host| weights[host] as usize).sum();
        if round > 0 {
            // What was away is due at once, so the first round may be off.
            picks(&mut balance, round * 2, &mut rng);
            let counts = counts(&picks(&mut balance, round * 10, &mut rng), 6);
            for &host in set.eligible() {
                prop_assert!(counts[host].abs_diff(10 * weights[host] as usize) <= 1, "{:?}", counts);
            }
        }
    }
}
