//! The hosts of a cluster at one moment.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use foldhash::{HashMap, HashSet};

use crate::config::{self, Balancer, HostAddress};

use super::balance::Table;
use super::standing::{Standing, standing};
use super::{Duty, Ejections, Health, Host, Moment, Reason, Subsets};

/// The hosts of a cluster at one moment, each address once.
///
/// Immutable: every change makes a new set, in which the hosts that stay keep their health and
/// their live counts. A request holds the set that it started with.
#[derive(Clone, Debug, Default)]
pub struct HostSet {
    hosts: Box<[Arc<Host>]>,
    /// Positions of those that may be chosen, so that a draw among them needs no scan.
    eligible: Box<[usize]>,
    standing: Standing,
    /// When less of a hundred are healthy, all are chosen.
    panic_threshold: u8,
    weights_differ: bool,
    /// Where the cluster divides its hosts.
    subsets: Option<Arc<Subsets>>,
    /// Made when it is first asked for; the same one for all sets of the same hosts in one order.
    table: Arc<OnceLock<Table>>,
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
        self.of_all(self.renewed(hosts))
    }

    /// These hosts before the ones already there; one that is already there is configured anew.
    #[must_use]
    pub fn appended(&self, hosts: &[config::Host]) -> Self {
        let mut all = self.renewed(hosts);
        all.extend(self.hosts.iter().cloned());
        self.of_all(all)
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
        self.of_all(hosts)
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
        self.of_distinct(hosts)
    }

    /// The set after one host was ejected, or has returned; the same set if it has no such host.
    #[must_use]
    pub fn with_ejections(&self, address: &HostAddress, ejections: Ejections) -> Self {
        let mut hosts = self.hosts.clone();
        if let Some(host) = hosts.iter_mut().find(|host| host.address() == address) {
            *host = Arc::new(host.with_ejections(ejections));
        }
        self.of_distinct(hosts)
    }

    /// The set after every host's past was forgotten: none is ejected.
    #[must_use]
    pub fn pardoned(&self) -> Self {
        let innocent = Ejections::default();
        let hosts = self.hosts.iter().map(|host| match host.ejections() {
            past if *past == innocent => Arc::clone(host),
            _ => Arc::new(host.with_ejections(innocent)),
        });
        self.of_distinct(hosts.collect())
    }

    /// The set all of whose hosts are chosen when less than `percent` of them are healthy; with 0
    /// never, and so it is for a new set.
    #[must_use]
    pub fn with_panic_threshold(self, percent: u8) -> Self {
        if percent == self.panic_threshold {
            return self;
        }
        let rule = self
            .subsets
            .as_ref()
            .map(|subsets| Arc::clone(subsets.rule()));
        let set = Self {
            panic_threshold: percent,
            ..Self::default()
        };
        set.of_distinct(self.hosts).divided(rule.as_deref())
    }

    /// The set after one of those who may speak against a host has taken back all that it said.
    #[must_use]
    pub fn without(&self, reason: Reason) -> Self {
        let speaks = |host: &Arc<Host>| host.flags().of(reason) == Health::Unhealthy;
        let hosts = self.hosts.iter().map(|host| match speaks(host) {
            true => Arc::new(host.with_health(reason, Health::Healthy)),
            false => Arc::clone(host),
        });
        self.of_distinct(hosts.collect())
    }

    /// The set after one host was told to drain, or to serve again; the same set if it has no such
    /// host.
    #[must_use]
    pub fn with_duty(&self, address: &HostAddress, duty: Duty) -> Self {
        let mut hosts = self.hosts.clone();
        if let Some(host) = hosts.iter_mut().find(|host| host.address() == address) {
            *host = Arc::new(host.with_duty(duty));
        }
        self.of_distinct(hosts)
    }

    /// The set with one host in the place of the same host as it was; the same set if it has no
    /// such host.
    pub(super) fn with_host(&self, host: &Arc<Host>) -> Self {
        let mut hosts = self.hosts.clone();
        if let Some(before) = hosts.iter_mut().find(|before| before.is(host)) {
            *before = Arc::clone(host);
        }
        self.of_distinct(hosts)
    }

    /// The hosts that are not in `after`, a later set of the same cluster.
    pub fn gone<'a>(&'a self, after: &'a Self) -> impl Iterator<Item = &'a Arc<Host>> {
        let stay: HashSet<_> = after.hosts.iter().map(|h| Arc::as_ptr(h.load())).collect();
        let hosts = self.hosts.iter();
        hosts.filter(move |host| !stay.contains(&Arc::as_ptr(host.load())))
    }

    /// The set, divided by a rule from now on; by none, it is not divided.
    #[must_use]
    pub fn divided(&self, rule: Option<&config::Subsets>) -> Self {
        let subsets = rule.map(|rule| match &self.subsets {
            Some(subsets) if **subsets.rule() == *rule => Arc::clone(subsets),
            _ => Arc::new(Subsets::new(rule, self.panic_threshold, &self.hosts)),
        });
        Self {
            subsets,
            ..self.clone()
        }
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

    /// The host whose address a configuration writes so.
    #[must_use]
    pub fn named(&self, text: &str) -> Option<&Arc<Host>> {
        match text.parse::<SocketAddr>() {
            Ok(address) => self.find(&address.into()),
            Err(_) => self.hosts.iter().find(|host| host.to_string() == text),
        }
    }

    /// Which hosts may be chosen.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// How many hosts are healthy.
    #[must_use]
    pub fn healthy_count(&self) -> usize {
        let hosts = self.hosts.iter();
        hosts
            .filter(|host| host.health() == Health::Healthy)
            .count()
    }

    /// Its subsets, where the cluster divides its hosts.
    #[must_use]
    pub fn subsets(&self) -> Option<&Subsets> {
        self.subsets.as_deref()
    }

    /// Makes what a balancer needs that takes long, for its subsets too: whoever publishes a set does
    /// so, so that no request waits.
    pub fn prepare(&self, balancer: Balancer) {
        if balancer == Balancer::Maglev {
            self.table();
            let subsets = self.subsets.iter().flat_map(|subsets| subsets.sets());
            subsets.for_each(|set| {
                set.table();
            });
        }
    }

    /// Whether a balancer has nothing to wait for.
    #[cfg(test)]
    pub(crate) fn is_prepared(&self, balancer: Balancer) -> bool {
        let has_table = |set: &Self| set.table.get().is_some();
        let mut subsets = self.subsets.iter().flat_map(|subsets| subsets.sets());
        balancer != Balancer::Maglev || (has_table(self) && subsets.all(|set| has_table(set)))
    }

    /// The table of consistent hashing over all its hosts, which takes milliseconds to make when it
    /// is first asked for.
    pub fn table(&self) -> &Table {
        self.table.get_or_init(|| Table::new(&self.hosts))
    }

    /// Whether the host in this position may be chosen.
    pub(super) fn is_fit(&self, index: usize) -> bool {
        self.eligible.binary_search(&index).is_ok()
    }

    /// Notes of the hosts that may be chosen again, and could not in the set `before` this one, that
    /// they may since `now`.
    pub fn note_recovered(&self, before: &Self, now: Moment) {
        if !Arc::ptr_eq(&before.table, &self.table) {
            self.note_came(now);
        }
        for (before, after) in before.hosts.iter().zip(&self.hosts) {
            let turned = before.is(after) && before.health() == Health::Unhealthy;
            if turned && after.health() == Health::Healthy {
                after.load().form().works(now);
            }
        }
    }

    /// Notes of the hosts of which nobody has said since when they work that they do since `now`.
    pub fn note_came(&self, now: Moment) {
        let forms = self.hosts.iter().map(|host| host.load().form());
        let came = forms.filter(|form| form.works_since() == Moment::default());
        came.for_each(|form| form.works(now));
    }

    /// Positions in [`hosts`](Self::hosts) of those that may be chosen, ascending: the healthy ones,
    /// but for other [standings](Standing).
    pub(super) fn eligible(&self) -> &[usize] {
        &self.eligible
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
            Some(before) if before.is_configured_as(host) => Arc::clone(before),
            Some(before) => Arc::new(Host::renewed(host, before)),
            None => Arc::new(Host::new(host)),
        });
        renewed.collect()
    }

    /// These hosts, each address once, chosen by the same rules.
    fn of_all(&self, hosts: impl IntoIterator<Item = Arc<Host>>) -> Self {
        let mut all: Vec<_> = hosts.into_iter().collect();
        let mut seen = HashSet::default();
        let first: Vec<bool> = all
            .iter()
            .map(|h| seen.insert(h.address().clone()))
            .collect();
        let mut first = first.into_iter();
        all.retain(|_| first.next() == Some(true));
        self.of_distinct(all.into())
    }

    /// The same, where each address is there once.
    fn of_distinct(&self, all: Box<[Arc<Host>]>) -> Self {
        let subsets = self.subsets.as_ref();
        let subsets = subsets.map(|subsets| Arc::new(subsets.followed(&self.hosts, &all)));
        Self {
            subsets,
            ..self.refilled(all)
        }
    }

    /// The same, where nothing is divided any further.
    pub(super) fn refilled(&self, all: impl Into<Box<[Arc<Host>]>>) -> Self {
        let all = all.into();
        let mut pairs = self.hosts.iter().zip(&all);
        let stay = self.hosts.len() == all.len() && pairs.all(|(a, b)| a.is(b));
        let (standing, eligible) = standing(&all, self.panic_threshold);
        Self {
            eligible,
            standing,
            panic_threshold: self.panic_threshold,
            weights_differ: all.windows(2).any(|two| two[0].weight() != two[1].weight()),
            subsets: None,
            table: match stay {
                true => Arc::clone(&self.table),
                false => Arc::default(),
            },
            hosts: all,
        }
    }
}

#[cfg(test)]
mod tests;
