//! Where lines go: consoles, files, syslog, journald.

use std::convert::Infallible;
use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::clock;
use super::file::LogFile;
use super::roll::Roller;
use super::syslog::{LOCAL_SYSLOG, LocalSocket, SyslogServer, header};

/// Where journald takes records.
pub(super) const JOURNAL: &str = "/run/systemd/journal/socket";

/// Where a log's lines go. Parsed from text by MOSN's rules, which know no wrong output: what is
/// nothing else is the path of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Nothing, `stderr` or `/dev/stderr`.
    Stderr,
    /// `stdout` or `/dev/stdout`.
    Stdout,
    /// `syslog`: the server of this machine.
    LocalSyslog,
    /// `syslog://host:port`, `syslog+udp://…` or `syslog+tcp://…`.
    Syslog(Transport, String),
    /// A file to append to. Its directory is made if it is missing.
    File(PathBuf),
}

/// How a syslog server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A line a datagram.
    Udp,
    /// Lines end with a line feed.
    Tcp,
}

impl FromStr for Output {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let remote = [
            ("syslog://", Transport::Udp),
            ("syslog+udp://", Transport::Udp),
            ("syslog+tcp://", Transport::Tcp),
        ];
        let remote = remote.into_iter().find_map(|(scheme, transport)| {
            Some(Self::Syslog(
                transport,
                text.strip_prefix(scheme)?.to_owned(),
            ))
        });
        Ok(match text {
            "" | "stderr" | "/dev/stderr" => Self::Stderr,
            "stdout" | "/dev/stdout" => Self::Stdout,
            "syslog" => Self::LocalSyslog,
            path => remote.unwrap_or_else(|| Self::File(path.into())),
        })
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stderr => f.write_str("stderr"),
            Self::Stdout => f.write_str("stdout"),
            Self::LocalSyslog => f.write_str("syslog"),
            Self::Syslog(Transport::Udp, server) => write!(f, "syslog+udp://{server}"),
            Self::Syslog(Transport::Tcp, server) => write!(f, "syslog+tcp://{server}"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// Lines that are written together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Batch {
    pub(super) fn push(&mut self, line: &[u8]) {
        self.push_with(|bytes| bytes.extend_from_slice(line));
    }

    /// Appends the line that `write` appends. If it panics, call [`mend`](Self::mend).
    pub(super) fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    /// Removes the piece of a line whose writing has panicked.
    pub(super) fn mend(&mut self) {
        self.bytes.truncate(self.ends.last().copied().unwrap_or(0));
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes that it can hold before it needs more memory.
    pub(super) fn room(&self) -> usize {
        self.bytes.capacity()
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, &end)| &self.bytes[start..end])
    }
}

/// Lines that could not be written, and why.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) lines: usize,
    pub(super) error: io::Error,
}

/// An open [`Output`].
pub(super) enum Sink {
    Console(Box<dyn Write + Send>),
    File(Box<LogFile>),
    Journal(LocalSocket),
    LocalSyslog(LocalSocket, TimeZone),
    Syslog(SyslogServer, TimeZone),
}

impl Sink {
    pub(super) fn open(output: &Output, roller: Roller, zone: &TimeZone) -> io::Result<Self> {
        Ok(match output {
            Output::Stderr => Self::Console(Box::new(io::stderr())),
            Output::Stdout => Self::Console(Box::new(io::stdout())),
            Output::LocalSyslog => {
                Self::LocalSyslog(LocalSocket::open(&LOCAL_SYSLOG)?, zone.clone())
            }
            Output::Syslog(transport, server) => {
                Self::Syslog(SyslogServer::open(*transport, server)?, zone.clone())
            }
            Output::File(path) => {
                let file = LogFile::open(path, roller, zone, clock::now())?;
                Self::File(Box::new(file))
            }
        })
    }

    pub(super) fn journal() -> io::Result<Self> {
        LocalSocket::open(&[JOURNAL]).map(Self::Journal)
    }

    /// Writes all lines, or as many as possible.
    pub(super) fn write(&mut self, batch: &Batch) -> Result<(), Lost> {
        let whole = |written: io::Result<()>| {
            written.map_err(|error| Lost {
                lines: batch.len(),
                error,
            })
        };
        match self {
            Self::Console(console) => whole(
                console
                    .write_all(&batch.bytes)
                    .and_then(|()| console.flush()),
            ),
            Self::File(file) => {
                let rolled = file.roll_if_due(batch.bytes.len() as u64, clock::now());
                whole(file.append(&batch.bytes))?;
                rolled.map_err(|error| Lost { lines: 0, error })
            }
            Self::Journal(journal) => each(batch, |line| journal.send(line)),
            Self::LocalSyslog(socket, zone) => {
                let header = header(zone, None);
                each(batch, |line| {
                    socket.send(&[header.as_bytes(), line].concat())
                })
            }
            Self::Syslog(server, zone) => {
                let header = header(zone, Some(&server.host));
                each(batch, |line| {
                    server.send(&[header.as_bytes(), line].concat())
                })
            }
        }
    }

    /// Reopens what can be reopened: files by name, sockets by connecting anew.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        match self {
            Self::Console(_) => Ok(()),
            Self::File(file) => file.reopen(clock::now()),
            Self::Journal(socket) | Self::LocalSyslog(socket, _) => socket.reconnect(),
            Self::Syslog(server, _) => server.reconnect(),
        }
    }

    /// Rolls a file whose period is over.
    pub(super) fn roll_if_due(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.roll_if_due(0, clock::now()),
            _ => Ok(()),
        }
    }

    /// How long the sink can be left alone if nothing is written to it.
    pub(super) fn until_due(&self) -> Option<Duration> {
        match self {
            Self::File(file) => file.until_due(clock::now()),
            _ => None,
        }
    }
}

fn each(batch: &Batch, mut send: impl FnMut(&[u8]) -> io::Result<()>) -> Result<(), Lost> {
    let mut failed = None;
    let mut lines = 0;
    for line in batch.lines() {
        if let Err(error) = send(line) {
            lines += 1;
            failed = Some(error);
        }
    }
    failed.map_or(Ok(()), |error| Err(Lost { lines, error }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(text: &str) -> Output {
        let Ok(output) = text.parse();
        output
    }

    #[test]
    fn outputs_are_named_as_in_mosn() {
        assert_eq!(output(""), Output::Stderr);
        assert_eq!(output("/dev/stderr"), Output::Stderr);
        assert_eq!(output("stdout"), Output::Stdout);
        assert_eq!(output("syslog"), Output::LocalSyslog);
        let remote = |transport| Output::Syslog(transport, "h:1".into());
        assert_eq!(output("syslog://h:1"), remote(Transport::Udp));
        assert_eq!(output("syslog+udp://h:1"), remote(Transport::Udp));
        assert_eq!(output("syslog+tcp://h:1"), remote(Transport::Tcp));
        assert_eq!(output("logs/a.log"), Output::File("logs/a.log".into()));
        assert_eq!(output("syslog+tcp://h:1").to_string(), "syslog+tcp://h:1");
    }
}
