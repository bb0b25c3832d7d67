//! Reloads, and the commands that ask for them.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{Admin, configuration};
use crate::home::{Home, until};

pub(super) fn rewrite(home: &Home, change: impl FnOnce(&mut Value)) {
    let path = home.path("conf/mosn.json");
    let text = fs::read_to_string(&path).expect("it is ours");
    let mut document: Value = serde_json::from_str(&text).expect("it is JSON");
    change(&mut document);
    fs::write(path, document.to_string()).expect("it is ours");
}

pub(super) fn said(home: &Home, words: &str) -> (Option<i32>, String) {
    // Flags stand before the configuration, which is last.
    let output = home.command(words).output().expect("it runs");
    let both = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&both).into_owned(),
    )
}

#[test]
fn sighup_reloads_the_file_or_says_everything_that_is_wrong() {
    let mut admin = Admin::of(&configuration(), "");
    rewrite(&admin.home, |document| {
        document["cluster_manager"]["clusters"][0]["lb_type"] = json!("LB_RANDOM");
    });
    admin.process.signal(Signal::SIGHUP);
    admin
        .process
        .says("reloaded: cluster `api`: `lb_type` changed; 0 connections affected");

    let before = admin.dump();
    rewrite(&admin.home, |document| {
        document["cluster_manager"]["clusters"][0]["connect_timeout"] = json!("soon");
        document["servers"][0]["routers"][0]["virtual_hosts"][0]["domains"] = json!(["a b"]);
    });
    admin.process.signal(Signal::SIGHUP);
    let said = admin
        .process
        .says("reload refused, nothing has changed: 2 errors");
    assert!(
        said.contains("bad-duration") && said.contains("bad-domain"),
        "{said}"
    );
    assert_eq!(admin.dump(), before);

    rewrite(&admin.home, |document| {
        document["cluster_manager"]["clusters"][0]["connect_timeout"] = json!("1s");
        document["servers"][0]["routers"][0]["virtual_hosts"][0]["domains"] = json!(["*"]);
        document["servers"][0]["routres"] = json!([]);
    });
    admin.process.signal(Signal::SIGHUP);
    let said = admin.process.says("; help: did you mean `routers`?");
    let warning = "[WARN] reloaded: ";
    assert!(
        said.contains(warning) && said.contains("; at: $.servers[0].routres; "),
        "{said}"
    );
    admin.process.signal(Signal::SIGTERM);
    assert_eq!(admin.process.code(), Some(0));
}

#[test]
fn a_watched_file_is_reloaded_when_it_is_edited() {
    let home = Home::of(&configuration());
    fs::write(home.path("settings.json"), r#"{"watch_config": true}"#).expect("it is ours");
    let flags = format!("--settings {}", home.path("settings.json").display());
    let mut process = home.started_with(&flags);
    rewrite(&home, |document| {
        document["cluster_manager"]["clusters"][0]["hosts"] = json!([]);
    });
    process.says("reloaded: cluster `api`: 2 hosts removed; 0 connections affected");
}

const DRIFT: &str = "cluster `api`: 2 hosts removed; 0 connections affected\n";

#[test]
fn commands_ask_the_process_of_their_configuration() {
    let mut admin = Admin::of(&configuration(), "");
    let home = &admin.home;
    let (code, status) = said(home, "status");
    assert_eq!(code, Some(0), "{status}");
    assert!(
        status.contains("state 6 (running), version 1\n"),
        "{status}"
    );
    assert!(status.contains("127.0.0.1:10  healthy"), "{status}");
    let same = "the file says what runs\n".to_owned();
    assert_eq!(said(home, "drift"), (Some(0), same));
    rewrite(home, |document| {
        document["cluster_manager"]["clusters"][0]["hosts"] = json!([]);
    });
    assert_eq!(said(home, "drift"), (Some(1), DRIFT.to_owned()));

    admin.process.signal(Signal::SIGTERM);
    assert_eq!(admin.process.code(), Some(0));
    assert!(!admin.socket().exists());
    let (code, none) = said(&admin.home, "reload");
    assert_eq!(code, Some(1));
    assert!(none.contains("no process answers at "), "{none}");
}

#[test]
fn commands_change_on_terms_and_go_back() {
    let admin = Admin::of(&configuration(), "");
    let home = &admin.home;
    rewrite(home, |document| {
        document["cluster_manager"]["clusters"][0]["hosts"] = json!([]);
    });
    let dry = format!("{DRIFT}version 1 still runs: this was a dry run\n");
    assert_eq!(said(home, "reload --dry-run"), (Some(0), dry));
    let late = "refused, nothing has changed: version 1 runs, not 7\n".to_owned();
    assert_eq!(said(home, "reload --require-version 7"), (Some(1), late));
    let (_, told) = said(home, "reload --confirm-within 1h");
    let begins = format!("{DRIFT}version 2 runs\nit is rolled back at ");
    assert!(told.starts_with(&begins), "{told}");
    let stays = "version 2 stays\n".to_owned();
    assert_eq!(said(home, "confirm 2"), (Some(0), stays));
    let back = "cluster `api`: 2 hosts added; 0 connections affected\nversion 3 runs\n".to_owned();
    assert_eq!(said(home, "rollback 1"), (Some(0), back));
    let (_, history) = said(home, "history");
    assert_eq!(
        history.matches("\n  cluster `api`: ").count(),
        3,
        "{history}"
    );

    let edits = home.path("edits.json");
    let cluster = json!({ "name": "c", "hosts": [{ "address": "nowhere" }] });
    let text = json!({ "edits": [{ "put_cluster": cluster }] }).to_string();
    fs::write(&edits, text).expect("it is ours");
    let (code, refused) = said(home, &format!("change {}", edits.display()));
    assert_eq!(code, Some(1));
    let place = "\n  at: $.cluster_manager.clusters[1].hosts[0].address";
    assert!(refused.contains(place), "{refused}");
}

#[test]
fn readiness_ends_when_a_drain_begins_and_the_door_stays_open() {
    let mut admin = Admin::of(&configuration(), "--drain-time-s 60");
    let bytes = admin.get("/api/v2/status").json()["listeners"][1]["address"]
        .as_str()
        .map(str::to_owned);
    let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let host = json!([{ "address": held.local_addr().expect("it is bound").to_string() }]);
    assert_eq!(
        admin
            .send("PUT", "/api/v2/clusters/api/hosts", &host)
            .status,
        200
    );
    let client = std::net::TcpStream::connect(bytes.expect("it listens")).expect("it accepts");
    let (far, _) = held.accept().expect("it is relayed");

    admin.process.signal(Signal::SIGTERM);
    until("it is not ready", || admin.get("/readyz").status == 503);
    assert_eq!(admin.get("/healthz").status, 200);
    assert_eq!(
        admin.get("/api/v1/states").body,
        format!("pid={}&state=8\n", admin.process.id())
    );
    let refused = admin.send("PUT", "/api/v2/clusters/late", &json!({}));
    assert_eq!(
        (refused.status, &refused.json()["error"]["code"]),
        (503, &json!("draining"))
    );
    drop((client, far));
    assert_eq!(admin.process.code(), Some(0));
}

#[test]
fn an_admin_address_that_is_taken_ends_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = taken.local_addr().expect("it is bound").port();
    let mut configuration = configuration();
    let socket = json!({ "address": "127.0.0.1", "port_value": port });
    configuration["admin"] = json!({ "address": { "socket_address": socket } });
    let home = Home::of(&configuration);
    let (code, said) = home.starting("start --log-output stderr").ends();
    assert_eq!(code, Some(1));
    assert!(
        said.contains("start service failed: `admin`: cannot listen on 127.0.0.1:"),
        "{said}"
    );
    assert!(!home.path("conf/banyan.sock").exists(), "nothing is left");
}

#[test]
fn auto_config_writes_changes_back_to_the_file() {
    let mut admin = Admin::of(&configuration(), "-f auto_config=true");
    let path = admin.home.path("conf/mosn.json");
    assert_eq!(admin.get("/api/v1/features?key=auto_config").body, "true");
    let before = fs::read_to_string(&path).expect("it is there");
    let body = json!({ "type": "cluster", "config": { "name": "added" } });
    assert_eq!(
        admin.send("POST", "/debug/update_config", &body).body,
        "success"
    );
    until("it is written", || {
        fs::read_to_string(&path)
            .expect("it is there")
            .contains("added")
    });

    let written = fs::read_to_string(&path).expect("it is there");
    assert_ne!(written, before);
    assert!(
        written.contains("-----BEGIN KEY"),
        "a file that is started with needs its secrets"
    );
    let (_, drift) = said(&admin.home, "drift");
    assert_eq!(drift, "the file says what runs\n");
    admin.send("PUT", "/api/v2/clusters/last", &json!({}));
    admin.process.signal(Signal::SIGTERM);
    assert_eq!(admin.process.code(), Some(0));
    assert!(
        fs::read_to_string(&path)
            .expect("it is there")
            .contains("last"),
        "the last one too"
    );
}

#[test]
fn a_gate_that_nobody_knows_ends_the_start() {
    let home = Home::new();
    let (code, said) = home.starting("start -f nothing=true").ends();
    assert_eq!(code, Some(1));
    assert!(said.contains("feature nothing is not registered"), "{said}");
}
