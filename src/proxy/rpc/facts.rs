//! A request as routing sees it: headers, and no path, method or host.

use std::borrow::Cow;

use crate::config::Variable;
use crate::proxy::http::access;
use crate::route::Facts;

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
