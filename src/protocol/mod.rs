//! Bytes to messages and back. No sockets here.

pub mod bolt;
mod codecs;
pub mod detect;
pub mod handover;
pub mod http1;
pub mod rpc;

pub use codecs::{Codecs, Known};
