//! HTTP: from a downstream's bytes to requests, from there to an upstream, and back.

pub(in crate::proxy) mod access;
mod attempt;
mod course;
mod deliver;
mod exchange;
mod expect;
pub(in crate::proxy) mod explain;
pub(in crate::proxy) mod facts;
mod forward;
mod forwards;
mod heading;
mod hooks;
mod linger;
mod local;
mod mirror;
mod pace;
pub(in crate::proxy) mod record;
mod reply;
mod serve;
mod setting;
mod spare;
mod trace;
mod transfer;
mod tried;
mod trouble;
pub(in crate::proxy) mod unheard;

/// What connections to hosts speak, where HTTP is forwarded.
const SPEECH: crate::upstream::Speech = crate::config::Spoken::HTTP1;

pub use explain::{
    Asked, Explained, FilterSeen, Forwarded, Outcome, RouteSeen, ShareSeen, VirtualHostSeen,
    explain,
};
pub use serve::{Leave, Served, Stage, Tunnel, serve};
pub use setting::{Addresses, Aside, Connection, Fitting, Goodbye, Notice, Parting, Setting};
