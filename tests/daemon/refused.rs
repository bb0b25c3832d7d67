//! A start that cannot be, which changes nothing.

use std::fs;
use std::process::Output;

use nix::sys::signal::Signal;

use crate::home::{Home, configuration, listener};
use crate::peers::{Client, echo};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn run(home: &Home, words: &str) -> Output {
    home.command(words).output().expect("it runs")
}

#[test]
fn an_address_in_use_is_named_and_the_running_process_is_not_touched() {
    let host = echo().to_string();
    let home = Home::of(&configuration("127.0.0.1:0", &host));
    let mut running = home.started();
    let taken = running.address().to_string();
    let mut document = configuration(&taken, &host);
    // It would take over otherwise.
    document["disable_upgrade"] = true.into();
    fs::write(home.path("conf/mosn.json"), document.to_string()).expect("it is ours");
    let before = home.files();

    let refused = run(&home, "start --log-output stderr");

    assert_eq!(refused.status.code(), Some(1));
    let told = text(&refused.stderr);
    let reason = format!("listener `app`: cannot listen on {taken}: Address already in use");
    assert!(told.contains(&reason), "{told}");
    assert!(told.contains("[FATAL]"), "{told}");
    assert_eq!(home.files(), before);
    let client = Client::served(running.address()).expect("it accepts");
    client.finish().expect("it is served");
    running.signal(Signal::SIGTERM);
    assert_eq!(running.code(), Some(0));
}

#[test]
fn what_keeps_it_from_starting_is_told_to_who_does_not_see_the_log() {
    let running = Home::new().started();
    let taken = running.address().to_string();
    let home = Home::of(&configuration(&taken, "127.0.0.1:9"));

    let refused = run(&home, "start");

    assert_eq!(refused.status.code(), Some(1));
    let reason = format!("listener `app`: cannot listen on {taken}: Address already in use");
    let told = text(&refused.stderr);
    assert!(told.contains(&reason), "{told}");
    let log = fs::read_to_string(home.path("logs/mosn.log")).expect("it is written");
    assert!(log.contains(&reason), "{log}");
    assert!(!home.path("logs/mosn.pid").exists());
}

#[test]
fn one_address_in_use_leaves_no_other_listener_behind() {
    let running = Home::new().started();
    let home = Home::new();
    let mut document = configuration(&running.address().to_string(), "127.0.0.1:9");
    let mut local = listener("local", &home.path("app.sock").to_string_lossy());
    local["network"] = "unix".into();
    let listeners = document["servers"][0]["listeners"].as_array_mut();
    listeners.expect("it is a list").insert(0, local);
    fs::write(home.path("conf/mosn.json"), document.to_string()).expect("it is ours");
    let before = home.files();

    let refused = run(&home, "start --log-output stderr");

    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(home.files(), before);
}

#[test]
fn a_bad_configuration_is_told_as_check_tells_it_and_nothing_is_written() {
    let mut document = configuration("127.0.0.1:0", "127.0.0.1:9");
    document["servers"][0]["listeners"][0]["filter_chains"][0]["filters"][0]["config"]["cluster"] =
        "d".into();
    document["cluster_manager"]["clusters"][0]["hosts"][0]["address"] = "nowhere".into();
    let home = Home::of(&document);
    let before = home.files();

    let checked = run(&home, "check");
    let refused = run(&home, "start");

    assert_eq!(checked.status.code(), Some(78));
    assert_eq!(refused.status.code(), Some(1));
    let findings = text(&checked.stdout);
    assert_eq!(findings.matches(": error").count(), 2, "{findings}");
    let told = text(&refused.stderr);
    assert!(told.ends_with(&findings), "{told}\n{findings}");
    assert_eq!(home.files(), before);
}
