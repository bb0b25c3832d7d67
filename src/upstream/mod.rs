//! Connections to hosts.

mod connect;
mod hosts;
mod pool;

pub use connect::{ConnectError, connect};
pub use hosts::{Hosts, PickError, Picked, note};
pub use pool::{Held, PoolError, Pooled, Pools};
