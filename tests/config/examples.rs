//! The files under `config/` that an operator copies.

use std::path::{Path, PathBuf};

use banyan::config::{
    Balancer, Choices, Code, EventFormat, EventLog, HealthCheck, HttpProxy, Loaded, NetworkFilter,
    Severity, Strictness, Target, load,
};

fn examples() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let entries = std::fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn example(name: &str) -> Loaded {
    load(
        &Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("config")
            .join(name),
    )
}

#[test]
fn every_example_loads_and_warns_only_of_what_is_not_yet_in_effect() {
    let files = examples();
    assert!(files.len() >= 8, "{files:?}");
    for file in files {
        let loaded = load(&file);
        assert!(loaded.plan.is_some(), "{}", loaded.diagnostics);
        for warning in loaded.diagnostics.of(Severity::Warning) {
            assert_eq!(warning.code, Code::NotInEffect, "{warning}");
        }
    }
}

#[test]
fn the_report_s_least_connection_file_is_understood_whole() {
    let loaded = example("least_connection.json");
    let plan = loaded.plan.unwrap();
    let cluster = plan.cluster("serverCluster").unwrap();
    assert_eq!(
        cluster.balancer,
        Balancer::LeastConnection(Choices::Random(2))
    );
    assert_eq!(cluster.hosts.len(), 3);
    assert_eq!(
        plan.listener("appListener").unwrap().address.to_string(),
        "127.0.0.1:2047"
    );
    assert_eq!(plan.server.admin.as_deref(), Some("0.0.0.0:34901"));
    let found: Vec<Code> = loaded.diagnostics.iter().map(|found| found.code).collect();
    assert_eq!(found, [], "nothing is still to come");
}

#[test]
fn yaml_and_json_of_one_configuration_make_one_plan() {
    assert_eq!(
        example("tcp_proxy.yaml").plan,
        example("tcp_proxy.json").plan
    );
}

#[test]
fn strictness_refuses_what_only_warns() {
    let loaded = example("../tests/config/bad/typo-admin.json");
    assert!(!loaded.diagnostics.refused(Strictness::Lenient));
    assert!(loaded.diagnostics.refused(Strictness::Strict));
    assert!(
        !example("weighted.json")
            .diagnostics
            .refused(Strictness::Strict)
    );
}

#[test]
fn the_report_s_http_file_is_understood_whole() {
    let loaded = example("health_check.json");
    let plan = loaded.plan.unwrap();
    let expected = HttpProxy::new(Target::Cluster("serverCluster".into()));
    let listener = plan.listener("appListener").unwrap();
    assert_eq!(listener.filter, NetworkFilter::Proxy(expected));
    let cluster = plan.cluster("serverCluster").unwrap();
    let check = HealthCheck {
        event_log: Some(EventLog {
            path: "stdout".to_owned(),
            format: EventFormat::Text,
        }),
        ..HealthCheck::new("service8080")
    };
    assert_eq!(cluster.health_check, Some(check));
    let warnings = loaded.diagnostics.of(Severity::Warning);
    let paths: Vec<_> = warnings.map(|found| &*found.path).collect();
    assert_eq!(paths, [""; 0], "nothing is still to come");
}

#[test]
fn the_gateway_says_nothing_that_is_not_in_effect() {
    for name in ["http.json", "http_cluster.yaml", "bolt.json"] {
        let loaded = example(name);
        assert!(
            !loaded.diagnostics.refused(Strictness::Strict),
            "{}",
            loaded.diagnostics
        );
    }
    let plan = example("http.json").plan.unwrap();
    assert_eq!(plan.router("gateway").unwrap().virtual_hosts.len(), 2);
    assert_eq!(plan.listener("web").unwrap().access_logs.len(), 2);
}
