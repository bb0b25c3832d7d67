//! The `proxy` network filter of listeners that take several protocols.

use std::time::Duration;

use super::{HttpProxy, RpcProtocol, RpcProxy, TcpProxy};

/// What the `proxy` filter does with a listener's connections, where each may speak another protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct AutoProxy {
    /// What comes into question, in the order in which it is tried.
    pub spoken: Vec<Spoken>,
    /// What else is told apart, by MOSN's names, though nobody speaks it yet.
    pub unspoken: Vec<&'static str>,
    /// Whether more than that comes into question.
    pub breadth: Breadth,
    /// How connections are served that speak HTTP.
    pub http: HttpProxy,
    /// How those are served that speak RPC.
    pub rpc: RpcProxy,
    /// Where those go, as they are, that speak nothing of it (`fallback_for_unknown_protocol` and the
    /// `tcp_proxy` behind); `None` closes them.
    pub fallback: Option<TcpProxy>,
    /// How long a client may take until it is told what it speaks (`detection_timeout`, default 15 s);
    /// `None` is for ever. One that says nothing is only waited for so long where there is a fallback.
    pub budget: Option<Duration>,
}

impl AutoProxy {
    /// The default of [`budget`](Self::budget): the deadline of MOSN's reads.
    pub const BUDGET: Duration = Duration::from_secs(15);
}

/// Whether more comes into question than what is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breadth {
    /// It does not.
    Listed,
    /// So does every protocol that the program around the proxy brings (`Auto`).
    All,
}

/// A protocol that a `proxy` serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// `Http1`.
    Http1,
    /// One whose requests share connections.
    Rpc(RpcProtocol),
}

impl Spoken {
    /// MOSN's name of [`Http1`](Self::Http1).
    pub const HTTP1: &'static str = "Http1";

    /// All of our own, in the order in which `Auto` tries them.
    pub const ALL: [Self; 3] = [
        Self::Http1,
        Self::Rpc(RpcProtocol::Bolt),
        Self::Rpc(RpcProtocol::BoltV2),
    ];

    /// MOSN's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Http1 => Self::HTTP1,
            Self::Rpc(protocol) => protocol.name(),
        }
    }
}
