//! The actors, one a file: mailboxes and ownership; decisions are made on lower floors.

#[cfg(any(test, feature = "fault-injection"))]
pub mod fault;
pub mod supervisor;
