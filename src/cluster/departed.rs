//! What hosts have carried that a cluster no longer has.
//!
//! The sums of a cluster must not fall when a host goes: whoever reads them takes the difference
//! of two readings.

use std::sync::{Arc, OnceLock};

use foldhash::HashSet;

use crate::telemetry::tally::Tally;

use super::{HostSet, Load, Totals};

/// What hosts have carried that a cluster no longer has.
#[derive(Clone, Debug, Default)]
pub struct Departed {
    /// Of hosts that carry nothing more.
    settled: Option<Arc<Load>>,
    /// Of hosts whose last connections have not ended yet, or whose last readers look on.
    leaving: Vec<Arc<Load>>,
    /// Of hosts that only an earlier process had.
    earlier: Arc<OnceLock<Box<Load>>>,
}

impl Departed {
    /// Takes in what hosts have carried in an earlier process that are not here.
    pub fn credit(&self, carried: &Tally) {
        carried.credit(&**self.earlier.get_or_init(Box::default));
    }

    /// The same after `before` became `after`; `None` when no host went.
    #[must_use]
    pub fn after(&self, before: &HostSet, after: &HostSet) -> Option<Self> {
        let of = |set: &HostSet| -> Vec<_> {
            let hosts = set.hosts().iter();
            hosts.map(|host| Arc::as_ptr(host.load())).collect()
        };
        // Nearly every change is one of health.
        let staying = of(after);
        if of(before) == staying {
            return None;
        }
        let staying: HashSet<_> = staying.into_iter().collect();
        let hosts = before.hosts().iter();
        let gone = hosts.filter(|host| !staying.contains(&Arc::as_ptr(host.load())));
        let mut leaving: Vec<_> = gone.map(|host| Arc::clone(host.load())).collect();
        if leaving.is_empty() {
            return None;
        }
        // Nobody else can count on a quiet one any more.
        let is_quiet = |load: &&Arc<Load>| Arc::strong_count(load) == 1;
        let (quiet, others): (Vec<_>, Vec<_>) = self.leaving.iter().partition(is_quiet);
        leaving.extend(others.into_iter().cloned());
        Some(Self {
            settled: self.settled_with(&quiet),
            leaving,
            earlier: Arc::clone(&self.earlier),
        })
    }

    /// A new sum: readers may still have the one before, and `quiet` beside it.
    fn settled_with(&self, quiet: &[&Arc<Load>]) -> Option<Arc<Load>> {
        if quiet.is_empty() {
            return self.settled.clone();
        }
        let sum = Load::default();
        for load in self.settled.iter().chain(quiet.iter().copied()) {
            Tally::of(&**load).credit(&sum);
        }
        Some(Arc::new(sum))
    }

    /// What they have carried until now.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        self.loads().for_each(|load| totals += load);
        totals
    }

    /// The counts of which that is the sum.
    pub fn loads(&self) -> impl Iterator<Item = &Load> {
        let known = self.settled.iter().chain(&self.leaving);
        let known = known.map(|load| &**load);
        known.chain(self.earlier.get().map(|earlier| &**earlier))
    }
}

#[cfg(test)]
mod tests {
    use super::super::host::tests::configured;
    use super::super::{Lease, Work};
    use super::*;

    fn hosts(ports: &[u16]) -> Vec<crate::config::Host> {
        ports.iter().map(|port| configured(*port, 1)).collect()
    }

    #[test]
    fn what_a_host_carried_stays_in_the_sum_when_it_goes_and_after() {
        let mut set = HostSet::new(&hosts(&[1, 2]));
        let mut departed = Departed::default();
        let lease = Lease::new(Arc::clone(&set.hosts()[0]), Work::Connection);

        let mut next = set.with_hosts(&hosts(&[2]));
        departed = departed.after(&set, &next).unwrap();
        set = next;
        let totals = departed.totals();
        assert_eq!((totals.connections, totals.active_connections), (1, 1));

        drop(lease);
        // Each further host that goes settles those that went before.
        for port in 3..6 {
            next = set.with_hosts(&hosts(&[port]));
            departed = departed.after(&set, &next).unwrap();
            set = next;
            let totals = departed.totals();
            assert_eq!((totals.connections, totals.active_connections), (1, 0));
        }
        assert!(departed.leaving.len() <= 2, "{departed:?}");
    }

    #[test]
    fn a_change_in_which_no_host_goes_is_none_here() {
        let set = HostSet::new(&hosts(&[1, 2]));
        let more = set.with_hosts(&hosts(&[2, 3, 1]));
        assert!(Departed::default().after(&set, &more).is_none());
        assert!(
            Departed::default()
                .after(&set, &set.with_hosts(&hosts(&[1, 2])))
                .is_none()
        );
    }
}
