//! The first route of a virtual host that takes a request, found without asking each.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::Facts;
use super::fold::Room;
use super::matcher::{takes, takes_beside_path};
use crate::config::{Matcher, Route};

/// Routes that are asked one after the other: looking them up would touch more memory.
const FEW: usize = 4;

/// How the routes of a virtual host are asked.
#[derive(Debug)]
pub(super) enum Rules {
    InOrder,
    ByPath(Box<ByPath>),
}

impl Rules {
    pub(super) fn new(routes: &[Arc<Route>]) -> Self {
        match routes.len() {
            0..=FEW => Self::InOrder,
            _ => Self::ByPath(Box::new(ByPath::new(routes))),
        }
    }

    /// The first of `routes`, from which this was made, that takes the request.
    pub(super) fn find<'a>(
        &self,
        routes: &'a [Arc<Route>],
        facts: &impl Facts,
    ) -> Option<&'a Arc<Route>> {
        match self {
            Self::InOrder => routes.iter().find(|route| takes(&route.matcher, facts)),
            Self::ByPath(by_path) => by_path.find(routes, facts),
        }
    }
}

/// The routes of a virtual host by what they ask of the path.
///
/// Each part is asked only for routes that come before the best one so far, so the answer is that
/// of asking all of them in order.
#[derive(Debug, Default)]
pub(super) struct ByPath {
    /// By folded path: places in order.
    paths: HashMap<Box<[u8]>, Vec<usize>, RandomState>,
    prefixes: Prefixes,
    /// Those that ask other things, in order.
    others: Vec<usize>,
}

impl ByPath {
    fn new(routes: &[Arc<Route>]) -> Self {
        let mut rules = Self::default();
        let mut prefixes = HashMap::<&str, Vec<usize>>::new();
        for (at, route) in routes.iter().enumerate() {
            match &route.matcher {
                Matcher::Path(path, _) => {
                    let path = Room::new().folded(path.as_bytes()).into();
                    rules.paths.entry(path).or_default().push(at);
                }
                Matcher::Prefix(prefix, _) => prefixes.entry(prefix).or_default().push(at),
                Matcher::Never => {}
                Matcher::Regex(..)
                | Matcher::Variables(_)
                | Matcher::Service(_)
                | Matcher::Fields(_) => rules.others.push(at),
            }
        }
        rules.prefixes = Prefixes::new(prefixes);
        rules
    }

    fn find<'a>(&self, routes: &'a [Arc<Route>], facts: &impl Facts) -> Option<&'a Arc<Route>> {
        let path = facts.path();
        let mut best = routes.len();
        if !self.paths.is_empty() {
            let mut room = Room::new();
            if let Some(places) = self.paths.get(&*room.folded(path)) {
                let takes = |route: &Route| takes_beside_path(&route.matcher, facts);
                best = first(places, best, routes, takes);
            }
        }
        for places in self.prefixes.of(path) {
            let takes = |route: &Route| takes_beside_path(&route.matcher, facts);
            best = first(places, best, routes, takes);
        }
        // Last, since patterns cost most.
        best = first(&self.others, best, routes, |route| {
            takes(&route.matcher, facts)
        });
        routes.get(best)
    }
}

/// The first of `places` before `best` whose route takes the request; else `best`.
fn first(
    places: &[usize],
    best: usize,
    routes: &[Arc<Route>],
    takes: impl Fn(&Route) -> bool,
) -> usize {
    let mut earlier = places.iter().copied().take_while(|&at| at < best);
    earlier.find(|&at| takes(&routes[at])).unwrap_or(best)
}

/// Prefixes in order of bytes, each with the longest other one that it begins with.
///
/// Of the prefixes of a path, the longest is the greatest prefix not above the path or one of its
/// ancestors: whatever lies between a prefix of a path and the path begins with that prefix.
#[derive(Debug, Default)]
struct Prefixes(Vec<Prefix>);

#[derive(Debug)]
struct Prefix {
    text: Box<[u8]>,
    /// Of its routes, in order.
    places: Vec<usize>,
    parent: Option<usize>,
}

impl Prefixes {
    fn new(prefixes: HashMap<&str, Vec<usize>>) -> Self {
        let mut sorted: Vec<_> = prefixes
            .into_iter()
            .map(|(text, places)| Prefix {
                text: text.as_bytes().into(),
                places,
                parent: None,
            })
            .collect();
        sorted.sort_unstable_by(|one, other| one.text.cmp(&other.text));
        let mut open: Vec<usize> = Vec::new();
        for at in 0..sorted.len() {
            let text = &sorted[at].text;
            while let Some(&last) = open.last() {
                if text.starts_with(&sorted[last].text) {
                    break;
                }
                open.pop();
            }
            sorted[at].parent = open.last().copied();
            open.push(at);
        }
        Self(sorted)
    }

    /// The places of each prefix that `path` begins with, longest prefix first.
    fn of<'a>(&'a self, path: &'a [u8]) -> impl Iterator<Item = &'a [usize]> {
        let above = self.0.partition_point(|prefix| *prefix.text <= *path);
        let greatest = above.checked_sub(1).map(|at| &self.0[at]);
        let parent = |prefix: &&Prefix| prefix.parent.map(|at| &self.0[at]);
        std::iter::successors(greatest, parent)
            .skip_while(|prefix| !path.starts_with(&prefix.text))
            .map(|prefix| &*prefix.places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts<'a>(prefixes: &[&'a str], path: &str) -> Vec<&'a str> {
        let places = prefixes.iter().enumerate();
        let map = places.map(|(at, &text)| (text, vec![at])).collect();
        let found = Prefixes::new(map);
        let found = found.of(path.as_bytes());
        found.map(|places| prefixes[places[0]]).collect()
    }

    #[test]
    fn every_prefix_of_a_path_is_found_longest_first() {
        let prefixes = ["/", "/a", "/a/b", "/a/b/c", "/ab", "/b", "", "/a/bx"];
        for (path, expected) in [
            ("/a/b/z", &["/a/b", "/a", "/", ""][..]),
            ("/a/b/c", &["/a/b/c", "/a/b", "/a", "/", ""]),
            ("/ab", &["/ab", "/a", "/", ""]),
            ("/zzz", &["/", ""]),
            ("!", &[""]),
            ("", &[""]),
        ] {
            assert_eq!(texts(&prefixes, path), expected, "{path}");
        }
        assert!(texts(&["/b"], "/a").is_empty());
        assert!(texts(&[], "/a").is_empty());
    }
}
