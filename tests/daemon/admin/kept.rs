//! Changes that outlive the process.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{configuration, started};
use crate::home::{Home, Process};
use crate::http::ask_socket;

struct Kept(Home);

impl Kept {
    fn new(keep: &str) -> Self {
        let mut configuration = configuration();
        let socket = json!({ "address": "127.0.0.1", "port_value": 0 });
        configuration["admin"] = json!({ "address": { "socket_address": socket } });
        let home = Home::of(&configuration);
        let settings = json!({ "keep_changes": keep, "upgrade_probation_s": 1 }).to_string();
        fs::write(home.path("settings.json"), settings).expect("it is ours");
        Self(home)
    }

    fn started(&self) -> Process {
        let flags = format!("--settings {}", self.0.path("settings.json").display());
        started(&self.0, &flags).0
    }

    /// A process that is to take over from the one that runs.
    fn starting(&self) -> Process {
        let settings = self.0.path("settings.json");
        let words = format!(
            "start --log-output stderr --settings {}",
            settings.display()
        );
        self.0.starting(&words)
    }

    /// The process that has taken over from another one.
    fn after(&self, mut old: Process) -> Process {
        let mut new = self.starting();
        new.says("/logs/mosn.pid");
        assert_eq!(old.code(), Some(0));
        new
    }

    fn version(&self) -> u64 {
        let status = self.asks("GET", "/api/v2/status", &Value::Null);
        status["version"].as_u64().expect("it is a number")
    }

    fn answers(&self, method: &str, target: &str) -> u16 {
        ask_socket(&self.0.path("conf/banyan.sock"), method, target, "{}").status
    }

    fn asks(&self, method: &str, target: &str, body: &Value) -> Value {
        let answer = ask_socket(
            &self.0.path("conf/banyan.sock"),
            method,
            target,
            &body.to_string(),
        );
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    fn clusters(&self) -> Vec<String> {
        let clusters = self.asks("GET", "/api/v2/clusters", &Value::Null);
        let names = clusters.as_array().into_iter().flatten();
        names
            .filter_map(|one| one["name"].as_str().map(str::to_owned))
            .collect()
    }

    fn edit_file(&self) {
        let path = self.0.path("conf/mosn.json");
        let text = fs::read_to_string(&path).expect("it is ours");
        fs::write(path, text.replace("\"api\"", "\"app\"")).expect("it is ours");
    }
}

fn ends(mut process: Process) {
    process.signal(Signal::SIGTERM);
    assert_eq!(process.code(), Some(0));
}

#[test]
fn changes_end_with_the_process_unless_they_are_to_be_kept() {
    let kept = Kept::new("no");
    let process = kept.started();
    kept.asks("PUT", "/api/v2/clusters/new", &json!({}));
    assert_eq!(kept.clusters(), ["api", "new"]);
    ends(process);
    assert!(!kept.0.path("conf/mosn.json.history").exists());
    let _process = kept.started();
    assert_eq!(kept.clusters(), ["api"]);
}

#[test]
fn kept_changes_run_again_and_can_be_gone_back_to() {
    let kept = Kept::new("restart");
    let mut process = kept.started();
    for name in ["one", "two"] {
        kept.asks("PUT", &format!("/api/v2/clusters/{name}"), &json!({}));
    }
    // It is killed as a machine dies: what was answered is on disk.
    process.signal(Signal::SIGKILL);
    assert_eq!(process.code(), None);

    let process = kept.started();
    assert_eq!(kept.clusters(), ["api", "one", "two"]);
    let history = kept.asks("GET", "/api/v2/history", &Value::Null);
    let versions: Vec<_> = history
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| &entry["version"])
        .collect();
    assert_eq!(versions, [2, 3, 4], "{history:#}");
    kept.asks("POST", "/api/v2/rollback/2", &Value::Null);
    assert_eq!(kept.clusters(), ["api", "one"]);
    let drift = kept.asks("GET", "/api/v2/drift", &Value::Null);
    assert_eq!(
        drift["changes"],
        json!(["cluster `one`: removed; 0 connections affected"])
    );
    ends(process);
    let _process = kept.started();
    assert_eq!(kept.clusters(), ["api", "one"]);
}

#[test]
fn a_file_that_was_edited_goes_before_what_was_kept_over_it() {
    let kept = Kept::new("restart");
    let process = kept.started();
    kept.asks("PUT", "/api/v2/clusters/one", &json!({}));
    ends(process);
    kept.edit_file();

    let mut process = kept.0.starting(&format!(
        "start --log-output stderr --settings {}",
        kept.0.path("settings.json").display()
    ));
    process.says_part("the file was edited since version 2 was kept: the file runs");
    process.is_running();
    assert_eq!(kept.clusters(), ["app"]);
    kept.asks("POST", "/api/v2/rollback/2", &Value::Null);
    assert_eq!(kept.clusters(), ["api", "one"]);
    ends(process);
    let _process = kept.started();
    assert_eq!(
        kept.clusters(),
        ["api", "one"],
        "it was kept over the edited file"
    );
}

#[test]
fn a_history_that_is_not_restarted_with_is_a_history_all_the_same() {
    let kept = Kept::new("history");
    let process = kept.started();
    kept.asks("PUT", "/api/v2/clusters/one", &json!({}));
    ends(process);
    let _process = kept.started();
    assert_eq!(kept.clusters(), ["api"]);
    kept.asks("POST", "/api/v2/rollback/2", &Value::Null);
    assert_eq!(kept.clusters(), ["api", "one"]);
}

#[test]
fn a_version_goes_on_in_the_process_that_takes_over_with_the_same_configuration() {
    let kept = Kept::new("restart");
    let process = kept.started();
    kept.asks("PUT", "/api/v2/clusters/one", &json!({}));
    kept.asks("PUT", "/api/v2/clusters/two", &json!({}));
    assert_eq!(kept.version(), 3);

    let _process = kept.after(process);

    assert_eq!((kept.version(), kept.clusters().len()), (3, 3));
    assert_eq!(kept.answers("PUT", "/api/v2/clusters/late?version=2"), 412);
    kept.asks("PUT", "/api/v2/clusters/three?version=3", &json!({}));
    let history = kept.asks("GET", "/api/v2/history", &Value::Null);
    let entries = history.as_array().into_iter().flatten();
    let versions: Vec<_> = entries.map(|entry| &entry["version"]).collect();
    assert_eq!(versions, [2, 3, 4], "{history:#}");
}

#[test]
fn another_configuration_has_a_version_that_the_predecessor_never_had() {
    let kept = Kept::new("no");
    let process = kept.started();
    kept.asks("PUT", "/api/v2/clusters/one", &json!({}));
    assert_eq!(kept.version(), 2);

    // Changes end with the process.
    let process = kept.after(process);
    assert_eq!((kept.version(), kept.clusters().len()), (3, 1));
    assert_eq!(kept.answers("PUT", "/api/v2/clusters/late?version=2"), 412);

    let _process = kept.after(process);
    assert_eq!(kept.version(), 3);
}

#[test]
fn a_change_that_waits_to_be_confirmed_refuses_an_upgrade() {
    let kept = Kept::new("restart");
    let process = kept.started();
    kept.asks("PUT", "/api/v2/clusters/one?confirm_within=1h", &json!({}));

    let (code, said) = kept.starting().ends();

    assert_eq!(code, Some(76), "{said}");
    let why = "version 2 waits to be confirmed or rolled back";
    assert!(said.contains(why), "{said}");
    assert_eq!(kept.version(), 2);
    kept.asks("POST", "/api/v2/confirm/2", &Value::Null);
    let _process = kept.after(process);
    assert_eq!((kept.version(), kept.clusters().len()), (2, 2));
}
