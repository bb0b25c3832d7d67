//! Where stream filters look at a request.

use std::sync::Arc;

use crate::filter::{BodySize, Phase, RequestView, Step};
use crate::name::ClusterName;
use crate::protocol::rpc::{Decoded, Edit, Message};
use crate::route::Found;

use super::edits::{Change, between};
use crate::proxy::passing::{Again, named, pass, route_view};

use super::exchange::{Exchange, Stop};
use super::setting::Carrier;
use super::trouble::Trouble;

impl<S: Carrier> Exchange<'_, S> {
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
        let from = self.remarks.resume();
        let see =
            |look: &mut dyn FnMut(&mut RequestView<'_>) -> Step| self.see(found, cluster, look);
        let passed = pass(&fitting.chain, phase, from, see).await?;
        passed.settle(&mut self.remarks, &mut self.record.flags)
    }

    /// Shows the request to filters, and makes what they change of its headers the request's.
    fn see<T>(
        &mut self,
        found: Option<&Found<'_>>,
        cluster: Option<&ClusterName>,
        look: impl FnOnce(&mut RequestView<'_>) -> T,
    ) -> Result<T, Stop> {
        let mut fields = self.fields().fields.clone();
        let seen = look(&mut RequestView {
            method: b"",
            path: b"",
            fields: &mut fields,
            downstream: self.hub.connection.peer(),
            body: BodySize::Known(self.message.frame.content.len() as u64),
            route: found.map(route_view),
            cluster: cluster.or_else(|| found.and_then(named)),
            metadata: &mut self.remarks.metadata,
            body_limit: &mut self.remarks.body_limit,
            flags: &mut self.record.flags,
            random: &mut rand::random,
        });
        let changes = between(&self.fields().fields, &fields);
        if !changes.is_empty() {
            let message = self.changed(&self.message, &changes);
            self.replace(message.map_err(Trouble::Malformed)?);
        }
        Ok(seen)
    }

    /// A frame with other headers.
    pub(super) fn changed(
        &self,
        Message { frame, bytes }: &Message,
        changes: &[Change],
    ) -> Result<Message, crate::protocol::rpc::Flaw> {
        let codec = self.hub.codec();
        let edits: Vec<Edit<'_>> = changes.iter().map(Change::as_edit).collect();
        let block = codec.edited(frame, bytes, &edits)?;
        let mut changed = Vec::with_capacity(bytes.len() + block.len());
        codec.relay(frame, bytes, frame.asker.id, Some(&block), &mut changed);
        match codec.decode(&changed, usize::MAX) {
            Ok(Decoded::Frame(frame)) => Ok(Message {
                frame,
                bytes: changed.into(),
            }),
            Ok(Decoded::Need(_)) => unreachable!("what was written is whole"),
            Err(malformed) => Err(malformed.flaw),
        }
    }
}
