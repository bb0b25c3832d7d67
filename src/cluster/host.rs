//! One upstream address of a cluster, as a snapshot sees it.

use std::fmt;
use std::sync::Arc;

use crate::config::{self, Address, HostAddress, Metadata};

use super::{Departure, Duty, Ejections, Flags, Health, Load, Reason};

/// Weights beyond this are clamped, as MOSN does.
const MAX_WEIGHT: u32 = 128;

/// One upstream address of a cluster. Immutable, but for its live counts.
#[derive(Clone, Debug)]
pub struct Host {
    address: HostAddress,
    hostname: Option<String>,
    metadata: Metadata,
    weight: u32,
    flags: Flags,
    ejections: Ejections,
    duty: Duty,
    load: Arc<Load>,
    departure: Arc<Departure>,
}

impl Host {
    /// A healthy host that carries nothing yet. Its weight is clamped to 1 to 128.
    #[must_use]
    pub fn new(host: &config::Host) -> Self {
        Self {
            address: host.address.clone(),
            hostname: host.hostname.clone(),
            metadata: host.metadata.clone(),
            weight: host.weight.clamp(1, MAX_WEIGHT),
            flags: Flags::default(),
            ejections: Ejections::default(),
            duty: Duty::default(),
            load: Arc::default(),
            departure: Arc::default(),
        }
    }

    /// The same host as `before`, configured anew: it keeps its health and its load.
    pub(super) fn renewed(host: &config::Host, before: &Self) -> Self {
        Self {
            flags: before.flags,
            ejections: before.ejections,
            duty: before.duty,
            load: before.load.clone(),
            departure: before.departure.clone(),
            ..Self::new(host)
        }
    }

    pub(super) fn is_configured_as(&self, host: &config::Host) -> bool {
        self.hostname == host.hostname
            && self.metadata == host.metadata
            && self.weight == host.weight.clamp(1, MAX_WEIGHT)
    }

    pub(super) fn with_health(&self, reason: Reason, health: Health) -> Self {
        Self {
            flags: self.flags.with(reason, health),
            ..self.clone()
        }
    }

    /// The same host with another past, which says whether it is ejected now.
    pub(super) fn with_ejections(&self, ejections: Ejections) -> Self {
        let health = match ejections.until() {
            Some(_) => Health::Unhealthy,
            None => Health::Healthy,
        };
        Self {
            ejections,
            ..self.with_health(Reason::Ejected, health)
        }
    }

    pub(super) fn with_duty(&self, duty: Duty) -> Self {
        Self {
            duty,
            ..self.clone()
        }
    }

    /// Where it is reached.
    #[must_use]
    pub fn address(&self) -> &HostAddress {
        &self.address
    }

    /// The configured `hostname`, for logs and host rewrites.
    #[must_use]
    pub fn hostname(&self) -> Option<&str> {
        self.hostname.as_deref()
    }

    /// By what subsets are told apart.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Share of the load, 1 to 128.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.weight
    }

    /// Whether it is fit for work, in this snapshot.
    #[must_use]
    pub fn health(&self) -> Health {
        self.flags.health()
    }

    /// What speaks against it, in this snapshot.
    #[must_use]
    pub fn flags(&self) -> Flags {
        self.flags
    }

    /// How often it was ejected, and whether it is.
    #[must_use]
    pub fn ejections(&self) -> &Ejections {
        &self.ejections
    }

    /// Whether it is given new work, in this snapshot.
    #[must_use]
    pub fn duty(&self) -> Duty {
        self.duty
    }

    /// Until when its connections may last, now.
    #[must_use]
    pub fn departure(&self) -> &Arc<Departure> {
        &self.departure
    }

    /// Its live counts.
    #[must_use]
    pub fn load(&self) -> &Arc<Load> {
        &self.load
    }

    /// Whether both are the same host, perhaps of different snapshots.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.load, &other.load)
    }
}

/// The address as a configuration writes it.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            HostAddress::Socket(Address::Tcp(address)) => address.fmt(f),
            HostAddress::Socket(Address::Unix(path)) => path.display().fmt(f),
            HostAddress::Name(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cluster::HostSet;
    use crate::config::Fallback;

    /// `127.0.0.1:port` of some weight, as configured.
    pub(in crate::cluster) fn configured(port: u16, weight: u32) -> config::Host {
        config::Host {
            address: HostAddress::Socket(Address::Tcp(([127, 0, 0, 1], port).into())),
            hostname: None,
            metadata: Metadata::new(),
            weight,
        }
    }

    pub(in crate::cluster) fn metadata(pairs: &[(&str, &str)]) -> Metadata {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pairs.iter().map(own).collect()
    }

    pub(in crate::cluster) fn rule(selectors: &[&[&str]], fallback: Fallback) -> config::Subsets {
        let own = |keys: &&[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
        config::Subsets {
            selectors: selectors.iter().map(own).collect(),
            fallback,
        }
    }

    pub(in crate::cluster) fn placed(port: u16, pairs: &[(&str, &str)]) -> config::Host {
        config::Host {
            metadata: metadata(pairs),
            ..configured(port, 1)
        }
    }

    /// Ports 1 and 2 in zone a, 3 in zone b and spare, 4 nowhere; divided as `rule` says.
    pub(in crate::cluster) fn zoned(rule: Option<&config::Subsets>) -> HostSet {
        HostSet::default().divided(rule).with_hosts(&[
            placed(1, &[("zone", "a")]),
            placed(2, &[("zone", "a")]),
            placed(3, &[("zone", "b"), ("spare", "yes")]),
            placed(4, &[]),
        ])
    }

    /// `hosts` when that of `port` has failed its check.
    pub(in crate::cluster) fn ill(hosts: &HostSet, port: u16) -> HostSet {
        let address = configured(port, 1).address;
        hosts.with_health(&address, Reason::FailedCheck, Health::Unhealthy)
    }

    pub(in crate::cluster) fn host(port: u16, weight: u32) -> Host {
        Host::new(&configured(port, weight))
    }

    #[test]
    fn a_weight_is_clamped_to_what_mosn_allows() {
        for (configured, weight) in [(0, 1), (1, 1), (128, 128), (129, 128), (u32::MAX, 128)] {
            assert_eq!(host(1, configured).weight(), weight);
        }
    }

    #[test]
    fn a_host_prints_as_its_configured_address() {
        let name = config::Host {
            address: HostAddress::Name("origin.test".into(), 80),
            ..configured(1, 1)
        };
        let unix = config::Host {
            address: HostAddress::Socket(Address::Unix("/run/origin.sock".into())),
            ..configured(1, 1)
        };
        assert_eq!(host(8080, 1).to_string(), "127.0.0.1:8080");
        assert_eq!(Host::new(&name).to_string(), "origin.test:80");
        assert_eq!(Host::new(&unix).to_string(), "/run/origin.sock");
    }
}
