//! Changes that must not be: each leaves what runs as it is, byte by byte, and explains itself.

use super::{Admin, configuration};
use crate::http::ask;

/// Comments begin with `#`; a call is a line `> METHOD TARGET`, its body if it has one, and a line
/// `! ` with what the answer must say.
const CALLS: &str = include_str!("invalid.txt");

/// A change, and what its refusal says.
struct Invalid {
    method: &'static str,
    target: &'static str,
    body: &'static str,
    says: &'static str,
}

fn invalid() -> Vec<Invalid> {
    let mut lines = CALLS
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut all = Vec::new();
    while let Some(call) = lines.next() {
        let call = call.strip_prefix("> ").expect("a call begins here");
        let (method, target) = call.split_once(' ').expect("a method and a target");
        let next = lines.next().expect("a body, or what is said");
        let (body, said) = match next.starts_with("! ") {
            true => ("", next),
            false => (next, lines.next().expect("what is said")),
        };
        let says = said.strip_prefix("! ").expect("what is said");
        all.push(Invalid {
            method,
            target,
            body,
            says,
        });
    }
    all
}

#[test]
fn every_invalid_change_leaves_everything_as_it_is_and_explains_itself() {
    let invalid = invalid();
    assert!(invalid.len() >= 80, "{}", invalid.len());
    let admin = Admin::of(&configuration(), "");
    let state = || {
        let status = admin.get("/api/v2/status").json();
        let addresses: Vec<_> = status["listeners"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|listener| listener["address"].to_string())
            .collect();
        (admin.dump(), status["version"].clone(), addresses)
    };
    let before = state();
    for Invalid {
        method,
        target,
        body,
        says,
    } in invalid
    {
        let answer = ask(admin.address, method, target, "", body);
        let call = format!(
            "{method} {target} {body}: {} {}",
            answer.status, answer.body
        );
        assert!((400..500).contains(&answer.status), "{call}");
        let said = answer.body.contains(says) || answer.body.contains(&says.replace("\\\"", "\""));
        assert!(said, "{call} does not say {says}");
        assert!(state() == before, "{call} changed something");
    }
}
