//! What is referred to by name: clusters, routers and variables.

use std::collections::BTreeSet;

use super::Scope;
use crate::config::diagnostics::{Code, Severity};
use crate::config::plan::Variable;
use crate::config::raw::{Cursor, nearest};
use crate::name::{ClusterName, RouterName};

/// With how many names an unknown one is compared.
const COMPARED: usize = 1000;

impl Scope<'_> {
    /// The cluster of this name; an error says that there is none.
    pub(super) fn cluster(&mut self, name: &str, at: &Cursor<'_>) -> Option<ClusterName> {
        if let Some(name) = self.clusters.get(name) {
            return Some(name.clone());
        }
        let clusters = &self.clusters;
        self.diagnostics.push_with(Severity::Error, || {
            // Sorted, so that of two names as near the same one is shown each time.
            let names = clusters.iter().map(ClusterName::as_str);
            let known: BTreeSet<&str> = names.take(COMPARED).collect();
            at.error(Code::UnknownCluster, "no cluster has this name")
                .found(at.brief())
                .accepted("the name of a cluster in `cluster_manager`")
                .suggest(nearest(name, known))
        });
        None
    }

    /// The router of this name; an error says that there is none.
    pub(super) fn router(&mut self, name: &str, at: &Cursor<'_>) -> Option<RouterName> {
        if let Some(name) = self.routers.get(name) {
            return Some(name.clone());
        }
        let routers = &self.routers;
        self.diagnostics.push_with(Severity::Error, || {
            let names = routers.iter().map(RouterName::as_str);
            let known: BTreeSet<&str> = names.take(COMPARED).collect();
            at.error(Code::UnknownRouter, "no router has this name")
                .found(at.brief())
                .accepted("the `router_config_name` of one of the server's `routers`")
                .suggest(nearest(name, known))
        });
        None
    }

    /// The variable of this name; a warning says that there is none, and what is done `instead`.
    pub(super) fn variable(&mut self, name: &str, at: &Cursor<'_>, instead: &str) -> Variable {
        let variable = Variable::parse(name);
        if let Variable::Unknown(name) = &variable {
            self.diagnostics.push_with(Severity::Warning, || {
                at.warning(
                    Code::UnknownVariable,
                    format!("no variable has this name; {instead}"),
                )
                .found(crate::config::raw::quote(name))
                .suggest(nearest(name, Variable::names()))
            });
        }
        variable
    }
}
