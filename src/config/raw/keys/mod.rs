//! Every key that MOSN 1.4 reads: its type, and whether it does anything here yet.

mod filter;
mod route;
mod server;
mod stream;
mod tls;
mod top;
mod upstream;

pub(crate) use top::TOP;
pub(crate) use upstream::CLUSTER;

/// Whether MOSN has a network filter of this name.
pub(crate) fn is_network_filter(name: &str) -> bool {
    filter::NETWORK_FILTER
        .variants
        .iter()
        .any(|variant| variant.name == name)
}
