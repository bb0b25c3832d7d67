//! Written by everyone, read by admin: logs and counters.

pub mod checks;
pub mod counters;
pub mod health_log;
pub mod log;
pub mod metrics;
pub mod tally;

pub use log::access as access_log;
