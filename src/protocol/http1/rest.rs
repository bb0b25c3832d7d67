//! What a connection remembers between two requests.

use serde::{Deserialize, Serialize};

use crate::protocol::handover::Movable;

/// What a connection remembers between two requests, when it moves to another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rest {
    /// Whether it was served a request; one that was not is still owed an answer when its listener
    /// drains.
    pub served: bool,
}

impl Movable for Rest {
    const PROTOCOL: &'static str = "http1";
}
