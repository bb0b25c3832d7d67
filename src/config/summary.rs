//! What a change comes to, in words that a person reads before it is made.

use super::diff::Change;
use super::plan::Listener;
use crate::name::ListenerName;

/// What a change comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    /// A sentence for each object, as ``cluster `api`: 1 host added; 0 connections affected``.
    pub changes: Vec<String>,
    /// Connections that the change tells to end: those of listeners that are taken down or moved.
    pub connections_affected: u64,
}

impl Summary {
    /// Of changes, where `connections` says how many a listener has.
    #[must_use]
    pub fn of(changes: &[Change], connections: impl Fn(&ListenerName) -> u64) -> Self {
        let mut summary = Self::default();
        for change in changes {
            let affected = match change {
                Change::RemoveListener(name) => connections(name),
                Change::UpdateListener { from, to } if from.rebinds(to) => connections(&from.name),
                _ => 0,
            };
            let s = if affected == 1 { "" } else { "s" };
            summary.connections_affected += affected;
            summary
                .changes
                .push(format!("{change}; {affected} connection{s} affected"));
        }
        summary
    }
}

impl Listener {
    /// Whether `to` needs another socket; all other settings hold for the next connection.
    #[must_use]
    pub fn rebinds(&self, to: &Self) -> bool {
        (&self.address, self.bind) != (&to.address, to.bind)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::config::{Cluster, Host, List, Plan, diff};

    fn local(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    fn plan(change: impl FnOnce(&mut Cluster, &mut Listener)) -> Plan {
        let mut cluster = Cluster::new("api", [Host::from(local(1)), Host::from(local(2))]);
        let mut listener = Listener::new("app", local(2047), "api");
        change(&mut cluster, &mut listener);
        Plan::of([cluster], [listener])
    }

    #[test]
    fn each_object_has_its_sentence() {
        let running = plan(|_, _| {});
        for (wanted, expected, affected) in [
            (plan(|_, _| {}), &[][..], 0),
            (
                plan(|cluster, _| cluster.hosts.push(local(3).into())),
                &["cluster `api`: 1 host added; 0 connections affected"],
                0,
            ),
            (
                plan(|cluster, _| cluster.connect_timeout = Duration::from_secs(1)),
                &["cluster `api`: `connect_timeout` changed; 0 connections affected"],
                0,
            ),
            (
                plan(|_, listener| listener.idle_timeout = None),
                &["listener `app`: `connection_idle_timeout` changed; 0 connections affected"],
                0,
            ),
            (
                plan(|_, listener| listener.address = crate::config::Address::Tcp(local(2048))),
                &[
                    "listener `app`: moved from 127.0.0.1:2047 to 127.0.0.1:2048; 7 connections affected",
                ],
                7,
            ),
            (
                Plan {
                    listeners: List::default(),
                    ..running.clone()
                },
                &["listener `app`: removed; 7 connections affected"],
                7,
            ),
            (
                Plan {
                    clusters: vec![Arc::new(Cluster::new("b", [])), running.clusters[0].clone()]
                        .into(),
                    ..running.clone()
                },
                &["cluster `b`: added, 0 hosts; 0 connections affected"],
                0,
            ),
        ] {
            let summary = Summary::of(&diff(&running, &wanted), |_| 7);
            assert_eq!(summary.changes, expected);
            assert_eq!(summary.connections_affected, affected);
        }
    }
}
