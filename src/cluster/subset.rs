//! The hosts of a cluster divided by their metadata.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::{self, Fallback, Metadata};

use super::{Host, HostSet};

/// When more hosts than these change at once, dividing all of them anew costs less.
const FEW: usize = 8;

/// The subsets of a host set: for each selector one for each combination of values that any host
/// has. Each is a host set of its own, of the very same hosts.
///
/// A change of hosts makes new sets only of subsets whose hosts changed; the others are the very
/// same ones, so whoever balances over them need not even look.
#[derive(Debug)]
pub struct Subsets {
    rule: Arc<config::Subsets>,
    /// That of the cluster holds for each of its subsets.
    panic_threshold: u8,
    sets: HashMap<Arc<Metadata>, Arc<HostSet>>,
    default: Option<Arc<HostSet>>,
}

impl Subsets {
    /// Divides hosts.
    pub(super) fn new(rule: &config::Subsets, panic_threshold: u8, hosts: &[Arc<Host>]) -> Self {
        let none = Self {
            rule: Arc::new(rule.clone()),
            panic_threshold,
            sets: HashMap::new(),
            default: None,
        };
        none.divided(hosts)
    }

    /// The rule by which they are divided.
    pub(super) fn rule(&self) -> &Arc<config::Subsets> {
        &self.rule
    }

    /// The subset whose selector and values are exactly these; `None` when no host has them all.
    #[must_use]
    pub fn find(&self, metadata: &Metadata) -> Option<(&Arc<Metadata>, &Arc<HostSet>)> {
        self.sets.get_key_value(metadata)
    }

    /// The selector by which work that wants `metadata` asks: the one whose names these are.
    #[must_use]
    pub fn selector(&self, metadata: &Metadata) -> Option<&[String]> {
        let mut selectors = self.rule.selectors.iter();
        let found = selectors.find(|selector| selector.iter().eq(metadata.keys()));
        found.map(Vec::as_slice)
    }

    /// All of them, the default one too.
    pub(super) fn sets(&self) -> impl Iterator<Item = &Arc<HostSet>> {
        self.sets.values().chain(&self.default)
    }

    /// The hosts of the default subset, where the fallback is that.
    #[must_use]
    pub fn default(&self) -> Option<&Arc<HostSet>> {
        self.default.as_ref()
    }

    /// Who takes what no subset takes.
    #[must_use]
    pub fn fallback(&self) -> &Fallback {
        &self.rule.fallback
    }

    /// How many there are; the default one does not count.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sets.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// The subsets after a change of hosts.
    pub(super) fn followed(&self, before: &[Arc<Host>], after: &[Arc<Host>]) -> Self {
        match turned(before, after) {
            Some(turned) => self.with_turned(&turned),
            None => self.divided(after),
        }
    }

    /// The subsets where some hosts have only turned.
    fn with_turned(&self, turned: &[&Arc<Host>]) -> Self {
        let mut next = Self {
            rule: Arc::clone(&self.rule),
            panic_threshold: self.panic_threshold,
            sets: self.sets.clone(),
            default: self.default.clone(),
        };
        for &host in turned {
            for key in keys(&self.rule, host) {
                if let Some(set) = next.sets.get_mut(&key) {
                    *set = Arc::new(set.with_host(host));
                }
            }
            if is_default(&self.rule, host)
                && let Some(set) = &mut next.default
            {
                *set = Arc::new(set.with_host(host));
            }
        }
        next
    }

    fn divided(&self, hosts: &[Arc<Host>]) -> Self {
        let mut members: HashMap<Metadata, Vec<Arc<Host>>> = HashMap::new();
        for host in hosts {
            for key in keys(&self.rule, host) {
                members.entry(key).or_default().push(Arc::clone(host));
            }
        }
        let empty = HostSet::default().with_panic_threshold(self.panic_threshold);
        let sets = members
            .into_iter()
            .map(|(key, members)| match self.sets.get_key_value(&key) {
                Some((key, before)) => (Arc::clone(key), refilled(before, members)),
                None => {
                    let set = empty.refilled(members);
                    (Arc::new(key), Arc::new(set))
                }
            });
        let default = matches!(self.rule.fallback, Fallback::Default(_)).then(|| {
            let members = hosts.iter().filter(|host| is_default(&self.rule, host));
            let before = self.default.clone();
            let before = before.unwrap_or_else(|| Arc::new(empty.clone()));
            refilled(&before, members.cloned().collect())
        });
        Self {
            rule: Arc::clone(&self.rule),
            panic_threshold: self.panic_threshold,
            sets: sets.collect(),
            default,
        }
    }
}

/// The hosts that are not the very same, where all others stay in their places; `None` where that
/// is too much to follow one by one.
fn turned<'a>(before: &[Arc<Host>], after: &'a [Arc<Host>]) -> Option<Vec<&'a Arc<Host>>> {
    if before.len() != after.len() {
        return None;
    }
    let mut turned = Vec::new();
    for (before, after) in before.iter().zip(after) {
        if Arc::ptr_eq(before, after) {
            continue;
        }
        let is_same = before.is(after) && before.metadata() == after.metadata();
        if !is_same || turned.len() == FEW {
            return None;
        }
        turned.push(after);
    }
    Some(turned)
}

fn refilled(before: &Arc<HostSet>, members: Vec<Arc<Host>>) -> Arc<HostSet> {
    let hosts = before.hosts();
    let is_same =
        hosts.len() == members.len() && hosts.iter().zip(&members).all(|(a, b)| Arc::ptr_eq(a, b));
    match is_same {
        true => Arc::clone(before),
        false => Arc::new(before.refilled(members)),
    }
}

/// What selectors make of a host: for each one all of whose names it has, these with its values.
fn keys<'a>(rule: &'a config::Subsets, host: &'a Host) -> impl Iterator<Item = Metadata> + use<'a> {
    let of_selector = |selector: &Vec<String>| {
        let pair = |name: &String| {
            let value = host.metadata().get(name)?;
            Some((name.clone(), value.clone()))
        };
        selector.iter().map(pair).collect()
    };
    rule.selectors.iter().filter_map(of_selector)
}

fn is_default(rule: &config::Subsets, host: &Host) -> bool {
    let Fallback::Default(wanted) = &rule.fallback else {
        return false;
    };
    let has = |(name, value): (&String, &String)| host.metadata().get(name) == Some(value);
    wanted.iter().all(has)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::host::tests::{configured, metadata, placed, rule};
    use super::super::{Health, Reason};
    use super::*;

    fn divided(hosts: &[config::Host], rule: &config::Subsets) -> HostSet {
        HostSet::default().divided(Some(rule)).with_hosts(hosts)
    }

    fn ports(set: &HostSet) -> Vec<String> {
        let port = |host: &Arc<Host>| host.to_string()[10..].to_owned();
        set.hosts().iter().map(port).collect()
    }

    fn of(set: &HostSet, pairs: &[(&str, &str)]) -> Option<Vec<String>> {
        let (_, found) = set.subsets().unwrap().find(&metadata(pairs))?;
        Some(ports(found))
    }

    #[test]
    fn a_subset_is_found_by_a_whole_selector_and_nothing_else() {
        let set = divided(
            &[
                placed(1, &[("zone", "a"), ("stage", "prod")]),
                placed(2, &[("zone", "a"), ("stage", "test")]),
                placed(3, &[("zone", "b"), ("stage", "prod"), ("rack", "1")]),
                placed(4, &[]),
            ],
            &rule(&[&["zone"], &["stage", "zone"]], Fallback::None),
        );
        let found = |pairs: &[(&str, &str)]| of(&set, pairs).map(|ports| ports.join(","));
        for (pairs, expected) in [
            (&[("zone", "a")][..], Some("1,2")),
            (&[("zone", "b")], Some("3")),
            (&[("zone", "a"), ("stage", "test")], Some("2")),
            (&[("zone", "c")], None),
            (&[("stage", "prod")], None),
            (&[("rack", "1")], None),
            (&[("zone", "b"), ("rack", "1")], None),
        ] {
            assert_eq!(found(pairs).as_deref(), expected, "{pairs:?}");
        }
        assert_eq!(set.subsets().unwrap().len(), 5);
    }

    #[test]
    fn the_default_subset_is_whoever_has_all_of_it() {
        let hosts = [
            placed(1, &[("zone", "a")]),
            placed(2, &[("zone", "a"), ("stage", "prod")]),
        ];
        let default = |pairs: &[(&str, &str)]| {
            let rule = rule(&[&["zone"]], Fallback::Default(metadata(pairs)));
            let set = divided(&hosts, &rule);
            ports(set.subsets().unwrap().default().unwrap()).join(",")
        };
        assert_eq!(default(&[("stage", "prod")]), "2");
        assert_eq!(default(&[]), "1,2");
        assert_eq!(default(&[("stage", "test")]), "");
    }

    #[test]
    fn a_turn_of_health_touches_only_the_subsets_of_that_host() {
        let before = divided(
            &[placed(1, &[("zone", "a")]), placed(2, &[("zone", "b")])],
            &rule(&[&["zone"]], Fallback::None),
        );
        let address = configured(2, 1).address;
        let after = before.with_health(&address, Reason::FailedCheck, Health::Unhealthy);
        let set = |of: &HostSet, zone| {
            let found = of.subsets().unwrap().find(&metadata(&[("zone", zone)]));
            Arc::clone(found.unwrap().1)
        };
        assert!(Arc::ptr_eq(&set(&before, "a"), &set(&after, "a")));
        assert_eq!(set(&after, "b").hosts()[0].health(), Health::Unhealthy);
        assert!(set(&after, "b").hosts()[0].is(&set(&before, "b").hosts()[0]));
    }

    /// Ports with zone and rack, each perhaps none.
    fn some_hosts() -> impl Strategy<Value = Vec<(u16, u8, u8)>> {
        proptest::collection::vec((0_u16..40, 0_u8..4, 0_u8..3), 0..30)
    }

    fn built(hosts: &[(u16, u8, u8)]) -> Vec<config::Host> {
        let host = |&(port, zone, rack): &(u16, u8, u8)| {
            let mut host = configured(port, 1);
            for (name, value) in [("zone", zone), ("rack", rack)] {
                if value > 0 {
                    host.metadata.insert(name.to_owned(), value.to_string());
                }
            }
            host
        };
        hosts.iter().map(host).collect()
    }

    proptest! {
        /// Whatever changes, in whatever order, leaves the subsets that dividing anew would.
        #[test]
        fn following_changes_ends_where_dividing_anew_would(
            lists in proptest::collection::vec((some_hosts(), any::<bool>()), 1..5),
            ill in proptest::collection::vec(0_u16..40, 0..12),
        ) {
            let fallback = Fallback::Default(metadata(&[("rack", "1")]));
            let rule = rule(&[&["zone"], &["rack", "zone"]], fallback);
            let mut set = HostSet::default().divided(Some(&rule));
            for (hosts, replaces) in &lists {
                let hosts = built(hosts);
                set = if *replaces { set.with_hosts(&hosts) } else { set.appended(&hosts) };
                for port in &ill {
                    let address = configured(*port, 1).address;
                    set = set.with_health(&address, Reason::Ejected, Health::Unhealthy);
                }
            }
            set = set.removed(&[configured(3, 1).address]);
            let anew = Subsets::new(&rule, 0, set.hosts());
            let followed = set.subsets().unwrap();
            prop_assert_eq!(followed.len(), anew.len());
            let same = |a: &HostSet, b: &HostSet| {
                a.hosts().len() == b.hosts().len()
                    && a.hosts().iter().zip(b.hosts()).all(|(a, b)| Arc::ptr_eq(a, b))
                    && a.eligible() == b.eligible()
            };
            for (key, found) in &anew.sets {
                prop_assert!(same(followed.find(key).unwrap().1, found), "{:?}", key);
            }
            prop_assert!(same(followed.default().unwrap(), anew.default().unwrap()));
        }
    }
}
