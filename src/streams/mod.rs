//! What is under way on a connection that many requests share: which ids are in use, until when
//! each waits, and whether the peer is still there. No sockets here.

mod keepalive;
mod table;

pub use keepalive::{Beat, Keepalive, Rhythm, Step};
pub use table::{Answered, Count, Streams};
