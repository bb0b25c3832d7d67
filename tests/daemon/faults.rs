//! What becomes of the process when its actors panic.

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::home::{Home, Process, configuration};
use crate::load::{self, Origin};
use crate::peers::{Client, echo};
use crate::rpc;

/// A process before an origin that echoes, in which so many actors of a kind will panic.
fn faulty(fault: &str) -> (Home, Process) {
    let home = Home::of(&configuration("127.0.0.1:0", &echo().to_string()));
    let mut command = home.command("start --log-output stderr");
    command.env("BANYAN_FAULT", fault);
    let process = Process::of(&mut command);
    (home, process)
}

#[test]
fn a_part_that_fails_too_often_ends_the_process_with_its_reason() {
    for (kind, child) in [("Clusters", "clusters"), ("workers", "workers")] {
        let (home, mut process) = faulty(&format!("{kind}:1000"));

        let (code, said) = process.ends();

        assert_eq!(code, Some(1), "{said}");
        let last = said.lines().find(|line| line.contains("[FATAL]"));
        // One that panics while it starts has failed to start, for that reason.
        let reason = format!("panicked: injected fault in {kind}");
        let is_told = |line: &str| line.contains(&reason) && line.contains(child);
        assert!(last.is_some_and(is_told), "{said}");
        assert!(!home.path("logs/mosn.pid").exists(), "{kind}");
    }
}

#[test]
fn a_root_that_panics_ends_the_process_with_its_reason() {
    let (home, mut process) = faulty("Root:1");

    let (code, said) = process.ends();

    assert_eq!(code, Some(1), "{said}");
    let last = said.lines().find(|line| line.contains("[FATAL]"));
    let reason = "injected fault in Root";
    assert!(last.is_some_and(|line| line.contains(reason)), "{said}");
    assert!(!home.path("logs/mosn.pid").exists());
}

#[test]
fn a_part_that_fails_now_and_then_is_restarted_with_its_reason() {
    let (_home, mut process) = faulty("Clusters:1");
    process.is_running();

    let last = "restarts=1 reason=\"panicked: injected fault in Clusters\" supervisor=banyan";
    let said = process.says(last);

    assert!(said.contains("restarted"), "{said}");
    let client = Client::served(process.address()).expect("it accepts");
    client.finish().expect("it is served");
    process.signal(Signal::SIGTERM);
    assert_eq!(process.code(), Some(0));
}

#[test]
fn what_is_told_to_tracing_is_a_line_of_the_log() {
    let (_home, mut process) = faulty("Nothing:0");

    process.says(" [WARN] [fault] faults are injected: Nothing:0");

    process.signal(Signal::SIGTERM);
    assert_eq!(process.code(), Some(0));
}

#[test]
fn what_drives_a_connection_to_a_host_is_logged_when_it_panics() {
    let origin = Origin::start("bolt");
    let home = Home::of(&rpc::configuration("multiplex", &origin.address));
    let mut command = home.command("start --log-output stderr");
    command.env("BANYAN_FAULT", "Trunk:1");
    let mut process = Process::of(&mut command);
    process.is_running();

    let line = format!(
        "load --json -q -n 200 -c 4 -m 5 sofarpc://{}",
        process.address()
    );
    let output = load::command(&line).output().expect("it runs");
    let report: Value = serde_json::from_slice(&output.stdout).expect("it reports");

    assert_eq!(report["requests"]["done"], 200, "{report}");
    let said = process.says_part("what drives a connection to a host panicked: injected fault");
    // Where it was, a line of its own says.
    let place =
        |line: &str| line.contains("panic: injected fault in Trunk") && line.contains("location=");
    assert!(said.lines().any(place), "{said}");
    process.signal(Signal::SIGTERM);
    assert_eq!(process.code(), Some(0));
}
