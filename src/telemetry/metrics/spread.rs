//! What a histogram has counted, without the buckets in which it counted nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::histogram::Histogram;

/// What a [`Histogram`] has counted, as one process tells it to another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// Nanoseconds of the shortest and the longest.
    least: u64,
    most: u64,
    /// By the nanoseconds from which on a bucket counts, so that the other process may have other
    /// buckets. As a list: keys of JSON are texts.
    #[serde(with = "list")]
    counts: BTreeMap<u64, u64>,
}

impl Spread {
    /// What it has counted until now.
    pub(in crate::telemetry) fn of(histogram: &Histogram) -> Self {
        let (least, most) = histogram.ends();
        Self {
            least,
            most,
            counts: histogram.counted().collect(),
        }
    }

    /// Whether nothing was counted.
    pub(in crate::telemetry) fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Takes in another one.
    pub(in crate::telemetry) fn join(&mut self, other: &Self) {
        if self.is_empty() {
            *self = other.clone();
            return;
        }
        self.least = self.least.min(other.least);
        self.most = self.most.max(other.most);
        for (from, count) in &other.counts {
            let sum = self.counts.entry(*from).or_default();
            *sum = sum.saturating_add(*count);
        }
    }

    /// What this has more than an earlier one. Which of those was the shortest is not known: the ends
    /// are those of all.
    pub(in crate::telemetry) fn since(&self, earlier: &Self) -> Self {
        let more = |(from, count): (&u64, &u64)| {
            let before = earlier.counts.get(from).copied().unwrap_or_default();
            let more = count.saturating_sub(before);
            (more > 0).then_some((*from, more))
        };
        Self {
            least: self.least,
            most: self.most,
            counts: self.counts.iter().filter_map(more).collect(),
        }
    }

    /// Has a histogram count this, too.
    pub(in crate::telemetry) fn credit(&self, histogram: &Histogram) {
        if self.is_empty() {
            return;
        }
        for (from, count) in &self.counts {
            histogram.credit(*from, *count);
        }
        histogram.reach(self.least, self.most);
    }
}

mod list {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        counts: &BTreeMap<u64, u64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(counts)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<u64, u64>, D::Error> {
        Vec::<(u64, u64)>::deserialize(deserializer).map(|list| list.into_iter().collect())
    }
}
