//! A list whose copies share what they hold, so that a copy, a change of one thing in it, and what
//! two such copies differ in cost the same however long it is.

use std::fmt;
use std::iter::FusedIterator;
use std::ops::{Index, IndexMut, Range};
use std::sync::Arc;

/// So many things, or lists of things, lie together: what a change copies at each level.
const WIDTH: usize = 32;

/// Things in an order. A copy costs nothing, and a change of one thing in it little, both whatever its
/// length; a removal looks at each thing.
///
/// ```
/// use banyan::config::List;
///
/// let before: List<_> = (0..1000).collect();
/// let mut after = before.clone();
/// after.push(1000);
/// assert_eq!((before.len(), after[1000]), (1000, 1000));
/// ```
pub struct List<T>(Arc<Node<T>>);

/// All leaves lie at one depth and are full, but for the last: a length has one shape.
#[derive(Clone, PartialEq, Eq)]
enum Node<T> {
    Leaf(Vec<T>),
    Branch {
        /// Of things, not of what is right below.
        len: usize,
        /// Levels below this one.
        height: u32,
        below: Vec<List<T>>,
    },
}

/// Two things that stand at the same place of two lists, where both have it.
type Pair<'a, T> = (Option<&'a T>, Option<&'a T>);

impl<T> List<T> {
    /// How many things are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        match &*self.0 {
            Node::Leaf(items) => items.len(),
            Node::Branch { len, .. } => *len,
        }
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What stands at a place.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<&T> {
        match &*self.0 {
            Node::Leaf(items) => items.get(place),
            Node::Branch { height, below, .. } => {
                let each = WIDTH.pow(*height);
                below.get(place / each)?.get(place % each)
            }
        }
    }

    /// All things in their order.
    #[must_use]
    pub fn iter(&self) -> Iter<'_, T> {
        Iter {
            list: self,
            places: 0..self.len(),
        }
    }

    /// What stands at those places of this list and another at which they share nothing: it may be equal
    /// all the same.
    pub(super) fn apart<'a>(&'a self, other: &'a Self) -> Vec<Pair<'a, T>> {
        let mut found = Vec::new();
        apart(Some(self), Some(other), &mut found);
        found
    }

    fn height(&self) -> u32 {
        match &*self.0 {
            Node::Leaf(_) => 0,
            Node::Branch { height, .. } => *height,
        }
    }

    /// What lies below it at a place, if it is so high; else it is itself what lies at the first one.
    fn below(&self, height: u32, place: usize) -> Option<&Self> {
        match &*self.0 {
            Node::Branch {
                height: own, below, ..
            } if *own == height => below.get(place),
            _ => (place == 0).then_some(self),
        }
    }

    fn branch(height: u32, below: Vec<Self>) -> Self {
        let len = below.iter().map(Self::len).sum();
        Self(Arc::new(Node::Branch { len, height, below }))
    }

    /// One thing at this height.
    fn single(height: u32, item: T) -> Self {
        match height {
            0 => Self(Arc::new(Node::Leaf(vec![item]))),
            height => Self::branch(height, vec![Self::single(height - 1, item)]),
        }
    }
}

fn apart<'a, T>(
    one: Option<&'a List<T>>,
    other: Option<&'a List<T>>,
    found: &mut Vec<Pair<'a, T>>,
) {
    if let (Some(one), Some(other)) = (one, other)
        && Arc::ptr_eq(&one.0, &other.0)
    {
        return;
    }
    let both = || [one, other].into_iter().flatten();
    let height = both().map(List::height).max().unwrap_or_default();
    for place in 0..WIDTH {
        if height == 0 {
            let at = |list: Option<&'a List<T>>| list.and_then(|list| list.get(place));
            match (at(one), at(other)) {
                (None, None) => return,
                pair => found.push(pair),
            }
        } else {
            let below = |list: Option<&'a List<T>>| list.and_then(|list| list.below(height, place));
            match (below(one), below(other)) {
                (None, None) => return,
                (one, other) => apart(one, other, found),
            }
        }
    }
}

impl<T: Clone> List<T> {
    /// What stands at a place, to be changed: copies keep what stood there.
    #[must_use]
    pub fn get_mut(&mut self, place: usize) -> Option<&mut T> {
        match Arc::make_mut(&mut self.0) {
            Node::Leaf(items) => items.get_mut(place),
            Node::Branch { height, below, .. } => {
                let each = WIDTH.pow(*height);
                below.get_mut(place / each)?.get_mut(place % each)
            }
        }
    }

    /// Adds a thing at the end.
    pub fn push(&mut self, item: T) {
        let height = self.height();
        if self.len() == WIDTH.pow(height + 1) {
            *self = Self::branch(height + 1, vec![self.clone()]);
        }
        self.push_below(item);
    }

    fn push_below(&mut self, item: T) {
        match Arc::make_mut(&mut self.0) {
            Node::Leaf(items) => items.push(item),
            Node::Branch { len, height, below } => {
                let is_full = *len % WIDTH.pow(*height) == 0;
                *len += 1;
                match below.last_mut().filter(|_| !is_full) {
                    Some(last) => last.push_below(item),
                    None => below.push(Self::single(*height - 1, item)),
                }
            }
        }
    }

    /// Changes every thing, one after another.
    pub(super) fn change_each(&mut self, mut change: impl FnMut(&mut T)) {
        (0..self.len()).for_each(|place| change(&mut self[place]));
    }

    /// Keeps only the things that please `stays`.
    pub fn retain(&mut self, mut stays: impl FnMut(&T) -> bool) {
        *self = self.iter().filter(|item| stays(item)).cloned().collect();
    }
}

impl<T> Clone for List<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Arc::new(Node::Leaf(Vec::new())))
    }
}

impl<T: fmt::Debug> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

/// What is shared is equal, and not looked at.
impl<T: PartialEq> PartialEq for List<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl<T: Eq> Eq for List<T> {}

impl<T> Index<usize> for List<T> {
    type Output = T;

    fn index(&self, place: usize) -> &T {
        self.get(place).expect("the place is below the length")
    }
}

impl<T: Clone> IndexMut<usize> for List<T> {
    fn index_mut(&mut self, place: usize) -> &mut T {
        self.get_mut(place).expect("the place is below the length")
    }
}

impl<T> FromIterator<T> for List<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let leaf = |items| Self(Arc::new(Node::Leaf(items)));
        let mut level: Vec<_> = parts(items.into_iter()).map(leaf).collect();
        for height in 1.. {
            if level.len() <= 1 {
                break;
            }
            let branch = |below| Self::branch(height, below);
            level = parts(level.into_iter()).map(branch).collect();
        }
        level.pop().unwrap_or_default()
    }
}

/// As many at a time as lie together.
fn parts<T>(mut items: impl Iterator<Item = T>) -> impl Iterator<Item = Vec<T>> {
    std::iter::from_fn(move || {
        let mut part = Vec::with_capacity(items.size_hint().0.min(WIDTH));
        part.extend(items.by_ref().take(WIDTH));
        (!part.is_empty()).then_some(part)
    })
}

impl<T> From<Vec<T>> for List<T> {
    fn from(items: Vec<T>) -> Self {
        match items.len() <= WIDTH {
            true => Self(Arc::new(Node::Leaf(items))),
            false => items.into_iter().collect(),
        }
    }
}

impl<T: Clone> Extend<T> for List<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        items.into_iter().for_each(|item| self.push(item));
    }
}

impl<'a, T> IntoIterator for &'a List<T> {
    type Item = &'a T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

/// The things of a [`List`] in their order.
#[derive(Debug)]
pub struct Iter<'a, T> {
    list: &'a List<T>,
    places: Range<usize>,
}

impl<T> Clone for Iter<'_, T> {
    fn clone(&self) -> Self {
        Self {
            list: self.list,
            places: self.places.clone(),
        }
    }
}

impl<'a, T> Iterator for Iter<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        self.list.get(self.places.next()?)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.places.size_hint()
    }
}

impl<'a, T> DoubleEndedIterator for Iter<'a, T> {
    fn next_back(&mut self) -> Option<&'a T> {
        self.list.get(self.places.next_back()?)
    }
}

impl<T> ExactSizeIterator for Iter<'_, T> {}

impl<T> FusedIterator for Iter<'_, T> {}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Lengths at which levels come and are full.
    const LENGTHS: [usize; 10] = [0, 1, 31, 32, 33, 1023, 1024, 1025, 2000, 33_000];

    fn list(len: usize) -> List<usize> {
        (0..len).collect()
    }

    #[test]
    fn a_list_holds_what_was_put_into_it_in_order() {
        for len in LENGTHS {
            let mut pushed = List::default();
            pushed.extend(0..len);
            assert_eq!(pushed, list(len), "one shape for {len}");
            assert!(pushed.iter().copied().eq(0..len), "{len}");
            assert!(pushed.iter().rev().copied().eq((0..len).rev()), "{len}");
            assert_eq!((pushed.len(), pushed.get(len)), (len, None));
            assert_eq!(List::from((0..len).collect::<Vec<_>>()), pushed);
        }
    }

    #[test]
    fn a_change_of_a_copy_is_not_seen_in_what_was_copied() {
        for len in LENGTHS {
            let before = list(len);
            for place in [0, len / 2, len.saturating_sub(1)] {
                let mut after = before.clone();
                match after.get_mut(place) {
                    Some(item) => *item = 99_999,
                    None => assert_eq!(len, 0),
                }
                after.push(77);
                assert!(before.iter().copied().eq(0..len), "{len}");
                let at = |n| match n {
                    n if n == len => 77,
                    n if n == place => 99_999,
                    n => n,
                };
                assert!(after.iter().copied().eq((0..=len).map(at)), "{len} {place}");
            }
        }
    }

    #[test]
    fn what_is_removed_leaves_the_others_in_their_order() {
        for len in LENGTHS {
            let mut odd = list(len);
            odd.retain(|item| item % 2 == 1);
            assert!(odd.iter().copied().eq((0..len).filter(|n| n % 2 == 1)));
        }
    }

    #[test]
    fn what_lists_differ_in_is_found_where_they_share_nothing() {
        for len in LENGTHS {
            for other in LENGTHS {
                let (one, mut other) = (list(len), list(other));
                if let Some(first) = other.get_mut(0) {
                    *first = 5;
                }
                let differs = |(one, other): &Pair<'_, usize>| one != other;
                let found: Vec<_> = one.apart(&other).into_iter().filter(differs).collect();
                let longer = one.len().max(other.len());
                let expected = (0..longer).map(|at| (one.get(at), other.get(at)));
                assert_eq!(found, expected.filter(differs).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn copies_differ_in_few_places_however_long_they_are() {
        for len in [40, 1000, 33_000] {
            let before = list(len);
            let mut after = before.clone();
            after.push(1);
            *after.get_mut(len / 2).unwrap() = 0;

            let found = before.apart(&after).len();

            assert!(found <= 2 * WIDTH, "{found} of {len}");
            assert_eq!(before.apart(&before.clone()), []);
        }
    }

    #[derive(Clone)]
    struct Compared<'a>(&'a Cell<usize>);

    impl PartialEq for Compared<'_> {
        fn eq(&self, _: &Self) -> bool {
            self.0.set(self.0.get() + 1);
            true
        }
    }

    #[test]
    fn what_is_shared_is_not_compared() {
        let count = Cell::new(0);
        let one: List<_> = (0..5000).map(|_| Compared(&count)).collect();
        let mut other = one.clone();
        *other.get_mut(2500).unwrap() = Compared(&count);

        assert!(one == other);

        assert_eq!(count.get(), WIDTH);
    }
}
