//! A router, made ready for questions.

use std::sync::Arc;

use super::Facts;
use super::domains::Domains;
use super::rules::Rules;
use crate::config::{Route, Router, VirtualHost};

/// A router, made ready for questions. Made once for each version of it, and never changed.
#[derive(Debug)]
pub struct Table {
    router: Arc<Router>,
    domains: Domains,
    /// Of each virtual host, in the router's order.
    rules: Box<[Rules]>,
}

/// The route that takes a request.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// Where the route was found.
    pub virtual_host: &'a Arc<VirtualHost>,
    /// The first that takes the request.
    pub route: &'a Arc<Route>,
}

impl Table {
    /// Makes `router` ready.
    #[must_use]
    pub fn new(router: Arc<Router>) -> Self {
        let hosts = &router.virtual_hosts;
        let rules = hosts.iter().map(|host| Rules::new(&host.routes)).collect();
        Self {
            domains: Domains::new(hosts),
            rules,
            router,
        }
    }

    /// What it was made of.
    #[must_use]
    pub fn router(&self) -> &Arc<Router> {
        &self.router
    }

    /// The virtual host that the request's host belongs to.
    pub fn virtual_host(&self, facts: &impl Facts) -> Option<&Arc<VirtualHost>> {
        let at = self.domains.find(facts.host())?;
        Some(&self.router.virtual_hosts[at])
    }

    /// The route for a request: the first that takes it in the virtual host that its host belongs
    /// to. No other virtual host is asked.
    ///
    /// Does not allocate for a host of at most 256 bytes and a path of ASCII of at most 256 bytes.
    pub fn find(&self, facts: &impl Facts) -> Option<Found<'_>> {
        let at = self.domains.find(facts.host())?;
        let virtual_host = &self.router.virtual_hosts[at];
        let route = self.rules[at].find(&virtual_host.routes, facts)?;
        Some(Found {
            virtual_host,
            route,
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::*;
    use crate::config::{
        Action, Domain, DomainHost, FieldMatch, HeaderEdits, Known, Matcher, Model, Pattern, Port,
        RouteFilters, TextMatch, Variable, VariableMatch,
    };
    use crate::protocol::http1::Fields;
    use crate::route::matcher::takes;

    /// A request by hand.
    #[derive(Clone, Debug, Default)]
    pub(in crate::route) struct Request {
        host: Option<String>,
        method: String,
        path: String,
        fields: Fields,
    }

    impl Request {
        pub(in crate::route) fn to(host: &str, path: &str) -> Self {
            Self {
                host: Some(host.to_owned()),
                method: "GET".to_owned(),
                path: path.to_owned(),
                fields: Fields::default(),
            }
        }

        pub(in crate::route) fn method(mut self, method: &str) -> Self {
            self.method = method.to_owned();
            self
        }

        pub(in crate::route) fn field(mut self, name: &str, value: &str) -> Self {
            self.fields.push(name.as_bytes(), value.as_bytes());
            self
        }
    }

    impl Facts for Request {
        fn cookie(&self, name: &str) -> Option<Cow<'_, [u8]>> {
            let line = std::str::from_utf8(self.field("cookie")?).unwrap();
            let mut pairs = line.split("; ").filter_map(|pair| pair.split_once('='));
            let (_, value) = pairs.find(|(key, _)| *key == name)?;
            Some(value.as_bytes().into())
        }

        fn host(&self) -> Option<&[u8]> {
            self.host.as_ref().map(String::as_bytes)
        }

        fn method(&self) -> &[u8] {
            self.method.as_bytes()
        }

        fn path(&self) -> &[u8] {
            self.path.as_bytes()
        }

        fn field(&self, name: &str) -> Option<&[u8]> {
            self.fields.get(name)
        }

        fn variable(&self, variable: &Variable) -> Option<Cow<'_, [u8]>> {
            match variable {
                Variable::Known(Known::Method) => Some(self.method().into()),
                Variable::RequestField(name) => Facts::field(self, name).map(Cow::Borrowed),
                _ => None,
            }
        }
    }

    /// A domain as files write it.
    pub(in crate::route) fn domain(text: &str) -> Domain {
        let colon = text.rfind(':').filter(|&at| {
            let before = &text[..at];
            before.ends_with(']') || !before.contains(':')
        });
        let (host, port) = match colon {
            Some(at) => match &text[at + 1..] {
                "*" => (&text[..at], Port::Any),
                port => (&text[..at], Port::Exact(port.to_owned())),
            },
            None => (text, Port::None),
        };
        match host.strip_prefix('*') {
            Some("") => Domain {
                host: DomainHost::Any,
                port: Port::Any,
            },
            Some(suffix) => Domain {
                host: DomainHost::Suffix(suffix.to_owned()),
                port,
            },
            None => Domain {
                host: DomainHost::Exact(host.to_owned()),
                port,
            },
        }
    }

    pub(in crate::route) fn virtual_host(domains: &[&str], routes: Vec<Matcher>) -> VirtualHost {
        VirtualHost {
            name: String::new(),
            domains: domains.iter().map(|text| domain(text)).collect(),
            routes: routes.into_iter().map(route).map(Arc::new).collect(),
            edits: HeaderEdits::default(),
            filters: RouteFilters::default(),
        }
    }

    fn route(matcher: Matcher) -> Route {
        Route {
            matcher,
            action: Action::Respond {
                status: 200,
                body: String::new(),
            },
            edits: HeaderEdits::default(),
            filters: RouteFilters::default(),
            mirror: None,
        }
    }

    fn table(virtual_hosts: Vec<VirtualHost>) -> Table {
        Table::new(Arc::new(Router {
            name: "router".into(),
            virtual_hosts: virtual_hosts.into_iter().map(Arc::new).collect(),
            edits: HeaderEdits::default(),
        }))
    }

    #[test]
    fn the_first_route_that_takes_a_request_wins_whatever_its_kind() {
        let routes = vec![
            Matcher::Prefix("/b".to_owned(), vec![FieldMatch::Method("POST".to_owned())]),
            Matcher::Regex(Pattern::new("^/b/[0-9]+").unwrap(), vec![]),
            Matcher::Path("/b/1".to_owned(), vec![]),
            Matcher::Prefix("/".to_owned(), vec![]),
            Matcher::Path("/a".to_owned(), vec![]),
        ];
        let table = table(vec![virtual_host(&["*"], routes.clone())]);
        for (request, expected) in [
            (Request::to("h", "/b/1").method("POST"), 0),
            (Request::to("h", "/b/1"), 1),
            (Request::to("h", "/b/x"), 3),
            (Request::to("h", "/a"), 3),
        ] {
            let found = table.find(&request).unwrap();
            assert_eq!(found.route.matcher, routes[expected], "{request:?}");
        }
    }

    #[test]
    fn no_other_virtual_host_is_asked_when_none_of_the_routes_takes_a_request() {
        let all = Matcher::Fields(vec![]);
        let table = table(vec![
            virtual_host(&["*"], vec![all.clone()]),
            virtual_host(&["a"], vec![Matcher::Path("/only".to_owned(), vec![])]),
        ]);
        assert!(table.find(&Request::to("a", "/other")).is_none());
        assert_eq!(
            table.find(&Request::to("b", "/")).unwrap().route.matcher,
            all
        );
    }

    /// Requests without a host reach the default, which is MOSN's bug not copied.
    #[test]
    fn a_request_without_a_host_is_served_by_the_default() {
        let table = table(vec![
            virtual_host(&["a"], vec![]),
            virtual_host(&["*"], vec![Matcher::Fields(vec![])]),
        ]);
        let request = Request {
            host: None,
            ..Request::to("", "/")
        };
        assert!(table.find(&request).is_some());
    }

    fn some_text() -> impl Strategy<Value = String> {
        prop_oneof![
            "/[aAbB/]{0,4}",
            "(/(a|A|b|ä|Ä|\u{212a}|k)){1,3}/?",
            Just(String::new())
        ]
    }

    fn some_fields() -> impl Strategy<Value = Vec<FieldMatch>> {
        let one = prop_oneof![
            "(GET|POST)".prop_map(FieldMatch::Method),
            ("x-[ab]", "[12]")
                .prop_map(|(name, value)| { FieldMatch::Field(name, TextMatch::Exact(value)) }),
        ];
        proptest::collection::vec(one, 0..2)
    }

    fn some_matcher() -> impl Strategy<Value = Matcher> {
        let item = ("(GET|POST)", any::<bool>()).prop_map(|(method, or)| VariableMatch {
            variable: Variable::Known(Known::Method),
            text: TextMatch::Exact(method),
            model: if or { Model::Or } else { Model::And },
        });
        prop_oneof![
            4 => (some_text(), some_fields()).prop_map(|(text, fields)| Matcher::Prefix(text, fields)),
            4 => (some_text(), some_fields()).prop_map(|(text, fields)| Matcher::Path(text, fields)),
            1 => ("\\^?/[ab]", some_fields()).prop_map(|(text, fields)| {
                Matcher::Regex(Pattern::new(&text).unwrap(), fields)
            }),
            1 => proptest::collection::vec(item, 1..3).prop_map(Matcher::Variables),
            1 => some_fields().prop_map(Matcher::Fields),
            1 => Just(Matcher::Service(None)),
            1 => Just(Matcher::Never),
        ]
    }

    fn some_request() -> impl Strategy<Value = Request> {
        let host = prop_oneof!["[aB]{1,2}(\\.[ab]{1,2}){0,3}(:8[01])?", Just(String::new())];
        (host, some_text(), "(GET|POST)", "[12]?", any::<bool>()).prop_map(
            |(host, path, method, value, service)| {
                let request = Request::to(&host, &path).method(&method);
                let request = match &*value {
                    "" => request,
                    value => request.field("X-A", value),
                };
                match service {
                    true => request.field("service", "s"),
                    false => request,
                }
            },
        )
    }

    /// Asks every route in order.
    fn by_asking_all(host: &VirtualHost, request: &Request) -> Option<usize> {
        let mut routes = host.routes.iter();
        routes.position(|route| takes(&route.matcher, request))
    }

    /// Compares a host with every domain, best rank first.
    fn by_comparing_all(hosts: &[Arc<VirtualHost>], request: &Request) -> Option<usize> {
        let host = request.host.as_deref().unwrap_or("").to_ascii_lowercase();
        let (name, port) = match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (&*host, None),
        };
        let rank = |domain: &Domain| {
            let any_port = match &domain.port {
                Port::Any => 1,
                Port::None if port.is_none() => 0,
                Port::Exact(wanted) if Some(&**wanted) == port => 0,
                Port::None | Port::Exact(_) => return None,
            };
            match &domain.host {
                DomainHost::Any => Some((4, 0)),
                DomainHost::Exact(wanted) => (name == wanted).then_some((any_port, 0)),
                DomainHost::Suffix(suffix) => {
                    let fits = name.ends_with(suffix) && name.len() > suffix.len();
                    fits.then_some((2 + any_port, usize::MAX - suffix.len()))
                }
            }
        };
        let all = hosts.iter().enumerate().flat_map(|(at, host)| {
            let ranks = host.domains.iter().filter_map(&rank);
            ranks.map(move |rank| (rank, at))
        });
        all.min().map(|(_, at)| at)
    }

    proptest! {
        #[test]
        fn the_route_found_is_that_of_asking_all_in_order(
            matchers in proptest::collection::vec(some_matcher(), 0..24),
            requests in proptest::collection::vec(some_request(), 1..8),
        ) {
            let table = table(vec![virtual_host(&["*"], matchers)]);
            let host = &table.router.virtual_hosts[0];
            for request in requests {
                let found = table.find(&request).map(|found| {
                    let mut routes = host.routes.iter();
                    routes.position(|route| Arc::ptr_eq(route, found.route)).unwrap()
                });
                prop_assert_eq!(found, by_asking_all(host, &request), "{:?}", request);
            }
        }

        #[test]
        fn the_virtual_host_found_is_that_of_comparing_all(
            names in proptest::collection::hash_set(
                "((\\*\\.?)?[ab]{1,2}(\\.[ab]{1,2}){0,2}(:(8[01]|\\*))?|\\*)", 0..24),
            requests in proptest::collection::vec(some_request(), 1..8),
        ) {
            let all = |name: &String| virtual_host(&[name.as_str()], vec![Matcher::Fields(vec![])]);
            let table = table(names.iter().map(all).collect());
            let hosts = &table.router.virtual_hosts;
            for request in requests {
                let found = table.find(&request).map(|found| {
                    let mut hosts = hosts.iter();
                    hosts.position(|host| Arc::ptr_eq(host, found.virtual_host)).unwrap()
                });
                prop_assert_eq!(found, by_comparing_all(hosts, &request), "{:?}", request);
            }
        }
    }
}
