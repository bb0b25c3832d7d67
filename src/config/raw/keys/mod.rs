//! Every key that MOSN 1.4 reads: its type, and whether it does anything here yet.

mod filter;
mod route;
mod server;
mod stream;
mod tls;
mod top;
mod upstream;

pub(crate) use filter::{HTTP1, RPC};
pub(crate) use route::{ROUTE, ROUTER, VIRTUAL_HOST};
pub(crate) use server::LISTENER;
pub(crate) use stream::{FAULT, PAYLOAD_LIMIT};
pub(crate) use top::TOP;
pub(crate) use upstream::{CLUSTER, HOST};

use super::shape::Effect;

/// What is known of a stream filter's name.
pub(crate) enum StreamFilterName {
    InEffect,
    NotYet,
    Unknown,
}

/// What is known of `name`.
pub(crate) fn stream_filter(name: &str) -> StreamFilterName {
    let mut variants = stream::STREAM_FILTER.variants.iter();
    match variants.find(|variant| variant.name == name) {
        Some(variant) if matches!(variant.effect, Effect::Now) => StreamFilterName::InEffect,
        Some(_) => StreamFilterName::NotYet,
        None => StreamFilterName::Unknown,
    }
}

/// Every name of a stream filter that MOSN has.
pub(crate) fn stream_filters() -> impl Iterator<Item = &'static str> {
    let variants = stream::STREAM_FILTER.variants.iter();
    variants.map(|variant| variant.name)
}

/// Whether MOSN has a network filter of this name.
pub(crate) fn is_network_filter(name: &str) -> bool {
    filter::NETWORK_FILTER
        .variants
        .iter()
        .any(|variant| variant.name == name)
}
