//! What a connection remembers of which it is not known yet what it speaks.

use serde::{Deserialize, Serialize};

use crate::protocol::handover::Movable;

/// What a connection remembers of which it is not known yet what it speaks, when it moves to another
/// process. Whatever it has said is unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untold {
    /// For how long it has been waited for, in milliseconds.
    pub waited_millis: u64,
}

impl Movable for Untold {
    const PROTOCOL: &'static str = "untold";
}
