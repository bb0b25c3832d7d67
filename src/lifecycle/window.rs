//! Whose a connection is that moves, as each of the two processes knows it.
//!
//! ```text
//! predecessor:  offered ─── held ───▶ released ─── taken ───▶ the successor's
//!                  │ not held, over       │ over, and it was still in the pipe
//!                  └──────────▶ stays ◀───┘
//!
//! successor:    held ── its number comes out of the pipe ──▶ goes on here
//!                │  └── the pipe has ended without a word ──▶ goes on here: the predecessor is dead
//!                └───── taken back, or nothing is heard ────▶ closed unread: the predecessor has it
//! ```
//!
//! Words between the two may be lost, late, twice, or end. What decides is a pipe that both read: a
//! release is a number in it, and whoever takes the number out has the connection. When nothing more
//! is to be heard, the predecessor first takes out what is left, then takes back by a last word what
//! it did not release, and only then goes on with any of it. The tests explore every way that the
//! two can go together.
//!
//! Pure: the talk carries it out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heir {
    /// It goes on where it is.
    Predecessor,
    /// It goes on there.
    Successor,
}

/// What the predecessor has on its way: so many at once, each step of them for so long, each with
/// what is to be done at its end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window<T> {
    most: usize,
    patience: Duration,
    /// The numbers grow.
    waiting: VecDeque<Offer<T>>,
    next: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Offer<T> {
    number: u64,
    until: Instant,
    step: Step,
    what: T,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Offered,
    Released,
}

impl<T> Window<T> {
    /// One for so many at once, each of which waits for at most `patience` at each step.
    #[must_use]
    pub fn new(most: usize, patience: Duration) -> Self {
        Self {
            most,
            patience,
            waiting: VecDeque::new(),
            next: 0,
        }
    }

    /// Whether one more may be offered.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.waiting.len() < self.most
    }

    /// Notes an offer, and numbers it; zero is no number.
    pub fn offer(&mut self, what: T, now: Instant) -> u64 {
        self.next += 1;
        self.waiting.push_back(Offer {
            number: self.next,
            until: now + self.patience,
            step: Step::Offered,
            what,
        });
        self.next
    }

    /// Whether this one, of which it is said that it is held, is to be released: once.
    #[must_use]
    pub fn is_offered(&self, number: u64) -> bool {
        self.place_of(number, Step::Offered).is_some()
    }

    /// Notes that it is released, which it is by its number in the pipe.
    pub fn is_released(&mut self, number: u64, now: Instant) {
        if let Some(at) = self.place_of(number, Step::Offered) {
            let offer = &mut self.waiting[at];
            offer.step = Step::Released;
            offer.until = now + self.patience;
        }
    }

    /// It is not held, and stays here; `None` when it was not asked.
    pub fn refused(&mut self, number: u64) -> Option<T> {
        let at = self.place_of(number, Step::Offered)?;
        self.waiting.remove(at).map(|offer| offer.what)
    }

    /// It was taken, and is the successor's; `None` when that is known, or cannot be.
    pub fn taken(&mut self, number: u64) -> Option<T> {
        let at = self.place_of(number, Step::Released)?;
        self.waiting.remove(at).map(|offer| offer.what)
    }

    /// Nothing more will be heard, and these numbers were left in the pipe: whose each of them is.
    pub fn settle(&mut self, left: &BTreeSet<u64>) -> impl Iterator<Item = (T, Heir)> {
        let all = std::mem::take(&mut self.waiting).into_iter();
        all.map(|offer| {
            let heir = match offer.step {
                Step::Released if !left.contains(&offer.number) => Heir::Successor,
                _ => Heir::Predecessor,
            };
            (offer.what, heir)
        })
    }

    fn place_of(&self, number: u64, step: Step) -> Option<usize> {
        let by_number = self
            .waiting
            .binary_search_by_key(&number, |offer| offer.number);
        by_number.ok().filter(|at| self.waiting[*at].step == step)
    }

    /// When one has waited for too long; `None` when none waits.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.waiting.iter().map(|offer| offer.until).min()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// What the successor holds, and does not touch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Custody<T> {
    most: usize,
    held: BTreeMap<u64, T>,
}

impl<T> Custody<T> {
    /// Room for so many.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            most,
            held: BTreeMap::new(),
        }
    }

    /// Whether one more may be held.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.held.len() < self.most
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Holds one.
    pub fn hold(&mut self, number: u64, what: T) {
        self.held.insert(number, what);
    }

    /// Its number has come out of the pipe: it goes on here.
    pub fn take(&mut self, number: u64) -> Option<T> {
        self.held.remove(&number)
    }

    /// The predecessor has died and taken nothing back: all go on here, in the order in which they
    /// came.
    pub fn inherit(&mut self) -> impl Iterator<Item = T> + use<T> {
        std::mem::take(&mut self.held).into_values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);

    fn window(now: Instant, names: &str) -> (Window<char>, Vec<u64>) {
        let mut window = Window::new(3, PATIENCE);
        let numbers = names.chars().map(|what| window.offer(what, now));
        let numbers = numbers.collect();
        (window, numbers)
    }

    #[test]
    fn each_goes_once_in_whatever_order_and_makes_room() {
        let now = Instant::now();
        let (mut window, numbers) = window(now, "abc");
        assert!(!window.has_room());
        assert!(window.is_offered(numbers[2]) && !window.is_offered(99));
        // What was not released cannot have been taken.
        assert_eq!(window.taken(numbers[1]), None);
        for at in [2, 1] {
            window.is_released(numbers[at], now);
        }
        assert!(!window.is_offered(numbers[1]));

        let taken = [numbers[1], numbers[1], 99, numbers[2]].map(|number| window.taken(number));

        assert_eq!(taken, [Some('b'), None, None, Some('c')]);
        assert_eq!(window.refused(numbers[0]), Some('a'));
        assert_eq!(window.refused(numbers[0]), None);
        assert!(window.is_empty() && window.has_room());
    }

    #[test]
    fn what_has_waited_longest_at_its_step_is_due_first() {
        let now = Instant::now();
        let (mut window, numbers) = window(now, "a");
        window.offer('b', now + PATIENCE / 4);
        assert_eq!(window.deadline(), Some(now + PATIENCE));
        window.is_released(numbers[0], now + PATIENCE / 2);
        assert_eq!(window.deadline(), Some(now + PATIENCE * 5 / 4));
        window.refused(2);
        assert_eq!(window.deadline(), Some(now + PATIENCE * 3 / 2));
        window.taken(numbers[0]);
        assert_eq!(window.deadline(), None);
    }

    #[test]
    fn at_the_end_what_was_released_and_is_gone_is_the_successor_s() {
        let now = Instant::now();
        let (mut window, numbers) = window(now, "abc");
        for at in [0, 1] {
            window.is_released(numbers[at], now);
        }

        let heirs: Vec<_> = window.settle(&BTreeSet::from([numbers[1]])).collect();

        let (old, new) = (Heir::Predecessor, Heir::Successor);
        assert_eq!(heirs, [('a', new), ('b', old), ('c', old)]);
        assert!(window.is_empty());
    }
}
