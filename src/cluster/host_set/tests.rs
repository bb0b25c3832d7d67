//! What stays and what goes when the hosts of a cluster change.

use super::super::host::tests::configured;
use super::super::{Lease, Standing, Verdict, Work, judge};
use super::*;

fn address(port: u16) -> HostAddress {
    configured(port, 1).address
}

fn order(set: &HostSet) -> Vec<String> {
    set.hosts()
        .iter()
        .map(|host| host.to_string()[10..].to_owned())
        .collect()
}

#[test]
fn of_two_hosts_with_one_address_the_first_counts() {
    let set = HostSet::new(&[configured(1, 5), configured(2, 1), configured(1, 7)]);
    assert_eq!(order(&set), ["1", "2"]);
    assert_eq!(set.hosts()[0].weight(), 5);
}

#[test]
fn a_host_that_stays_keeps_its_load_and_health() {
    let before = HostSet::new(&[configured(1, 1), configured(2, 1)]).with_health(
        &address(1),
        Reason::FailedCheck,
        Health::Unhealthy,
    );
    let _lease = Lease::new(before.hosts()[0].clone(), Work::Connection);

    let after = before.with_hosts(&[configured(3, 1), configured(1, 9)]);

    let host = after.find(&address(1)).unwrap();
    assert_eq!((host.weight(), host.health()), (9, Health::Unhealthy));
    assert_eq!(host.load().active_connections(), 1);
    assert!(host.is(&before.hosts()[0]));
}

#[test]
fn a_host_that_comes_back_starts_anew() {
    let before = HostSet::new(&[configured(1, 1)]).with_health(
        &address(1),
        Reason::FailedCheck,
        Health::Unhealthy,
    );
    let after = before.with_hosts(&[]).with_hosts(&[configured(1, 1)]);
    assert_eq!(after.hosts()[0].health(), Health::Healthy);
}

#[test]
fn appended_hosts_come_first_and_replace_their_like() {
    let set = HostSet::new(&[configured(1, 1), configured(2, 1)])
        .appended(&[configured(3, 1), configured(2, 8)]);
    assert_eq!(order(&set), ["3", "2", "1"]);
    assert_eq!(set.find(&address(2)).unwrap().weight(), 8);
}

#[test]
fn a_change_of_many_hosts_takes_no_time_to_speak_of() {
    let hosts: Vec<_> = (1..=u16::MAX).map(|port| configured(port, 1)).collect();
    let before = HostSet::new(&hosts);
    let begun = std::time::Instant::now();

    let after = before.with_hosts(&hosts);

    // A search for each host would compare two thousand million addresses.
    assert!(begun.elapsed() < std::time::Duration::from_secs(20));
    assert!(after.hosts()[65_534].is(&before.hosts()[65_534]));
}

#[test]
fn a_host_that_drains_is_healthy_and_not_chosen_whatever_else_changes() {
    let before = HostSet::new(&[configured(1, 1), configured(2, 1)]);
    let drains = before.with_duty(&address(1), Duty::Draining);
    assert_eq!(drains.eligible(), [1]);

    let after = drains.with_hosts(&[configured(3, 1), configured(1, 9)]);
    let host = after.find(&address(1)).unwrap();
    assert_eq!(host.duty(), Duty::Draining);
    assert_eq!(host.health(), Health::Healthy);

    let serves = after.with_duty(&address(1), Duty::Serving);
    assert_eq!(serves.eligible(), [0, 1]);
}

#[test]
fn in_a_panic_a_host_that_drains_is_left_in_peace() {
    let set = HostSet::new(&[configured(1, 1), configured(2, 1), configured(3, 1)])
        .with_panic_threshold(60)
        .with_duty(&address(1), Duty::Draining)
        .with_health(&address(2), Reason::FailedCheck, Health::Unhealthy);
    assert_eq!(set.standing(), Standing::Panic);
    assert_eq!(set.eligible(), [1, 2]);
}

#[test]
fn what_left_a_set_is_told() {
    let before = HostSet::new(&[configured(1, 1), configured(2, 1)]);
    let after = before.with_hosts(&[configured(2, 7), configured(3, 1)]);
    let gone: Vec<_> = before.gone(&after).map(ToString::to_string).collect();
    assert_eq!(gone, ["127.0.0.1:1"]);
    assert_eq!(after.gone(&after).count(), 0);
}

#[test]
fn removing_sorts_the_rest_by_address_as_text() {
    let set = HostSet::new(&[configured(9, 1), configured(10, 1), configured(2, 1)])
        .removed(&[address(2), address(77)]);
    assert_eq!(order(&set), ["10", "9"]);
}

#[test]
fn a_turn_of_health_changes_one_host_of_a_new_set() {
    let before = HostSet::new(&[configured(1, 1), configured(2, 1)]);
    let after = before.with_health(&address(2), Reason::FailedCheck, Health::Unhealthy);
    assert_eq!(before.eligible(), [0, 1]);
    assert_eq!(after.eligible(), [0]);
    assert_eq!(
        after
            .with_health(&address(2), Reason::FailedCheck, Health::Healthy)
            .eligible(),
        [0, 1]
    );
    assert_eq!(
        after
            .with_health(&address(3), Reason::FailedCheck, Health::Unhealthy)
            .eligible(),
        [0]
    );
}

#[test]
fn what_one_has_said_is_taken_back_of_all_hosts_and_the_others_words_stay() {
    let before = HostSet::new(&[configured(1, 1), configured(2, 1), configured(3, 1)])
        .with_health(&address(1), Reason::FailedCheck, Health::Unhealthy)
        .with_health(&address(2), Reason::FailedCheck, Health::Unhealthy)
        .with_health(&address(2), Reason::Ejected, Health::Unhealthy);

    let after = before.without(Reason::FailedCheck);

    assert_eq!(after.eligible(), [0, 2]);
    assert!(Arc::ptr_eq(&after.hosts()[2], &before.hosts()[2]));
}

fn fallen(of: u16, down: u16, percent: u8) -> HostSet {
    let hosts: Vec<_> = (0..of).map(|port| configured(port, 1)).collect();
    let set = HostSet::new(&hosts).with_panic_threshold(percent);
    (0..down).fold(set, |set, port| {
        set.with_health(&address(port), Reason::FailedCheck, Health::Unhealthy)
    })
}

#[test]
fn below_the_panic_threshold_all_hosts_may_be_chosen() {
    for (of, down, percent, standing, eligible) in [
        (4, 2, 50, Standing::Sound, 2),
        (4, 3, 50, Standing::Panic, 4),
        (4, 4, 50, Standing::Panic, 4),
        (4, 4, 0, Standing::Sound, 0),
        (4, 1, 100, Standing::Panic, 4),
        (4, 0, 100, Standing::Sound, 4),
        (0, 0, 100, Standing::Sound, 0),
    ] {
        let set = fallen(of, down, percent);
        let found = (set.standing(), set.eligible().len());
        assert_eq!(found, (standing, eligible), "{down} of {of} at {percent} %");
    }
}

#[test]
fn the_panic_threshold_stays_with_every_later_set() {
    let panicking = fallen(4, 3, 50);
    for set in [
        panicking.removed(&[address(2)]),
        panicking.appended(&[configured(4, 2)]),
        panicking.with_hosts(&[configured(0, 1), configured(1, 2), configured(3, 1)]),
        panicking.with_health(&address(2), Reason::Commanded, Health::Unhealthy),
        panicking.without(Reason::Commanded),
    ] {
        assert_eq!(set.standing(), Standing::Panic);
    }
    let calm = panicking.without(Reason::FailedCheck);
    assert_eq!(calm.standing(), Standing::Sound);
}

#[test]
fn ejected_hosts_are_chosen_where_no_other_is_left() {
    let now = std::time::Instant::now();
    let policy = config::OutlierDetection::default();
    let rng = &mut <rand::rngs::SmallRng as rand::SeedableRng>::seed_from_u64(1);
    let before = fallen(3, 1, 0);
    let suspect = before.hosts()[1].clone();
    let Verdict::Eject { ejections, .. } = judge(&policy, &before, &suspect, now, rng) else {
        panic!("it is spared");
    };
    let after = before.with_ejections(suspect.address(), ejections);
    assert_eq!(
        (after.standing(), after.eligible()),
        (Standing::Sound, &[2][..])
    );

    // The last one goes by another way than the judge's.
    let last = after.with_hosts(&[configured(0, 1), configured(1, 1)]);
    assert_eq!(
        (last.standing(), last.eligible()),
        (Standing::Makeshift, &[1][..])
    );
    assert_eq!(last.hosts()[1].ejections(), &ejections);
    assert_eq!(last.pardoned().standing(), Standing::Sound);
    assert_eq!(last.pardoned().hosts()[1].ejections().total(), 0);
}
