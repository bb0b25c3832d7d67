//! What is written about metrics keeps up with the catalogue.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use banyan::telemetry::metrics::{manual, names};
use serde_json::Value;

const TITLE: &str = "## All of them\n\n";

/// `UPDATE_DOCS=1 cargo test --test config metrics` writes the page anew.
#[test]
fn the_manual_lists_every_metric() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let text = fs::read_to_string(&page).unwrap();
    let (before, _) = text.split_once(TITLE).unwrap();
    let wanted = format!("{before}{TITLE}{}", manual());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&page, &wanted).unwrap();
    }
    assert_eq!(
        fs::read_to_string(&page).unwrap(),
        wanted,
        "docs/metrics.md is out of date"
    );
}

/// Names of metrics in a query: words that a selector or a range follows.
fn metrics_of(query: &str) -> BTreeSet<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let starts = query.match_indices(['{', '[']).map(|(at, _)| at);
    let words = starts.map(|at| query[..at].rsplit(|c| !is_word(c)).next().unwrap_or(""));
    words
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_dashboard_asks_only_for_what_there_is() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/grafana/banyan.json");
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let known: BTreeSet<String> = names().into_iter().collect();
    let mut asked = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let metrics = metrics_of(target["expr"].as_str().unwrap());
            assert!(!metrics.is_empty(), "{target}");
            asked.extend(metrics);
        }
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        if let Some(query) = variable["query"]["query"].as_str() {
            let metric = query.trim_start_matches("label_values(").split(',').next();
            asked.insert(metric.unwrap().to_owned());
        }
    }
    let unknown: Vec<_> = asked.difference(&known).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(asked.len() >= 25, "{asked:?}");
}
