//! What is told of a connection, whatever its requests speak.

use std::net::SocketAddr;

use super::http::{Addresses, Connection};

/// What of a connection is logged, or tells where it goes.
pub(super) trait Site {
    fn id(&self) -> u64;
    fn speaks(&self) -> &'static str;
    fn addresses(&self) -> Addresses;
    fn original_destination(&self) -> Option<SocketAddr>;
}

impl<S> Site for Connection<S> {
    fn id(&self) -> u64 {
        self.id.0
    }

    fn speaks(&self) -> &'static str {
        self.speaks
    }

    fn addresses(&self) -> Addresses {
        Self::addresses(self)
    }

    fn original_destination(&self) -> Option<SocketAddr> {
        self.stream.original_destination()
    }
}
