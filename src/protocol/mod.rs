//! Bytes to messages and back. No sockets here.

pub mod bolt;
pub mod detect;
pub mod handover;
pub mod http1;
pub mod rpc;
