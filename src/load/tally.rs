//! What came of requests.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::speech::Answer;
use super::spread::Spread;

/// Three digits of a latency are kept.
const DIGITS: u8 = 3;

/// Why a request got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trouble {
    Refused,
    /// The connect took too long.
    ConnectTimeout,
    /// No connection for another reason: no route, no port or descriptor left.
    Unconnected,
    Reset,
    /// The connection ended before the answer did.
    ClosedEarly,
    Timeout,
    /// It is no answer of the protocol.
    BadAnswer,
}

impl Trouble {
    pub(super) const ALL: [Self; 7] = [
        Self::Refused,
        Self::ConnectTimeout,
        Self::Unconnected,
        Self::Reset,
        Self::ClosedEarly,
        Self::Timeout,
        Self::BadAnswer,
    ];

    pub(super) fn of_connect(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::TimedOut => Self::ConnectTimeout,
            _ => Self::Unconnected,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "connect refused",
            Self::ConnectTimeout => "connect timeout",
            Self::Unconnected => "connect failed",
            Self::Reset => "reset",
            Self::ClosedEarly => "closed early",
            Self::Timeout => "timeout",
            Self::BadAnswer => "bad answer",
        })
    }
}

/// Bytes of answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Traffic {
    pub(super) total: u64,
    pub(super) head: u64,
    pub(super) data: u64,
}

/// What came of the requests of a thread, or of all.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    pub(super) started: u64,
    pub(super) succeeded: u64,
    /// Answers, by status.
    pub(super) statuses: BTreeMap<u16, u64>,
    pub(super) troubles: [u64; Trouble::ALL.len()],
    /// Answers that came when nobody waited for them any more.
    pub(super) late: u64,
    pub(super) traffic: Traffic,
    /// Nanoseconds from when each request was due until it was answered, or given up as timed out.
    pub(super) latencies: Histogram<u64>,
    pub(super) latency: Spread,
    /// Nanoseconds that each first connect took.
    pub(super) connects: Vec<f64>,
    /// Answers a second of each connection.
    pub(super) rates: Vec<f64>,
    /// From the first moment that counts to the last that came of a request.
    pub(super) lasted: Duration,
    /// Connects that failed, whether a request waited for them or not.
    pub(super) failed_connects: u64,
    /// The first of what was no answer, in words.
    pub(super) first_bad: Option<String>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            started: 0,
            succeeded: 0,
            statuses: BTreeMap::new(),
            troubles: Default::default(),
            late: 0,
            traffic: Traffic::default(),
            latencies: Histogram::new(DIGITS).expect("three digits are not too many"),
            latency: Spread::default(),
            connects: Vec::new(),
            rates: Vec::new(),
            lasted: Duration::ZERO,
            failed_connects: 0,
            first_bad: None,
        }
    }
}

impl Tally {
    pub(super) fn answered(&mut self, answer: &Answer, took: Duration) {
        self.succeeded += u64::from(answer.good);
        *self.statuses.entry(answer.status).or_default() += 1;
        self.traffic.total += answer.total;
        self.traffic.head += answer.head;
        self.traffic.data += answer.data;
        self.took(took);
    }

    /// Counts requests that got no answer.
    pub(super) fn troubled(&mut self, trouble: Trouble, requests: u64) {
        self.troubles[trouble as usize] += requests;
    }

    /// One that waited in vain is as slow as its wait: without it the slowest would look fast.
    pub(super) fn timed_out(&mut self, due: Instant, now: Instant) {
        self.troubled(Trouble::Timeout, 1);
        self.took(now.saturating_duration_since(due));
    }

    fn took(&mut self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        // It grows by itself, so that nothing is refused.
        let _never = self.latencies.record(nanoseconds);
        self.latency.add(nanoseconds as f64);
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.started += other.started;
        self.succeeded += other.succeeded;
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        for (sum, count) in self.troubles.iter_mut().zip(other.troubles) {
            *sum += count;
        }
        self.late += other.late;
        self.traffic.total += other.traffic.total;
        self.traffic.head += other.traffic.head;
        self.traffic.data += other.traffic.data;
        // As above.
        let _never = self.latencies.add(other.latencies);
        self.latency.merge(&other.latency);
        self.connects.extend(other.connects);
        self.rates.extend(other.rates);
        self.failed_connects += other.failed_connects;
        self.lasted = self.lasted.max(other.lasted);
        self.first_bad = self.first_bad.take().or(other.first_bad);
    }

    pub(super) fn of(&self, trouble: Trouble) -> u64 {
        self.troubles[trouble as usize]
    }

    /// Requests of which something came.
    pub(super) fn done(&self) -> u64 {
        self.statuses.values().sum::<u64>() + self.troubles.iter().sum::<u64>()
    }

    pub(super) fn failed(&self) -> u64 {
        self.done() - self.succeeded
    }

    /// Requests without an answer that did not time out.
    pub(super) fn errored(&self) -> u64 {
        self.troubles.iter().sum::<u64>() - self.of(Trouble::Timeout)
    }

    /// Whether any request succeeded.
    pub(crate) fn is_any_good(&self) -> bool {
        self.succeeded > 0
    }

    /// Requests that failed for which reason, if any did.
    pub(super) fn reasons(&self) -> impl Iterator<Item = (Trouble, u64)> + '_ {
        let all = Trouble::ALL.into_iter().zip(self.troubles);
        all.filter(|(_, count)| *count > 0)
    }

    /// The nanoseconds that so many in a hundred latencies did not exceed. What counts latencies
    /// knows them by three digits; none was more than the most there was.
    pub(super) fn quantile(&self, percent: f64) -> f64 {
        let value = self.latencies.value_at_percentile(percent);
        (value as f64).min(self.latency.most())
    }

    /// How many in a hundred latencies are no more than a deviation away from their mean.
    pub(super) fn within(&self) -> f64 {
        let (mean, deviation) = (self.latency.mean(), self.latency.deviation());
        let low = (mean - deviation).max(0.0) as u64;
        let near = self.latencies.count_between(low, (mean + deviation) as u64);
        near as f64 * 100.0 / self.latencies.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_quantile_is_more_than_the_most_there_was() {
        let mut tally = Tally::default();
        tally.answered(&Answer::default(), Duration::from_nanos(5_107_606));
        assert!(tally.latencies.value_at_percentile(50.0) > 5_107_606);
        assert_eq!([50.0, 99.0].map(|at| tally.quantile(at)), [5_107_606.0; 2]);
        assert_eq!(Tally::default().quantile(50.0), 0.0);
    }
}
