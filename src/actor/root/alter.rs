//! Changes of the running configuration: one at a time, whole or not at all, and each a version.
//!
//! Out: the running configuration, published; its history and, where that is wanted, its journal on
//! disk.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::ApplyError;
use super::history::{History, entry, first};
use super::house::House;
use super::proposal::{Drift, Entry, Outcome, Running, Source, Terms, Trial, Want};
use crate::config::{
    Change, Configuration, Diagnostic, Diagnostics, Document, Edited, Machine, Severity, Summary,
    diff,
};
use crate::lifecycle::State;
use crate::protocol::handover::VersionOffer;

/// Changes that may wait for their turn; more are refused.
pub(super) const QUEUE: usize = 64;

/// How long names and files may take while a configuration is resolved.
const RESOLVES_WITHIN: Duration = Duration::from_secs(30);

/// How long the disk may take to keep a version.
const WRITES_WITHIN: Duration = Duration::from_secs(30);

/// What is known of versions beside the running one.
pub(super) struct Ledger {
    history: History,
    /// The digest of what the source said when it was last read.
    base: u64,
    /// What ran before the change that waits to be confirmed.
    before: Option<Arc<Running>>,
}

impl Ledger {
    pub(super) fn new(base: u64) -> Self {
        Self {
            history: History::default(),
            base,
            before: None,
        }
    }
}

/// A configuration that is to run, and what is new to doubt in it.
struct Resolved {
    configuration: Configuration,
    warnings: Vec<Diagnostic>,
    /// Of the source, when it was read.
    base: Option<u64>,
}

impl From<Configuration> for Resolved {
    fn from(configuration: Configuration) -> Self {
        Self {
            configuration,
            warnings: Vec::new(),
            base: None,
        }
    }
}

impl House {
    pub(super) async fn alter(&self, want: Want, terms: Terms) -> Result<Outcome, ApplyError> {
        let _place = self.queue.try_acquire().map_err(|_| ApplyError::Busy)?;
        let _turn = self.turn.lock().await;
        let running = self.running.load_full();
        if let Some(wanted) = terms.version.filter(|wanted| *wanted != running.version) {
            return Err(ApplyError::Conflict {
                wanted,
                running: running.version,
            });
        }
        let waits = running.confirm_until.is_some() && !matches!(want, Want::Revert);
        if waits && terms.trial == Trial::Real {
            return Err(ApplyError::Unconfirmed(running.version));
        }
        let resolved = self.resolve(want, &running).await?;
        let (from, to) = (running.configuration.plan(), resolved.configuration.plan());
        let mut changes = diff(from, to);
        if self.state.get() == State::Starting {
            // It is what the process starts with: nothing of it waits for the next start.
            changes.retain(|change| !matches!(change, Change::Server { .. }));
        }
        let summary = Summary::of(&changes, |name| self.connections_of(name));
        let base = self.ledger.borrow().base;
        // Where something changes nothing need be compared.
        let same = changes.is_empty()
            && from == to
            && running.configuration.document() == resolved.configuration.document()
            && resolved.base.is_none_or(|new| new == base);
        let mut outcome = Outcome {
            version: running.version,
            changes,
            summary,
            warnings: resolved.warnings.clone(),
            trial: terms.trial,
            confirm_until: None,
        };
        if terms.trial == Trial::Real && !same {
            self.apply(from, to, &outcome.changes).await?;
            self.settle(&running, resolved, &terms, &mut outcome)
                .await?;
        } else if terms.trial == Trial::Real && running.confirm_until.is_some() {
            self.running.store(Arc::new(Running {
                confirm_until: None,
                ..Running::clone(&running)
            }));
        }
        Ok(outcome)
    }

    /// Makes what was carried out the running version, and undoes it where it cannot be kept.
    async fn settle(
        &self,
        running: &Arc<Running>,
        resolved: Resolved,
        terms: &Terms,
        outcome: &mut Outcome,
    ) -> Result<(), ApplyError> {
        let version = self.next_version(running.version, &resolved.configuration);
        let now = SystemTime::now();
        let entry = entry(
            version,
            now,
            &terms.by,
            outcome.changes.iter().map(Change::to_string).collect(),
        );
        let base = resolved.base.unwrap_or(self.ledger.borrow().base);
        let confirm_until = terms.confirm_within.map(|time| now + time);
        // What a start begins with is kept already, or is the source's.
        let accepted = confirm_until.is_none() && self.state.get() == State::Running;
        if accepted
            && let Err(error) = self
                .keep(&entry, base, resolved.configuration.document())
                .await
        {
            self.undo(resolved.configuration.plan(), running.configuration.plan())
                .await;
            return Err(error);
        }
        let mut ledger = self.ledger.borrow_mut();
        ledger.history.note(entry, resolved.configuration.clone());
        ledger.base = base;
        ledger.before = confirm_until.map(|_| Arc::clone(running));
        let configuration = resolved.configuration;
        if let Some(source) = &self.options.source {
            source.follow(&configuration.plan().server);
        }
        let next = Running {
            version,
            configuration,
            since: now,
            confirm_until,
        };
        self.running.store(Arc::new(next));
        outcome.version = version;
        outcome.confirm_until = confirm_until;
        Ok(())
    }

    /// The number of the version after this one, or after a predecessor's.
    fn next_version(&self, version: u64, configuration: &Configuration) -> u64 {
        match self.state.get() {
            State::Starting => {
                let predecessor = self.succession.version();
                first(version, predecessor, digest(configuration))
            }
            _ => version + 1,
        }
    }

    /// The running version as a successor is told of it.
    ///
    /// # Errors
    ///
    /// [`ApplyError::Unconfirmed`] when it is to be confirmed: a successor could neither wait for
    /// that nor roll it back.
    pub(super) fn version_offered(&self) -> Result<VersionOffer, ApplyError> {
        let running = self.running.load();
        match running.confirm_until {
            Some(_) => Err(ApplyError::Unconfirmed(running.version)),
            None => Ok(VersionOffer {
                number: running.version,
                digest: digest(&running.configuration),
            }),
        }
    }

    async fn resolve(&self, want: Want, running: &Arc<Running>) -> Result<Resolved, ApplyError> {
        match want {
            Want::Configuration(configuration) => Ok((*configuration).into()),
            Want::Edits(edits) => {
                let running = Arc::clone(running);
                let source = self.options.source.clone();
                let edited = blocking("resolve", RESOLVES_WITHIN, move || {
                    let edited = running.configuration.edited(&edits, &Machine)?;
                    let configuration = overruled(edited.configuration, source.as_deref());
                    Ok(Edited {
                        configuration,
                        ..edited
                    })
                });
                let Edited {
                    configuration,
                    warnings,
                } = edited.await?.map_err(ApplyError::Change)?;
                Ok(Resolved {
                    configuration,
                    warnings,
                    base: None,
                })
            }
            Want::Hosts(cluster, change) => {
                let running = Arc::clone(running);
                let source = self.options.source.clone();
                let changed = blocking("resolve", RESOLVES_WITHIN, move || {
                    let changed = running
                        .configuration
                        .with_hosts(&cluster, change, &Machine)?;
                    Ok(overruled(changed, source.as_deref()))
                });
                Ok(changed.await?.map_err(ApplyError::Change)?.into())
            }
            Want::Reload => self.reload().await,
            Want::Rollback(version) => self.version(version).await.map(Into::into),
            Want::Revert => {
                let before = self.ledger.borrow().before.clone();
                let waits = before.filter(|_| running.confirm_until.is_some());
                let before = waits.ok_or(ApplyError::NothingToConfirm)?;
                Ok(before.configuration.clone().into())
            }
        }
    }

    async fn reload(&self) -> Result<Resolved, ApplyError> {
        let (configuration, found) = self.read_source().await?.map_err(ApplyError::Source)?;
        let base = Some(configuration.digest());
        let warnings = found.of(Severity::Warning).cloned().collect();
        Ok(Resolved {
            configuration,
            warnings,
            base,
        })
    }

    async fn read_source(
        &self,
    ) -> Result<Result<(Configuration, Diagnostics), Diagnostics>, ApplyError> {
        let source = self.options.source.clone().ok_or(ApplyError::NoSource)?;
        blocking("resolve", RESOLVES_WITHIN, move || {
            let loaded = source.load();
            let found = loaded.diagnostics.clone();
            let configuration = Configuration::of(loaded, &Machine)?;
            Ok((overruled(configuration, Some(&*source)), found))
        })
        .await
    }

    /// A version that ran: from memory, else from the disk.
    async fn version(&self, version: u64) -> Result<Configuration, ApplyError> {
        if let Some(found) = self.ledger.borrow().history.find(version) {
            return Ok(found);
        }
        let gone = ApplyError::NoSuchVersion(version);
        let journal = self.options.keeping.journal.clone().ok_or(gone)?;
        let source = self.options.source.clone();
        let read = blocking("resolve", RESOLVES_WITHIN, move || {
            let kept = journal
                .kept(version)
                .map_err(|_| ApplyError::NoSuchVersion(version))?;
            let found = Configuration::of_document(&kept.document, &Machine);
            let found = found.map_err(ApplyError::Source)?;
            Ok(overruled(found, source.as_deref()))
        });
        read.await?
    }

    /// Writes a version to the journal, where there is one. A plan without a document is not kept.
    async fn keep(
        &self,
        entry: &Entry,
        base: u64,
        document: Option<&Arc<Document>>,
    ) -> Result<(), ApplyError> {
        let (Some(journal), Some(document)) = (&self.options.keeping.journal, document) else {
            return Ok(());
        };
        let (journal, document, entry) = (journal.clone(), Arc::clone(document), entry.clone());
        let undo = (journal.clone(), entry.version);
        let write = move || journal.record(&entry, base, &document);
        let failed = match blocking("journal", WRITES_WITHIN, write).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => ApplyError::Step {
                step: "journal",
                reason: error.to_string(),
            },
            Err(error) => error,
        };
        let (journal, version) = undo;
        // A write that was late must not come back at the next start.
        drop(spawn_blocking(move || journal.forget(version)));
        Err(failed)
    }

    pub(super) async fn confirm(&self, version: u64) -> Result<(), ApplyError> {
        let _turn = self.turn.lock().await;
        let running = self.running.load_full();
        if running.confirm_until.is_none() {
            return Err(ApplyError::NothingToConfirm);
        }
        if running.version != version {
            return Err(ApplyError::Conflict {
                wanted: version,
                running: running.version,
            });
        }
        let (entry, base) = {
            let ledger = self.ledger.borrow();
            let entries = ledger.history.entries();
            (
                entries.into_iter().find(|entry| entry.version == version),
                ledger.base,
            )
        };
        if let Some(entry) = entry {
            self.keep(&entry, base, running.configuration.document())
                .await?;
        }
        self.ledger.borrow_mut().before = None;
        self.running.store(Arc::new(Running {
            confirm_until: None,
            ..Running::clone(&running)
        }));
        Ok(())
    }

    pub(super) async fn drift(&self) -> Result<Drift, ApplyError> {
        let running = self.running.load_full();
        Ok(match self.read_source().await? {
            Err(found) => Drift::Refused(found),
            Ok((configuration, _)) => {
                let changes = diff(running.configuration.plan(), configuration.plan());
                Drift::Changes(Summary::of(&changes, |name| self.connections_of(name)))
            }
        })
    }

    pub(super) async fn history(&self) -> Result<Vec<Entry>, ApplyError> {
        let Some(journal) = self.options.keeping.journal.clone() else {
            return Ok(self.ledger.borrow().history.entries());
        };
        let mut kept = blocking("journal", WRITES_WITHIN, move || journal.entries()).await?;
        let recent = self.ledger.borrow().history.entries();
        let first = recent.first().map_or(u64::MAX, |entry| entry.version);
        kept.retain(|entry| entry.version < first);
        kept.extend(recent);
        Ok(kept)
    }
}

/// What tells its document from others, if it has one.
fn digest(configuration: &Configuration) -> Option<u64> {
    configuration.document().map(|_| configuration.digest())
}

/// The process decides some things whatever a configuration says of them.
fn overruled(configuration: Configuration, source: Option<&dyn Source>) -> Configuration {
    configuration.overruled(|server| {
        if let Some(source) = source {
            source.overrule(server);
        }
    })
}

/// Does on a thread of its own what may block.
async fn blocking<T: Send + 'static>(
    step: &'static str,
    within: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApplyError> {
    match timeout(within, spawn_blocking(work)).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(_)) => Err(ApplyError::Step {
            step,
            reason: "it panicked".to_owned(),
        }),
        Err(_) => Err(ApplyError::Step {
            step,
            reason: format!("not done within {within:?}"),
        }),
    }
}
