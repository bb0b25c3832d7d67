//! Whatever the document, there is an answer: a plan, or errors with their places.

use std::time::Instant;

use banyan::config::{Alone, Format, LARGEST, Loaded, Severity, Source, parse};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const EXAMPLES: [&str; 5] = [
    include_str!("../../config/least_connection.json"),
    include_str!("../../config/health_check.json"),
    include_str!("../../config/http.json"),
    include_str!("../../config/tcp_proxy.json"),
    include_str!("../../config/weighted.json"),
];

const KEYS: &[&str] = &[
    "Address",
    "Cluster",
    "Http1",
    "Length",
    "SourceAddrs",
    "SourcePort",
    "abort",
    "access_logs",
    "address",
    "admin",
    "append",
    "bind_port",
    "choice_count",
    "circuit_breakers",
    "cluster",
    "cluster_manager",
    "cluster_name",
    "cluster_variable",
    "clusters",
    "clusters_configs",
    "config",
    "connect",
    "connect_timeout",
    "connection_idle_timeout",
    "deadlines",
    "default_log_level",
    "delay",
    "direct_response",
    "domains",
    "downstream_protocol",
    "dsl_expressions",
    "extend_config",
    "extends",
    "fault",
    "filter_chains",
    "filter_metadata",
    "filters",
    "global_log_roller",
    "graceful_timeout",
    "hash_policy",
    "header",
    "headers",
    "health_check",
    "host_rewrite",
    "hosts",
    "ips",
    "json_format",
    "key",
    "lb_type",
    "lbconfig",
    "listeners",
    "log_format",
    "match",
    "max_header_size",
    "max_requests",
    "metadata",
    "metadata_match",
    "metrics",
    "model",
    "mosn.lb",
    "name",
    "network",
    "num_retries",
    "path",
    "payload_limit",
    "per_filter_config",
    "percentage",
    "prefix",
    "prefix_rewrite",
    "processor",
    "redirect",
    "regex",
    "regex_rewrite",
    "request_headers_to_add",
    "request_headers_to_remove",
    "request_mirror_policies",
    "retry_policy",
    "route",
    "router_config_name",
    "router_configs",
    "routers",
    "routes",
    "servers",
    "service_name",
    "sinks",
    "status",
    "stream_filters",
    "timeout",
    "tls_context",
    "tracing",
    "type",
    "value",
    "variables",
    "virtual_hosts",
    "weight",
    "weighted_clusters",
];

const WORDS: &[&str] = &[
    "",
    "%%",
    "%start_time%",
    "*",
    "*.a:*",
    "-1h",
    "0",
    "10.0.0.0",
    "127.0.0.1:80",
    "1s",
    "80-90",
    ":80",
    "Auto",
    "DEBUG",
    "Http1",
    "LB_RANDOM",
    "STRICT_DNS",
    "[",
    "[::1]:80",
    "\u{0}",
    "a:b:c",
    "auto",
    "bolt",
    "connection_manager",
    "deny",
    "fault",
    "ip_access",
    "json",
    "localhost:1",
    "method",
    "mirror",
    "mosn",
    "or",
    "payload_limit",
    "proxy",
    "serverCluster",
    "service",
    "size=1 keep=2",
    "tcp_proxy",
    "tunnel",
    "udp",
    "unix",
    "unix:/a",
    "x-mosn-path",
    "é",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => proptest::sample::select(WORDS).prop_map(String::from), 1 => ".{0,8}"]
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![9 => proptest::sample::select(KEYS).prop_map(String::from), 1 => text()]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2_i64..200).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((key(), inner), 0..5)
                .prop_map(|members| Value::from(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Every pointer into a document.
fn pointers(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointers(item, format!("{at}/{index}"), found);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                pointers(
                    member,
                    format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")),
                    found,
                );
            }
        }
        _ => {}
    }
    found.push(at);
}

/// A working configuration in which some values are replaced by others.
fn mutated() -> impl Strategy<Value = Value> {
    let example = proptest::sample::select(&EXAMPLES[..]);
    let changes = proptest::collection::vec((any::<proptest::sample::Index>(), value()), 1..4);
    (example, changes).prop_map(|(example, changes)| {
        let mut document: Value = serde_json::from_str(example).unwrap();
        for (index, replacement) in changes {
            let mut found = Vec::new();
            pointers(&document, String::new(), &mut found);
            let pointer = &found[index.index(found.len())];
            *document.pointer_mut(pointer).unwrap() = replacement;
        }
        document
    })
}

/// A lone carriage return ends a line of YAML (1.2, section 5.4), and none of JSON.
fn lines_of(text: &str, format: Format) -> u32 {
    let breaks = match format {
        Format::Json => text.matches('\n').count(),
        Format::Yaml => text.matches(['\n', '\r']).count() - text.matches("\r\n").count(),
    };
    u32::try_from(breaks + 1).unwrap()
}

fn check(text: &[u8], format: Format) -> Result<(), TestCaseError> {
    let Loaded {
        plan,
        diagnostics,
        document,
    } = parse(
        &Source {
            file: "arbitrary",
            format,
            text,
        },
        &Alone,
    );
    prop_assert_eq!(plan.is_none(), diagnostics.has_errors());
    prop_assert!(plan.is_none() || document.is_some());
    let lines = lines_of(&String::from_utf8_lossy(text), format);
    for found in diagnostics.iter() {
        prop_assert!((1..=lines).contains(&found.line), "{}", found);
        prop_assert!(found.column >= 1);
        prop_assert!(found.path.starts_with('$'));
        prop_assert!(!found.message.is_empty());
    }
    let places: Vec<_> = diagnostics
        .iter()
        .map(|found| (found.line, found.column))
        .collect();
    prop_assert!(places.is_sorted());
    Ok(())
}

proptest! {
    #[test]
    fn arbitrary_json_gets_an_answer(value in value()) {
        check(serde_json::to_string_pretty(&value).unwrap().as_bytes(), Format::Json)?;
    }

    #[test]
    fn a_mutated_configuration_gets_an_answer(value in mutated()) {
        let text = serde_json::to_string_pretty(&value).unwrap();
        check(text.as_bytes(), Format::Json)?;
        check(text.as_bytes(), Format::Yaml)?;
    }

    #[test]
    fn arbitrary_bytes_get_an_answer(text in proptest::collection::vec(any::<u8>(), 0..64)) {
        check(&text, Format::Json)?;
        check(&text, Format::Yaml)?;
    }

    #[test]
    fn a_configuration_with_bytes_changed_gets_an_answer(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut text = EXAMPLES[0].as_bytes().to_vec();
        for (index, byte) in changes {
            let at = index.index(text.len());
            text[at] = byte;
        }
        check(&text, Format::Json)?;
        check(&text, Format::Yaml)?;
    }

    #[test]
    fn json_means_what_another_reader_takes_it_for(value in value()) {
        let text = value.to_string();
        let loaded = parse(&Source { file: "x", format: Format::Json, text: text.as_bytes() }, &Alone);
        prop_assert_eq!(loaded.document.unwrap().to_json(), value);
    }
}

#[test]
fn a_large_file_takes_time_in_proportion() {
    let hosts = |count: usize| {
        let host = |n| json!({"address": format!("10.{}.{}.1:80", n / 250, n % 250), "weigth": 1});
        let hosts: Vec<Value> = (0..count).map(host).collect();
        json!({"servers": [{}], "cluster_manager": {"clusters": [{"name": "c", "hosts": hosts}]}})
            .to_string()
    };
    let time = |text: &str| {
        let began = Instant::now();
        let source = Source {
            file: "large",
            format: Format::Json,
            text: text.as_bytes(),
        };
        let loaded = parse(&source, &Alone);
        (began.elapsed(), loaded)
    };
    let (_, loaded) = time(&hosts(20_000));
    assert_eq!(loaded.diagnostics.count(Severity::Warning), 20_000);
    assert_eq!(
        loaded.diagnostics.iter().count(),
        1_000,
        "a thousand are kept"
    );
    assert!(
        loaded
            .diagnostics
            .to_text()
            .contains("19000 more are not shown")
    );

    // Twenty times the text in far less than the 400 times that a square would take.
    let (small, large) = (hosts(1_000), hosts(20_000));
    let fastest = |text: &str| (0..5).map(|_| time(text).0).min().unwrap();
    assert!(fastest(&large) < fastest(&small) * 150);
}

#[test]
fn too_many_values_and_too_much_text_are_refused() {
    let text = format!("[{}0]", "0,".repeat(2_000_000));
    let loaded = parse(
        &Source {
            file: "x",
            format: Format::Json,
            text: text.as_bytes(),
        },
        &Alone,
    );
    let found = loaded.diagnostics.errors().next().unwrap();
    assert_eq!((found.code.as_str(), found.line), ("too-large", 1));

    let file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    file.as_file().set_len(LARGEST + 1).unwrap();
    let loaded = banyan::config::load(file.path());
    assert_eq!(
        loaded.diagnostics.errors().next().unwrap().code.as_str(),
        "too-large"
    );
}

#[test]
fn the_deepest_document_needs_little_stack() {
    let text = format!("{}{}", "{\"extends\":[".repeat(64), "]}".repeat(64));
    let small = std::thread::Builder::new().stack_size(1 << 20);
    let parsed = small.spawn(move || {
        let source = Source {
            file: "deep",
            format: Format::Json,
            text: text.as_bytes(),
        };
        parse(&source, &Alone).document.is_some()
    });
    assert!(parsed.unwrap().join().unwrap());
}
