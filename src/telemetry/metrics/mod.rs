//! What is told of the counts: which metrics there are, and how a scraper reads them.

mod catalogue;
mod histogram;
mod manual;
mod matcher;
mod object;
mod page;
mod process;
mod spread;

pub use catalogue::{CLUSTER, GLOBAL, HEALTH_CHECK, HOST, LISTENER, TABLES};
pub use histogram::{Distribution, Histogram};
pub use manual::{manual, names};
pub use matcher::StatsMatcher;
pub use object::{Kind, Metric, Object, Table, Value};
pub use page::{Page, name};
pub use spread::Spread;
