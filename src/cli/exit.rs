//! What the process says with its exit status.

use std::process::ExitCode;

/// Why the process ended. The table in `docs/operations.md` says the same in more words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It did what it was told to, or was stopped.
    Normal = 0,
    /// The configuration was refused at start, an address could not be bound, or the proxy failed.
    Failed = 1,
    /// The command line was not understood (`EX_USAGE`).
    Usage = 64,
    /// Another upgrade is under way (`EX_TEMPFAIL`).
    Busy = 75,
    /// There is a process to take over from, and that failed; it goes on (`EX_PROTOCOL`).
    UpgradeFailed = 76,
    /// `check` refused the configuration, or a setting of the daemon is wrong (`EX_CONFIG`).
    BadConfiguration = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
