//! The states of the process, and what each event does.
//!
//! ```text
//! Starting ── Started ──▶ Running ── Drain ──▶ Draining ── Empty, deadline, Drain ──▶ Stopping
//!     │                      │                     │                                     │
//!     └── StartFailed, Drain, StopNow ─────────────┴── StopNow ──────────────────────────┤
//!                                                                                        │
//! any ── Ended (the tree is gone) ──▶ Stopped ◀──────────────────────────────────────────┘
//! ```
//!
//! The hot upgrade grows between `Running` and `Draining`, as `HandingOver` (back to `Running`
//! when the successor fails) and `Probation`; both will be told as MOSN's 13.
//!
//! Pure: the root carries the effects out and reports what becomes of them as further events.

use std::time::{Duration, Instant};

/// Where the process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It accepts nothing new; what runs may end by itself until `until`.
    Draining {
        /// When what still runs is ended.
        until: Instant,
    },
    /// It accepts.
    Running,
    /// The tree is being started.
    Starting,
    /// The tree has ended.
    Stopped,
    /// The tree is being stopped.
    Stopping,
}

impl State {
    /// MOSN's number of this state, as scripts read it.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Starting => 4,
            Self::Running => 6,
            Self::Draining { .. } => 8,
            Self::Stopping => 9,
            Self::Stopped => 11,
        }
    }
}

/// What happened to the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The time asked for by [`Effect::WakeAt`] has come.
    DeadlineReached,
    /// Someone wishes that it ends once its connections have, within this long; the second wish
    /// of the kind means now.
    Drain(Duration),
    /// The last connection has ended.
    Empty,
    /// The tree has ended, by itself or as wished.
    Ended,
    /// The tree could not be started.
    StartFailed,
    /// The tree is whole, and accepts.
    Started,
    /// Someone wishes that it ends; the second wish of the kind means without any delay.
    StopNow,
}

/// What must be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// End the tree without its consent.
    KillTree,
    /// Take no further connections, and report [`Event::Empty`] when none is left.
    StopAccepting,
    /// Stop the tree as its specifications say, and report [`Event::Ended`].
    StopTree,
    /// Report [`Event::DeadlineReached`] at this time.
    WakeAt(Instant),
}

/// What `event` does in `state`: the next state, and what must be done on the way, in order.
#[must_use]
pub fn on(state: State, event: Event, now: Instant) -> (State, Vec<Effect>) {
    use Event::*;
    match (state, event) {
        (State::Stopped, _) => (State::Stopped, vec![]),
        (_, Ended) => (State::Stopped, vec![]),
        (State::Starting, Started) => (State::Running, vec![]),
        // Nothing is accepted yet, so nothing can drain.
        (State::Starting, StartFailed | Drain(_) | StopNow) => stop(),
        (State::Running, Drain(time)) => drain(time, now),
        (State::Draining { until }, DeadlineReached) if now < until => {
            (state, vec![Effect::WakeAt(until)])
        }
        (State::Draining { .. }, Empty | DeadlineReached | Drain(_)) => stop(),
        (State::Running | State::Draining { .. }, StopNow) => stop(),
        (State::Stopping, StopNow) => (state, vec![Effect::KillTree]),
        _ => (state, vec![]),
    }
}

fn stop() -> (State, Vec<Effect>) {
    (State::Stopping, vec![Effect::StopTree])
}

fn drain(time: Duration, now: Instant) -> (State, Vec<Effect>) {
    // A time no clock can hold is as good as the longest a person would wait for.
    const LONGEST: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    let until = now + time.min(LONGEST);
    let effects = vec![Effect::StopAccepting, Effect::WakeAt(until)];
    (State::Draining { until }, effects)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Event::*;

    const TIME: Duration = Duration::from_secs(600);

    #[test]
    fn each_event_does_what_its_state_allows() {
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
                assert_eq!(on(state, event, now), expected, "{event:?} in {state:?}");
            }
        }
    }

    #[test]
    fn a_drain_ends_at_its_deadline() {
        let now = Instant::now();
        let draining = State::Draining { until: now + TIME };
        let stops = (State::Stopping, vec![Effect::StopTree]);
        assert_eq!(on(draining, DeadlineReached, now + TIME), stops);
    }

    #[test]
    fn a_drain_for_ever_is_no_overflow() {
        let (state, _) = on(State::Running, Drain(Duration::MAX), Instant::now());
        assert!(matches!(state, State::Draining { .. }));
    }

    #[test]
    fn states_have_the_numbers_scripts_read() {
        let until = Instant::now();
        for (state, number) in [
            (State::Starting, 4),
            (State::Running, 6),
            (State::Draining { until }, 8),
            (State::Stopping, 9),
            (State::Stopped, 11),
        ] {
            assert_eq!(state.number(), number);
        }
    }
}
