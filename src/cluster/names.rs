//! What is known of the names of a cluster: which hosts they stand for, and when to ask again.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::Rng;

use crate::backoff::Backoff;
use crate::config::{self, Address, Discovery, Dns, HostAddress, Ttl};

/// After a first failure a name is asked for again within so long; doubled for each further one,
/// up to the cluster's rate.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// An answer holds until its time has passed everywhere on the way to it (MOSN).
const TTL_GRACE: Duration = Duration::from_secs(1);

/// A time to live above this is a mistake of whoever wrote it: a week (RFC 8767, section 4).
const LONGEST_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

/// What a lookup found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// In any order; at least one.
    pub addresses: Vec<IpAddr>,
    /// For how long that holds, where the answer says so.
    pub ttl: Option<Duration>,
}

/// What is known of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Each once, in ascending order: a server that turns its answers round changes nothing.
    addresses: Box<[IpAddr]>,
    /// Why the last lookup failed, if it did.
    failure: Option<Box<str>>,
    failures: u32,
    /// When to ask again.
    due: Instant,
}

impl Known {
    /// When to ask again.
    #[must_use]
    pub fn due(&self) -> Instant {
        self.due
    }

    /// The addresses of the last lookup that succeeded.
    #[must_use]
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// Why the last lookup failed, if it did.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// What is known once a lookup has ended, where `before` was known. A failure keeps the
    /// addresses that there were.
    #[must_use]
    pub fn after(
        before: Option<&Self>,
        found: Result<Answer, String>,
        dns: &Dns,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Self {
        match found {
            Ok(answer) => {
                let wait = wait(&answer, dns);
                let mut addresses = answer.addresses;
                addresses.sort_unstable();
                addresses.dedup();
                Self {
                    addresses: addresses.into(),
                    failure: None,
                    failures: 0,
                    due: later(now, wait),
                }
            }
            Err(failure) => {
                let failures = before.map_or(0, |known| known.failures).saturating_add(1);
                let backoff = Backoff {
                    base: FIRST_RETRY.min(dns.refresh),
                    max: dns.refresh,
                };
                Self {
                    addresses: before.map_or_else(Box::default, |known| known.addresses.clone()),
                    failure: Some(failure.into()),
                    failures,
                    due: later(now, backoff.delay(failures, rng)),
                }
            }
        }
    }
}

/// How long to wait after an answer.
fn wait(answer: &Answer, dns: &Dns) -> Duration {
    match (dns.ttl, answer.ttl) {
        (Ttl::Respected, Some(ttl)) if !ttl.is_zero() => ttl.min(LONGEST_TTL) + TTL_GRACE,
        _ => dns.refresh,
    }
}

/// A clock cannot tell some times that a configuration can.
fn later(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait).unwrap_or_else(|| now + LONGEST_TTL)
}

/// What is known of all names of one cluster. Immutable: an answer makes another one.
#[derive(Clone, Debug, Default)]
pub struct Names(HashMap<Arc<str>, Known>);

impl Names {
    /// What is known of a name; `None` before its first lookup has ended.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Known> {
        self.0.get(name)
    }

    /// With what became known of one name.
    #[must_use]
    pub fn with(&self, name: Arc<str>, known: Known) -> Self {
        let mut names = self.0.clone();
        names.insert(name, known);
        Self(names)
    }

    /// Only of the names that a cluster asks for.
    #[must_use]
    pub fn of(&self, cluster: &config::Cluster) -> Self {
        let known =
            asked(cluster).filter_map(|name| Some((name.clone(), self.0.get(name)?.clone())));
        Self(known.collect())
    }

    /// The hosts that a cluster's hosts stand for.
    ///
    /// Where names are resolved, each address of a name is a host with the name's port, weight and
    /// all else, and the name for a `hostname` unless it has one; a name without addresses is
    /// none. Two names may have one address: of them the first counts, as ever.
    #[must_use]
    pub fn expand<'a>(&self, cluster: &'a config::Cluster) -> Cow<'a, [config::Host]> {
        if cluster.discovery == Discovery::Fixed {
            return Cow::Borrowed(&cluster.hosts);
        }
        let mut hosts = Vec::with_capacity(cluster.hosts.len());
        for host in &cluster.hosts {
            let HostAddress::Name(name, port) = &host.address else {
                hosts.push(host.clone());
                continue;
            };
            let addresses = self.get(name).map_or(&[][..], Known::addresses);
            let hostname = host.hostname.clone();
            let hostname = hostname.unwrap_or_else(|| name.to_string());
            hosts.extend(addresses.iter().map(|address| config::Host {
                address: HostAddress::Socket(Address::Tcp(SocketAddr::new(*address, *port))),
                hostname: Some(hostname.clone()),
                ..host.clone()
            }));
        }
        Cow::Owned(hosts)
    }

    /// Why a cluster has no host, where its names are to blame: the first of them, and what is
    /// wrong with it.
    #[must_use]
    pub fn blame(&self, cluster: &config::Cluster) -> Option<(Arc<str>, String)> {
        let blamed = |name: &Arc<str>| {
            let why = match self.get(name) {
                None => "it has not been looked up yet",
                Some(known) => known.failure()?,
            };
            Some((Arc::clone(name), why.to_owned()))
        };
        asked(cluster).find_map(blamed)
    }
}

/// The names that a cluster asks for, one as often as it is written.
pub fn asked(cluster: &config::Cluster) -> impl Iterator<Item = &Arc<str>> {
    let asks = cluster.discovery != Discovery::Fixed;
    let names = cluster.hosts.iter().filter_map(|host| match &host.address {
        HostAddress::Name(name, _) => Some(name),
        HostAddress::Socket(_) => None,
    });
    names.filter(move |_| asks)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;

    const REFRESH: Duration = Duration::from_secs(5);

    fn dns(ttl: Ttl) -> Dns {
        Dns {
            ttl,
            ..Dns::default()
        }
    }

    fn answer(addresses: &[&str], ttl: Option<u64>) -> Answer {
        Answer {
            addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
            ttl: ttl.map(Duration::from_secs),
        }
    }

    fn found(addresses: &[&str]) -> Known {
        let answer = Ok(answer(addresses, None));
        let mut rng = SmallRng::seed_from_u64(1);
        Known::after(None, answer, &Dns::default(), Instant::now(), &mut rng)
    }

    fn cluster(hosts: &[(&str, u16)]) -> config::Cluster {
        let host = |(name, port): &(&str, u16)| {
            config::Host::new(match name.parse::<IpAddr>() {
                Ok(ip) => SocketAddr::new(ip, *port).into(),
                Err(_) => HostAddress::Name((*name).into(), *port),
            })
        };
        config::Cluster {
            discovery: Discovery::StrictDns(Box::default()),
            ..config::Cluster::new("c", hosts.iter().map(host))
        }
    }

    fn addresses(hosts: &[config::Host]) -> Vec<String> {
        hosts.iter().map(|host| host.address.to_string()).collect()
    }

    #[test]
    fn an_answer_holds_for_its_time_and_a_second_where_that_is_respected() {
        for (ttl, said, seconds) in [
            (Ttl::Ignored, Some(60), 5),
            (Ttl::Ignored, None, 5),
            (Ttl::Respected, Some(60), 61),
            (Ttl::Respected, Some(1), 2),
            (Ttl::Respected, Some(0), 5),
            (Ttl::Respected, None, 5),
            (Ttl::Respected, Some(u64::MAX), 7 * 24 * 3600 + 1),
        ] {
            let now = Instant::now();
            let mut rng = SmallRng::seed_from_u64(1);
            let found = Ok(answer(&["192.0.2.1"], said));
            let known = Known::after(None, found, &dns(ttl), now, &mut rng);
            let wait = known.due() - now;
            assert_eq!(wait, Duration::from_secs(seconds), "{ttl:?}, {said:?}");
        }
    }

    #[test]
    fn a_failure_keeps_the_addresses_and_waits_longer_each_time_up_to_the_rate() {
        let mut rng = SmallRng::seed_from_u64(2);
        let mut known = found(&["192.0.2.1"]);
        for bound in [1, 2, 4, 5, 5, 5].map(Duration::from_secs) {
            let now = Instant::now();
            let failed = Err("refused".to_owned());
            known = Known::after(Some(&known), failed, &Dns::default(), now, &mut rng);
            let wait = known.due() - now;
            assert!(bound / 2 <= wait && wait <= bound, "{wait:?} of {bound:?}");
            assert_eq!(known.failure(), Some("refused"));
            assert_eq!(known.addresses().len(), 1);
        }
        let now = Instant::now();
        let found = Ok(answer(&["192.0.2.2"], None));
        let known = Known::after(Some(&known), found, &Dns::default(), now, &mut rng);
        assert_eq!((known.failure(), known.due() - now), (None, REFRESH));
    }

    #[test]
    fn a_rate_that_no_clock_can_tell_is_a_week() {
        let now = Instant::now();
        let dns = Dns {
            refresh: Duration::MAX,
            ..Dns::default()
        };
        let mut rng = SmallRng::seed_from_u64(3);
        for found in [Ok(answer(&["::1"], None)), Err(String::new())] {
            let known = Known::after(None, found, &dns, now, &mut rng);
            assert!(known.due() > now);
        }
    }

    #[test]
    fn an_answer_in_another_order_is_the_same() {
        let turned = |addresses| found(addresses).addresses().to_vec();
        assert_eq!(
            turned(&["192.0.2.2", "192.0.2.1", "192.0.2.2"]),
            turned(&["192.0.2.1", "192.0.2.2"])
        );
    }

    #[test]
    fn each_address_of_a_name_is_a_host_of_the_names_port_and_name() {
        let mut cluster = cluster(&[("a.test", 80), ("192.0.2.9", 81), ("b.test", 82)]);
        cluster.hosts[0].weight = 7;
        cluster.hosts[2].hostname = Some("said".to_owned());
        let names = Names::default()
            .with("a.test".into(), found(&["192.0.2.2", "192.0.2.1"]))
            .with("b.test".into(), found(&["2001:db8::1"]));

        let hosts = names.expand(&cluster);

        assert_eq!(
            addresses(&hosts),
            [
                "192.0.2.1:80",
                "192.0.2.2:80",
                "192.0.2.9:81",
                "[2001:db8::1]:82"
            ]
        );
        let weights: Vec<_> = hosts.iter().map(|host| host.weight).collect();
        assert_eq!(weights, [7, 7, 1, 1]);
        let names: Vec<_> = hosts.iter().map(|host| host.hostname.as_deref()).collect();
        assert_eq!(names, [Some("a.test"), Some("a.test"), None, Some("said")]);
    }

    #[test]
    fn one_name_at_two_ports_is_asked_for_once_and_is_two_hosts() {
        let cluster = cluster(&[("a.test", 80), ("a.test", 81)]);
        let names = Names::default().with("a.test".into(), found(&["192.0.2.1"]));
        assert_eq!(
            addresses(&names.of(&cluster).expand(&cluster)),
            ["192.0.2.1:80", "192.0.2.1:81"]
        );
    }

    #[test]
    fn where_names_are_not_resolved_hosts_stand_for_themselves() {
        let fixed = config::Cluster {
            discovery: Discovery::Fixed,
            ..cluster(&[("a.test", 80)])
        };
        let names = Names::default().with("a.test".into(), found(&["192.0.2.1"]));
        assert_eq!(addresses(&names.expand(&fixed)), ["a.test:80"]);
        assert_eq!(names.blame(&fixed), None);
    }

    #[test]
    fn what_is_not_asked_for_any_more_is_forgotten() {
        let names = Names::default()
            .with("a.test".into(), found(&["192.0.2.1"]))
            .with("b.test".into(), found(&["192.0.2.2"]));
        let names = names.of(&cluster(&[("b.test", 80)]));
        assert!(names.get("a.test").is_none() && names.get("b.test").is_some());
    }

    #[test]
    fn a_name_that_does_not_resolve_is_to_blame() {
        let cluster = cluster(&[("a.test", 80), ("b.test", 80)]);
        let mut rng = SmallRng::seed_from_u64(4);
        let failed = Err("no such name".to_owned());
        let failed = Known::after(None, failed, &Dns::default(), Instant::now(), &mut rng);
        let names = Names::default().with("a.test".into(), found(&["192.0.2.1"]));
        let blamed = |names: &Names| {
            names
                .blame(&cluster)
                .map(|(name, why)| format!("{name}: {why}"))
        };
        assert_eq!(
            blamed(&names).as_deref(),
            Some("b.test: it has not been looked up yet")
        );
        assert_eq!(
            blamed(&names.with("b.test".into(), failed)).as_deref(),
            Some("b.test: no such name")
        );
    }
}
