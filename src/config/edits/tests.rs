use super::*;
use crate::config::{Alone, Configuration, Format, Refused, Source, parse};

const RUNNING: &str = r#"{
    "servers": [{
        "listeners": [
            { "Name": "app", "address": "127.0.0.1:1", "bind_port": true, "filter_chains": [{ "filters": [
                { "type": "proxy", "config": { "downstream_protocol": "Http1", "router_config_name": "r" } }] }] },
            { "address": "127.0.0.1:2", "bind_port": true, "filter_chains": [{ "filters": [
                { "type": "tcp_proxy", "config": { "cluster": "b" } }] }] }],
        "routers": [{ "router_config_name": "r", "virtual_hosts": [
            { "name": "all", "domains": ["*"], "routers": [{ "match": { "prefix": "/" }, "route": { "cluster_name": "a" } }] },
            { "name": "one", "domains": ["one.example"], "routers": [] }] }]
    }],
    "cluster_manager": { "clusters": [
        { "name": "a", "hosts": [{ "address": "127.0.0.1:8001" }, { "address": "127.0.0.1:8002", "weight": 3, "tls_disable": true }] },
        { "name": "b", "hosts": [] }] }
}"#;

fn running() -> Configuration {
    let source = Source {
        file: "f",
        format: Format::Json,
        text: RUNNING.as_bytes(),
    };
    Configuration::of(parse(&source, &Alone), &Alone).unwrap()
}

fn edits(text: &str) -> Result<Vec<Edit>, EditError> {
    Edit::read_all(&Fragment::read(text.as_bytes())?)
}

fn edited(text: &str) -> Result<Configuration, Refused> {
    let edits = edits(&format!(r#"{{"edits":[{text}]}}"#))?;
    running()
        .edited(&edits, &Alone)
        .map(|edited| edited.configuration)
}

fn changes(text: &str) -> Vec<String> {
    let wanted = edited(text).unwrap();
    let changes = crate::config::diff(running().plan(), wanted.plan());
    changes.iter().map(ToString::to_string).collect()
}

/// Each kind of edit, and what it changes.
const EDITS: &[(&str, &[&str])] = &[
    (
        r#"{"put_cluster":{"NAME":"c"}}"#,
        &["cluster `c`: added, 0 hosts"],
    ),
    (
        r#"{"put_cluster":{"name":"a","hosts":[]}}"#,
        &["cluster `a`: 2 hosts removed"],
    ),
    (
        r#"{"put_hosts":{"cluster":"a","hosts":[{"address":"127.0.0.1:8003"}]}}"#,
        &["cluster `a`: 1 host added, 2 hosts removed"],
    ),
    (
        r#"{"append_hosts":{"cluster":"a","hosts":[{"address":"127.0.0.1:8001","weight":9}]}}"#,
        &["cluster `a`: 1 weight changed"],
    ),
    (
        r#"{"remove_hosts":{"cluster":"a","addresses":["127.0.0.1:8001","127.0.0.1:9"]}}"#,
        &["cluster `a`: 1 host removed"],
    ),
    (
        r#"{"put_listener":{"name":"new","address":"127.0.0.1:3","bind_port":true,"filter_chains":[{"filters":[{"type":"tcp_proxy","config":{"cluster":"b"}}]}]}}"#,
        &["listener `new`: added on 127.0.0.1:3"],
    ),
    (
        r#"{"remove_listener":"127.0.0.1:2"},{"remove_cluster":"b"}"#,
        &["listener `127.0.0.1:2`: removed", "cluster `b`: removed"],
    ),
    (
        r#"{"put_router":{"router_config_name":"s","virtual_hosts":[{"domains":["*"]}]}}"#,
        &["router `s`: added, 1 virtual host"],
    ),
    (
        r#"{"remove_listener":"app"},{"remove_router":"r"}"#,
        &["listener `app`: removed", "router `r`: removed"],
    ),
    (
        r#"{"add_route":{"router":"r","domain":"","route":{"match":{"prefix":"/b"},"Route":{"cluster_name":"b"}}}}"#,
        &["router `r`: 1 virtual host changed"],
    ),
    (
        r#"{"remove_routes":{"router":"r","domain":"*"}}"#,
        &["router `r`: 1 virtual host changed"],
    ),
    (
        r#"{"put_virtual_host":{"router":"r","virtual_host":{"name":"two","domains":["two.example"]}}}"#,
        &["router `r`: 1 virtual host added"],
    ),
    (
        r#"{"remove_virtual_host":{"router":"r","name":"one"}}"#,
        &["router `r`: 1 virtual host removed"],
    ),
    (r#"{"put_extensions":[{"type":"own","config":{}}]}"#, &[]),
];

#[test]
fn every_edit_does_what_it_is_called() {
    for (edit, expected) in EDITS {
        assert_eq!(changes(edit), *expected, "{edit}");
    }
}

/// Edits of nothing but clusters, some of which are refused.
const OF_CLUSTERS: [&str; 9] = [
    r#"{"put_cluster":{"NAME":"c","Hosts":[{"ADDRESS":"127.0.0.1:1","unheard":1}]}}"#,
    r#"{"put_cluster":{"name":"d"}},{"put_cluster":{"name":"c"}},{"put_cluster":{"name":"a"}}"#,
    r#"{"put_cluster":{"name":"b","lb_type":"LB_NONE"}},{"append_hosts":{"cluster":"b","hosts":[{"address":"127.0.0.1:7"}]}}"#,
    r#"{"put_hosts":{"cluster":"a","hosts":[{"address":"127.0.0.1:8001"},{"address":"127.0.0.1:8001","weight":7}]}}"#,
    r#"{"remove_hosts":{"cluster":"a","addresses":["127.0.0.1:8001"]}},{"put_cluster":{"name":"c"}}"#,
    r#"{"append_hosts":{"cluster":"b","hosts":[{"address":"127.0.0.1:1","weight":500}]}}"#,
    r#"{"append_hosts":{"cluster":"b","hosts":[{"address":"127.0.0.1"},{"weight":"1"}]}}"#,
    r#"{"put_cluster":{"name":"b","health_check":{"interval":5}}}"#,
    r#"{"put_cluster":{"name":"b","circuit_breakers":[{},{}],"hosts":7}}"#,
];

fn told(found: &crate::config::Diagnostics) -> Vec<String> {
    found.errors().map(|one| format!("{one:?}")).collect()
}

#[test]
fn a_cluster_that_is_resolved_alone_is_what_it_would_be_in_the_whole() {
    for edit in OF_CLUSTERS {
        let running = running();
        let edits = edits(&format!(r#"{{"edits":[{edit}]}}"#)).unwrap();
        let mut document = Document::clone(running.document().unwrap());
        for edit in &edits {
            edit.apply(&mut document, |_| None).unwrap();
        }
        let whole = Configuration::of_document(&document, &Alone);
        match (running.edited(&edits, &Alone), whole) {
            (Ok(edited), Ok(whole)) => {
                assert_eq!(edited.configuration.plan(), whole.plan(), "{edit}");
                assert_eq!(edited.configuration.document(), whole.document(), "{edit}");
            }
            (Err(Refused::Findings(found)), Err(whole)) => {
                assert_eq!(told(&found), told(&whole), "{edit}");
            }
            (edited, whole) => panic!("{edit}: {edited:?}, {whole:?}"),
        }
    }
}

#[test]
fn what_becomes_doubtful_in_a_cluster_is_said_once() {
    let warned = |running: &Configuration, text| {
        let edits = edits(&format!(r#"{{"edits":[{text}]}}"#)).unwrap();
        let edited = running.edited(&edits, &Alone).unwrap();
        (edited.configuration, edited.warnings.len())
    };
    let (running, first) = warned(&running(), r#"{"put_cluster":{"name":"c","unheard":1}}"#);
    let (_, second) = warned(&running, r#"{"put_cluster":{"name":"c","unheard":2}}"#);

    assert_eq!((first, second), (1, 0));
}

#[test]
fn a_change_of_one_cluster_leaves_the_others_shared() {
    let running = running();
    let edits = edits(r#"{"edits":[{"put_hosts":{"cluster":"b","hosts":[]}}]}"#).unwrap();
    let after = running.edited(&edits, &Alone).unwrap().configuration;

    let shared = |n: usize| Arc::ptr_eq(&running.plan().clusters[n], &after.plan().clusters[n]);
    assert!(shared(0) && shared(1), "nothing became another");
    let members = |of: &Configuration| {
        let (document, place) = (of.document().unwrap(), 0);
        match &document.clusters().unwrap()[place].kind {
            crate::config::raw::Kind::Object(members) => Arc::clone(members),
            other => panic!("{other:?}"),
        }
    };
    assert!(Arc::ptr_eq(&members(&running), &members(&after)));
}

#[test]
fn edits_of_one_change_build_on_each_other() {
    let wanted = edited(
        r#"{"put_cluster":{"name":"c"}},
           {"append_hosts":{"cluster":"c","hosts":[{"address":"127.0.0.1:1"}]}},
           {"add_route":{"router":"r","domain":"one.example","route":{"match":{"prefix":"/"},"route":{"cluster_name":"c"}}}}"#,
    )
    .unwrap();
    assert_eq!(wanted.plan().cluster("c").unwrap().hosts.len(), 1);
    let router = wanted.plan().router("r").unwrap();
    assert_eq!(router.virtual_hosts[1].routes.len(), 1);
}

#[test]
fn a_cluster_alone_remembers_for_as_long_as_the_others() {
    let text = RUNNING.replacen(
        '{',
        r#"{ "metrics": { "ewma_config": { "alpha": 0.5 } },"#,
        1,
    );
    let source = Source {
        file: "f",
        format: Format::Json,
        text: text.as_bytes(),
    };
    let running = Configuration::of(parse(&source, &Alone), &Alone).unwrap();
    let edit = r#"{"edits":[{"put_cluster":{"name":"c","lb_type":"LB_PEAK_EWMA"}}]}"#;

    let edited = running.edited(&edits(edit).unwrap(), &Alone).unwrap();

    let plan = edited.configuration.plan();
    let memory = plan.cluster("c").unwrap().bias.memory;
    assert_eq!(memory, plan.server.metrics.memory);
    assert_ne!(memory, crate::config::Bias::MEMORY);
}

#[test]
fn an_edit_that_makes_no_sense_says_why() {
    for (edit, why) in [
        (r#"7"#, "edits[0]: an edit is an object: 7"),
        (r#"{}"#, "edits[0]: an edit has exactly one key, its name"),
        (
            r#"{"put_cluster":[]}"#,
            "edits[0]: this is to be an object: an array of 0",
        ),
        (
            r#"{"put_cluster":{}}"#,
            "a cluster that is put in needs a `name`",
        ),
        (
            r#"{"remove_cluster":{}}"#,
            "edits[0]: this is to be a string: an object of 0",
        ),
        (r#"{"remove_cluster":"z"}"#, "no cluster is named `z`"),
        (
            r#"{"put_hosts":{"hosts":[]}}"#,
            "edits[0]: `cluster` is to be a string",
        ),
        (
            r#"{"put_hosts":{"cluster":"a"}}"#,
            "edits[0]: the key `hosts` is missing",
        ),
        (
            r#"{"put_hosts":{"cluster":"z","hosts":[]}}"#,
            "no cluster is named `z`",
        ),
        (
            r#"{"add_route":{"router":"r","domain":"z","route":{}}}"#,
            "no virtual host is for the domain `z`",
        ),
        (
            r#"{"put_cluster":{"name":"c","tls_context":{"private_key":"(redacted)"}}}"#,
            "a redacted secret cannot be put back: write the secret itself",
        ),
    ] {
        assert_eq!(edited(edit).unwrap_err().to_string(), why, "{edit}");
    }
    assert!(
        edited(r#"{"paint_cluster":{}}"#)
            .unwrap_err()
            .to_string()
            .contains("no edit is called `paint_cluster`")
    );
}

#[test]
fn what_would_be_no_configuration_is_refused_with_the_place() {
    let refused = edited(r#"{"remove_cluster":"a"}"#).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the configuration that would come of it is refused: \
         $.servers[0].routers[0].virtual_hosts[0].routers[0].route.cluster_name: no cluster has this name: \"a\""
    );
}

#[test]
fn hosts_that_stay_keep_what_the_document_says_of_them() {
    let running = running();
    let mut hosts = running.plan().cluster("a").unwrap().hosts.clone();
    hosts.push(Host {
        hostname: Some("h".to_owned()),
        metadata: [("zone".to_owned(), "b".to_owned())].into(),
        ..Host::from(std::net::SocketAddr::from(([127, 0, 0, 1], 5)))
    });
    let edit = Edit::hosts(
        "a".into(),
        &hosts,
        running.document().map(|document| (&**document, 0)),
    );
    let wanted = running.edited(&[edit], &Alone).unwrap().configuration;

    assert_eq!(wanted.plan().cluster("a").unwrap().hosts, hosts);
    let json = wanted.document().unwrap().to_json();
    assert_eq!(
        json["cluster_manager"]["clusters"][0]["hosts"],
        serde_json::json!([{ "address": "127.0.0.1:8001" },
            { "address": "127.0.0.1:8002", "weight": 3, "tls_disable": true },
            { "address": "127.0.0.1:5", "hostname": "h",
                "metadata": { "filter_metadata": { "mosn.lb": { "zone": "b" } } } }])
    );
}
