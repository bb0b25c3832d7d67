//! What a client counts.

use std::io;
use std::time::{Duration, Instant};

/// Faults that are told in words; more are only counted.
const TOLD: usize = 5;

/// What clients of one kind have counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Requests, or blocks of a stream, that went well.
    pub(crate) done: u64,
    pub(crate) failed: u64,
    /// Of those that failed: nobody listened.
    pub(crate) refused: u64,
    /// Of those that failed: the connection was cut.
    pub(crate) reset: u64,
    /// Of those that failed: other bytes came than were sent.
    pub(crate) wrong: u64,
    /// Connections opened beside the first, by clients that would have kept theirs.
    pub(crate) reconnected: u64,
    /// Some of the faults.
    pub(crate) faults: Vec<String>,
    /// When each request was due, and how long it took from then.
    pub(crate) times: Vec<(Instant, Duration)>,
}

impl Tally {
    pub(crate) fn fails(&mut self, error: &io::Error) {
        use io::ErrorKind::*;
        self.failed += 1;
        match error.kind() {
            ConnectionRefused => self.refused += 1,
            ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof => self.reset += 1,
            InvalidData => self.wrong += 1,
            _ => {}
        }
        if self.faults.len() < TOLD {
            self.faults.push(format!("{:?}: {error}", error.kind()));
        }
    }

    pub(crate) fn took(&mut self, due: Instant) {
        self.done += 1;
        self.times.push((due, due.elapsed()));
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.done += other.done;
        self.failed += other.failed;
        self.refused += other.refused;
        self.reset += other.reset;
        self.wrong += other.wrong;
        self.reconnected += other.reconnected;
        self.faults.extend(other.faults);
        self.times.extend(other.times);
    }

    /// The time within which 99 of 100 were done, of those that were due in one of these spans, and
    /// of the others.
    pub(crate) fn p99(&self, spans: &[(Instant, Instant)]) -> [Duration; 2] {
        let is_inside = |due: Instant| spans.iter().any(|(from, to)| (*from..*to).contains(&due));
        let of = |inside: bool| {
            let times = self
                .times
                .iter()
                .filter(|(due, _)| is_inside(*due) == inside);
            let mut times: Vec<_> = times.map(|(_, took)| *took).collect();
            times.sort_unstable();
            let at = (times.len() * 99 / 100).min(times.len().saturating_sub(1));
            times.get(at).copied().unwrap_or_default()
        };
        [of(true), of(false)]
    }
}

/// Other bytes came than were sent.
pub(crate) fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The peer has ended where it should have said something.
pub(crate) fn cut() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}
