//! What it costs to find a request's route: `cargo bench --bench route`.

#![expect(clippy::print_stdout, reason = "a bench reports on stdout")]

use std::borrow::Cow;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use banyan::config::{
    Action, Domain, DomainHost, HeaderEdits, Matcher, Port, Route, RouteFilters, Router, Variable,
    VirtualHost,
};
use banyan::route::{Facts, Table};

/// Lookups that are timed together.
const BURST: usize = 20_000;
const BURSTS: usize = 31;

fn main() {
    println!("| table | found by | ns a lookup |\n|---|---|---:|");
    for hosts in [10, 1_000, 10_000] {
        let table = table(virtual_hosts(hosts));
        for (by, before, after) in [
            ("name", "www.site-", ".example.com"),
            ("name in mixed case", "WWW.site-", ".example.com"),
            ("name and port", "www.site-", ".example.com:8080"),
            ("suffix", "a.b.wild-", ".example.com"),
            ("default", "www.site-", ".example.org"),
        ] {
            let host = |at: usize| format!("{before}{}{after}", at % hosts);
            let requests = requests(|at| (host(at), "/".to_owned()));
            row(&format!("{hosts} virtual hosts"), by, &table, &requests);
        }
    }
    for routes in [10, 1_000] {
        let default = virtual_host(vec![domain(DomainHost::Any)], rules(routes));
        let table = table(vec![default]);
        for (by, before, after) in [
            ("path", "/page/", "/index.html"),
            ("prefix", "/service/", "/users/7"),
            ("last, `/`", "/other/", ""),
        ] {
            let path = |at: usize| format!("{before}{}{after}", at % (routes / 2));
            let requests = requests(|at| ("www.example.com".to_owned(), path(at)));
            row(&format!("{routes} routes"), by, &table, &requests);
        }
    }
}

fn row(what: &str, by: &str, table: &Table, requests: &[Request]) {
    let mut bursts: Vec<_> = (0..BURSTS)
        .map(|_| {
            let begun = Instant::now();
            for request in requests {
                assert!(black_box(table.find(black_box(request))).is_some());
            }
            begun.elapsed()
        })
        .collect();
    bursts.sort_unstable();
    let nanoseconds = bursts[BURSTS / 2].as_nanos() / BURST as u128;
    println!("| {what} | {by} | {nanoseconds} |");
}

struct Request {
    host: String,
    path: String,
}

impl Facts for Request {
    fn cookie(&self, _: &str) -> Option<Cow<'_, [u8]>> {
        None
    }

    fn host(&self) -> Option<&[u8]> {
        Some(self.host.as_bytes())
    }

    fn method(&self) -> &[u8] {
        b"GET"
    }

    fn path(&self) -> &[u8] {
        self.path.as_bytes()
    }

    fn field(&self, _: &str) -> Option<&[u8]> {
        None
    }

    fn variable(&self, _: &Variable) -> Option<Cow<'_, [u8]>> {
        None
    }
}

/// Spread over the table, so that the next lookup is of another place in it.
fn requests(of: impl Fn(usize) -> (String, String)) -> Vec<Request> {
    let places = (0..BURST).map(|at| at.wrapping_mul(7_919));
    let request = |at| {
        let (host, path) = of(at);
        Request { host, path }
    };
    places.map(request).collect()
}

/// Each with a name, a suffix and one route, and a default.
fn virtual_hosts(count: usize) -> Vec<VirtualHost> {
    let all = || vec![route(Matcher::Prefix("/".to_owned(), vec![]))];
    let each = (0..count).map(|at| {
        let name = DomainHost::Exact(format!("www.site-{at}.example.com"));
        let suffix = DomainHost::Suffix(format!(".wild-{at}.example.com"));
        virtual_host(vec![domain(name), domain(suffix)], all())
    });
    let default = virtual_host(vec![domain(DomainHost::Any)], all());
    each.chain([default]).collect()
}

/// Half of them paths, half prefixes, and last of all `/`.
fn rules(count: usize) -> Vec<Arc<Route>> {
    let each = (0..count / 2).flat_map(|at| {
        [
            Matcher::Path(format!("/page/{at}/index.html"), vec![]),
            Matcher::Prefix(format!("/service/{at}/"), vec![]),
        ]
    });
    let last = Matcher::Prefix("/".to_owned(), vec![]);
    each.chain([last]).map(route).collect()
}

fn table(virtual_hosts: Vec<VirtualHost>) -> Table {
    Table::new(Arc::new(Router {
        name: "bench".into(),
        virtual_hosts: virtual_hosts.into_iter().map(Arc::new).collect(),
        edits: HeaderEdits::default(),
    }))
}

fn virtual_host(domains: Vec<Domain>, routes: Vec<Arc<Route>>) -> VirtualHost {
    VirtualHost {
        name: String::new(),
        domains,
        routes,
        edits: HeaderEdits::default(),
        filters: RouteFilters::default(),
    }
}

fn domain(host: DomainHost) -> Domain {
    Domain {
        host,
        port: Port::Any,
    }
}

fn route(matcher: Matcher) -> Arc<Route> {
    Arc::new(Route {
        matcher,
        action: Action::Respond {
            status: 200,
            body: String::new(),
        },
        edits: HeaderEdits::default(),
        filters: RouteFilters::default(),
        mirror: None,
    })
}
