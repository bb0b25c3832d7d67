//! What is told of the counts, and where (`metrics`).

use std::time::Duration;

use super::Bias;
pub use crate::telemetry::metrics::StatsMatcher;

/// What is told of the counts, and where. A change holds from the next scrape on; that of a port
/// from the next start on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Where Prometheus scrapes; nowhere but at the admin door when absent.
    pub prometheus: Option<PrometheusSink>,
    /// What is not shown.
    pub matcher: StatsMatcher,
    /// Whether the process tells of itself.
    pub meta: Meta,
    /// When an object is shown.
    pub flush: Flush,
    /// What clusters with `LB_PEAK_EWMA` know of a host counts `1 / e` after so long (default 6 s).
    /// A change holds at once.
    pub memory: Duration,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            prometheus: None,
            matcher: StatsMatcher::default(),
            meta: Meta::default(),
            flush: Flush::default(),
            memory: Bias::MEMORY,
        }
    }
}

/// Where Prometheus scrapes, and what it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrometheusSink {
    /// On every address of both families.
    pub port: u16,
    /// The path, which begins with `/` (default `/metrics`).
    pub endpoint: String,
    /// Percentiles of distributions, 0 to 100 (default: none).
    pub percentiles: Vec<u8>,
    /// Whether the process' own CPU, memory and descriptors are told.
    pub process: Process,
}

/// Whether the process tells of itself (`flush_mosn`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Meta {
    /// It does not.
    #[default]
    Off,
    /// Its state and its bound addresses are metrics.
    On,
}

/// When an object is shown (`lazy_flush`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flush {
    /// As long as it exists.
    #[default]
    Always,
    /// Once it has counted anything.
    Used,
}

/// Whether the process' resources are told (`disable_collect_process`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Process {
    /// They are.
    #[default]
    Told,
    /// They are not.
    Untold,
}
