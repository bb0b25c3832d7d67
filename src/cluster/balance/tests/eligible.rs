//! Who may be chosen, and what a change of that does to the turns of the others.

use super::*;

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
