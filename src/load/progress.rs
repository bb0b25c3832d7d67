//! How a run goes, while it does.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Added to by each thread ten times a second, read once. The two say nothing of each other: no
/// order is needed.
#[derive(Debug, Default)]
pub(super) struct Live {
    done: AtomicU64,
    failed: AtomicU64,
}

impl Live {
    pub(super) fn add(&self, done: u64, failed: u64) {
        self.done.fetch_add(done, Ordering::Relaxed);
        self.failed.fetch_add(failed, Ordering::Relaxed);
    }

    pub(super) fn progress(&self, elapsed: Duration) -> Progress {
        Progress {
            elapsed,
            done: self.done.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }
}

/// How a run goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    pub(crate) elapsed: Duration,
    /// Requests of which something came, and those of them that failed.
    pub(crate) done: u64,
    pub(crate) failed: u64,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs();
        let rate = self.done as f64 / self.elapsed.as_secs_f64();
        let Self { done, failed, .. } = self;
        write!(
            f,
            "{seconds:>4}s  {done} done, {rate:.0}/s, {failed} failed"
        )
    }
}
