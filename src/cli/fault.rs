//! Faults from outside: `BANYAN_FAULT=KIND:COUNT` makes so many actors of a kind panic, one after
//! the other, once the process runs; `hang KIND:1` has one hold up its thread for good.
//!
//! Compiled only for tests.

use std::thread;
use std::time::Duration;

use crate::actor::fault::{hang_one, panic_one};
use crate::net::arm;

/// Shorter than any restart period by far, longer than a restart takes.
const EVERY: Duration = Duration::from_millis(10);

/// Has an upgrade go wrong as `BANYAN_UPGRADE_FAULT=send:MESSAGE:FAULT` or `receive:…` says.
pub(super) fn arm_upgrade() {
    let told = std::env::var("BANYAN_UPGRADE_FAULT").unwrap_or_default();
    if let Some((step, fault)) = told.rsplit_once(':')
        && let (Ok(step), Ok(fault)) = (step.parse(), fault.parse())
    {
        arm(step, fault);
    }
}

/// Begins to do what the variable says; one that says nothing sensible is none.
pub(super) fn inject() {
    let told = std::env::var("BANYAN_FAULT").unwrap_or_default();
    let Some((kind, count)) = told.rsplit_once(':') else {
        return;
    };
    // By the way that a dependency's word takes.
    tracing::warn!(target: "fault", "faults are injected: {told}");
    let (kind, mut left) = (kind.to_owned(), count.parse().unwrap_or(0_u32));
    thread::spawn(move || {
        while left > 0 {
            // None may live for a moment, between two lives.
            let done = match kind.strip_prefix("hang ") {
                Some(kind) => hang_one(kind),
                None => panic_one(&kind),
            };
            left -= u32::from(done);
            thread::sleep(EVERY);
        }
    });
}
