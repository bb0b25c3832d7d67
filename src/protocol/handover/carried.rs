//! What a connection is that moves from one process to the other.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A connection that moves. Its descriptors are downstream's, then upstream's; its payload are bytes
/// that were read and not passed on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Carried {
    /// Which of the offered listeners it came by; `None` for an idle upstream connection.
    pub listener: Option<usize>,
    /// What it is.
    pub kind: Kind,
    /// Bytes that it has moved from downstream and to downstream.
    #[serde(default)]
    pub moved: (u64, u64),
    /// For how long it may be idle, in milliseconds; `None` is for ever.
    pub idle_millis: Option<u64>,
    /// For how long it has been idle, in milliseconds.
    #[serde(default)]
    pub quiet_millis: u64,
}

/// What moves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A downstream connection between two frames of its protocol; the payload is what came of the
    /// next one.
    Framed(Framed),
    /// Two connections whose bytes are relayed.
    Pair(Pair),
    /// An upstream connection between two requests.
    Idle(Idle),
    /// An upstream connection that requests share, while none is under way; the payload is what came
    /// of the next frame.
    Shared(Shared),
}

/// A connection between two frames of its protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Framed {
    /// The protocol's name.
    pub protocol: String,
    /// What the connection remembers from one frame to the next.
    pub memory: Value,
}

/// A protocol whose connections can move between two of its frames.
///
/// This is what such a connection remembers from one frame to the next, beside its sockets and the
/// bytes that came of the next frame. Whoever adds a protocol implements it, has its connections
/// stop between two frames when they are called, and answers for its name where connections arrive.
pub trait Movable: Serialize + DeserializeOwned {
    /// The protocol's name, of which no other has the same.
    const PROTOCOL: &'static str;

    /// As it is written for the other process.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    fn pack(&self) -> Result<Framed, serde_json::Error> {
        Ok(Framed {
            protocol: Self::PROTOCOL.to_owned(),
            memory: serde_json::to_value(self)?,
        })
    }

    /// Reads what the other process wrote; `None` when it is another protocol's.
    fn unpack(framed: &Framed) -> Option<Result<Self, serde_json::Error>> {
        (framed.protocol == Self::PROTOCOL).then(|| Self::deserialize(&framed.memory))
    }
}

/// Two connections whose bytes are relayed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// Who the other end is.
    pub upstream: Upstream,
    /// Whether it was an HTTP request that became a tunnel.
    #[serde(default)]
    pub is_tunnel: bool,
    /// How far its two directions have come.
    pub halves: Halves,
}

/// An upstream connection between two requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idle {
    /// To whom.
    pub upstream: Upstream,
    /// The name of its protocol.
    pub speaks: String,
    /// Requests that it has served.
    pub served: u64,
    /// Its `SO_MARK`.
    pub mark: Option<u32>,
    /// So many connections to the host the predecessor had, idle or not, when it began to move them:
    /// more of them would be of no use.
    pub most: u64,
}

/// An upstream connection that requests share, while none is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shared {
    /// To whom.
    pub upstream: Upstream,
    /// The name of its protocol.
    pub speaks: String,
    /// The longest frame that is read.
    pub frame_bytes: usize,
    /// Its `SO_MARK`.
    pub mark: Option<u32>,
    /// The id of its next request, and whether every id has been given once.
    pub ids: (u64, bool),
    /// The ids of heartbeats that are not answered.
    pub heartbeats: Vec<u64>,
    /// How many milliseconds ago it was last heard of, or asked.
    pub heard_millis: u64,
    /// How many milliseconds ago it was asked what it has not answered.
    pub asked_millis: Option<u64>,
    /// Heartbeats in a row that it has not answered in time.
    pub failed: u32,
}

/// A host of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    /// The cluster.
    pub cluster: String,
    /// The host, as a configuration writes its address.
    pub host: String,
}

/// The two directions of a pair; the payload is what goes up, then what goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halves {
    /// Bytes of the payload that upstream is still to get.
    pub up: usize,
    /// Whether what downstream sends is still to be passed on.
    pub up_open: bool,
    /// Whether what upstream sends is.
    pub down_open: bool,
}
