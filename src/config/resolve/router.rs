//! The routers: their virtual hosts, and the domains of these.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::directory::each_file;
use super::edits::edits;
use super::route::route;
use super::stream::{Level, route_filters};
use super::text::unsaid;
use super::{Scope, domain, exclusive};
use crate::config::diagnostics::{Code, Severity};
use crate::config::plan::{Domain, DomainHost, Router, VirtualHost};
use crate::config::raw::{Cursor, keys};
use crate::name::RouterName;

/// Routers in the order of the file; of one name the last, in the place of the first.
#[derive(Default)]
struct Found {
    routers: Vec<Arc<Router>>,
    places: HashMap<RouterName, usize>,
}

/// The routers of the server, after those in its listeners' `connection_manager` filters.
pub(super) fn routers(server: &Cursor<'_>, scope: &mut Scope<'_>) -> Vec<Arc<Router>> {
    let mut found = Found::default();
    for listener in server.list("listeners") {
        for chain in listener.list("filter_chains") {
            for filter in chain.list("filters") {
                found.add_deprecated(&filter, scope);
            }
        }
    }
    for at in server.list("routers") {
        found.add(&at, scope);
    }
    let mirrors = |host: &Arc<VirtualHost>| host.routes.iter().any(|route| route.mirror.is_some());
    let mirroring = found
        .routers
        .iter()
        .filter(|router| router.virtual_hosts.iter().any(mirrors));
    scope.mirroring = mirroring.map(|router| router.name.clone()).collect();
    scope.routers.extend(found.places.into_keys());
    found.routers
}

impl Found {
    fn add_deprecated(&mut self, filter: &Cursor<'_>, scope: &mut Scope<'_>) {
        let Some(("connection_manager", at)) = filter.text("type") else {
            return;
        };
        let message = "`connection_manager` is deprecated: its `config` may stand in the server's \
                       `routers`";
        scope.push(at.note(Code::Deprecated, message));
        if let Some(config) = filter.filled("config") {
            self.add(&config, scope);
        }
    }

    fn add(&mut self, at: &Cursor<'_>, scope: &mut Scope<'_>) {
        let Some(router) = router(at, scope) else {
            return;
        };
        if let Some(&index) = self.places.get(&router.name) {
            let at = at.get("router_config_name").unwrap_or_else(|| at.clone());
            let message = "two routers have this name; the last one counts";
            scope.push(at.warning(Code::DuplicateRouter, message).found(at.brief()));
            self.routers[index] = Arc::new(router);
        } else {
            self.places.insert(router.name.clone(), self.routers.len());
            self.routers.push(Arc::new(router));
        }
    }
}

/// `None` when nothing could refer to it.
fn router(at: &Cursor<'_>, scope: &mut Scope<'_>) -> Option<Router> {
    exclusive(at, "virtual_hosts", "router_configs", scope);
    let hosts = virtual_hosts(at, scope);
    let edits = edits(at, scope);
    let Some((name, _)) = at.text("router_config_name") else {
        if unsaid(at, "router_config_name") {
            let message = "a router without a `router_config_name` is left out: nothing can refer \
                           to it";
            scope.push(at.warning(Code::MissingKey, message));
        }
        return None;
    };
    Some(Router {
        name: name.into(),
        virtual_hosts: hosts,
        edits,
    })
}

fn virtual_hosts(router: &Cursor<'_>, scope: &mut Scope<'_>) -> Vec<Arc<VirtualHost>> {
    let here = router.list("virtual_hosts");
    let mut hosts = Hosts::default();
    for at in &here {
        hosts.add(at, scope);
    }
    match router.text("router_configs") {
        Some((directory, at)) if here.is_empty() => {
            let take = |at: &Cursor<'_>, scope: &mut Scope<'_>| hosts.add(at, scope);
            let errors = scope.diagnostics.count(Severity::Error);
            each_file(directory, &at, &keys::VIRTUAL_HOST, scope, take);
            if hosts.found.is_empty() && errors == scope.diagnostics.count(Severity::Error) {
                let message = "the directory has no file with a virtual host";
                scope.push(at.error(Code::MissingKey, message).found(at.brief()));
            }
        }
        None if here.is_empty() && unsaid(router, "virtual_hosts") => {
            let message = "a router needs `virtual_hosts`: without, it answers nothing but 404";
            let diagnostic = router.error(Code::MissingKey, message);
            scope.push(diagnostic.accepted("`virtual_hosts`, or `router_configs`"));
        }
        _ => {}
    }
    hosts.found
}

/// The virtual hosts of one router, and the domains that they have taken.
#[derive(Default)]
struct Hosts {
    found: Vec<Arc<VirtualHost>>,
    taken: HashSet<Domain>,
}

impl Hosts {
    fn add(&mut self, at: &Cursor<'_>, scope: &mut Scope<'_>) {
        if at.is_wrong() {
            return;
        }
        let domains = self.domains(at, scope);
        let routes = at.list("routers");
        let routes = routes.iter().map(|at| Arc::new(route(at, scope)));
        let host = VirtualHost {
            name: at.text("name").map_or("", |(name, _)| name).to_owned(),
            domains,
            routes: routes.collect(),
            edits: edits(at, scope),
            filters: route_filters(at, Level::VirtualHost, scope),
        };
        self.found.push(Arc::new(host));
    }

    fn domains(&mut self, host: &Cursor<'_>, scope: &mut Scope<'_>) -> Vec<Domain> {
        let mut domains = Vec::new();
        let written = host.list("domains");
        let texts = written
            .iter()
            .filter_map(|at| Some((at, at.as_text().filter(|text| !text.is_empty())?)));
        let mut named = 0;
        for (at, text) in texts {
            named += 1;
            domains.extend(self.domain(text, at, scope));
        }
        if named == 0 && unsaid(host, "domains") {
            let message = "this virtual host has no `domains`: it is for no host";
            scope.push(host.warning(Code::NeverMatches, message));
        }
        domains
    }

    fn domain(&mut self, text: &str, at: &Cursor<'_>, scope: &mut Scope<'_>) -> Option<Domain> {
        let domain = match domain::parse(text) {
            Ok(domain) => domain,
            Err(error) => {
                let diagnostic = at.error(Code::BadDomain, error.to_string());
                scope.push(
                    diagnostic
                        .found(at.brief())
                        .accepted("`name`, `*.suffix` or `*`; behind it `:port`, `:*` or nothing"),
                );
                return None;
            }
        };
        if self.taken.insert(domain.clone()) {
            return Some(domain);
        }
        let message = match domain.host {
            DomainHost::Any => "this router has a virtual host for all other hosts already",
            _ => "this router has a virtual host for this domain already",
        };
        let diagnostic = at.error(Code::DuplicateDomain, message);
        scope.push(diagnostic.found(at.brief()));
        None
    }
}
