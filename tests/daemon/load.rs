//! `banyan load` and `banyan origin`, each against the other.

use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::home::Process;

pub(crate) fn command(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_banyan"));
    command.env_clear().args(line.split_whitespace());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// An origin, and where it listens.
pub(crate) struct Origin {
    process: Process,
    pub(crate) address: String,
}

impl Origin {
    pub(crate) fn start(line: &str) -> Self {
        let mut process = Process::of(&mut command(&format!("origin {line}")));
        let said = process.says_part("listening on ");
        let (_, address) = said.trim().rsplit_once(' ').expect("it says where");
        Self {
            address: address.to_owned(),
            process,
        }
    }

    /// What a load of `line` reports, and how it ended.
    fn loaded(&self, scheme: &str, line: &str) -> (Value, Option<i32>) {
        let line = format!("load --json -q {line} {scheme}://{}", self.address);
        let output = command(&line).output().expect("it runs");
        let told = String::from_utf8_lossy(&output.stderr);
        let report = serde_json::from_slice(&output.stdout);
        (report.expect(&told), output.status.code())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_fixed_rate_is_kept_and_reported_in_the_layout_of_sofaload() {
    let mut origin = Origin::start("http --body-size 1000");
    let line = format!("load -n 150 --qps=500 -c20 -t2 http://{}/x", origin.address);
    let output = command(&line).output().expect("it runs");
    let told = text(&output.stdout);
    for part in [
        "starting benchmark...\nApplication protocol: http/1.1\n\nfinished in ",
        "\nrequests: 150 total, 150 started, 150 done, 150 succeeded, 0 failed, 0 errored, 0 timeout\n",
        "\nstatus codes: 150 2xx, 0 3xx, 0 4xx, 0 5xx\n",
        "(150000) data\n                     min         max         mean         sd        +/- sd\n",
        "\ntime for request: ",
        "\ntime for connect: ",
        "\nreq/s           : ",
        "\n\n  Latency  Distribution\n   50% ",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    assert_eq!(output.status.code(), Some(0));

    origin.process.signal(Signal::SIGTERM);
    let (code, said) = origin.process.ends();
    assert_eq!(
        (code, &*said),
        (Some(0), "150 requests on 20 connections\n")
    );
}

#[test]
fn the_report_s_benchmark_has_its_figures() {
    let origin = Origin::start("bolt");
    let line = format!(
        "load -q -D 1 --qps=200 -c 20 -t 2 -p sofarpc sofarpc://{}",
        origin.address
    );
    let output = command(&line).output().expect("it runs");
    let told = text(&output.stdout);
    for part in [
        "\nrequests: 200 total, 200 started, 200 done, 200 succeeded, 0 failed, 0 errored, 0 timeout\n",
        "\nsofaRPC status codes: \n\t200 success, 0 error, 0 server exception, 0 unknown\n",
        // A hundredth of the report's: 1,264 bytes each, of which 20 are the head's.
        "(252800) total, 3.91KB (4000) headers (space savings 0.00%), 242.97KB (248800) data\n",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
}

#[test]
fn answers_find_their_requests_in_any_order() {
    let origin = Origin::start("bolt --delay 30ms --answer-out-of-order --error-rate 0.5");
    let (report, code) = origin.loaded("sofarpc", "-n 600 -c 3 -m 50");
    let statuses = &report["statuses"];
    let count = |status: &str| statuses[status].as_u64().unwrap_or(0);
    assert_eq!(count("0") + count("2"), 600, "{report}");
    assert_eq!((report["late_answers"].as_u64(), code), (Some(0), Some(0)));
    assert!(count("2") > 100 && count("0") > 100, "{report}");
}

#[test]
fn closed_loops_make_as_many_requests_as_they_are_told() {
    let http = Origin::start("http");
    let (report, code) = http.loaded("http", "-n 333 -c 7 -t 3 -m 5 --body-size 10");
    assert_eq!(report["requests"]["succeeded"], 333, "{report}");
    assert_eq!(
        (&report["statuses"]["200"], code),
        (&Value::from(333), Some(0))
    );
    assert_eq!(report["traffic"]["data"], 333 * 1024);

    let tcp = Origin::start("tcp");
    let (report, code) = tcp.loaded("tcp", "-n 50 -c 5 --body-size 200K");
    assert_eq!(
        (&report["requests"]["succeeded"], code),
        (&Value::from(50), Some(0))
    );
    assert_eq!(report["traffic"]["total"], 50 * 200 * 1024);
}

#[test]
fn who_waits_for_a_turn_waits_since_it_was_due() {
    let origin = Origin::start("tcp --delay 20ms");
    // Fifty answers a second at most, where two hundred are asked for.
    let (report, _) = origin.loaded("tcp", "-n 20 --qps 200 -c 1");
    let latency = &report["latency_microseconds"];
    assert_eq!(report["requests"]["succeeded"], 20);
    assert!(latency["min"].as_f64() >= Some(20_000.0), "{report}");
    // The last is due after 95 ms and answered after 400.
    assert!(latency["max"].as_f64() >= Some(300_000.0), "{report}");
}

#[test]
fn every_error_is_counted_by_its_kind_and_nothing_but_errors_is_a_failure() {
    for (origin, scheme, kind) in [
        ("tcp --error-rate 1", "tcp", "closed_early"),
        ("tcp --delay 60s", "tcp", "timeout"),
        ("bolt --delay 60s", "sofarpc", "timeout"),
        ("tcp", "http", "bad_answer"),
        ("tcp", "sofarpc", "bad_answer"),
    ] {
        let origin = Origin::start(origin);
        let (report, code) = origin.loaded(scheme, "-n 6 -c 2 --timeout 200ms");
        assert_eq!(report["troubles"][kind], 6, "{report}");
        assert_eq!(report["requests"]["failed"], 6, "{report}");
        assert_eq!(code, Some(1), "{report}");
    }
    let http = Origin::start("http --error-rate 1");
    let (report, code) = http.loaded("http", "-n 6 -c 2");
    assert_eq!(
        (&report["statuses"]["500"], code),
        (&Value::from(6), Some(1))
    );

    let mut gone = Origin::start("tcp");
    gone.process.signal(Signal::SIGTERM);
    assert_eq!(gone.process.code(), Some(0));
    let (report, code) = gone.loaded("tcp", "-D 60 --qps 10 -c 2");
    assert_eq!(
        (&report["troubles"]["connect_refused"], code),
        (&Value::from(2), Some(1))
    );
}

#[test]
fn a_load_that_is_stopped_reports_what_it_has_measured() {
    let origin = Origin::start("bolt");
    for (stop, pace) in [
        (Signal::SIGINT, "--qps 200"),
        (Signal::SIGTERM, "--warm-up-time 1ms"),
    ] {
        let line = format!("load -D 60 {pace} -c 4 -t 2 sofarpc://{}", origin.address);
        let mut load = Process::of(&mut command(&line));
        load.says_part(" done, ");
        load.signal(stop);
        let (code, told) = load.ends();
        let requests = told.lines().find(|line| line.starts_with("requests: "));
        let requests = requests.unwrap_or_else(|| panic!("no report: {told}"));
        assert!(!requests.contains(" 0 succeeded"), "{told}");
        assert!(requests.contains(" 0 failed, 0 errored"), "{told}");
        // A minute was wanted, and is not what the rate is reckoned by.
        assert!(!told.contains("finished in 60"), "{told}");
        assert_eq!(code, Some(0), "{told}");
    }
}

#[test]
fn an_origin_that_dies_makes_no_load_shorter_than_it_was() {
    let origin = Origin::start("bolt");
    let line = format!("load --json -D 1500ms -c 2 sofarpc://{}", origin.address);
    let mut load = Process::of(&mut command(&line));
    load.says_part(" done, ");
    origin.process.signal(Signal::SIGKILL);
    let (code, told) = load.ends();
    let report: Value = serde_json::from_str(&told).unwrap_or_else(|_| panic!("{told}"));
    let lasted = report["duration_seconds"].as_f64();
    // It tries once a second at least.
    assert!(lasted > Some(1.1), "{told}");
    assert_eq!(code, Some(0), "{told}");
}

#[test]
fn latencies_go_to_a_file_and_progress_to_stderr() {
    let origin = Origin::start("http");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("latencies");
    let line = format!(
        "load -D 1500ms --warm-up-time 200ms --qps 100 --histogram {} http://{}",
        file.display(),
        origin.address
    );
    let output = command(&line).output().expect("it runs");
    assert!(
        text(&output.stderr).contains(" done, "),
        "{}",
        text(&output.stderr)
    );
    assert!(
        text(&output.stdout).contains("requests: 150 total"),
        "{}",
        text(&output.stdout)
    );
    let written = std::fs::read_to_string(file).expect("it was written");
    assert!(
        written.contains("Percentile TotalCount 1/(1-Percentile)"),
        "{written}"
    );
    assert!(
        written.contains("Total count    =          150]"),
        "{written}"
    );
}

#[test]
fn what_makes_no_load_is_a_usage_error_with_a_reason() {
    for (line, reason) in [
        ("load http://a --qps 5", "--qps needs --duration"),
        (
            "load -t 3 -c 2 http://127.0.0.1:1",
            "3 threads need 3 connections",
        ),
        ("load -p tcp http://127.0.0.1:1", "the URI says http/1.1"),
        ("load -p h2 http://127.0.0.1:1", "none of sofarpc, "),
        ("load -D 0 http://127.0.0.1:1", "--duration is nothing"),
        ("load 127.0.0.1:1", "no scheme"),
        ("load -H a http://127.0.0.1:1", "a `:` is missing"),
        ("load -H host:a tcp://127.0.0.1:1", "tcp has no header"),
        ("origin tcp --body-size 4", "tcp sends back what it gets"),
        ("origin http --error-rate 2", "no share"),
        ("origin gopher", "gopher"),
        (
            "origin http --delay 1s --answer-out-of-order",
            "only answers of bolt",
        ),
        ("origin bolt --answer-out-of-order", "--delay"),
    ] {
        let output = command(line).output().expect("it runs");
        let told = text(&output.stderr);
        assert!(told.contains(reason), "{line}: {told}");
        assert_eq!(output.status.code(), Some(64), "{line}: {told}");
    }
}
