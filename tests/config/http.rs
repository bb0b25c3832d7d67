//! What a configuration of HTTP comes to, its routers apart.

use std::net::IpAddr;
use std::time::Duration;

use banyan::config::{
    Access, AccessFormat, Breadth, Causes, Connect, Deadlines, Goaway, HttpProxy, Known, Limits,
    MetadataWhen, NetworkFilter, Piece, PoolMode, RpcProtocol, RpcProxy, Spoken, StreamFilter,
    Target, TcpProxy, Variable,
};

use crate::routes::{plan, with_server};

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
fn a_proxy_of_one_protocol_finds_nothing_out() {
    let filter = |config: &str| {
        let text = with_listener("", config);
        plan(&text).listeners[0].filter.clone()
    };
    let config = r#"{"downstream_protocol": "Http1", "cluster": "a"}"#;
    let expected = NetworkFilter::Proxy(HttpProxy::new(Target::Cluster("a".into())));
    assert_eq!(filter(config), expected);
    for protocol in ["dubbo", "Http2,dubbo", "http1", "X", ""] {
        let config = format!(r#"{{"downstream_protocol": "{protocol}", "cluster": "a"}}"#);
        assert_eq!(filter(&config), NetworkFilter::Close, "{protocol}");
    }
    let older = r#"{"downstream_protocol": "X", "cluster": "a",
        "extend_config": {"sub_protocol": "Http1", "max_header_size": 1000}}"#;
    assert_eq!(proxy(older).limits.head_bytes, 1000);
}

#[test]
fn several_protocols_are_told_apart_in_their_order() {
    let auto = |config: &str| {
        let config = format!(r#"{{"cluster": "a", {config}}}"#);
        match &plan(&with_listener("", &config)).listeners[0].filter {
            NetworkFilter::Auto(auto) => auto.clone(),
            other => panic!("{other:?}"),
        }
    };
    let every = ["Http2", "dubbo", "dubbo-thrift", "tars"];
    for (protocols, spoken, unspoken) in [
        ("Auto", &["Http1", "bolt", "boltv2"][..], &every[..]),
        ("bolt,Http1", &["bolt", "Http1"], &[]),
        ("Http1,dubbo", &["Http1"], &["dubbo"]),
        ("Http2,boltv2", &["boltv2"], &["Http2"]),
        ("x_example,Http1", &["x_example", "Http1"], &[]),
    ] {
        let found = auto(&format!(r#""downstream_protocol": "{protocols}""#));
        let names: Vec<_> = found.spoken.iter().map(Spoken::name).collect();
        assert_eq!(names, spoken, "{protocols}");
        assert_eq!(found.unspoken, unspoken, "{protocols}");
        let is_all = found.breadth == Breadth::All;
        assert_eq!(is_all, protocols == "Auto");
        assert_eq!(found.http.target, Target::Cluster("a".into()));
        assert_eq!(found.rpc.target, Target::Cluster("a".into()));
        assert_eq!(found.fallback, None);
        assert_eq!(found.budget, Some(Duration::from_secs(15)));
    }
    let settings = auto(
        r#""downstream_protocol": "Auto", "detection_timeout": "200ms", "extend_config": {
            "Http1": {"max_header_size": 1000}, "bolt": {"max_frame_size": 4096}}"#,
    );
    assert_eq!(settings.budget, Some(Duration::from_millis(200)));
    assert_eq!(settings.http.limits.head_bytes, 1000);
    assert_eq!(settings.rpc.frame_bytes, 4096);
    for protocols in ["Auto", "bolt,boltv2"] {
        // The next filter is written behind this one.
        let fallback = auto(&format!(
            r#""downstream_protocol": "{protocols}", "fallback_for_unknown_protocol": true}}}},
                {{"type": "tcp_proxy", "config": {{"cluster": "a""#
        ));
        let expected = TcpProxy::Cluster("a".into());
        assert_eq!(fallback.fallback, Some(expected), "{protocols}");
    }
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
    let brought = rpc(r#""downstream_protocol": "x_example",
        "extend_config": {"x_example": {"pool_mode": "bound"}}"#);
    assert_eq!(brought.protocol.name(), "x_example");
    assert_eq!(brought.pool_mode, PoolMode::Bound);
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
    for (word, mode) in [
        ("multiplex", PoolMode::Multiplex),
        ("ping-pong", PoolMode::PingPong),
        ("bound", PoolMode::Bound),
    ] {
        let config =
            format!(r#""downstream_protocol": "bolt", "extend_config": {{"pool_mode": "{word}"}}"#);
        assert_eq!(rpc(&config).pool_mode, mode);
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
