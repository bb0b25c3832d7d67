//! A listener's stream filters, in order, by the phase in which they are asked.

use std::sync::Arc;

use super::fault::FaultFilter;
use super::header_to_metadata::HeaderToMetadata;
use super::ip_access::IpAccessFilter;
use super::payload_limit::PayloadLimitFilter;
use super::{LeftOut, Phase, Registry, RequestView, ResponseView, StreamFilter, Verdict};
use crate::config;

/// A listener's stream filters. Made once for each version of it, and never changed; without
/// filters it owns no memory, and asking it is a look at an empty list.
#[derive(Debug, Default)]
pub struct Chain {
    before_route: Filters,
    after_route: Filters,
    after_host: Filters,
    before_send: Filters,
}

type Filters = Box<[Arc<dyn StreamFilter>]>;

/// What the filters of a phase said.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What is to be done; [`Verdict::Continue`] when the phase is over.
    pub verdict: Verdict,
    /// Where the phase goes on afterwards.
    pub next: usize,
}

impl Chain {
    /// Makes the filters of a configuration, and tells which could not be made.
    #[must_use]
    pub fn new(filters: &[config::StreamFilter], registry: &Registry) -> (Self, Vec<LeftOut>) {
        let mut made = Vec::with_capacity(filters.len());
        let mut left_out = Vec::new();
        for filter in filters {
            match make(filter, registry) {
                Ok(filter) => made.push(filter),
                Err(why) => left_out.push(why),
            }
        }
        let of = |phase| {
            let filters = made
                .iter()
                .filter(|filter| filter.phases().contains(&phase));
            filters.cloned().collect()
        };
        let chain = Self {
            before_route: of(Phase::BeforeRoute),
            after_route: of(Phase::AfterRoute),
            after_host: of(Phase::AfterHost),
            before_send: of(Phase::BeforeSend),
        };
        (chain, left_out)
    }

    /// Whether no filter is asked in `phase`, so that its view need not be made.
    #[must_use]
    pub fn is_empty(&self, phase: Phase) -> bool {
        self.of(phase).is_empty()
    }

    /// Asks the filters of a phase in order, starting at `from`, until one does not just continue.
    ///
    /// A phase starts at 0. After a pause that ended without a reply, after another route and after
    /// another host, it goes on at [`Step::next`]. How often a filter may ask for another route or
    /// host is for the caller to limit.
    pub fn on_request(&self, phase: Phase, from: usize, request: &mut RequestView<'_>) -> Step {
        let filters = self.of(phase);
        for (at, filter) in filters.iter().enumerate().skip(from) {
            let verdict = filter.on_request(phase, request);
            let next = match (&verdict, phase) {
                (Verdict::RouteAgain, Phase::AfterRoute)
                | (Verdict::HostAgain, Phase::AfterHost) => at,
                (Verdict::Continue | Verdict::RouteAgain | Verdict::HostAgain, _) => continue,
                (Verdict::Pause(..) | Verdict::Reply(_) | Verdict::Terminate, _) => at + 1,
            };
            return Step { verdict, next };
        }
        Step {
            verdict: Verdict::Continue,
            next: filters.len(),
        }
    }

    /// Shows a response to every filter that is asked before it is sent, in order.
    pub fn on_response(&self, response: &mut ResponseView<'_>) {
        for filter in &self.before_send {
            filter.on_response(response);
        }
    }

    fn of(&self, phase: Phase) -> &Filters {
        match phase {
            Phase::BeforeRoute => &self.before_route,
            Phase::AfterRoute => &self.after_route,
            Phase::AfterHost => &self.after_host,
            Phase::BeforeSend => &self.before_send,
        }
    }
}

fn make(
    filter: &config::StreamFilter,
    registry: &Registry,
) -> Result<Arc<dyn StreamFilter>, LeftOut> {
    Ok(match filter {
        config::StreamFilter::Fault(fault) => Arc::new(FaultFilter(fault.clone())),
        config::StreamFilter::PayloadLimit(limit) => Arc::new(PayloadLimitFilter(*limit)),
        config::StreamFilter::IpAccess(access) => Arc::new(IpAccessFilter(access.clone())),
        config::StreamFilter::HeaderToMetadata(rules) => Arc::new(HeaderToMetadata(rules.clone())),
        config::StreamFilter::Custom(name, configuration) => registry.make(name, configuration)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::ReplyOrigin;
    use crate::filter::view::tests::Request;
    use crate::protocol::http1::Fields;

    /// Leaves its name in a field, and says what it was told to.
    #[derive(Debug)]
    struct Mark(String, Vec<Phase>, Verdict);

    impl StreamFilter for Mark {
        fn phases(&self) -> &[Phase] {
            &self.1
        }

        fn on_request(&self, _: Phase, request: &mut RequestView<'_>) -> Verdict {
            request.fields.push(b"by", self.0.as_bytes());
            self.2.clone()
        }

        fn on_response(&self, response: &mut ResponseView<'_>) {
            response.fields.push(b"by", self.0.as_bytes());
        }
    }

    fn registry(phases: &'static [Phase]) -> Registry {
        let mark = move |verdict: Verdict| {
            move |name: &str| match name {
                "bad" => Err("it is bad".to_owned()),
                name => Ok(Mark(name.to_owned(), phases.to_vec(), verdict.clone())),
            }
        };
        Registry::default()
            .with("continue", mark(Verdict::Continue))
            .with("route", mark(Verdict::RouteAgain))
            .with("host", mark(Verdict::HostAgain))
            .with("end", mark(Verdict::Terminate))
    }

    fn chain(phases: &'static [Phase], filters: &[(&str, &str)]) -> (Chain, Vec<LeftOut>) {
        let custom = |&(name, text): &(&str, &str)| {
            config::StreamFilter::Custom(name.to_owned(), text.to_owned())
        };
        let filters: Vec<_> = filters.iter().map(custom).collect();
        Chain::new(&filters, &registry(phases))
    }

    fn marks(fields: &Fields) -> Vec<String> {
        let marks = fields.all("by");
        marks
            .map(|by| String::from_utf8(by.to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn filters_are_asked_in_order_until_one_does_not_continue() {
        let filters = [("continue", "1"), ("end", "2"), ("continue", "3")];
        let (chain, left_out) = chain(&[Phase::BeforeRoute], &filters);
        assert!(left_out.is_empty());
        let mut request = Request::default();
        let mut ask = |phase, from| request.see(|request| chain.on_request(phase, from, request));

        let step = ask(Phase::BeforeRoute, 0);
        assert_eq!(
            step,
            Step {
                verdict: Verdict::Terminate,
                next: 2
            }
        );
        let step = ask(Phase::BeforeRoute, step.next);
        assert_eq!(
            step,
            Step {
                verdict: Verdict::Continue,
                next: 3
            }
        );
        assert_eq!(ask(Phase::AfterRoute, 0).next, 0);
        assert_eq!(marks(&request.fields), ["1", "2", "3"]);
    }

    #[test]
    fn a_filter_that_wants_another_route_is_asked_again_where_that_can_be() {
        const PHASES: &[Phase] = &[Phase::BeforeRoute, Phase::AfterRoute, Phase::AfterHost];
        let (chain, _) = chain(PHASES, &[("continue", "1"), ("route", "2"), ("host", "3")]);
        let step = |phase| {
            let step = Request::default().see(|request| chain.on_request(phase, 0, request));
            (step.verdict, step.next)
        };
        assert_eq!(step(Phase::BeforeRoute), (Verdict::Continue, 3));
        assert_eq!(step(Phase::AfterRoute), (Verdict::RouteAgain, 1));
        assert_eq!(step(Phase::AfterHost), (Verdict::HostAgain, 2));
    }

    #[test]
    fn what_cannot_be_made_is_left_out_and_told() {
        let filters = [("continue", "bad"), ("nothing", ""), ("continue", "1")];
        let (chain, left_out) = chain(&[Phase::AfterRoute], &filters);
        assert_eq!(
            left_out.iter().map(LeftOut::to_string).collect::<Vec<_>>(),
            [
                "stream filter `continue` is left out: it is bad",
                "stream filter `nothing` is left out: no filter has this name",
            ]
        );
        assert!(!chain.is_empty(Phase::AfterRoute));
    }

    #[test]
    fn responses_are_shown_only_to_those_who_want_them() {
        let (sends, _) = chain(&[Phase::BeforeSend], &[("continue", "1"), ("end", "2")]);
        let (other, _) = chain(&[Phase::AfterRoute], &[("continue", "3")]);
        let mut fields = Fields::default();
        let mut response = ResponseView {
            status: 200,
            fields: &mut fields,
            origin: ReplyOrigin::Upstream,
            route: None,
        };
        sends.on_response(&mut response);
        other.on_response(&mut response);
        assert_eq!(marks(&fields), ["1", "2"]);
        assert!(other.is_empty(Phase::BeforeSend));
    }
}
