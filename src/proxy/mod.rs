//! One downstream connection, first byte to last.

pub mod http;
mod relay;
mod target;
mod way;

pub use relay::{End, Ended, Flow, Relay, Side};
pub use target::target;
