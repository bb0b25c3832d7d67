//! What a predecessor has found out of hosts, taken over.

use std::sync::Arc;

use actix::prelude::*;

use super::{Clusters, Handle};
use crate::actor::slot::{Slot, Unavailable};
use crate::cluster::{Ejections, Health, Reason};
use crate::config::HostAddress;
use crate::name::ClusterName;

/// What a predecessor has found out of a host.
#[derive(Clone, Debug)]
pub(in crate::actor) struct Found {
    /// The cluster.
    pub cluster: ClusterName,
    /// Its host.
    pub address: HostAddress,
    /// What the health check says of it.
    pub failed_check: Health,
    /// What was commanded.
    pub commanded: Health,
    /// Its ejections, if there were any.
    pub ejections: Option<Ejections>,
}

/// Takes over what a predecessor has found out of hosts; of hosts that are not there, nothing.
///
/// # Errors
///
/// [`Unavailable`] when the actor did not come back in time; then nothing, or all of it, is done.
pub(in crate::actor) async fn take_over(
    clusters: &Slot<Handle>,
    found: Vec<Found>,
) -> Result<(), Unavailable> {
    let found: Arc<[Found]> = found.into();
    clusters
        .ask(|handle| handle.0.send(TakeOver(Arc::clone(&found))))
        .await
}

#[derive(Message)]
#[rtype(result = "()")]
struct TakeOver(Arc<[Found]>);

impl Handler<TakeOver> for Clusters {
    type Result = ();

    fn handle(&mut self, TakeOver(all): TakeOver, ctx: &mut Context<Self>) {
        for found in all.iter() {
            self.take_one_over(found);
        }
        self.resume_ejections(ctx);
    }
}

impl Clusters {
    fn take_one_over(&self, found: &Found) {
        let Some(current) = self.shelf.find(&found.cluster) else {
            return;
        };
        let before = current.load();
        let (hosts, address) = (&before.hosts, &found.address);
        let Some(host) = hosts.find(address) else {
            return;
        };
        let settings = &before.settings;
        let says = [
            (
                Reason::FailedCheck,
                found.failed_check,
                settings.health_check.is_some(),
            ),
            (Reason::Commanded, found.commanded, true),
        ];
        let mut after = None;
        for (reason, health, is_heard) in says {
            if is_heard && host.flags().of(reason) != health {
                let set = after.as_ref().unwrap_or(&**hosts);
                after = Some(set.with_health(address, reason, health));
            }
        }
        if let Some(ejections) = found.ejections
            && settings.outlier_detection.is_some()
            && host.ejections().total() < ejections.total()
        {
            let set = after.as_ref().unwrap_or(&**hosts);
            after = Some(set.with_ejections(address, ejections));
        }
        if let Some(after) = after {
            self.publish(&current, before.with_hosts(after));
        }
    }
}
