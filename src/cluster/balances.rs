//! Everything that chooses hosts of one cluster on one worker: one balance over all of its hosts,
//! and one over each subset that was asked for.

use std::collections::HashMap;
use std::sync::Arc;

use rand::Rng;

use crate::config::{self, Balancer, Fallback, Metadata};

use super::{Ask, Balance, Host, HostSet};

/// Chooses hosts of one cluster for one worker, subsets considered.
///
/// A subset has a turn of its own, from when it is first asked for until the cluster has it no
/// more; changes of other subsets do not touch it.
#[derive(Debug)]
pub struct Balances {
    settings: Arc<config::Cluster>,
    whole: Balance,
    subsets: HashMap<Arc<Metadata>, Balance>,
    default: Option<Balance>,
}

/// A host that was chosen.
#[derive(Debug)]
pub struct Taken {
    /// The host.
    pub host: Arc<Host>,
    /// How it was found.
    pub from: TakenFrom,
}

/// Where a host was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakenFrom {
    /// Where it was looked for.
    Asked,
    /// In the fallback of subsets.
    Fallback,
}

/// Why no host was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nobody {
    /// None may be chosen, of those that were asked for.
    Eligible,
    /// There is no subset of what was asked for, and no fallback.
    Matches,
    /// It is not known where the work was meant to go.
    Known,
}

impl Balances {
    /// Chooses among `hosts` from now on, as the settings say.
    #[must_use]
    pub fn new(settings: Arc<config::Cluster>, hosts: Arc<HostSet>, rng: &mut impl Rng) -> Self {
        Self {
            whole: Balance::of(&settings, hosts, rng),
            settings,
            subsets: HashMap::new(),
            default: None,
        }
    }

    /// Follows a change of settings and hosts. Hosts that stay keep their turn, unless they are
    /// chosen in another way.
    pub fn renew(
        &mut self,
        settings: Arc<config::Cluster>,
        hosts: Arc<HostSet>,
        rng: &mut impl Rng,
    ) {
        let is_same = self.settings.balancer == settings.balancer
            && self.settings.bias == settings.bias
            && self.settings.slow_start == settings.slow_start;
        if !is_same {
            *self = Self::new(settings, hosts, rng);
            return;
        }
        self.settings = settings;
        let subsets = hosts.subsets();
        self.subsets.retain(|metadata, balance| {
            let found = subsets.and_then(|subsets| subsets.find(metadata));
            found.is_some_and(|(_, set)| {
                renew(balance, set, rng);
                true
            })
        });
        match (
            &mut self.default,
            subsets.and_then(|subsets| subsets.default()),
        ) {
            (Some(balance), Some(set)) => renew(balance, set, rng),
            (default, _) => *default = None,
        }
        self.whole.renew(hosts, rng);
    }

    /// All hosts.
    #[must_use]
    pub fn hosts(&self) -> &Arc<HostSet> {
        self.whole.hosts()
    }

    /// Chooses a host: of the subset that is asked for, if one is; of the fallback when that has
    /// none that may be chosen.
    ///
    /// # Errors
    ///
    /// [`Nobody`] says why there is none.
    pub fn pick(&mut self, ask: &Ask<'_>, rng: &mut impl Rng) -> Result<Taken, Nobody> {
        if self.settings.balancer == Balancer::OriginalDestination && ask.clue.destination.is_none()
        {
            return Err(Nobody::Known);
        }
        let hosts = Arc::clone(self.whole.hosts());
        let (Some(metadata), Some(subsets)) = (&ask.clue.metadata, hosts.subsets()) else {
            let host = self.whole.pick(ask, rng);
            return taken(host, TakenFrom::Asked).ok_or(Nobody::Eligible);
        };
        let mut nobody = Nobody::Matches;
        if let Some((metadata, set)) = subsets.find(metadata) {
            if !self.subsets.contains_key(metadata) {
                let balance = Balance::of(&self.settings, Arc::clone(set), rng);
                self.subsets.insert(Arc::clone(metadata), balance);
            }
            let balance = self.subsets.get_mut(metadata);
            let host = balance.and_then(|balance| balance.pick(ask, rng));
            if let Some(taken) = taken(host, TakenFrom::Asked) {
                return Ok(taken);
            }
            nobody = Nobody::Eligible;
        }
        let host = match (subsets.fallback(), subsets.default()) {
            (Fallback::Any, _) => self.whole.pick(ask, rng),
            (Fallback::Default(_), Some(set)) => {
                let make = || Balance::of(&self.settings, Arc::clone(set), rng);
                let balance = self.default.get_or_insert_with(make);
                balance.pick(ask, rng)
            }
            _ => return Err(nobody),
        };
        taken(host, TakenFrom::Fallback).ok_or(Nobody::Eligible)
    }
}

fn renew(balance: &mut Balance, set: &Arc<HostSet>, rng: &mut impl Rng) {
    if !Arc::ptr_eq(balance.hosts(), set) {
        balance.renew(Arc::clone(set), rng);
    }
}

fn taken(host: Option<&Arc<Host>>, from: TakenFrom) -> Option<Taken> {
    let host = Arc::clone(host?);
    Some(Taken { host, from })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::super::Clue;
    use super::super::host::tests::{configured, ill, metadata, rule, zoned};
    use super::*;

    fn rng() -> SmallRng {
        SmallRng::seed_from_u64(1)
    }

    fn cluster(balancer: Balancer, fallback: Fallback) -> Arc<config::Cluster> {
        Arc::new(config::Cluster {
            balancer,
            subsets: Some(rule(&[&["zone"]], fallback)),
            ..config::Cluster::new("c", [])
        })
    }

    fn wanting(pairs: &[(&str, &str)]) -> Clue {
        Clue {
            metadata: Some(Arc::new(metadata(pairs))),
            ..Clue::default()
        }
    }

    /// The ports of many choices, each once, and where the last one was found.
    fn chosen(balances: &mut Balances, clue: &Clue) -> Result<(Vec<String>, TakenFrom), Nobody> {
        let mut rng = rng();
        let mut ports = std::collections::BTreeSet::new();
        let mut from = TakenFrom::Asked;
        for _ in 0..200 {
            let taken = balances.pick(&Ask::at(&Instant::now).with(clue), &mut rng)?;
            ports.insert(taken.host.to_string()[10..].to_owned());
            from = taken.from;
        }
        Ok((ports.into_iter().collect(), from))
    }

    #[test]
    fn a_request_reaches_its_subset_and_nobody_else() {
        let every = [
            Balancer::Random,
            Balancer::RoundRobin,
            Balancer::WeightedRoundRobin,
            Balancer::LeastRequest(config::Choices::Random(2)),
            Balancer::PeakEwma(config::Choices::Random(2)),
        ];
        for balancer in every {
            let settings = cluster(balancer, Fallback::None);
            let hosts = Arc::new(zoned(settings.subsets.as_ref()));
            let mut balances = Balances::new(settings, hosts, &mut rng());
            let of = |ports: &[&str]| {
                let ports = ports.iter().map(|port| (*port).to_owned()).collect();
                Ok((ports, TakenFrom::Asked))
            };
            let a = wanting(&[("zone", "a")]);
            assert_eq!(chosen(&mut balances, &a), of(&["1", "2"]));
            let b = wanting(&[("zone", "b")]);
            assert_eq!(chosen(&mut balances, &b), of(&["3"]));
            let any = Clue::default();
            assert_eq!(chosen(&mut balances, &any), of(&["1", "2", "3", "4"]));
        }
    }

    #[test]
    fn the_fallback_takes_what_no_subset_takes() {
        let spare = Fallback::Default(metadata(&[("spare", "yes")]));
        let fell = |ports: &[&str]| {
            let ports = ports.iter().map(|port| (*port).to_owned()).collect();
            Ok((ports, TakenFrom::Fallback))
        };
        for (fallback, no_match, all_ill) in [
            (Fallback::None, Err(Nobody::Matches), Err(Nobody::Eligible)),
            (
                Fallback::Any,
                fell(&["1", "2", "3", "4"]),
                fell(&["3", "4"]),
            ),
            (spare, fell(&["3"]), fell(&["3"])),
        ] {
            let settings = cluster(Balancer::Random, fallback);
            let all = zoned(settings.subsets.as_ref());
            let ill = Arc::new(ill(&ill(&all, 1), 2));
            let mut balances = Balances::new(Arc::clone(&settings), Arc::new(all), &mut rng());
            let nowhere = wanting(&[("zone", "c")]);
            assert_eq!(chosen(&mut balances, &nowhere), no_match);

            balances.renew(settings, ill, &mut rng());
            let a = wanting(&[("zone", "a")]);
            assert_eq!(chosen(&mut balances, &a), all_ill);
        }
    }

    #[test]
    fn a_subset_keeps_its_turn_while_others_change() {
        let settings = cluster(Balancer::RoundRobin, Fallback::None);
        let before = zoned(settings.subsets.as_ref());
        let after = Arc::new(ill(&before, 3));
        let clue = wanting(&[("zone", "a")]);
        let run = |changes: bool| {
            let mut rng = rng();
            let hosts = Arc::new(before.clone());
            let mut balances = Balances::new(Arc::clone(&settings), hosts, &mut rng);
            let mut next = || {
                balances
                    .pick(&Ask::at(&Instant::now).with(&clue), &mut rng)
                    .unwrap()
            };
            let first = next().host.to_string();
            if changes {
                let mut rng = SmallRng::seed_from_u64(9);
                balances.renew(Arc::clone(&settings), Arc::clone(&after), &mut rng);
            }
            let mut rng = SmallRng::seed_from_u64(9);
            let second = balances
                .pick(&Ask::at(&Instant::now).with(&clue), &mut rng)
                .unwrap();
            (first, second.host.to_string())
        };
        assert_eq!(run(true), run(false));
        assert_ne!(run(true).0, run(true).1);
    }

    #[test]
    fn without_a_destination_there_is_nowhere_to_go() {
        let settings = Arc::new(config::Cluster {
            balancer: Balancer::OriginalDestination,
            ..config::Cluster::new("c", [])
        });
        let mut balances = Balances::new(settings, Arc::default(), &mut rng());
        let nobody = balances.pick(&Ask::at(&Instant::now), &mut rng());
        assert_eq!(nobody.unwrap_err(), Nobody::Known);

        let clue = Clue {
            destination: Some(configured(7, 1).address),
            ..Clue::default()
        };
        let taken = balances
            .pick(&Ask::at(&Instant::now).with(&clue), &mut rng())
            .unwrap();
        assert_eq!(taken.host.to_string(), "127.0.0.1:7");
    }
}
