//! A call of every endpoint with its answer, kept in `calls.txt`; the answers against the OpenAPI
//! document.
//!
//! `UPDATE_GOLDEN=1 cargo test --test daemon calls` writes the answers anew instead of comparing them:
//! read the difference.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use regex::Regex;
use serde_json::{Value, json};

use super::{Admin, configuration};
use crate::http::{Answer, ask};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/daemon/admin/calls.txt");

/// What stands for a body that is not compared: it is described by the document alone.
const ANYTHING: &str = "…";

struct Call {
    comment: String,
    method: String,
    target: String,
    body: String,
    expected: String,
}

/// A comment of lines with `#`; a line `> METHOD TARGET`; the body; a line `< STATUS TYPE`; the answer,
/// and a line `~` if it has no newline at its end.
fn calls(text: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    let (mut comment, mut answer) = (String::new(), false);
    for line in text.split_inclusive('\n') {
        if let Some(request) = line.strip_prefix("> ") {
            let (method, target) = request.trim_end().split_once(' ').expect("METHOD TARGET");
            calls.push(Call {
                comment: std::mem::take(&mut comment),
                method: method.to_owned(),
                target: target.to_owned(),
                body: String::new(),
                expected: String::new(),
            });
            answer = false;
        } else if line.starts_with("# ") {
            comment.push_str(line);
        } else if let Some(call) = calls.last_mut() {
            answer |= line.starts_with("< ");
            match answer {
                true => call.expected.push_str(line),
                false => call.body.push_str(line),
            }
        }
    }
    calls
}

/// What differs from run to run, by a word.
fn steady(text: &str, admin: &Admin) -> String {
    let mut text = text.replace(&admin.home.path("").display().to_string(), "HOME/");
    text = text.replace(&admin.process.id().to_string(), "PID");
    for (pattern, word) in [
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME"),
        (r"uid \d+", "uid UID"),
        (r"127\.0\.0\.1:\d{4,5}", "127.0.0.1:PORT"),
        (r"v\d+\.\d+\.\d+\S*", "VERSION"),
    ] {
        text = Regex::new(pattern)
            .expect("it is one")
            .replace_all(&text, word)
            .into_owned();
    }
    text
}

fn rendered(call: &Call, answer: &Answer, admin: &Admin) -> String {
    let mut text = format!("< {} {}\n", answer.status, answer.field("content-type"));
    if call.expected.lines().nth(1) == Some(ANYTHING) {
        let _ = writeln!(text, "{ANYTHING}");
        return text;
    }
    text += &steady(&answer.body, admin);
    if !answer.body.is_empty() && !answer.body.ends_with('\n') {
        text += "\n~\n";
    }
    text
}

#[test]
fn every_endpoint_answers_as_it_did_and_as_its_document_says() {
    let admin = Admin::of(&configuration(), "");
    let document = admin.get("/api/v2/openapi.json").json();
    let text = fs::read_to_string(FILE).expect("it is in the repository");
    let (mut found, mut called) = (String::new(), BTreeSet::new());
    for call in calls(&text) {
        let answer = ask(
            admin.address,
            &call.method,
            &call.target,
            "",
            call.body.trim_end(),
        );
        let path = call.target.split('?').next().unwrap_or_default();
        if let Some((pattern, operation)) = operation(&document, &call.method, path) {
            called.insert(format!("{} {pattern}", call.method));
            described(&document, operation, &call, &answer);
        }
        found += &call.comment;
        let _ = write!(found, "> {} {}\n{}", call.method, call.target, call.body);
        found += &rendered(&call, &answer, &admin);
    }
    match std::env::var_os("UPDATE_GOLDEN") {
        Some(_) => fs::write(Path::new(FILE), &found).expect("it is ours"),
        None => similar(&found, &text),
    }
    let all = operations(&document);
    let missing: Vec<_> = all.difference(&called).collect();
    assert!(missing.is_empty(), "nobody calls {missing:?}");
}

/// Shows the first lines that differ, not two whole files.
fn similar(found: &str, expected: &str) {
    let mut lines = found.lines().zip(expected.lines()).enumerate();
    if let Some((n, (found, expected))) = lines.find(|(_, (found, expected))| found != expected) {
        panic!(
            "calls.txt:{}: expected\n{expected}\nand found\n{found}",
            n + 1
        );
    }
    assert_eq!(
        found.len(),
        expected.len(),
        "one ends earlier than the other"
    );
}

fn operations(document: &Value) -> BTreeSet<String> {
    let paths = document["paths"].as_object().expect("it has paths");
    let all = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().expect("it has methods").keys();
        methods.map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    all.collect()
}

fn operation<'d>(document: &'d Value, method: &str, path: &str) -> Option<(&'d str, &'d Value)> {
    let fits = |pattern: &str| {
        let (pattern, path) = (pattern.split('/'), path.split('/'));
        pattern.clone().count() == path.clone().count()
            && pattern
                .zip(path)
                .all(|(wanted, given)| wanted.starts_with('{') || wanted == given)
    };
    let mut paths = document["paths"].as_object()?.iter();
    let (pattern, methods) = paths.find(|(pattern, _)| fits(pattern))?;
    Some((pattern, methods.get(method.to_lowercase())?))
}

fn described(document: &Value, operation: &Value, call: &Call, answer: &Answer) {
    let responses = &operation["responses"];
    let status = answer.status.to_string();
    let response = responses
        .get(&status)
        .unwrap_or_else(|| &responses["default"]);
    let kind = answer
        .field("content-type")
        .split(';')
        .next()
        .unwrap_or_default();
    let place = format!("{} {}: {status} {kind}", call.method, call.target);
    if answer.body.is_empty() {
        return;
    }
    let content = response["content"].get(kind);
    let schema = &content.unwrap_or_else(|| panic!("{place} is not described"))["schema"];
    if kind != "application/json" {
        return;
    }
    let schema = json!({ "$ref": schema["$ref"], "components": document["components"] });
    let validator = jsonschema::validator_for(&schema).expect("it is a schema");
    let value = answer.json();
    let errors: Vec<_> = validator
        .iter_errors(&value)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{place}: {errors:?} in {value:#}");
}
