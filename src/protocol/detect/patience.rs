//! How long to wait for a client's first bytes before it counts as unknown.
//!
//! Where the server speaks first the client waits for it, and a listener that waits for the client
//! would make both wait. Once a client was met that said nothing, the next ones to its destination
//! are waited for no longer than one needs that does speak. What is learned shortens a wait, and
//! decides nothing: a client that speaks is heard as before.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long a client's first bytes may take, from the accept on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Patience {
    /// For enough of them to tell a protocol; `None` is for ever.
    pub budget: Option<Duration>,
}

impl Patience {
    /// A client that speaks first has sent its bytes by the time it is accepted, or shortly after.
    const SHORT: Duration = Duration::from_millis(50);

    /// How long to wait for the first byte of a client; `silent` says whether silence is expected.
    #[must_use]
    pub fn for_silence(&self, silence: Silence) -> Option<Duration> {
        match (silence, self.budget) {
            (Silence::Unexpected, budget) => budget,
            (Silence::Expected, Some(budget)) => Some(budget.min(Self::SHORT)),
            (Silence::Expected, None) => Some(Self::SHORT),
        }
    }
}

/// Whether clients of a destination are known to wait for their server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Silence {
    /// One did not long ago.
    Expected,
    /// None did.
    Unexpected,
}

/// When a destination's clients said nothing last. A value: learning makes the next one.
#[derive(Clone, Debug, Default)]
pub struct Habits(HashMap<SocketAddr, Instant>);

impl Habits {
    /// How long silence is expected after it was met: who changes a server waits as long.
    const KEPT: Duration = Duration::from_secs(600);

    /// Destinations that are known at once; those that come then are learned when others are
    /// forgotten.
    const MOST: usize = 1024;

    /// Those of them that are kept, the latest first, and how long ago that was: at most so many.
    #[must_use]
    pub fn latest(&self, most: usize, now: Instant) -> Vec<(SocketAddr, Duration)> {
        let ago = |met: &Instant| now.saturating_duration_since(*met);
        let all = self.0.iter().map(|(place, met)| (*place, ago(met)));
        let mut all: Vec<_> = all.filter(|(_, ago)| *ago < Self::KEPT).collect();
        all.sort_unstable_by_key(|(_, ago)| *ago);
        all.truncate(most);
        all
    }

    /// What somebody else has met, and how long ago.
    #[must_use]
    pub fn told(met: impl IntoIterator<Item = (SocketAddr, Duration)>, now: Instant) -> Self {
        let met = met.into_iter().take(Self::MOST);
        let at = |(place, ago)| Some((place, now.checked_sub(ago)?));
        Self(met.filter_map(at).collect())
    }

    /// What to expect of clients of `destination`.
    #[must_use]
    pub fn of(&self, destination: Option<SocketAddr>, now: Instant) -> Silence {
        let met = destination.and_then(|destination| self.0.get(&destination));
        match met.is_some_and(|met| now.saturating_duration_since(*met) < Self::KEPT) {
            true => Silence::Expected,
            false => Silence::Unexpected,
        }
    }

    /// These, and that a client of `destination` said nothing; `None` when that is known, or
    /// cannot be kept.
    #[must_use]
    pub fn met(&self, destination: Option<SocketAddr>, now: Instant) -> Option<Self> {
        let destination = destination?;
        let fresh = |met: &Instant| now.saturating_duration_since(*met) < Self::KEPT / 2;
        if self.0.get(&destination).is_some_and(fresh) {
            return None;
        }
        let kept = |met: &Instant| now.saturating_duration_since(*met) < Self::KEPT;
        let mut next = self.0.clone();
        next.retain(|_, met| kept(met));
        let has_room = next.len() < Self::MOST || next.contains_key(&destination);
        has_room.then(|| {
            next.insert(destination, now);
            Self(next)
        })
    }
}
