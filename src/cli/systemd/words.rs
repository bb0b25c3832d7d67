//! What the service manager is told when the process has changed: a pure function of what was seen
//! before and what is seen now.

use std::time::{Duration, Instant};

use crate::Charge;
use crate::lifecycle::State;

/// While it drains, the manager hears once a second that it may take so much longer.
const EXTENSION: Duration = Duration::from_secs(15);

/// What the manager is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// It may take so much longer to stop.
    Extend(Duration),
    /// This process is the service now.
    MainPid,
    /// It accepts; or a reload is over.
    Ready,
    /// A reload begins.
    Reloading,
    /// What is going on.
    Status(String),
    /// It is about to end.
    Stopping,
    /// It lives.
    Watchdog,
}

/// Whether the manager knows this process as the service from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// It has started it; in whose namespace its number means what it means here, is not known.
    First,
    /// It knows another one, the predecessor or a successor that was lost.
    Later,
}

/// What the process does, as far as its manager is concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    Draining,
    /// It is not the service, or not yet.
    #[default]
    Elsewhere,
    /// It is about to drain, and still accepts.
    Lingering {
        seconds: u64,
    },
    Serving,
    Stopping,
    Upgrading,
}

impl Phase {
    pub(super) fn of(state: State, charge: &Charge, now: Instant) -> Self {
        match state {
            _ if *charge != Charge::Ours => Self::Elsewhere,
            State::Running => Self::Serving,
            State::Committing { .. } | State::HandingOver { .. } | State::Probation { .. } => {
                Self::Upgrading
            }
            State::Draining { .. } => Self::Draining,
            State::Lingering { until, .. } => Self::Lingering {
                seconds: until.saturating_duration_since(now).as_secs(),
            },
            State::Stopping | State::Stopped => Self::Stopping,
            State::Leaving { .. }
            | State::Starting
            | State::Trial { .. }
            | State::Waiting { .. } => Self::Elsewhere,
        }
    }

    fn ends(self) -> bool {
        matches!(
            self,
            Self::Draining | Self::Lingering { .. } | Self::Stopping
        )
    }
}

/// What is seen of the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) phase: Phase,
    pub(super) listeners: usize,
    pub(super) connections: u64,
    /// Why the latest reload was refused.
    pub(super) refused: Option<String>,
}

impl Seen {
    fn status(&self) -> String {
        let connections = counted(self.connections, "connection");
        let listeners = counted(self.listeners as u64, "listener");
        let mut status = match self.phase {
            Phase::Draining => return format!("draining, {connections} left"),
            Phase::Elsewhere => return String::new(),
            Phase::Lingering { seconds } => {
                return format!("draining in {seconds} s, {connections}");
            }
            Phase::Serving => format!("serving {listeners}, {connections}"),
            Phase::Stopping => return "stopping".to_owned(),
            Phase::Upgrading => format!("handing over to a new process, {connections}"),
        };
        if let Some(why) = &self.refused {
            status += "; the latest reload was refused: ";
            status += why;
        }
        status
    }
}

fn counted(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

/// What the manager is told when this was seen and that is.
pub(super) fn between(was: &Seen, is: &Seen, order: Order) -> Vec<Word> {
    let mut words = Vec::new();
    if is.phase == Phase::Elsewhere {
        // Whoever is the service speaks for it.
        return words;
    }
    let comes = was.phase == Phase::Elsewhere;
    // A successor that was lost may have spoken.
    let is_back = was.phase == Phase::Upgrading && is.phase == Phase::Serving;
    if is_back || comes && order == Order::Later {
        words.push(Word::MainPid);
    }
    if is_back || comes && !is.phase.ends() {
        words.push(Word::Ready);
    }
    if is.phase.ends() && !was.phase.ends() {
        words.push(Word::Stopping);
    }
    if matches!(is.phase, Phase::Draining | Phase::Lingering { .. }) {
        words.push(Word::Extend(EXTENSION));
    }
    let status = is.status();
    if was.status() != status {
        words.push(Word::Status(status));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(phase: Phase, connections: u64) -> Seen {
        Seen {
            phase,
            listeners: 3,
            connections,
            refused: None,
        }
    }

    fn status(text: &str) -> Word {
        Word::Status(text.to_owned())
    }

    #[test]
    fn the_manager_hears_what_has_changed_and_no_more() {
        let serving = seen(Phase::Serving, 120);
        let mut refused = serving.clone();
        refused.refused = Some("a.json:1:2: no".to_owned());
        let draining = |connections| seen(Phase::Draining, connections);
        let nowhere = Seen::default();
        let text = "serving 3 listeners, 120 connections";
        let why = format!("{text}; the latest reload was refused: a.json:1:2: no");
        let (first, later) = (Order::First, Order::Later);
        let extend = Word::Extend(EXTENSION);
        let left = status("draining, 12 connections left");
        #[rustfmt::skip]
        let table = [
            (&nowhere, &serving, first, vec![Word::Ready, status(text)]),
            (&nowhere, &serving, later, vec![Word::MainPid, Word::Ready, status(text)]),
            (&serving, &serving, first, vec![]),
            (&serving, &refused, first, vec![status(&why)]),
            (&serving, &draining(12), first, vec![Word::Stopping, extend.clone(), left]),
            (&draining(1), &draining(1), first, vec![extend]),
            (&draining(0), &seen(Phase::Stopping, 0), first, vec![status("stopping")]),
            (&serving, &nowhere, first, vec![]),
            (&seen(Phase::Upgrading, 120), &serving, first, vec![Word::MainPid, Word::Ready, status(text)]),
        ];
        for (was, is, order, expected) in table {
            assert_eq!(between(was, is, order), expected, "{was:?} -> {is:?}");
        }
    }

    #[test]
    fn who_is_not_in_charge_is_not_the_service() {
        let now = Instant::now();
        let leaving = State::Leaving { until: now };
        assert_eq!(
            Phase::of(leaving, &Charge::Successors, now),
            Phase::Elsewhere
        );
        let trial = State::Trial { until: now };
        assert_eq!(Phase::of(trial, &Charge::Pending, now), Phase::Elsewhere);
        assert_eq!(
            Phase::of(State::Running, &Charge::Ours, now),
            Phase::Serving
        );
    }
}
