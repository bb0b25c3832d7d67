mod explore;
mod moves;
mod pair;

use super::*;
use Event::*;

const TIME: Duration = Duration::from_secs(600);

const TIMES: Times = Times {
    handover: Duration::from_secs(30),
    probation: Duration::from_secs(3),
    commit: Duration::from_secs(5),
    drain: TIME,
    pre_drain: Duration::ZERO,
};

fn step_at(state: State, until: Instant) -> (State, Vec<Effect>) {
    on(state, DeadlineReached, until, &TIMES)
}

fn step(state: State, event: Event, now: Instant) -> (State, Vec<Effect>) {
    on(state, event, now, &TIMES)
}

#[test]
fn without_an_upgrade_each_event_does_what_its_state_allows() {
    let now = Instant::now();
    let until = now + TIME;
    let draining = State::Draining { until };
    let events = [
        DeadlineReached,
        Drain(TIME),
        Empty,
        Ended,
        StartFailed,
        Started,
        StopNow,
    ];
    let same = |state| (state, vec![]);
    let stops = || (State::Stopping, vec![Effect::StopTree]);
    let gone = || (State::Stopped, vec![]);
    let drains = || {
        let effects = vec![Effect::StopAccepting, Effect::WakeAt(until)];
        (draining, effects)
    };
    let early = || (draining, vec![Effect::WakeAt(until)]);
    let kills = || (State::Stopping, vec![Effect::KillTree]);
    let (s, r, e) = (State::Starting, State::Running, State::Stopping);
    #[rustfmt::skip]
    let table = [
        // deadline  drain     empty           ended   failed          started         stop
        (s, [same(s), stops(),  same(s),        gone(), stops(),        same(r),        stops()]),
        (r, [same(r), drains(), same(r),        gone(), same(r),        same(r),        stops()]),
        (draining,
            [early(), stops(),  stops(),        gone(), same(draining), same(draining), stops()]),
        (e, [same(e), same(e),  same(e),        gone(), same(e),        same(e),        kills()]),
        (State::Stopped,
            [gone(),  gone(),   gone(),         gone(), gone(),         gone(),         gone()]),
    ];
    for (state, expected) in table {
        for (event, expected) in events.into_iter().zip(expected) {
            assert_eq!(step(state, event, now), expected, "{event:?} in {state:?}");
        }
    }
}

#[test]
fn a_drain_ends_at_its_deadline() {
    let now = Instant::now();
    let draining = State::Draining { until: now + TIME };
    let stops = (State::Stopping, vec![Effect::StopTree]);
    assert_eq!(step(draining, DeadlineReached, now + TIME), stops);
}

#[test]
fn a_drain_for_ever_is_no_overflow() {
    let (state, _) = step(State::Running, Drain(Duration::MAX), Instant::now());
    assert!(matches!(state, State::Draining { .. }));
}

#[test]
fn a_drain_may_be_announced_first_and_a_second_wish_means_now() {
    let now = Instant::now();
    let times = Times {
        pre_drain: Duration::from_secs(7),
        ..TIMES
    };
    let until = now + times.pre_drain;
    let lingering = State::Lingering { until, drain: TIME };
    let (handing, _) = step(State::Running, SuccessorCame, now);
    let wakes = Effect::WakeAt(until);
    for (state, expected) in [
        (State::Running, vec![wakes]),
        (handing, vec![Effect::HangUp, wakes]),
    ] {
        assert_eq!(on(state, Drain(TIME), now, &times), (lingering, expected));
    }
    assert_eq!(
        on(lingering, DeadlineReached, now, &times),
        (lingering, vec![wakes])
    );
    let drains = (
        State::Draining {
            until: until + TIME,
        },
        vec![Effect::StopAccepting, Effect::WakeAt(until + TIME)],
    );
    assert_eq!(on(lingering, DeadlineReached, until, &times), drains);
    for second in [Drain(TIME), StopNow] {
        let stops = (State::Stopping, vec![Effect::StopTree]);
        assert_eq!(on(lingering, second, now, &times), stops);
    }
}

#[test]
fn a_signal_in_an_upgrade_ends_it_and_then_the_service() {
    let now = Instant::now();
    let (handing, _) = step(State::Running, SuccessorCame, now);
    let (probation, _) = step(handing, SuccessorAccepts, now);
    for state in [handing, probation] {
        let (next, effects) = step(state, Drain(TIME), now);
        assert!(matches!(next, State::Draining { .. }));
        assert_eq!(effects[..2], [Effect::HangUp, Effect::StopAccepting]);
        let (next, effects) = step(state, StopNow, now);
        assert_eq!(next, State::Stopping);
        assert_eq!(effects, [Effect::HangUp, Effect::StopTree]);
    }
}

#[test]
fn a_signal_to_one_that_leaves_has_it_say_goodbye_first() {
    let now = Instant::now();
    let leaving = State::Leaving { until: now + TIME };
    let (draining, effects) = step(leaving, Drain(TIME / 2), now);
    let until = now + TIME / 2;
    assert_eq!(draining, State::Draining { until });
    assert_eq!(effects, [Effect::SayGoodbye, Effect::WakeAt(until)]);
    assert_eq!(step(draining, Drain(TIME), now).0, State::Stopping);
}

#[test]
fn states_have_the_numbers_scripts_read() {
    let until = Instant::now();
    for (state, number) in [
        (State::Starting, 4),
        (State::Waiting { until }, 5),
        (State::Running, 6),
        (State::Trial { until }, 6),
        (State::Lingering { until, drain: TIME }, 7),
        (State::Draining { until }, 8),
        (State::Leaving { until }, 8),
        (State::Stopping, 9),
        (State::Stopped, 11),
        (State::HandingOver { until }, 13),
        (State::Probation { until }, 13),
        (State::Committing { until }, 13),
    ] {
        assert_eq!(state.number(), number);
    }
}
