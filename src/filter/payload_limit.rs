//! `payload_limit`: refuses bodies beyond a length.

use std::borrow::Cow;

use super::{BodyLimit, BodySize, Phase, Reply, RequestView, StreamFilter, Verdict};
use crate::config::PayloadLimit;
use crate::route::Flags;

/// Refuses bodies beyond a length: at once where the length is known, else when the body becomes
/// too long. A route's settings, or else its virtual host's, take the place of its own.
#[derive(Debug)]
pub(super) struct PayloadLimitFilter(pub(super) PayloadLimit);

impl StreamFilter for PayloadLimitFilter {
    fn phases(&self) -> &[Phase] {
        &[Phase::AfterRoute]
    }

    fn on_request(&self, _: Phase, request: &mut RequestView<'_>) -> Verdict {
        let own = request.route.and_then(|route| route.payload_limit());
        let PayloadLimit { bytes, status } = own.unwrap_or(self.0);
        match request.body {
            _ if bytes == 0 => Verdict::Continue,
            BodySize::Known(length) if length > bytes => Verdict::Reply(Reply {
                status,
                body: Cow::Borrowed(b""),
                flags: Flags::BODY_TOO_LONG,
                cause: Cow::Borrowed("payload_limit: the body is too long"),
            }),
            BodySize::Unknown => {
                let limit = BodyLimit { bytes, status };
                let stricter = request.body_limit.filter(|other| other.bytes <= bytes);
                *request.body_limit = Some(stricter.unwrap_or(limit));
                Verdict::Continue
            }
            BodySize::None | BodySize::Known(_) => Verdict::Continue,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RouteFilters;
    use crate::filter::view::tests::Request;

    fn limit(bytes: u64) -> PayloadLimit {
        PayloadLimit { bytes, status: 413 }
    }

    fn verdict(bytes: u64, request: &mut Request) -> Verdict {
        let filter = PayloadLimitFilter(limit(bytes));
        request.see(|request| filter.on_request(Phase::AfterRoute, request))
    }

    fn with(body: BodySize) -> Request {
        Request {
            body: Some(body),
            ..Request::default()
        }
    }

    #[test]
    fn a_body_that_is_known_to_be_too_long_is_refused() {
        for (bytes, body, refused) in [
            (10, BodySize::Known(10), false),
            (10, BodySize::Known(11), true),
            (10, BodySize::None, false),
            (0, BodySize::Known(u64::MAX), false),
        ] {
            let mut request = with(body);
            match verdict(bytes, &mut request) {
                Verdict::Continue => assert!(!refused, "{body:?}"),
                Verdict::Reply(reply) => {
                    assert!(refused, "{body:?}");
                    assert_eq!((reply.status, reply.flags), (413, Flags::BODY_TOO_LONG));
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(request.body_limit, None);
        }
    }

    #[test]
    fn a_body_of_unknown_length_is_watched_by_the_strictest_limit() {
        let mut request = with(BodySize::Unknown);
        for (bytes, expected) in [(0, None), (20, Some(20)), (10, Some(10)), (15, Some(10))] {
            assert_eq!(verdict(bytes, &mut request), Verdict::Continue);
            let watched = request.body_limit.map(|limit| limit.bytes);
            assert_eq!(watched, expected);
        }
    }

    #[test]
    fn settings_of_the_route_come_before_the_virtual_hosts_and_those_before_the_listeners() {
        let of = |bytes: Option<u64>| RouteFilters {
            payload_limit: bytes.map(limit),
            ..RouteFilters::default()
        };
        for (route, host, refused) in [
            (Some(20), Some(1), false),
            (Some(0), None, false),
            (None, Some(20), false),
            (None, None, true),
        ] {
            let mut request = with(BodySize::Known(15)).routed(of(route), of(host));
            let is_reply = matches!(verdict(10, &mut request), Verdict::Reply(_));
            assert_eq!(is_reply, refused, "{route:?} {host:?}");
        }
    }
}
