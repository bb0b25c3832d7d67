//! The far side of the queue: one thread that writes lines in batches.

use std::fmt::Arguments;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use slog::{Level, OwnedKVList, o};

use super::clock;
use super::drain::Counters;
use super::format::{Style, with_line};
use super::output::{Batch, Sink};

/// What the owner of a log asks of its writer.
#[derive(Debug)]
pub(super) enum Command {
    Reopen,
    /// Write what is queued, say so, and end.
    Close(SyncSender<()>),
}

/// Bytes of one write; a line more may follow.
const BATCH_BYTES: usize = 256 << 10;

/// How long the writer rests after a write. Lines that come meanwhile need not wake it, which
/// would cost their threads a system call each, and are written together.
const REST: Duration = Duration::from_millis(1);

/// How often it is said that lines are missing, at most.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct Writer {
    queue: Receiver<Box<[u8]>>,
    commands: Receiver<Command>,
    sink: Sink,
    style: Style,
    counters: Arc<Counters>,
    batch: Batch,
    /// Drops that the log has told of.
    dropped_said: u64,
    /// Failures that stderr has been told of.
    failed_said: u64,
    complained: Option<Instant>,
    closing: Vec<SyncSender<()>>,
}

/// Whether the writer goes on.
#[derive(PartialEq, Eq)]
enum Next {
    Again,
    End,
}

impl Writer {
    pub(super) fn new(
        queue: Receiver<Box<[u8]>>,
        commands: Receiver<Command>,
        sink: Sink,
        style: Style,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            queue,
            commands,
            sink,
            style,
            counters,
            batch: Batch::default(),
            dropped_said: 0,
            failed_said: 0,
            complained: None,
            closing: Vec::new(),
        }
    }

    /// Writes until the log is closed, or until nobody is left who could write to it.
    pub(super) fn run(mut self) {
        while self.turn() == Next::Again {
            thread::sleep(REST);
        }
        let closing = std::mem::take(&mut self.closing);
        drop(self);
        for done in closing {
            // Whoever asked may have stopped waiting.
            let _gone = done.try_send(());
        }
    }

    fn turn(&mut self) -> Next {
        let gathered = self.gather();
        self.say_dropped();
        if self.batch.len() > 0 {
            let written = self.sink.write(&self.batch);
            if let Err(lost) = written {
                self.counters
                    .failed
                    .fetch_add(lost.lines as u64, Ordering::Relaxed);
                self.complain(&format_args!("{}", lost.error));
            }
        } else if let Err(error) = self.sink.roll_if_due() {
            self.complain(&format_args!("cannot roll: {error}"));
        }
        self.obey();
        match gathered {
            Gathered::Nothing if !self.closing.is_empty() => Next::End,
            Gathered::Gone => Next::End,
            _ => Next::Again,
        }
    }

    /// Waits for a line, and takes with it those that are queued behind it.
    fn gather(&mut self) -> Gathered {
        self.batch.clear();
        let first = match self.patience() {
            Some(patience) => self.queue.recv_timeout(patience),
            None => self
                .queue
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected),
        };
        let mut next = match first {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Timeout) => return Gathered::Nothing,
            Err(RecvTimeoutError::Disconnected) => return Gathered::Gone,
        };
        while let Some(line) = next {
            self.counters
                .queued_bytes
                .fetch_sub(line.len(), Ordering::Relaxed);
            if !line.is_empty() {
                self.batch.push(&line);
            }
            if self.batch.bytes() >= BATCH_BYTES {
                break;
            }
            next = self.queue.try_recv().ok();
        }
        Gathered::Some
    }

    /// How long to wait for a line.
    fn patience(&self) -> Option<Duration> {
        if !self.closing.is_empty() {
            return Some(Duration::ZERO);
        }
        let unsaid = self.counters.dropped.load(Ordering::Relaxed) > self.dropped_said;
        let say = unsaid.then_some(COMPLAINT_INTERVAL);
        [say, self.sink.until_due()].into_iter().flatten().min()
    }

    /// Appends to the batch how many lines are missing.
    fn say_dropped(&mut self) {
        let dropped = self.counters.dropped.load(Ordering::Relaxed);
        let missing = dropped - self.dropped_said;
        if missing == 0 {
            return;
        }
        if self.closing.is_empty() && !self.may_complain() {
            return;
        }
        self.dropped_said = dropped;
        let text = format_args!("{missing} log lines dropped: queue full");
        let record = slog::record!(Level::Warning, "", &text, slog::b!());
        let nothing = OwnedKVList::from(o!());
        let batch = &mut self.batch;
        with_line(&self.style, clock::now(), &record, &nothing, |line| {
            batch.push(line)
        });
    }

    /// Tells stderr, the output of last resort, that the log's own output fails.
    fn complain(&mut self, reason: &Arguments<'_>) {
        if !self.may_complain() {
            return;
        }
        let failed = self.counters.failed.load(Ordering::Relaxed);
        let lines = failed - self.failed_said;
        self.failed_said = failed;
        // There is nowhere to tell that this failed too.
        let _lost = match lines {
            0 => writeln!(std::io::stderr(), "log: {reason}"),
            lines => writeln!(
                std::io::stderr(),
                "log: {lines} lines not written: {reason}"
            ),
        };
    }

    fn may_complain(&mut self) -> bool {
        let now = Instant::now();
        let due = self
            .complained
            .is_none_or(|last| now.duration_since(last) >= COMPLAINT_INTERVAL);
        if due {
            self.complained = Some(now);
        }
        due
    }

    fn obey(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Close(done) => self.closing.push(done),
                Command::Reopen => {
                    if let Err(error) = self.sink.reopen() {
                        self.complain(&format_args!("cannot reopen: {error}"));
                    }
                }
            }
        }
    }
}

/// What came out of the queue.
enum Gathered {
    /// Lines, or a call to look for commands.
    Some,
    /// No line, in time.
    Nothing,
    /// Every logger and every handle is gone.
    Gone,
}
