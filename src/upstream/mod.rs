//! Connections to hosts.

mod connect;
mod hosts;

pub use connect::{ConnectError, connect};
pub use hosts::{Hosts, PickError, Picked};
