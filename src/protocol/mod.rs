//! Bytes to frames and back: no sockets.

pub mod http1;
