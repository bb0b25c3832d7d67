//! The lines that a process writes, and the file it writes them to.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::home::{Home, Process};

/// Everything that a process says on stderr from its start, of which `running` ends the last line,
/// to its end.
fn life(format: &str, running: &str) -> String {
    let home = Home::new();
    let mut command = home.command("start --log-output stderr");
    command.env("BANYAN_LOG_FORMAT", format);
    command.env("BANYAN_LOG_LEVEL", "debug");
    // Doubtful, so that there is a warning too.
    command.env("BANYAN_WORKRES", "1");
    let mut process = Process::of(&mut command);
    let said = process.says(running);
    process.signal(Signal::SIGTERM);
    let (code, rest) = process.ends();
    assert_eq!(code, Some(0));
    said + &rest
}

#[test]
fn json_lines_are_objects_with_time_level_and_message() {
    let said = life("json", "/logs/mosn.pid\"}");

    let mut levels = Vec::new();
    for line in said.lines() {
        let record: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        let text = |key: &str| record[key].as_str().unwrap_or_else(|| panic!("{line}"));
        let time: Result<jiff::Timestamp, _> = text("time").parse();
        assert!(time.is_ok(), "{line}");
        assert!(!text("message").is_empty(), "{line}");
        levels.push(text("level").to_owned());
    }
    for level in ["DEBUG", "INFO", "WARN"] {
        assert!(levels.iter().any(|found| found == level), "{level}: {said}");
    }
    let listens = said.lines().find(|line| line.contains(" listens on "));
    let record: Value = serde_json::from_str(listens.unwrap_or_default()).expect("it is said");
    assert_eq!(record["tag"], "listener");
}

/// `2026-01-31 10:00:00,7 [INFO] text`, the milliseconds without leading zeros.
fn is_mosns(line: &str) -> bool {
    let shape = |text: &str| -> String {
        let digit = |c: char| if c.is_ascii_digit() { '0' } else { c };
        text.chars().map(digit).collect()
    };
    let Some((time, rest)) = line.split_once(',') else {
        return false;
    };
    let Some((millis, rest)) = rest.split_once(" [") else {
        return false;
    };
    let Some((level, text)) = rest.split_once("] ") else {
        return false;
    };
    let number: Result<u16, _> = millis.parse();
    shape(time) == "0000-00-00 00:00:00"
        && number.is_ok_and(|number| number < 1000 && number.to_string() == millis)
        && ["FATAL", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&level)
        && !text.is_empty()
}

#[test]
fn mosns_lines_have_time_level_and_text() {
    assert!(is_mosns("2026-01-31 10:00:00,7 [INFO] [tag] text"));
    assert!(!is_mosns("2026-01-31 10:00:00,007 [INFO] [tag] text"));

    let said = life("mosn", "/logs/mosn.pid");

    for line in said.lines() {
        assert!(is_mosns(line), "{line}");
    }
    for part in [
        " [WARN] variable BANYAN_WORKRES is no setting",
        " [INFO] [stagemanager] state changed to 1\n",
        " [INFO] [listener] listener `app` listens on 127.0.0.1:",
        " [INFO] [stagemanager] state changed to 11\n",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn sigusr1_reopens_a_log_file_that_was_renamed() {
    let home = Home::new();
    let (log, old) = (home.path("logs/mosn.log"), home.path("logs/old"));
    let written = || fs::read_to_string(&log).unwrap_or_default();
    let mut process = home.starting("start");
    process.makes("the pid file is written", || {
        written().contains("pid file written")
    });
    fs::rename(&log, &old).expect("it is ours");

    process.signal(Signal::SIGUSR1);

    process.makes("there is a new log file", || log.exists());
    process.signal(Signal::SIGTERM);
    assert_eq!(process.code(), Some(0));
    let (before, after) = (fs::read_to_string(&old).expect("it is left"), written());
    assert!(before.contains("pid file written"), "{before}");
    assert!(!before.contains("state changed to 11"), "{before}");
    let last = "[INFO] [stagemanager] state changed to 11\n";
    assert!(after.contains(last), "{after}");
}
