//! The last few versions that ran.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;

use super::proposal::Entry;
use crate::config::Configuration;

/// Versions that are kept in memory. Each may hold a large document.
const KEPT: usize = 16;

/// The versions that ran.
#[derive(Default)]
pub(super) struct History {
    kept: VecDeque<(Entry, Configuration)>,
}

impl History {
    /// Notes a version that runs now; the eldest is forgotten.
    pub(super) fn note(&mut self, entry: Entry, configuration: Configuration) {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back((entry, configuration));
    }

    pub(super) fn find(&self, version: u64) -> Option<Configuration> {
        let found = self.kept.iter().find(|(entry, _)| entry.version == version);
        found.map(|(_, configuration)| configuration.clone())
    }

    /// All of them, the eldest first.
    pub(super) fn entries(&self) -> Vec<Entry> {
        self.kept.iter().map(|(entry, _)| entry.clone()).collect()
    }
}

/// A version that begins to run now.
pub(super) fn entry(version: u64, now: SystemTime, by: &Arc<str>, changes: Vec<String>) -> Entry {
    let at = jiff::Timestamp::try_from(now).unwrap_or_default();
    // Whole seconds are what people compare.
    let at = jiff::Timestamp::from_second(at.as_second())
        .unwrap_or(at)
        .to_string();
    Entry {
        version,
        at,
        by: Arc::clone(by),
        changes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eldest_version_is_forgotten_first() {
        let mut history = History::default();
        for version in 1..=20 {
            let entry = entry(version, SystemTime::UNIX_EPOCH, &"me".into(), Vec::new());
            history.note(entry, Configuration::default());
        }
        let versions: Vec<_> = history
            .entries()
            .iter()
            .map(|entry| entry.version)
            .collect();
        assert_eq!(versions, (5..=20).collect::<Vec<_>>());
        assert!(history.find(4).is_none() && history.find(5).is_some());
        assert_eq!(history.entries()[0].at, "1970-01-01T00:00:00Z");
    }
}
