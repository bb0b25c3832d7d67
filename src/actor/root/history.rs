//! The last few versions that ran.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;

use super::proposal::Entry;
use crate::config::Configuration;
use crate::protocol::handover::VersionOffer;

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

/// The number of the version with which a process begins that knows versions up to `before`, and
/// whose document has this digest.
///
/// Whoever has read a number in the predecessor may require it here: the same number is the same
/// configuration, and another one has a number that the predecessor never had.
pub(super) fn first(before: u64, predecessor: Option<VersionOffer>, digest: Option<u64>) -> u64 {
    match predecessor {
        Some(theirs) if theirs.digest.is_some() && theirs.digest == digest => theirs.number,
        Some(theirs) => theirs.number.max(before) + 1,
        None => before + 1,
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
    fn a_number_means_one_configuration_over_upgrades() {
        let theirs = |number, digest| Some(VersionOffer { number, digest });
        for (before, predecessor, digest, expected) in [
            (0, None, Some(1), 1),
            (7, None, Some(1), 8),
            (0, theirs(5, Some(1)), Some(1), 5),
            (5, theirs(5, Some(1)), Some(1), 5),
            (0, theirs(5, Some(1)), Some(2), 6),
            (7, theirs(5, Some(1)), Some(2), 8),
            // Without documents nobody can tell.
            (0, theirs(5, None), None, 6),
            (0, theirs(5, Some(1)), None, 6),
        ] {
            let found = first(before, predecessor, digest);
            assert_eq!(found, expected, "{before} {predecessor:?} {digest:?}");
        }
    }

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
