//! The event log: a [`slog::Drain`] that never makes its caller wait.
//!
//! A record is formatted on the thread that logs it and handed to a bounded queue; one thread
//! takes lines out and writes them in batches. A full queue drops the line, counts it, and the log
//! itself says how many are missing. An output that fails, or a disk that is full, costs lines and
//! nothing else.
//!
//! Nothing here is global: [`start`] returns a [`slog::Logger`] to hand down, and a [`LogHandle`]
//! for whoever owns it.

pub mod access;
mod clock;
mod drain;
mod file;
mod format;
mod output;
mod pairs;
mod roll;
mod syslog;
mod text;
mod writer;

use std::io;
use std::time::Duration;

pub use drain::LogHandle;
pub use format::Format;
pub use output::{Output, Transport};
pub use roll::{Compress, Roller};

/// What a log is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// How a record is written.
    pub format: Format,
    /// The most verbose level that is written; can be changed while it runs.
    pub level: slog::FilterLevel,
    /// Where lines go.
    pub output: Output,
    /// When a file is rolled; consoles and syslog are not.
    pub roller: Roller,
    /// The zone of times in lines and of file names.
    pub zone: jiff::tz::TimeZone,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            format: Format::default(),
            level: slog::FilterLevel::Info,
            output: Output::Stderr,
            roller: Roller::default(),
            zone: jiff::tz::TimeZone::UTC,
        }
    }
}

/// Why a log could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The output could not be opened or reached.
    #[error("log output {output}: {source}")]
    Open {
        /// The output, as a configuration would name it.
        output: Output,
        /// What the system answered.
        source: io::Error,
    },
    /// The writer thread could not be started.
    #[error("log writer thread: {0}")]
    Thread(#[source] io::Error),
}

/// Whether everything that was logged has been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Every line that was queued has been written, or has failed to be.
    Flushed,
    /// The deadline passed first: the output is stuck.
    TimedOut,
}

/// Opens the output and starts the thread that writes to it.
///
/// The thread ends when the handle is [closed](LogHandle::close), or when the last logger and the
/// last handle are gone.
///
/// # Errors
///
/// [`Error`] when the output cannot be opened or there is no thread to be had; nothing is left
/// behind then but, perhaps, the directory of the file.
pub fn start(options: Options) -> Result<(slog::Logger, LogHandle), Error> {
    let wire = options.format.wire();
    let sink = match wire {
        format::Wire::JournalField => output::Sink::journal(),
        _ => output::Sink::open(&options.output, options.roller, &options.zone),
    };
    let sink = sink.map_err(|source| Error::Open {
        output: options.output.clone(),
        source,
    })?;
    drain::start(wire, options.level, options.zone, sink).map_err(Error::Thread)
}

/// How long a closing process waits for its last lines, by default.
pub const CLOSE_DEADLINE: Duration = Duration::from_secs(2);
