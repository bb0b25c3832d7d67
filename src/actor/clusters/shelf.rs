//! Where each cluster's latest host set is found.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::Snapshot;
use crate::name::ClusterName;

/// Where the latest snapshot of one cluster is found.
pub(in crate::actor) type Current = Arc<ArcSwap<Snapshot>>;

/// The current snapshot of every cluster. Read by all, written by [`Clusters`](super::Clusters) alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shelf(Arc<ArcSwap<HashMap<ClusterName, Current>>>);

impl Shelf {
    /// Every cluster there is now.
    #[must_use]
    pub(crate) fn all(&self) -> Arc<HashMap<ClusterName, Current>> {
        self.0.load_full()
    }

    /// Replaces them all at one stroke.
    pub(super) fn store(&self, clusters: HashMap<ClusterName, Current>) {
        self.0.store(Arc::new(clusters));
    }

    /// The cluster of that name.
    #[must_use]
    pub(crate) fn find(&self, name: &ClusterName) -> Option<Current> {
        self.0.load().get(name).cloned()
    }
}
