//! The lines of a log of health checks.

use std::fmt::Display;
use std::io::Write;
use std::time::Duration;

use serde::Serialize;

/// What one probe found, as it is logged.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// When the result came, since 1970.
    pub time: Duration,
    /// The cluster.
    pub cluster: String,
    /// Its host, as the configuration writes it.
    pub host: String,
    /// Whether anything speaks against the host after this result.
    pub healthy: bool,
    /// Whether this probe passed.
    pub passed: bool,
    /// Whether this result turned what the check says of the host.
    pub changed: bool,
    /// What was found, in words.
    pub reason: String,
    /// How long the probe took.
    pub duration: Duration,
    /// How many results in a row were like this one.
    pub in_a_row: u32,
    /// When the first of those came, since 1970.
    pub first_seen: Duration,
}

impl Checked {
    /// Appends MOSN's line, without its line feed.
    pub fn write_text(&self, line: &mut Vec<u8>) {
        // Writing to a vector does not fail.
        let _infallible = write!(
            line,
            "time:{},host:{},health_status:{},current_result:{},status_changed:{}",
            self.time.as_secs(),
            self.host,
            u8::from(self.healthy),
            u8::from(self.passed),
            u8::from(self.changed),
        );
    }

    /// Appends the same as a JSON object, and more, without a line feed.
    pub fn write_json(&self, line: &mut Vec<u8>) {
        let (successes, failures) = match self.passed {
            true => (self.in_a_row, 0),
            false => (0, self.in_a_row),
        };
        let object = Object {
            time: self.time.as_secs(),
            cluster: &self.cluster,
            host: &self.host,
            health_status: self.healthy.into(),
            current_result: self.passed.into(),
            status_changed: self.changed.into(),
            reason: &self.reason,
            duration_ms: (self.duration.as_secs_f64() * 1e6).round() / 1e3,
            successes,
            failures,
            first_seen: self.first_seen.as_secs(),
        };
        let _infallible = serde_json::to_writer(line, &object);
    }
}

#[derive(Serialize)]
struct Object<'a> {
    time: u64,
    cluster: &'a str,
    host: &'a str,
    health_status: u8,
    current_result: u8,
    status_changed: u8,
    reason: &'a str,
    duration_ms: f64,
    successes: u32,
    failures: u32,
    first_seen: u64,
}

/// A duration as a sentence has it: `1 s`, `250 ms`, `1.5 s`.
#[must_use]
pub fn in_words(duration: Duration) -> impl Display {
    match duration {
        short if short < Duration::from_secs(1) => format!("{} ms", short.as_secs_f64() * 1e3),
        long => format!("{} s", long.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked() -> Checked {
        Checked {
            time: Duration::from_millis(1_672_987_413_999),
            cluster: "origins".to_owned(),
            host: "127.0.0.1:8080".to_owned(),
            healthy: true,
            passed: true,
            changed: false,
            reason: "status 200".to_owned(),
            duration: Duration::from_nanos(1_234_567),
            in_a_row: 7,
            first_seen: Duration::from_secs(1_672_987_323),
        }
    }

    #[test]
    fn the_text_is_that_of_mosn() {
        for (healthy, passed, changed, digits) in [
            (true, true, false, ["1", "1", "0"]),
            (false, false, true, ["0", "0", "1"]),
            (true, false, false, ["1", "0", "0"]),
            (false, true, false, ["0", "1", "0"]),
        ] {
            let [status, result, turned] = digits;
            let mut line = Vec::new();
            Checked {
                healthy,
                passed,
                changed,
                ..checked()
            }
            .write_text(&mut line);
            assert_eq!(
                String::from_utf8(line).unwrap(),
                format!(
                    "time:1672987413,host:127.0.0.1:8080,health_status:{status},\
                     current_result:{result},status_changed:{turned}"
                )
            );
        }
    }

    #[test]
    fn json_says_more() {
        let mut line = Vec::new();
        checked().write_json(&mut line);
        assert_eq!(
            String::from_utf8(line).unwrap(),
            "{\"time\":1672987413,\"cluster\":\"origins\",\"host\":\"127.0.0.1:8080\",\
             \"health_status\":1,\"current_result\":1,\"status_changed\":0,\
             \"reason\":\"status 200\",\"duration_ms\":1.235,\"successes\":7,\"failures\":0,\
             \"first_seen\":1672987323}"
        );
        let mut line = Vec::new();
        Checked {
            passed: false,
            reason: "said \"no\"\n".to_owned(),
            ..checked()
        }
        .write_json(&mut line);
        let object: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(object["reason"], "said \"no\"\n");
        assert_eq!(
            (&object["successes"], &object["failures"]),
            (&0.into(), &7.into())
        );
    }

    #[test]
    fn durations_read_as_a_person_says_them() {
        for (millis, words) in [
            (1_000, "1 s"),
            (250, "250 ms"),
            (1_500, "1.5 s"),
            (30_000, "30 s"),
        ] {
            assert_eq!(in_words(Duration::from_millis(millis)).to_string(), words);
        }
    }
}
