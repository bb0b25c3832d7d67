//! The near side: one worker's buffer of lines.

use std::cell::RefCell;
use std::mem;
use std::rc::{Rc, Weak};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::super::output::Batch;
use super::Log;
use super::queue::Chunk;

/// Bytes that make a buffer worth handing over; a line more may follow.
const CHUNK_BYTES: usize = 32 << 10;

/// Empty buffers that may wait for use: one is filled while others are written.
const SPARES: usize = 2;

/// What one worker writes to one log.
///
/// Lines are handed to the log when there are enough of them, and when this is dropped; whoever
/// has one calls [`flush`](Self::flush) once a second, so that no line waits for longer.
#[derive(Debug)]
pub struct Lines {
    log: Log,
    batch: RefCell<Batch>,
    /// Buffers that the writer is done with, and the way it gives them back.
    spares: Receiver<Batch>,
    home: SyncSender<Batch>,
}

impl Lines {
    /// No line yet. It takes memory when it is first written to.
    #[must_use]
    pub fn new(log: &Log) -> Self {
        let (home, spares) = sync_channel(SPARES);
        Self {
            log: log.clone(),
            batch: RefCell::default(),
            spares,
            home,
        }
    }

    /// Appends the line that `line` appends, which has no line feed yet. It must not touch what
    /// was there. A log that is muted has no line made.
    ///
    /// # Panics
    ///
    /// When `line` itself writes a line here.
    pub fn write(&self, line: impl FnOnce(&mut Vec<u8>)) {
        if self.log.0.counters().is_muted() {
            return;
        }
        let mut batch = self.batch.borrow_mut();
        batch.mend();
        batch.push_with(|bytes| {
            line(bytes);
            bytes.push(b'\n');
        });
        if batch.bytes() >= CHUNK_BYTES {
            self.hand_over(&mut batch);
        }
    }

    /// Hands over what there is.
    pub fn flush(&self) {
        let mut batch = self.batch.borrow_mut();
        batch.mend();
        if batch.len() > 0 {
            self.hand_over(&mut batch);
        }
    }

    fn hand_over(&self, batch: &mut Batch) {
        let chunk = Chunk {
            batch: mem::take(batch),
            home: self.home.clone(),
        };
        *batch = match self.log.0.push(chunk) {
            Ok(()) => self.spares.try_recv().unwrap_or_default(),
            Err(refused) => emptied(refused).unwrap_or_default(),
        };
    }

    #[cfg(test)]
    pub(super) fn recv_spare(&self, patience: std::time::Duration) -> Batch {
        self.spares
            .recv_timeout(patience)
            .expect("a buffer comes back")
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.flush();
    }
}

/// The buffer, to be filled again; `None` if a flood of long lines has made it too large to keep.
pub(super) fn emptied(mut batch: Batch) -> Option<Batch> {
    batch.clear();
    (batch.room() <= 4 * CHUNK_BYTES).then_some(batch)
}

/// The lines of one worker to all logs: its listeners share a buffer for each. A clone is the same.
#[derive(Clone, Debug, Default)]
pub struct WorkerLines(Rc<RefCell<Vec<Weak<Lines>>>>);

impl WorkerLines {
    /// This worker's lines to a log, which it keeps open.
    #[must_use]
    pub fn to(&self, log: &Log) -> Rc<Lines> {
        let mut all = self.0.borrow_mut();
        let same = all.iter().filter_map(Weak::upgrade);
        if let Some(lines) = same.into_iter().find(|lines| lines.log.is(log)) {
            return lines;
        }
        let lines = Rc::new(Lines::new(log));
        all.push(Rc::downgrade(&lines));
        lines
    }

    /// Hands over what there is, to every log. To be called once a second.
    pub fn flush(&self) {
        self.0.borrow_mut().retain(|lines| {
            let lines = lines.upgrade();
            lines.inspect(|lines| lines.flush()).is_some()
        });
    }
}
