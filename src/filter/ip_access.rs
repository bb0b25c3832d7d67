//! `ip_access`: refuses clients by address.

use std::borrow::Cow;
use std::net::IpAddr;

use super::{Phase, Reply, RequestView, StreamFilter, Verdict};
use crate::config::{Access, IpAccess};
use crate::route::Flags;

/// Answers clients that may not in with 403.
///
/// Where a field is to say the client's address and is missing, the peer's counts, so that leaving
/// it out is no way past a list. A field that says no address is an unknown client.
#[derive(Debug)]
pub(super) struct IpAccessFilter(pub(super) IpAccess);

impl StreamFilter for IpAccessFilter {
    fn phases(&self) -> &[Phase] {
        &[Phase::BeforeRoute]
    }

    fn on_request(&self, _: Phase, request: &mut RequestView<'_>) -> Verdict {
        let field = self.0.field.as_ref();
        let client = match field.and_then(|field| request.fields.get(field)) {
            Some(text) => address(text),
            None => request.downstream.map(|peer| peer.ip()),
        };
        match self.0.of(client) {
            Access::Allow => Verdict::Continue,
            Access::Deny => Verdict::Reply(Reply {
                status: 403,
                body: Cow::Borrowed(b""),
                flags: Flags::NONE,
                cause: Cow::Borrowed("ip_access: the client's address is denied"),
            }),
        }
    }
}

fn address(text: &[u8]) -> Option<IpAddr> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::view::tests::Request;

    fn access(default: Access, field: Option<&str>) -> IpAccess {
        let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        IpAccess {
            default,
            field: field.map(str::to_owned),
            lists: vec![
                (Access::Allow, networks(&["10.0.0.1/32", "fd00::1/128"])),
                (Access::Deny, networks(&["10.0.0.0/8", "fd00::/16"])),
            ],
        }
    }

    fn is_denied(access: IpAccess, mut request: Request) -> bool {
        let filter = IpAccessFilter(access);
        match request.see(|request| filter.on_request(Phase::BeforeRoute, request)) {
            Verdict::Continue => false,
            Verdict::Reply(Reply { status: 403, .. }) => true,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_first_list_that_has_the_peer_decides() {
        for (peer, denied) in [
            (Some("10.0.0.1:1"), false),
            (Some("10.0.0.2:1"), true),
            (Some("[::ffff:10.0.0.2]:1"), true),
            (Some("[fd00::1]:1"), false),
            (Some("[fd00::2]:1"), true),
            (Some("192.0.2.1:1"), false),
            (None, false),
        ] {
            let request = Request {
                downstream: peer.map(|peer| peer.parse().unwrap()),
                ..Request::default()
            };
            assert_eq!(
                is_denied(access(Access::Allow, None), request),
                denied,
                "{peer:?}"
            );
        }
        assert!(is_denied(access(Access::Deny, None), Request::default()));
    }

    #[test]
    fn a_field_says_the_clients_address_in_place_of_the_peer() {
        for (value, denied) in [
            (Some("10.0.0.2"), true),
            (Some("10.0.0.1"), false),
            (Some("fd00::2"), true),
            (Some("no address"), false),
            (Some(""), false),
            // The peer's, which is denied.
            (None, true),
        ] {
            let request = Request {
                downstream: Some("10.0.0.3:1".parse().unwrap()),
                ..Request::default()
            };
            let request = match value {
                Some(value) => request.field("X-Real-IP", value),
                None => request,
            };
            let access = access(Access::Allow, Some("x-real-ip"));
            assert_eq!(is_denied(access, request), denied, "{value:?}");
        }
    }
}
