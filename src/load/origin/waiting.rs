//! Answers until their time has come.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use tokio::time::Instant;

/// Answers of one connection.
pub(super) struct Waiting {
    delay: Duration,
    /// By time, and those of one time in the order of their requests.
    later: BinaryHeap<Reverse<(Instant, u64, Vec<u8>)>>,
    count: u64,
    now: Vec<u8>,
    /// What was given out last.
    out: Vec<u8>,
}

impl Waiting {
    pub(super) fn new(delay: Duration) -> Self {
        Self {
            delay,
            later: BinaryHeap::new(),
            count: 0,
            now: Vec::new(),
            out: Vec::new(),
        }
    }

    /// Puts an answer, which `write` appends, behind the delay.
    pub(super) fn put(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.put_after(self.delay, write);
    }

    /// Puts an answer behind a delay of its own.
    pub(super) fn put_after(&mut self, delay: Duration, write: impl FnOnce(&mut Vec<u8>)) {
        if delay.is_zero() {
            return write(&mut self.now);
        }
        let mut answer = Vec::new();
        write(&mut answer);
        self.count += 1;
        let due = Instant::now() + delay;
        self.later.push(Reverse((due, self.count, answer)));
    }

    /// All that is to be written by `now`. It counts as written.
    pub(super) fn ready(&mut self, now: Instant) -> &[u8] {
        self.out.clear();
        std::mem::swap(&mut self.out, &mut self.now);
        while let Some(Reverse((due, ..))) = self.later.peek()
            && *due <= now
        {
            if let Some(Reverse((_, _, answer))) = self.later.pop() {
                self.out.extend_from_slice(&answer);
            }
        }
        &self.out
    }

    /// When the next answer is to be written, if one waits.
    pub(super) fn next(&self) -> Option<Instant> {
        if !self.now.is_empty() {
            return Some(Instant::now());
        }
        self.later.peek().map(|Reverse((due, ..))| *due)
    }

    pub(super) fn len(&self) -> usize {
        self.later.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_when_they_are_due_and_in_order() {
        let second = Duration::from_secs(1);
        let mut waiting = Waiting::new(second);
        let now = Instant::now();
        for letter in [b'a', b'b'] {
            waiting.put(|out| out.push(letter));
        }
        waiting.put_after(Duration::ZERO, |out| out.push(b'c'));
        assert_eq!(waiting.ready(now), b"c");
        assert_eq!(waiting.ready(now), b"");
        assert!(waiting.next() >= Some(now + second));
        assert_eq!(waiting.ready(now + 2 * second), b"ab");
        assert_eq!((waiting.next(), waiting.len()), (None, 0));
    }
}
