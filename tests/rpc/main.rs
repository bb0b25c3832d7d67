//! SOFA Bolt through an embedded proxy, between scripted peers.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answering;
#[path = "../support/counts.rs"]
mod counts;
mod crowd;
mod explaining;
mod failing;
mod leaving;
mod mirroring;
mod modes;
mod peers;
mod refusing;
mod registered;
mod site;
#[allow(dead_code, reason = "shared with tests of TCP")]
#[path = "../support/mod.rs"]
mod support;
