//! Where stream filters and routes look at a request and its response.

use std::sync::Arc;

use crate::filter::{BodySize, Phase, ReplyOrigin, RequestView, ResponseView, Step};
use crate::name::ClusterName;
use crate::protocol::http1::{Body, Fields};
use crate::route::{Found, apply};

use crate::proxy::passing::{Again, Routed, named, pass, route_view};

use super::exchange::{Exchange, Stop};
use super::facts::Subject;
use super::record::Origin;
use super::{Setting, access};

impl<S: Setting> Exchange<'_, S> {
    /// Runs the stream filters of a phase.
    pub(super) async fn filter(
        &mut self,
        phase: Phase,
        found: Option<&Found<'_>>,
        cluster: Option<&ClusterName>,
    ) -> Result<Again, Stop> {
        if self.fitting.chain.is_empty(phase) {
            return Ok(Again::No);
        }
        let fitting = Arc::clone(&self.fitting);
        let connection = self.connection;
        let from = self.remarks.resume();
        let see = |look: &mut dyn FnMut(&mut RequestView<'_>) -> Step| {
            Ok::<_, Stop>(self.see(found, cluster, look))
        };
        let passed = tokio::select! {
            biased;
            passed = pass(&fitting.chain, phase, from, see) => Some(passed?),
            // They may pause.
            () = connection.gone() => None,
        };
        let Some(passed) = passed else {
            return Err(self.gone());
        };
        passed.settle(&mut self.remarks, &mut self.record.flags)
    }

    /// Shows the request to filters.
    fn see<T>(
        &mut self,
        found: Option<&Found<'_>>,
        cluster: Option<&ClusterName>,
        look: impl FnOnce(&mut RequestView<'_>) -> T,
    ) -> T {
        let body = match self.request.body {
            Body::None => BodySize::None,
            Body::Length(length) => BodySize::Known(length),
            Body::Chunked | Body::UntilClose => BodySize::Unknown,
        };
        let mut fields = std::mem::take(&mut self.request.fields);
        let seen = look(&mut RequestView {
            method: self.request.method_text(),
            path: self.path.as_bytes(&self.request),
            fields: &mut fields,
            downstream: self.connection.peer(),
            body,
            route: found.map(route_view),
            cluster: cluster.or_else(|| found.and_then(named)),
            metadata: &mut self.remarks.metadata,
            body_limit: &mut self.remarks.body_limit,
            flags: &mut self.record.flags,
            random: &mut rand::random,
        });
        self.request.fields = fields;
        seen
    }

    /// Lets the filters and the routes change a response's head.
    pub(super) fn dress(&mut self, status: u16, fields: &mut Fields, routed: Routed<'_>) {
        if !self.fitting.chain.is_empty(Phase::BeforeSend) {
            let route = routed.and_then(|(_, found)| found).map(route_view);
            let origin = match self.record.origin {
                Origin::Upstream => ReplyOrigin::Upstream,
                Origin::Local => ReplyOrigin::Local,
            };
            self.fitting.chain.on_response(&mut ResponseView {
                status,
                fields,
                origin,
                route,
            });
        }
        let Some((table, Some(found))) = routed else {
            return;
        };
        let scopes = [
            &found.route.edits.response,
            &found.virtual_host.edits.response,
            &table.router().edits.response,
        ];
        let subject = Subject::of(self);
        apply(fields, scopes, |variable, now, out| {
            access::push(&subject, variable, None, Some(now), out);
        });
    }
}
