//! A request as it goes upstream: what is settled and changed before a host is asked.

use std::borrow::Cow;
use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::{Clue, Host, Permit};
use crate::config::{Forward, HostRewrite};
use crate::name::ClusterName;
use crate::protocol::http1::{
    Framing, Method, TargetForm, Version, is_authority, is_field_value, write_request_line,
};
use crate::route::{
    Chosen, Found, Outcome, Table, Timeouts, apply, chosen, escape_path, forwarded_path, rewritten,
};
use crate::upstream::Hosts;

use super::evidence::Telling;
use super::exchange::Exchange;
use super::facts::{Path, Subject};
use super::trouble::Trouble;
use super::{Setting, access};

/// Where a path goes that was before a rewrite (MOSN 1.4).
const ORIGINAL_PATH: &str = "x-mosn-original-path";

/// What is settled of a request before it goes to the first host.
pub(super) struct Course<'r> {
    pub(super) table: &'r Table,
    pub(super) found: &'r Found<'r>,
    pub(super) forward: &'r Forward,
    pub(super) cluster: ClusterName,
    /// What the choice of its host depends on.
    pub(super) clue: Clue,
    /// The same for its copy.
    pub(super) mirror_clue: Clue,
    pub(super) timeouts: Timeouts,
    /// When the request as a whole is given up; set when it has first gone out wholly.
    pub(super) deadline: Option<Instant>,
    /// The request line's target.
    pub(super) target: Vec<u8>,
    /// What the upstream is asked to switch to.
    pub(super) upgrade: Option<Vec<u8>>,
    /// Tries so far, the present one included.
    pub(super) tries: u32,
    /// Held while a retry is under way.
    pub(super) retry: Option<Permit>,
}

impl<S: Setting> Exchange<'_, S> {
    /// Settles what does not depend on the host.
    pub(super) fn course<'r>(
        &mut self,
        table: &'r Table,
        found: &'r Found<'r>,
        forward: &'r Forward,
    ) -> Result<Course<'r>, Trouble> {
        let fields = &self.request.fields;
        let timeouts = Timeouts::of(
            forward.timeout,
            forward.retry.try_timeout,
            fields.get("x-mosn-global-timeout"),
            fields.get("x-mosn-try-timeout"),
        );
        let choice = chosen(&forward.cluster, &Subject::of(self), &mut rand::rng());
        let Some(Chosen { cluster, metadata }) = choice else {
            return Err(Trouble::UnknownCluster(String::new()));
        };
        let cluster = cluster.into_owned();
        let hosts = self.connection.setting.hosts();
        let wanted = metadata.unwrap_or(&forward.metadata);
        let telling = Telling::of(self, forward, wanted);
        let clue = hosts.clue(&cluster, &telling);
        let mirror = found.route.mirror.as_ref();
        let mirror_clue = mirror.map(|mirror| hosts.clue(&mirror.cluster, &telling));
        self.record.cluster = Some(cluster.clone());
        let upgrade = self.request.upgrade().filter(|list| may_be_asked(list));
        let upgrade = upgrade.map(<[u8]>::to_vec);
        self.rehead(table, found, forward);
        Ok(Course {
            table,
            found,
            forward,
            cluster,
            clue,
            mirror_clue: mirror_clue.unwrap_or_default(),
            timeouts,
            deadline: None,
            target: self.target(),
            upgrade,
            tries: 0,
            retry: None,
        })
    }

    /// Makes the request's fields those that go upstream.
    fn rehead(&mut self, table: &Table, found: &Found<'_>, forward: &Forward) {
        let absolute = self.request.target_form() == TargetForm::Absolute;
        let authority = absolute
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
        let subject = Subject::of(self);
        apply(&mut fields, scopes, |variable, now, out| {
            access::push(&subject, variable, Some(now), None, out);
        });
        self.request.fields = fields;
        match &forward.host {
            HostRewrite::To(host) => self.request.fields.set("Host", host.as_bytes()),
            HostRewrite::FromField(name) => {
                let host = self.request.fields.get(name);
                // Whatever else a client writes there would be refused, or misread, as a host.
                let host = host.filter(|host| is_authority(host)).map(<[u8]>::to_vec);
                if let Some(host) = host {
                    self.request.fields.set("Host", &host);
                }
            }
            HostRewrite::Keep | HostRewrite::UpstreamName => {}
        }
        let path = self.path.as_bytes(&self.request);
        if let Some(path) = rewritten(&found.route.matcher, &forward.path, path) {
            let before = self.path.as_bytes(&self.request).to_vec();
            // Unescaped, it may have line ends.
            let value = match is_field_value(&before) {
                true => Cow::Borrowed(before.as_slice()),
                false => escape_path(&before),
            };
            self.request.fields.set(ORIGINAL_PATH, &value);
            self.path = Path::Changed(path);
        }
    }

    /// The target that goes upstream: the path as it came, unless it was rewritten, and the query.
    fn target(&self) -> Vec<u8> {
        let request = &self.request;
        if matches!(
            request.target_form(),
            TargetForm::Authority | TargetForm::Asterisk
        ) {
            return request.target().to_vec();
        }
        // RFC 9112 section 3.2.4: the server as a whole is meant.
        let is_bare = request.query().is_none() && !request.target().ends_with(b"/");
        if request.method == Method::Options
            && request.target_form() == TargetForm::Absolute
            && request.path() == b"/"
            && is_bare
        {
            return b"*".to_vec();
        }
        let mut target = match &self.path {
            Path::AsItCame => request.path().to_vec(),
            Path::Changed(path) => forwarded_path(request.path(), path).into_owned(),
        };
        if let Some(query) = request.query() {
            target.push(b'?');
            target.extend_from_slice(query);
        }
        target
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
        write_request_line(out, self.request.method_text(), &course.target);
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

/// How long a try may take, and what it means when it takes longer.
pub(super) fn limit(course: &Course<'_>, now: Instant) -> Option<(Instant, Duration, Outcome)> {
    let whole = course.deadline.zip(course.timeouts.global);
    let whole = whole.map(|(at, after)| (at, after, Outcome::GlobalTimedOut));
    let one = course.timeouts.per_try;
    let one = one.map(|after| (now + after, after, Outcome::TryTimedOut));
    whole.into_iter().chain(one).min_by_key(|(at, ..)| *at)
}
