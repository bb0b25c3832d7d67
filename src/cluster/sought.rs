//! Among which hosts a piece of work finds its host, in words for people who ask.

use serde::{Deserialize, Serialize};

use crate::config::{Fallback, Metadata};

use super::{Duty, Subsets};
use super::{Health, Host, HostSet, Reason, Standing};

/// Among which hosts of a cluster a piece of work finds its host, when it asks for some metadata.
///
/// It is what [`Balances::pick`](super::Balances::pick) does, told beforehand.
#[derive(Debug)]
pub struct Sought<'a> {
    /// The hosts; none when nobody takes it.
    pub set: Option<&'a HostSet>,
    /// The names of the selector that it asks by; `None` when no selector has exactly these.
    pub selector: Option<&'a [String]>,
    /// Who takes it.
    pub taker: Taker,
    /// Why the subset that was asked for does not.
    pub missed: Option<Missed>,
}

/// Who takes a piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Taker {
    /// Any host: no subset is asked for.
    Cluster,
    /// The subset that is asked for.
    Subset,
    /// Any host, as the fallback.
    AnyHost,
    /// The default subset, as the fallback.
    DefaultSubset,
    /// Nobody: there is no fallback.
    Nobody,
}

/// Why a subset that was asked for takes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// No selector has exactly these names.
    NoSelector,
    /// No host has all of these values.
    NoHost,
    /// None of its hosts may be chosen.
    NoneFit,
}

impl<'a> Sought<'a> {
    /// Where work that asks for `metadata` finds its host among `hosts`.
    #[must_use]
    pub fn among(hosts: &'a HostSet, metadata: &Metadata) -> Self {
        let subsets = hosts.subsets().filter(|_| !metadata.is_empty());
        let Some(subsets) = subsets else {
            return Self {
                set: Some(hosts),
                selector: None,
                taker: Taker::Cluster,
                missed: None,
            };
        };
        let selector = subsets.selector(metadata);
        let missed = match subsets.find(metadata) {
            Some((_, set)) if !set.eligible().is_empty() => {
                return Self {
                    set: Some(set),
                    selector,
                    taker: Taker::Subset,
                    missed: None,
                };
            }
            Some(_) => Missed::NoneFit,
            None if selector.is_some() => Missed::NoHost,
            None => Missed::NoSelector,
        };
        let (set, taker) = fallback(hosts, subsets);
        Self {
            set,
            selector,
            taker,
            missed: Some(missed),
        }
    }

    /// Why a host of the cluster is not chosen; nothing where it may be.
    #[must_use]
    pub fn why_not(&self, host: &Host, metadata: &Metadata) -> Vec<String> {
        let Some(set) = self.set else {
            return elsewhere(host, metadata);
        };
        let found = set.hosts().iter().position(|other| other.is(host));
        match (found, self.taker) {
            (Some(index), _) if set.is_fit(index) => Vec::new(),
            (Some(_), _) => unfit(host),
            (None, Taker::DefaultSubset) => vec!["it is not in the default subset".to_owned()],
            (None, _) => elsewhere(host, metadata),
        }
    }

    /// Whether all hosts are used, since so few are healthy.
    #[must_use]
    pub fn panics(&self) -> bool {
        self.set
            .is_some_and(|set| set.standing() == Standing::Panic)
    }
}

fn fallback<'a>(hosts: &'a HostSet, subsets: &'a Subsets) -> (Option<&'a HostSet>, Taker) {
    match (subsets.fallback(), subsets.default()) {
        (Fallback::Any, _) => (Some(hosts), Taker::AnyHost),
        (Fallback::Default(_), Some(set)) => (Some(set), Taker::DefaultSubset),
        _ => (None, Taker::Nobody),
    }
}

/// What is against a host, whatever was asked for.
fn unfit(host: &Host) -> Vec<String> {
    let reasons = Reason::ALL.into_iter();
    let against = reasons.filter(|reason| host.flags().of(*reason) == Health::Unhealthy);
    let drains = (host.duty() == Duty::Draining).then(|| "it drains".to_owned());
    let against = against.map(|reason| reason.to_string());
    against.chain(drains).collect()
}

/// What of the metadata that was asked for a host does not have; then what else is against it.
fn elsewhere(host: &Host, metadata: &Metadata) -> Vec<String> {
    let wanted = metadata.iter();
    let other = wanted.filter_map(|(name, value)| match host.metadata().get(name) {
        Some(found) if found == value => None,
        Some(found) => Some(format!("its {name} is {found}")),
        None => Some(format!("it has no {name}")),
    });
    let mut why: Vec<_> = other.collect();
    why.extend(unfit(host));
    if why.is_empty() {
        why.push("no subset is divided so".to_owned());
    }
    why
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;
    use std::time::Instant;

    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::super::host::tests::{ill, metadata, placed, rule, zoned};
    use super::super::{Ask, Balances, Clue, Nobody};
    use super::*;
    use crate::config::{self, Balancer};

    fn hosts(fallback: Fallback) -> HostSet {
        zoned(Some(&rule(&[&["zone"]], fallback)))
    }

    fn told(hosts: &HostSet, asked: &[(&str, &str)]) -> (Taker, Option<Missed>, Vec<String>) {
        let asked = metadata(asked);
        let sought = Sought::among(hosts, &asked);
        let why = hosts.hosts().iter();
        let why = why.map(|host| sought.why_not(host, &asked).join(" and "));
        (sought.taker, sought.missed, why.collect())
    }

    #[test]
    fn a_host_that_is_not_chosen_has_its_reason() {
        let of_a = ["", "", "its zone is b", "it has no zone"];
        let set = hosts(Fallback::None);
        assert_eq!(
            told(&set, &[("zone", "a")]),
            (Taker::Subset, None, of_a.map(str::to_owned).to_vec())
        );
        let (taker, missed, why) = told(&ill(&set, 1), &[("zone", "a")]);
        assert_eq!((taker, missed), (Taker::Subset, None));
        assert_eq!(why[0], "failed its health check");

        let (taker, missed, why) = told(&ill(&set, 3), &[("zone", "b")]);
        assert_eq!((taker, missed), (Taker::Nobody, Some(Missed::NoneFit)));
        assert_eq!(why[2], "failed its health check");

        let (taker, missed, _) = told(&set, &[("rack", "1")]);
        assert_eq!((taker, missed), (Taker::Nobody, Some(Missed::NoSelector)));
        let (taker, missed, why) = told(&set, &[("spare", "yes")]);
        assert_eq!((taker, missed), (Taker::Nobody, Some(Missed::NoSelector)));
        assert_eq!(why[2], "no subset is divided so");

        let spare = hosts(Fallback::Default(metadata(&[("spare", "yes")])));
        let (taker, missed, why) = told(&spare, &[("zone", "c")]);
        assert_eq!(
            (taker, missed),
            (Taker::DefaultSubset, Some(Missed::NoHost))
        );
        assert_eq!(
            why,
            [
                "it is not in the default subset",
                "it is not in the default subset",
                "",
                "it is not in the default subset"
            ]
        );
        assert_eq!(told(&set, &[]).0, Taker::Cluster);
    }

    proptest! {
        /// What is told beforehand is what happens: those that may be chosen are those that are.
        #[test]
        fn whoever_may_be_chosen_is_and_nobody_else(
            zones in proptest::collection::vec(0_u8..4, 1..6),
            ills in proptest::collection::vec(any::<bool>(), 6),
            fallback in 0_u8..3,
            panic_threshold in prop_oneof![Just(0_u8), Just(50)],
            asked in 1_u8..5,
        ) {
            let fallback = match fallback {
                0 => Fallback::None,
                1 => Fallback::Any,
                _ => Fallback::Default(metadata(&[("zone", "1")])),
            };
            let all: Vec<_> = (1..).zip(&zones).map(|(port, zone)| match zone {
                0 => placed(port, &[]),
                zone => placed(port, &[("zone", &zone.to_string())]),
            }).collect();
            let rule = rule(&[&["zone"]], fallback);
            let mut set = HostSet::default()
                .with_panic_threshold(panic_threshold)
                .divided(Some(&rule))
                .with_hosts(&all);
            for (port, _) in (1..).zip(&zones).filter(|(port, _)| ills[usize::from(*port) - 1]) {
                set = ill(&set, port);
            }
            let asked = metadata(&[("zone", &asked.to_string())]);
            let sought = Sought::among(&set, &asked);
            let may: BTreeSet<_> = set.hosts().iter()
                .filter(|host| sought.why_not(host, &asked).is_empty())
                .map(ToString::to_string)
                .collect();

            let settings = Arc::new(config::Cluster {
                balancer: Balancer::RoundRobin,
                subsets: Some(rule),
                ..config::Cluster::new("c", [])
            });
            let mut rng = SmallRng::seed_from_u64(1);
            let mut balances = Balances::new(settings, Arc::new(set.clone()), &mut rng);
            let clue = Clue { metadata: Some(Arc::new(asked)), ..Clue::default() };
            let mut chosen = BTreeSet::new();
            for _ in 0..2 * all.len() {
                match balances.pick(&Ask::at(&Instant::now).with(&clue), &mut rng) {
                    Ok(taken) => { chosen.insert(taken.host.to_string()); }
                    Err(nobody) => prop_assert_ne!(nobody, Nobody::Known),
                }
            }
            prop_assert_eq!(may, chosen);
        }
    }
}
