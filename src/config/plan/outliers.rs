//! When a cluster leaves a host out that fails its work.

use std::time::Duration;

/// When a host that fails its work is left out for a while (`outlier_detection`).
///
/// Each threshold counts failures in a row of its own kind, over all workers; 0 is never.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlierDetection {
    /// Responses with a status of 500 or above (default 5).
    pub consecutive_5xx: u16,
    /// Responses with status 502, 503 or 504 (default 0).
    pub consecutive_gateway_failure: u16,
    /// Connections that could not be made; and, counted apart, work that was cut off or not
    /// answered in time (default 5).
    pub consecutive_local_origin_failure: u16,
    /// After so long without an ejection the next one is shorter by one step (default 10 s).
    pub interval: Duration,
    /// How long the first ejection lasts, and by how much longer each further one (default 30 s).
    pub base_ejection_time: Duration,
    /// The longest ejection, but for a tenth that chance may add (default 300 s, or
    /// `base_ejection_time` if that is longer).
    pub max_ejection_time: Duration,
    /// So many of a hundred hosts may be ejected at once, and always one; never the last healthy
    /// one (default 10).
    pub max_ejection_percent: u8,
}

impl Default for OutlierDetection {
    fn default() -> Self {
        Self {
            consecutive_5xx: 5,
            consecutive_gateway_failure: 0,
            consecutive_local_origin_failure: 5,
            interval: Duration::from_secs(10),
            base_ejection_time: Duration::from_secs(30),
            max_ejection_time: Duration::from_secs(300),
            max_ejection_percent: 10,
        }
    }
}
