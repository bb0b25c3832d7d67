//! A request's head as it goes upstream: what the route changes in it.

use std::borrow::Cow;
use std::sync::Arc;

use crate::config::{Forward, HostRewrite};
use crate::protocol::http1::{Method, Request, TargetForm, Version, is_authority, is_field_value};
use crate::proxy::site::Site;
use crate::route::{Found, Table, apply, escape_path, forwarded_path, rewritten};

use super::exchange::Exchange;
use super::facts::{Path, Subject};
use super::record::Record;
use super::{Fitting, Setting, access};

/// Where a path goes that was before a rewrite (MOSN 1.4).
const ORIGINAL_PATH: &str = "x-mosn-original-path";

/// A head that is about to be changed, and what its changes may speak of.
pub(super) struct Heading<'a> {
    pub(super) request: &'a mut Request,
    pub(super) path: &'a mut Path,
    pub(super) record: &'a Record,
    pub(super) fitting: &'a Arc<Fitting>,
    pub(super) connection: &'a dyn Site,
}

impl<'a> Heading<'a> {
    pub(super) fn of<S: Setting>(exchange: &'a mut Exchange<'_, S>) -> Self {
        Self {
            request: &mut exchange.request,
            path: &mut exchange.path,
            record: &exchange.record,
            fitting: &exchange.fitting,
            connection: exchange.connection,
        }
    }

    /// Makes the request's fields those that go upstream.
    pub(super) fn rehead(&mut self, table: &Table, found: &Found<'_>, forward: &Forward) {
        let names_host = matches!(
            self.request.target_form(),
            TargetForm::Absolute | TargetForm::Authority
        );
        let authority = names_host
            .then(|| self.request.host().map(<[u8]>::to_vec))
            .flatten();
        if self.request.version == Version::Http10 {
            self.request.fields.remove("expect");
        }
        self.request.fields.strip_hop_by_hop();
        self.request.fields.strip_framing();
        if let Some(authority) = authority {
            self.request.fields.set("Host", &authority);
        }
        let scopes = [
            &found.route.edits.request,
            &found.virtual_host.edits.request,
            &table.router().edits.request,
        ];
        let mut fields = std::mem::take(&mut self.request.fields);
        let subject = Subject {
            request: self.request,
            path: self.path,
            record: self.record,
            response: None,
            fitting: self.fitting,
            connection: self.connection,
        };
        apply(&mut fields, scopes, |variable, now, out| {
            access::push(&subject, variable, Some(now), None, out);
        });
        self.request.fields = fields;
        match &forward.host {
            HostRewrite::To(host) => self.request.fields.set("Host", host.as_bytes()),
            HostRewrite::FromField(name) => {
                let host = self.request.fields.get(name);
                // Whatever else a client writes there would be refused, or misread, as a host.
                let host = host.filter(|host| !host.is_empty() && is_authority(host));
                let host = host.map(<[u8]>::to_vec);
                if let Some(host) = host {
                    self.request.fields.set("Host", &host);
                }
            }
            HostRewrite::Keep | HostRewrite::UpstreamName => {}
        }
        self.rewrite(found, forward);
    }

    /// Changes the path as the route says.
    fn rewrite(&mut self, found: &Found<'_>, forward: &Forward) {
        let path = self.path.as_bytes(self.request);
        if let Some(path) = rewritten(&found.route.matcher, &forward.path, path) {
            let before = self.path.as_bytes(self.request).to_vec();
            // Unescaped, it may have line ends.
            let value = match is_field_value(&before) {
                true => Cow::Borrowed(before.as_slice()),
                false => escape_path(&before),
            };
            self.request.fields.set(ORIGINAL_PATH, &value);
            *self.path = Path::Changed(path);
        }
    }
}

/// The target that goes upstream: the path as it came, unless it was rewritten, and the query.
pub(super) fn target<'a>(request: &'a Request, path: &'a Path) -> Cow<'a, [u8]> {
    let form = request.target_form();
    if matches!(form, TargetForm::Authority | TargetForm::Asterisk) {
        return Cow::Borrowed(request.target());
    }
    // RFC 9112 section 3.2.4: the server as a whole is meant.
    let is_bare = request.query().is_none() && !request.target().ends_with(b"/");
    if request.method == Method::Options
        && form == TargetForm::Absolute
        && request.path() == b"/"
        && is_bare
    {
        return Cow::Borrowed(b"*");
    }
    let mut target = match path {
        Path::AsItCame if form == TargetForm::Origin => return Cow::Borrowed(request.target()),
        Path::AsItCame => request.path().to_vec(),
        Path::Changed(path) => forwarded_path(request.path(), path).into_owned(),
    };
    if let Some(query) = request.query() {
        target.push(b'?');
        target.extend_from_slice(query);
    }
    Cow::Owned(target)
}
