//! Which host a connection or request goes to.
//!
//! A [`HostSet`] is an immutable snapshot, a [`Balance`] chooses from one, and a [`Lease`] is a
//! choice that counts. The counts ([`Load`]) are shared by all workers and by successive
//! snapshots, so least-loaded is least-loaded in the process; so are those of the whole cluster
//! ([`Limits`]), which say when it is full. [`Streak`] and [`Schedule`] say what the probes of a
//! host come to, and when it is probed.

mod balance;
mod balances;
mod clue;
mod conduct;
mod departed;
mod duty;
mod ending;
mod ever;
mod form;
mod health;
mod host;
mod host_set;
mod lease;
mod limits;
#[cfg(test)]
#[path = "limits/tests.rs"]
mod limits_tests;
mod load;
mod names;
mod outlier;
mod remembered;
mod schedule;
mod sought;
mod standing;
mod streak;
mod subset;
mod totals;

pub use balance::{Ask, Balance, Table};
pub use balances::{Balances, Nobody, Taken, TakenFrom};
pub use clue::{Clue, Evidence};
pub use conduct::{Conduct, Row};
pub use departed::Departed;
pub use duty::{Departure, Duty};
pub use ending::Ending;
pub use form::{Form, Grade, Moment};
pub use health::{Flags, Health, Reason};
pub use host::Host;
pub use host_set::HostSet;
pub use lease::{Lease, Work};
pub use limits::{Limits, Permit};
pub use load::Load;
pub use names::{Answer, Known, Names, asked};
pub use outlier::{Ejections, Offence, Spared, Suspicion, Verdict, judge};
pub use remembered::{Recall, Remembered};
pub use schedule::{Pace, Schedule, after};
pub use sought::{Missed, Sought, Taker};
pub use standing::Standing;
pub use streak::{Outcome, Streak, Thresholds};
pub use subset::Subsets;
pub use totals::Totals;

/// What limits count with. `tests/loom.rs` compiles them with others, whose every order it tries.
mod atomic {
    pub(super) use std::sync::atomic::AtomicU64;
    pub(super) use std::sync::atomic::Ordering::Relaxed;
}

const _: () = assert!(size_of::<Limits>() == 64, "one cache line a cluster");
