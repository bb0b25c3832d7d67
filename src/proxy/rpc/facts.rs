//! A request as routing sees it: headers, and no path, method or host.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::cluster::Evidence;
use crate::config::{Forward, Metadata, Variable};
use crate::proxy::http::access;
use crate::proxy::http::facts::Site;
use crate::proxy::meant_for;
use crate::route::{Facts, hashed};

use super::exchange::Exchange;
use super::setting::Carrier;

impl<S: Carrier> Facts for Exchange<'_, S> {
    /// Its letters as they are, or else in any case: configurations have lower case only.
    fn field(&self, name: &str) -> Option<&[u8]> {
        let exact = self.header(name);
        exact.or_else(|| self.fields().fields.get(name))
    }

    fn variable(&self, variable: &Variable) -> Option<Cow<'_, [u8]>> {
        access::value(&self.subject(), variable)
    }
}

impl<S: Carrier> Exchange<'_, S> {
    /// The header of exactly this name.
    pub(super) fn header(&self, name: &str) -> Option<&[u8]> {
        let (frame, bytes) = (&self.message.frame, &self.message.bytes);
        let found = self.hub.codec().header(frame, bytes, name.as_bytes());
        found.ok().flatten()
    }
}

/// What a request tells of itself to whoever chooses its host.
pub(super) struct Telling<'a, 'h, S: Carrier> {
    pub(super) exchange: &'a Exchange<'h, S>,
    pub(super) forward: &'a Forward,
    /// By route or weighted cluster.
    pub(super) wanted: &'a Arc<Metadata>,
}

impl<S: Carrier> Evidence for Telling<'_, '_, S> {
    fn hash(&self) -> Option<u64> {
        let source = || Some(self.exchange.hub.connection.peer()?.ip());
        hashed(&self.forward.hash, self.exchange, source)
    }

    fn metadata(&self) -> Arc<Metadata> {
        let filtered = &self.exchange.metadata;
        if filtered.is_empty() {
            return Arc::clone(self.wanted);
        }
        let mut metadata = Metadata::clone(self.wanted);
        metadata.extend(filtered.clone());
        Arc::new(metadata)
    }

    fn field(&self, name: &str) -> Option<&[u8]> {
        self.exchange.field(name)
    }

    fn destination(&self) -> Option<SocketAddr> {
        let connection = &self.exchange.hub.connection;
        let local = connection.addresses().local;
        let listener = &self.exchange.fitting.listener.address;
        meant_for(connection.original_destination(), local, listener)
    }
}
