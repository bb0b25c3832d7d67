//! What is shown of a configuration is one: it loads, and makes the same plan.

use std::path::{Path, PathBuf};

use banyan::config::{
    Alone, Configuration, Edit, Format, Fragment, Machine, Source, diff, load, parse,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn files(directory: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let entries = std::fs::read_dir(root).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn configuration(text: &str) -> Configuration {
    let source = Source {
        file: "dump",
        format: Format::Json,
        text: text.as_bytes(),
    };
    let loaded = parse(&source, &Alone);
    Configuration::of(loaded, &Alone).unwrap_or_else(|found| panic!("{found}\n{text}"))
}

#[test]
fn every_example_that_is_dumped_and_loaded_is_the_same_plan() {
    let mut seen = 0;
    for directory in ["config", "tests/config/bad"] {
        for file in files(directory) {
            let loaded = load(&file);
            let Some(plan) = loaded.plan.clone() else {
                continue;
            };
            let running = Configuration::of(loaded, &Machine).unwrap();
            assert_eq!(running.plan(), &plan);
            let dump = running.document().unwrap().to_json();
            let again =
                Configuration::of_document(&banyan::config::Document::from_json(&dump), &Machine)
                    .unwrap();
            assert_eq!(diff(&plan, again.plan()), [], "{}", file.display());
            assert_eq!(
                again.document().unwrap().to_json(),
                dump,
                "{}",
                file.display()
            );
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen}");
}

/// Writes keys in another letter case, repeats some, and puts `null`s beside them.
fn disguised(value: &Value, seeds: &mut impl Iterator<Item = u8>, known: bool) -> String {
    match value {
        Value::Object(members) => {
            let mut text = String::from("{");
            for (key, value) in members {
                // Maps of the user's own have keys that are not folded.
                let free = matches!(
                    &**key,
                    "filter_metadata" | "json_format" | "per_filter_config"
                );
                let inner = disguised(value, seeds, known && !free);
                let seed = seeds.next().unwrap_or(0);
                let written = match seed % 3 {
                    0 if known => key.to_uppercase(),
                    _ => key.clone(),
                };
                if text.len() > 1 {
                    text.push(',');
                }
                if known && seed.is_multiple_of(5) && value.is_object() {
                    text += &format!("{}:{{}},", json!(key));
                }
                text += &format!("{}:{inner}", json!(written));
            }
            text + "}"
        }
        Value::Array(items) => {
            let items: Vec<_> = items
                .iter()
                .map(|item| disguised(item, seeds, known))
                .collect();
            format!("[{}]", items.join(","))
        }
        other => other.to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn however_a_configuration_is_written_its_dump_is_the_same_plan(
        seeds in proptest::collection::vec(any::<u8>(), 1..40),
        hosts in proptest::collection::vec((1u16..999, 1u32..129), 0..6),
    ) {
        for file in files("config").iter().filter(|file| file.extension().is_some_and(|e| e == "json")) {
            let written: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
            let text = disguised(&written, &mut seeds.iter().copied().cycle(), true);
            let source = Source { file: "f", format: Format::Json, text: text.as_bytes() };
            let loaded = parse(&source, &Alone);
            // Some keys are those of maps, whose letter case counts.
            let Some(plan) = loaded.plan.clone() else { continue };
            let running = Configuration::of(loaded, &Alone).unwrap();
            let dump = running.document().unwrap().to_json().to_string();
            prop_assert_eq!(diff(&plan, configuration(&dump).plan()), vec![], "{}", text);

            // And after a change, too.
            let cluster = running.plan().clusters[0].name.clone();
            let hosts = hosts.iter().map(|(port, weight)| json!({ "address": format!("127.0.0.1:{port}"), "weight": weight }));
            let hosts = Fragment::read(Value::from_iter(hosts).to_string().as_bytes()).unwrap();
            let hosts = Edit::fragments_of_hosts(&hosts).unwrap();
            let edited = running.edited(&[Edit::AppendHosts { cluster, hosts }], &Alone).unwrap();
            let dump = edited.configuration.document().unwrap().to_json().to_string();
            prop_assert_eq!(diff(edited.configuration.plan(), configuration(&dump).plan()), vec![]);
        }
    }
}

#[test]
fn directories_are_in_the_dump_as_if_they_were_written_in_it() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    for directory in ["clusters", "hosts"] {
        std::fs::create_dir(path(directory)).unwrap();
    }
    std::fs::write(path("clusters/a.json"), r#"{"Name":"a"}"#).unwrap();
    std::fs::write(path("hosts/h.json"), r#"{"domains":["*"]}"#).unwrap();
    let text = json!({
        "servers": [{ "routers": [{ "router_config_name": "r", "router_configs": path("hosts") }] }],
        "cluster_manager": { "clusters_configs": path("clusters") },
    });
    std::fs::write(path("mosn.json"), text.to_string()).unwrap();
    let running = Configuration::of(load(&path("mosn.json")), &Machine).unwrap();

    let dump = running.document().unwrap().to_json();
    assert_eq!(
        dump["cluster_manager"],
        json!({ "clusters": [{ "name": "a" }] })
    );
    assert_eq!(
        dump["servers"][0]["routers"],
        json!([{ "router_config_name": "r", "virtual_hosts": [{ "domains": ["*"] }] }])
    );
    assert_eq!(
        diff(running.plan(), configuration(&dump.to_string()).plan()),
        []
    );
}
