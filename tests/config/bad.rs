//! The files under `bad/`: each has, beside it, what must be said of it.
//!
//! A line of `name.expect` is `severity[code] line:column path`, in the order of the file.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use banyan::config::{Diagnostics, Severity, load};

fn bad() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/bad")
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn configurations(directory: &Path) -> Vec<PathBuf> {
    let mut files = files(directory);
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension != "expect")
    });
    files
}

fn told(diagnostics: &Diagnostics) -> String {
    diagnostics.iter().fold(String::new(), |mut told, found| {
        let (severity, code, path) = (found.severity, found.code, &found.path);
        writeln!(
            told,
            "{severity}[{code}] {}:{} {path}",
            found.line, found.column
        )
        .unwrap();
        told
    })
}

#[test]
fn every_bad_configuration_is_told_exactly_what_is_wrong_and_where() {
    let files = configurations(&bad());
    assert!(files.len() >= 490, "only {} files", files.len());
    let mut wrong = String::new();
    for file in &files {
        let loaded = load(file);
        let expected = fs::read_to_string(file.with_extension("expect")).unwrap();
        let told = told(&loaded.diagnostics);
        if told != expected {
            let name = file.file_name().unwrap().display();
            writeln!(wrong, "{name}\n expected\n{expected} told\n{told}").unwrap();
        }
        assert!(!expected.is_empty(), "{} is not bad", file.display());
        assert_eq!(
            loaded.plan.is_none(),
            loaded.diagnostics.has_errors(),
            "{}",
            file.display()
        );
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_error_says_what_helps_in_text_and_json() {
    for file in configurations(&bad()) {
        let diagnostics = load(&file).diagnostics;
        let text = diagnostics.to_text();
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(
            text.ends_with(&format!("{}\n", diagnostics.summary())),
            "{text}"
        );
        let json: serde_json::Value =
            serde_json::from_str(&diagnostics.to_json("file")).expect("the report is JSON");
        assert_eq!(json["errors"], diagnostics.count(Severity::Error));
        assert_eq!(json["ok"], !diagnostics.has_errors());
        let listed = json["diagnostics"].as_array().unwrap().len();
        assert_eq!(listed + diagnostics.omitted(), diagnostics.iter().count());
    }
}

#[test]
fn loading_writes_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    for file in configurations(&bad()) {
        fs::copy(&file, scratch.path().join(file.file_name().unwrap())).unwrap();
    }
    let contents = |directory: &Path| -> Vec<(PathBuf, Vec<u8>)> {
        files(directory)
            .into_iter()
            .map(|file| (file.clone(), fs::read(file).unwrap()))
            .collect()
    };
    let (before, here) = (contents(scratch.path()), files(Path::new(".")));
    for file in configurations(scratch.path()) {
        let _ = load(&file);
    }
    assert!(before == contents(scratch.path()));
    assert_eq!(here, files(Path::new(".")));
}
