//! The bytes of frames, whose memory serves one frame after the other.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// So many buffers wait for their next use on each thread.
const KEPT: usize = 64;

/// What is longer is freed: a large frame now and then must not hold memory.
const LARGEST: usize = 4 * 1024;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// The bytes of a frame. Frames of calls are mostly longer than what an allocator has at hand (a KiB
/// in glibc), and come and go by thousands: what one has had serves the next.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct FrameBytes(Vec<u8>);

impl FrameBytes {
    /// A copy.
    #[must_use]
    pub fn copied(bytes: &[u8]) -> Self {
        let mut copy = SPARE.with_borrow_mut(Vec::pop).unwrap_or_default();
        copy.extend_from_slice(bytes);
        Self(copy)
    }
}

impl From<Vec<u8>> for FrameBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Clone for FrameBytes {
    fn clone(&self) -> Self {
        Self::copied(self)
    }
}

impl Deref for FrameBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for FrameBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for FrameBytes {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.0);
        if !(1..=LARGEST).contains(&bytes.capacity()) {
            return;
        }
        bytes.clear();
        // At the end of a thread there is no shelf any more.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < KEPT {
                spare.push(bytes);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spare() -> usize {
        SPARE.with_borrow(Vec::len)
    }

    #[test]
    fn a_buffer_serves_the_next_frame_and_holds_nothing_of_the_last() {
        let long = FrameBytes::copied(&[7; 2000]);
        let place = long.as_ptr();
        drop(long);
        let short = FrameBytes::copied(b"ab");
        assert_eq!((short.as_ptr(), &*short), (place, &b"ab"[..]));
    }

    #[test]
    fn a_bounded_number_of_buffers_waits_and_none_that_is_large() {
        drop(FrameBytes::from(vec![0; LARGEST + 1]));
        assert_eq!(spare(), 0);
        drop(vec![FrameBytes::copied(b"a"); KEPT + 9]);
        assert_eq!(spare(), KEPT);
    }
}
