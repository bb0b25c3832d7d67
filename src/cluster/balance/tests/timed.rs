//! Choices that go by how fast hosts were, or since when they work.

use super::*;

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
        form.note(at(0), took, Grade::Good, Bias::MEMORY);
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
            form.note(
                at(second),
                Some(Duration::from_millis(10)),
                Grade::Good,
                Bias::MEMORY,
            );
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
        form.note(
            at(0),
            Some(Duration::from_millis(100)),
            Grade::Good,
            Bias::MEMORY,
        );
    }
    let _busy = busy(&all, 2, 1, Work::Request);
    let mut rng = rng(23);
    let mut balance = Balance::new(Balancer::PeakEwma(ALL), all, &mut rng);
    let counts = counts_at(&mut balance, 3000, instant(0), &mut rng);
    assert!(counts[2] <= 1, "{counts:?}: it carries one more");
}

#[test]
fn a_host_of_which_nothing_is_known_is_tried_while_the_others_get_faster() {
    let all = hosts(&[1; 3]);
    let mut rng = rng(27);
    let mut balance = Balance::new(Balancer::PeakEwma(ALL), all.clone(), &mut rng);
    let mut counts = [0; 3];
    for second in 0..20 {
        for host in [0, 1] {
            let form = all.hosts()[host].load().form();
            let took = Duration::from_millis(100 >> second);
            form.note(at(second), Some(took), Grade::Good, Bias::MEMORY);
        }
        let picks = counts_at(&mut balance, 1, instant(second), &mut rng);
        for (sum, count) in counts.iter_mut().zip(picks) {
            *sum += count;
        }
    }
    assert!(counts[2] > 0, "{counts:?}");
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
        form.note(
            at(0),
            Some(Duration::from_millis(millis)),
            verdict,
            Bias::MEMORY,
        );
    }
    let mut rng = rng(24);
    let mut balance = Balance::new(Balancer::PeakEwma(TWO), all, &mut rng);
    let counts = counts_at(&mut balance, 9000, instant(0), &mut rng);
    assert_share(counts[1], 9000, 1.0 / 9.0);
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
