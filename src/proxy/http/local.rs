//! A request that is answered here.

use std::io;

use crate::config::Causes;
use crate::name::ClusterName;
use crate::protocol::http1::{Method, Persistence, Version};

use super::Setting;
use crate::proxy::passing::Routed;

use super::exchange::{After, Exchange, Stop};
use super::record::Origin;
use super::reply::{Asked, Ends, LocalReply};
use super::transfer::measure;

impl<S: Setting> Exchange<'_, S> {
    pub(super) async fn stopped(&mut self, stop: Stop, routed: Routed<'_>) -> After {
        let trouble = match stop {
            Stop::Trouble(trouble) => trouble,
            Stop::Silence => return After::Close,
        };
        self.record.flags |= trouble.flags();
        self.is_last |= trouble.closes();
        if let Some(tag) = trouble.tag() {
            let listener = &self.fitting.listener.name;
            let cluster = self.record.cluster.as_ref();
            let kind = cluster.map_or(listener.as_str(), ClusterName::as_str);
            self.note(
                tag,
                kind.to_owned(),
                &format!("listener `{listener}`: {trouble}"),
            );
        }
        let causes = self
            .fitting
            .proxy()
            .map_or(Causes::Hidden, |proxy| proxy.causes);
        self.reply(LocalReply::of(&trouble, causes), routed).await
    }

    /// Answers the request here.
    pub(super) async fn reply(&mut self, mut reply: LocalReply, routed: Routed<'_>) -> After {
        if self.is_muddled {
            return After::Reset;
        }
        self.record.status = reply.status;
        self.record.origin = Origin::Local;
        self.dress(reply.status, &mut reply.fields, routed);
        // A body that has not wholly come is not waited for.
        let next = self.rest_of_body();
        let ends = self.ends(next.is_some());
        let asked = match self.request.method {
            Method::Head => Asked::Head,
            _ => Asked::Other,
        };
        let deadlines = self.proxy().deadlines;
        let sent = reply.send(&self.connection.stream, ends, asked, deadlines);
        if let Err(error) = sent.await {
            self.record.reset = true;
            return match error.kind() {
                io::ErrorKind::TimedOut => After::Reset,
                _ => After::Close,
            };
        }
        let sent = reply.sent_body(asked).len();
        self.connection.flow.add_sent(sent);
        self.record.body_sent = sent as u64;
        match (ends, next) {
            (Ends::No | Ends::NoAsTold, Some(next)) => After::Next(next),
            (_, Some(next)) if next.is_empty() && self.connection.stream.is_quiet() => After::Close,
            _ => After::Linger,
        }
    }

    /// What follows the request's body, if all of that has come.
    fn rest_of_body(&mut self) -> Option<Vec<u8>> {
        if !self.intake.whole {
            return None;
        }
        let (whole, used) = measure(self.request.body, &self.intake.bytes)?;
        self.record.body_received = whole;
        Some(self.intake.bytes.split_off(used))
    }

    /// What a response says of the connection, given whether it could go on.
    pub(super) fn ends(&self, can_go_on: bool) -> Ends {
        let wanted = self.request.persistence == Persistence::Keep;
        if !can_go_on || !wanted || self.is_last || self.connection.is_to_end() {
            return Ends::Yes;
        }
        match self.request.version {
            Version::Http10 => Ends::NoAsTold,
            Version::Http11 => Ends::No,
        }
    }
}
