//! Hosts that have just failed beside those that have not.

use super::*;

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
