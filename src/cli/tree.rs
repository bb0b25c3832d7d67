//! The tree as the process' life sees it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use slog::Logger;

use super::life::{Reloaded, Tree};
use super::systemd::Manager;
use crate::actor::admin;
use crate::actor::root::{Keeping, Source, Terms};
use crate::config::{Configuration, Diagnostic};
use crate::net::Legacy;
use crate::telemetry::access_log::AccessLogs;
use crate::{ApplyError, Failure, Inheritance, Proxy, ProxyHandle, Upgrades};

/// What the process decides and no plan says.
pub(super) struct Options {
    pub(super) workers: usize,
    pub(super) max_connections: usize,
    pub(super) drain_time: Duration,
    pub(super) pre_drain_wait: Duration,
    pub(super) access: AccessLogs,
    pub(super) log_directory: PathBuf,
    pub(super) upgrades: Option<Upgrades>,
    pub(super) inheritance: Option<Inheritance>,
    pub(super) given: Legacy,
    pub(super) source: Arc<dyn Source>,
    pub(super) keeping: Keeping,
    pub(super) admin: admin::Options,
}

/// Starts the tree; when it returns, every listener accepts.
pub(super) async fn start(
    configuration: Configuration,
    options: Options,
    log: &Logger,
) -> Result<ProxyHandle, ApplyError> {
    let proxy = Proxy::default()
        .workers(options.workers)
        .max_connections(options.max_connections)
        .drain_time(options.drain_time)
        .pre_drain_wait(options.pre_drain_wait)
        .access_logs(options.access)
        .log_directory(options.log_directory)
        .logger(log.clone())
        .source(options.source)
        .keeping(options.keeping)
        .sockets(options.given)
        .admin(options.admin);
    let proxy = match options.upgrades {
        Some(upgrades) => proxy.upgrades(upgrades, options.inheritance),
        None => proxy,
    };
    proxy.run(configuration).await
}

/// A proxy that a service manager looks after.
pub(super) struct Managed<'m> {
    pub(super) proxy: &'m ProxyHandle,
    pub(super) manager: &'m Manager,
}

impl Tree for Managed<'_> {
    type Failure = Failure;

    async fn drain(&self, deadline: Duration) -> u64 {
        self.proxy.drain(deadline).await
    }

    async fn stop(&self) {
        self.proxy.stop().await;
    }

    async fn upgrade(&self) {
        // Whoever signals reads the log, where it says why.
        let _ = self.proxy.upgrade().await;
    }

    async fn reload(&self, by: &str) -> Result<Reloaded, String> {
        let terms = Terms {
            by: by.into(),
            ..Terms::default()
        };
        self.manager.reloading();
        let outcome = match self.proxy.reload(terms).await {
            Ok(outcome) => Ok(Reloaded {
                changes: outcome.summary.changes,
                warnings: outcome.warnings.iter().map(Diagnostic::to_line).collect(),
            }),
            Err(ApplyError::Source(found)) => {
                let errors = found.errors().map(Diagnostic::to_line);
                let lines: Vec<_> = errors.chain([found.summary()]).collect();
                Err(lines.join("\n"))
            }
            Err(error) => Err(error.to_string()),
        };
        self.manager.reloaded(&outcome);
        outcome
    }

    async fn ended(&self) -> Result<(), Failure> {
        self.proxy.ended().await
    }
}
