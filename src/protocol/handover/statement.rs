//! What a process has counted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::telemetry::tally::Tally;

/// Whose counts they are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whose {
    /// A listener's, by its name.
    Listener(String),
    /// Those of all listeners that were taken down.
    PastListeners,
    /// A cluster's, beside those of its hosts.
    Cluster(String),
    /// A host's, by its cluster, and by its address as a configuration writes it.
    Host(String, String),
    /// Those of all hosts that a cluster has lost.
    PastHosts(String),
}

/// What a process has counted: in all since it was started, and before that by the processes that it
/// has taken over from. To hear it twice is to hear it once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Statement(pub Vec<(Whose, Tally)>);

impl Statement {
    /// The same in parts of at most so many, so that each fits into a message.
    #[must_use]
    pub fn parts(self, most: usize) -> Vec<Self> {
        let mut parts = Vec::new();
        let mut rest = self.0.into_iter().peekable();
        while rest.peek().is_some() {
            parts.push(Self(rest.by_ref().take(most).collect()));
        }
        parts
    }
}

/// What one process has told the other so far, as both of them keep it.
#[derive(Debug, Default)]
pub struct Told(BTreeMap<Whose, Tally>);

impl Told {
    /// Notes what has been counted in all; what is new in it, if anything is.
    pub fn note(&mut self, whose: &Whose, all: &Tally) -> Option<Tally> {
        let before = self.0.entry(whose.clone()).or_default();
        let more = all.since(before);
        before.join(&more);
        (!more.is_empty()).then_some(more)
    }

    /// What has been told of the hosts of a cluster, all together; also of those that it has lost
    /// since.
    #[must_use]
    pub fn of_hosts(&self, cluster: &str) -> Tally {
        let first = Whose::Host(cluster.to_owned(), String::new());
        let hosts = self.0.range(first..);
        let hosts = hosts
            .take_while(|(whose, _)| matches!(whose, Whose::Host(of, _) if of.as_str() == cluster));
        let mut sum = Tally::default();
        hosts.for_each(|(_, tally)| sum.join(tally));
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(count: u64) -> Tally {
        let mut tally = Tally::default();
        tally.more("requests", count);
        tally
    }

    fn host(cluster: &str, address: &str) -> Whose {
        Whose::Host(cluster.to_owned(), address.to_owned())
    }

    #[test]
    fn only_what_is_new_is_new_and_nothing_is_so_twice() {
        let mut told = Told::default();
        let a = host("c", "a");
        assert_eq!(told.note(&a, &tally(3)), Some(tally(3)));
        assert_eq!(told.note(&a, &tally(3)), None);
        assert_eq!(told.note(&a, &tally(5)), Some(tally(2)));
        // A host that has come back counts anew, and what it has counted before stays.
        assert_eq!(told.note(&a, &tally(1)), None);
        assert_eq!(told.note(&a, &tally(6)), Some(tally(1)));
    }

    #[test]
    fn hosts_are_summed_by_cluster() {
        let mut told = Told::default();
        for whose in [
            host("b", "z"),
            host("c", "a"),
            host("c", "b"),
            host("cc", "a"),
            Whose::Cluster("c".to_owned()),
            Whose::PastHosts("c".to_owned()),
        ] {
            let _new = told.note(&whose, &tally(1));
        }
        assert_eq!(told.of_hosts("c"), tally(2));
        assert!(told.of_hosts("d").is_empty());
    }

    #[test]
    fn parts_are_bounded_and_make_up_the_whole() {
        let entries = (0..23).map(|n| (host("c", &n.to_string()), tally(n + 1)));
        let whole = Statement(entries.collect());
        let parts = whole.clone().parts(7);
        assert_eq!(parts.len(), 4);
        assert!(parts.iter().all(|part| part.0.len() <= 7));
        let joined = parts.into_iter().flat_map(|part| part.0).collect();
        assert_eq!(Statement(joined), whole);
        assert_eq!(Statement::default().parts(7), []);
    }
}
