//! The JSON Schema of configurations says what `check` says of names and types.

use std::fs;
use std::path::{Path, PathBuf};

use banyan::config::{Code, Severity, load, schema};
use jsonschema::Validator;
use serde_json::Value;

fn validator() -> Validator {
    jsonschema::draft202012::new(&schema()).unwrap()
}

fn files(directory: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let entries = fs::read_dir(directory).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The document of a file; `None` where it is none, or not all of one.
fn document(file: &Path) -> Option<Value> {
    let text = fs::read_to_string(file).ok()?;
    match file.extension()?.to_str()? {
        "json" => serde_json::from_str(&text).ok(),
        "yaml" => serde_saphyr::from_str(&text).ok(),
        _ => None,
    }
}

#[test]
fn the_schema_is_one() {
    jsonschema::draft202012::meta::validate(&schema()).unwrap();
}

#[test]
fn every_example_pleases_the_schema() {
    let validator = validator();
    let files = files("config");
    assert!(files.len() >= 8, "{files:?}");
    for file in files {
        let document = document(&file).unwrap();
        let errors: Vec<_> = validator.iter_errors(&document).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", file.display());
    }
}

/// Whether a document is refused for what a schema knows, and nothing else is wrong with it.
fn is_the_schema_s(file: &Path) -> bool {
    let codes = [Code::BadDuration, Code::UnknownKey, Code::WrongType];
    let loaded = load(file);
    let mut findings = loaded.diagnostics.iter();
    findings.any(|found| codes.contains(&found.code) && found.severity != Severity::Note)
}

/// Files whose faults only `check` sees: sums, keys given twice, numbers like `1.0` that are whole to
/// JSON, and what stands in maps that one reader or another takes for something.
const ONLY_CHECK: [&str; 12] = [
    "duration-overflow",
    "key-twice-first-wrong",
    "number-weight-exponent",
    "number-weight-fraction",
    "per-filter-bad-fault",
    "proxy-frame-size",
    "proxy-setting-flat-typo",
    "proxy-setting-text",
    "proxy-setting-typo",
    "proxy-settings-in-another-case",
    "proxy-settings-of-unknown-protocol",
    "route-metadata-number",
];

#[test]
fn what_is_told_of_names_and_types_the_schema_refuses() {
    let validator = validator();
    let mut passed = Vec::new();
    let mut refused = 0;
    for file in files("tests/config/bad") {
        let Some(document) = document(&file).filter(|_| is_the_schema_s(&file)) else {
            continue;
        };
        match validator.is_valid(&document) {
            true => passed.push(file.file_stem().unwrap().to_owned()),
            false => refused += 1,
        }
    }
    assert!(refused >= 100, "{refused}");
    passed.retain(|name| !ONLY_CHECK.iter().any(|known| name == known));
    assert!(passed.is_empty(), "the schema lets these pass: {passed:?}");
}
