//! Which cluster a request goes to, and what it tells of itself to whoever chooses its host; whatever
//! it speaks.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::cluster::{Clue, Evidence};
use crate::config::{Address, Forward, Metadata, Mirror};
use crate::name::ClusterName;
use crate::route::{Chosen, Facts, Found, chosen, hashed};
use crate::upstream::Hosts;

use super::meant_for;
use super::setback::Setback;
use super::site::Site;

/// A request as it came, before it is changed for its way upstream.
pub(super) struct Arrival<'a, F> {
    pub(super) facts: &'a F,
    pub(super) connection: &'a dyn Site,
    pub(super) listener: &'a Address,
    /// What filters have said of hosts that may serve it.
    pub(super) filtered: &'a Metadata,
}

/// The cluster that a request goes to.
pub(super) struct Aim<'r> {
    pub(super) cluster: ClusterName,
    /// What the choice of its host depends on.
    pub(super) clue: Clue,
    /// Where a copy goes, and what the choice of its host depends on.
    pub(super) mirror: Option<(&'r Mirror, Clue)>,
}

impl<F: Facts> Arrival<'_, F> {
    /// Chooses the cluster of a request that takes this route.
    pub(super) fn aim<'r>(
        &self,
        found: &'r Found<'_>,
        forward: &Forward,
        hosts: &impl Hosts,
    ) -> Result<Aim<'r>, Setback> {
        let choice = chosen(&forward.cluster, self.facts, &mut rand::rng());
        let Some(Chosen { cluster, metadata }) = choice else {
            return Err(Setback::UnknownCluster(String::new()));
        };
        let telling = Telling {
            arrival: self,
            forward,
            wanted: metadata.unwrap_or(&forward.metadata),
        };
        let cluster = cluster.into_owned();
        let clue = hosts.clue(&cluster, &telling);
        let mirror = found.route.mirror.as_ref();
        let mirror = mirror.map(|mirror| (mirror, hosts.clue(&mirror.cluster, &telling)));
        Ok(Aim {
            cluster,
            clue,
            mirror,
        })
    }
}

/// What a request tells of itself to whoever chooses its host.
struct Telling<'a, F> {
    arrival: &'a Arrival<'a, F>,
    forward: &'a Forward,
    /// By route or weighted cluster.
    wanted: &'a Arc<Metadata>,
}

impl<F: Facts> Evidence for Telling<'_, F> {
    fn hash(&self) -> Option<u64> {
        let source = || Some(self.arrival.connection.addresses().peer?.ip());
        hashed(&self.forward.hash, self.arrival.facts, source)
    }

    fn metadata(&self) -> Arc<Metadata> {
        let filtered = self.arrival.filtered;
        if filtered.is_empty() {
            return Arc::clone(self.wanted);
        }
        let mut metadata = Metadata::clone(self.wanted);
        metadata.extend(filtered.clone());
        Arc::new(metadata)
    }

    fn field(&self, name: &str) -> Option<&[u8]> {
        let facts = self.arrival.facts;
        let host = facts.host().filter(|_| name == "host");
        host.or_else(|| facts.field(name))
    }

    fn destination(&self) -> Option<SocketAddr> {
        let connection = self.arrival.connection;
        let local = connection.addresses().local;
        meant_for(
            connection.original_destination(),
            local,
            self.arrival.listener,
        )
    }
}
