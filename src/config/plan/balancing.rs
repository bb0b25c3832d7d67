//! What shapes the choice of a host beside the balancer and the hosts themselves.

use std::time::Duration;

use super::Metadata;

/// How strongly what is known of a host moves the choice (`lbconfig`); 0 is not at all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bias {
    /// What it carries (`active_request_bias`, default 1).
    pub active: f64,
    /// Its answers from 400 to 499 (`client_error_bias`, default 1).
    pub client_errors: f64,
    /// Its answers from 500 on, and requests that it left without one (`server_error_bias`,
    /// default 1).
    pub server_errors: f64,
    /// What is known of its latency and its errors counts `1 / e` after so long
    /// (`metrics.ewma_config`, default 6 s).
    pub memory: Duration,
}

impl Bias {
    /// MOSN's `e^-5` in 30 s.
    pub const MEMORY: Duration = Duration::from_secs(6);
}

impl Default for Bias {
    fn default() -> Self {
        Self {
            active: 1.0,
            client_errors: 1.0,
            server_errors: 1.0,
            memory: Self::MEMORY,
        }
    }
}

/// How a host that has just come, or come back, takes up its share (`slow_start`).
///
/// Its weight is multiplied by `(age / window) ^ (1 / aggression)` as long as that is below 1, and
/// by no less than `least`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlowStart {
    /// How long it takes until its weight is whole.
    pub window: Duration,
    /// Above 1 it gains faster in the beginning (default 1: evenly).
    pub aggression: f64,
    /// The least share of its weight (`min_weight_percent`), above 0, at most 1 (default 0.1).
    pub least: f64,
}

/// How a cluster's hosts are divided by their metadata (`lb_subset_config`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subsets {
    /// Names of metadata, each selector sorted and given once: hosts that agree in all of a
    /// selector's values are a subset.
    pub selectors: Vec<Vec<String>>,
    /// Who takes what no subset takes.
    pub fallback: Fallback,
}

/// Who takes a request that asks for a subset which is not there, or has no host that may be
/// chosen (`fall_back_policy`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fallback {
    /// Nobody.
    #[default]
    None,
    /// Any host of the cluster.
    Any,
    /// The hosts that have all of this (`default_subset`).
    Default(Metadata),
}

/// Where [`Balancer::OriginalDestination`](super::Balancer) sends what comes
/// (`original_dst_lb_config`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OriginalDestination {
    /// A field, in lower case, whose value goes before where the connection was meant to go.
    pub field: Option<String>,
    /// At which address the destination is reached.
    pub reached: Reached,
}

/// At which address an original destination is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reached {
    /// At its own.
    #[default]
    There,
    /// At 127.0.0.1, with its port (`replace_local`).
    Here,
}
