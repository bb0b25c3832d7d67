//! What no configuration may have.

use super::Invalid;

pub(super) const VALUES: &[Invalid] = &[
    // Values that no configuration may have.
    (
        "PUT",
        "/api/v2/clusters/c",
        r#"{"connect_timeout":5}"#,
        "bad-duration",
    ),
    (
        "PUT",
        "/api/v2/clusters/c",
        r#"{"connect_timeout":"-5s"}"#,
        "out-of-range",
    ),
    (
        "PUT",
        "/api/v2/clusters/c",
        r#"{"hosts":[{"address":"nowhere"}]}"#,
        "bad-address",
    ),
    (
        "PUT",
        "/api/v2/clusters/c",
        r#"{"hosts":[{}]}"#,
        "$.cluster_manager.clusters[1].hosts[0]",
    ),
    (
        "PUT",
        "/api/v2/clusters/c",
        r#"{"hosts":[{"address":"127.0.0.1:1","weight":-1}]}"#,
        "out-of-range",
    ),
    ("PUT", "/api/v2/clusters/c", r#"{"hosts":{}}"#, "wrong-type"),
    (
        "PUT",
        "/api/v2/clusters/c",
        r#"{"lb_type":7}"#,
        "wrong-type",
    ),
    (
        "PUT",
        "/api/v2/clusters/c",
        r#"{"circuit_breakers":[{"max_connections":-3}]}"#,
        "out-of-range",
    ),
    (
        "POST",
        "/api/v2/clusters/api/hosts",
        r#"[{"address":"127.0.0.1:99999"}]"#,
        "is no port",
    ),
    (
        "PUT",
        "/api/v2/listeners/l",
        "{}",
        "a listener needs an `address`",
    ),
    (
        "PUT",
        "/api/v2/listeners/l",
        r#"{"address":"127.0.0.1"}"#,
        "the port is missing",
    ),
    (
        "PUT",
        "/api/v2/listeners/l",
        r#"{"address":"127.0.0.1:1","network":"carrier-pigeon"}"#,
        "unknown-value",
    ),
    (
        "PUT",
        "/api/v2/listeners/l",
        r#"{"address":"127.0.0.1:0","bind_port":true,"filter_chains":[{"filters":[{"type":"tcp_proxy","config":{"cluster":"nobody"}}]}]}"#,
        "unknown-cluster",
    ),
    (
        "PUT",
        "/api/v2/listeners/l",
        r#"{"address":"127.0.0.1:0","bind_port":true,"filter_chains":[{"filters":[{"type":"proxy","config":{"downstream_protocol":"Http1","router_config_name":"nobody"}}]}]}"#,
        "unknown-router",
    ),
    (
        "PUT",
        "/api/v2/listeners/l",
        r#"{"address":"192.0.2.1:1","bind_port":true,"filter_chains":[{"filters":[{"type":"tcp_proxy","config":{"cluster":"api"}}]}]}"#,
        "cannot listen on 192.0.2.1:1",
    ),
    (
        "PUT",
        "/api/v2/listeners/l",
        r#"{"address":"127.0.0.1:0","bind_port":"yes"}"#,
        "wrong-type",
    ),
    (
        "PUT",
        "/api/v2/routers/x",
        r#"{"virtual_hosts":[{"domains":["a b"]}]}"#,
        "bad-domain",
    ),
    (
        "PUT",
        "/api/v2/routers/x",
        r#"{"virtual_hosts":[{"domains":["*"]},{"domains":["*"]}]}"#,
        "duplicate-domain",
    ),
    (
        "PUT",
        "/api/v2/routers/x",
        "{}",
        "a router needs `virtual_hosts`",
    ),
    (
        "PUT",
        "/api/v2/routers/r/virtual_hosts/all",
        r#"{"domains":["*"],"routers":[{"match":{"regex":"("},"route":{"cluster_name":"api"}}]}"#,
        "bad-pattern",
    ),
    (
        "PUT",
        "/api/v2/routers/r/virtual_hosts/all",
        r#"{"domains":["*"],"routers":[{"match":{"prefix":"/"},"route":{"cluster_name":"nobody"}}]}"#,
        "unknown-cluster",
    ),
    (
        "PUT",
        "/api/v2/routers/r/virtual_hosts/more",
        r#"{"domains":["*"]}"#,
        "duplicate-domain",
    ),
    // What something else needs.
    ("DELETE", "/api/v2/clusters/api", "", "unknown-cluster"),
    ("DELETE", "/api/v2/routers/r", "", "unknown-router"),
    // Whole configurations.
    (
        "PUT",
        "/api/v2/configuration",
        "{}",
        "`servers` holds exactly one server",
    ),
    (
        "PUT",
        "/api/v2/configuration",
        r#"{"servers":[{},{}]}"#,
        "`servers` holds exactly one server",
    ),
    (
        "PUT",
        "/api/v2/configuration",
        r#"{"servers":[{"processor":4096}]}"#,
        "these are too many workers",
    ),
    (
        "PUT",
        "/api/v2/configuration",
        r#"{"servers":[{"graceful_timeout":"x"}],"cluster_manager":{"clusters":[{}]}}"#,
        "(and 1 more)",
    ),
    // A good edit before a bad one.
    (
        "POST",
        "/api/v2/changes",
        r#"{"edits":[{"put_cluster":{"name":"c"}},{"remove_router":"nobody"}]}"#,
        "no router is named `nobody`",
    ),
    (
        "POST",
        "/api/v2/changes",
        r#"{"edits":[{"put_cluster":{"name":"c"}},{"put_hosts":{"cluster":"c","hosts":[{"address":"x"}]}}]}"#,
        "bad-address",
    ),
    // Secrets as they are shown.
    (
        "PUT",
        "/api/v2/clusters/c",
        r#"{"tls_context":{"private_key":"(redacted)"}}"#,
        "a redacted secret cannot be put back",
    ),
    // MOSN's calls.
    (
        "POST",
        "/debug/update_config",
        "",
        "invalid request: this is not JSON",
    ),
    (
        "POST",
        "/debug/update_config",
        r#"{"type":"cluster"}"#,
        "the key `config` is missing",
    ),
    (
        "POST",
        "/debug/update_config",
        r#"{"type":"cluster","config":{"hosts":[]}}"#,
        "needs a `name`",
    ),
    (
        "POST",
        "/debug/update_config",
        r#"{"type":"paint","config":{}}"#,
        "invalid type, do nothing",
    ),
    (
        "POST",
        "/debug/update_config",
        r#"{"type":"extend","config":{}}"#,
        "this is to be an array",
    ),
    (
        "POST",
        "/debug/update_route",
        r#"{"type":"add","config":{"router_config_name":"r","domain":""}}"#,
        "the key `route` is missing",
    ),
    (
        "POST",
        "/debug/update_route",
        r#"{"type":"remove","config":{"domain":""}}"#,
        "`router_config_name` is to be a string",
    ),
    (
        "POST",
        "/debug/update_route",
        r#"{"type":"add","config":{"router_config_name":"r","domain":"x","route":{}}}"#,
        "no virtual host is for the domain `x`",
    ),
    (
        "POST",
        "/debug/disable_tls?disable=true",
        "",
        "TLS is not yet in effect",
    ),
];
