//! The buffer that all connections of a worker read into.

use std::cell::RefCell;

/// What one read takes at most. It stays in the processor's second-level cache; larger reads save
/// no time per byte, and what is bulk is spliced anyway.
const SCRATCH_BYTES: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into());
}

/// Lends this thread's scratch buffer to `work`, which is not a future and so cannot keep it.
///
/// An idle connection thereby holds no buffer: it reads into the scratch, writes at once, and keeps
/// a copy only of what the other side did not take.
///
/// # Panics
///
/// When `work` itself asks for the scratch buffer.
pub fn with_scratch<R>(work: impl FnOnce(&mut [u8]) -> R) -> R {
    SCRATCH.with_borrow_mut(|scratch| work(scratch))
}
