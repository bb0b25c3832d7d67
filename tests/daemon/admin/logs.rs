//! What is logged, changed while the process runs.

use std::collections::BTreeSet;
use std::fs;

use nix::sys::signal::Signal;
use serde_json::json;

use super::changes::{rewrite, said};
use super::{Admin, configuration};
use crate::http::ask;

fn level(admin: &Admin) -> String {
    let levels = admin.get("/api/v2/log_level").json();
    levels[0]["level"].as_str().unwrap_or_default().to_owned()
}

fn configured(admin: &Admin, level: &str) {
    rewrite(&admin.home, |document| {
        document["servers"][0]["default_log_level"] = json!(level);
    });
}

#[test]
fn a_reload_changes_the_level_of_the_log_by_signal_and_by_command() {
    let mut admin = Admin::of(&configuration(), "");
    assert_eq!(level(&admin), "INFO");
    configured(&admin, "DEBUG");
    admin.process.signal(Signal::SIGHUP);
    admin
        .process
        .says("reloaded: server: `default_log_level` changed; 0 connections affected");
    assert_eq!(level(&admin), "DEBUG");
    // A lane of a listener that comes is started, which is said at this level.
    let more = json!({ "address": "127.0.0.1:0", "bind_port": true, "filter_chains": [{ "filters": [
        { "type": "tcp_proxy", "config": { "cluster": "api" } }] }] });
    admin.send("PUT", "/api/v2/listeners/more", &more);
    admin.process.says_part("[DEBUG]");

    configured(&admin, "ERROR");
    let dry = said(&admin.home, "reload --dry-run").1;
    assert!(
        dry.contains("\nserver: `default_log_level` changed"),
        "{dry}"
    );
    assert_eq!(level(&admin), "DEBUG", "a dry run touches nothing");
    said(&admin.home, "reload");
    assert_eq!(level(&admin), "ERROR");

    // What an administrator has set stays while the file says the same.
    let own = json!({ "log_path": "stderr", "log_level": "WARN" });
    assert_eq!(
        admin.send("POST", "/api/v1/update_loglevel", &own).status,
        200
    );
    rewrite(&admin.home, |document| {
        document["cluster_manager"]["clusters"][0]["hosts"] = json!([]);
    });
    said(&admin.home, "reload");
    assert_eq!(level(&admin), "WARN");
    said(&admin.home, "rollback 1");
    assert_eq!(level(&admin), "INFO", "a version brings its level");
}

#[test]
fn an_access_log_is_switched_off_and_on_by_its_name() {
    let mut configuration = configuration();
    let home = tempfile::tempdir().expect("a temporary directory");
    let file = home.path().join("access.log").display().to_string();
    configuration["servers"][0]["listeners"][0]["access_logs"] =
        json!([{ "log_path": file, "log_format": "%Http1_request_path%" }]);
    configuration["servers"][0]["routers"][0]["virtual_hosts"][0]["routers"] =
        json!([{ "match": { "prefix": "/" }, "direct_response": { "status": 200, "body": "ok" } }]);
    let mut admin = Admin::of(&configuration, "");
    let web = admin.process.address();
    let toggle = |word: &str, name: &str| {
        let answer = ask(
            admin.address,
            "POST",
            &format!("/api/v1/{word}_log"),
            "",
            name,
        );
        (answer.status, answer.body)
    };

    assert_eq!(ask(web, "GET", "/one", "", "").status, 200);
    let off = (200, "disable logger success\n".to_owned());
    assert_eq!(toggle("disable", &file), off);
    assert_eq!(ask(web, "GET", "/two", "", "").status, 200);
    let on = (200, "enable logger success\n".to_owned());
    assert_eq!(toggle("enable", &file), on);
    assert_eq!(ask(web, "GET", "/three", "", "").status, 200);
    assert_eq!(toggle("disable", "nowhere").0, 400);
    assert_eq!(toggle("disable", "").0, 400);

    admin.process.signal(Signal::SIGTERM);
    assert_eq!(admin.process.code(), Some(0));
    let written = fs::read_to_string(&file).expect("it was written");
    // Each may have come to another worker.
    let lines: BTreeSet<_> = written.lines().collect();
    assert_eq!(lines, BTreeSet::from(["/one", "/three"]));
}
