//! What may go wrong with a request, and the one place that says which answer it gets.

use std::time::Duration;

use crate::filter::Reply;
use crate::name::{ClusterName, RouterName};
use crate::protocol::rpc::{Flaw, code};
use crate::route::Flags;
use crate::upstream::{PickError, TrunkEnd};

/// Why a request gets an answer of the proxy's own.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// A stream filter answered.
    #[error("{}", .0.cause)]
    Filtered(Reply),
    /// The request cannot be read, or not be written as it was changed.
    #[error("the request is malformed: {0}")]
    Malformed(Flaw),
    /// No host may be chosen.
    #[error("cluster `{cluster}`: {error}")]
    NoHost {
        cluster: ClusterName,
        error: PickError,
    },
    /// No route takes the request.
    #[error("no route matches in router `{0}`")]
    NoRoute(RouterName),
    /// The listener names no router, or the router is not there.
    #[error("the listener has no router")]
    NoRouter,
    /// The cluster carries all that it may.
    #[error("cluster `{cluster}`: its limit of {what} is reached")]
    Overflow {
        cluster: ClusterName,
        what: &'static str,
    },
    /// The route sends it elsewhere, which only HTTP has words for.
    #[error("the route redirects, which is for HTTP only")]
    Redirected,
    /// The route's cluster does not exist.
    #[error("there is no cluster `{0}`")]
    UnknownCluster(String),
    /// The upstream took longer than it may.
    #[error("host {host}: no response within {after:?}")]
    TimedOut { host: String, after: Duration },
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
    /// The host answered with a status for which the request was to be tried again, and no other
    /// try got any answer.
    #[error("host {host}: it answered {code}, and no other host answered")]
    UpstreamStatus { host: String, code: u16 },
}

impl Trouble {
    /// MOSN's code for it, from which a protocol makes its status (MOSN 1.4, reset reasons).
    pub(super) fn code(&self) -> u16 {
        match self {
            Self::Ended { .. } | Self::Redirected => 500,
            Self::Filtered(reply) => reply.status,
            Self::Malformed(_) => code::CODEC,
            Self::NoHost { .. } | Self::Unreached { .. } => 502,
            Self::NoRoute(_) | Self::NoRouter | Self::UnknownCluster(_) => 404,
            Self::Overflow { .. } => 503,
            Self::TimedOut { .. } => 504,
            Self::UpstreamStatus { code, .. } => *code,
        }
    }

    /// What an access log says of it.
    pub(super) fn flags(&self) -> Flags {
        match self {
            Self::Ended { .. } => Flags::CONNECTION_ENDED,
            Self::Filtered(reply) => reply.flags,
            Self::Malformed(_) | Self::Redirected | Self::UpstreamStatus { .. } => Flags::NONE,
            Self::NoHost { .. } => Flags::NO_HEALTHY_UPSTREAM,
            Self::NoRoute(_) | Self::NoRouter | Self::UnknownCluster(_) => Flags::NO_ROUTE,
            Self::Overflow { .. } => Flags::OVERFLOW,
            Self::TimedOut { .. } => Flags::TIMED_OUT,
            Self::Unreached { .. } => Flags::CONNECT_FAILED,
        }
    }

    /// The tag of its log line; `None` for what a client or a configuration is to be told only.
    pub(super) fn tag(&self) -> Option<&'static str> {
        match self {
            Self::Malformed(_) => Some("mosn.proxy.codec_error"),
            Self::NoHost { .. } | Self::Unreached { .. } => Some("mosn.proxy.upstream_conn_failed"),
            Self::NoRouter => Some("mosn.proxy.route_match_failed"),
            Self::UnknownCluster(_) => Some("mosn.proxy.cluster_get_failed"),
            Self::Overflow { .. } => Some("proxy.overflow"),
            _ => None,
        }
    }
}
