//! What each host has carried, told as the tree ends.
//!
//! An active connection in it is one that nobody gave back.

use std::fmt;

use crate::actor::view::{ClusterView, HostView};

/// So many hosts are told one by one, and the others as a sum.
const HOSTS: usize = 100;

/// One line a host that was ever connected to.
pub(super) fn lines(clusters: &[ClusterView]) -> Vec<String> {
    let of_cluster = |cluster: &'_ ClusterView| -> Vec<(String, Carried)> {
        let line = |host: &HostView| {
            let place = format!("cluster `{}` host {}", cluster.name, host.address);
            (place, Carried::of(host))
        };
        cluster.hosts.iter().map(line).collect()
    };
    let mut hosts: Vec<_> = clusters.iter().flat_map(of_cluster).collect();
    hosts.retain(|(_, carried)| carried.total > 0);
    let others = hosts.split_off(hosts.len().min(HOSTS));
    let mut lines: Vec<_> = hosts
        .iter()
        .map(|(place, carried)| format!("{place}: {carried}"))
        .collect();
    if !others.is_empty() {
        let sum = others
            .iter()
            .fold(Carried::default(), |sum, (_, carried)| sum.and(carried));
        lines.push(format!("{} more hosts: {sum}", others.len()));
    }
    lines
}

#[derive(Default)]
struct Carried {
    active: u64,
    total: u64,
    failed: u64,
}

impl Carried {
    fn of(host: &HostView) -> Self {
        Self {
            active: host.connections_active,
            total: host.connections_total,
            failed: host.connections_failed,
        }
    }

    fn and(&self, other: &Self) -> Self {
        Self {
            active: self.active + other.active,
            total: self.total + other.total,
            failed: self.failed + other.failed,
        }
    }
}

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            active,
            total,
            failed,
        } = self;
        write!(
            f,
            "connections {active} active, {total} total, {failed} failed"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(port: u16, total: u64) -> HostView {
        HostView {
            address: format!("127.0.0.1:{port}"),
            hostname: None,
            healthy: true,
            draining: false,
            ejected: false,
            reasons: Vec::new(),
            weight: 1,
            connections_active: 0,
            connections_total: total,
            connections_failed: 1,
            requests_active: 0,
            requests_total: 0,
            requests_lost: 0,
            responses_stray: 0,
            ejections: 0,
        }
    }

    fn cluster(name: &str, hosts: Vec<HostView>) -> ClusterView {
        ClusterView {
            name: name.into(),
            panicking: false,
            health_check: None,
            hosts,
            subsets: 0,
            subset_fallbacks: 0,
        }
    }

    #[test]
    fn each_host_that_was_used_has_a_line() {
        let clusters = [
            cluster("a", vec![host(1, 2210), host(2, 0)]),
            cluster("b", vec![host(3, 1)]),
        ];
        assert_eq!(
            lines(&clusters),
            [
                "cluster `a` host 127.0.0.1:1: connections 0 active, 2210 total, 1 failed",
                "cluster `b` host 127.0.0.1:3: connections 0 active, 1 total, 1 failed",
            ]
        );
    }

    #[test]
    fn what_is_too_much_to_read_is_a_sum() {
        let hosts = (1..=103).map(|port| host(port, u64::from(port))).collect();
        let lines = lines(&[cluster("a", hosts)]);
        assert_eq!(lines.len(), HOSTS + 1);
        assert_eq!(
            lines[HOSTS],
            "3 more hosts: connections 0 active, 306 total, 3 failed"
        );
    }
}
