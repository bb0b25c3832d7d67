//! When a host that fails its work is left out, and when it may return.
//!
//! ```text
//!          too many failures in a row: base time × ejections in a row, with jitter
//!    in ────────────────────────────────────────────────────────────────────────▶ out
//!    ▲ │ each interval in good order: one ejection less in the row                 │
//!    │ ▼                                                                           │
//!    in ◀──────────────────────────────────────────────────────────────────────────┘ time is up
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::{Rng, RngExt};

use crate::config::OutlierDetection;
use crate::name::ClusterName;

use super::conduct::Row;
use super::{Conduct, Health, Host, HostSet, Reason};

/// By so much of itself chance makes an ejection longer, so that hosts that were ejected together
/// do not return together.
const JITTER: f64 = 0.1;

/// What a host did too often in a row, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offence {
    /// It took no connection.
    Connects(u16),
    /// It answered with a status of 500 or above.
    Errors(u16),
    /// It cut work off, or did not answer in time.
    Failures(u16),
    /// It answered with status 502, 503 or 504.
    GatewayErrors(u16),
}

impl Offence {
    /// What `conduct`, which made the failures in a row these, brings a host before its judge for.
    ///
    /// A row is reported when it reaches its threshold, and each time it has grown by as much again:
    /// a report may be lost, and what kept a host from being ejected may pass.
    #[must_use]
    pub fn of(policy: &OutlierDetection, conduct: Conduct, row: Row) -> Option<Self> {
        let reaches = |count: u16, most: u16| most > 0 && count > 0 && count.is_multiple_of(most);
        let local = policy.consecutive_local_origin_failure;
        let gateway = policy.consecutive_gateway_failure;
        match conduct {
            Conduct::ConnectFailed if reaches(row.connects, local) => {
                Some(Self::Connects(row.connects))
            }
            Conduct::Failed if reaches(row.failures, local) => Some(Self::Failures(row.failures)),
            Conduct::Answered(502..=504) if reaches(row.gateway_errors, gateway) => {
                Some(Self::GatewayErrors(row.gateway_errors))
            }
            Conduct::Answered(500..) if reaches(row.errors, policy.consecutive_5xx) => {
                Some(Self::Errors(row.errors))
            }
            _ => None,
        }
    }
}

/// As operators read it.
impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connects(count) => write!(f, "{count} consecutive connect failures"),
            Self::Errors(count) => write!(f, "{count} consecutive responses with status 5xx"),
            Self::Failures(count) => {
                write!(f, "{count} consecutive requests cut off or not answered")
            }
            Self::GatewayErrors(count) => {
                write!(
                    f,
                    "{count} consecutive responses with status 502, 503 or 504"
                )
            }
        }
    }
}

/// A host that is brought before its judge.
#[derive(Clone, Debug)]
pub struct Suspicion {
    /// The cluster.
    pub cluster: ClusterName,
    /// Its host, perhaps of an earlier snapshot.
    pub host: Arc<Host>,
    /// What it did.
    pub offence: Offence,
}

/// A host's past before its judge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ejections {
    /// Ever.
    total: u64,
    /// In a row; how long the next one lasts.
    row: u32,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Since its last return, if it ever was out.
    In(Option<Instant>),
    Out {
        until: Instant,
    },
}

impl Default for Place {
    fn default() -> Self {
        Self::In(None)
    }
}

impl Ejections {
    /// How often the host was ejected.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Those that a predecessor has decided on: how many ever, how many in a row, and when the host
    /// returns, or since when it is in.
    #[must_use]
    pub fn inherited(total: u64, row: u32, until: Option<Instant>, now: Instant) -> Self {
        let place = match until {
            Some(until) => Place::Out { until },
            None => Place::In(Some(now)),
        };
        Self { total, row, place }
    }

    /// How many of the latest ones count as a row.
    #[must_use]
    pub fn row(&self) -> u32 {
        self.row
    }

    /// When the host returns; `None` while it is in.
    #[must_use]
    pub fn until(&self) -> Option<Instant> {
        match self.place {
            Place::In(_) => None,
            Place::Out { until } => Some(until),
        }
    }

    /// What follows when its time is up.
    #[must_use]
    pub fn returned(self, now: Instant) -> Self {
        Self {
            place: Place::In(Some(now)),
            ..self
        }
    }

    /// What follows another ejection now, and how long that lasts.
    fn ejected(
        self,
        policy: &OutlierDetection,
        now: Instant,
        rng: &mut impl Rng,
    ) -> (Self, Duration) {
        let row = self.row_at(now, policy.interval).saturating_add(1);
        let longest = policy.max_ejection_time.max(policy.base_ejection_time);
        let long = policy.base_ejection_time.saturating_mul(row).min(longest);
        let long = long.mul_f64(rng.random_range(1.0..=1.0 + JITTER));
        // Beyond what a clock can tell is the end of the next hundred years.
        let until = now.checked_add(long).unwrap_or(now + CENTURY);
        let ejections = Self {
            total: self.total + 1,
            row,
            place: Place::Out { until },
        };
        (ejections, long)
    }

    /// Ejections in a row that still count: each interval since the last return takes one off.
    fn row_at(self, now: Instant, interval: Duration) -> u32 {
        let Place::In(Some(since)) = self.place else {
            return self.row;
        };
        let good = now.saturating_duration_since(since).as_nanos();
        let intervals = good / interval.as_nanos().max(1);
        self.row
            .saturating_sub(u32::try_from(intervals).unwrap_or(u32::MAX))
    }
}

const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// What becomes of a host that was brought before its judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is left out.
    Eject {
        /// Its past after that.
        ejections: Ejections,
        /// How long.
        long: Duration,
    },
    /// It stays, for this reason.
    Spare(Spared),
    /// There is nothing to judge: it is out already, or it is another host by now.
    Dismiss,
}

/// Why a host stays that should be ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spared {
    /// No other host is healthy.
    Last,
    /// As many are ejected as may be.
    Enough {
        /// Ejected hosts.
        ejected: usize,
        /// All hosts.
        of: usize,
    },
}

/// As operators read it.
impl fmt::Display for Spared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Last => f.write_str("no other host is healthy"),
            Self::Enough { ejected, of } => write!(
                f,
                "{ejected} of {of} hosts are ejected, which is as many as may be"
            ),
        }
    }
}

/// Judges a host of `hosts` that behaved badly.
pub fn judge(
    policy: &OutlierDetection,
    hosts: &HostSet,
    suspect: &Host,
    now: Instant,
    rng: &mut impl Rng,
) -> Verdict {
    let host = match hosts.find(suspect.address()) {
        Some(host) if host.is(suspect) && host.ejections().until().is_none() => host,
        _ => return Verdict::Dismiss,
    };
    let of = hosts.hosts().len();
    let ejected = hosts.hosts().iter();
    let ejected = ejected
        .filter(|host| host.flags().of(Reason::Ejected) == Health::Unhealthy)
        .count();
    let allowed = (of * usize::from(policy.max_ejection_percent) / 100).max(1);
    if ejected >= allowed {
        return Verdict::Spare(Spared::Enough { ejected, of });
    }
    let mut others = hosts.hosts().iter().filter(|other| !other.is(host));
    if !others.any(|other| other.health() == Health::Healthy) {
        return Verdict::Spare(Spared::Last);
    }
    let (ejections, long) = host.ejections().ejected(policy, now, rng);
    Verdict::Eject { ejections, long }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::super::host::tests::configured;
    use super::*;

    fn rng() -> SmallRng {
        SmallRng::seed_from_u64(4)
    }

    fn hosts(count: u16) -> HostSet {
        let hosts: Vec<_> = (0..count).map(|port| configured(port, 1)).collect();
        HostSet::new(&hosts)
    }

    /// Ejects whom the judge says, at `now`; how many of the suspects went.
    fn eject(
        policy: &OutlierDetection,
        set: &mut HostSet,
        ports: impl IntoIterator<Item = u16>,
        now: Instant,
    ) -> Vec<Verdict> {
        let judged = ports.into_iter().map(|port| {
            let suspect = Arc::clone(set.find(&configured(port, 1).address).unwrap());
            let verdict = judge(policy, set, &suspect, now, &mut rng());
            if let Verdict::Eject { ejections, .. } = &verdict {
                *set = set.with_ejections(suspect.address(), *ejections);
            }
            verdict
        });
        judged.collect()
    }

    fn count(verdicts: &[Verdict]) -> usize {
        verdicts
            .iter()
            .filter(|verdict| matches!(verdict, Verdict::Eject { .. }))
            .count()
    }

    #[test]
    fn a_row_is_reported_at_its_threshold_and_each_time_it_has_grown_by_as_much() {
        let policy = OutlierDetection {
            consecutive_5xx: 3,
            consecutive_gateway_failure: 2,
            consecutive_local_origin_failure: 0,
            ..OutlierDetection::default()
        };
        let row = |errors, gateway_errors| Row {
            errors,
            gateway_errors,
            connects: 5,
            failures: 5,
        };
        let of = |status, row| Offence::of(&policy, Conduct::Answered(status), row);
        for (errors, expected) in [(2, false), (3, true), (4, false), (6, true)] {
            let offence = of(500, row(errors, 0));
            assert_eq!(offence, expected.then_some(Offence::Errors(errors)));
        }
        assert_eq!(of(503, row(4, 2)), Some(Offence::GatewayErrors(2)));
        assert_eq!(of(503, row(3, 1)), Some(Offence::Errors(3)));
        assert_eq!(of(200, row(3, 2)), None);
        for off in [Conduct::ConnectFailed, Conduct::Failed] {
            assert_eq!(Offence::of(&policy, off, row(0, 0)), None);
        }
    }

    #[test]
    fn ejections_in_a_row_grow_to_their_most_and_shrink_with_good_order() {
        let policy = OutlierDetection::default();
        let mut now = Instant::now();
        let mut past = Ejections::default();
        let base = policy.base_ejection_time;
        for times in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 10] {
            let (after, long) = past.ejected(&policy, now, &mut rng());
            assert!(base * times <= long && long <= (base * times).mul_f64(1.1));
            assert_eq!(after.until(), Some(now + long));
            now += long;
            past = after.returned(now);
            assert_eq!(past.until(), None);
        }
        assert_eq!(past.total(), 12);
        for (intervals, times) in [(0, 10), (5, 8), (9, 4), (12, 1), (500, 1)] {
            let later = now + policy.interval * intervals;
            let (_, long) = past.ejected(&policy, later, &mut rng());
            assert!(base * times <= long && long <= (base * times).mul_f64(1.1));
        }
    }

    #[test]
    fn hosts_that_are_ejected_together_do_not_return_together() {
        let policy = OutlierDetection::default();
        let (now, mut rng) = (Instant::now(), rng());
        let times: std::collections::HashSet<_> = (0..50)
            .map(|_| Ejections::default().ejected(&policy, now, &mut rng).1)
            .collect();
        assert_eq!(times.len(), 50);
    }

    #[test]
    fn no_more_than_their_share_of_the_hosts_is_ejected_and_always_one() {
        for (count_of, percent, most) in [(100, 10, 10), (19, 10, 1), (3, 10, 1), (10, 50, 5)] {
            let policy = OutlierDetection {
                max_ejection_percent: percent,
                ..OutlierDetection::default()
            };
            let mut set = hosts(count_of);
            let verdicts = eject(&policy, &mut set, 0..count_of, Instant::now());
            assert_eq!(count(&verdicts), most);
            let of = usize::from(count_of);
            let spared = Spared::Enough { ejected: most, of };
            assert_eq!(verdicts.last(), Some(&Verdict::Spare(spared)));
        }
    }

    #[test]
    fn the_last_healthy_host_is_never_ejected() {
        let policy = OutlierDetection {
            max_ejection_percent: 100,
            ..OutlierDetection::default()
        };
        let mut set = hosts(4).with_health(
            &configured(3, 1).address,
            Reason::FailedCheck,
            Health::Unhealthy,
        );
        let verdicts = eject(&policy, &mut set, 0..3, Instant::now());
        assert_eq!(count(&verdicts), 2);
        assert_eq!(verdicts[2], Verdict::Spare(Spared::Last));
        assert_eq!(set.eligible(), [2]);
    }

    #[test]
    fn who_is_out_or_another_host_is_not_judged() {
        let policy = OutlierDetection::default();
        let mut set = hosts(30);
        let verdicts = eject(&policy, &mut set, [7, 7], Instant::now());
        assert_eq!(count(&verdicts), 1);
        assert_eq!(verdicts[1], Verdict::Dismiss);

        let stranger = &hosts(30).hosts()[3].clone();
        let verdict = judge(&policy, &set, stranger, Instant::now(), &mut rng());
        assert_eq!(verdict, Verdict::Dismiss);
    }
}
