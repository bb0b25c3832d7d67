//! What a filter is: when it is asked, what it sees, and what it may say.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::config::{Fault, Metadata, PayloadLimit, Route, RouteFilters, VirtualHost};
use crate::name::ClusterName;
use crate::protocol::http1::Fields;
use crate::route::Flags;

/// One filter of a chain. It keeps nothing of a request: many run at once, on many threads.
pub trait StreamFilter: fmt::Debug + Send + Sync {
    /// When it is asked. Read once, when its chain is made.
    fn phases(&self) -> &[Phase];

    /// Looks at a request in one of its phases. It must not block.
    fn on_request(&self, phase: Phase, request: &mut RequestView<'_>) -> Verdict {
        let _ = (phase, request);
        Verdict::Continue
    }

    /// Looks at a response before it goes downstream. It must not block.
    fn on_response(&self, response: &mut ResponseView<'_>) {
        let _ = response;
    }
}

/// When a filter is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Before the route is known.
    BeforeRoute,
    /// When the route is known, or that there is none.
    AfterRoute,
    /// When the host is chosen.
    AfterHost,
    /// When a response, the upstream's or our own, is about to go downstream.
    BeforeSend,
}

/// What a filter says of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The next filter is asked.
    Continue,
    /// After so long a wait the request goes on, or is answered. The wait ends with the request.
    Pause(Duration, Option<Reply>),
    /// The request is answered; no further filter is asked.
    Reply(Reply),
    /// The route is looked for again; then this filter is asked again. Only after the route, else
    /// as `Continue`.
    RouteAgain,
    /// A host is chosen again; then this filter is asked again. Only after the host, else as
    /// `Continue`.
    HostAgain,
    /// The request ends without an answer.
    Terminate,
}

/// An answer of our own.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// 100 to 999.
    pub status: u16,
    /// May be empty.
    pub body: Cow<'static, [u8]>,
    /// Added to those of the request.
    pub flags: Flags,
    /// Why, in words, for those who look into it.
    pub cause: Cow<'static, str>,
}

/// What a filter may see and change of a request.
pub struct RequestView<'a> {
    /// As it came.
    pub method: &'a [u8],
    /// Unescaped and normalised.
    pub path: &'a [u8],
    /// Goes upstream as it is left.
    pub fields: &'a mut Fields,
    /// The peer, where it has an IP address.
    pub downstream: Option<SocketAddr>,
    /// What is known of the body.
    pub body: BodySize,
    /// `None` before the route is known, or when there is none.
    pub route: Option<RouteView<'a>>,
    /// The cluster that takes it, as soon as that is known.
    pub cluster: Option<&'a ClusterName>,
    /// What its host must have, beside what its route asks for.
    pub metadata: &'a mut Metadata,
    /// What becomes of a body whose length is not known; a filter makes it only stricter.
    pub body_limit: &'a mut Option<BodyLimit>,
    /// What was done to it so far.
    pub flags: &'a mut Flags,
    /// Uniform random numbers.
    pub random: &'a mut dyn FnMut() -> u32,
}

impl fmt::Debug for RequestView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestView")
            .field("method", &self.method.escape_ascii().to_string())
            .field("path", &self.path.escape_ascii().to_string())
            .field("fields", &self.fields)
            .field("body", &self.body)
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}

/// What a filter may see and change of a response.
#[derive(Debug)]
pub struct ResponseView<'a> {
    /// As it goes downstream.
    pub status: u16,
    /// Goes downstream as it is left.
    pub fields: &'a mut Fields,
    /// Whose it is.
    pub origin: ReplyOrigin,
    /// The route of the request, if it had one.
    pub route: Option<RouteView<'a>>,
}

/// Whose a response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyOrigin {
    /// A host answered.
    Upstream,
    /// We did.
    Local,
}

/// What is known of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodySize {
    /// There is none.
    None,
    /// So many bytes.
    Known(u64),
    /// It ends where it says so.
    Unknown,
}

/// How long a body may become, and the status for one that becomes longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimit {
    /// The most.
    pub bytes: u64,
    /// 100 to 999.
    pub status: u16,
}

/// The route of a request, and settings that hold for it.
#[derive(Clone, Copy, Debug)]
pub struct RouteView<'a> {
    /// Where the route was found.
    pub virtual_host: &'a VirtualHost,
    /// The route.
    pub route: &'a Route,
}

impl<'a> RouteView<'a> {
    /// The route's settings for `fault`, or else the virtual host's.
    #[must_use]
    pub fn fault(self) -> Option<&'a Fault> {
        self.first(|filters| filters.fault.as_ref())
    }

    /// The route's settings for `payload_limit`, or else the virtual host's.
    #[must_use]
    pub fn payload_limit(self) -> Option<PayloadLimit> {
        self.first(|filters| filters.payload_limit)
    }

    /// The route's settings for a filter of this name, or else the virtual host's, as JSON text.
    #[must_use]
    pub fn custom(self, name: &str) -> Option<&'a str> {
        self.first(|filters| {
            let mut custom = filters.custom.iter();
            let (_, configuration) = custom.find(|(of, _)| of == name)?;
            Some(configuration.as_str())
        })
    }

    fn first<T>(self, of: impl Fn(&'a RouteFilters) -> Option<T>) -> Option<T> {
        of(&self.route.filters).or_else(|| of(&self.virtual_host.filters))
    }
}

/// Requests for the tests of filters.
#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::{Action, HeaderEdits, Matcher};

    /// Everything that a [`RequestView`] borrows.
    #[derive(Default)]
    pub(in crate::filter) struct Request {
        pub(in crate::filter) fields: Fields,
        pub(in crate::filter) downstream: Option<SocketAddr>,
        pub(in crate::filter) body: Option<BodySize>,
        pub(in crate::filter) route: Option<(RouteFilters, RouteFilters)>,
        pub(in crate::filter) cluster: Option<ClusterName>,
        pub(in crate::filter) metadata: Metadata,
        pub(in crate::filter) body_limit: Option<BodyLimit>,
        pub(in crate::filter) flags: Flags,
        /// Drawn in turn; the last one for ever.
        pub(in crate::filter) random: Vec<u32>,
    }

    impl Request {
        pub(in crate::filter) fn field(mut self, name: &str, value: &str) -> Self {
            self.fields.push(name.as_bytes(), value.as_bytes());
            self
        }

        /// The route has the first settings, its virtual host the others.
        pub(in crate::filter) fn routed(mut self, route: RouteFilters, host: RouteFilters) -> Self {
            self.route = Some((route, host));
            self
        }

        pub(in crate::filter) fn see<T>(
            &mut self,
            look: impl FnOnce(&mut RequestView<'_>) -> T,
        ) -> T {
            let found = self.route.clone().map(|(route, host)| with(route, host));
            let draws = &mut self.random;
            let mut random = || match draws.len() {
                0 => 0,
                1 => draws[0],
                _ => draws.remove(0),
            };
            look(&mut RequestView {
                method: b"GET",
                path: b"/",
                fields: &mut self.fields,
                downstream: self.downstream,
                body: self.body.unwrap_or(BodySize::None),
                route: found.as_ref().map(|(route, virtual_host)| RouteView {
                    virtual_host,
                    route,
                }),
                cluster: self.cluster.as_ref(),
                metadata: &mut self.metadata,
                body_limit: &mut self.body_limit,
                flags: &mut self.flags,
                random: &mut random,
            })
        }
    }

    fn with(route: RouteFilters, host: RouteFilters) -> (Route, VirtualHost) {
        let route = Route {
            matcher: Matcher::Fields(vec![]),
            action: Action::Respond {
                status: 200,
                body: String::new(),
            },
            edits: HeaderEdits::default(),
            filters: route,
            mirror: None,
        };
        let host = VirtualHost {
            name: String::new(),
            domains: vec![],
            routes: vec![],
            edits: HeaderEdits::default(),
            filters: host,
        };
        (route, host)
    }

    #[test]
    fn settings_of_a_route_hide_those_of_its_virtual_host() {
        let custom = |pairs: &[(&str, &str)]| RouteFilters {
            custom: pairs
                .iter()
                .map(|&(name, text)| (name.to_owned(), text.to_owned()))
                .collect(),
            ..RouteFilters::default()
        };
        let route = custom(&[("a", "1")]);
        let host = custom(&[("a", "2"), ("b", "3")]);
        Request::default().routed(route, host).see(|request| {
            let route = request.route.unwrap();
            assert_eq!(route.custom("a"), Some("1"));
            assert_eq!(route.custom("b"), Some("3"));
            assert_eq!(route.custom("c"), None);
        });
    }
}
