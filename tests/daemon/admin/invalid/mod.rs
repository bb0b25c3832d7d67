//! Changes that must not be: each leaves what runs as it is, byte by byte, and explains itself.

mod forms;
mod values;

use super::{Admin, configuration};
use crate::http::ask;

/// Method, target, body, and what the answer must say.
type Invalid = (&'static str, &'static str, &'static str, &'static str);

#[test]
fn every_invalid_change_leaves_everything_as_it_is_and_explains_itself() {
    let invalid = [forms::FORMS, values::VALUES].concat();
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
    for (method, target, body, says) in invalid {
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
