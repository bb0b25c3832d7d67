//! What a process has found out of hosts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a process has found out of hosts: by cluster, and by address, as a configuration writes it.
/// Names that are not known where it is read are ignored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shown(pub BTreeMap<String, BTreeMap<String, HostState>>);

/// A host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostState {
    /// Whether its health check speaks against it.
    #[serde(default)]
    pub failed_check: bool,
    /// Whether somebody has taken it out.
    #[serde(default)]
    pub taken_out: bool,
    /// Its ejections, if there were any.
    #[serde(default)]
    pub ejected: Option<EjectedState>,
    /// What its health check knows of it, if it has one.
    #[serde(default)]
    pub chart: Option<ChartState>,
}

/// A host's ejections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EjectedState {
    /// Ever.
    pub total: u64,
    /// In a row.
    pub row: u32,
    /// When it returns, in milliseconds; `None` when it is in.
    pub returns_millis: Option<u64>,
}

/// What a health check knows of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChartState {
    /// Whether the latest probes passed; `None` before the first.
    pub passed: Option<bool>,
    /// How many of them in a row were alike.
    pub length: u32,
    /// When the first of them came, in milliseconds since 1970.
    pub first_millis: u64,
    /// When the next one is due, in milliseconds.
    pub due_millis: u64,
}

impl Shown {
    /// The same in parts of at most so many hosts, so that each fits into a message.
    #[must_use]
    pub fn parts(self, most: usize) -> Vec<Self> {
        let (mut parts, mut part, mut size) = (Vec::new(), Self::default(), 0);
        for (cluster, hosts) in self.0 {
            for (address, host) in hosts {
                if size == most {
                    parts.push(std::mem::take(&mut part));
                    size = 0;
                }
                size += 1;
                part.0
                    .entry(cluster.clone())
                    .or_default()
                    .insert(address, host);
            }
        }
        if size > 0 {
            parts.push(part);
        }
        parts
    }

    /// Takes in another part of the same.
    pub fn join(&mut self, other: Self) {
        for (cluster, hosts) in other.0 {
            self.0.entry(cluster).or_default().extend(hosts);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_bounded_and_make_up_the_whole() {
        let host = |number: u64| {
            let state = HostState {
                failed_check: number.is_multiple_of(2),
                ..HostState::default()
            };
            (number.to_string(), state)
        };
        let cluster = |name: &str, hosts| (name.to_owned(), (0..hosts).map(host).collect());
        let whole = Shown([cluster("a", 100), cluster("b", 3)].into());
        let parts = whole.clone().parts(7);
        assert_eq!(parts.len(), 103_usize.div_ceil(7));
        let mut joined = Shown::default();
        for part in parts {
            assert!(part.0.values().map(BTreeMap::len).sum::<usize>() <= 7);
            joined.join(part);
        }
        assert_eq!(joined, whole);
    }
}
