//! One downstream connection, first byte to last.

mod bell;
mod destination;
pub mod detect;
pub mod http;
mod passing;
mod relay;
pub mod rpc;
mod setback;
mod site;
mod target;
mod telling;
mod trail;
mod tries;
mod way;

pub use bell::Bell;
pub use destination::meant_for;
pub use relay::{End, Ended, Flow, Packed, Relay, Side};
pub use target::target;
