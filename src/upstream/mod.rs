//! Connections to hosts, and probes of them.

mod connect;
mod hosts;
mod pool;
mod probe;

pub use connect::{ConnectError, connect};
pub use hosts::{Hosts, PickError, Picked, note};
pub use pool::{Held, PoolError, Pooled, Pools};
pub use probe::{Answer, Finding, probe};
