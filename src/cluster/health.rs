//! Whether a host is fit for work, and what speaks against it.

use std::fmt;

use serde::Serialize;

/// Whether a host is fit for work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// It is chosen.
    #[default]
    Healthy,
    /// It is not chosen.
    Unhealthy,
}

/// Who says that a host is not fit for work. Each speaks for itself: what one of them has said,
/// no other takes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The active health check found it so.
    FailedCheck,
    /// Its connections or requests failed too often.
    Ejected,
    /// Whoever embeds the proxy, or its operator, took it out.
    Commanded,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::FailedCheck, Self::Ejected, Self::Commanded];

    fn bit(self) -> u8 {
        match self {
            Self::FailedCheck => 1,
            Self::Ejected => 2,
            Self::Commanded => 4,
        }
    }
}

/// As operators read it.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FailedCheck => "failed its health check",
            Self::Ejected => "ejected",
            Self::Commanded => "taken out by command",
        })
    }
}

/// All that speaks against a host; nothing does at first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// What they come to: healthy is who has nothing against it.
    #[must_use]
    pub fn health(self) -> Health {
        match self.0 {
            0 => Health::Healthy,
            _ => Health::Unhealthy,
        }
    }

    /// What one of those who may speak against the host says.
    #[must_use]
    pub fn of(self, reason: Reason) -> Health {
        match self.0 & reason.bit() {
            0 => Health::Healthy,
            _ => Health::Unhealthy,
        }
    }

    /// The flags after one of those who may speak against the host has spoken.
    #[must_use]
    pub fn with(self, reason: Reason, health: Health) -> Self {
        match health {
            Health::Healthy => Self(self.0 & !reason.bit()),
            Health::Unhealthy => Self(self.0 | reason.bit()),
        }
    }

    /// What speaks against the host now.
    pub fn reasons(self) -> impl Iterator<Item = Reason> {
        let against = move |reason: &Reason| self.of(*reason) == Health::Unhealthy;
        Reason::ALL.into_iter().filter(against)
    }
}

#[cfg(test)]
mod tests {
    use super::Health::{Healthy, Unhealthy};
    use super::Reason::{Commanded, Ejected, FailedCheck};
    use super::*;

    #[test]
    fn a_host_is_healthy_when_nothing_speaks_against_it() {
        let failed = Flags::default().with(FailedCheck, Unhealthy);
        let both = failed.with(Ejected, Unhealthy);

        assert_eq!(Flags::default().health(), Healthy);
        assert_eq!(failed.health(), Unhealthy);
        assert_eq!(both.with(FailedCheck, Healthy).health(), Unhealthy);
        assert_eq!(
            both.with(Ejected, Healthy).with(FailedCheck, Healthy),
            Flags::default()
        );
    }

    #[test]
    fn what_one_has_said_no_other_takes_back() {
        let flags = Flags::default().with(Ejected, Unhealthy);
        let after = flags.with(Commanded, Healthy).with(FailedCheck, Healthy);
        assert_eq!(after, flags);
        assert_eq!(after.reasons().collect::<Vec<_>>(), [Ejected]);
        assert_eq!(after.of(FailedCheck), Healthy);
    }

    #[test]
    fn saying_it_twice_is_saying_it_once() {
        let once = Flags::default().with(Commanded, Unhealthy);
        assert_eq!(once.with(Commanded, Unhealthy), once);
    }
}
