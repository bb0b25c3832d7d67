//! A request as routing and logging see it.

use std::borrow::Cow;
use std::sync::Arc;

use crate::config::Variable;
use crate::protocol::http1::{Request, Response, TargetForm};
use crate::proxy::site::Site;
use crate::route::{Facts, normal_path};

use super::access;
use super::exchange::Exchange;
use super::record::Record;
use super::{Fitting, Setting};

/// The path by which a request is routed: unescaped and normalised.
#[derive(Debug)]
pub(in crate::proxy) enum Path {
    /// The path that came is normal already.
    AsItCame,
    /// What became of the path that came.
    Changed(Vec<u8>),
}

impl Path {
    pub(in crate::proxy) fn of(request: &Request) -> Self {
        if request.target_form() == TargetForm::Authority {
            return Self::AsItCame;
        }
        match normal_path(request.path()) {
            Cow::Borrowed(_) => Self::AsItCame,
            Cow::Owned(path) => Self::Changed(path),
        }
    }

    pub(in crate::proxy) fn as_bytes<'a>(&'a self, request: &'a Request) -> &'a [u8] {
        match self {
            Self::AsItCame => request.path(),
            Self::Changed(path) => path,
        }
    }
}

/// A request as routing and logging see it.
#[derive(Clone, Copy)]
pub(in crate::proxy) struct Subject<'a> {
    pub(in crate::proxy) request: &'a Request,
    pub(in crate::proxy) path: &'a Path,
    pub(in crate::proxy) record: &'a Record,
    pub(in crate::proxy) response: Option<&'a Response>,
    pub(in crate::proxy) fitting: &'a Arc<Fitting>,
    pub(in crate::proxy) connection: &'a dyn Site,
}

impl<'a> Subject<'a> {
    pub(super) fn of<S: Setting>(exchange: &'a Exchange<'_, S>) -> Self {
        Self {
            request: &exchange.request,
            path: &exchange.path,
            record: &exchange.record,
            response: exchange.response.as_deref(),
            fitting: &exchange.fitting,
            connection: exchange.connection,
        }
    }
}

impl Facts for Subject<'_> {
    fn host(&self) -> Option<&[u8]> {
        self.request.host()
    }

    fn method(&self) -> &[u8] {
        self.request.method_text()
    }

    fn path(&self) -> &[u8] {
        self.path.as_bytes(self.request)
    }

    fn field(&self, name: &str) -> Option<&[u8]> {
        self.request.fields.get(name)
    }

    fn cookie(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        access::cookie(&self.request.fields, name)
    }

    fn variable(&self, variable: &Variable) -> Option<Cow<'_, [u8]>> {
        access::value(self, variable)
    }
}
