//! What may go wrong with a request, whatever it speaks.

use std::time::Duration;

use crate::filter::Reply;
use crate::name::{ClusterName, RouterName};
use crate::route::Flags;
use crate::upstream::PickError;

/// What may go wrong with a request, whatever it speaks. Its text names the cause, for the client
/// and for the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum Setback {
    /// A stream filter answered.
    #[error("{}", .0.cause)]
    Filtered(Reply),
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
    /// The upstream took longer than it may.
    #[error("host {host}: no response within {after:?}")]
    TimedOut { host: String, after: Duration },
    /// The route's cluster does not exist.
    #[error("there is no cluster `{0}`")]
    UnknownCluster(String),
    /// The upstream answered with a status for which the request was to be tried again, and no other
    /// try got any answer.
    #[error("host {host}: it answered {status}, and no other host answered")]
    UpstreamStatus { host: String, status: u16 },
}

impl Setback {
    pub(super) fn overflow(cluster: &ClusterName, what: &'static str) -> Self {
        let cluster = cluster.clone();
        Self::Overflow { cluster, what }
    }

    /// Why no host of this cluster was picked.
    pub(super) fn unpicked(cluster: &ClusterName, error: PickError) -> Self {
        match error {
            PickError::UnknownCluster => Self::UnknownCluster(cluster.to_string()),
            error => {
                let cluster = cluster.clone();
                Self::NoHost { cluster, error }
            }
        }
    }

    /// The status of HTTP that says it, of which other protocols make theirs (MOSN 1.4,
    /// `pkg/types` reset reasons; RFC 9110 section 15).
    pub(super) fn status(&self) -> u16 {
        match self {
            Self::Filtered(reply) => reply.status,
            Self::NoHost { .. } => 502,
            Self::NoRoute(_) | Self::NoRouter | Self::UnknownCluster(_) => 404,
            Self::Overflow { .. } => 503,
            Self::TimedOut { .. } => 504,
            Self::UpstreamStatus { status, .. } => *status,
        }
    }

    /// What an access log says of it.
    pub(super) fn flags(&self) -> Flags {
        match self {
            Self::Filtered(reply) => reply.flags,
            Self::NoHost { .. } => Flags::NO_HEALTHY_UPSTREAM,
            Self::NoRoute(_) | Self::NoRouter | Self::UnknownCluster(_) => Flags::NO_ROUTE,
            Self::Overflow { .. } => Flags::OVERFLOW,
            Self::TimedOut { .. } => Flags::TIMED_OUT,
            Self::UpstreamStatus { .. } => Flags::NONE,
        }
    }

    /// The tag of its log line; `None` for what a client or a configuration is to be told only.
    pub(super) fn tag(&self) -> Option<&'static str> {
        match self {
            Self::NoHost { .. } => Some("mosn.proxy.upstream_conn_failed"),
            Self::NoRouter => Some("mosn.proxy.route_match_failed"),
            Self::UnknownCluster(_) => Some("mosn.proxy.cluster_get_failed"),
            Self::Overflow { .. } => Some("proxy.overflow"),
            Self::Filtered(_)
            | Self::NoRoute(_)
            | Self::TimedOut { .. }
            | Self::UpstreamStatus { .. } => None,
        }
    }
}
