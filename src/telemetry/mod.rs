//! Written by everyone, read by admin: logs and counters.

pub mod counters;
pub mod log;
