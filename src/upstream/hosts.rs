//! How the data path asks for a host, without knowing whom it asks.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cluster::{
    Clue, Conduct, Evidence, Grade, Host, Lease, Limits, Moment, Offence, Suspicion, Work,
};
use crate::config::{self, Balancer};
use crate::name::ClusterName;

/// Whoever knows the clusters' hosts.
pub trait Hosts {
    /// What of a piece of work the choice of its host depends on: what the cluster has a use for.
    /// To be asked for once, also where several hosts are tried.
    fn clue(&self, cluster: &ClusterName, evidence: &impl Evidence) -> Clue;

    /// Picks a host of the cluster for a piece of `work`, none of `tried`. `clue` is what
    /// [`clue`](Self::clue) said of the work.
    ///
    /// # Errors
    ///
    /// [`PickError`] says why there is none; nothing is counted then.
    fn pick(
        &self,
        cluster: &ClusterName,
        tried: &[Arc<Host>],
        work: Work,
        clue: &Clue,
    ) -> impl Future<Output = Result<Picked, PickError>>;
}

/// A host for one piece of work, and what its cluster says of it.
#[derive(Debug)]
pub struct Picked {
    /// Counts on the host while it lives.
    pub lease: Lease,
    /// Of the cluster, as it was when the host was picked.
    pub settings: Arc<config::Cluster>,
    /// What the cluster carries now.
    pub limits: Arc<Limits>,
}

impl Picked {
    /// Takes note of how the host behaves; whether that brings it before its judge.
    pub fn note(&self, conduct: Conduct, now: Instant) -> Option<Suspicion> {
        note(&self.settings, self.lease.host(), conduct, now)
    }

    /// Takes note of how well a request went at the host, and how long it took where that is known,
    /// if its balancer has a use for that.
    pub fn grade(&self, grade: Grade, took: Option<Duration>) {
        if matches!(self.settings.balancer, Balancer::PeakEwma(_)) {
            let now = Moment::of(Instant::now());
            let memory = self.settings.bias.memory;
            self.lease.load().form().note(now, took, grade, memory);
        }
    }
}

/// As [`Picked::note`], of a host of a cluster with these settings.
pub fn note(
    settings: &config::Cluster,
    host: &Arc<Host>,
    conduct: Conduct,
    now: Instant,
) -> Option<Suspicion> {
    let row = host.load().note(conduct, now);
    let policy = settings.outlier_detection.as_ref()?;
    let offence = Offence::of(policy, conduct, row)?;
    Some(Suspicion {
        cluster: settings.name.clone(),
        host: Arc::clone(host),
        offence,
    })
}

/// Why there is no host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PickError {
    /// It is not known where the work was meant to go.
    #[error("its original destination is not known")]
    NoDestination,
    /// There are hosts, and none of them may be chosen.
    #[error("no healthy host: {}", why_none(*hosts, *unhealthy, *draining, *tried))]
    NoHost {
        /// Hosts of the cluster.
        hosts: usize,
        /// Those that are unhealthy.
        unhealthy: usize,
        /// Those that drain.
        draining: usize,
        /// Those that have been tried for this piece of work.
        tried: usize,
    },
    /// No host has the metadata that the work asks for.
    #[error("no host has the metadata that is asked for")]
    NoSubset,
    /// The cluster has no host because a name of it has no address.
    #[error("no host: name `{name}` does not resolve: {reason}")]
    Unresolved {
        /// The name.
        name: Arc<str>,
        /// Why it has none.
        reason: String,
    },
    /// Whoever knows the hosts restarts, and did not come back in time.
    #[error("the cluster's actor did not come back in time")]
    Unavailable,
    /// No cluster has that name; it was removed after the listener's plan was made.
    #[error("the cluster does not exist")]
    UnknownCluster,
}

fn why_none(hosts: usize, unhealthy: usize, draining: usize, tried: usize) -> String {
    let drain = match draining {
        _ if hosts == 0 => return "the cluster has none".to_owned(),
        0 => String::new(),
        draining => format!("{draining} draining, "),
    };
    format!("{unhealthy} of {hosts} unhealthy, {drain}{tried} tried in vain")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_there_is_no_host_is_said_in_words() {
        let said = |hosts, unhealthy, draining, tried| {
            let error = PickError::NoHost {
                hosts,
                unhealthy,
                draining,
                tried,
            };
            error.to_string()
        };
        assert_eq!(said(0, 0, 0, 0), "no healthy host: the cluster has none");
        assert_eq!(
            said(3, 2, 0, 1),
            "no healthy host: 2 of 3 unhealthy, 1 tried in vain"
        );
        assert_eq!(
            said(3, 2, 1, 0),
            "no healthy host: 2 of 3 unhealthy, 1 draining, 0 tried in vain"
        );
    }
}
