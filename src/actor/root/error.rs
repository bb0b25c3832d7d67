//! Why a change was refused.

use crate::actor::listeners::BindError;
use crate::actor::slot::Unavailable;
use crate::config::{Diagnostics, Refused};

/// A change that was refused. The running plan is the one before.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A listener could not be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// So many changes wait already that this one was not taken.
    #[error("too many changes wait already")]
    Busy,
    /// The change itself makes no sense.
    #[error(transparent)]
    Change(#[from] Refused),
    /// Another version runs than the change was made for.
    #[error("version {running} runs, not {wanted}")]
    Conflict {
        /// The version that the change was made for.
        wanted: u64,
        /// The one that runs.
        running: u64,
    },
    /// The proxy is about to end and takes no change.
    #[error("the proxy is draining")]
    Draining,
    /// The proxy has ended.
    #[error("the proxy has ended")]
    Ended,
    /// There is no such version to go back to.
    #[error("version {0} is not kept")]
    NoSuchVersion(u64),
    /// There is nothing to read the configuration from again.
    #[error("the configuration was not read from a file: there is nothing to reload")]
    NoSource,
    /// No change waits to be confirmed.
    #[error("no change waits to be confirmed")]
    NothingToConfirm,
    /// The configuration was read again and is wrong.
    #[error("the configuration is refused: {}", .0.summary())]
    Source(Diagnostics),
    /// Something failed while `step` was carried out.
    #[error("{step}: {reason}")]
    Step {
        /// What was being done.
        step: &'static str,
        /// What was said.
        reason: String,
    },
    /// Another process is about to take over, or this one is; changes wait until that is decided.
    #[error("an upgrade is under way")]
    Upgrading,
    /// A change waits to be confirmed; until then there is no other.
    #[error("version {0} waits to be confirmed or rolled back")]
    Unconfirmed(u64),
}

impl ApplyError {
    pub(super) fn step(step: &'static str) -> impl FnOnce(Unavailable) -> Self {
        move |unavailable| Self::Step {
            step,
            reason: unavailable.to_string(),
        }
    }
}
