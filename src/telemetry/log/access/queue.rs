//! Between the workers and a writer: a bounded queue of buffers, and what is counted of them.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use arc_swap::ArcSwapOption;

use super::super::output::Batch;

/// Bytes that may wait for the writer of one log.
pub(super) const QUEUE_BYTES: usize = 4 << 20;

/// What a buffer weighs beside its bytes, so that many small ones are bounded too.
pub(super) const CHUNK_WEIGHT: usize = 4 << 10;

/// Messages that are not lines, and for which there is always room. They are few: one to reopen at
/// a time, one at the end, and those of callers that wait.
const COMMANDS: usize = 16;

const QUEUE_LENGTH: usize = QUEUE_BYTES / CHUNK_WEIGHT + COMMANDS;

#[derive(Debug)]
pub(super) enum Message {
    /// Write what is queued before this, say so, and end.
    Close(SyncSender<()>),
    /// Nobody is left who could send lines.
    Ended,
    Lines(Chunk),
    Reopen,
}

/// A worker's buffer, and the way back to it.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) batch: Batch,
    pub(super) home: SyncSender<Batch>,
}

impl Chunk {
    fn weight(&self) -> usize {
        self.batch.bytes() + CHUNK_WEIGHT
    }
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    queued_bytes: AtomicUsize,
    dropped: AtomicU64,
    dropped_told: AtomicU64,
    failed: AtomicU64,
    failed_told: AtomicU64,
    /// Why the output failed last; taken when it is told.
    reason: ArcSwapOption<String>,
    reopening: AtomicBool,
    muted: AtomicBool,
}

impl Counters {
    /// Whether nothing is to be written.
    pub(super) fn is_muted(&self) -> bool {
        self.muted.load(Relaxed)
    }

    pub(super) fn mute(&self) {
        self.muted.store(true, Relaxed);
    }

    pub(super) fn unmute(&self) {
        self.muted.store(false, Relaxed);
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Relaxed)
    }

    /// Lines dropped, lines failed, and why, since this was last asked.
    pub(super) fn untold(&self) -> Option<(u64, u64, Option<Arc<String>>)> {
        let untold = |total: u64, told: &AtomicU64| {
            // Of two that ask at once, the later one may have the smaller total.
            total.saturating_sub(told.fetch_max(total, Relaxed))
        };
        let dropped = untold(self.dropped(), &self.dropped_told);
        let failed = untold(self.failed(), &self.failed_told);
        let reason = self.reason.swap(None);
        let any = dropped > 0 || failed > 0 || reason.is_some();
        any.then_some((dropped, failed, reason))
    }

    /// The writer has taken a chunk out.
    pub(super) fn taken(&self, chunk: &Chunk) {
        self.queued_bytes.fetch_sub(chunk.weight(), Relaxed);
    }

    pub(super) fn count_failed(&self, lines: usize, reason: String) {
        self.failed.fetch_add(lines as u64, Relaxed);
        self.reason.store(Some(Arc::new(reason)));
    }

    /// The writer is about to reopen: from now on another request counts.
    pub(super) fn reopened(&self) {
        self.reopening.store(false, Relaxed);
    }
}

/// The way to a writer.
#[derive(Clone, Debug)]
pub(super) struct Door {
    sender: SyncSender<Message>,
    counters: Arc<Counters>,
}

impl Door {
    pub(super) fn new() -> (Self, Receiver<Message>) {
        let (sender, messages) = sync_channel(QUEUE_LENGTH);
        let counters = Arc::default();
        (Self { sender, counters }, messages)
    }

    pub(super) fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Sends what is not lines. A writer that has ended needs no telling.
    pub(super) fn tell(&self, message: Message) {
        let _ended = self.sender.try_send(message);
    }

    pub(super) fn reopen(&self) {
        if !self.counters.reopening.swap(true, Relaxed) {
            self.tell(Message::Reopen);
        }
    }
}

/// Where lines go in. Dropped with the last one who has any, which ends the writer.
#[derive(Debug)]
pub(super) struct Queue(Door);

impl Queue {
    pub(super) fn new(door: Door) -> Self {
        Self(door)
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// Hands a chunk over; one that finds no room comes back, its lines counted as dropped.
    pub(super) fn push(&self, chunk: Chunk) -> Result<(), Batch> {
        let Door { sender, counters } = &self.0;
        let weight = chunk.weight();
        let queued = counters.queued_bytes.fetch_add(weight, Relaxed);
        let refused = if queued + weight > QUEUE_BYTES {
            chunk
        } else {
            match sender.try_send(Message::Lines(chunk)) {
                Err(
                    TrySendError::Full(Message::Lines(chunk))
                    | TrySendError::Disconnected(Message::Lines(chunk)),
                ) => chunk,
                _ => return Ok(()),
            }
        };
        counters.queued_bytes.fetch_sub(weight, Relaxed);
        counters
            .dropped
            .fetch_add(refused.batch.len() as u64, Relaxed);
        Err(refused.batch)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.0.tell(Message::Ended);
    }
}
