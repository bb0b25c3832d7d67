//! What may go wrong with a request, and the one place that says which answer it gets.

use crate::name::ClusterName;
use crate::protocol::rpc::{Flaw, code};
use crate::proxy::passing;
use crate::proxy::setback::Setback;
use crate::route::Flags;
use crate::upstream::TrunkEnd;

/// Why a request gets an answer of the proxy's own.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The request cannot be read, or not be written as it was changed.
    #[error("the request is malformed: {0}")]
    Malformed(Flaw),
    /// The route sends it elsewhere, which only HTTP has words for.
    #[error("the route redirects, which is for HTTP only")]
    Redirected,
    /// What may befall every request.
    #[error(transparent)]
    Setback(#[from] Setback),
    /// No connection to the host was made.
    #[error("cluster `{cluster}`: host {host}: {end} (hosts tried: {tries})")]
    Unreached {
        cluster: ClusterName,
        host: String,
        end: TrunkEnd,
        tries: usize,
    },
    /// The connection ended with the request under way.
    #[error("host {host}: {end} before it answered")]
    Ended { host: String, end: TrunkEnd },
}

impl Trouble {
    /// MOSN's code for it, from which a protocol makes its status (MOSN 1.4, reset reasons).
    pub(super) fn code(&self) -> u16 {
        match self {
            Self::Ended { .. } | Self::Redirected => 500,
            Self::Malformed(_) => code::CODEC,
            Self::Setback(setback) => setback.status(),
            Self::Unreached { .. } => 502,
        }
    }

    /// What an access log says of it.
    pub(super) fn flags(&self) -> Flags {
        match self {
            Self::Ended { .. } => Flags::CONNECTION_ENDED,
            Self::Malformed(_) | Self::Redirected => Flags::NONE,
            Self::Setback(setback) => setback.flags(),
            Self::Unreached { .. } => Flags::CONNECT_FAILED,
        }
    }

    /// The tag of its log line; `None` for what a client or a configuration is to be told only.
    pub(super) fn tag(&self) -> Option<&'static str> {
        match self {
            Self::Malformed(_) => Some("mosn.proxy.codec_error"),
            Self::Setback(setback) => setback.tag(),
            Self::Unreached { .. } => Some("mosn.proxy.upstream_conn_failed"),
            Self::Ended { .. } | Self::Redirected => None,
        }
    }
}

impl From<Setback> for passing::Stop<Trouble> {
    fn from(setback: Setback) -> Self {
        Self::Trouble(setback.into())
    }
}
