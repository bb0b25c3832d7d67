//! Positions of hosts by when they are due: the earliest is at hand, and any can be moved.

/// Stands for "not in the heap".
const ABSENT: u32 = u32::MAX;

/// Positions of hosts, the earliest due first; of equally early ones the lowest position.
///
/// A binary heap that knows where each position is, so that moving one costs O(log n). Nothing
/// allocates once it is made.
#[derive(Debug, Default)]
pub(super) struct Heap {
    entries: Vec<(u64, u32)>,
    places: Vec<u32>,
}

impl Heap {
    /// A heap of some of `len` positions, each with when it is due.
    pub(super) fn new(len: usize, entries: impl Iterator<Item = (u64, usize)>) -> Self {
        let mut heap = Self {
            entries: Vec::with_capacity(len),
            places: vec![ABSENT; len],
        };
        heap.entries
            .extend(entries.map(|(due, index)| (due, number(index))));
        // Sorted is a heap, and costs what making one step by step would.
        heap.entries.sort_unstable();
        for place in 0..heap.entries.len() {
            heap.settle(place);
        }
        heap
    }

    /// When the earliest is due, and its position.
    pub(super) fn first(&self) -> Option<(u64, usize)> {
        self.entries
            .first()
            .map(|&(due, index)| (due, index as usize))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The position in some place of the heap; any order, each place another one.
    pub(super) fn at(&self, place: usize) -> usize {
        self.entries[place].1 as usize
    }

    /// When a position is due that is in the heap.
    #[cfg(test)]
    fn due(&self, index: usize) -> Option<u64> {
        let place = *self.places.get(index)?;
        (place != ABSENT).then(|| self.entries[place as usize].0)
    }

    /// Says when a position is due; it comes into the heap if it was not there.
    pub(super) fn set(&mut self, index: usize, due: u64) {
        let place = match self.places[index] {
            ABSENT => {
                self.entries.push((due, number(index)));
                self.entries.len() - 1
            }
            place => {
                self.entries[place as usize].0 = due;
                place as usize
            }
        };
        self.restore(place);
    }

    /// Takes a position out of the heap, if it is there.
    pub(super) fn remove(&mut self, index: usize) {
        let place = self.places[index];
        if place == ABSENT {
            return;
        }
        self.places[index] = ABSENT;
        self.entries.swap_remove(place as usize);
        if (place as usize) < self.entries.len() {
            self.restore(place as usize);
        }
    }

    /// Makes all due so much earlier.
    pub(super) fn set_back(&mut self, by: u64) {
        // What saturates may tie anew: order by position is kept by sorting.
        for (due, _) in &mut self.entries {
            *due = due.saturating_sub(by);
        }
        self.entries.sort_unstable();
        for place in 0..self.entries.len() {
            self.settle(place);
        }
    }

    /// Moves what is in a place to where it belongs.
    fn restore(&mut self, mut place: usize) {
        while place > 0 {
            let above = (place - 1) / 2;
            if self.entries[above] <= self.entries[place] {
                break;
            }
            self.entries.swap(above, place);
            self.settle(place);
            place = above;
        }
        loop {
            let below = 2 * place + 1;
            let Some(mut earlier) = self.entries.get(below) else {
                break;
            };
            let mut to = below;
            if let Some(other) = self.entries.get(below + 1)
                && other < earlier
            {
                (earlier, to) = (other, below + 1);
            }
            if *earlier >= self.entries[place] {
                break;
            }
            self.entries.swap(place, to);
            self.settle(place);
            place = to;
        }
        self.settle(place);
    }

    fn settle(&mut self, place: usize) {
        let index = self.entries[place].1;
        self.places[index as usize] = number(place);
    }
}

/// Positions are kept in half a word: no cluster has four thousand million hosts.
fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(ABSENT - 1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a sorted set, over any sequence of changes.
        #[test]
        fn the_first_is_always_the_earliest(
            begun in proptest::collection::vec(proptest::option::of(0_u64..50), 20),
            changes in proptest::collection::vec((0_usize..20, proptest::option::of(0_u64..50)), 0..200),
        ) {
            let entries: Vec<_> = begun.iter().enumerate()
                .filter_map(|(index, due)| Some(((*due)?, index))).collect();
            let mut heap = Heap::new(20, entries.iter().copied());
            let mut model: BTreeSet<_> = entries.into_iter().collect();
            for (index, due) in changes {
                model.retain(|(_, other)| *other != index);
                match due {
                    Some(due) => {
                        heap.set(index, due);
                        model.insert((due, index));
                    }
                    None => heap.remove(index),
                }
                prop_assert_eq!(heap.first(), model.first().copied());
                prop_assert_eq!(heap.len(), model.len());
                prop_assert_eq!(heap.due(index), due);
            }
            heap.set_back(10);
            while let Some((due, index)) = heap.first() {
                heap.remove(index);
                let least = model.iter().map(|&(due, index)| (due.saturating_sub(10), index)).min();
                prop_assert_eq!(Some((due, index)), least);
                model.retain(|(_, other)| *other != index);
            }
            prop_assert!(model.is_empty());
        }
    }
}
