//! How choices are shared out while every host may be chosen.

use super::*;

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
