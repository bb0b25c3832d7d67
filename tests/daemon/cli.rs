//! What the command line answers.

use std::process::{Command, Output};

/// Runs the binary with the arguments in `line` and these variables only.
fn banyan_with(line: &str, variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_banyan"))
        .args(line.split_whitespace())
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .expect("the binary runs")
}

fn banyan(line: &str) -> Output {
    banyan_with(line, &[])
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn without_arguments_help_is_printed_and_all_is_well() {
    for line in ["", "-h", "--help", "help", "start -h", "help start"] {
        let output = banyan(line);
        assert_eq!(output.status.code(), Some(0), "banyan {line}");
        assert!(
            text(&output.stdout).contains("Usage: banyan"),
            "banyan {line}"
        );
    }
}

#[test]
fn what_is_not_understood_is_a_usage_error() {
    for (line, named) in [
        ("foo", "foo"),
        ("-unknown", "--unknown"),
        ("start --unknown", "--unknown"),
        ("start -concurrency many", "many"),
        ("start --workers 0 -c x.json", "flag --workers"),
        ("check --format xml", "xml"),
        ("-c", "--config"),
    ] {
        let output = banyan(line);
        assert_eq!(output.status.code(), Some(64), "banyan {line}");
        let told = text(&output.stderr);
        assert!(told.contains(named), "banyan {line}: {told}");
        assert!(output.stdout.is_empty(), "banyan {line}");
    }
}

#[test]
fn every_way_to_ask_for_the_version_is_answered() {
    let version = concat!("banyan version ", env!("CARGO_PKG_VERSION"), "\n");
    for line in ["-v", "-V", "--version", "-version", "version"] {
        let output = banyan(line);
        assert_eq!(
            (text(&output.stdout).as_str(), output.status.code()),
            (version, Some(0))
        );
    }
    let object: serde_json::Value =
        serde_json::from_slice(&banyan("version --json").stdout).expect("it is JSON");
    assert_eq!(object["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn completions_are_scripts_for_the_shell() {
    let output = banyan("completions bash");
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("_banyan()"));
    assert_eq!(banyan("completions csh").status.code(), Some(64));
}

#[test]
fn a_bad_configuration_is_told_by_check_and_by_start() {
    for (line, code) in [
        ("check -c /nonexistent/mosn.json", 78),
        ("start -c /nonexistent/mosn.json", 1),
        ("-c /nonexistent/mosn.json", 1),
        ("stop -c /nonexistent/mosn.json", 1),
    ] {
        let output = banyan(line);
        assert_eq!(output.status.code(), Some(code), "banyan {line}");
        let told = text(&[output.stdout, output.stderr].concat());
        assert!(
            told.contains("/nonexistent/mosn.json:1:1: error"),
            "banyan {line}: {told}"
        );
    }
}

#[test]
fn a_doubtful_configuration_is_refused_by_strictness_only() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("mosn.json");
    let cluster = r#"{"name": "c", "type": "SIMPEL", "hosts": [{"address": "127.0.0.1:9"}]}"#;
    let text_of_file = format!(
        r#"{{"servers": [{{"listeners": []}}], "cluster_manager": {{"clusters": [{cluster}]}}}}"#
    );
    std::fs::write(&file, text_of_file).expect("it is ours");
    let name = file.to_string_lossy();

    for (flags, code) in [("", 0), ("--strict", 78)] {
        let output = banyan(&format!("check -c {name} {flags}"));
        assert_eq!(output.status.code(), Some(code), "{flags}");
        let told = text(&output.stdout);
        assert!(told.contains("did you mean `SIMPLE`?"), "{told}");
    }
    let output = banyan(&format!("check -c {name} --format json"));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!(report["file"], *name);
    let left = std::fs::read_dir(directory.path()).expect("it is ours");
    assert_eq!(left.count(), 1, "check writes nothing");
}

#[test]
fn mosns_variables_and_flags_are_accepted() {
    let variables = [
        ("SERVICE_META", "a:b,c:d"),
        ("FEATURE_GATES", "XdsMtlsEnable=true"),
        ("MOSN_CONFIG", "/nonexistent/mosn.json"),
        ("LOG_LEVEL", "loud"),
    ];
    let line = "start -s c -n n -p sidecar -sm k:v -sl k:v -domain d -pns a -pn b -pi c -lf x \
                -lc y -restart-epoch 0 -parent-shutdown-time-s 60 -max-obj-name-len 189 \
                -concurrency 2 -drain-strategy immediate -disable-hot-restart=false \
                -bootstrap-version 3 -log-format-prefix-with-location 0 -drain-time-s 45";
    let output = banyan_with(line, &variables);
    assert_eq!(output.status.code(), Some(1), "the file is what is missing");
    let told = text(&output.stderr);
    assert!(
        told.contains("load config from :  /nonexistent/mosn.json"),
        "{told}"
    );
    assert!(told.contains("found `loud`"), "{told}");
}

#[test]
fn settings_are_printed_with_where_they_came_from() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("settings.json");
    std::fs::write(&file, r#"{"log_format": "json"}"#).expect("it is ours");
    let name = file.to_string_lossy();
    let variables = [
        ("BANYAN_SETTINGS", &*name),
        ("BANYAN_WORKERS", "3"),
        ("BANYAN_WORKRES", "1"),
    ];

    let output = banyan_with("start --print-settings --drain-time-s=5", &variables);

    assert_eq!(output.status.code(), Some(0));
    let words: Vec<String> = text(&output.stdout)
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    for expected in [
        "SETTING VALUE FROM",
        "drain_time_s 5 flag --drain-time-s",
        &format!("log_format json file {name}"),
        "max_connections 0 default",
        "workers 3 variable BANYAN_WORKERS",
    ] {
        assert!(
            words.iter().any(|line| line == expected),
            "{expected}: {words:?}"
        );
    }
    assert!(text(&output.stderr).contains("did you mean `BANYAN_WORKERS`?"));
}

#[test]
fn a_wrong_setting_is_a_bad_configuration_and_tells_its_source() {
    let output = banyan_with("start -c x.json", &[("BANYAN_LOG_FORMAT", "xml")]);
    assert_eq!(output.status.code(), Some(78));
    assert_eq!(
        text(&output.stderr),
        "setting `log_format` from variable BANYAN_LOG_FORMAT: found `xml`, accepted is mosn, \
         json or journald\n"
    );
}
