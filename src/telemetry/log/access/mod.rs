//! Access logs: what each worker says of its requests, one thread a log to write it.
//!
//! A worker appends lines to a buffer of its own ([`Lines`]) and hands the buffer over when it is
//! full, or once a second. The writer takes buffers as they are, and gives them back empty. What
//! waits for a writer is bounded: when its output is too slow, lines are dropped and counted, and
//! no request waits for its line.
//!
//! Nothing here is global: [`AccessLogs`] belongs to whoever makes it.

mod lines;
mod queue;
mod writer;

use std::fmt;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use jiff::tz::TimeZone;

use super::output::{Output, Sink};
use super::{Closed, Error, Roller};
pub use lines::{Lines, WorkerLines};
use queue::{Door, Message, Queue};
use writer::Writer;

/// The access logs that are open, each output once. A clone is the same set.
#[derive(Clone, Debug)]
pub struct AccessLogs(Arc<Open>);

#[derive(Debug)]
struct Open {
    roller: Roller,
    zone: TimeZone,
    known: ArcSwap<Vec<Arc<Known>>>,
}

/// A log as the set remembers it, also while its last lines are written.
#[derive(Debug)]
struct Known {
    output: Output,
    /// Alive while anyone may write lines.
    queue: Weak<Queue>,
    door: Door,
    writer: JoinHandle<()>,
}

impl Known {
    /// The log, if lines still come to it and are written.
    fn log(&self) -> Option<Log> {
        let queue = self.queue.upgrade()?;
        (!self.writer.is_finished()).then_some(Log(queue))
    }
}

impl AccessLogs {
    /// No log yet. Files of all that are opened are rolled by `roller`, in local time of `zone`.
    #[must_use]
    pub fn new(roller: Roller, zone: TimeZone) -> Self {
        Self(Arc::new(Open {
            roller,
            zone,
            known: ArcSwap::default(),
        }))
    }

    /// The log of an output, opened if it is not open: whoever names one output shares one log.
    ///
    /// A log ends when its last handle and its last [`Lines`] are gone. Opening may block: a
    /// syslog server may be far away.
    ///
    /// # Errors
    ///
    /// [`Error`] when the output cannot be opened or there is no thread to be had.
    pub fn open(&self, output: &Output) -> Result<Log, Error> {
        let known = self.0.known.load();
        let mut same = known.iter().filter(|known| known.output == *output);
        if let Some(log) = same.find_map(|known| known.log()) {
            return Ok(log);
        }
        let sink = Sink::open(output, self.0.roller, &self.0.zone);
        let sink = sink.map_err(|source| Error::Open {
            output: output.clone(),
            source,
        })?;
        self.start(output, sink).map_err(Error::Thread)
    }

    fn start(&self, output: &Output, sink: Sink) -> std::io::Result<Log> {
        let (door, messages) = Door::new();
        let writer = Writer::new(messages, sink, door.counters());
        let writer = thread::Builder::new()
            .name("banyan-access".into())
            .spawn(move || writer.run())?;
        let queue = Arc::new(Queue::new(door.clone()));
        let known = Arc::new(Known {
            output: output.clone(),
            queue: Arc::downgrade(&queue),
            door,
            writer,
        });
        self.0.known.rcu(|before| {
            let mut all = Vec::clone(before);
            all.retain(|known| !known.writer.is_finished());
            all.push(Arc::clone(&known));
            all
        });
        Ok(Log(queue))
    }

    /// Reopens every output once the lines before are written: the files that now have the names
    /// are written to.
    pub fn reopen(&self) {
        for known in self.0.known.load().iter() {
            known.door.reopen();
        }
    }

    /// Makes the open log of an output write nothing, until it is [unmuted](Self::unmute) or closed;
    /// `false` when none is open. Lines that were there before are written.
    pub fn mute(&self, output: &Output) -> bool {
        self.tell(output, |known| known.door.counters().mute())
    }

    /// Makes a log write again.
    pub fn unmute(&self, output: &Output) -> bool {
        self.tell(output, |known| known.door.counters().unmute())
    }

    fn tell(&self, output: &Output, what: impl Fn(&Known)) -> bool {
        let known = self.0.known.load();
        let mut same = known
            .iter()
            .filter(|known| known.output == *output && known.log().is_some());
        same.next().inspect(|known| what(known)).is_some()
    }

    /// What the logs have lost since this was last asked; nothing is the rule. Worth a line in the
    /// error log once a second.
    #[must_use = "what was told is not told again"]
    pub fn losses(&self) -> Vec<Loss> {
        let known = self.0.known.load();
        let losses = known.iter().filter_map(|known| {
            let (dropped, failed, reason) = known.door.counters().untold()?;
            let output = known.output.clone();
            Some(Loss {
                output,
                dropped,
                failed,
                reason,
            })
        });
        losses.collect()
    }

    /// Writes what was handed over and closes every log, those without handles too. Lines that come
    /// later are lost: drop or flush all [`Lines`] before.
    ///
    /// Blocks for at most `deadline`.
    #[must_use = "a stuck output leaves lines unwritten"]
    pub fn close(&self, deadline: Duration) -> Closed {
        let by = Instant::now() + deadline;
        let known = self.0.known.load();
        let closing: Vec<_> = known
            .iter()
            .map(|known| {
                let (done, closed) = mpsc::sync_channel(1);
                known.door.tell(Message::Close(done));
                closed
            })
            .collect();
        let stuck = closing.iter().any(|closed| {
            let rest = by.saturating_duration_since(Instant::now());
            // A writer that has ended, or ends for another reason, answers by hanging up.
            closed.recv_timeout(rest) == Err(RecvTimeoutError::Timeout)
        });
        match stuck {
            true => Closed::TimedOut,
            false => Closed::Flushed,
        }
    }
}

/// An open access log. It stays open while a handle or [`Lines`] are left.
#[derive(Clone, Debug)]
pub struct Log(Arc<Queue>);

impl Log {
    /// Lines that were dropped because the output was too slow.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.counters().dropped()
    }

    /// Lines that the output did not take.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.0.counters().failed()
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// What a log has lost, as a sentence for the error log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The output of the log.
    pub output: Output,
    /// Lines that were dropped because the output was too slow.
    pub dropped: u64,
    /// Lines that the output did not take.
    pub failed: u64,
    /// What the system said last, if it said anything.
    pub reason: Option<Arc<String>>,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "access log {}: ", self.output)?;
        write!(
            f,
            "{} lines dropped, {} not written",
            self.dropped, self.failed
        )?;
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
