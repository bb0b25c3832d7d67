//! What holds of any hosts and any changes of them.

use super::*;

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
