//! The commands that ask the running process: status, reload, history and their like.

use std::fmt::Write;
use std::io::Read;
use std::path::PathBuf;

use serde_json::Value;

use super::arguments::{Change, Place, Terms, Version};
use super::client::{Answer, ask, segment};
use super::paths::ControlPaths;
use super::start::absolute;
use super::{Exit, print};
use crate::config;

/// The control socket in its directory.
pub(super) const SOCKET: &str = "banyan.sock";

/// The largest file of edits.
const LARGEST: u64 = 16 << 20;

impl Place {
    /// Where the process of that configuration has its socket. A configuration that is wrong now may
    /// have been right when the process started: then its directory is taken.
    fn socket(&self) -> PathBuf {
        let control_dir = self.control_dir.clone();
        let directory = control_dir.map(PathBuf::from).unwrap_or_else(|| {
            let loaded = config::load(&self.config.file);
            let server = loaded.plan.map(|plan| plan.server).unwrap_or_default();
            ControlPaths::of(&absolute(&self.config.file), &server).sockets
        });
        directory.join(SOCKET)
    }

    fn asks(&self, method: &str, target: &str, body: &[u8]) -> Result<Answer, Exit> {
        let socket = self.socket();
        let answered = ask(&socket, method, target, body);
        answered.map_err(|error| {
            let why = format!("no process answers at {}: {error}", socket.display());
            print::refuse(&why, Exit::Failed)
        })
    }

    /// What is answered to a question that has only one good answer.
    pub(super) fn asks_json(&self, method: &str, target: &str, body: &[u8]) -> Result<Value, Exit> {
        let answer = self.asks(method, target, body)?;
        let value: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        match answer.status {
            200 => Ok(value),
            _ => {
                let nothing = match method {
                    "GET" => "",
                    _ => "refused, nothing has changed: ",
                };
                let why = format!("{nothing}{}", refusal(&value, &answer));
                Err(print::refuse(&why, Exit::Failed))
            }
        }
    }
}

/// An error of the API as a person reads it.
fn refusal(value: &Value, answer: &Answer) -> String {
    let Some(message) = value["error"]["message"].as_str() else {
        return format!("the process answered {}: {}", answer.status, answer.body);
    };
    let mut text = message.to_owned();
    for finding in value["error"]["findings"].as_array().into_iter().flatten() {
        let part = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        let place = match finding["line"].as_u64() {
            Some(line) => format!("{}:{line}:{}: ", part("file"), finding["column"]),
            None => String::new(),
        };
        let _ = write!(
            text,
            "\n{place}{}[{}]: {}",
            part("severity"),
            part("code"),
            part("message")
        );
        let _ = write!(text, "\n  at: {}", part("path"));
        for key in ["found", "accepted"] {
            if let Some(said) = finding[key].as_str() {
                let _ = write!(text, "\n  {key}: {said}");
            }
        }
        if let Some(said) = finding["suggestion"].as_str() {
            let _ = write!(text, "\n  help: did you mean `{said}`?");
        }
    }
    text
}

impl Terms {
    fn query(&self) -> String {
        let mut query = String::from("?");
        if self.dry_run {
            query += "dry_run=true&";
        }
        if let Some(version) = self.require_version {
            query += &format!("version={version}&");
        }
        if let Some(time) = &self.confirm_within {
            query += &format!("confirm_within={}", segment(time));
        }
        query
    }
}

fn changed(place: &Place, target: &str, terms: &Terms, body: &[u8]) -> Exit {
    let target = format!("{target}{}", terms.query());
    let outcome = match place.asks_json("POST", &target, body) {
        Ok(outcome) => outcome,
        Err(exit) => return exit,
    };
    let mut text = lines(&outcome["changes"]);
    if text.is_empty() {
        text += "nothing changes\n";
    }
    for warning in outcome["warnings"].as_array().into_iter().flatten() {
        let part = |key: &str| warning[key].as_str().unwrap_or_default();
        let _ = writeln!(text, "warning: {}: {}", part("path"), part("message"));
    }
    let version = &outcome["version"];
    if terms.dry_run {
        let _ = writeln!(text, "version {version} still runs: this was a dry run");
    } else {
        let _ = writeln!(text, "version {version} runs");
    }
    if let Some(until) = outcome["confirm_until"].as_str() {
        let _ = writeln!(
            text,
            "it is rolled back at {until} unless `banyan confirm {version}` comes first"
        );
    }
    print::say(&text)
}

fn lines(array: &Value) -> String {
    let lines = array.as_array().into_iter().flatten();
    let lines = lines.filter_map(Value::as_str);
    lines.map(|line| format!("{line}\n")).collect()
}

/// `banyan reload`
#[must_use]
pub fn reload(place: &Place, terms: &Terms) -> Exit {
    changed(place, "/api/v2/reload", terms, b"")
}

/// `banyan rollback`
#[must_use]
pub fn rollback(version: u64, place: &Place, terms: &Terms) -> Exit {
    changed(place, &format!("/api/v2/rollback/{version}"), terms, b"")
}

/// `banyan change`
#[must_use]
pub fn change(arguments: &Change) -> Exit {
    let mut body = Vec::new();
    let read = match arguments.edits.to_str() {
        Some("-") => std::io::stdin().take(LARGEST).read_to_end(&mut body),
        _ => std::fs::File::open(&arguments.edits)
            .and_then(|file| file.take(LARGEST).read_to_end(&mut body)),
    };
    match read {
        Ok(_) => changed(&arguments.place, "/api/v2/changes", &arguments.terms, &body),
        Err(error) => {
            let why = format!("{}: {error}", arguments.edits.display());
            print::refuse(&why, Exit::Failed)
        }
    }
}

/// `banyan confirm`
#[must_use]
pub fn confirm(arguments: &Version<Place>) -> Exit {
    let version = arguments.version;
    let target = format!("/api/v2/confirm/{version}");
    match arguments.place.asks_json("POST", &target, b"") {
        Ok(_) => print::say(&format_args!("version {version} stays\n")),
        Err(exit) => exit,
    }
}

/// `banyan history`
#[must_use]
pub fn history(place: &Place) -> Exit {
    let entries = match place.asks_json("GET", "/api/v2/history", b"") {
        Ok(entries) => entries,
        Err(exit) => return exit,
    };
    let mut text = String::new();
    for entry in entries.as_array().into_iter().flatten() {
        let part = |key: &str| entry[key].as_str().unwrap_or_default();
        let _ = writeln!(
            text,
            "version {} since {} by {}",
            entry["version"],
            part("at"),
            part("by")
        );
        for line in lines(&entry["changes"]).lines() {
            let _ = writeln!(text, "  {line}");
        }
    }
    print::say(&text)
}

/// `banyan drift`: exits 1 when file and process differ.
#[must_use]
pub fn drift(place: &Place) -> Exit {
    let drift = match place.asks_json("GET", "/api/v2/drift", b"") {
        Ok(drift) => drift,
        Err(exit) => return exit,
    };
    if drift["drift"] != true {
        return print::say(&"the file says what runs\n");
    }
    let mut text = lines(&drift["changes"]);
    for finding in drift["findings"].as_array().into_iter().flatten() {
        let part = |key: &str| finding[key].as_str().unwrap_or_default();
        let _ = writeln!(
            text,
            "{}:{}:{}: {}",
            part("file"),
            finding["line"],
            finding["column"],
            part("message")
        );
    }
    match print::say(&text) {
        Exit::Normal => Exit::Failed,
        exit => exit,
    }
}

/// `banyan status`
#[must_use]
pub fn status(place: &Place, json: bool) -> Exit {
    let status = match place.asks_json("GET", "/api/v2/status", b"") {
        Ok(status) => status,
        Err(exit) => return exit,
    };
    if json {
        return print::say(&format_args!("{status:#}\n"));
    }
    print::say(&table(&status))
}

fn table(status: &Value) -> String {
    let mut text = format!(
        "pid {}, state {} ({}), version {}\n",
        status["pid"],
        status["state"],
        state(&status["state"]),
        status["version"]
    );
    if let Some(until) = status["confirm_until"].as_str() {
        let _ = writeln!(text, "rolled back at {until} unless it is confirmed");
    }
    let word = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    let mut rows = vec![["LISTENER", "ADDRESS", "OPEN", "ACCEPTED", "FAILED"].map(str::to_owned)];
    for listener in status["listeners"].as_array().into_iter().flatten() {
        let keys = [
            "name",
            "address",
            "connections_active",
            "connections_total",
            "connections_failed",
        ];
        rows.push(keys.map(|key| word(&listener[key])));
    }
    text += &aligned(&rows);
    let mut rows = vec![["CLUSTER", "HOST", "HEALTH", "OPEN", "REQUESTS"].map(str::to_owned)];
    for cluster in status["clusters"].as_array().into_iter().flatten() {
        let hosts = cluster["hosts"].as_array().map_or(&[][..], Vec::as_slice);
        if hosts.is_empty() {
            let name = word(&cluster["name"]);
            rows.push([name.as_str(), "no host", "-", "-", "-"].map(str::to_owned));
        }
        for host in hosts {
            rows.push([
                word(&cluster["name"]),
                word(&host["address"]),
                standing(host).to_owned(),
                word(&host["connections_active"]),
                word(&host["requests_total"]),
            ]);
        }
    }
    text + &aligned(&rows)
}

/// How a host stands, in a word.
fn standing(host: &Value) -> &'static str {
    let is = |key: &str| host[key] == true;
    match is("healthy") {
        _ if is("draining") => "draining",
        _ if is("ejected") => "ejected",
        true => "healthy",
        false => "unhealthy",
    }
}

/// MOSN's number of a state in words.
fn state(number: &Value) -> &'static str {
    match number.as_u64() {
        Some(6) => "running",
        Some(7) => "about to drain",
        Some(8) => "draining",
        Some(9..=11) => "ending",
        Some(13) => "handing over to another process",
        _ => "starting",
    }
}

fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<_> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_status_is_two_tables() {
        let status = json!({
            "pid": 7, "state": 6, "version": 3, "confirm_until": null,
            "listeners": [{ "name": "app", "address": "127.0.0.1:2047", "connections_active": 1,
                "connections_total": 20, "connections_failed": 0 }],
            "clusters": [
                { "name": "c", "hosts": [{ "address": "127.0.0.1:1", "healthy": false,
                    "connections_active": 0, "requests_total": 5 }] },
                { "name": "d", "hosts": [
                    { "address": "a:1", "healthy": true, "draining": true, "ejected": false,
                        "connections_active": 1, "requests_total": 2 },
                    { "address": "a:2", "healthy": false, "draining": false, "ejected": true,
                        "connections_active": 0, "requests_total": 0 },
                ] },
                { "name": "e", "hosts": [] },
            ],
        });
        assert_eq!(
            table(&status),
            "pid 7, state 6 (running), version 3\n\
             LISTENER  ADDRESS         OPEN  ACCEPTED  FAILED\n\
             app       127.0.0.1:2047  1     20        0\n\
             CLUSTER  HOST         HEALTH     OPEN  REQUESTS\n\
             c        127.0.0.1:1  unhealthy  0     5\n\
             d        a:1          draining   1     2\n\
             d        a:2          ejected    0     0\n\
             e        no host      -          -     -\n"
        );
    }
}
