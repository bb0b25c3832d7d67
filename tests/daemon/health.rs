//! Health checks, as operators see them.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::home::{Home, configuration};

/// Accepts, and closes at once, until it is stopped.
struct Upstream {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
    serves: Option<JoinHandle<()>>,
}

impl Upstream {
    fn on(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).expect("the address is free");
        listener.set_nonblocking(true).expect("it is a socket");
        let address = listener.local_addr().expect("it is bound");
        let stopped = Arc::<AtomicBool>::default();
        let stop = Arc::clone(&stopped);
        let serves = thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                if listener.accept().is_err() {
                    thread::sleep(Duration::from_millis(2));
                }
            }
        });
        Self {
            address,
            stopped,
            serves: Some(serves),
        }
    }

    /// From now on it refuses.
    fn stop(mut self) -> SocketAddr {
        self.stopped.store(true, Ordering::Relaxed);
        let serves = self.serves.take().expect("it is stopped once");
        serves.join().expect("it does not panic");
        self.address
    }
}

fn checked(upstream: SocketAddr, check: Value) -> Value {
    let mut configuration = configuration("127.0.0.1:0", &upstream.to_string());
    configuration["cluster_manager"]["clusters"][0]["health_check"] = check;
    configuration
}

/// The three digits of each result in what was said, like ones in a row only once.
fn digits(said: &str, host: SocketAddr) -> Vec<String> {
    let results = said.lines().filter_map(|line| {
        let rest = line.strip_prefix("time:")?;
        let (time, rest) = rest.split_once(',').expect("a time is followed by a host");
        assert!(time.bytes().all(|byte| byte.is_ascii_digit()), "{line}");
        let rest = rest.strip_prefix(&format!("host:{host},health_status:"));
        let rest = rest.unwrap_or_else(|| panic!("not of {host}: {line}"));
        let rest = rest.replacen(",current_result:", "", 1);
        Some(rest.replacen(",status_changed:", "", 1))
    });
    let mut digits: Vec<String> = results.collect();
    digits.dedup();
    digits
}

const PASSED: &str = "health_status:1,current_result:1,status_changed:0";

#[test]
fn a_host_that_fails_and_returns_is_logged_as_by_mosn() {
    let upstream = Upstream::on(([127, 0, 0, 1], 0).into());
    let host = upstream.address;
    let check = json!({
        "protocol": "Http1", "service_name": "s", "event_log_path": "stdout",
        "interval": "50ms", "initial_delay_seconds": "10ms", "timeout": "10s",
    });
    let home = Home::of(&checked(host, check));
    let mut process = home.started();

    let mut said = process.says(PASSED);
    upstream.stop();
    said += &process.says("health_status:0,current_result:0,status_changed:1");
    said += &process.says("health_status:0,current_result:0,status_changed:0");
    let upstream = Upstream::on(host);
    said += &process.says("health_status:1,current_result:1,status_changed:1");
    said += &process.says(PASSED);
    process.signal(Signal::SIGTERM);
    said += &process.ends().1;

    assert_eq!(
        digits(&said, host),
        ["110", "001", "000", "111", "110"],
        "{said}"
    );
    for health in ["healthy", "unhealthy"] {
        let line = format!("[INFO] [upstream] [health check] host {host} is {health}\n");
        assert_eq!(said.matches(&line).count(), 1, "{said}");
    }
    upstream.stop();
}

#[test]
fn thresholds_take_so_many_results_in_a_row() {
    let upstream = Upstream::on(([127, 0, 0, 1], 0).into());
    let host = upstream.address;
    let check = json!({
        "service_name": "s", "event_log_path": "stdout", "healthy_threshold": 2,
        "unhealthy_threshold": 3, "interval": "50ms", "initial_delay_seconds": "10ms",
        "timeout": "10s",
    });
    let home = Home::of(&checked(host, check));
    let mut process = home.started();

    let mut said = process.says(PASSED);
    upstream.stop();
    said += &process.says("health_status:0,current_result:0,status_changed:0");
    let upstream = Upstream::on(host);
    said += &process.says("health_status:1,current_result:1,status_changed:1");
    said += &process.says(PASSED);

    assert_eq!(
        digits(&said, host),
        ["110", "100", "001", "000", "010", "111", "110"],
        "{said}"
    );
    let below = |part: &str| said.matches(part).count();
    assert_eq!(below("health_status:1,current_result:0"), 2, "{said}");
    assert_eq!(below("health_status:0,current_result:1"), 1, "{said}");
    upstream.stop();
}

#[test]
fn a_log_of_objects_goes_to_a_file_that_is_reopened() {
    let upstream = Upstream::on(([127, 0, 0, 1], 0).into());
    let host = upstream.stop();
    let home = Home::new();
    let (log, moved) = (home.path("health/log"), home.path("health/log.1"));
    let check = json!({
        "service_name": "s", "event_log_path": log, "event_log_format": "json",
        "interval": "20ms", "initial_delay_seconds": "10ms", "timeout": "10s",
    });
    let configuration = checked(host, check).to_string();
    fs::write(home.path("conf/mosn.json"), configuration).expect("it is ours");
    let mut process = home.started();
    let lines = || fs::read_to_string(&log).unwrap_or_default().lines().count();
    process.makes("two results", || lines() >= 2);

    fs::rename(&log, &moved).expect("it is there");
    process.signal(Signal::SIGUSR1);
    process.makes("results in a new file", || lines() >= 1);

    let text = fs::read_to_string(&moved).expect("it was moved");
    for (count, line) in (1..).zip(text.lines()) {
        let object: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert_eq!(object["cluster"], "c", "{line}");
        assert_eq!(object["host"], host.to_string(), "{line}");
        assert_eq!(object["reason"], "connect refused", "{line}");
        assert_eq!(object["failures"], count, "{line}");
        assert_eq!(object["status_changed"], u8::from(count == 1), "{line}");
        assert!(object["duration_ms"].is_number(), "{line}");
    }
}

#[test]
fn a_log_that_cannot_be_opened_is_a_reason_not_to_start() {
    let home = Home::new();
    let check = json!({ "service_name": "s", "event_log_path": home.path("conf/mosn.json/log") });
    let configuration = checked(([127, 0, 0, 1], 9).into(), check).to_string();
    fs::write(home.path("conf/mosn.json"), configuration).expect("it is ours");
    let mut process = home.starting("start --log-output stderr");

    let (code, said) = process.ends();

    assert_ne!(code, Some(0));
    assert!(said.contains("health check log: cluster `c`: "), "{said}");
}
