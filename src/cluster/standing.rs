//! Which hosts of a set may be chosen, and why those.

use std::sync::Arc;

use super::{Duty, Flags, Health, Host, Reason};

/// Which hosts of a set may be chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// The healthy ones.
    #[default]
    Sound,
    /// None is healthy: those against whom nothing speaks but an ejection. It is a suspicion, and
    /// no answer would be worse.
    Makeshift,
    /// All of them: too few are healthy to carry what comes.
    Panic,
}

/// Which of all hosts may be chosen, ascending, and why those.
pub(super) fn standing(all: &[Arc<Host>], panic_threshold: u8) -> (Standing, Box<[usize]>) {
    // One that drains is there for no choice and counts for none.
    let serves = |index: usize| all[index].duty() == Duty::Serving;
    let having = |flags: Flags| -> Box<[usize]> {
        let indices = 0..all.len();
        indices
            .filter(|&index| serves(index) && all[index].flags() == flags)
            .collect()
    };
    let healthy = having(Flags::default());
    let serving: Box<[usize]> = (0..all.len()).filter(|&index| serves(index)).collect();
    if healthy.len() * 100 < serving.len() * usize::from(panic_threshold) {
        return (Standing::Panic, serving);
    }
    if healthy.is_empty() {
        let ejected = having(only_ejected());
        if !ejected.is_empty() {
            return (Standing::Makeshift, ejected);
        }
    }
    (Standing::Sound, healthy)
}

/// What speaks against a host that is ejected and nothing else.
fn only_ejected() -> Flags {
    Flags::default().with(Reason::Ejected, Health::Unhealthy)
}
