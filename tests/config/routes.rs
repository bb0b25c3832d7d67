//! What a configuration of routers comes to.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use banyan::config::{
    Action, ClusterChoice, Code, DomainHost, Existing, FieldMatch, Format, Forward, HashKey,
    HostRewrite, HttpProxy, Known, Loaded, Matcher, Model, NetworkFilter, PathRewrite, Plan, Port,
    Redirect, RetryOn, Route, Source, Surroundings, Target, Template, TextMatch, Variable, parse,
};

/// A world of one directory with virtual hosts.
struct Directory;

impl Surroundings for Directory {
    fn addresses(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn entries(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let names: &[&str] = match directory.to_str() {
            Some("hosts") => &["a.json", "b.json", "empty.json", "notes.txt"],
            _ => &[],
        };
        Ok(names.iter().map(|name| directory.join(name)).collect())
    }

    fn read(&self, file: &Path) -> io::Result<Vec<u8>> {
        Ok(match file.file_name().unwrap().to_str().unwrap() {
            "a.json" => br#"{"name": "a", "domains": ["a.example"]}"#.to_vec(),
            "b.json" => b"{\n  \"name\": \"b\", \"domains\": [\"A.example\"]\n}".to_vec(),
            "empty.json" => Vec::new(),
            other => panic!("{other} is no file of a virtual host"),
        })
    }
}

fn loaded(text: &str) -> Loaded {
    let source = Source {
        file: "main.json",
        format: Format::Json,
        text: text.as_bytes(),
    };
    parse(&source, &Directory)
}

pub(crate) fn plan(text: &str) -> Plan {
    let loaded = loaded(text);
    loaded
        .plan
        .unwrap_or_else(|| panic!("{}", loaded.diagnostics))
}

/// A configuration with this server, and the clusters `a` and `b`.
pub(crate) fn with_server(server: &str) -> String {
    let clusters = r#"{"clusters": [{"name": "a"}, {"name": "b"}]}"#;
    format!(r#"{{"servers": [{server}], "cluster_manager": {clusters}}}"#)
}

fn with_router(router: &str) -> String {
    with_server(&format!(r#"{{"routers": [{router}]}}"#))
}

fn with_route(route: &str) -> String {
    with_router(&format!(
        r#"{{"router_config_name": "r", "virtual_hosts": [{{"domains": ["*"], "routers": [{route}]}}]}}"#
    ))
}

fn route(text: &str) -> Route {
    let plan = plan(&with_route(text));
    Route::clone(&plan.routers[0].virtual_hosts[0].routes[0])
}

fn matcher(text: &str) -> Matcher {
    route(&format!(
        r#"{{"match": {text}, "route": {{"cluster_name": "a"}}}}"#
    ))
    .matcher
}

fn forward(text: &str) -> Forward {
    let route = route(&format!(
        r#"{{"match": {{"prefix": "/"}}, "route": {text}}}"#
    ));
    match route.action {
        Action::Forward(forward) => *forward,
        other => panic!("{other:?}"),
    }
}

fn exactly(name: &str, value: &str) -> FieldMatch {
    FieldMatch::Field(name.to_owned(), TextMatch::Exact(value.to_owned()))
}

#[test]
fn domains_are_lower_case_names_and_ports() {
    let plan = plan(&with_router(
        r#"{"router_config_name": "r", "virtual_hosts": [
            {"name": "one", "domains": ["A.example:8080", "*.B.example:*"]}, {"domains": ["*"]}]}"#,
    ));
    let hosts = &plan.router("r").unwrap().virtual_hosts;
    let domains: Vec<_> = hosts.iter().flat_map(|host| &host.domains).collect();
    assert_eq!(domains[0].host, DomainHost::Exact("a.example".to_owned()));
    assert_eq!(domains[0].port, Port::Exact("8080".to_owned()));
    assert_eq!(domains[1].host, DomainHost::Suffix(".b.example".to_owned()));
    assert_eq!(domains[1].port, Port::Any);
    assert_eq!(domains[2].host, DomainHost::Any);
    assert_eq!((hosts[0].name.as_str(), hosts.len()), ("one", 2));
}

#[test]
fn virtual_hosts_come_from_the_files_of_a_directory() {
    let router = r#"{"router_config_name": "r", "router_configs": "hosts"}"#;
    let loaded = loaded(&with_router(router));
    let found = loaded.diagnostics.errors().next().unwrap();
    assert_eq!(
        (found.code, &*found.file, found.line),
        (Code::DuplicateDomain, "hosts/b.json", 2)
    );
}

#[test]
fn a_directory_without_virtual_hosts_makes_no_router() {
    let router = r#"{"router_config_name": "r", "router_configs": "nothing"}"#;
    let loaded = loaded(&with_router(router));
    let codes: Vec<_> = loaded
        .diagnostics
        .errors()
        .map(|found| found.code)
        .collect();
    assert_eq!(codes, [Code::MissingKey]);
}

#[test]
fn the_deprecated_filter_holds_a_router_and_the_server_s_counts_as_later() {
    let plan = plan(&with_server(
        r#"{"routers": [{"router_config_name": "both", "virtual_hosts": [{"name": "server"}]}],
            "listeners": [{"address": "127.0.0.1:1", "filter_chains": [{"filters": [
            {"type": "connection_manager", "config": {"router_config_name": "both",
                "virtual_hosts": [{"name": "filter"}]}},
            {"type": "proxy", "config": {"downstream_protocol": "Http1",
                "router_config_name": "both"}}]}]},
            {"address": "127.0.0.1:2", "filter_chains": [{"filters": [
            {"type": "connection_manager", "config": {"router_config_name": "own",
                "virtual_hosts": [{"name": "filter"}]}}]}]}]}"#,
    ));
    let names: Vec<_> = plan
        .routers
        .iter()
        .map(|router| (router.name.as_str(), &*router.virtual_hosts[0].name))
        .collect();
    assert_eq!(names, [("both", "server"), ("own", "filter")]);
    let expected = NetworkFilter::Proxy(HttpProxy::new(Target::Router("both".into())));
    assert_eq!(plan.listeners[0].filter, expected);
}

#[test]
fn a_match_is_of_the_first_kind_that_is_given() {
    let headers =
        r#""headers": [{"name": "method", "value": "GET"}, {"name": "X-A", "value": "b"}]"#;
    let fields = vec![FieldMatch::Method("GET".to_owned()), exactly("x-a", "b")];
    assert_eq!(
        matcher(&format!(r#"{{"path": "/p", "prefix": "/x", {headers}}}"#)),
        Matcher::Prefix("/x".to_owned(), fields.clone())
    );
    assert_eq!(
        matcher(&format!(r#"{{"regex": "^/r", "path": "/p", {headers}}}"#)),
        Matcher::Path("/p".to_owned(), fields.clone())
    );
    let Matcher::Regex(pattern, found) = matcher(&format!(r#"{{"regex": "^/r", {headers}}}"#))
    else {
        panic!("it is a pattern");
    };
    assert_eq!((pattern.as_str(), found), ("^/r", fields));
    assert_eq!(
        matcher(&format!("{{{headers}}}")),
        Matcher::Fields(vec![exactly("method", "GET"), exactly("x-a", "b")]),
        "only beside a path is `method` more than a field"
    );
    assert_eq!(matcher("{}"), Matcher::Fields(Vec::new()));
    assert_eq!(
        matcher(r#"{"dsl_expressions": [{"expression": "true"}]}"#),
        Matcher::Never
    );
}

#[test]
fn one_field_named_service_is_compared_as_a_whole() {
    let service = |value: &str| {
        let regex = r#""regex": true"#;
        matcher(&format!(
            r#"{{"headers": [{{"name": "service", "value": "{value}", {regex}}}]}}"#
        ))
    };
    assert_eq!(service(".*"), Matcher::Service(None));
    assert_eq!(service("a.*"), Matcher::Service(Some("a.*".to_owned())));
}

#[test]
fn variable_rules_keep_their_order_and_what_joins_them() {
    let Matcher::Variables(items) = matcher(
        r#"{"variables": [{"name": "x-mosn-method", "value": "GET", "model": "OR"},
            {"name": "Http1_cookie_User", "regex": "^a"}]}"#,
    ) else {
        panic!("it is of variables");
    };
    assert_eq!(items[0].variable, Variable::Known(Known::Method));
    assert_eq!(items[0].text, TextMatch::Exact("GET".to_owned()));
    assert_eq!((items[0].model, items[1].model), (Model::Or, Model::And));
    assert_eq!(items[1].variable, Variable::Cookie("User".to_owned()));
    assert!(matches!(&items[1].text, TextMatch::Regex(pattern) if pattern.as_str() == "^a"));
}

#[test]
fn the_cluster_is_drawn_or_named_or_a_variable_s() {
    let choice = |text: &str| forward(text).cluster;
    assert_eq!(
        choice(r#"{"cluster_name": "a", "cluster_variable": "x-mosn-host"}"#),
        ClusterChoice::One("a".into())
    );
    assert_eq!(
        choice(r#"{"cluster_variable": "x-mosn-host"}"#),
        ClusterChoice::Variable(Variable::Known(Known::Host))
    );
    assert_eq!(choice("{}"), ClusterChoice::None);
    let ClusterChoice::Weighted(shares) = choice(
        r#"{"cluster_name": "a", "weighted_clusters": [{"cluster": {"name": "a", "weight": 1}},
            {"cluster": {"name": "b", "weight": 2,
             "metadata_match": {"filter_metadata": {"mosn.lb": {"zone": "1", "n": 1}}}}}]}"#,
    ) else {
        panic!("it is drawn");
    };
    let drawn: Vec<_> = shares
        .iter()
        .map(|share| (share.cluster.as_str(), share.weight))
        .collect();
    assert_eq!(drawn, [("a", 1), ("b", 2)]);
    assert_eq!(shares[1].metadata["zone"], "1");
    assert_eq!(shares[1].metadata.len(), 1);
}

#[test]
fn timeouts_and_retries_are_what_the_route_says() {
    let second = Duration::from_secs(1);
    let plain = forward(r#"{"cluster_name": "a"}"#);
    assert_eq!(plain.timeout, Some(60 * second));
    assert_eq!(plain.retry.on, RetryOn::ConnectFailure);
    assert_eq!((plain.retry.retries, plain.retry.try_timeout), (3, None));
    let with = |text: &str| forward(&format!(r#"{{"cluster_name": "a", {text}}}"#));
    assert_eq!(with(r#""timeout": "0s""#).timeout, Some(60 * second));
    assert_eq!(with(r#""timeout": "-1s""#).timeout, None);
    let told = with(
        r#""timeout": "5s", "retry_policy": {"retry_on": true, "num_retries": 0,
            "retry_timeout": "1s", "status_codes": [502]}"#,
    );
    assert_eq!(told.retry.on, RetryOn::Failures(vec![502]));
    assert_eq!(told.retry.retries, 0);
    assert_eq!(told.retry.try_timeout, Some(second));
    let long = with(r#""timeout": "1s", "retry_policy": {"retry_timeout": "1s"}"#);
    assert_eq!((long.retry.retries, long.retry.try_timeout), (3, None));
    let endless = with(r#""timeout": "-1s", "retry_policy": {"retry_timeout": "9h"}"#);
    assert_eq!(endless.retry.try_timeout, Some(9 * 3600 * second));
}

#[test]
fn of_two_ways_to_rewrite_the_stronger_one_counts() {
    let with = |text: &str| forward(&format!(r#"{{"cluster_name": "a", {text}}}"#));
    let regex = r#""regex_rewrite": {"pattern": {"regex": "^/a(.*)"}, "substitution": "/b$1"}"#;
    assert_eq!(
        with(&format!(r#"{regex}, "prefix_rewrite": "/c""#)).path,
        PathRewrite::Prefix("/c".to_owned())
    );
    let PathRewrite::Regex(pattern, substitution) = with(regex).path else {
        panic!("it is a pattern");
    };
    assert_eq!((pattern.as_str(), &*substitution), ("^/a(.*)", "/b$1"));
    let short = r#""regex_rewrite": {"pattern": {"regex": "a"}}"#;
    assert_eq!(with(short).path, PathRewrite::Keep);
    let ways = [
        r#""auto_host_rewrite": true"#,
        r#""auto_host_rewrite_header": "X-Host""#,
        r#""host_rewrite": "b.example""#,
    ];
    assert_eq!(with(ways[0]).host, HostRewrite::UpstreamName);
    assert_eq!(
        with(&ways[..2].join(",")).host,
        HostRewrite::FromField("x-host".to_owned())
    );
    assert_eq!(
        with(&ways.join(",")).host,
        HostRewrite::To("b.example".to_owned())
    );
}

#[test]
fn of_hash_policies_the_first_counts_and_in_it_the_cookie() {
    let hash = |text: &str| forward(&format!(r#"{{"cluster_name": "a", {text}}}"#)).hash;
    assert_eq!(hash(r#""hash_policy": []"#), HashKey::SourceIp);
    assert_eq!(
        hash(r#""hash_policy": [{"header": {"key": "X-User"}}, {"cookie": {"name": "id"}}]"#),
        HashKey::Field("x-user".to_owned())
    );
    assert_eq!(
        hash(r#""hash_policy": [{"header": {"key": "X-User"}, "cookie": {"name": "Id"}}]"#),
        HashKey::Cookie("Id".to_owned())
    );
    assert_eq!(
        hash(r#""hash_policy": [{"source_ip": {}}]"#),
        HashKey::SourceIp
    );
}

#[test]
fn an_answer_is_stronger_than_a_redirect_and_both_than_a_cluster() {
    let all = r#"{"route": {"cluster_name": "a"}, "redirect": {"scheme_redirect": "HTTPS"},
        "direct_response": {"status": 503, "body": "later"}}"#;
    let body = "later".to_owned();
    let status = 503;
    assert_eq!(route(all).action, Action::Respond { status, body });
    let redirect = r#"{"route": {"cluster_name": "a"}, "redirect": {"scheme_redirect": "HTTPS",
        "path_redirect": "/b"}}"#;
    assert_eq!(
        route(redirect).action,
        Action::Redirect(Redirect {
            status: 301,
            path: Some("/b".to_owned()),
            host: None,
            scheme: Some("https".to_owned()),
        })
    );
}

#[test]
fn header_fields_are_changed_at_three_scopes() {
    let plan = plan(&with_router(
        r#"{"router_config_name": "r", "request_headers_to_remove": ["X-Router"],
            "virtual_hosts": [{"domains": ["*"], "response_headers_to_add": [
                {"header": {"key": "X-Host", "value": "50%"}, "append": false}],
            "routers": [{"direct_response": {"status": 200}, "route": {"request_headers_to_add": [
                {"header": {"key": "X-Route", "value": "%x-mosn-path%"}},
                {"header": {"key": "X-Other", "value": "a %x-mosn-path%"}, "append": null}]}}]}]}"#,
    ));
    let router = plan.router("r").unwrap();
    assert_eq!(router.edits.request.remove, ["x-router"]);
    let host = &router.virtual_hosts[0];
    let added = &host.edits.response.add[0];
    assert_eq!(added.value, Template::Text("50%".to_owned()));
    assert_eq!(
        (&*added.name, added.existing),
        ("x-host", Existing::Replace)
    );
    let added = &host.routes[0].edits.request.add;
    let value = Template::Value(Variable::Known(Known::Path));
    assert_eq!((&*added[0].name, &added[0].value), ("x-route", &value));
    let text = Template::Text("a %x-mosn-path%".to_owned());
    assert_eq!(
        (added[1].existing, &added[1].value),
        (Existing::Append, &text)
    );
}

#[test]
fn filters_have_settings_for_a_route() {
    let route = route(
        r#"{"route": {"cluster_name": "a"}, "per_filter_config": {
            "fault": {"ABORT": {"status": 418, "percentage": 100}, "upstream_cluster": "b"},
            "payload_limit": {"max_entity_size ": 7, "max_entity_size": 9},
            "mine": {"key": [1, "x"]}},
            "request_mirror_policies": {"cluster": "b", "percent": 30}}"#,
    );
    let fault = route.filters.fault.unwrap();
    assert_eq!((fault.delay, fault.abort), (None, Some((418, 100))));
    assert_eq!(fault.cluster, Some("b".into()));
    let limit = route.filters.payload_limit.unwrap();
    assert_eq!((limit.bytes, limit.status), (7, 413));
    let custom = ("mine".to_owned(), r#"{"key":[1,"x"]}"#.to_owned());
    assert_eq!(route.filters.custom, [custom]);
    let mirror = route.mirror.unwrap();
    assert_eq!((mirror.cluster.as_str(), mirror.percent), ("b", 30));
}
