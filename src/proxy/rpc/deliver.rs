//! An answer on its way downstream.

use crate::filter::{Phase, ReplyOrigin, ResponseView};
use crate::protocol::http1::{Fields, Response};
use crate::protocol::rpc::{Decoded, Flaw, Message};
use crate::proxy::http::access;
use crate::proxy::http::record::Origin;

use crate::proxy::passing::{Routed, route_view};

use super::edits::{Change, between, wanted};
use super::exchange::Exchange;
use super::setting::Carrier;

impl<S: Carrier> Exchange<'_, S> {
    /// Answers the request here; one that wants no answer gets none.
    pub(super) fn reply(&mut self, code: u16, body: &[u8], routed: Routed<'_>) {
        self.record.status = code;
        self.record.origin = Origin::Local;
        if self.is_one_way() {
            return;
        }
        let codec = self.hub.codec();
        let mut bytes = Vec::new();
        codec.reply(&self.message.frame.asker, code, body, &mut bytes);
        match codec.decode(&bytes, usize::MAX) {
            Ok(Decoded::Frame(frame)) => {
                let bytes = bytes.into();
                self.deliver(Message { frame, bytes }, Origin::Local, routed);
            }
            _ => unreachable!("what we write ourselves is a frame"),
        }
        // The protocol's status says less than the code.
        self.record.status = code;
    }

    /// Queues a response for the downstream, under the id of its request.
    pub(super) fn deliver(&mut self, response: Message, origin: Origin, routed: Routed<'_>) {
        let codec = self.hub.codec();
        self.record.status = codec.code(&response.frame);
        self.record.origin = origin;
        self.record.body_sent = response.frame.content.len() as u64;
        let response = match self.dress(&response, routed) {
            Ok(Some(dressed)) => dressed,
            Ok(None) => response,
            Err(flaw) => {
                let text = format!("the headers of a response are left as they are: {flaw}");
                self.note("mosn.proxy.codec_error", flaw.to_string(), &text);
                response
            }
        };
        let id = self.message.frame.asker.id;
        let Message { frame, bytes } = &response;
        self.hub
            .answer(|out| codec.relay(frame, bytes, id, None, out));
        if !self.fitting.listener.access_logs.is_empty() {
            let mut logged = Box::<Response>::default();
            logged.fields = self.fields_of(&response);
            self.response = Some(logged);
        }
    }

    fn fields_of(&self, Message { frame, bytes }: &Message) -> Fields {
        let mut fields = Fields::default();
        let push = &mut |name: &[u8], value: &[u8]| fields.push(name, value);
        // What cannot be read is not logged, and goes on as it is.
        let _ = self.hub.codec().each_header(frame, bytes, push);
        fields
    }

    /// The response as filters and routes want it; `None` where they do not want it otherwise.
    fn dress(&self, response: &Message, routed: Routed<'_>) -> Result<Option<Message>, Flaw> {
        let filtered = self.filtered(response, routed);
        let mut changes = filtered;
        if let Some((table, Some(found))) = routed {
            let scopes = [
                &found.route.edits.response,
                &found.virtual_host.edits.response,
                &table.router().edits.response,
            ];
            changes.extend(wanted(scopes, |variable, out| {
                let fields = self.fields_of(response);
                access::push(&self.subject(), variable, None, Some(&fields), out);
            }));
        }
        if changes.is_empty() {
            return Ok(None);
        }
        self.changed(response, &changes).map(Some)
    }

    fn filtered(&self, response: &Message, routed: Routed<'_>) -> Vec<Change> {
        if self.fitting.chain.is_empty(Phase::BeforeSend) {
            return Vec::new();
        }
        let before = self.fields_of(response);
        let mut fields = before.clone();
        let origin = match self.record.origin {
            Origin::Upstream => ReplyOrigin::Upstream,
            Origin::Local => ReplyOrigin::Local,
        };
        self.fitting.chain.on_response(&mut ResponseView {
            status: self.record.status,
            fields: &mut fields,
            origin,
            route: routed.and_then(|(_, found)| found).map(route_view),
        });
        between(&before, &fields)
    }
}
