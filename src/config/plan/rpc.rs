//! The `proxy` network filter of protocols whose requests share connections.

use std::sync::Arc;

use super::Target;

/// What the `proxy` filter does with a listener's connections, where those speak RPC.
#[derive(Clone, Debug, PartialEq)]
pub struct RpcProxy {
    /// What is spoken on both sides.
    pub protocol: RpcProtocol,
    /// Where requests go.
    pub target: Target,
    /// Bytes of a frame, of either side (`max_frame_size`, default 64 MiB).
    pub frame_bytes: usize,
    /// Whether clients are told that a connection is about to end (`enable_bolt_goaway`).
    pub goaway: Goaway,
    /// Who shares a connection to a host (`pool_mode`). A change holds for the next request.
    pub pool_mode: PoolMode,
}

impl RpcProxy {
    /// The default of [`frame_bytes`](Self::frame_bytes).
    pub const FRAME_BYTES: usize = 64 << 20;

    /// One that goes to `target`, with every default beside it.
    #[must_use]
    pub fn new(protocol: RpcProtocol, target: Target) -> Self {
        Self {
            protocol,
            target,
            frame_bytes: Self::FRAME_BYTES,
            goaway: Goaway::default(),
            pool_mode: PoolMode::default(),
        }
    }
}

/// A protocol whose requests share connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RpcProtocol {
    /// SOFA Bolt; frames of its second version are read, too.
    Bolt,
    /// The same, where what we begin ourselves is of the second version.
    BoltV2,
    /// One that the program around the proxy brings, by its name.
    Registered(Arc<str>),
}

impl RpcProtocol {
    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        match name {
            "bolt" => Self::Bolt,
            "boltv2" => Self::BoltV2,
            other => Self::Registered(other.into()),
        }
    }

    /// MOSN's name, or its own.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Bolt => "bolt",
            Self::BoltV2 => "boltv2",
            Self::Registered(name) => name,
        }
    }
}

/// Who shares a connection to a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PoolMode {
    /// All requests, at once (MOSN's `Multiplex`).
    #[default]
    Multiplex,
    /// One request after another (MOSN's `PingPong`).
    PingPong,
    /// The requests of one downstream connection, at once (MOSN's `TCP`).
    Bound,
}

impl PoolMode {
    /// All of them, as a configuration writes them.
    pub(in crate::config) const WORDS: [(&str, Self); 3] = [
        ("multiplex", Self::Multiplex),
        ("ping-pong", Self::PingPong),
        ("bound", Self::Bound),
    ];
}

/// Whether clients are told that a connection is about to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Goaway {
    /// They are not: older clients do not know the frame.
    #[default]
    Unsaid,
    /// They are, where the protocol has a word for it.
    Said,
}
