//! What `check` answers: its exit codes, in both formats.

use serde_json::Value;

use crate::home::{Home, configuration};

fn good() -> Value {
    configuration("127.0.0.1:0", "127.0.0.1:9")
}

/// Unknown to MOSN, which starts all the same.
fn doubtful() -> Value {
    let mut document = good();
    document["cluster_manager"]["clusters"][0]["type"] = "SIMPEL".into();
    document
}

/// No such cluster, twice.
fn bad() -> Value {
    let mut document = good();
    document["cluster_manager"]["clusters"][0]["name"] = "d".into();
    let first = document["servers"][0]["listeners"][0].clone();
    let listeners = document["servers"][0]["listeners"].as_array_mut();
    let listeners = listeners.expect("it is a list");
    listeners.push(first);
    listeners[1]["name"] = "other".into();
    document
}

#[test]
fn the_exit_code_is_that_of_the_worst_finding() {
    for (document, flags, code) in [
        (good(), "", 0),
        (good(), "--strict", 0),
        (doubtful(), "", 0),
        (doubtful(), "--strict", 78),
        (bad(), "", 78),
        (bad(), "--strict", 78),
        (good(), "--strange", 64),
        (bad(), "--format xml", 64),
    ] {
        let home = Home::of(&document);
        for format in ["", "--format text", "--format json"] {
            let words = format!("check {format} {flags}");
            let output = home.command(&words).output().expect("it runs");
            assert_eq!(output.status.code(), Some(code), "{words}: {document}");
            assert_eq!(code == 64, output.stdout.is_empty(), "{words}");
            assert_eq!(code == 64, !output.stderr.is_empty(), "{words}");
        }
        assert_eq!(home.files().len(), 2, "check writes nothing");
    }
}

#[test]
fn both_formats_have_the_same_findings() {
    for (document, errors, warnings) in [(good(), 0, 0), (doubtful(), 0, 1), (bad(), 2, 0)] {
        let home = Home::of(&document);
        let said = |words| home.command(words).output().expect("it runs").stdout;

        let text = String::from_utf8_lossy(&said("check")).into_owned();
        let report: Value =
            serde_json::from_slice(&said("check --format json")).expect("it is JSON");

        assert_eq!(text.matches(": error[").count(), errors, "{text}");
        assert_eq!(text.matches(": warning[").count(), warnings, "{text}");
        assert_eq!(report["errors"], errors, "{report}");
        assert_eq!(report["warnings"], warnings, "{report}");
        assert_eq!(report["ok"], errors == 0, "{report}");
        let file = home.path("conf/mosn.json");
        assert_eq!(report["file"], *file.to_string_lossy());
    }
}
