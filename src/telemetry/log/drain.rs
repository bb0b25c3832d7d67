//! The near side of the queue: the drain that loggers share, and the handle of whoever owns them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender, TrySendError};
use std::thread;
use std::time::Duration;

use jiff::tz::TimeZone;
use slog::{Drain, FilterLevel, Level, Logger, Never, OwnedKVList, Record, o};

use super::Closed;
use super::clock;
use super::format::{Style, Wire, with_line};
use super::output::Sink;
use super::writer::{Command, Writer};

/// Lines that may wait for the writer. It writes thousands at once, so only a stuck output or a
/// flood fills this.
const QUEUE_LINES: usize = 8192;

/// Bytes that may wait for the writer, whatever the length of the lines.
const QUEUE_BYTES: usize = 8 << 20;

/// Commands that may wait for the writer; they come from people.
const QUEUE_COMMANDS: usize = 16;

/// What the two sides of the queue share.
#[derive(Debug)]
pub(super) struct Counters {
    /// A [`FilterLevel`] as a number.
    level: AtomicUsize,
    /// Lines that found the queue full.
    pub(super) dropped: AtomicU64,
    /// Lines that the output did not take.
    pub(super) failed: AtomicU64,
    pub(super) queued_bytes: AtomicUsize,
}

/// Hands formatted lines to the writer.
struct Queue {
    style: Style,
    lines: SyncSender<Box<[u8]>>,
    counters: Arc<Counters>,
}

impl Queue {
    fn push(&self, line: &[u8]) {
        let queued = self
            .counters
            .queued_bytes
            .fetch_add(line.len(), Ordering::Relaxed);
        let sent = queued + line.len() <= QUEUE_BYTES && self.lines.try_send(line.into()).is_ok();
        if !sent {
            self.counters
                .queued_bytes
                .fetch_sub(line.len(), Ordering::Relaxed);
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drain for Queue {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), Never> {
        if self.is_enabled(record.level()) {
            with_line(&self.style, clock::now(), record, values, |line| {
                self.push(line)
            });
        }
        Ok(())
    }

    fn is_enabled(&self, level: Level) -> bool {
        level.as_usize() <= self.counters.level.load(Ordering::Relaxed)
    }
}

/// Starts the writer; see [`super::start`].
pub(super) fn start(
    wire: Wire,
    level: FilterLevel,
    zone: TimeZone,
    sink: Sink,
) -> io::Result<(Logger, LogHandle)> {
    static LOGS: AtomicU64 = AtomicU64::new(1);
    let style = Style {
        log: LOGS.fetch_add(1, Ordering::Relaxed),
        wire,
        zone,
    };
    let counters = Arc::new(Counters {
        level: AtomicUsize::new(level.as_usize()),
        dropped: AtomicU64::new(0),
        failed: AtomicU64::new(0),
        queued_bytes: AtomicUsize::new(0),
    });
    let (lines, queue) = mpsc::sync_channel(QUEUE_LINES);
    let (commands, requests) = mpsc::sync_channel(QUEUE_COMMANDS);
    let writer = Writer::new(queue, requests, sink, style.clone(), Arc::clone(&counters));
    thread::Builder::new()
        .name("banyan-log".into())
        .spawn(move || writer.run())?;
    let handle = LogHandle {
        commands,
        wake: lines.clone(),
        counters: Arc::clone(&counters),
    };
    let drain = Queue {
        style,
        lines,
        counters,
    };
    Ok((Logger::root(drain.fuse(), o!()), handle))
}

/// What its owner can do with a running log.
#[derive(Clone, Debug)]
pub struct LogHandle {
    commands: SyncSender<Command>,
    /// An empty line makes a sleeping writer look for commands.
    wake: SyncSender<Box<[u8]>>,
    counters: Arc<Counters>,
}

impl LogHandle {
    /// The most verbose level that is written.
    pub fn level(&self) -> FilterLevel {
        FilterLevel::from_usize(self.counters.level.load(Ordering::Relaxed))
            .unwrap_or(FilterLevel::Trace)
    }

    /// Changes the most verbose level that is written.
    pub fn set_level(&self, level: FilterLevel) {
        self.counters
            .level
            .store(level.as_usize(), Ordering::Relaxed);
    }

    /// Lines that were dropped because the queue was full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.counters.dropped.load(Ordering::Relaxed)
    }

    /// Lines that the output did not take.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.counters.failed.load(Ordering::Relaxed)
    }

    /// Reopens the output, soon: the file that now has the name is written to.
    pub fn reopen(&self) {
        self.command(Command::Reopen);
    }

    /// Writes what is queued and closes the output. Lines that are logged later are dropped.
    ///
    /// Blocks for at most `deadline`.
    #[must_use = "a stuck output leaves lines unwritten"]
    pub fn close(&self, deadline: Duration) -> Closed {
        let (done, closed) = mpsc::sync_channel(1);
        if !self.command(Command::Close(done)) {
            return Closed::Flushed;
        }
        match closed.recv_timeout(deadline) {
            // Closed by another handle in the meantime.
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Closed::Flushed,
            Err(RecvTimeoutError::Timeout) => Closed::TimedOut,
        }
    }

    /// Whether there still is a writer. A command beyond those that can wait is dropped: a writer
    /// that is so far behind is stuck.
    fn command(&self, command: Command) -> bool {
        if let Err(TrySendError::Disconnected(_)) = self.commands.try_send(command) {
            return false;
        }
        // A full queue needs no waking.
        let _awake = self.wake.try_send(Box::default());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use slog::{debug, info};

    const DEADLINE: Duration = Duration::from_secs(10);

    /// Tells when it is written to and with what; takes nothing before its gate has been removed.
    struct Scripted {
        gate: Receiver<()>,
        entered: Sender<()>,
        written: Sender<String>,
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.entered.send(()).map_err(io::Error::other)?;
            let _removed = self.gate.recv();
            let text = String::from_utf8_lossy(bytes).into_owned();
            self.written.send(text).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Far {
        gate: Sender<()>,
        entered: Receiver<()>,
        written: Receiver<String>,
    }

    fn scripted() -> (Logger, LogHandle, Far) {
        let (near_gate, gate) = channel();
        let (entered, near_entered) = channel();
        let (written, near_written) = channel();
        let sink = Sink::Console(Box::new(Scripted {
            gate,
            entered,
            written,
        }));
        let level = FilterLevel::Info;
        let (logger, handle) = start(Wire::JournalPrefix, level, TimeZone::UTC, sink).unwrap();
        let far = Far {
            gate: near_gate,
            entered: near_entered,
            written: near_written,
        };
        (logger, handle, far)
    }

    /// A log whose writer is stuck in its first line.
    fn stuck() -> (Logger, LogHandle, Far) {
        let (logger, handle, far) = scripted();
        info!(logger, "first");
        far.entered.recv().unwrap();
        (logger, handle, far)
    }

    #[test]
    fn closing_writes_what_was_logged_in_order() {
        let (logger, handle, far) = scripted();
        drop(far.gate);
        for n in 0..1000 {
            info!(logger, "{}", n);
        }
        assert_eq!(handle.close(DEADLINE), Closed::Flushed);

        let expected: String = (0..1000).map(|n| format!("<6>{n}\n")).collect();
        assert_eq!(far.written.iter().collect::<String>(), expected);
        info!(logger, "too late");
        assert_eq!(handle.dropped(), 1);
        assert_eq!(handle.close(DEADLINE), Closed::Flushed);
    }

    #[test]
    fn a_stuck_output_costs_lines_that_the_log_then_tells_of() {
        let (logger, handle, far) = stuck();
        for _ in 0..QUEUE_LINES + 12 {
            info!(logger, "line");
        }
        assert_eq!(handle.dropped(), 12);
        assert_eq!(handle.close(Duration::from_millis(1)), Closed::TimedOut);

        drop(far.gate);
        assert_eq!(handle.close(DEADLINE), Closed::Flushed);
        let text: String = far.written.iter().collect();
        assert!(text.contains("<4>12 log lines dropped: queue full\n"));
        assert_eq!(text.matches("<6>line\n").count(), QUEUE_LINES);
    }

    #[test]
    fn long_lines_fill_the_queue_by_their_bytes() {
        let (logger, handle, far) = stuck();
        let long = "x".repeat(QUEUE_BYTES / 4);
        for _ in 0..5 {
            info!(logger, "{}", long);
        }
        assert_eq!(handle.dropped(), 2);
        drop(far.gate);
        assert_eq!(handle.close(DEADLINE), Closed::Flushed);
    }

    #[test]
    fn an_output_that_fails_is_counted_and_the_log_goes_on() {
        let (logger, handle, far) = scripted();
        drop(far);
        info!(logger, "lost");
        assert_eq!(handle.close(DEADLINE), Closed::Flushed);
        assert_eq!((handle.failed(), handle.dropped()), (1, 0));
    }

    #[test]
    fn the_level_changes_while_it_runs() {
        let (logger, handle, far) = scripted();
        drop(far.gate);
        debug!(logger, "unseen");
        handle.set_level(FilterLevel::Debug);
        debug!(logger, "seen");
        assert_eq!(handle.level(), FilterLevel::Debug);
        assert_eq!(handle.close(DEADLINE), Closed::Flushed);
        assert_eq!(far.written.iter().collect::<String>(), "<7>seen\n");
    }

    #[test]
    fn reopening_leaves_a_moved_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mosn.log");
        let moved = directory.path().join("moved");
        let options = super::super::Options {
            output: super::super::Output::File(path.clone()),
            ..Default::default()
        };
        let (logger, handle) = super::super::start(options).unwrap();
        std::fs::rename(&path, &moved).unwrap();
        handle.reopen();
        info!(logger, "after");
        while !path.exists() {
            thread::yield_now();
        }
        assert_eq!(handle.close(DEADLINE), Closed::Flushed);
        assert!(path.exists() && moved.exists());
    }
}
