//! Changes that must not be: each leaves what runs as it is, byte by byte, and explains itself.

use super::{Admin, configuration};
use crate::http::ask;

/// Method, target, body, and what the answer must say.
const INVALID: &[(&str, &str, &str, &str)] = &[
    // Not JSON, or not of the right form.
    ("PUT", "/api/v2/clusters/c", "", "this is not JSON"),
    ("PUT", "/api/v2/clusters/c", "{", "line 1, column 2"),
    (
        "PUT",
        "/api/v2/clusters/c",
        "{'name':'c'}",
        "this is not JSON",
    ),
    ("PUT", "/api/v2/clusters/c", "{}{}", "text follows the end"),
    ("PUT", "/api/v2/clusters/c", "[]", "this is to be an object"),
    (
        "PUT",
        "/api/v2/clusters/c",
        "\"c\"",
        "this is to be an object",
    ),
    (
        "PUT",
        "/api/v2/clusters/c",
        r#"{"name":"d"}"#,
        r#"its `name` is \"d\" where \"c\" is changed"#,
    ),
    ("PUT", "/api/v2/listeners/l", "7", "this is to be an object"),
    (
        "PUT",
        "/api/v2/routers/x",
        r#"{"router_config_name":"y"}"#,
        "is changed",
    ),
    (
        "PUT",
        "/api/v2/clusters/api/hosts",
        "{}",
        "this is to be an array",
    ),
    (
        "PUT",
        "/api/v2/clusters/api/hosts",
        "[1]",
        "this is to be an object",
    ),
    (
        "POST",
        "/api/v2/clusters/api/hosts",
        "null",
        "this is to be an array",
    ),
    (
        "POST",
        "/api/v2/changes",
        "{}",
        "the key `edits` is missing",
    ),
    (
        "POST",
        "/api/v2/changes",
        r#"{"edits":{}}"#,
        "this is to be an array",
    ),
    (
        "POST",
        "/api/v2/changes",
        r#"{"edits":["put_cluster"]}"#,
        "edits[0]: an edit is an object",
    ),
    (
        "POST",
        "/api/v2/changes",
        r#"{"edits":[{}]}"#,
        "exactly one key",
    ),
    (
        "POST",
        "/api/v2/changes",
        r#"{"edits":[{"paint":1}]}"#,
        "no edit is called `paint`",
    ),
    (
        "POST",
        "/api/v2/changes",
        r#"{"edits":[{"put_cluster":{}}]}"#,
        "needs a `name`",
    ),
    (
        "POST",
        "/api/v2/changes",
        r#"{"edits":[{"put_listener":{"address":"127.0.0.1:1"}}]}"#,
        "needs a `name`",
    ),
    (
        "POST",
        "/api/v2/changes",
        r#"{"edits":[{"put_router":{}}]}"#,
        "needs a `router_config_name`",
    ),
    (
        "POST",
        "/api/v2/changes",
        r#"{"edits":[{"add_route":{"router":"r","route":{}}}]}"#,
        "`domain` is to be a string",
    ),
    (
        "POST",
        "/api/v2/changes",
        r#"{"edits":[{"remove_hosts":{"cluster":"api","addresses":[1]}}]}"#,
        "this is to be a string",
    ),
    (
        "POST",
        "/api/v2/changes",
        r#"{"edits":[{"put_extensions":[{}]}]}"#,
        "needs a `type`",
    ),
    // On impossible terms.
    (
        "PUT",
        "/api/v2/clusters/c?version=2",
        "{}",
        "version 1 runs, not 2",
    ),
    (
        "PUT",
        "/api/v2/clusters/c?version=two",
        "{}",
        "`version` is a number",
    ),
    (
        "PUT",
        "/api/v2/clusters/c?dry_run=maybe",
        "{}",
        "`dry_run` is true or false",
    ),
    (
        "PUT",
        "/api/v2/clusters/c?confirm_within=soon",
        "{}",
        "`confirm_within` is a duration",
    ),
    (
        "PUT",
        "/api/v2/clusters/c?confirm_within=0s",
        "{}",
        "`confirm_within` is a duration",
    ),
    (
        "PUT",
        "/api/v2/clusters/c?confirm_within=-1s",
        "{}",
        "`confirm_within` is a duration",
    ),
    (
        "PUT",
        "/api/v2/clusters/c?confirm_within=25h",
        "{}",
        "up to 24h",
    ),
    (
        "PUT",
        "/api/v2/clusters/c?force=true",
        "{}",
        "no parameter is called `force`",
    ),
    // What they name is not there.
    (
        "DELETE",
        "/api/v2/clusters/nobody",
        "",
        "no cluster is named `nobody`",
    ),
    (
        "DELETE",
        "/api/v2/listeners/nobody",
        "",
        "no listener is named `nobody`",
    ),
    (
        "DELETE",
        "/api/v2/routers/nobody",
        "",
        "no router is named `nobody`",
    ),
    (
        "DELETE",
        "/api/v2/routers/r/virtual_hosts/nobody",
        "",
        "no virtual host is named `nobody`",
    ),
    (
        "PUT",
        "/api/v2/clusters/nobody/hosts",
        "[]",
        "no cluster is named `nobody`",
    ),
    (
        "DELETE",
        "/api/v2/clusters/nobody/hosts/127.0.0.1:1",
        "",
        "no cluster is named `nobody`",
    ),
    (
        "POST",
        "/api/v2/changes",
        r#"{"edits":[{"remove_routes":{"router":"r","domain":"x"}}]}"#,
        "no virtual host is for the domain `x`",
    ),
    ("POST", "/api/v2/rollback/7", "", "version 7 is not kept"),
    ("POST", "/api/v2/rollback/-1", "", "a version is a number"),
    (
        "POST",
        "/api/v2/confirm/1",
        "",
        "no change waits to be confirmed",
    ),
    (
        "POST",
        "/api/v2/revert",
        "",
        "no change waits to be confirmed",
    ),
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

#[test]
fn every_invalid_change_leaves_everything_as_it_is_and_explains_itself() {
    assert!(INVALID.len() >= 60, "{}", INVALID.len());
    let admin = Admin::of(&configuration(), "");
    let state = || {
        let status = admin.get("/api/v2/status").json();
        let addresses: Vec<_> = status["listeners"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|listener| listener["address"].to_string())
            .collect();
        (admin.dump(), status["version"].clone(), addresses)
    };
    let before = state();
    for (method, target, body, says) in INVALID {
        let answer = ask(admin.address, method, target, "", body);
        let call = format!(
            "{method} {target} {body}: {} {}",
            answer.status, answer.body
        );
        assert!((400..500).contains(&answer.status), "{call}");
        let said = answer.body.contains(says) || answer.body.contains(&says.replace("\\\"", "\""));
        assert!(said, "{call} does not say {says}");
        assert!(state() == before, "{call} changed something");
    }
}
