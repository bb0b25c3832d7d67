//! Connections to hosts.

mod connect;

pub use connect::{ConnectError, connect};
