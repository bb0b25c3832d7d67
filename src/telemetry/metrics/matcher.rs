//! Which metrics nobody wants to see (`metrics.stats_matcher`).

/// Which metrics nobody wants to see. They are counted all the same: what balances and drains
/// depends on them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatsMatcher {
    /// None is shown.
    pub reject_all: bool,
    /// Of objects with a label of these names none is shown.
    pub exclusion_labels: Vec<String>,
    /// Keys that no object shows.
    pub exclusion_keys: Vec<String>,
}

impl StatsMatcher {
    /// Whether objects with these labels are shown.
    #[must_use]
    pub fn shows(&self, labels: &[&str]) -> bool {
        let excluded = |label: &&str| self.exclusion_labels.iter().any(|name| name == label);
        !self.reject_all && !labels.iter().any(excluded)
    }

    /// Whether this key is shown of objects that are.
    #[must_use]
    pub fn shows_key(&self, key: &str) -> bool {
        !self.exclusion_keys.iter().any(|name| name == key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_excluded_by_label_or_key_is_not_shown() {
        let matcher = StatsMatcher {
            exclusion_labels: vec!["host".into()],
            exclusion_keys: vec!["request_reset".into()],
            ..StatsMatcher::default()
        };
        assert!(matcher.shows(&["cluster"]) && !matcher.shows(&["cluster", "host"]));
        assert!(matcher.shows_key("request_total") && !matcher.shows_key("request_reset"));
        let none = StatsMatcher {
            reject_all: true,
            ..StatsMatcher::default()
        };
        assert!(!none.shows(&[]));
    }
}
