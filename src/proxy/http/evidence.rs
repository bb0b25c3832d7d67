//! What a request tells of itself to whoever chooses its host.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::cluster::Evidence;
use crate::config::{Forward, Metadata};
use crate::proxy::meant_for;
use crate::route::{Facts, hashed};

use super::Setting;
use super::exchange::Exchange;
use super::facts::Subject;

/// What a request tells of itself to whoever chooses its host: as it came, before it is changed
/// for its way upstream.
pub(super) struct Telling<'a> {
    subject: Subject<'a>,
    forward: &'a Forward,
    /// By route or weighted cluster.
    wanted: &'a Arc<Metadata>,
    /// By filters.
    filtered: &'a Metadata,
}

impl<'a> Telling<'a> {
    pub(super) fn of<S: Setting>(
        exchange: &'a Exchange<'_, S>,
        forward: &'a Forward,
        wanted: &'a Arc<Metadata>,
    ) -> Self {
        Self {
            subject: Subject::of(exchange),
            forward,
            wanted,
            filtered: &exchange.metadata,
        }
    }
}

impl Evidence for Telling<'_> {
    fn hash(&self) -> Option<u64> {
        let source = || Some(self.subject.connection.addresses().peer?.ip());
        hashed(&self.forward.hash, &self.subject, source)
    }

    fn metadata(&self) -> Arc<Metadata> {
        if self.filtered.is_empty() {
            return Arc::clone(self.wanted);
        }
        let mut metadata = Metadata::clone(self.wanted);
        metadata.extend(self.filtered.clone());
        Arc::new(metadata)
    }

    fn field(&self, name: &str) -> Option<&[u8]> {
        match name {
            "host" => self.subject.host(),
            _ => self.subject.field(name),
        }
    }

    fn destination(&self) -> Option<SocketAddr> {
        let connection = self.subject.connection;
        let local = connection.addresses().local;
        let listener = &self.subject.fitting.listener.address;
        meant_for(connection.original_destination(), local, listener)
    }
}
