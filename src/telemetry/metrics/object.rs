//! A thing that is counted: its labels, and a value for each metric of its table.

use super::Distribution;

/// What metrics the objects of one kind have.
#[derive(Debug)]
pub struct Table {
    /// MOSN's type: what names begin with.
    pub kind: &'static str,
    /// Names of the labels, in the order of the alphabet.
    pub labels: &'static [&'static str],
    /// Its metrics, each key once.
    pub metrics: &'static [Metric],
}

/// One metric of a table.
#[derive(Debug)]
pub struct Metric {
    /// MOSN's key: what names end with.
    pub key: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// What it means, for people.
    pub help: &'static str,
}

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, until its object goes.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Nanoseconds: a least, a most and percentiles.
    Distribution,
}

/// A thing that is counted.
#[derive(Clone, Debug)]
pub struct Object {
    /// What it has.
    pub table: &'static Table,
    /// A value for each label of the table.
    pub labels: Vec<String>,
    /// A value for each metric of the table.
    pub values: Vec<Value>,
}

/// The value of a metric.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of a counter or a gauge.
    Count(u64),
    /// Of a distribution; `None` where nothing was counted yet.
    Spread(Option<Box<Distribution>>),
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

/// Copies only what has counted anything.
impl From<&Distribution> for Value {
    fn from(spread: &Distribution) -> Self {
        Self::Spread((!spread.is_empty()).then(|| Box::new(spread.clone())))
    }
}

pub(super) const fn counter(key: &'static str, help: &'static str) -> Metric {
    Metric {
        key,
        kind: Kind::Counter,
        help,
    }
}

pub(super) const fn gauge(key: &'static str, help: &'static str) -> Metric {
    Metric {
        key,
        kind: Kind::Gauge,
        help,
    }
}

pub(super) const fn distribution(key: &'static str, help: &'static str) -> Metric {
    Metric {
        key,
        kind: Kind::Distribution,
        help,
    }
}
