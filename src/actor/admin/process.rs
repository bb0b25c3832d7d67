//! What the admin door may ask of the process around the proxy.

/// What the process around the proxy knows and may change. Every answer has a default: of a process
/// that has none of it.
pub trait Process: Send + Sync {
    /// What `/api/v1/version` answers behind `mosn version: `.
    fn version(&self) -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }

    /// The feature gates and whether each is on, by name.
    fn features(&self) -> Vec<(String, bool)> {
        Vec::new()
    }

    /// A variable of the environment that may be shown.
    fn variable(&self, _name: &str) -> Option<String> {
        None
    }

    /// The error logs: their output as it is configured, and their level in MOSN's words.
    fn log_levels(&self) -> Vec<(String, &'static str)> {
        Vec::new()
    }

    /// Changes the level of an error log; `false` when there is no such log or level.
    fn set_log_level(&self, _output: &str, _level: &str) -> bool {
        false
    }

    /// Makes a log write nothing, or write again; `false` when there is no such log.
    fn set_log_enabled(&self, _output: &str, _enabled: Logging) -> bool {
        false
    }
}

/// Whether a log writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logging {
    /// It writes nothing but what ends the process.
    Disabled,
    /// It writes.
    Enabled,
}

/// A process of which nothing is known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unknown;

impl Process for Unknown {}
