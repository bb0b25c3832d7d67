//! Connections to hosts, and probes of them.

mod book;
mod connect;
mod dns;
mod hosts;
mod neighbours;
mod outbox;
mod outcome;
mod pool;
mod probe;
mod sole;
mod trunk;
mod trunks;

pub use book::{Book, LookUp, by_the_system};
pub use connect::{ConnectError, connect};
pub use dns::look_up;
pub use hosts::{Hosts, PickError, Picked, note};
pub use neighbours::Neighbours;
pub use outbox::Outbox;
pub use outcome::{Answer as Reply, End as TrunkEnd, Ending, Sent, Told};
pub use pool::{Handed, Held, PoolError, Pooled, Pools, Resting, Speech};
pub use probe::{Answer, Finding, probe};
pub use sole::Sole;
pub use trunk::{Memory, Standing, Trunk, Waiting};
pub use trunks::{Driver, HandedTrunk, Parted, Spoken, Trunks, places};
