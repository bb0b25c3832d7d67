//! One downstream connection, first byte to last.

mod bell;
pub mod http;
mod relay;
mod target;
mod way;

pub use bell::Bell;
pub use relay::{End, Ended, Flow, Relay, Side};
pub use target::target;
