//! Hooks on requests: what may look at them, change them or answer them.
//!
//! A [`Chain`] holds a listener's stream filters in the order of its configuration. Whoever embeds
//! the proxy adds filters of its own through a [`Registry`].

mod chain;
mod fault;
mod header_to_metadata;
mod ip_access;
mod payload_limit;
mod registry;
mod view;

pub use chain::{Chain, Step};
pub use header_to_metadata::made as metadata_made;
pub use registry::{LeftOut, Registry};
pub use view::{
    BodyLimit, BodySize, Phase, Reply, ReplyOrigin, RequestView, ResponseView, RouteView,
    StreamFilter, Verdict,
};
