//! Connections to hosts, and probes of them.

mod book;
mod connect;
mod dns;
mod hosts;
mod neighbours;
mod outbox;
mod pool;
mod probe;
mod trunk;
mod trunks;

pub use book::{Book, LookUp, by_the_system};
pub use connect::{ConnectError, connect};
pub use dns::look_up;
pub use hosts::{Hosts, PickError, Picked, note};
pub use neighbours::Neighbours;
pub use outbox::Outbox;
pub use pool::{Held, PoolError, Pooled, Pools};
pub use probe::{Answer, Finding, probe};
pub use trunk::{Answer as Reply, End as TrunkEnd};
pub use trunk::{Ending, Sent, Told, Trunk, Waiting};
pub use trunks::{Driver, Spoken, Trunks};
