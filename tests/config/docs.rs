//! The manual keeps up with the code.

use banyan::config::Code;

#[test]
fn the_manual_explains_every_code() {
    let manual = include_str!("../../docs/configuration.md");
    let mut listed = manual
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    for code in Code::ALL {
        assert!(
            listed.any(|(name, _)| name == code.as_str()),
            "{code} is missing or out of order"
        );
    }
}
