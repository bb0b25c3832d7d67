//! Where stream filters look at a request.

use std::sync::Arc;

use tokio::time::sleep;

use crate::config::{Action, ClusterChoice};
use crate::filter::{BodySize, Phase, RequestView, RouteView, Verdict};
use crate::name::ClusterName;
use crate::protocol::rpc::{Decoded, Edit, Message};
use crate::route::{Flags, Found};

use super::edits::{Change, between};
use super::exchange::{Exchange, Stop};
use super::setting::Carrier;
use super::trouble::Trouble;

/// Where filters send a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// On.
    No,
    /// Back to its route.
    Route,
    /// Back to the choice of a host.
    Host,
}

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
        let mut from = std::mem::take(&mut self.resume);
        loop {
            let step = self.see(found, cluster, |view| {
                fitting.chain.on_request(phase, from, view)
            })?;
            match step.verdict {
                Verdict::Continue => return Ok(Again::No),
                Verdict::HostAgain => {
                    self.resume = step.next;
                    return Ok(Again::Host);
                }
                Verdict::Pause(pause, reply) => {
                    sleep(pause).await;
                    if let Some(reply) = reply {
                        return Err(Trouble::Filtered(reply).into());
                    }
                }
                Verdict::Reply(reply) => return Err(Trouble::Filtered(reply).into()),
                Verdict::RouteAgain => {
                    self.resume = step.next;
                    self.body_limit = None;
                    return Ok(Again::Route);
                }
                Verdict::Terminate => {
                    self.record.flags |= Flags::TERMINATED;
                    return Err(Stop::Silence);
                }
            }
            from = step.next;
        }
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
            metadata: &mut self.metadata,
            body_limit: &mut self.body_limit,
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
                bytes: changed,
            }),
            Ok(Decoded::Need(_)) => unreachable!("what was written is whole"),
            Err(malformed) => Err(malformed.flaw),
        }
    }
}

/// The cluster of a route that names one, before a host of it is chosen.
fn named<'a>(found: &Found<'a>) -> Option<&'a ClusterName> {
    let Action::Forward(forward) = &found.route.action else {
        return None;
    };
    match &forward.cluster {
        ClusterChoice::One(cluster) => Some(cluster),
        _ => None,
    }
}

pub(super) fn route_view<'a>(found: &Found<'a>) -> RouteView<'a> {
    RouteView {
        virtual_host: found.virtual_host,
        route: found.route,
    }
}
