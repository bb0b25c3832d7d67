//! What waits to be written to a connection.

use std::io;
use std::task::{Context, Poll, ready};

use crate::net::Stream;

/// Bytes that may wait before whoever has more of them waits, too. A frame that is begun is queued
/// as a whole.
const MOST: usize = if cfg!(test) { 4096 } else { 256 * 1024 };

/// Memory that is kept while nothing waits, unless [more is](Outbox::keep_more).
const KEPT: usize = 16 * 1024;

/// What waits to be written to a connection: everything at once, in one call.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    /// Memory beyond [`KEPT`] that is kept while nothing waits.
    more: usize,
    /// Those of `bytes` that are written.
    written: usize,
    /// Those before `bytes`.
    before: u64,
}

impl Outbox {
    /// Keeps the memory of a usual batch while nothing waits: what carries the requests of many is
    /// filled again at once. [`rest`](Self::rest) gives it back.
    pub fn keep_more(&mut self) {
        self.more = MOST;
    }

    /// Gives back what [`keep_more`](Self::keep_more) has kept, unless something waits.
    pub fn rest(&mut self) {
        if self.is_empty() && self.bytes.capacity() > KEPT {
            self.forget_written();
            self.bytes = Vec::new();
        }
    }

    /// Whether there is room for more.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.len() < MOST
    }

    /// How many bytes wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes were ever queued.
    #[must_use]
    pub fn queued(&self) -> u64 {
        self.before + self.bytes.len() as u64
    }

    /// How many bytes were ever written.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.before + self.written as u64
    }

    /// Queues what `write` appends, if there is room: a word that its peer can do without.
    pub fn offer(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.has_room() {
            self.append(write);
        }
    }

    /// Queues what `write` appends.
    pub fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
    }

    /// Writes what waits; ready when nothing does.
    ///
    /// # Errors
    ///
    /// Whatever the socket says.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>, stream: &Stream) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let sent = ready!(stream.poll_send(cx, &self.bytes[self.written..]))?;
            self.written += sent;
            // What is left moves to the front: only once it is no more than what makes way for it,
            // or the bytes of a long queue would be moved again and again.
            if self.written >= MOST && self.written >= self.len() {
                self.forget_written();
            }
        }
        self.forget_written();
        if self.bytes.capacity() > KEPT + self.more {
            self.bytes = Vec::new();
        }
        Poll::Ready(Ok(()))
    }

    fn forget_written(&mut self) {
        self.before += self.written as u64;
        self.bytes.drain(..self.written);
        self.written = 0;
    }
}
