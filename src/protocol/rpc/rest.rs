//! What a connection remembers between two frames.

use serde::{Deserialize, Serialize};

use crate::protocol::handover::Movable;

/// What a connection remembers between two frames, when it moves to another process: of which
/// protocol they are, and nothing of those before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rest {
    /// The name of that.
    pub codec: String,
}

impl Movable for Rest {
    const PROTOCOL: &'static str = "rpc";
}
