//! How a host behaves: its failures in a row, and how long it is better left alone.

use std::sync::LazyLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// How long a host is left alone after its first failure.
const FIRST_REST: Duration = Duration::from_millis(100);

/// The longest rest: so long may a host that is well again wait for its first work.
const LONGEST_REST: Duration = Duration::from_secs(10);

/// A host that failed again so long after its rest starts with the first rest anew.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// What a piece of work says of its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduct {
    /// It answered with this status.
    Answered(u16),
    /// It took no connection.
    ConnectFailed,
    /// It took a connection.
    Connected,
    /// It took the work and did not do it: cut it off, answered nonsense, or nothing in time.
    Failed,
    /// A relayed connection to it ended in good order, or after it had spoken.
    Relayed,
}

impl Conduct {
    /// What speaks for the host, what against it, and what says neither.
    fn verdict(self) -> Verdict {
        match self {
            Self::Connected => Verdict::Good(Kind::Connect),
            Self::ConnectFailed => Verdict::Bad(Kind::Connect),
            Self::Failed | Self::Answered(502..=504) => Verdict::Bad(Kind::Work),
            // It tells of the request as often as of the host.
            Self::Answered(500..) => Verdict::Neither,
            Self::Answered(_) | Self::Relayed => Verdict::Good(Kind::Work),
        }
    }
}

enum Verdict {
    Good(Kind),
    Bad(Kind),
    Neither,
}

/// What a host may be bad at; being good at the other disproves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Connect,
    Work,
}

/// Failures in a row, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Connections that could not be made.
    pub connects: u16,
    /// Work that was not done.
    pub failures: u16,
    /// Responses with a status of 500 or above.
    pub errors: u16,
    /// Responses with status 502, 503 or 504.
    pub gateway_errors: u16,
}

impl Row {
    fn after(self, conduct: Conduct) -> Self {
        let connects = self.connects;
        match conduct {
            Conduct::Connected => Self {
                connects: 0,
                ..self
            },
            Conduct::ConnectFailed => Self {
                connects: connects.saturating_add(1),
                ..self
            },
            Conduct::Failed => Self {
                failures: self.failures.saturating_add(1),
                ..self
            },
            Conduct::Relayed => Self {
                failures: 0,
                ..self
            },
            Conduct::Answered(status @ 500..) => Self {
                connects,
                failures: 0,
                errors: self.errors.saturating_add(1),
                gateway_errors: match status {
                    502..=504 => self.gateway_errors.saturating_add(1),
                    _ => 0,
                },
            },
            Conduct::Answered(_) => Self {
                connects,
                ..Self::default()
            },
        }
    }
}

impl From<u64> for Row {
    fn from(word: u64) -> Self {
        let [connects, failures, errors, gateway_errors] =
            [48, 32, 16, 0].map(|shift| (word >> shift & 0xffff) as u16);
        Self {
            connects,
            failures,
            errors,
            gateway_errors,
        }
    }
}

impl From<Row> for u64 {
    fn from(row: Row) -> Self {
        let counts = [row.connects, row.failures, row.errors, row.gateway_errors];
        counts
            .into_iter()
            .fold(0, |word, count| word << 16 | Self::from(count))
    }
}

/// Until when a host is left alone where there are others, and how long that took to come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rest {
    /// Milliseconds since [`ORIGIN`].
    until: u64,
    /// Rests in a row, this one included.
    level: u8,
    kind: Kind,
}

impl Rest {
    /// What follows a failure. While it lasts, nothing does: what fails then was begun before.
    fn after(before: Option<Self>, kind: Kind, now: u64) -> Self {
        let level = match before {
            Some(rest) if now < rest.until => return rest,
            Some(rest) if now - rest.until <= millis(FORGOTTEN) => rest.level.saturating_add(1),
            _ => 1,
        };
        let doublings = u32::from(level - 1).min(16);
        let long = millis(FIRST_REST) << doublings;
        Self {
            until: now + long.min(millis(LONGEST_REST)),
            level,
            kind,
        }
    }

    /// 0 is no rest.
    fn from_word(word: u64) -> Option<Self> {
        let kind = match word & 0xff {
            0 => return None,
            1 => Kind::Connect,
            _ => Kind::Work,
        };
        let level = (word >> 8 & 0xff) as u8;
        let until = word >> 16;
        Some(Self { until, level, kind })
    }

    fn into_word(self) -> u64 {
        let kind = match self.kind {
            Kind::Connect => 1,
            Kind::Work => 2,
        };
        self.until << 16 | u64::from(self.level) << 8 | kind
    }
}

/// How one host behaves, as all workers see it. Where nothing goes wrong it is only read.
#[derive(Debug, Default)]
pub(super) struct Record {
    row: AtomicU64,
    rest: AtomicU64,
}

impl Record {
    /// Takes note; the failures in a row after that.
    pub(super) fn note(&self, conduct: Conduct, now: Instant) -> Row {
        match conduct.verdict() {
            Verdict::Good(kind) => self.wake(kind),
            Verdict::Bad(kind) => self.lay_down(kind, since_origin(now)),
            Verdict::Neither => {}
        }
        let before = Row::from(self.row.load(Relaxed));
        if before.after(conduct) == before {
            return before;
        }
        let after = |word| Some(u64::from(Row::from(word).after(conduct)));
        let before = self.row.fetch_update(Relaxed, Relaxed, after);
        Row::from(before.unwrap_or_else(|word| word)).after(conduct)
    }

    /// Forgets all: the host is given a fresh start.
    pub(super) fn forgive(&self) {
        self.row.store(0, Relaxed);
        self.rest.store(0, Relaxed);
    }

    /// The failures in a row.
    pub(super) fn row(&self) -> Row {
        self.row.load(Relaxed).into()
    }

    /// Whether the host is better left alone for now.
    pub(super) fn rests(&self, now: Instant) -> bool {
        let rest = Rest::from_word(self.rest.load(Relaxed));
        rest.is_some_and(|rest| since_origin(now) < rest.until)
    }

    fn wake(&self, kind: Kind) {
        let word = self.rest.load(Relaxed);
        if word != 0 && Rest::from_word(word).is_some_and(|rest| rest.kind == kind) {
            // Whoever failed meanwhile is worth more than this success.
            let _ = self.rest.compare_exchange(word, 0, Relaxed, Relaxed);
        }
    }

    fn lay_down(&self, kind: Kind, now: u64) {
        let after = |word| {
            let after = Rest::after(Rest::from_word(word), kind, now).into_word();
            (after != word).then_some(after)
        };
        // Where nothing changes, nothing is written.
        let _ = self.rest.fetch_update(Relaxed, Relaxed, after);
    }
}

/// Where milliseconds start, so that a moment fits beside a level in one word.
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

fn since_origin(now: Instant) -> u64 {
    millis(now.saturating_duration_since(*ORIGIN))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX >> 17)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row_of(conducts: &[Conduct]) -> Row {
        conducts
            .iter()
            .fold(Row::default(), |row, &conduct| row.after(conduct))
    }

    #[test]
    fn a_row_of_failures_is_ended_by_what_disproves_it_alone() {
        use Conduct::{Answered, ConnectFailed, Connected, Failed, Relayed};
        for (conducts, expected) in [
            (vec![ConnectFailed; 3], [3, 0, 0, 0]),
            (vec![ConnectFailed, Connected, ConnectFailed], [1, 0, 0, 0]),
            // Kept connections may work where no new one is taken.
            (vec![ConnectFailed, Answered(200), Relayed], [1, 0, 0, 0]),
            (vec![Failed, Connected, Failed], [0, 2, 0, 0]),
            (vec![Failed, Relayed, Failed], [0, 1, 0, 0]),
            (vec![Failed, Answered(204)], [0, 0, 0, 0]),
            (vec![Answered(503), Answered(500)], [0, 0, 2, 0]),
            (vec![Answered(500), Answered(503)], [0, 0, 2, 1]),
            (vec![Failed, Answered(502), Answered(504)], [0, 0, 2, 2]),
            (vec![Answered(503), Answered(499)], [0, 0, 0, 0]),
        ] {
            let row = row_of(&conducts);
            let counts = [row.connects, row.failures, row.errors, row.gateway_errors];
            assert_eq!(counts, expected, "{conducts:?}");
        }
    }

    #[test]
    fn a_row_goes_through_one_word_and_stays_at_its_most() {
        let row = Row {
            connects: 1,
            failures: 2,
            errors: u16::MAX,
            gateway_errors: 0xf00f,
        };
        assert_eq!(Row::from(u64::from(row)), row);
        assert_eq!(row.after(Conduct::Answered(500)).errors, u16::MAX);
    }

    #[test]
    fn a_host_that_goes_on_failing_rests_twice_as_long_each_time() {
        let record = Record::default();
        let mut now = Instant::now();
        for expected in [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000] {
            record.note(Conduct::ConnectFailed, now);
            let end = now + Duration::from_millis(expected);
            assert!(record.rests(end - Duration::from_millis(2)), "{expected}");
            assert!(!record.rests(end), "{expected}");
            now = end;
        }
    }

    #[test]
    fn what_fails_during_a_rest_makes_it_no_longer() {
        let record = Record::default();
        let begun = Instant::now();
        for fails in 0..50 {
            record.note(Conduct::ConnectFailed, begun + Duration::from_millis(fails));
        }
        assert!(!record.rests(begun + FIRST_REST));
        assert_eq!(record.row().connects, 50);
    }

    #[test]
    fn a_rest_ends_with_a_success_of_the_kind_that_failed() {
        let now = Instant::now();
        for (fails, disproves, does_not) in [
            (
                Conduct::ConnectFailed,
                Conduct::Connected,
                Conduct::Answered(200),
            ),
            (Conduct::Failed, Conduct::Answered(200), Conduct::Connected),
            (
                Conduct::Answered(503),
                Conduct::Relayed,
                Conduct::Answered(500),
            ),
        ] {
            let record = Record::default();
            record.note(fails, now);
            record.note(does_not, now);
            assert!(record.rests(now), "{fails:?}");
            record.note(disproves, now);
            assert!(!record.rests(now), "{fails:?}");
        }
    }

    #[test]
    fn a_failure_long_ago_is_forgotten() {
        let record = Record::default();
        let mut now = Instant::now();
        for _ in 0..8 {
            record.note(Conduct::ConnectFailed, now);
            now += LONGEST_REST;
        }
        now += FORGOTTEN + LONGEST_REST;
        record.note(Conduct::ConnectFailed, now);
        assert!(!record.rests(now + FIRST_REST));
    }
}
