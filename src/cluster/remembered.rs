//! What is remembered of the name of a plain host: where it leads, and for how long that holds.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an answer holds (MOSN).
const HOLDS: Duration = Duration::from_secs(15);

/// How long the first failure holds; each further one twice as long as the one before, up to an
/// answer's time. In MOSN every failure holds for that: a name that comes late would too.
const FAILURE_HOLDS: Duration = Duration::from_secs(1);

/// What is remembered of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Of the last lookup that succeeded, in the order of preference.
    addresses: Arc<[SocketAddr]>,
    /// Why the last lookup failed, if it did.
    failure: Option<Arc<str>>,
    failures: u32,
    until: Instant,
}

/// What is to be done for whoever asks for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recall {
    /// It leads there.
    Use(Arc<[SocketAddr]>),
    /// It leads there as far as is known; it is to be looked up again meanwhile.
    Refresh(Arc<[SocketAddr]>),
    /// It leads nowhere, and that was found a moment ago.
    Refuse(Arc<str>),
    /// It is to be looked up first.
    LookUp,
}

impl Remembered {
    /// What is remembered once a lookup has ended. A failure keeps the addresses that there were.
    #[must_use]
    pub fn after(
        before: Option<&Self>,
        found: Result<Vec<SocketAddr>, String>,
        now: Instant,
    ) -> Self {
        let found = found.and_then(|addresses| match addresses.is_empty() {
            true => Err("it has no address".to_owned()),
            false => Ok(addresses),
        });
        match found {
            Ok(addresses) => Self {
                addresses: addresses.into(),
                failure: None,
                failures: 0,
                until: now + HOLDS,
            },
            Err(failure) => {
                let failures = before.map_or(0, |before| before.failures).saturating_add(1);
                let doubled = FAILURE_HOLDS.saturating_mul(1 << (failures - 1).min(8));
                Self {
                    addresses: before.map_or_else(Arc::default, |known| known.addresses.clone()),
                    failure: Some(failure.into()),
                    failures,
                    until: now + doubled.min(HOLDS),
                }
            }
        }
    }

    /// What is to be done for whoever asks for a name of which this is known.
    #[must_use]
    pub fn recall(known: Option<&Self>, now: Instant) -> Recall {
        let Some(known) = known else {
            return Recall::LookUp;
        };
        let is_fresh = now < known.until;
        match (&known.failure, known.addresses.is_empty()) {
            (_, false) if is_fresh => Recall::Use(known.addresses.clone()),
            (_, false) => Recall::Refresh(known.addresses.clone()),
            (Some(failure), true) if is_fresh => Recall::Refuse(failure.clone()),
            (_, true) => Recall::LookUp,
        }
    }

    /// Why the last lookup failed, if it did.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Until when it holds.
    #[must_use]
    pub fn until(&self) -> Instant {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> SocketAddr {
        ([127, 0, 0, last], 0).into()
    }

    fn found(last: u8) -> Result<Vec<SocketAddr>, String> {
        Ok(vec![address(last)])
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_answer_holds_for_a_while_and_is_used_until_there_is_another() {
        let now = Instant::now();
        let known = Remembered::after(None, found(1), now);
        let there: Arc<[_]> = [address(1)].into();
        let at = |seconds| Remembered::recall(Some(&known), now + secs(seconds));

        assert_eq!(Remembered::recall(None, now), Recall::LookUp);
        assert_eq!(at(14), Recall::Use(there.clone()));
        assert_eq!(at(15), Recall::Refresh(there));
    }

    #[test]
    fn a_failure_keeps_the_last_good_answer() {
        let now = Instant::now();
        let known = Remembered::after(None, found(1), now);
        let failed = Remembered::after(Some(&known), Err("silent".to_owned()), now);

        let there: Arc<[_]> = [address(1)].into();
        assert_eq!(failed.failure(), Some("silent"));
        assert_eq!(
            Remembered::recall(Some(&failed), now),
            Recall::Use(there.clone())
        );
        assert_eq!(
            Remembered::recall(Some(&failed), now + secs(1)),
            Recall::Refresh(there)
        );
        let again = Remembered::after(Some(&failed), found(2), now);
        assert_eq!(again, Remembered::after(None, found(2), now));
    }

    #[test]
    fn a_name_that_leads_nowhere_is_asked_for_less_and_less_often() {
        let now = Instant::now();
        let mut known = None;
        let mut holds = Vec::new();
        for _ in 0..40 {
            let after = Remembered::after(known.as_ref(), Ok(vec![]), now);
            let (before, since) = (after.until() - Duration::from_nanos(1), after.until());
            let why = Recall::Refuse("it has no address".into());
            assert_eq!(Remembered::recall(Some(&after), before), why);
            assert_eq!(Remembered::recall(Some(&after), since), Recall::LookUp);
            holds.push((after.until() - now).as_secs());
            known = Some(after);
        }
        assert_eq!(holds[..6], [1, 2, 4, 8, 15, 15]);
        assert_eq!(holds[39], 15);
    }
}
