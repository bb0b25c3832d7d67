//! `fault`: delays, then aborts, a share of the requests.

use std::borrow::Cow;

use super::{Phase, Reply, RequestView, StreamFilter, Verdict};
use crate::config::Fault;
use crate::route::{Flags, has_all};

/// Delays, then aborts, a share of the requests that match. A route's settings, or else its virtual
/// host's, take the place of its own.
#[derive(Debug)]
pub(super) struct FaultFilter(pub(super) Fault);

impl StreamFilter for FaultFilter {
    fn phases(&self) -> &[Phase] {
        &[Phase::AfterRoute]
    }

    fn on_request(&self, _: Phase, request: &mut RequestView<'_>) -> Verdict {
        let own = request.route.and_then(|route| route.fault());
        let fault = own.unwrap_or(&self.0);
        if !is_meant(fault, request) {
            return Verdict::Continue;
        }
        let mut drawn = |percent: u8| (request.random)() % 100 < u32::from(percent);
        let delay = fault.delay.filter(|&(_, percent)| drawn(percent));
        let abort = fault.abort.filter(|&(_, percent)| drawn(percent));
        let reply = abort.map(|(status, _)| Reply {
            status,
            body: Cow::Borrowed(b""),
            flags: Flags::ABORTED,
            cause: Cow::Borrowed("fault: aborted"),
        });
        match (delay, reply) {
            (Some((delay, _)), reply) => {
                *request.flags |= Flags::DELAYED;
                Verdict::Pause(delay, reply)
            }
            (None, Some(reply)) => Verdict::Reply(reply),
            (None, None) => Verdict::Continue,
        }
    }
}

fn is_meant(fault: &Fault, request: &RequestView<'_>) -> bool {
    let cluster = fault.cluster.as_ref();
    cluster.is_none_or(|cluster| request.cluster == Some(cluster))
        && has_all(&fault.fields, request.method, |name| {
            request.fields.get(name)
        })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{FieldMatch, RouteFilters, TextMatch};
    use crate::filter::view::tests::Request;

    fn abort(status: u16) -> Fault {
        Fault {
            abort: Some((status, 100)),
            ..Fault::default()
        }
    }

    fn verdict(fault: &Fault, request: &mut Request) -> Verdict {
        let filter = FaultFilter(fault.clone());
        request.see(|request| filter.on_request(Phase::AfterRoute, request))
    }

    /// The delay in seconds and the status.
    fn outcome(verdict: Verdict) -> (Option<u64>, Option<u16>) {
        let status = |reply: Reply| {
            assert_eq!(reply.flags, Flags::ABORTED);
            reply.status
        };
        match verdict {
            Verdict::Continue => (None, None),
            Verdict::Pause(delay, reply) => (Some(delay.as_secs()), reply.map(status)),
            Verdict::Reply(reply) => (None, Some(status(reply))),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn delay_and_abort_each_fall_on_their_share() {
        let fault = Fault {
            delay: Some((Duration::from_secs(3), 30)),
            abort: Some((503, 70)),
            ..Fault::default()
        };
        for (random, expected) in [
            ([29, 69], (Some(3), Some(503))),
            ([129, 70], (Some(3), None)),
            ([30, 169], (None, Some(503))),
            ([99, 99], (None, None)),
        ] {
            let mut request = Request {
                random: random.to_vec(),
                ..Request::default()
            };
            assert_eq!(
                outcome(verdict(&fault, &mut request)),
                expected,
                "{random:?}"
            );
            let delayed = request.flags.contains(Flags::DELAYED);
            assert_eq!(delayed, expected.0.is_some());
        }
    }

    #[test]
    fn a_share_of_nought_is_never_and_of_a_hundred_always() {
        for (percent, random, expected) in [(0, 0, None), (100, 99, Some(500))] {
            let fault = Fault {
                abort: Some((500, percent)),
                ..Fault::default()
            };
            let mut request = Request {
                random: vec![random],
                ..Request::default()
            };
            assert_eq!(outcome(verdict(&fault, &mut request)).1, expected);
        }
    }

    #[test]
    fn only_requests_that_match_are_meant() {
        let exact = |text: &str| TextMatch::Exact(text.to_owned());
        let field = |text: &str| FieldMatch::Field("x-user".to_owned(), exact(text));
        let method = |text: &str| FieldMatch::Method(text.to_owned());
        let to = |cluster: &str, fields: &[FieldMatch]| Fault {
            cluster: (!cluster.is_empty()).then(|| cluster.into()),
            fields: fields.to_vec(),
            ..abort(500)
        };
        for (fault, meant) in [
            (to("", &[]), true),
            (to("a", &[]), true),
            (to("b", &[]), false),
            (to("a", &[field("ann"), method("GET")]), true),
            (to("a", &[field("ann"), method("POST")]), false),
            (to("", &[field("bob")]), false),
        ] {
            let mut request = Request {
                cluster: Some("a".into()),
                ..Request::default().field("X-User", "ann")
            };
            let status = outcome(verdict(&fault, &mut request)).1;
            assert_eq!(status.is_some(), meant, "{fault:?}");
        }
    }

    #[test]
    fn settings_of_the_route_come_before_the_virtual_hosts_and_those_before_the_listeners() {
        let of = |status: Option<u16>| RouteFilters {
            fault: status.map(abort),
            ..RouteFilters::default()
        };
        for (route, host, expected) in [
            (Some(501), Some(502), 501),
            (None, Some(502), 502),
            (Some(501), None, 501),
            (None, None, 500),
        ] {
            let mut request = Request::default().routed(of(route), of(host));
            assert_eq!(
                outcome(verdict(&abort(500), &mut request)).1,
                Some(expected)
            );
        }
    }
}
