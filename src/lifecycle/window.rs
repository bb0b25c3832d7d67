//! Offers that wait for their answers: so many at once, each of them for so long.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Offers that wait for their answers, each with what is to be done on it.
#[derive(Debug)]
pub struct Window<T> {
    most: usize,
    patience: Duration,
    /// The oldest first; the numbers grow.
    waiting: VecDeque<(u64, Instant, T)>,
    next: u64,
}

impl<T> Window<T> {
    /// One for so many at once, each of which waits for at most `patience`.
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

    /// Notes an offer, and numbers it.
    pub fn offer(&mut self, what: T, now: Instant) -> u64 {
        self.next += 1;
        self.waiting
            .push_back((self.next, now + self.patience, what));
        self.next
    }

    /// Whether anything waits under a number.
    #[must_use]
    pub fn waits_for(&self, number: u64) -> bool {
        self.place_of(number).is_some()
    }

    fn place_of(&self, number: u64) -> Option<usize> {
        let by_number = self
            .waiting
            .binary_search_by_key(&number, |(number, ..)| *number);
        by_number.ok()
    }

    /// Takes out what was offered under a number; `None` when nothing waits under it.
    pub fn answered(&mut self, number: u64) -> Option<T> {
        let at = self.place_of(number)?;
        let (_, _, what) = self.waiting.remove(at)?;
        Some(what)
    }

    /// When the oldest has waited for too long; `None` when none waits.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.waiting.front().map(|(_, deadline, _)| *deadline)
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_offer_is_answered_once_in_whatever_order_and_makes_room() {
        let now = Instant::now();
        let mut window = Window::new(3, Duration::from_secs(1));
        let numbers: Vec<_> = "abc".chars().map(|what| window.offer(what, now)).collect();
        assert!(!window.has_room());
        assert!(window.waits_for(numbers[2]) && !window.waits_for(99));

        let answers = [numbers[1], numbers[1], numbers[0], 99, numbers[2]];
        let answers = answers.map(|number| window.answered(number));

        assert_eq!(answers, [Some('b'), None, Some('a'), None, Some('c')]);
        assert!(window.is_empty() && window.has_room());
    }

    #[test]
    fn the_oldest_that_waits_is_due_first() {
        let now = Instant::now();
        let patience = Duration::from_secs(1);
        let mut window = Window::new(2, patience);
        assert_eq!(window.deadline(), None);
        let first = window.offer((), now);
        window.offer((), now + patience / 2);
        assert_eq!(window.deadline(), Some(now + patience));
        window.answered(first);
        assert_eq!(window.deadline(), Some(now + patience * 3 / 2));
    }
}
