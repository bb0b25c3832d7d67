//! What may go wrong with a request, and the one place that says which answer it gets.

use crate::name::ClusterName;
use crate::protocol::http1::{Malformed, Refusal};
use crate::proxy::passing;
use crate::proxy::setback::Setback;
use crate::route::Flags;
use crate::upstream::ConnectError;

/// Why a request gets an answer of the proxy's own. Its text names the cause, for the client and
/// for the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The body is longer than the listener allows.
    #[error("the request's body is longer than {0} bytes")]
    BodyTooLong(u64),
    /// The body's framing is wrong.
    #[error("the request's body is malformed: {0}")]
    BodyMalformed(Malformed),
    /// The downstream ended in the middle of its body.
    #[error("the request's body ended early")]
    BodyTruncated,
    /// The body came slower than is allowed.
    #[error("the request's body came too slowly")]
    BodyTooSlow,
    /// No host of those tried could be connected to.
    #[error("cluster `{cluster}`: host {host}: {error} (hosts tried: {tries})")]
    ConnectFailed {
        cluster: ClusterName,
        host: String,
        error: ConnectError,
        tries: usize,
    },
    /// CONNECT is not for this listener.
    #[error("CONNECT is not allowed here")]
    ConnectRefused,
    /// This process lacks descriptors or memory for another connection.
    #[error("cluster `{cluster}`: {error}")]
    Exhausted {
        cluster: ClusterName,
        error: ConnectError,
    },
    /// The request is not HTTP as it should be.
    #[error("{0}")]
    Refused(Refusal),
    /// The response's head is not HTTP as it should be.
    #[error("host {host}: its response is malformed: {error}")]
    ResponseMalformed { host: String, error: Malformed },
    /// What may befall every request.
    #[error(transparent)]
    Setback(#[from] Setback),
    /// The head did not come in time.
    #[error("the request's head came too slowly")]
    TooSlow,
    /// The upstream ended the connection before its response began.
    #[error("host {host}: it closed the connection before it answered")]
    UpstreamClosed { host: String },
    /// The upstream reset the connection before its response began.
    #[error("host {host}: it reset the connection before it answered")]
    UpstreamReset { host: String },
}

impl Trouble {
    /// The status of the answer (MOSN 1.4, `pkg/types` reset reasons; RFC 9110 section 15).
    pub(super) fn status(&self) -> u16 {
        match self {
            Self::BodyMalformed(_) | Self::BodyTruncated => 400,
            Self::BodyTooLong(_) => 413,
            Self::BodyTooSlow | Self::TooSlow => 408,
            Self::ConnectRefused => 501,
            Self::ConnectFailed { .. }
            | Self::ResponseMalformed { .. }
            | Self::UpstreamClosed { .. }
            | Self::UpstreamReset { .. } => 502,
            Self::Exhausted { .. } => 503,
            Self::Refused(refusal) => refusal.status(),
            Self::Setback(setback) => setback.status(),
        }
    }

    /// Whether the downstream's connection ends with it: where the next request begins is not
    /// known, or what follows would be misread.
    pub(super) fn closes(&self) -> bool {
        matches!(
            self,
            Self::BodyMalformed(_)
                | Self::BodyTooLong(_)
                | Self::BodyTooSlow
                | Self::BodyTruncated
                | Self::ConnectRefused
                | Self::Refused(_)
                | Self::TooSlow
        )
    }

    /// What an access log says of it.
    pub(super) fn flags(&self) -> Flags {
        match self {
            Self::BodyMalformed(_)
            | Self::BodyTruncated
            | Self::BodyTooSlow
            | Self::ConnectRefused
            | Self::Refused(_)
            | Self::TooSlow
            | Self::UpstreamClosed { .. } => Flags::NONE,
            Self::BodyTooLong(_) => Flags::BODY_TOO_LONG,
            Self::ConnectFailed { .. } | Self::Exhausted { .. } => Flags::CONNECT_FAILED,
            Self::ResponseMalformed { .. } | Self::UpstreamReset { .. } => Flags::REMOTE_RESET,
            Self::Setback(setback) => setback.flags(),
        }
    }

    /// The tag of its log line; `None` for what a client or a configuration is to be told only.
    pub(super) fn tag(&self) -> Option<&'static str> {
        match self {
            Self::ConnectFailed { .. } => Some("mosn.proxy.upstream_conn_failed"),
            Self::Exhausted { .. } => Some("process.exhausted"),
            Self::ResponseMalformed { .. } => Some("mosn.proxy.codec_error"),
            Self::Setback(setback) => setback.tag(),
            _ => None,
        }
    }
}

impl From<Setback> for passing::Stop<Trouble> {
    fn from(setback: Setback) -> Self {
        Self::Trouble(setback.into())
    }
}
