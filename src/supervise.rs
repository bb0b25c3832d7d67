//! What a supervisor decides when a child exits.
//!
//! Nothing here starts, stops or waits: [`decide`] maps an exit to a [`Decision`],
//! [`Intensity`] says when to give up, and the engine among the actors carries both out. The
//! vocabulary is OTP's.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::time::{Duration, Instant};

/// Maps the exit of child `index` of `len` to what the supervisor must do.
///
/// A child that ends because its supervisor stopped it never reaches this function.
#[must_use]
pub fn decide(
    strategy: Strategy,
    restart: Restart,
    index: usize,
    len: usize,
    exit: &Exit,
) -> Decision {
    let restarts = match restart {
        Restart::Permanent => true,
        Restart::Temporary => false,
        Restart::Transient => exit.is_abnormal(),
    };
    if !restarts {
        return Decision::Forget;
    }
    Decision::Restart(match strategy {
        Strategy::OneForAll => 0..len,
        Strategy::OneForOne => index..index + 1,
        Strategy::RestForOne => index..len,
    })
}

/// Which siblings share the fate of a failed child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Every sibling restarts: the children make sense only together.
    OneForAll,
    /// Only the failed child restarts: the children are independent.
    OneForOne,
    /// The failed child and those started after it restart: later children hold addresses of
    /// earlier ones.
    RestForOne,
}

/// When a child that exited is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Always.
    Permanent,
    /// Never; once it has ended its supervisor forgets it.
    Temporary,
    /// Only after an abnormal exit.
    Transient,
}

/// How a supervisor stops a child that still runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// It is asked to stop, and killed when it has not ended after this long.
    Drain(Duration),
    /// It is killed at once.
    Kill,
}

impl Shutdown {
    /// How long the child may take after it was asked; zero for [`Shutdown::Kill`].
    #[must_use]
    pub fn patience(self) -> Duration {
        match self {
            Self::Drain(patience) => patience,
            Self::Kill => Duration::ZERO,
        }
    }
}

/// How a child ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It was ended from outside: killed, or its arbiter ended; which of them, in words.
    Abort(String),
    /// It stopped and said why, or could not start.
    Fail(String),
    /// It stopped of its own accord.
    Normal,
    /// It panicked; the payload, when it was text.
    Panic(String),
}

impl Exit {
    /// Whether a transient child that ended like this is started again.
    #[must_use]
    pub fn is_abnormal(&self) -> bool {
        !matches!(self, Self::Normal)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Abort(cause) => write!(f, "aborted: {cause}"),
            Self::Fail(reason) => write!(f, "failed: {reason}"),
            Self::Normal => f.write_str("ended"),
            Self::Panic(text) => write!(f, "panicked: {text}"),
        }
    }
}

/// What the supervisor must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Leave the child ended.
    Forget,
    /// Stop the running children of this range last to first, then start it first to last.
    Restart(Range<usize>),
}

/// How one supervisor treats failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Which siblings restart with a failed child.
    pub strategy: Strategy,
    /// How many restarts are admitted in any window of [`within`](Self::within); one more and the
    /// supervisor gives up.
    pub max_restarts: usize,
    /// The length of that window.
    pub within: Duration,
}

impl Policy {
    /// A policy of this strategy that gives up at the fourth restart in five seconds.
    #[must_use]
    pub fn new(strategy: Strategy) -> Self {
        Self {
            strategy,
            max_restarts: 3,
            within: Duration::from_secs(5),
        }
    }
}

/// How many restarts a supervisor performs before it gives up itself.
#[derive(Debug)]
pub struct Intensity {
    max_restarts: usize,
    within: Duration,
    recent: VecDeque<Instant>,
}

impl Intensity {
    /// Admits at most `max_restarts` restarts in any window of `within`.
    #[must_use]
    pub fn new(max_restarts: usize, within: Duration) -> Self {
        Self {
            max_restarts,
            within,
            recent: VecDeque::new(),
        }
    }

    /// Counts one restart at `now`; `false` means that the supervisor must give up.
    #[must_use]
    pub fn admit(&mut self, now: Instant) -> bool {
        while self
            .recent
            .front()
            .is_some_and(|&at| now.duration_since(at) > self.within)
        {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        self.recent.len() <= self.max_restarts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_child_takes_the_siblings_its_strategy_names() {
        for (strategy, index, expected) in [
            (Strategy::OneForAll, 0, 0..3),
            (Strategy::OneForAll, 2, 0..3),
            (Strategy::OneForOne, 0, 0..1),
            (Strategy::OneForOne, 2, 2..3),
            (Strategy::RestForOne, 0, 0..3),
            (Strategy::RestForOne, 1, 1..3),
            (Strategy::RestForOne, 2, 2..3),
        ] {
            assert_eq!(
                decide(
                    strategy,
                    Restart::Permanent,
                    index,
                    3,
                    &Exit::Panic("boom".into())
                ),
                Decision::Restart(expected),
                "{strategy:?} of {index}"
            );
        }
    }

    #[test]
    fn a_child_restarts_when_its_kind_says_so() {
        let again = Decision::Restart(0..1);
        for exit in [
            Exit::Abort("killed".into()),
            Exit::Fail("socket lost".into()),
            Exit::Panic("boom".into()),
        ] {
            for (restart, expected) in [
                (Restart::Permanent, &again),
                (Restart::Temporary, &Decision::Forget),
                (Restart::Transient, &again),
            ] {
                assert_eq!(
                    decide(Strategy::OneForOne, restart, 0, 1, &exit),
                    *expected,
                    "{restart:?} after {exit:?}"
                );
            }
        }
        for (restart, expected) in [
            (Restart::Permanent, again),
            (Restart::Temporary, Decision::Forget),
            (Restart::Transient, Decision::Forget),
        ] {
            assert_eq!(
                decide(Strategy::OneForOne, restart, 0, 1, &Exit::Normal),
                expected,
                "{restart:?} after a normal end"
            );
        }
    }

    #[test]
    fn an_exit_is_told_in_words() {
        for (exit, words) in [
            (Exit::Abort("killed".into()), "aborted: killed"),
            (Exit::Fail("socket lost".into()), "failed: socket lost"),
            (Exit::Normal, "ended"),
            (Exit::Panic("boom".into()), "panicked: boom"),
        ] {
            assert_eq!(exit.to_string(), words);
        }
    }

    #[test]
    fn the_fourth_restart_in_the_window_is_refused() {
        let start = Instant::now();
        let mut intensity = Intensity::new(3, Duration::from_secs(5));
        assert!((0..3).all(|second| intensity.admit(start + Duration::from_secs(second))));
        assert!(!intensity.admit(start + Duration::from_secs(3)));
    }

    #[test]
    fn restarts_older_than_the_window_are_forgiven() {
        let start = Instant::now();
        let mut intensity = Intensity::new(1, Duration::from_secs(5));
        assert!(intensity.admit(start));
        assert!(intensity.admit(start + Duration::from_secs(6)));
    }

    #[test]
    fn an_intensity_of_zero_refuses_the_first_restart() {
        assert!(!Intensity::new(0, Duration::from_secs(5)).admit(Instant::now()));
    }
}
