//! Load and origins: what stands on either side of a proxy, or of none. [`run`] asks, an
//! [`Origin`] answers, and neither knows that there is a proxy.
//!
//! ```text
//! thread: turns ──due──▶ a line with room ──request──▶ socket ──answer──▶ tally
//!            ▲                  │ none has room: the turn waits, and its time counts
//!          timer                ▼
//!                          the next line that is answered
//! ```

mod crew;
mod hessian;
mod json;
mod line;
mod origin;
mod percentiles;
mod plan;
mod progress;
mod report;
mod run;
mod speech;
mod spread;
mod tally;
mod target;
mod timer;
mod turns;
mod units;

pub(crate) use json::json;
pub(crate) use origin::{Answers, Order, Origin};
pub(crate) use percentiles::percentiles;
pub(crate) use plan::{Ask, Pace, Plan};
pub(crate) use progress::Progress;
pub(crate) use report::report;
pub(crate) use run::{Failed, run};
pub(crate) use target::{Protocol, Target};
pub(crate) use units::{bytes, lasting};
