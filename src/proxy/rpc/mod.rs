//! RPC: from a downstream's bytes to requests that share upstream connections, and back.

mod bonds;
mod course;
mod deliver;
mod edits;
mod exchange;
mod explain;
mod facts;
mod forward;
mod hooks;
mod hub;
mod mirror;
mod reach;
mod serve;
mod setting;
mod trouble;

pub use explain::explain;
pub use serve::{Served, serve};
pub use setting::Carrier;
