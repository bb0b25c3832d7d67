//! A process from start to end.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::home::{Home, configuration};

#[test]
fn every_stop_signal_ends_in_zero_without_a_pid_file() {
    for (signal, name) in [
        (Signal::SIGTERM, "terminated"),
        (Signal::SIGINT, "interrupt"),
        (Signal::SIGQUIT, "quit"),
    ] {
        let home = Home::new();
        let mut process = home.started();
        let pid = fs::read_to_string(home.path("logs/mosn.pid")).expect("it runs");
        assert_eq!(pid, format!("{}\n", process.id()));

        process.signal(signal);

        process.says(&format!("signal {name} received!"));
        process.says("[stagemanager] state changed to 11");
        assert_eq!(process.code(), Some(0), "{name}");
        assert!(!home.path("logs/mosn.pid").exists(), "{name}");
    }
}

#[test]
fn signals_that_change_nothing_do_not_end_it() {
    let home = Home::new();
    let mut process = home.started();
    process.signal(Signal::SIGHUP);
    process.says("reloaded: nothing has changed");
    process.signal(Signal::SIGTERM);
    assert_eq!(process.code(), Some(0));
}

#[test]
fn a_process_that_nobody_can_ask_is_none_with_a_part_that_fails() {
    let home = Home::new();
    let mut process = home.starting("start --log-output stderr --control-dir /proc/none");
    let mut said = process.says("/logs/mosn.pid");
    process.signal(Signal::SIGTERM);
    let (code, rest) = process.ends();
    said += &rest;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("[admin] no control socket"), "{said}");
    assert!(!said.contains("gives up"), "{said}");
}

#[test]
fn stop_ends_the_process_of_its_configuration() {
    let home = Home::new();
    let mut process = home.started();

    let mut stop = home.command("stop");
    let waiting = stop.spawn().expect("it starts");
    assert_eq!(process.code(), Some(0));
    let output = waiting.wait_with_output().expect("it is our child");

    assert_eq!(output.status.code(), Some(0));
    assert!(!home.path("logs/mosn.pid").exists());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let pid = process.id();
    assert!(
        told.contains(&format!("[mosn stop] sending INT signal to process({pid})")),
        "{told}"
    );
    assert!(
        told.contains(&format!(
            "[mosn stop] stopped mosn process({pid}) successfully."
        )),
        "{told}"
    );

    let again = home.command("stop").output().expect("it runs");
    assert_eq!(again.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&again.stderr).contains("[mosn stop] fail to get pid: "));
}

#[test]
fn stop_finds_the_pid_file_where_start_has_put_it() {
    let home = Home::of(&with_pid_file("/proc/none/mosn.pid"));
    let mut process = home.started();
    assert!(home.path("logs/mosn.pid").exists());

    let waiting = home.command("stop").spawn().expect("it starts");
    assert_eq!(process.code(), Some(0));

    let output = waiting.wait_with_output().expect("it is our child");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("/logs/mosn.pid instead"), "{told}");
    let stopped = format!("stopped mosn process({}) successfully.", process.id());
    assert!(told.contains(&stopped), "{told}");
}

#[test]
fn stop_leaves_the_process_of_another_configuration_alone() {
    let home = Home::new();
    let mut process = home.started();
    // Its own process does not run, and would have a pid file and a control directory of its own.
    let of_other = with_pid_file(&home.path("other.pid").to_string_lossy());
    fs::write(home.path("conf/mosn.json"), of_other.to_string()).expect("it is ours");
    let flags = format!("stop --control-dir {}", home.path("other").display());

    let output = home.command(&flags).output().expect("it runs");

    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("[mosn stop] fail to get pid: "), "{told}");
    assert!(!process.has_ended());
    let pid_file = home.path("logs/mosn.pid");
    let flags = format!("stop --pid-file {}", pid_file.display());
    let waiting = home.command(&flags).spawn().expect("it starts");
    assert_eq!(process.code(), Some(0));
    waiting.wait_with_output().expect("it is our child");
}

fn with_pid_file(path: &str) -> Value {
    let mut document = configuration("127.0.0.1:0", "127.0.0.1:9");
    document["pid"] = path.into();
    document
}

#[test]
fn the_pid_file_of_another_process_is_left_alone() {
    let home = Home::new();
    let pid_file = home.path("logs/mosn.pid");
    let mut process = home.started();
    fs::write(&pid_file, "1\n").expect("it is ours");
    process.signal(Signal::SIGTERM);
    assert_eq!(process.code(), Some(0));
    assert_eq!(fs::read_to_string(&pid_file).expect("it is left"), "1\n");
}
