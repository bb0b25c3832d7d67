//! The hosts of a cluster at one moment.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use crate::config::{self, HostAddress};

use super::balance::Table;
use super::{Duty, Ejections, Flags, Health, Host, Moment, Reason, Subsets};

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

/// Which hosts of a set may be chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// The healthy ones.
    #[default]
    Sound,
    /// None is healthy: those against whom nothing speaks but an ejection. It is a suspicion, and
    /// no answer would be worse.
    Makeshift,
    /// All of them: too few are healthy to carry what comes.
    Panic,
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

    /// The table of consistent hashing over all its hosts, which takes milliseconds to make when it
    /// is first asked for. Whoever publishes a set that needs one asks, so that no request waits.
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
        let mut seen = HashSet::new();
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

/// Which of all hosts may be chosen, and why those.
fn standing(all: &[Arc<Host>], panic_threshold: u8) -> (Standing, Box<[usize]>) {
    // One that drains is there for no choice and counts for none.
    let serves = |index: usize| all[index].duty() == Duty::Serving;
    let having = |flags: Flags| -> Box<[usize]> {
        let indices = 0..all.len();
        indices
            .filter(|&index| serves(index) && all[index].flags() == flags)
            .collect()
    };
    let healthy = having(Flags::default());
    let serving: Box<[usize]> = (0..all.len()).filter(|&index| serves(index)).collect();
    if healthy.len() * 100 < serving.len() * usize::from(panic_threshold) {
        return (Standing::Panic, serving);
    }
    if healthy.is_empty() {
        let ejected = having(only_ejected());
        if !ejected.is_empty() {
            return (Standing::Makeshift, ejected);
        }
    }
    (Standing::Sound, healthy)
}

/// What speaks against a host that is ejected and nothing else.
fn only_ejected() -> Flags {
    Flags::default().with(Reason::Ejected, Health::Unhealthy)
}

#[cfg(test)]
mod tests {
    use super::super::host::tests::configured;
    use super::super::{Lease, Verdict, Work, judge};
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
    fn a_host_that_drains_is_healthy_and_not_chosen_whatever_else_changes() {
        let before = HostSet::new(&[configured(1, 1), configured(2, 1)]);
        let drains = before.with_duty(&address(1), Duty::Draining);
        assert_eq!(drains.eligible(), [1]);

        let after = drains.with_hosts(&[configured(3, 1), configured(1, 9)]);
        let host = after.find(&address(1)).unwrap();
        assert_eq!(host.duty(), Duty::Draining);
        assert_eq!(host.health(), Health::Healthy);

        let serves = after.with_duty(&address(1), Duty::Serving);
        assert_eq!(serves.eligible(), [0, 1]);
    }

    #[test]
    fn in_a_panic_a_host_that_drains_is_left_in_peace() {
        let set = HostSet::new(&[configured(1, 1), configured(2, 1), configured(3, 1)])
            .with_panic_threshold(60)
            .with_duty(&address(1), Duty::Draining)
            .with_health(&address(2), Reason::FailedCheck, Health::Unhealthy);
        assert_eq!(set.standing(), Standing::Panic);
        assert_eq!(set.eligible(), [1, 2]);
    }

    #[test]
    fn what_left_a_set_is_told() {
        let before = HostSet::new(&[configured(1, 1), configured(2, 1)]);
        let after = before.with_hosts(&[configured(2, 7), configured(3, 1)]);
        let gone: Vec<_> = before.gone(&after).map(ToString::to_string).collect();
        assert_eq!(gone, ["127.0.0.1:1"]);
        assert_eq!(after.gone(&after).count(), 0);
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
        assert_eq!(before.eligible(), [0, 1]);
        assert_eq!(after.eligible(), [0]);
        assert_eq!(
            after
                .with_health(&address(2), Reason::FailedCheck, Health::Healthy)
                .eligible(),
            [0, 1]
        );
        assert_eq!(
            after
                .with_health(&address(3), Reason::FailedCheck, Health::Unhealthy)
                .eligible(),
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

        assert_eq!(after.eligible(), [0, 2]);
        assert!(Arc::ptr_eq(&after.hosts()[2], &before.hosts()[2]));
    }

    fn fallen(of: u16, down: u16, percent: u8) -> HostSet {
        let hosts: Vec<_> = (0..of).map(|port| configured(port, 1)).collect();
        let set = HostSet::new(&hosts).with_panic_threshold(percent);
        (0..down).fold(set, |set, port| {
            set.with_health(&address(port), Reason::FailedCheck, Health::Unhealthy)
        })
    }

    #[test]
    fn below_the_panic_threshold_all_hosts_may_be_chosen() {
        for (of, down, percent, standing, eligible) in [
            (4, 2, 50, Standing::Sound, 2),
            (4, 3, 50, Standing::Panic, 4),
            (4, 4, 50, Standing::Panic, 4),
            (4, 4, 0, Standing::Sound, 0),
            (4, 1, 100, Standing::Panic, 4),
            (4, 0, 100, Standing::Sound, 4),
            (0, 0, 100, Standing::Sound, 0),
        ] {
            let set = fallen(of, down, percent);
            let found = (set.standing(), set.eligible().len());
            assert_eq!(found, (standing, eligible), "{down} of {of} at {percent} %");
        }
    }

    #[test]
    fn the_panic_threshold_stays_with_every_later_set() {
        let panicking = fallen(4, 3, 50);
        for set in [
            panicking.removed(&[address(2)]),
            panicking.appended(&[configured(4, 2)]),
            panicking.with_hosts(&[configured(0, 1), configured(1, 2), configured(3, 1)]),
            panicking.with_health(&address(2), Reason::Commanded, Health::Unhealthy),
            panicking.without(Reason::Commanded),
        ] {
            assert_eq!(set.standing(), Standing::Panic);
        }
        let calm = panicking.without(Reason::FailedCheck);
        assert_eq!(calm.standing(), Standing::Sound);
    }

    #[test]
    fn ejected_hosts_are_chosen_where_no_other_is_left() {
        let now = std::time::Instant::now();
        let policy = config::OutlierDetection::default();
        let rng = &mut <rand::rngs::SmallRng as rand::SeedableRng>::seed_from_u64(1);
        let before = fallen(3, 1, 0);
        let suspect = before.hosts()[1].clone();
        let Verdict::Eject { ejections, .. } = judge(&policy, &before, &suspect, now, rng) else {
            panic!("it is spared");
        };
        let after = before.with_ejections(suspect.address(), ejections);
        assert_eq!(
            (after.standing(), after.eligible()),
            (Standing::Sound, &[2][..])
        );

        // The last one goes by another way than the judge's.
        let last = after.with_hosts(&[configured(0, 1), configured(1, 1)]);
        assert_eq!(
            (last.standing(), last.eligible()),
            (Standing::Makeshift, &[1][..])
        );
        assert_eq!(last.hosts()[1].ejections(), &ejections);
        assert_eq!(last.pardoned().standing(), Standing::Sound);
        assert_eq!(last.pardoned().hosts()[1].ejections().total(), 0);
    }
}
