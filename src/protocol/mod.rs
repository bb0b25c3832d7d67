//! Bytes to messages and back. No sockets here.

pub mod handover;
pub mod http1;
