//! Written by everyone, read by admin: logs and counters.

pub mod counters;
pub mod log;

pub use log::access as access_log;
