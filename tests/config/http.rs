//! What a configuration of HTTP comes to.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use banyan::config::{
    Access, AccessFormat, Action, Causes, ClusterChoice, Code, Connect, Deadlines, DomainHost,
    Existing, FieldMatch, Format, Forward, Goaway, HashKey, HostRewrite, HttpProxy, Known, Limits,
    Loaded, Matcher, MetadataWhen, Model, NetworkFilter, PathRewrite, Piece, Plan, Port, Redirect,
    RetryOn, Route, RpcProtocol, RpcProxy, Source, StreamFilter, Surroundings, Target, Template,
    TextMatch, Variable, parse,
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

fn plan(text: &str) -> Plan {
    let loaded = loaded(text);
    loaded
        .plan
        .unwrap_or_else(|| panic!("{}", loaded.diagnostics))
}

/// A configuration with this server, and the clusters `a` and `b`.
fn with_server(server: &str) -> String {
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

fn with_listener(keys: &str, filter: &str) -> String {
    with_server(&format!(
        r#"{{"routers": [{{"router_config_name": "r", "virtual_hosts": [{{"domains": ["*"]}}]}}],
            "listeners": [{{"name": "l", "address": "127.0.0.1:1", {keys}
            "filter_chains": [{{"filters": [{{"type": "proxy", "config": {filter}}}]}}]}}]}}"#
    ))
}

fn proxy(config: &str) -> HttpProxy {
    match &plan(&with_listener("", config)).listeners[0].filter {
        NetworkFilter::Proxy(proxy) => proxy.clone(),
        other => panic!("{other:?}"),
    }
}

fn settings(extend_config: &str) -> HttpProxy {
    proxy(&format!(
        r#"{{"downstream_protocol": "Http1", "router_config_name": "r", "extend_config": {extend_config}}}"#
    ))
}

fn stream_filter(filter: &str) -> StreamFilter {
    let config = r#"{"downstream_protocol": "Http1", "router_config_name": "r"}"#;
    let keys = format!(r#""stream_filters": [{filter}],"#);
    plan(&with_listener(&keys, config)).listeners[0].stream_filters[0].clone()
}

fn access_format(log: &str) -> AccessFormat {
    let config = r#"{"downstream_protocol": "Http1", "router_config_name": "r"}"#;
    let keys = format!(r#""access_logs": [{log}],"#);
    let plan = plan(&with_listener(&keys, config));
    plan.listeners[0].access_logs[0].format.clone()
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

#[test]
fn a_proxy_goes_to_its_router_or_its_cluster_or_nowhere() {
    let target = |keys: &str| proxy(&format!(r#"{{"downstream_protocol": "Http1"{keys}}}"#)).target;
    assert_eq!(target(r#", "cluster": "a""#), Target::Cluster("a".into()));
    assert_eq!(
        target(r#", "cluster": "a", "router_config_name": "r""#),
        Target::Router("r".into())
    );
    assert_eq!(target(""), Target::Nowhere);
}

#[test]
fn http1_is_spoken_wherever_it_is_among_the_protocols() {
    let filter = |config: &str| {
        let text = with_listener("", config);
        plan(&text).listeners[0].filter.clone()
    };
    for protocol in ["Http1", "Auto", "bolt,Http1"] {
        let config = format!(r#"{{"downstream_protocol": "{protocol}", "cluster": "a"}}"#);
        let expected = NetworkFilter::Proxy(HttpProxy::new(Target::Cluster("a".into())));
        assert_eq!(filter(&config), expected, "{protocol}");
    }
    for protocol in ["dubbo", "Http2,bolt", "http1", "X", ""] {
        let config = format!(r#"{{"downstream_protocol": "{protocol}", "cluster": "a"}}"#);
        assert_eq!(filter(&config), NetworkFilter::Close, "{protocol}");
    }
    let older = r#"{"downstream_protocol": "X", "cluster": "a",
        "extend_config": {"sub_protocol": "Http1", "max_header_size": 1000}}"#;
    assert_eq!(proxy(older).limits.head_bytes, 1000);
}

#[test]
fn bolt_is_spoken_by_each_of_its_names() {
    let rpc = |config: &str| {
        let config = format!(r#"{{"cluster": "a", {config}}}"#);
        match &plan(&with_listener("", &config)).listeners[0].filter {
            NetworkFilter::Rpc(rpc) => rpc.clone(),
            other => panic!("{other:?}"),
        }
    };
    let plain = RpcProxy::new(RpcProtocol::Bolt, Target::Cluster("a".into()));
    for config in [
        r#""downstream_protocol": "bolt""#,
        r#""downstream_protocol": "bolt,boltv2", "upstream_protocol": "bolt""#,
        r#""downstream_protocol": "X", "extend_config": {"sub_protocol": "bolt"}"#,
        r#""downstream_protocol": "X", "extend_config": {"sub_protocol": "bolt,boltv2", "bolt": {}}"#,
    ] {
        assert_eq!(rpc(config), plain, "{config}");
    }
    let second = rpc(r#""downstream_protocol": "boltv2""#);
    assert_eq!(second.protocol, RpcProtocol::BoltV2);
    let settings = r#"{"enable_bolt_goaway": true, "max_frame_size": 4096}"#;
    for config in [
        format!(r#""downstream_protocol": "bolt", "extend_config": {settings}"#),
        format!(r#""downstream_protocol": "bolt", "extend_config": {{"bolt": {settings}}}"#),
    ] {
        let rpc = rpc(&config);
        assert_eq!((rpc.goaway, rpc.frame_bytes), (Goaway::Said, 4096));
    }
}

#[test]
fn settings_stand_under_the_protocol_s_name_or_alone() {
    let flat = r#"{"MAX_header_size": 4096, "max_request_body_size": 10, "max_headers": 20,
        "connect": "tunnel", "reply_cause": false, "head_timeout": "1s", "body_min_rate": 0,
        "kept_body_size": 0, "upstream_silence_timeout": "2s", "continue_timeout": "0s"}"#;
    let proxy = settings(flat);
    assert_eq!(settings(&format!(r#"{{"Http1": {flat}}}"#)), proxy);
    assert_eq!((proxy.limits.head_bytes, proxy.limits.fields), (4096, 20));
    assert_eq!(
        (proxy.limits.body_bytes, proxy.limits.kept_body_bytes),
        (Some(10), 0)
    );
    assert_eq!(
        (proxy.connect, proxy.causes),
        (Connect::Tunnel, Causes::Hidden)
    );
    let deadlines = Deadlines {
        head: Some(Duration::from_secs(1)),
        body_bytes_per_second: None,
        upstream_silence: Some(Duration::from_secs(2)),
        until_continue: None,
    };
    assert_eq!(proxy.deadlines, deadlines);
    let mosn_s = settings(r#"{"Http1": {"deadlines": "mosn"}}"#);
    assert_eq!(mosn_s.deadlines, Deadlines::MOSN);
    let default = HttpProxy::new(Target::Router("r".into()));
    assert_eq!(
        settings(r#"{"bolt": {"enable_bolt_goaway": true}}"#),
        default
    );
    assert_eq!(settings("{}"), default);
}

#[test]
fn stream_filters_are_read() {
    let StreamFilter::IpAccess(access) = stream_filter(
        r#"{"type": "ip_access", "config": {"default_action": "deny", "header": "X-Real-IP",
            "ips": [{"action": "deny", "addrs": ["10.0.0.1"]}, {"addrs": ["10.0.0.0/8", "::1"]}]}}"#,
    ) else {
        panic!("it is of addresses");
    };
    let ip = |text: &str| text.parse::<IpAddr>().ok();
    assert_eq!(access.field.as_deref(), Some("x-real-ip"));
    for (client, expected) in [
        ("10.0.0.1", Access::Deny),
        ("::ffff:10.0.0.1", Access::Deny),
        ("10.9.9.9", Access::Allow),
        ("::1", Access::Allow),
        ("192.0.2.1", Access::Deny),
    ] {
        assert_eq!(access.of(ip(client)), expected, "{client}");
    }
    let StreamFilter::HeaderToMetadata(rules) = stream_filter(
        r#"{"type": "header_to_metadata", "config": {"request_rules": [
            {"header": "X-Zone", "on_header_present": {"key": "zone"}, "remove": true}]}}"#,
    ) else {
        panic!("it is of metadata");
    };
    let present = MetadataWhen::Present("zone".to_owned(), String::new());
    assert_eq!((&*rules[0].field, &rules[0].when), ("x-zone", &present));
    assert_eq!(
        stream_filter(r#"{"type": "mine", "config": {"a": 1}}"#),
        StreamFilter::Custom("mine".to_owned(), r#"{"a":1}"#.to_owned())
    );
    let plugin_then_mirror_then_fault = r#"{"type": "p", "go_plugin_config": {"so_path": "p.so"}},
        {"type": "mirror"}, {"type": "gzip"},
        {"type": "fault", "config": {"delay": {"fixed_delay": "1s", "percentage": 50}}}"#;
    let StreamFilter::Fault(fault) = stream_filter(plugin_then_mirror_then_fault) else {
        panic!("it is the first that is in effect");
    };
    assert_eq!(fault.delay, Some((Duration::from_secs(1), 50)));
}

#[test]
fn an_access_log_says_what_its_format_does() {
    let value = |known| Piece::Value(Variable::Known(known));
    let text = |text: &str| Piece::Text(text.to_owned());
    let AccessFormat::Text(pieces) = access_format(r#"{"log_path": "stdout"}"#) else {
        panic!("MOSN's is text");
    };
    let values = pieces
        .iter()
        .filter(|piece| matches!(piece, Piece::Value(_)));
    assert_eq!(values.count(), 17);
    assert_eq!(pieces[3], text("  "), "two blanks are after the trace");
    assert_eq!(pieces[2], value(Known::TraceId));
    assert_eq!(
        access_format(r#"{"log_format": "100\\% %response_code%%request_header_X-Id%"}"#),
        AccessFormat::Text(vec![
            text(r"100\% "),
            value(Known::ResponseCode),
            Piece::Value(Variable::RequestField("x-id".to_owned())),
        ])
    );
    let own = access_format(r#"{"json_format": {"b": "%protocol%", "a": "x", "b": "y"}}"#);
    let members = vec![
        ("a".to_owned(), vec![text("x")]),
        ("b".to_owned(), vec![text("y")]),
    ];
    assert_eq!(own, AccessFormat::Json(members), "the last one counts");
    let AccessFormat::Json(members) = access_format(r#"{"log_format": "json"}"#) else {
        panic!("it is JSON");
    };
    let status = members.iter().find(|(name, _)| name == "response_code");
    assert_eq!(status.unwrap().1, [value(Known::ResponseCode)]);
}

#[test]
fn a_circuit_breaker_of_zero_is_none() {
    let plan = plan(
        r#"{"servers": [{}], "cluster_manager": {"clusters": [{"name": "c", "circuit_breakers": [
            {"max_connections": 0, "max_requests": 5}, {"max_retries": 1}]}]}}"#,
    );
    let limits = Limits {
        requests: Some(5),
        ..Limits::default()
    };
    assert_eq!(plan.cluster("c").unwrap().limits, limits);
}
