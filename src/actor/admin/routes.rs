//! Every endpoint, as a table: what it is asked by, who may, what it takes and gives, who answers.

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use hyper::Method;

use super::access::Role;
use super::door::Call;
use super::reply::Reply;
use super::{debug, explain, scrape, v1, v2};

/// The method of a row. `GET` answers `HEAD` too, and never changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Post,
    Put,
    Delete,
}

impl Verb {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }

    fn is(self, method: &Method) -> bool {
        method.as_str() == self.as_str() || self == Self::Get && method == Method::HEAD
    }
}

/// What an endpoint takes or gives: text, or JSON of a shape that the OpenAPI document describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Nothing,
    Text,
    Json(&'static str),
}

type Handler = fn(Call) -> LocalBoxFuture<'static, Reply>;

pub(super) struct Route {
    pub(super) verb: Verb,
    /// Segments in braces stand for any one segment.
    pub(super) path: &'static str,
    pub(super) role: Role,
    pub(super) takes: Form,
    pub(super) gives: Form,
    pub(super) says: &'static str,
    pub(super) handler: Handler,
}

macro_rules! routes {
    ($($verb:ident $path:literal $role:ident ($takes:expr => $gives:expr) $handler:path, $says:literal;)*) => {
        /// Every endpoint. Another one is another row.
        pub(super) static ROUTES: &[Route] = &[$(Route {
            verb: Verb::$verb,
            path: $path,
            role: Role::$role,
            takes: $takes,
            gives: $gives,
            says: $says,
            handler: |call| $handler(call).boxed_local(),
        }),*];
    };
}

const NONE: Form = Form::Nothing;
const TEXT: Form = Form::Text;
const CHANGE: Form = Form::Json("Outcome");

routes! {
    Get "/healthz" Read (NONE => TEXT) v2::healthz, "Whether the process answers.";
    Get "/readyz" Read (NONE => TEXT) v2::readyz, "Whether connections are accepted.";
    Get "/metrics" Read (NONE => TEXT) scrape::metrics, "Everything that is counted, for Prometheus.";
    Get "/server_info" Read (NONE => TEXT) v1::server_info, "Envoy's state, as Istio asks for it.";
    Get "/api/v1/version" Read (NONE => TEXT) v1::version, "The version.";
    Get "/api/v1/states" Read (NONE => TEXT) v1::states, "Process id and state.";
    Get "/api/v1/config_dump" Read (NONE => TEXT) v1::config_dump, "What runs, in MOSN's shape.";
    Get "/api/v1/stats" Read (NONE => TEXT) v1::stats, "What was counted.";
    Get "/api/v1/stats_glob" Read (NONE => TEXT) v1::stats_glob, "What all listeners counted.";
    Get "/api/v1/get_loglevel" Read (NONE => TEXT) v1::get_loglevel, "The levels of error logs.";
    Post "/api/v1/update_loglevel" Write (TEXT => TEXT) v1::update_loglevel, "Changes the level of an error log.";
    Post "/api/v1/enable_log" Write (TEXT => TEXT) v1::enable_log, "Makes a log write again, by its output.";
    Post "/api/v1/disable_log" Write (TEXT => TEXT) v1::disable_log, "Makes a log write nothing, by its output.";
    Get "/api/v1/plugin" Read (NONE => TEXT) v1::plugin, "Plugins, of which there are none.";
    Post "/api/v1/plugin" Write (TEXT => TEXT) v1::change_plugin, "Plugins, of which there are none.";
    Get "/api/v1/features" Read (NONE => TEXT) v1::features, "The feature gates.";
    Get "/api/v1/env" Write (NONE => TEXT) v1::env, "Variables of the environment that are shown.";
    Post "/debug/update_config" Write (TEXT => TEXT) debug::update_config, "Adds or replaces an object.";
    Post "/debug/update_route" Write (TEXT => TEXT) debug::update_route, "Adds a route, or removes those of a domain.";
    Post "/debug/disable_tls" Write (TEXT => TEXT) debug::disable_tls, "Switches TLS towards hosts: refused, as TLS is not yet in effect.";
    Get "/api/v2/openapi.json" Read (NONE => Form::Json("Any")) v2::openapi, "This document.";
    Get "/api/v2/status" Read (NONE => Form::Json("Status")) v2::status, "State, version, listeners, clusters and their hosts.";
    Get "/api/v2/explain" Read (NONE => Form::Json("Any")) explain::explain, "What would become of a request that the query describes: listener, protocol, method, host, path, header.";
    Get "/api/v2/tree" Read (NONE => Form::Json("Node")) v2::tree, "The supervision tree.";
    Get "/api/v2/configuration" Read (NONE => Form::Json("Configuration")) v2::configuration, "The document that runs, without its secrets.";
    Put "/api/v2/configuration" Write (Form::Json("Any") => CHANGE) v2::put_configuration, "Replaces the whole configuration.";
    Post "/api/v2/changes" Write (Form::Json("Edits") => CHANGE) v2::changes, "Carries out several edits as one change.";
    Get "/api/v2/clusters" Read (NONE => Form::Json("Objects")) v2::clusters, "The clusters, as configured.";
    Get "/api/v2/clusters/{name}" Read (NONE => Form::Json("Any")) v2::clusters, "A cluster, as configured.";
    Put "/api/v2/clusters/{name}" Write (Form::Json("Any") => CHANGE) v2::put_cluster, "Adds or replaces a cluster.";
    Delete "/api/v2/clusters/{name}" Write (NONE => CHANGE) v2::delete_cluster, "Removes a cluster.";
    Put "/api/v2/clusters/{name}/hosts" Write (Form::Json("Objects") => CHANGE) v2::put_hosts, "Replaces the hosts of a cluster.";
    Post "/api/v2/clusters/{name}/hosts" Write (Form::Json("Objects") => CHANGE) v2::append_hosts, "Adds hosts, or replaces those of the same address.";
    Delete "/api/v2/clusters/{name}/hosts/{address}" Write (NONE => CHANGE) v2::delete_host, "Removes a host.";
    Get "/api/v2/listeners" Read (NONE => Form::Json("Objects")) v2::listeners, "The listeners, as configured.";
    Get "/api/v2/listeners/{name}" Read (NONE => Form::Json("Any")) v2::listeners, "A listener, as configured.";
    Put "/api/v2/listeners/{name}" Write (Form::Json("Any") => CHANGE) v2::put_listener, "Adds or replaces a listener.";
    Delete "/api/v2/listeners/{name}" Write (NONE => CHANGE) v2::delete_listener, "Removes a listener.";
    Get "/api/v2/routers" Read (NONE => Form::Json("Objects")) v2::routers, "The routers, as configured.";
    Get "/api/v2/routers/{name}" Read (NONE => Form::Json("Any")) v2::routers, "A router, as configured.";
    Put "/api/v2/routers/{name}" Write (Form::Json("Any") => CHANGE) v2::put_router, "Adds or replaces a router.";
    Delete "/api/v2/routers/{name}" Write (NONE => CHANGE) v2::delete_router, "Removes a router.";
    Put "/api/v2/routers/{name}/virtual_hosts/{host}" Write (Form::Json("Any") => CHANGE) v2::put_virtual_host, "Adds or replaces a virtual host.";
    Delete "/api/v2/routers/{name}/virtual_hosts/{host}" Write (NONE => CHANGE) v2::delete_virtual_host, "Removes a virtual host.";
    Post "/api/v2/reload" Write (NONE => CHANGE) v2::reload, "Reads the configuration file again and makes it run.";
    Get "/api/v2/drift" Read (NONE => Form::Json("Drift")) v2::drift, "How the configuration file differs from what runs.";
    Get "/api/v2/history" Read (NONE => Form::Json("History")) v2::history, "The versions that can be rolled back to; the last one runs.";
    Post "/api/v2/rollback/{version}" Write (NONE => CHANGE) v2::rollback, "Makes an earlier version run again.";
    Post "/api/v2/confirm/{version}" Write (NONE => Form::Json("Version")) v2::confirm, "Keeps a change that waits to be confirmed.";
    Post "/api/v2/revert" Write (NONE => CHANGE) v2::revert, "Rolls back the change that waits to be confirmed.";
    Get "/api/v2/log_level" Read (NONE => Form::Json("LogLevels")) v2::log_level, "The levels of error logs.";
    Put "/api/v2/log_level" Write (Form::Json("LogLevel") => Form::Json("LogLevels")) v2::put_log_level, "Changes the level of an error log.";
}

/// Where a request goes.
pub(super) enum Found {
    Route(&'static Route, Vec<String>),
    /// The path is known, the method is not; those that are.
    OtherMethods(String),
    Nothing,
}

pub(super) fn find(method: &Method, path: &str) -> Found {
    let fitting: Vec<_> = ROUTES
        .iter()
        .filter_map(|route| Some((route, super::query::fits(route.path, path)?)))
        .collect();
    let allowed = fitting.iter().map(|(route, _)| route.verb.as_str());
    let allowed = allowed.collect::<Vec<_>>().join(", ");
    let found = fitting.into_iter().find(|(route, _)| route.verb.is(method));
    match found {
        Some((route, places)) => Found::Route(route, places),
        None if allowed.is_empty() => Found::Nothing,
        None => Found::OtherMethods(allowed),
    }
}

/// MOSN's help, which it shows for every path that it does not know.
pub(super) fn help() -> String {
    let mut text = String::from("supported APIs:\n");
    let mut last = "";
    for route in ROUTES {
        if route.path != last {
            text.push_str(route.path);
            text.push('\n');
        }
        last = route.path;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_method_and_path() {
        for route in ROUTES {
            let path = route.path.replace(['{', '}'], "");
            let method = Method::from_bytes(route.verb.as_str().as_bytes()).unwrap();
            let Found::Route(found, _) = find(&method, &path) else {
                panic!("{path} is not found");
            };
            assert!(std::ptr::eq(found, route), "{path} is {}", found.path);
            assert!(
                route.verb != Verb::Get
                    || matches!(route.role, Role::Read)
                    || route.path == "/api/v1/env"
            );
            assert!(
                route.verb == Verb::Get || route.role == Role::Write,
                "{path} changes something"
            );
        }
        assert!(matches!(find(&Method::HEAD, "/healthz"), Found::Route(..)));
        assert!(
            matches!(find(&Method::PATCH, "/api/v2/routers"), Found::OtherMethods(allowed) if allowed == "GET")
        );
        assert!(matches!(find(&Method::GET, "/api/v2"), Found::Nothing));
    }
}
