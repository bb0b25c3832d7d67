//! What was counted, by name: as one process tells it to the one that goes on counting.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};

use super::metrics::{Histogram, Spread};

type Name = Cow<'static, str>;

/// Counters with which another process goes on. Their names are part of what processes tell each
/// other, so they stay.
pub trait Carried {
    /// Shows each counter with its name.
    fn each(&self, show: &mut dyn FnMut(&'static str, &AtomicU64));

    /// Shows each histogram that there is with its name (default: none).
    fn each_histogram(&self, _show: &mut dyn FnMut(&'static str, &Histogram)) {}

    /// Makes room for what is about to be credited (default: there is room).
    fn prepare(&self, _tally: &Tally) {}

    /// The histogram of that name, which is made if need be (default: none).
    fn histogram(&self, _name: &str) -> Option<&Histogram> {
        None
    }
}

/// What was counted, by name. What is not there is zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    counts: BTreeMap<Name, u64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    spreads: BTreeMap<Name, Spread>,
}

impl Tally {
    /// What these counters have counted until now.
    pub fn of(counters: &dyn Carried) -> Self {
        let mut tally = Self::default();
        tally.count(counters);
        tally
    }

    /// Takes in what these counters have counted until now.
    pub fn count(&mut self, counters: &dyn Carried) {
        counters.each(&mut |name, counter| self.more(name, counter.load(Relaxed)));
        counters.each_histogram(&mut |name, histogram| {
            let spread = Spread::of(histogram);
            if !spread.is_empty() {
                self.spread(Cow::Borrowed(name)).join(&spread);
            }
        });
    }

    /// Takes in so many more of one kind.
    pub fn more(&mut self, name: &'static str, count: u64) {
        if count > 0 {
            self.add(Cow::Borrowed(name), count);
        }
    }

    fn add(&mut self, name: Name, count: u64) {
        let sum = self.counts.entry(name).or_default();
        *sum = sum.saturating_add(count);
    }

    fn spread(&mut self, name: Name) -> &mut Spread {
        self.spreads.entry(name).or_default()
    }

    /// Takes in another one.
    pub fn join(&mut self, other: &Self) {
        for (name, count) in &other.counts {
            self.add(name.clone(), *count);
        }
        for (name, spread) in &other.spreads {
            self.spread(name.clone()).join(spread);
        }
    }

    /// What this has more than an earlier one.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let more = |(name, count): (&Name, &u64)| {
            let before = earlier.counts.get(name).copied().unwrap_or_default();
            let more = count.saturating_sub(before);
            (more > 0).then(|| (name.clone(), more))
        };
        let wider = |(name, spread): (&Name, &Spread)| {
            let more = match earlier.spreads.get(name) {
                Some(before) => spread.since(before),
                None => spread.clone(),
            };
            (!more.is_empty()).then(|| (name.clone(), more))
        };
        Self {
            counts: self.counts.iter().filter_map(more).collect(),
            spreads: self.spreads.iter().filter_map(wider).collect(),
        }
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty() && self.spreads.is_empty()
    }

    /// How many of this kind.
    #[must_use]
    pub fn count_of(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or_default()
    }

    /// Has `counters` count this, too. Names that they do not know are left out.
    pub fn credit(&self, counters: &dyn Carried) {
        counters.prepare(self);
        counters.each(&mut |name, counter| {
            let more = self.count_of(name);
            if more > 0 {
                counter.fetch_add(more, Relaxed);
            }
        });
        for (name, spread) in &self.spreads {
            if let Some(histogram) = counters.histogram(name) {
                spread.credit(histogram);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::counters::HttpCounters;
    use super::*;

    const TIME: Duration = Duration::from_micros(7);

    fn busy(requests: u32) -> HttpCounters {
        let counters = HttpCounters::default();
        for number in 1..=requests {
            counters.begin();
            counters.end(200, TIME * number, TIME);
        }
        counters
    }

    #[test]
    fn counters_that_are_credited_have_counted_the_same() {
        let tally = Tally::of(&busy(3));
        let told = serde_json::to_string(&tally).unwrap();
        let heard: Tally = serde_json::from_str(&told).unwrap();
        assert_eq!(heard, tally);

        let counters = busy(2);
        heard.credit(&counters);

        let mut both = Tally::of(&busy(2));
        both.join(&tally);
        assert_eq!(Tally::of(&counters), both);
        assert_eq!(both.count_of("requests"), 5);
    }

    #[test]
    fn a_difference_has_what_is_new_and_nothing_else() {
        let (before, after) = (Tally::of(&busy(3)), Tally::of(&busy(5)));
        let more = after.since(&before);
        assert_eq!(more.count_of("requests"), 2);
        assert_eq!(more.count_of("requests_reset"), 0);
        assert!(after.since(&after).is_empty() && before.since(&after).is_empty());

        let mut sum = before.clone();
        sum.join(&more);
        assert_eq!(sum, after);
    }

    #[test]
    fn names_that_nobody_knows_are_left_out() {
        let strange = r#"{"counts":{"flights":7,"requests":1},"spreads":{"heights":{"least":1,"most":2,"counts":[[1,1]]}}}"#;
        let tally: Tally = serde_json::from_str(strange).unwrap();
        let counters = HttpCounters::default();
        tally.credit(&counters);
        assert_eq!(Tally::of(&counters).count_of("requests"), 1);
        assert_eq!(Tally::of(&counters).count_of("flights"), 0);
    }
}
