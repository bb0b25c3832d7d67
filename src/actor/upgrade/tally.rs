//! What has moved to the successor and what has not, as the log tells it.

use std::collections::BTreeMap;
use std::fmt;

/// Reasons to stay that are told apart.
const REASONS: usize = 8;

/// What moves, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Framed,
    Idle,
    Pair,
    Shared,
}

/// What has moved, and what has not.
#[derive(Debug, Default)]
pub(super) struct Tally {
    framed: u64,
    pairs: u64,
    /// Those to hosts that were idle.
    idle: u64,
    /// Those to hosts that requests share.
    shared: u64,
    stayed: BTreeMap<String, u64>,
    /// Idle ones that the successor has no use for.
    closed: u64,
    /// Shared ones of that kind.
    shared_closed: u64,
}

impl Tally {
    pub(super) fn moved(&mut self, class: Class) {
        match class {
            Class::Framed => self.framed += 1,
            Class::Idle => self.idle += 1,
            Class::Pair => self.pairs += 1,
            Class::Shared => self.shared += 1,
        }
    }

    /// Counts one; the reason if it is the first with that.
    pub(super) fn stayed(&mut self, class: Class, reason: String) -> Option<String> {
        let closed = match class {
            Class::Idle => Some(&mut self.closed),
            Class::Shared => Some(&mut self.shared_closed),
            Class::Framed | Class::Pair => None,
        };
        if let Some(closed) = closed {
            *closed += 1;
            return None;
        }
        let is_known = self.stayed.contains_key(&reason);
        let reason = match is_known || self.stayed.len() < REASONS {
            true => reason,
            false => "other reasons".to_owned(),
        };
        let count = self.stayed.entry(reason.clone()).or_default();
        *count += 1;
        (*count == 1).then_some(reason)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { framed, pairs, .. } = self;
        let (moved, stayed) = (framed + pairs, self.stayed.values().sum::<u64>());
        write!(
            f,
            "moved {moved} connections ({framed} between requests, {pairs} relays), {stayed} stayed"
        )?;
        for (index, (reason, count)) in self.stayed.iter().enumerate() {
            let sign = if index == 0 { ':' } else { ',' };
            write!(f, "{sign} {count} since {reason}")?;
        }
        if self.idle + self.closed > 0 {
            let Self { idle, closed, .. } = self;
            write!(f, "; of idle ones to hosts {idle} moved, {closed} closed")?;
        }
        let (shared, closed) = (self.shared, self.shared_closed);
        if shared + closed > 0 {
            write!(
                f,
                "; of shared ones to hosts {shared} moved, {closed} closed"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_moved_is_told_in_a_sentence_and_reasons_are_bounded() {
        let mut tally = Tally::default();
        for class in [Class::Framed, Class::Pair, Class::Framed] {
            tally.moved(class);
        }
        assert_eq!(
            tally.to_string(),
            "moved 3 connections (2 between requests, 1 relays), 0 stayed"
        );
        let mut stays = |reason: &str| tally.stayed(Class::Framed, reason.to_owned());
        assert!(stays("its host is not there").is_some());
        assert!(stays("its host is not there").is_none());
        assert!(stays("the connection limit is reached").is_some());
        assert!(tally.to_string().ends_with(
            "3 stayed: 2 since its host is not there, 1 since the connection limit is reached"
        ));

        tally.moved(Class::Idle);
        let idle = tally.stayed(Class::Idle, "its host is not there".to_owned());
        assert_eq!(idle, None);
        let idle = "; of idle ones to hosts 1 moved, 1 closed";
        assert!(tally.to_string().ends_with(idle));
        tally.moved(Class::Shared);
        let shared = "; of shared ones to hosts 1 moved, 0 closed";
        assert!(tally.to_string().ends_with(shared));
        let said = (0..100).filter_map(|number| tally.stayed(Class::Pair, number.to_string()));
        assert_eq!(said.count(), REASONS - 2 + 1);

        assert_eq!(tally.stayed.len(), REASONS + 1);
        assert_eq!(tally.stayed.values().sum::<u64>(), 103);
    }
}
