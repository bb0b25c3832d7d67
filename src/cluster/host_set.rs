//! The hosts of a cluster at one moment.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::config::{self, HostAddress};

use super::{Health, Host, Reason};

/// The hosts of a cluster at one moment, each address once.
///
/// Immutable: every change makes a new set, in which the hosts that stay keep their health and
/// their live counts. A request holds the set that it started with.
#[derive(Clone, Debug, Default)]
pub struct HostSet {
    hosts: Box<[Arc<Host>]>,
    /// Positions of the healthy ones, so that a draw among them needs no scan.
    healthy: Box<[usize]>,
    weights_differ: bool,
}

impl HostSet {
    /// A set of new hosts, all healthy. Of two with one address the first counts.
    #[must_use]
    pub fn new(hosts: &[config::Host]) -> Self {
        Self::default().with_hosts(hosts)
    }

    /// These hosts in place of all others.
    #[must_use]
    pub fn with_hosts(&self, hosts: &[config::Host]) -> Self {
        Self::from_hosts(self.renewed(hosts))
    }

    /// These hosts before the ones already there; one that is already there is configured anew.
    #[must_use]
    pub fn appended(&self, hosts: &[config::Host]) -> Self {
        let mut all = self.renewed(hosts);
        all.extend(self.hosts.iter().cloned());
        Self::from_hosts(all)
    }

    /// The set without some addresses; unknown ones are ignored.
    ///
    /// The order becomes that of the addresses as text, as MOSN's does.
    #[must_use]
    pub fn removed(&self, addresses: &[HostAddress]) -> Self {
        let addresses: HashSet<_> = addresses.iter().collect();
        let mut hosts: Vec<_> = self.hosts.to_vec();
        hosts.retain(|host| !addresses.contains(host.address()));
        hosts.sort_by_cached_key(|host| host.to_string());
        Self::from_hosts(hosts)
    }

    /// The set after someone has spoken for or against one host; the same set if it has no such
    /// host.
    #[must_use]
    pub fn with_health(&self, address: &HostAddress, reason: Reason, health: Health) -> Self {
        let mut hosts = self.hosts.clone();
        // Thousands of hosts may turn in a second: the rest of the set is not looked into.
        if let Some(host) = hosts.iter_mut().find(|host| host.address() == address) {
            *host = Arc::new(host.with_health(reason, health));
        }
        Self::of_distinct(hosts)
    }

    /// The set after one of those who may speak against a host has taken back all that it said.
    #[must_use]
    pub fn without(&self, reason: Reason) -> Self {
        let speaks = |host: &Arc<Host>| host.flags().of(reason) == Health::Unhealthy;
        let hosts = self.hosts.iter().map(|host| match speaks(host) {
            true => Arc::new(host.with_health(reason, Health::Healthy)),
            false => Arc::clone(host),
        });
        Self::of_distinct(hosts.collect())
    }

    /// All hosts, in order.
    #[must_use]
    pub fn hosts(&self) -> &[Arc<Host>] {
        &self.hosts
    }

    /// The host of an address.
    #[must_use]
    pub fn find(&self, address: &HostAddress) -> Option<&Arc<Host>> {
        self.hosts.iter().find(|host| host.address() == address)
    }

    /// Positions in [`hosts`](Self::hosts) of the healthy ones, ascending.
    pub(super) fn healthy(&self) -> &[usize] {
        &self.healthy
    }

    pub(super) fn weights_differ(&self) -> bool {
        self.weights_differ
    }

    fn renewed(&self, hosts: &[config::Host]) -> Vec<Arc<Host>> {
        // There may be tens of thousands: a search for each would stall its thread for seconds.
        let known: HashMap<_, _> = self
            .hosts
            .iter()
            .map(|host| (host.address(), host))
            .collect();
        let renewed = hosts.iter().map(|host| match known.get(&host.address) {
            Some(before) => Host::renewed(host, before),
            None => Host::new(host),
        });
        renewed.map(Arc::new).collect()
    }

    fn from_hosts(hosts: impl IntoIterator<Item = Arc<Host>>) -> Self {
        let mut all: Vec<_> = hosts.into_iter().collect();
        let mut seen = HashSet::new();
        let first: Vec<bool> = all
            .iter()
            .map(|h| seen.insert(h.address().clone()))
            .collect();
        let mut first = first.into_iter();
        all.retain(|_| first.next() == Some(true));
        Self::of_distinct(all.into())
    }

    fn of_distinct(all: Box<[Arc<Host>]>) -> Self {
        Self {
            healthy: (0..all.len())
                .filter(|&index| all[index].health() == Health::Healthy)
                .collect(),
            weights_differ: all.windows(2).any(|two| two[0].weight() != two[1].weight()),
            hosts: all,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::host::tests::configured;
    use super::super::{Lease, Work};
    use super::*;

    fn address(port: u16) -> HostAddress {
        configured(port, 1).address
    }

    fn order(set: &HostSet) -> Vec<String> {
        set.hosts()
            .iter()
            .map(|host| host.to_string()[10..].to_owned())
            .collect()
    }

    #[test]
    fn of_two_hosts_with_one_address_the_first_counts() {
        let set = HostSet::new(&[configured(1, 5), configured(2, 1), configured(1, 7)]);
        assert_eq!(order(&set), ["1", "2"]);
        assert_eq!(set.hosts()[0].weight(), 5);
    }

    #[test]
    fn a_host_that_stays_keeps_its_load_and_health() {
        let before = HostSet::new(&[configured(1, 1), configured(2, 1)]).with_health(
            &address(1),
            Reason::FailedCheck,
            Health::Unhealthy,
        );
        let _lease = Lease::new(before.hosts()[0].clone(), Work::Connection);

        let after = before.with_hosts(&[configured(3, 1), configured(1, 9)]);

        let host = after.find(&address(1)).unwrap();
        assert_eq!((host.weight(), host.health()), (9, Health::Unhealthy));
        assert_eq!(host.load().active_connections(), 1);
        assert!(host.is(&before.hosts()[0]));
    }

    #[test]
    fn a_host_that_comes_back_starts_anew() {
        let before = HostSet::new(&[configured(1, 1)]).with_health(
            &address(1),
            Reason::FailedCheck,
            Health::Unhealthy,
        );
        let after = before.with_hosts(&[]).with_hosts(&[configured(1, 1)]);
        assert_eq!(after.hosts()[0].health(), Health::Healthy);
    }

    #[test]
    fn appended_hosts_come_first_and_replace_their_like() {
        let set = HostSet::new(&[configured(1, 1), configured(2, 1)])
            .appended(&[configured(3, 1), configured(2, 8)]);
        assert_eq!(order(&set), ["3", "2", "1"]);
        assert_eq!(set.find(&address(2)).unwrap().weight(), 8);
    }

    #[test]
    fn a_change_of_many_hosts_takes_no_time_to_speak_of() {
        let hosts: Vec<_> = (1..=u16::MAX).map(|port| configured(port, 1)).collect();
        let before = HostSet::new(&hosts);
        let begun = std::time::Instant::now();

        let after = before.with_hosts(&hosts);

        // A search for each host would compare two thousand million addresses.
        assert!(begun.elapsed() < std::time::Duration::from_secs(20));
        assert!(after.hosts()[65_534].is(&before.hosts()[65_534]));
    }

    #[test]
    fn removing_sorts_the_rest_by_address_as_text() {
        let set = HostSet::new(&[configured(9, 1), configured(10, 1), configured(2, 1)])
            .removed(&[address(2), address(77)]);
        assert_eq!(order(&set), ["10", "9"]);
    }

    #[test]
    fn a_turn_of_health_changes_one_host_of_a_new_set() {
        let before = HostSet::new(&[configured(1, 1), configured(2, 1)]);
        let after = before.with_health(&address(2), Reason::FailedCheck, Health::Unhealthy);
        assert_eq!(before.healthy(), [0, 1]);
        assert_eq!(after.healthy(), [0]);
        assert_eq!(
            after
                .with_health(&address(2), Reason::FailedCheck, Health::Healthy)
                .healthy(),
            [0, 1]
        );
        assert_eq!(
            after
                .with_health(&address(3), Reason::FailedCheck, Health::Unhealthy)
                .healthy(),
            [0]
        );
    }

    #[test]
    fn what_one_has_said_is_taken_back_of_all_hosts_and_the_others_words_stay() {
        let before = HostSet::new(&[configured(1, 1), configured(2, 1), configured(3, 1)])
            .with_health(&address(1), Reason::FailedCheck, Health::Unhealthy)
            .with_health(&address(2), Reason::FailedCheck, Health::Unhealthy)
            .with_health(&address(2), Reason::Ejected, Health::Unhealthy);

        let after = before.without(Reason::FailedCheck);

        assert_eq!(after.healthy(), [0, 2]);
        assert!(Arc::ptr_eq(&after.hosts()[2], &before.hosts()[2]));
    }
}
