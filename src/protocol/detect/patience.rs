//! How long to wait for a client's first bytes before it counts as unknown.
//!
//! Where the server speaks first the client waits for it, and a listener that waits for the client
//! would make both wait. Whoever has seen that once need not see it again: what is learned
//! shortens the wait for silent clients, and decides nothing. A client that does speak is heard
//! as before, and what was learned is forgotten.

use std::time::Duration;

/// What a destination's clients did last.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Habit {
    /// They spoke, or nobody has come yet.
    #[default]
    Speak,
    /// One said nothing for the whole budget.
    Wait,
}

impl Habit {
    /// What to expect after a client that had said so much when it was judged.
    #[must_use]
    pub fn after(bytes: usize) -> Self {
        match bytes {
            0 => Self::Wait,
            _ => Self::Speak,
        }
    }
}

/// How long a client's first bytes may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Patience {
    /// From the accept on: for enough of them to tell a protocol.
    pub budget: Duration,
}

impl Patience {
    /// MOSN's: the deadline of its reads.
    pub const MOSN: Self = Self {
        budget: Duration::from_secs(15),
    };

    /// A client that speaks first has sent its bytes by the time it is accepted, or a round trip
    /// later; one that waits is not to notice this.
    const SHORT: Duration = Duration::from_millis(20);

    /// How long to wait for a client that has said nothing yet, where clients had this habit.
    #[must_use]
    pub fn for_silence(&self, habit: Habit) -> Duration {
        match habit {
            Habit::Speak => self.budget,
            Habit::Wait => self.budget.min(Self::SHORT),
        }
    }
}
