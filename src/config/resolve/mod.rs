//! Decides everything that a document leaves open: defaults, forms, and whether names exist.
//!
//! Errors are collected, not returned: what cannot be resolved is left out, and a plan counts only
//! when there is no error.

mod access;
mod address;
mod balance;
mod cluster;
mod directory;
mod dns;
mod domain;
mod edits;
mod filter;
mod forward;
mod health_check;
mod host;
mod listener;
mod log;
mod matcher;
mod metadata;
mod metrics;
mod outliers;
mod probe;
mod protocols;
mod proxy;
mod refer;
mod retry;
mod route;
mod router;
mod server;
mod stream;
mod text;

pub(super) use self::directory::files;
pub(super) use self::listener::called;

use std::collections::HashSet;
use std::time::Duration;

use super::diagnostics::{Code, Diagnostic, Diagnostics};
use super::load::Surroundings;
use super::plan::{Bias, Cluster, Plan};
use super::raw::Cursor;
use crate::name::{ClusterName, RouterName};

/// What every part of resolution may use.
struct Scope<'s> {
    surroundings: &'s dyn Surroundings,
    diagnostics: &'s mut Diagnostics,
    clusters: HashSet<ClusterName>,
    routers: HashSet<RouterName>,
    /// Routers that have a route which copies requests.
    mirroring: HashSet<RouterName>,
    /// For how long clusters remember how fast their hosts were.
    memory: Duration,
}

pub(super) fn resolve(
    top: &Cursor<'_>,
    surroundings: &dyn Surroundings,
    diagnostics: &mut Diagnostics,
) -> Plan {
    let mut scope = Scope::new(surroundings, diagnostics);
    scope.memory = metrics::memory(top, &mut scope);
    let clusters = cluster::clusters(top, &mut scope);
    let (routers, listeners) = match server::only(top, &mut scope) {
        Some(server) => (
            router::routers(&server, &mut scope),
            listener::listeners(&server, &mut scope),
        ),
        None => (Vec::new(), Vec::new()),
    };
    Plan {
        clusters: clusters.into(),
        listeners: listeners.into(),
        routers: routers.into(),
        server: server::server(top, &mut scope),
    }
}

/// One cluster alone: of the rest of a document nothing but the `memory` has a say in what it is.
pub(super) fn resolve_cluster(
    at: &Cursor<'_>,
    memory: Duration,
    surroundings: &dyn Surroundings,
    diagnostics: &mut Diagnostics,
) -> Option<Cluster> {
    let mut scope = Scope::new(surroundings, diagnostics);
    scope.memory = memory;
    cluster::cluster(at, &mut scope)
}

/// Refuses an object in which two keys that exclude one another both say something.
fn exclusive(at: &Cursor<'_>, one: &str, other: &str, scope: &mut Scope<'_>) {
    if let (Some(_), Some(at)) = (at.filled(one), at.filled(other)) {
        let message = format!("`{one}` and `{other}` exclude one another");
        scope.push(at.error(Code::ConflictingKeys, message).found(at.brief()));
    }
}

impl<'s> Scope<'s> {
    fn new(surroundings: &'s dyn Surroundings, diagnostics: &'s mut Diagnostics) -> Self {
        Self {
            surroundings,
            diagnostics,
            clusters: HashSet::new(),
            routers: HashSet::new(),
            mirroring: HashSet::new(),
            memory: Bias::MEMORY,
        }
    }

    fn push(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// The duration under a key, where a negative one makes no sense.
    fn duration(&mut self, at: &Cursor<'_>, name: &str) -> Option<Duration> {
        let (duration, at) = at.duration(name)?;
        let std = duration.to_std();
        if std.is_none() {
            self.push(
                at.error(Code::OutOfRange, format!("`{name}` is negative"))
                    .found(at.brief())
                    .accepted("a duration that is not negative"),
            );
        }
        std
    }
}
