//! What peers of an embedded proxy see, over real sockets.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod altering;
mod changes;
mod changing;
mod explaining;
mod failing;
mod health;
mod hosts;
mod life;
mod names;
mod relaying;
mod sharing;
#[path = "../support/mod.rs"]
mod support;
