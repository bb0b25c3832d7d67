//! The states of the process, and what each event does.
//!
//! ```text
//!            Started                Drain                Empty, deadline, Drain
//! Starting ───────────▶ Running ───────────▶ Draining ───────────────────────────▶ Stopping
//!                          │ Drain            ▲ deadline
//!                          └───▶ Lingering ───┘     when a drain is to be seen coming
//!
//! predecessor:      SuccessorCame        SuccessorAccepts        deadline
//!          Running ──────────────▶ HandingOver ──────▶ Probation ────────▶ Committing
//!             ▲   SuccessorLost, deadline  │              │                 │   │
//!             └────────────────────────────┴──────────────┴─────────────────┘   │
//!                                       Empty, deadline        SuccessorCommitted
//!                               Stopping ◀────────────── Leaving ◀──────────────┘
//!
//! successor:        Prepared           ToldToAccept          TookOver, PredecessorGone
//!          Starting ────────▶ Waiting ─────────────▶ Trial ──────────────────▶ Running
//!                                │ PredecessorKept     │ PredecessorKept
//!                                ▼                     ▼
//!                             Stopping             Draining
//!
//! any ── StopNow ──▶ Stopping        any ── Ended (the tree is gone) ──▶ Stopped
//! ```
//!
//! A hot upgrade is two of these machines. The one that runs is the predecessor: it goes from
//! `Running` by `HandingOver`, `Probation` and `Committing` to `Draining`, and back to `Running`
//! whatever goes wrong before the commit. The other is the successor: it goes from `Starting` by
//! `Waiting` and `Trial` to `Running`. The predecessor stops accepting only when the successor
//! accepts, and accepts again as soon as that one is lost, so that one of the two always does; the
//! tests explore every way that the two can go together.
//!
//! Pure: the root carries the effects out and reports what becomes of them as further events.

mod window;

use std::time::{Duration, Instant};

pub use window::{Custody, Heir, Window};

/// Where the process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// The successor has proved itself and is told to take over; nothing is accepted here.
    Committing {
        /// When it is looked who is in charge.
        until: Instant,
    },
    /// It accepts nothing new; what runs may end by itself until `until`.
    Draining {
        /// When what still runs is ended.
        until: Instant,
    },
    /// It accepts, while a successor makes itself ready.
    HandingOver {
        /// When the successor is given up.
        until: Instant,
    },
    /// The successor is in charge; connections move to it, or end by themselves until `until`.
    Leaving {
        /// When what still runs is ended.
        until: Instant,
    },
    /// The successor accepts. The sockets are kept here, so that this process can accept again.
    Probation {
        /// When the successor has proved itself.
        until: Instant,
    },
    /// It accepts, and says that it soon will not, so that nobody sends it more.
    Lingering {
        /// When it stops accepting.
        until: Instant,
        /// How long what runs then may take to end.
        drain: Duration,
    },
    /// It accepts.
    Running,
    /// The tree is being started.
    Starting,
    /// The tree has ended.
    Stopped,
    /// The tree is being stopped.
    Stopping,
    /// It accepts, and its predecessor may still want it to leave.
    Trial {
        /// When it gives up hearing from its predecessor.
        until: Instant,
    },
    /// It could accept, and waits for its predecessor's word.
    Waiting {
        /// When it gives up.
        until: Instant,
    },
}

impl State {
    /// MOSN's number of this state, as scripts read it.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Starting => 4,
            Self::Waiting { .. } => 5,
            Self::Running | Self::Trial { .. } => 6,
            Self::Lingering { .. } => 7,
            Self::Draining { .. } | Self::Leaving { .. } => 8,
            Self::Stopping => 9,
            Self::Stopped => 11,
            Self::Committing { .. } | Self::HandingOver { .. } | Self::Probation { .. } => 13,
        }
    }

    /// Whether changes of the plan are carried out. They wait for the end of an upgrade, of which
    /// both sides must know the same listeners.
    #[must_use]
    pub fn takes_changes(self) -> bool {
        matches!(self, Self::Starting | Self::Running)
    }
}

/// How long the waits of an upgrade and of the drain after it last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// From the successor's first word until it accepts; also each wait of the successor.
    pub handover: Duration,
    /// For so long a successor that accepts must live before it is trusted.
    pub probation: Duration,
    /// For the successor's answer to the commit.
    pub commit: Duration,
    /// For the connections that are left, when the process leaves because of an upgrade.
    pub drain: Duration,
    /// For so long a process that is to drain says so before it stops accepting.
    pub pre_drain: Duration,
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
    /// The predecessor has died: nobody else accepts.
    PredecessorGone,
    /// The predecessor lives and goes on by itself.
    PredecessorKept,
    /// The tree is whole, and would accept if the predecessor said so.
    Prepared,
    /// The tree could not be started.
    StartFailed,
    /// The tree is whole, and accepts.
    Started,
    /// Someone wishes that it ends; the second wish of the kind means without any delay.
    StopNow,
    /// The successor accepts.
    SuccessorAccepts,
    /// A successor has come, and nothing spoke against it.
    SuccessorCame,
    /// The successor is in charge.
    SuccessorCommitted,
    /// The successor died, fell silent, made no sense or said that it is not fit, and is not in
    /// charge.
    SuccessorLost,
    /// The successor has everything, and would accept.
    SuccessorPrepared,
    /// This process is in charge now.
    TookOver,
    /// The predecessor says to accept.
    ToldToAccept,
}

/// What must be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Accept on every listener that the predecessor knows, too.
    Accept,
    /// End the talk with the other process, unless that one is in charge by now, and report which.
    HangUp,
    /// End the tree without its consent.
    KillTree,
    /// Hand connections to the successor as they come to rest; say goodbye to the others.
    MoveConnections,
    /// Leave the listeners that the successor has to the successor, and keep their sockets.
    Pause,
    /// Accept on the listeners that were paused.
    Resume,
    /// Say goodbye to the connections that wait for their move.
    SayGoodbye,
    /// Tell the other process what it waits for.
    Say(Word),
    /// Take no further connections, and report [`Event::Empty`] when none is left.
    StopAccepting,
    /// Stop the tree as its specifications say, and report [`Event::Ended`].
    StopTree,
    /// Let the process know that it is the one in charge.
    TakeCharge,
    /// Report [`Event::DeadlineReached`] at this time.
    WakeAt(Instant),
}

/// What one process tells the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Word {
    /// The predecessor: accept.
    Accept,
    /// The successor: I accept.
    Accepting,
    /// The predecessor: take over.
    Commit,
    /// The successor: I have taken over.
    Committed,
    /// The predecessor: this is what there is.
    Offer,
    /// The successor: I have everything, and would accept.
    Prepared,
}

/// What `event` does in `state`: the next state, and what must be done on the way, in order.
#[must_use]
pub fn on(state: State, event: Event, now: Instant, times: &Times) -> (State, Vec<Effect>) {
    use Event::*;
    match (state, event) {
        (State::Stopped, _) => (State::Stopped, vec![]),
        (_, Ended) => (State::Stopped, vec![]),
        (State::Stopping, StopNow) => (state, vec![Effect::KillTree]),
        (State::Stopping, _) => (state, vec![]),
        (_, StopNow) => stop(state),
        (State::Starting, Started) => (State::Running, vec![]),
        // Nothing is accepted yet, so nothing can drain.
        (State::Starting | State::Waiting { .. }, StartFailed | Drain(_)) => stop(state),
        (State::Draining { .. } | State::Leaving { .. }, _) => draining(state, event, now),
        (State::Lingering { .. }, _) => lingering(state, event, now),
        (State::Running | State::HandingOver { .. }, Drain(drain))
            if !times.pre_drain.is_zero() =>
        {
            linger(state, drain, now + times.pre_drain)
        }
        (_, Drain(time)) => leave(state, time, now),
        (State::Running, SuccessorCame) => {
            let until = now + times.handover;
            let effects = vec![Effect::Say(Word::Offer), Effect::WakeAt(until)];
            (State::HandingOver { until }, effects)
        }
        (State::HandingOver { .. } | State::Probation { .. } | State::Committing { .. }, _) => {
            predecessor(state, event, now, times)
        }
        (State::Starting | State::Waiting { .. } | State::Trial { .. }, _) => {
            successor(state, event, now, times)
        }
        (State::Running, _) => (state, vec![]),
    }
}

/// The way of the process that runs, until the successor is in charge or lost.
fn predecessor(state: State, event: Event, now: Instant, times: &Times) -> (State, Vec<Effect>) {
    use Event::*;
    match (state, event) {
        (_, DeadlineReached) if is_early(state, now) => (state, again(state)),
        (State::HandingOver { .. }, SuccessorPrepared) => (state, vec![Effect::Say(Word::Accept)]),
        (State::HandingOver { .. }, SuccessorAccepts) => {
            let until = now + times.probation;
            let effects = vec![Effect::Pause, Effect::WakeAt(until)];
            (State::Probation { until }, effects)
        }
        (State::HandingOver { .. }, DeadlineReached) => (State::Running, vec![Effect::HangUp]),
        (State::HandingOver { .. }, SuccessorLost) => (State::Running, vec![]),
        (State::Probation { .. }, DeadlineReached) => {
            let until = now + times.commit;
            let effects = vec![Effect::Say(Word::Commit), Effect::WakeAt(until)];
            (State::Committing { until }, effects)
        }
        (State::Probation { .. } | State::Committing { .. }, SuccessorLost) => {
            (State::Running, vec![Effect::Resume])
        }
        // The successor may have taken over and its word be lost: only a look tells.
        (State::Committing { .. }, DeadlineReached) => {
            let until = now + times.commit;
            let effects = vec![Effect::HangUp, Effect::WakeAt(until)];
            (State::Committing { until }, effects)
        }
        (State::Committing { .. }, SuccessorCommitted) => {
            let until = later(now, times.drain);
            let effects = vec![Effect::MoveConnections, Effect::WakeAt(until)];
            (State::Leaving { until }, effects)
        }
        _ => (state, vec![]),
    }
}

/// The way of the process that is started beside another, until it is in charge or leaves.
fn successor(state: State, event: Event, now: Instant, times: &Times) -> (State, Vec<Effect>) {
    use Event::*;
    match (state, event) {
        (_, DeadlineReached) if is_early(state, now) => (state, again(state)),
        (State::Starting, Prepared) => {
            let until = now + times.handover;
            let effects = vec![Effect::Say(Word::Prepared), Effect::WakeAt(until)];
            (State::Waiting { until }, effects)
        }
        (State::Waiting { .. }, ToldToAccept) => {
            // The predecessor's probation, and its own wait after that.
            let until = now + times.handover + times.probation;
            let effects = vec![
                Effect::Accept,
                Effect::Say(Word::Accepting),
                Effect::WakeAt(until),
            ];
            (State::Trial { until }, effects)
        }
        (State::Waiting { .. }, PredecessorGone) => {
            (State::Running, vec![Effect::Accept, Effect::TakeCharge])
        }
        (State::Trial { .. }, PredecessorGone | TookOver) => {
            (State::Running, vec![Effect::TakeCharge])
        }
        (State::Waiting { .. }, PredecessorKept) => stop(State::Stopping),
        (State::Trial { .. }, PredecessorKept) => drain(times.drain, now),
        (State::Waiting { .. } | State::Trial { .. }, DeadlineReached) => {
            // It has to leave, unless it has taken over in this very moment.
            let until = now + times.commit;
            let waits = match state {
                State::Trial { .. } => State::Trial { until },
                _ => State::Waiting { until },
            };
            (waits, vec![Effect::HangUp, Effect::WakeAt(until)])
        }
        _ => (state, vec![]),
    }
}

fn lingering(state: State, event: Event, now: Instant) -> (State, Vec<Effect>) {
    use Event::*;
    match (state, event) {
        (_, DeadlineReached) if is_early(state, now) => (state, again(state)),
        (State::Lingering { drain: time, .. }, DeadlineReached) => drain(time, now),
        (_, Drain(_)) => stop(state),
        _ => (state, vec![]),
    }
}

fn draining(state: State, event: Event, now: Instant) -> (State, Vec<Effect>) {
    use Event::*;
    match (state, event) {
        (_, DeadlineReached) if is_early(state, now) => (state, again(state)),
        (_, Empty | DeadlineReached) | (State::Draining { .. }, Drain(_)) => stop(state),
        (State::Leaving { until }, Drain(time)) => {
            let until = until.min(later(now, time));
            let effects = vec![Effect::SayGoodbye, Effect::WakeAt(until)];
            (State::Draining { until }, effects)
        }
        (State::Leaving { .. }, SuccessorLost) => (state, vec![Effect::SayGoodbye]),
        _ => (state, vec![]),
    }
}

/// Whether the deadline that has come is an earlier state's.
fn is_early(state: State, now: Instant) -> bool {
    state.until().is_some_and(|until| now < until)
}

/// The state's own deadline has not come yet.
fn again(state: State) -> Vec<Effect> {
    state.until().map(Effect::WakeAt).into_iter().collect()
}

impl State {
    /// When the state ends in any case; `None` is when somebody wishes it, or when a part with a
    /// deadline of its own has done.
    #[must_use]
    pub fn until(self) -> Option<Instant> {
        match self {
            Self::Committing { until }
            | Self::Draining { until }
            | Self::HandingOver { until }
            | Self::Leaving { until }
            | Self::Lingering { until, .. }
            | Self::Probation { until }
            | Self::Trial { until }
            | Self::Waiting { until } => Some(until),
            Self::Running | Self::Starting | Self::Stopped | Self::Stopping => None,
        }
    }

    fn talks(self) -> bool {
        matches!(
            self,
            Self::Committing { .. }
                | Self::HandingOver { .. }
                | Self::Probation { .. }
                | Self::Trial { .. }
                | Self::Waiting { .. }
        )
    }
}

fn stop(state: State) -> (State, Vec<Effect>) {
    let mut effects = vec![Effect::StopTree];
    if state.talks() {
        effects.insert(0, Effect::HangUp);
    }
    (State::Stopping, effects)
}

/// Is to drain, and says so first.
fn linger(state: State, drain: Duration, until: Instant) -> (State, Vec<Effect>) {
    let mut effects = vec![Effect::WakeAt(until)];
    if state.talks() {
        effects.insert(0, Effect::HangUp);
    }
    (State::Lingering { until, drain }, effects)
}

/// Drains, and leaves the other process to itself: whoever ends this one means the service.
fn leave(state: State, time: Duration, now: Instant) -> (State, Vec<Effect>) {
    let (drains, mut effects) = drain(time, now);
    if state.talks() {
        effects.insert(0, Effect::HangUp);
    }
    (drains, effects)
}

fn drain(time: Duration, now: Instant) -> (State, Vec<Effect>) {
    let until = later(now, time);
    let effects = vec![Effect::StopAccepting, Effect::WakeAt(until)];
    (State::Draining { until }, effects)
}

fn later(now: Instant, time: Duration) -> Instant {
    // A time no clock can hold is as good as the longest a person would wait for.
    const LONGEST: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    now + time.min(LONGEST)
}

#[cfg(test)]
mod tests;
