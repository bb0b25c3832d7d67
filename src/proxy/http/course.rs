//! A request as it goes upstream: what is settled and changed before a host is asked.

use crate::cluster::{Clue, Host};
use crate::config::{Forward, HostRewrite, Mirror};
use crate::name::ClusterName;
use crate::protocol::http1::{Framing, write_request_line};
use crate::proxy::setback::Setback;
use crate::proxy::telling::{Aim, Arrival};
use crate::proxy::tries::Tries;
use crate::route::{Found, Table, Timeouts};

use super::Setting;
use super::exchange::Exchange;
use super::facts::Subject;
use super::heading::{Heading, target};

/// What is settled of a request before it goes to the first host.
pub(super) struct Course<'r> {
    pub(super) table: &'r Table,
    pub(super) found: &'r Found<'r>,
    pub(super) forward: &'r Forward,
    pub(super) cluster: ClusterName,
    /// What the choice of its host depends on.
    pub(super) clue: Clue,
    /// Where a copy goes, and what the choice of its host depends on.
    pub(super) mirror: Option<(&'r Mirror, Clue)>,
    /// What the upstream is asked to switch to.
    pub(super) upgrade: Option<Vec<u8>>,
    pub(super) tries: Tries,
}

impl<S: Setting> Exchange<'_, S> {
    /// Settles what does not depend on the host.
    pub(super) fn course<'r>(
        &mut self,
        table: &'r Table,
        found: &'r Found<'r>,
        forward: &'r Forward,
    ) -> Result<Course<'r>, Setback> {
        let fields = &self.request.fields;
        let timeouts = Timeouts::of(
            forward.timeout,
            forward.retry.try_timeout,
            fields.get("x-mosn-global-timeout"),
            fields.get("x-mosn-try-timeout"),
        );
        let arrival = Arrival {
            facts: &Subject::of(self),
            connection: self.connection,
            listener: &self.fitting.listener.address,
            filtered: &self.remarks.metadata,
        };
        let hosts = self.connection.setting.hosts();
        let Aim {
            cluster,
            clue,
            mirror,
        } = arrival.aim(found, forward, hosts)?;
        self.record.cluster = Some(cluster.clone());
        let upgrade = self.request.upgrade().filter(|list| may_be_asked(list));
        let upgrade = upgrade.map(<[u8]>::to_vec);
        Heading::of(self).rehead(table, found, forward);
        Ok(Course {
            table,
            found,
            forward,
            cluster,
            clue,
            mirror,
            upgrade,
            tries: Tries::within(timeouts),
        })
    }

    /// Appends the head for one host to `out`.
    ///
    /// Without a host it is a copy's, which goes to whichever.
    pub(super) fn write_head(
        &mut self,
        course: &Course<'_>,
        host: Option<&Host>,
        out: &mut Vec<u8>,
    ) {
        if course.forward.host == HostRewrite::UpstreamName {
            // Not what an earlier host was called.
            let name = host.and_then(Host::hostname).map(str::as_bytes);
            if let Some(name) = name.or_else(|| self.request.host()) {
                let name = name.to_vec();
                self.request.fields.set("Host", &name);
            }
        }
        let target = target(&self.request, &self.path);
        write_request_line(out, self.request.method_text(), &target);
        self.request.fields.write_to(out);
        if self.request.fields.get("host").is_none() {
            out.extend_from_slice(b"Host: ");
            let host = host.map(ToString::to_string).unwrap_or_default();
            out.extend_from_slice(host.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        Framing::from(self.request.body).write_to(out);
        if let Some(protocol) = course.upgrade.as_ref().filter(|_| host.is_some()) {
            out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: ");
            out.extend_from_slice(protocol);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Whether an upstream may be asked to switch to one of these: over HTTP/2 without TLS requests
/// would go past the routes.
fn may_be_asked(protocols: &[u8]) -> bool {
    let mut protocols = protocols
        .split(|&byte| byte == b',')
        .map(<[u8]>::trim_ascii);
    let goes_past = |protocol: &[u8]| {
        let protocol = protocol.to_ascii_lowercase();
        protocol.starts_with(b"h2") || protocol.starts_with(b"http/")
    };
    !protocols.any(goes_past)
}
