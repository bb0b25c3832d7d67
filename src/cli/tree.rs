//! The tree as the process' life sees it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use slog::Logger;

use super::life::Tree;
use crate::actor::admin;
use crate::actor::root::{Keeping, Source, Terms};
use crate::config::Configuration;
use crate::telemetry::access_log::AccessLogs;
use crate::{ApplyError, Failure, Inheritance, Proxy, ProxyHandle, Upgrades};

/// What the process decides and no plan says.
pub(super) struct Options {
    pub(super) workers: usize,
    pub(super) max_connections: usize,
    pub(super) drain_time: Duration,
    pub(super) access: AccessLogs,
    pub(super) log_directory: PathBuf,
    pub(super) upgrades: Option<Upgrades>,
    pub(super) inheritance: Option<Inheritance>,
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
        .access_logs(options.access)
        .log_directory(options.log_directory)
        .logger(log.clone())
        .source(options.source)
        .keeping(options.keeping)
        .admin(options.admin);
    let proxy = match options.upgrades {
        Some(upgrades) => proxy.upgrades(upgrades, options.inheritance),
        None => proxy,
    };
    proxy.run(configuration).await
}

impl Tree for ProxyHandle {
    type Failure = Failure;

    async fn drain(&self, deadline: Duration) -> u64 {
        Self::drain(self, deadline).await
    }

    async fn stop(&self) {
        Self::stop(self).await;
    }

    async fn upgrade(&self) {
        // Whoever signals reads the log, where it says why.
        let _ = Self::upgrade(self).await;
    }

    async fn reload(&self, by: &str) -> Result<Vec<String>, String> {
        let terms = Terms {
            by: by.into(),
            ..Terms::default()
        };
        match Self::reload(self, terms).await {
            Ok(outcome) => Ok(outcome.summary.changes),
            Err(ApplyError::Source(found)) => Err(found.to_text()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn ended(&self) -> Result<(), Failure> {
        Self::ended(self).await
    }
}
