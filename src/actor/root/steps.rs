//! The changes of one plan, sorted by who carries them out.

use std::sync::Arc;

use crate::config::{self, Change};
use crate::name::{ClusterName, ListenerName, RouterName};

/// The changes of one plan, sorted by who carries them out.
#[derive(Default)]
pub(super) struct Steps {
    pub(super) clusters: Vec<Arc<config::Cluster>>,
    pub(super) clusters_removed: Vec<ClusterName>,
    pub(super) routers: Vec<Arc<config::Router>>,
    pub(super) routers_removed: Vec<RouterName>,
    /// Listeners that need a socket.
    pub(super) bind: Vec<Arc<config::Listener>>,
    /// Listeners that keep theirs.
    pub(super) changed: Vec<Arc<config::Listener>>,
    pub(super) taken_down: Vec<ListenerName>,
}

impl Steps {
    pub(super) fn of(changes: &[Change]) -> Self {
        let mut steps = Self::default();
        for change in changes {
            match change.clone() {
                Change::AddCluster(to) | Change::UpdateCluster { to, .. } => {
                    steps.clusters.push(to);
                }
                Change::RemoveCluster(name) => steps.clusters_removed.push(name),
                Change::AddRouter(to) | Change::UpdateRouter { to, .. } => steps.routers.push(to),
                Change::RemoveRouter(name) => steps.routers_removed.push(name),
                Change::AddListener(to) => steps.bind.push(to),
                Change::UpdateListener { from, to } if from.rebinds(&to) => {
                    steps.taken_down.push(from.name.clone());
                    steps.bind.push(to);
                }
                Change::UpdateListener { to, .. } => steps.changed.push(to),
                Change::RemoveListener(name) => steps.taken_down.push(name),
                Change::Server { .. } => {}
            }
        }
        steps
    }

    /// Whether clusters change or come, and nothing else does.
    pub(super) fn is_only_clusters(&self) -> bool {
        let Self {
            clusters: _,
            clusters_removed,
            routers,
            routers_removed,
            bind,
            changed,
            taken_down,
        } = self;
        clusters_removed.is_empty()
            && routers.is_empty()
            && routers_removed.is_empty()
            && bind.is_empty()
            && changed.is_empty()
            && taken_down.is_empty()
    }
}
