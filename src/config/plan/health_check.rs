//! How the hosts of a cluster are checked.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

/// How the hosts of a cluster are checked (`health_check`, where it has a `service_name`).
///
/// When it changes, every host of the cluster is checked anew: what was counted towards a threshold
/// is forgotten, its health stays.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthCheck {
    /// What metrics are labelled with.
    pub service_name: String,
    /// What a host is asked.
    pub probe: Probe,
    /// How long a host may take to answer (default 1 s). None in time is a failure.
    pub timeout: Duration,
    /// From a result to the next probe of that host (default 15 s, at least 1 ms).
    pub interval: Duration,
    /// Up to so much is added to each interval, at random (default 5 ms).
    pub interval_jitter: Duration,
    /// From the start, or a host's first appearance, to its first probe (`initial_delay_seconds`,
    /// default 1 s).
    pub initial_delay: Duration,
    /// Passed probes in a row that make an unhealthy host healthy (default 1).
    pub healthy_threshold: NonZeroU32,
    /// Failed probes in a row that make a healthy host unhealthy (default 1).
    pub unhealthy_threshold: NonZeroU32,
    /// Where each result has a line.
    pub event_log: Option<EventLog>,
}

impl HealthCheck {
    /// A check by connecting, as a configuration makes it that says no more than this.
    #[must_use]
    pub fn new(service_name: impl Into<String>) -> Self {
        Self {
            service_name: service_name.into(),
            probe: Probe::Tcp { port: None },
            timeout: Duration::from_secs(1),
            interval: Duration::from_secs(15),
            interval_jitter: Duration::from_millis(5),
            initial_delay: Duration::from_secs(1),
            healthy_threshold: NonZeroU32::MIN,
            unhealthy_threshold: NonZeroU32::MIN,
            event_log: None,
        }
    }
}

/// What a host is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Probe {
    /// Whether it accepts a connection.
    Tcp {
        /// A port in place of the host's own.
        port: Option<u16>,
    },
    /// What it answers to a request.
    Http(HttpProbe),
}

/// A request, and the answers that pass (`http_check_config`).
#[derive(Clone, Debug, PartialEq)]
pub struct HttpProbe {
    /// A port in place of the host's own.
    pub port: Option<u16>,
    /// How long the whole exchange may take (default 30 s); [`HealthCheck::timeout`] is shorter as
    /// a rule.
    pub timeout: Duration,
    /// Path and query.
    pub target: String,
    /// The method (default `GET`).
    pub method: String,
    /// The `Host` field (`domain`); the host's address unless it is said.
    pub domain: Option<String>,
    /// Statuses that pass (`codes`, default 200).
    pub codes: Vec<RangeInclusive<u16>>,
}

impl Default for HttpProbe {
    fn default() -> Self {
        Self {
            port: None,
            timeout: Duration::from_secs(30),
            target: "/".to_owned(),
            method: "GET".to_owned(),
            domain: None,
            codes: vec![200..=200],
        }
    }
}

/// A log with a line for each result of a check.
#[derive(Clone, Debug, PartialEq)]
pub struct EventLog {
    /// The output as written (`event_log_path`): `stdout`, `stderr`, `syslog…` or a file.
    pub path: String,
    /// What a line says (`event_log_format`).
    pub format: EventFormat,
}

/// What a line of a log of results says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventFormat {
    /// MOSN's five fields (`text`).
    #[default]
    Text,
    /// A JSON object with the reason in words, too (`json`).
    Json,
}
