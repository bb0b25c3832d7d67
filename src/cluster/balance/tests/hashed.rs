//! Choices by a key, and in order.

use super::*;

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
