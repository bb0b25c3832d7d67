//! What went wrong with a request, or was done to it, as bits of one number.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// What went wrong with a request, or was done to it.
///
/// Prints as the access log's `upstream_transport_failure_reason`: `0x` and the number, which is
/// MOSN's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(u16);

impl Flags {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// No host of the cluster could be chosen.
    pub const NO_HEALTHY_UPSTREAM: Self = Self(0x2);
    /// The whole request or its last try took too long.
    pub const TIMED_OUT: Self = Self(0x4);
    /// We gave up the upstream's connection: it could not be written to.
    pub const LOCAL_RESET: Self = Self(0x8);
    /// The upstream answered with what is no response.
    pub const REMOTE_RESET: Self = Self(0x10);
    /// The upstream did not accept a connection.
    pub const CONNECT_FAILED: Self = Self(0x20);
    /// The upstream closed a connection that carries many requests at once.
    pub const CONNECTION_ENDED: Self = Self(0x40);
    /// The cluster carries as much as it may.
    pub const OVERFLOW: Self = Self(0x80);
    /// There was no router, virtual host, route or cluster for it.
    pub const NO_ROUTE: Self = Self(0x100);
    /// A filter delayed it.
    pub const DELAYED: Self = Self(0x200);
    /// A filter aborted it.
    pub const ABORTED: Self = Self(0x400);
    /// There were too many requests.
    pub const RATE_LIMITED: Self = Self(0x800);
    /// Its body was too long.
    pub const BODY_TOO_LONG: Self = Self(0x1000);
    /// It was ended from within, without the upstream's response.
    pub const TERMINATED: Self = Self(0x2000);

    /// Whether any bit is set (the access log's `response_flag`).
    #[must_use]
    pub fn any(self) -> bool {
        self != Self::NONE
    }

    /// Whether all bits of `other` are set.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether it counts as failed by the proxy rather than by the upstream.
    #[must_use]
    pub fn is_failure_of_proxy(self) -> bool {
        let ours = Self::NO_HEALTHY_UPSTREAM
            | Self::LOCAL_RESET
            | Self::NO_ROUTE
            | Self::ABORTED
            | Self::RATE_LIMITED
            | Self::BODY_TOO_LONG
            | Self::TERMINATED;
        self.0 & ours.0 != 0
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Flags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_add_up_and_print_as_mosn_prints_them() {
        let mut flags = Flags::NONE;
        assert!(!flags.any());
        assert_eq!(flags.to_string(), "0x0");
        flags |= Flags::DELAYED;
        flags |= Flags::ABORTED;
        assert!(flags.contains(Flags::DELAYED) && !flags.contains(Flags::OVERFLOW));
        assert_eq!(flags.to_string(), "0x600");
    }

    #[test]
    fn a_delay_or_the_upstreams_failure_is_no_failure_of_ours() {
        assert!(!(Flags::DELAYED | Flags::CONNECT_FAILED).is_failure_of_proxy());
        assert!((Flags::DELAYED | Flags::ABORTED).is_failure_of_proxy());
    }
}
